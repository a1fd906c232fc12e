//! `aloud workers` and `aloud restart`: what runs on this host, and what was seen
//! to have been replaced.

use std::io::{self, Write};
use std::path::Path;

use agent::control::{self, Answer, Ask};
use agent::deploy::confirmed_line;
use aloud_client::v1::{AgentReport, WorkerReport};

use crate::age::relative;
use crate::args::releases::{RestartArgs, WorkersArgs};
use crate::exit::Exit;
use crate::remote;
use crate::report::Report;
use crate::settings::Found;
use crate::settings::host::Host;
use crate::status;
use crate::table::Table;
use crate::verdict;

/// Runs `aloud workers`.
pub(crate) fn run(args: &WorkersArgs, found: &Found, here: &Path) -> Result<Exit, Report> {
    let host = Host::needed(found, here)?;
    let report = remote::talk(ask(&host, &Ask::Report, |_| ()))?;
    let Answer::Report(report) = report else { return Err(strange()) };
    if args.json {
        remote::print_json(&report)?;
    } else {
        table(&report).print()?;
        io::stdout().lock().write_all(verdict::observations(&report.observations).as_bytes())?;
    }
    Ok(status::exit(report.verdict))
}

/// Runs `aloud restart`.
pub(crate) fn restart(args: &RestartArgs, found: &Found, here: &Path) -> Result<Exit, Report> {
    let host = Host::needed(found, here)?;
    let quiet = args.verdict.quiet;
    let restart = Ask::Restart { pool: args.pool.clone(), within: args.timeout };
    let rolled = remote::talk(ask(&host, &restart, |line| {
        if !quiet {
            // If nobody listens any more, the restart goes on all the same.
            drop(writeln!(io::stderr(), "{line}"));
        }
    }))?;
    let rolled = match rolled {
        Answer::Rolled(rolled) => rolled,
        Answer::Refused(why) => {
            return Err(Report::new(Exit::No, why, "No worker was replaced.", "see `aloud workers`"));
        }
        Answer::Say(_) | Answer::Report(_) | Answer::InUse(_) => return Err(strange()),
    };
    let seen = remote::talk(async { Ok(verdict::look(&host).await) })?;
    if args.verdict.json {
        remote::print_json(&serde_json::json!({ "rolled": rolled, "verdict": seen }))?;
    } else {
        let mut stdout = io::stdout().lock();
        for one in &rolled.confirmed {
            writeln!(stdout, "confirmed  {}", confirmed_line(one))?;
        }
        for line in &rolled.failed {
            writeln!(stdout, "FAILED     {line}")?;
        }
        stdout.write_all(seen.text().as_bytes())?;
    }
    Ok(if rolled.failed.is_empty() && !seen.is_red() { Exit::Ok } else { Exit::Critical })
}

/// Asks the agent of this host.
pub(crate) async fn ask(host: &Host, ask: &Ask, say: impl FnMut(&str)) -> Result<Answer, Report> {
    control::ask(&host.dir, ask, say).await.map_err(|error| {
        if error.nobody_is_there() {
            return Report::new(
                Exit::Critical,
                format!("no agent runs on this host (`{}` answers nobody)", error.path.display()),
                "Nothing keeps the workers on the current release, and nothing was changed.",
                "start it with `aloud up` or `aloud agent`; `aloud systemd --install` has the system start it",
            );
        }
        if error.error.kind() == io::ErrorKind::PermissionDenied {
            return Report::new(
                Exit::Critical,
                format!("this user may not ask the agent on `{}`", error.path.display()),
                "It is not known how the workers are, and nothing was changed.",
                "run this as the user whom the tree of releases belongs to",
            );
        }
        Report::new(Exit::Critical, error.to_string(), "It is not known how the workers are.", "see the agent's log")
    })
}

fn strange() -> Report {
    Report::new(
        Exit::Defect,
        "the agent answered something else than what it was asked",
        "It is not known how the workers are.",
        "see that the agent and this command are of one version",
    )
}

fn table(report: &AgentReport) -> Table {
    let mut table = Table::new(&["pool", "worker", "process", "release", "state", "since", "restarts"]);
    for worker in &report.workers {
        let WorkerReport { id, pool, pid, release, state, ready, since, restarts, current, .. } = worker;
        let by = ready.map(|ready| format!(" ({})", word(ready))).unwrap_or_default();
        let old = if *current { "" } else { " (not current)" };
        table.row(vec![
            pool.to_string(),
            id.clone(),
            pid.map(|pid| pid.to_string()).unwrap_or_default(),
            format!("{}{old}", release.as_deref().unwrap_or("-")),
            format!("{}{by}", state.word()),
            relative(*since, report.at),
            restarts.to_string(),
        ]);
    }
    table
}

const fn word(ready: aloud_client::v1::ReadyBy) -> &'static str {
    use aloud_client::v1::ReadyBy;
    match ready {
        ReadyBy::Spoke => "spoke to the queue",
        ReadyBy::Connected => "waits at the queue",
        ReadyBy::Notify => "said so",
        ReadyBy::Job => "did a job",
        ReadyBy::Alive => "unverified",
    }
}
