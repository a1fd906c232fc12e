//! `aloud jobs`: lists and searches jobs, page by page.

use std::io::{self, IsTerminal, Write};

use aloud_client::v1::{JobList, JobQuery, JobView};
use job::Timestamp;

use crate::age::relative;
use crate::args::jobs::{JobsArgs, JsonList};
use crate::exit::Exit;
use crate::remote;
use crate::report::Report;
use crate::settings::Found;
use crate::table::Table;

/// Runs the command.
pub(crate) fn run(args: JobsArgs, found: Found) -> Result<Exit, Report> {
    let api = remote::connect(found, &args.reach)?;
    let (json, all) = (args.json, args.all);
    let mut query = query(args);
    let mut printer = Printer::new(json);
    remote::talk(async {
        loop {
            let page = api.jobs(&query).await?;
            printer.page(&page)?;
            match page.next {
                Some(next) if all => query.after = Some(next),
                next => return printer.end(next.as_deref(), page.searched, page.of),
            }
        }
    })?;
    Ok(Exit::Ok)
}

fn query(args: JobsArgs) -> JobQuery {
    JobQuery {
        state: args.state,
        outcome: args.outcome,
        queue: args.queue,
        kind: args.kind,
        key: args.key,
        after: args.after,
        limit: if args.all { JobQuery::MAX_LIMIT } else { args.limit },
    }
}

/// Writes pages as they come.
struct Printer {
    json: Option<JsonList>,
    table: Table,
    printed: u64,
}

impl Printer {
    fn new(json: Option<JsonList>) -> Self {
        let table = Table::new(&["id", "state", "queue", "kind", "key", "when", "attempt"]);
        Self { json, table, printed: 0 }
    }

    fn page(&mut self, page: &JobList) -> Result<(), Report> {
        let now = remote::now().wall;
        for job in &page.jobs {
            match self.json {
                Some(JsonList::Lines) => remote::print_json(job)?,
                Some(JsonList::Array) => {
                    let text = serde_json::to_string(job).map_err(io::Error::other)?;
                    let before = if self.printed == 0 { "[" } else { ",\n" };
                    write!(io::stdout().lock(), "{before}{text}")?;
                }
                None => self.table.row(row(job, now)),
            }
            self.printed += 1;
        }
        Ok(())
    }

    fn end(&self, next: Option<&str>, searched: u64, of: u64) -> Result<(), Report> {
        match self.json {
            Some(JsonList::Lines) => {}
            Some(JsonList::Array) if self.printed == 0 => writeln!(io::stdout(), "[]")?,
            Some(JsonList::Array) => writeln!(io::stdout(), "]")?,
            None if self.printed == 0 && io::stdout().is_terminal() => {}
            None => self.table.print()?,
        }
        let mut stderr = io::stderr();
        match next {
            Some(next) => writeln!(stderr, "searched {searched} of {of} jobs; go on with --after {next}")?,
            None if self.printed == 0 => writeln!(stderr, "no job fits")?,
            None => {}
        }
        Ok(())
    }
}

fn row(job: &JobView, now: Timestamp) -> Vec<String> {
    let when = match (job.due, job.leased_until, job.since) {
        (Some(due), _, _) => format!("due {}", relative(due, now)),
        (None, Some(until), _) => format!("leased, ends {}", relative(until, now)),
        (None, None, Some(since)) => relative(since, now),
        (None, None, None) => String::new(),
    };
    vec![
        job.id.clone(),
        state(job).to_owned(),
        job.queue.to_string(),
        job.kind.to_string(),
        job.key.as_ref().map(ToString::to_string).unwrap_or_default(),
        when,
        job.attempt.to_string(),
    ]
}

/// Where a job stands, in one word: its outcome, once it has one.
pub(crate) fn state(job: &JobView) -> &'static str {
    job.outcome.map_or_else(|| job.state.as_str(), |outcome| outcome.as_str())
}
