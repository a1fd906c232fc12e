//! `aloud demo --story`: six deploys, five releases kept, twice at once: under a
//! master that resolved its path when it started, and under aloud.
//!
//! Both sides get the same releases, the same mails at the same time and the
//! same queue server; only what keeps their workers running differs. Nothing is
//! told that was not seen: which release works is read in the mails.

mod left;
mod mails;
mod told;

use std::time::Duration;

use job::Span;
use tokio::time::sleep;

use crate::demo::args::DemoArgs;
use crate::demo::check::now;
use crate::demo::mailbox::Letter;
use crate::demo::operator::Ended;
use crate::demo::ports::Ports;
use crate::demo::site::Sort;
use crate::demo::stage::{Plan, Stage};
use crate::exit::Exit;
use crate::report::Report;
use crate::signals::Signals;
use left::Left;
use mails::{Asking, DELAY, Since, Sums, Window};
use told::{Told, tell};

/// How many deploys there are, the first included.
const DEPLOYS: u32 = 6;
/// How many releases are kept, as `aloud.toml` says, too.
const KEEP: usize = 5;
/// For how long the mails that fall due after a deploy are counted.
const COUNTED_FOR: Span = Span::from_secs(2);
/// How late a mail may be that is counted as having come in time.
const IN_TIME: Span = Span::from_secs(2);

/// Runs the story.
pub(crate) async fn run(args: &DemoArgs, end: &mut Signals) -> Result<Exit, Report> {
    if args.data.as_deref().is_some_and(|data| data.join("notice.db").exists()) {
        return Err(Report::usage(
            "the folder holds an earlier demo, and the story begins with the first release",
            "name a folder that is not there yet with --data, or leave it out",
        ));
    }
    tokio::select! {
        exit = play(args) => exit,
        // What was started ends with what holds it.
        _ = end.asked() => Err(Report::new(
            Exit::No,
            "the story was asked to end before it was told",
            "Its processes were killed.",
            "",
        )),
    }
}

async fn play(args: &DemoArgs) -> Result<Exit, Report> {
    tell(&told::introduction(DEPLOYS, KEEP))?;
    let plan = Plan { data: args.data.clone(), delay: Span::from_secs(3), ports: Ports::decide(args) };
    let stage = Stage::start(plan).await?;
    let played = both(&stage).await;
    let log = stage.aloud_log();
    match played {
        Ok(otherwise) if otherwise.is_empty() => {
            stage.stop().await?;
            Ok(Exit::Ok)
        }
        Ok(otherwise) => {
            let (path, _) = stage.stop_and_keep().await;
            Err(Report::new(
                Exit::No,
                format!("the story went otherwise: {}", otherwise.join("; ")),
                format!("Everything was stopped. aloud's log ends like this:\n{}", crate::demo::child::tail(&log)),
                format!("look into `{}`, where everything was kept", path.display()),
            ))
        }
        Err(report) => {
            let (_, stopped) = stage.stop_and_keep().await;
            stopped.and(Err(report))
        }
    }
}

/// Plays both sides; what went otherwise than it should is in the answer.
async fn both(stage: &Stage) -> Result<Vec<String>, Report> {
    let mut left = Left::start(stage, stage.operator.site().path()).await?;
    let asking = Asking::begin(stage.client()?)?;
    let mut otherwise = Vec::new();
    let mut currents = Vec::new();
    for deploy in 1..=DEPLOYS {
        if deploy > 1 {
            let deployed = stage.operator.deploy(Sort::Sound).await?;
            if deployed.ended != Ended::Well {
                otherwise.push(format!("aloud's deploy {deploy} ended so: {}\n{}", deployed.ended, deployed.said));
            }
            left.deploy(stage.operator.site().path(), KEEP)?;
        }
        let since = now();
        currents.push(Since { at: since, version: deploy });
        sleep((DELAY + COUNTED_FOR + IN_TIME).as_duration()).await;
        let letters = letters(stage);
        let (from, to) = (since + DELAY, since + DELAY + COUNTED_FOR);
        let lists = asking.asked()?;
        let sides = Told {
            deploy,
            pruned: left.pruned(),
            left: Window::of(&lists.left, &letters, from, to),
            left_status: left.status(),
            left_said: left.last_word(),
            right: Window::of(&lists.right, &letters, from, to),
            right_status: status(stage).await,
        };
        tell(&sides.text())?;
        otherwise.extend(sides.otherwise(DEPLOYS));
    }
    let lists = asking.end().await?;
    sleep((DELAY + IN_TIME).as_duration() + Duration::from_millis(200)).await;
    let letters = letters(stage);
    let (on_the_left, on_the_right) =
        (Sums::of(&lists.left, &letters, &currents, IN_TIME), Sums::of(&lists.right, &letters, &currents, IN_TIME));
    tell(&told::sums(&on_the_left, &on_the_right, otherwise.is_empty()))?;
    if !on_the_right.is_whole() {
        otherwise.push(format!(
            "aloud's side did not send each mail once, in time and by the current release: {on_the_right:?}"
        ));
    }
    left.stop().await?;
    Ok(otherwise)
}

fn letters(stage: &Stage) -> Vec<Letter> {
    stage.mails.mails().iter().map(|mail| Letter::of(mail)).collect()
}

/// What aloud says of the host.
async fn status(stage: &Stage) -> String {
    match stage.operator.report().await {
        Ok(report) => {
            let workers = report.observations.iter().find(|one| matches!(one.subject, job::Subject::Workers { .. }));
            format!("{}, {}", report.verdict, workers.map_or("it says nothing of workers", |one| &one.what))
        }
        Err(why) => format!("unknown, {why}"),
    }
}
