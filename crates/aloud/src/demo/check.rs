//! `aloud demo --check`: everything that the demo promises, tried without a
//! person.
//!
//! Each step waits for what must come and says what came instead. That no mail
//! was sent is looked at when its job has ended and its time is over, and once
//! more at the very end, when every mail must have arrived exactly once.

mod deploys;
mod eyes;
mod load;
mod steps;
mod tale;

use job::Span;

use crate::demo::args::DemoArgs;
use crate::demo::child::tail;
use crate::demo::ports::Ports;
use crate::demo::stage::{Plan, Stage};
use crate::exit::Exit;
use crate::report::Report;
use crate::signals::Signals;
use eyes::Eyes;
pub(crate) use eyes::now;
use tale::Tale;

/// How long a mail waits if nothing else is said.
const DELAY: Span = Span::from_secs(3);
/// The shortest wait with which a step can act before a mail goes out.
const SHORTEST: Span = Span::from_secs(1);
/// The longest that still makes it a check.
const LONGEST: Span = Span::from_secs(15);

/// Why a step did not hold: what was expected, and what came.
type Broken = String;

/// Runs the check.
pub(crate) async fn run(args: &DemoArgs, end: &mut Signals) -> Result<Exit, Report> {
    let delay = args.delay.unwrap_or(DELAY);
    if !(SHORTEST..=LONGEST).contains(&delay) {
        return Err(Report::usage(
            format!("with --check, --delay must lie between {SHORTEST} and {LONGEST}, and is {delay}"),
            "leave --delay out",
        ));
    }
    if args.data.as_deref().is_some_and(|data| data.join("notice.db").exists()) {
        return Err(Report::usage(
            "the folder holds an earlier demo, whose mails and jobs would be counted, too",
            "name a folder that is not there yet with --data, or leave it out",
        ));
    }
    tokio::select! {
        exit = check(args, delay) => exit,
        // What was started ends with what holds it.
        _ = end.asked() => Err(Report::new(
            Exit::No,
            "the check was asked to end before it was done",
            "Its processes were killed. What it had not tried is not known to hold.",
            "",
        )),
    }
}

async fn check(args: &DemoArgs, delay: Span) -> Result<Exit, Report> {
    let mut tale = Tale::begin();
    let plan = Plan { data: args.data.clone(), delay, ports: Ports::decide(args) };
    let mut stage = Stage::start(plan).await?;
    tale.tell("everything is started", &format!("in {}", stage.path().display()))?;
    let held = match Eyes::open(&stage, delay) {
        Ok(eyes) => steps::all(&mut stage, &eyes, &mut tale).await,
        Err(report) => Err(report),
    };
    if held.is_ok() && tale.all_held() {
        stage.stop().await?;
        tale.tell("everything ended when it was asked to", "nothing is left behind")?;
        tale.conclude()?;
        return Ok(Exit::Ok);
    }
    let logs = [stage.aloud_log(), stage.notice_log()].map(|log| format!("{}:\n{}", log.display(), tail(&log)));
    let (path, stopped) = stage.stop_and_keep().await;
    held?;
    let stopped = stopped.map_or_else(
        |report| format!("{} when everything was stopped", report.happened),
        |()| "Everything was stopped".to_owned(),
    );
    Err(Report::new(
        Exit::No,
        format!("the check found that {} did not hold", tale.broken()),
        format!("{stopped}. The logs end like this:\n{}", logs.join("\n")),
        format!("look into `{}`, where everything was kept", path.display()),
    ))
}
