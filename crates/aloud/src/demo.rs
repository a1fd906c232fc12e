//! `aloud demo`: everything on this machine, to try things out: aloud, an
//! application with its workers in a real tree of releases, and a mailbox. With
//! `--check`, it is tried out without a person; `--story` plays six deploys
//! twice.
//!
//! aloud, the application and the workers are processes of their own, started
//! from this very program, so that one can be killed and the others see it.

use std::io::{self, Write};

use crate::exit::Exit;
use crate::report::Report;

pub(crate) mod args;
mod banner;
mod check;
mod child;
mod mailbox;
mod master;
mod operator;
mod other_tool;
mod panel;
mod ports;
mod show;
mod site;
mod stage;
mod story;

use crate::signals::Signals;
use args::{DemoArgs, WorkerArgs};

/// Runs the command.
pub(crate) fn run(args: &DemoArgs) -> Result<Exit, Report> {
    runtime()?.block_on(async {
        let mut end = Signals::listen_on_a_terminal()?;
        match (args.check, args.story) {
            (true, _) => check::run(args, &mut end).await,
            (false, true) => story::run(args, &mut end).await,
            (false, false) => show::run(args, &mut end).await,
        }
    })
}

/// Runs `notice`, the application, as its environment says.
pub(crate) fn run_notice() -> Result<Exit, Report> {
    let failed = |why: String| Report::new(Exit::No, why, "notice did not start, or did not end well.", "");
    crate::leash::hold().map_err(|error| failed(format!("cannot watch stdin: {error}")))?;
    runtime()?.block_on(notice::program::run()).map_err(|error| failed(error.to_string()))?;
    Ok(Exit::Ok)
}

/// Runs a worker of `notice`, as its environment says; with `check`, only says
/// whether it could start.
pub(crate) fn run_worker(args: &WorkerArgs) -> Result<Exit, Report> {
    let failed = |why: String| Report::new(Exit::No, why, "The worker did not start, or did not end well.", "");
    let ended = match args.check {
        true => notice::worker::check().and_then(|said| Ok(writeln!(io::stdout(), "{said}")?)),
        false => runtime()?.block_on(notice::worker::run()),
    };
    ended.map_err(|error| failed(error.to_string()))?;
    Ok(Exit::Ok)
}

/// Runs the master of the story.
pub(crate) fn run_master() -> Result<Exit, Report> {
    let failed = |why: String| Report::new(Exit::No, why, "The master did not start, or did not end well.", "");
    crate::leash::hold().map_err(|error| failed(format!("cannot watch stdin: {error}")))?;
    runtime()?.block_on(master::run()).map_err(|error| failed(error.to_string()))?;
    Ok(Exit::Ok)
}

fn runtime() -> Result<tokio::runtime::Runtime, Report> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Report::config(format!("cannot start: {error}"), "Nothing was started.", "see what limits this process has")
    })
}
