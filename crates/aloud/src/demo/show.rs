//! The demo for a person: it runs until it is told to end, and starts again
//! what was killed.

use std::io::{self, Write};

use job::Span;
use tokio::time::{Duration, Instant};

use crate::demo::args::DemoArgs;
use crate::demo::banner::Banner;
use crate::demo::child::{Child, tail};
use crate::demo::ports::Ports;
use crate::demo::stage::{Plan, Relay, Stage};
use crate::exit::Exit;
use crate::report::Report;
use crate::signals::Signals;

/// How long a mail waits if nothing else is said.
const DELAY: Span = Span::from_secs(10);
/// What ends sooner than this after its start may not be able to work at all.
const TOO_SOON: Duration = Duration::from_secs(1);
/// How often in a row that may be.
const TOO_OFTEN: u32 = 3;

/// Runs until it is asked to end.
pub(crate) async fn run(args: &DemoArgs, end: &mut Signals) -> Result<Exit, Report> {
    let began = Instant::now();
    let delay = args.delay.unwrap_or(DELAY);
    let plan = Plan { data: args.data.clone(), delay, ports: Ports::decide(args) };
    let mut stage = tokio::select! {
        stage = Stage::start(plan) => stage?,
        _ = end.asked() => return Ok(Exit::Ok), // what was started ends with what holds it
    };
    let config = stage.config();
    say(&Banner::of(&stage, &config, delay, began.elapsed()).text())?;
    let watched = watch(&mut stage, end).await;
    tokio::select! {
        stopped = stage.stop() => watched.and(stopped)?,
        _ = end.asked() => return Err(Report::new(
            Exit::No,
            "the demo was asked a second time to end, and did so at once",
            "Its processes were killed.",
            "",
        )),
    }
    Ok(Exit::Ok)
}

/// Starts again what ends, until the demo is asked to end.
async fn watch(stage: &mut Stage, end: &mut Signals) -> Result<(), Report> {
    let mut hasty = 0;
    loop {
        let (Some(aloud), Some(notice)) = (&mut stage.aloud, &mut stage.notice) else { return Ok(()) };
        let (who, how, lived) = tokio::select! {
            _ = end.asked() => return Ok(()),
            how = aloud.ended() => (Who::Aloud, how, aloud.since.elapsed()),
            how = notice.ended() => (Who::Notice, how, notice.since.elapsed()),
        };
        hasty = if lived < TOO_SOON { hasty + 1 } else { 0 };
        let (name, log) = match who {
            Who::Aloud => ("aloud", stage.aloud_log()),
            Who::Notice => ("the application", stage.notice_log()),
        };
        if hasty == TOO_OFTEN {
            let means = format!("It ends each time it is started. It last said:\n{}", tail(&log));
            return Err(Report::new(Exit::No, format!("{name} ended ({how})"), means, ""));
        }
        let child = match who {
            Who::Aloud => {
                stage.start_aloud().await?;
                &stage.aloud
            }
            Who::Notice => {
                stage.start_notice(Relay::On).await?;
                &stage.notice
            }
        };
        let pid = child.as_ref().map_or(0, Child::pid);
        say(&format!("  {name} ended ({how}), and was started again; now it is process {pid}\n"))?;
    }
}

#[derive(Clone, Copy)]
enum Who {
    Aloud,
    Notice,
}

fn say(text: &str) -> Result<(), Report> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}
