//! `aloud launch` and `aloud guardian`: what the agent starts, not people.
//!
//! Both run in a process of one thread, before any runtime.

use supervisor::guardian::Ward;
use supervisor::launch::Once;

use crate::args::releases::{GuardianArgs, LaunchArgs};
use crate::exit::Exit;

/// Becomes a worker, or a command; returns only if that did not work.
pub(crate) fn launch(args: &LaunchArgs) -> Exit {
    let failed = if args.once { Once::run(&args.order) } else { supervisor::launch::run(&args.order) };
    // What is wrong was said where it is looked for; the code says the rest.
    std::process::exit(i32::from(failed.code))
}

/// Waits for the end of the agent, and ends its workers.
pub(crate) fn guard(args: &GuardianArgs) -> Exit {
    let Some(ward) = Ward::from_args(args.watched.iter().cloned()) else { return Exit::Usage };
    match supervisor::guardian::run(&ward) {
        Ok(()) => Exit::Ok,
        Err(_) => Exit::No,
    }
}
