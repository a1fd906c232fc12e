//! `aloud demo`: a server, an application and a mailbox on this machine, to try
//! things out; with `--check`, tried out without a person.
//!
//! The server and the application are processes of their own, started from
//! this very program, so that one can be killed and the others see it.

use crate::exit::Exit;
use crate::report::Report;

pub(crate) mod args;
mod banner;
mod check;
mod child;
mod mailbox;
mod ports;
mod show;
mod stage;

use crate::signals::Signals;
use args::DemoArgs;

/// Runs the command.
pub(crate) fn run(args: &DemoArgs) -> Result<Exit, Report> {
    runtime()?.block_on(async {
        let mut end = Signals::listen_on_a_terminal()?;
        if args.check { check::run(args, &mut end).await } else { show::run(args, &mut end).await }
    })
}

/// Runs `notice`, the application, as its environment says.
pub(crate) fn run_notice() -> Result<Exit, Report> {
    let failed = |why: String| Report::new(Exit::No, why, "notice did not start, or did not end well.", "");
    crate::leash::hold().map_err(|error| failed(format!("cannot watch stdin: {error}")))?;
    runtime()?.block_on(notice::program::run()).map_err(|error| failed(error.to_string()))?;
    Ok(Exit::Ok)
}

fn runtime() -> Result<tokio::runtime::Runtime, Report> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Report::config(format!("cannot start: {error}"), "Nothing was started.", "see what limits this process has")
    })
}
