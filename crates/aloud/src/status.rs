//! `aloud status`: how everything is, in words and as an exit code.

use std::io::{self, Write};

use aloud_client::v1::Status;
use job::Verdict;
use serde::Serialize;

use crate::args::StatusArgs;
use crate::exit::Exit;
use crate::remote;
use crate::report::Report;
use crate::settings::Found;

mod page;

pub(crate) use page::page;

/// Runs the command.
///
/// A server that cannot be asked is critical: not to know is not to be well.
pub(crate) fn run(args: StatusArgs, found: Found) -> Result<Exit, Report> {
    let status = ask(&args, found).map_err(|report| report.ending(Exit::Critical))?;
    if args.json {
        remote::print_json(&Judged { verdict: status.verdict, status: &status })?;
    } else {
        io::stdout().lock().write_all(page(&status, remote::now().wall).as_bytes())?;
    }
    Ok(exit(status.verdict))
}

/// How a command ends that ends with a verdict. What is not known is no better
/// than what is broken.
pub(crate) fn exit(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Ok => Exit::Ok,
        Verdict::Warning => Exit::No,
        Verdict::Unknown | Verdict::Critical => Exit::Critical,
    }
}

fn ask(args: &StatusArgs, found: Found) -> Result<Status, Report> {
    let api = remote::connect(found, &args.reach)?;
    remote::talk(async { Ok(api.status().await?) })
}

/// The status as JSON: what the server says, beside what is thought of it.
#[derive(Serialize)]
struct Judged<'a> {
    verdict: Verdict,
    status: &'a Status,
}
