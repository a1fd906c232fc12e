//! `aloud adopt`: what is so in a tree that somebody else deploys to, and how
//! aloud takes it over.
//!
//! With `--check` nothing is changed whatsoever. Without it an aloud.toml, a
//! store and `.aloud/` are created, and nothing that is there is touched: the
//! tree's own tool goes on working.

use std::path::Path;

use crate::args::adopt::AdoptArgs;
use crate::exit::Exit;
use crate::report::Report;
use crate::settings::Found;

pub(crate) mod root;

mod judge;
mod laravel;
mod look;
mod origin;
mod page;
mod scene;
mod takeover;
mod watch;

/// Runs the command; `found` finds the configuration, `named` is where it is if
/// that was said.
pub(crate) fn run(
    args: &AdoptArgs,
    found: impl Fn() -> Result<Found, Report>,
    named: Option<&Path>,
    here: &Path,
) -> Result<Exit, Report> {
    if !args.check {
        return takeover::run(args, found, named, here);
    }
    let found = match &args.root {
        // A configuration that cannot be read is no reason not to look.
        Some(_) => found().ok(),
        None => Some(found()?),
    };
    let root = root::find(args.root.as_deref(), found.as_ref(), here)?;
    let accepted = found.and_then(|found| found.file.release.accept_unknown).unwrap_or_default();
    let scene = look::look(&root, &accepted)?;
    if args.json {
        crate::remote::print_json(&scene)?;
    } else {
        page::print(&scene)?;
    }
    Ok(crate::status::exit(scene.verdict))
}
