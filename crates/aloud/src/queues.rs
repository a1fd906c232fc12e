//! `aloud queues`: lists queues, holds one, lets it go on.

use std::io::{self, Write};

use aloud_client::v1::{PauseQueue, PauseView, QueueView};
use job::{Pause, Timestamp};

use crate::age::relative;
use crate::args::{ListQueuesArgs, PauseArgs, QueuesArgs, QueuesCommand, ResumeArgs};
use crate::exit::Exit;
use crate::remote;
use crate::report::Report;
use crate::settings::Found;
use crate::table::Table;

/// Runs the command.
pub(crate) fn run(args: QueuesArgs, found: Found) -> Result<Exit, Report> {
    match args.what {
        None => list(args.list, found),
        Some(QueuesCommand::List(args)) => list(args, found),
        Some(QueuesCommand::Pause(args)) => pause(args, found),
        Some(QueuesCommand::Resume(args)) => resume(args, found),
    }
}

fn list(args: ListQueuesArgs, found: Found) -> Result<Exit, Report> {
    let api = remote::connect(found, &args.reach)?;
    let queues = remote::talk(async { Ok(api.queues().await?.queues) })?;
    if args.json {
        remote::print_json(&queues)?;
        return Ok(Exit::Ok);
    }
    if queues.is_empty() {
        writeln!(io::stderr(), "no job was ever pushed, so there is no queue yet")?;
        return Ok(Exit::Ok);
    }
    table(&queues, remote::now().wall).print()?;
    Ok(Exit::Ok)
}

fn table(queues: &[QueueView], now: Timestamp) -> Table {
    let mut table = Table::new(&["queue", "ready", "oldest due", "scheduled", "running", "retrying", "dead", "paused"]);
    for queue in queues {
        table.row(vec![
            queue.name.to_string(),
            queue.ready.to_string(),
            queue.oldest_due.map_or_else(String::new, |due| relative(due, now)),
            queue.scheduled.to_string(),
            queue.running.to_string(),
            queue.retrying.to_string(),
            queue.dead.to_string(),
            queue.paused.as_ref().map_or_else(String::new, |pause| held(pause, now)),
        ]);
    }
    table
}

/// Who holds a queue, until when, and why.
pub(crate) fn held(pause: &PauseView, now: Timestamp) -> String {
    let until = match pause.until {
        Some(until) => format!("ends {}", relative(until, now)),
        None => "until somebody resumes it".to_owned(),
    };
    format!("by {}, {until}: {}", pause.by, pause.reason)
}

fn pause(args: PauseArgs, found: Found) -> Result<Exit, Report> {
    let wish = PauseQueue {
        by: args.by.unwrap_or_else(|| crate::who::user(Pause::MAX_BY_BYTES)),
        reason: args.reason,
        for_: args.for_,
    };
    let api = remote::connect(found, &args.reach)?;
    let pause = remote::talk(async { Ok(api.pause(&args.queue, &wish).await?) })?;
    if args.json {
        remote::print_json(&pause)?;
    } else {
        writeln!(io::stdout(), "{} is held {}", args.queue, held(&pause, remote::now().wall))?;
    }
    Ok(Exit::Ok)
}

fn resume(args: ResumeArgs, found: Found) -> Result<Exit, Report> {
    let api = remote::connect(found, &args.reach)?;
    let was = remote::talk(async { Ok(api.resume(&args.queue).await?) })?;
    if args.json {
        remote::print_json(&was)?;
        return Ok(Exit::Ok);
    }
    let queue = &args.queue;
    match was {
        Some(pause) => writeln!(io::stdout(), "{queue} goes on; it was held by {}: {}", pause.by, pause.reason)?,
        None => writeln!(io::stdout(), "{queue} was not held")?,
    }
    Ok(Exit::Ok)
}
