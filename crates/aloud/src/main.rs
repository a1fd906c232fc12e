//! aloud: background jobs that fail out loud.
//!
//! This binary only wires: [`args`] is what was typed, [`settings`] what it
//! means, and each command stands in the file named like it. How the process
//! ends is decided here, once.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Args, Command};
use exit::Exit;
use report::Report;
use settings::Found;
use settings::env::Env;

mod adopt;
mod age;
mod agent;
mod agents;
mod args;
mod demo;
mod deploy;
#[cfg(test)]
mod docs;
mod exit;
mod init;
mod job;
mod jobs;
mod launch;
mod leash;
mod log;
mod push;
mod queues;
mod releases;
mod remote;
mod report;
mod serve;
mod settings;
mod signals;
mod status;
mod systemd;
mod table;
mod up;
mod verdict;
mod who;
mod workers;

fn main() -> ExitCode {
    log::report_panics();
    let exit = std::panic::catch_unwind(|| match Args::try_parse() {
        Ok(args) => run(args).unwrap_or_else(|report| tell(&report)),
        Err(error) => told_by_clap(&error),
    });
    exit.unwrap_or(Exit::Defect).into()
}

fn run(args: Args) -> Result<Exit, Report> {
    let env = Env::of_this_process();
    let serves = matches!(args.command, Command::Server(_) | Command::Up(_) | Command::Agent(_));
    log::start(args.common.log.as_deref().or(env.text("ALOUD_LOG")), if serves { "info" } else { "warn" })?;
    let here = std::env::current_dir().map_err(|error| {
        Report::config(
            format!("cannot tell which folder this is run in: {error}"),
            "It was removed, or may not be entered. Nothing was started, and nothing was sent.",
            "change to another folder",
        )
    })?;
    let named = args.common.config.as_deref();
    let found = || Found::look(named, &here, &env);
    match args.command {
        Command::Init(args) => init::run(&args, named, &here),
        Command::Adopt(args) => adopt::run(&args, found, named, &here),
        Command::Push(args) => push::run(*args, found()?),
        Command::Jobs(args) => jobs::run(args, found()?),
        Command::Job(args) => job::run(args, found()?),
        Command::Queues(args) => queues::run(args, found()?),
        Command::Agents(args) => agents::run(args, found()?),
        Command::Status(args) => status::run(args, found()?),
        Command::Systemd(args) => systemd::run(&args, found, &here),
        Command::Demo(args) => demo::run(&args),
        Command::DemoNotice => demo::run_notice(),
        Command::DemoWorker(args) => demo::run_worker(&args),
        Command::DemoMaster => demo::run_master(),
        Command::Up(args) => up::run(&args, found()?, &here),
        Command::Agent(args) => agent::run(&args, &found()?, &here),
        Command::Deploy(args) => deploy::run(&args, &found()?, &here),
        Command::Rollback(args) => deploy::rollback(&args, &found()?, &here),
        Command::Releases(args) => releases::run(&args, &found()?, &here),
        Command::Prune(args) => releases::prune(&args, &found()?, &here),
        Command::Workers(args) => workers::run(&args, &found()?, &here),
        Command::Restart(args) => workers::restart(&args, &found()?, &here),
        Command::Launch(args) => Ok(launch::launch(&args)),
        Command::Guardian(args) => Ok(launch::guard(&args)),
        Command::Server(args) => serve::run(&args, found()?, &here),
    }
}

/// Says what did not work. A reader that has gone is not told, and is no error.
fn tell(report: &Report) -> Exit {
    if report.is_unread() {
        return Exit::Ok;
    }
    // If even stderr is gone, the exit code still says it.
    drop(writeln!(io::stderr(), "{report}"));
    report.exit
}

fn told_by_clap(error: &clap::Error) -> Exit {
    drop(error.print());
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked_for { Exit::Ok } else { Exit::Usage }
}
