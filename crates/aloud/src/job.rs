//! `aloud job`: one job shown whole; or some of them retried, called off,
//! deleted.

use std::io::{self, Write};

use aloud_client::v1::CancelledJob;
use job::Outcome;
use serde::Serialize;

use crate::args::jobs::{CancelArgs, JobArgs, JobCommand, OneJobArgs, SomeJobsArgs};
use crate::exit::Exit;
use crate::remote;
use crate::report::Report;
use crate::settings::Found;

mod page;

/// Runs the command.
pub(crate) fn run(args: JobArgs, found: Found) -> Result<Exit, Report> {
    match args.what {
        Some(JobCommand::Show(args)) => show(args, found),
        Some(JobCommand::Retry(args)) => retry(args, found),
        Some(JobCommand::Cancel(args)) => cancel(args, found),
        Some(JobCommand::Delete(args)) => delete(args, found),
        None => {
            let id = args.show.id.expect("clap asks for an id where no subcommand stands");
            show(OneJobArgs { id, json: args.show.json, reach: args.show.reach }, found)
        }
    }
}

fn show(args: OneJobArgs, found: Found) -> Result<Exit, Report> {
    let api = remote::connect(found, &args.reach)?;
    let job = remote::talk(async { Ok(api.job(&args.id).await?) })?;
    if args.json {
        remote::print_json(&job)?;
    } else {
        io::stdout().lock().write_all(page::of(&job, remote::now().wall).as_bytes())?;
    }
    Ok(Exit::Ok)
}

fn retry(args: SomeJobsArgs, found: Found) -> Result<Exit, Report> {
    let api = remote::connect(found, &args.reach)?;
    each(&args.ids, args.json, async |id| {
        let job = api.retry(id).await?;
        let said = format!("{} is {} again", job.id, job.state.as_str());
        Ok((job, said))
    })
}

fn cancel(args: CancelArgs, found: Found) -> Result<Exit, Report> {
    let api = remote::connect(found, &args.reach)?;
    match args.key {
        Some(key) => each(&[key], args.json, async |key| Ok(gone(api.cancel_key(&args.queue, key).await?))),
        None => each(&args.ids, args.json, async |id| Ok(gone(api.cancel(id).await?))),
    }
}

fn delete(args: SomeJobsArgs, found: Found) -> Result<Exit, Report> {
    let api = remote::connect(found, &args.reach)?;
    each(&args.ids, args.json, async |id| Ok(gone(api.cancel(id).await?)))
}

fn gone(job: CancelledJob) -> (CancelledJob, String) {
    let said = match job.outcome {
        Outcome::Cancelled => format!("{} is cancelled, and will not start", job.id),
        Outcome::Discarded => format!("{} was dead, and is deleted", job.id),
        Outcome::Done | Outcome::Skipped | Outcome::Superseded | Outcome::Expired => {
            format!("{} ended as {}", job.id, job.outcome.as_str())
        }
    };
    (job, said)
}

/// Does the same to each, goes on after one that is refused, and ends as the
/// first refusal says.
fn each<I, T: Serialize>(
    ids: &[I],
    json: bool,
    act: impl AsyncFn(&I) -> Result<(T, String), Report>,
) -> Result<Exit, Report> {
    let several = ids.len() > 1;
    remote::talk(async {
        let mut first: Option<Report> = None;
        for id in ids {
            match act(id).await {
                Ok((job, _)) if json => remote::print_json(&job)?,
                Ok((_, said)) => writeln!(io::stdout(), "{said}")?,
                Err(report) if !several || report.exit == Exit::Unreachable => return Err(report),
                Err(report) => {
                    writeln!(io::stderr(), "{report}")?;
                    first.get_or_insert(report);
                }
            }
        }
        Ok(first.map_or(Exit::Ok, |report| report.exit))
    })
}
