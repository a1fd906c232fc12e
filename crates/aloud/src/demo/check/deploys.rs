//! The steps about releases: deploys under load, a release that cannot start,
//! and another tool that knows nothing of aloud.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use aloud_client::v1::{AgentReport, WorkerState};
use job::{Span, Timestamp, Verdict};
use tokio::time::{Instant, sleep};

use super::Broken;
use super::eyes::{AT_ONCE, Eyes, now};
use super::load::Stream;
use crate::demo::operator::{Ended, Operator};
use crate::demo::site::Sort;

/// How many deploys there are under load.
pub(super) const DEPLOYS: u32 = 7;
/// The longest time in which no mail may arrive while they go on.
const GAP: Span = Span::from_secs(1);
/// How soon workers must follow what another tool did.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);
/// How often the host is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Deploys again and again while mails go out.
pub(super) async fn seven(operator: &Operator, eyes: &Eyes) -> Result<(String, Stream), Broken> {
    let first = operator.site().version();
    let deploys = async {
        let mut ended = Vec::new();
        for _ in 0..DEPLOYS {
            let began = Instant::now();
            let done = operator.deploy(Sort::Sound).await.map_err(|report| report.happened)?;
            let version = operator.site().version();
            if done.ended != Ended::Well {
                return Err(format!("the deploy of version {version} ended so: {}\n{}", done.ended, done.said));
            }
            ended.push((version, now(), began.elapsed()));
        }
        Ok(ended)
    };
    let (ended, stream) = Stream::during(eyes, "deploys", deploys).await?;
    let ended = ended?;
    let arrived = stream.arrived(eyes).await?;
    let (wanted, seen) = ((first..=first + DEPLOYS).collect::<Vec<_>>(), arrived.versions());
    if seen != wanted {
        return Err(format!("the mails should be of the versions {wanted:?} in turn, and are of {seen:?}"));
    }
    for (version, at, _) in &ended {
        let late = arrived.letters.iter().find(|one| Timestamp(one.arrived) > *at && one.version < Some(*version));
        if let Some(letter) = late {
            let by = letter.release.as_deref().unwrap_or("?");
            return Err(format!(
                "when the deploy of version {version} had ended, release {by} sent a mail to {}",
                letter.to
            ));
        }
    }
    let gap = arrived.longest_gap();
    if gap > GAP {
        return Err(format!("no mail arrived for {gap}, and {GAP} is the most"));
    }
    let longest = ended.iter().map(|(_, _, took)| *took).max().unwrap_or_default();
    let (count, rate) = (stream.asked.len(), stream.rate());
    let told = format!(
        "{count} mails, {rate:.0} a second, of the versions {first} to {}; never more than {:.2} s between two; \
         a deploy took {:.1} s at most",
        first + DEPLOYS,
        gap.as_secs_f64(),
        longest.as_secs_f64(),
    );
    Ok((told, stream))
}

/// Deploys a release that cannot start.
pub(super) async fn refused(operator: &Operator, eyes: &Eyes) -> Result<(String, Stream), Broken> {
    let before = operator.tree().leads_to();
    let workers = working(operator).await?;
    let done = operator.deploy(Sort::Broken).await.map_err(|report| report.happened)?;
    let why = done.said.lines().map(str::trim).find(|line| line.starts_with("worker: ")).map(str::to_owned);
    let (Ended::With(1), Some(why)) = (done.ended, why) else {
        return Err(format!(
            "it should be refused with what its worker said, and ended so: {}\n{}",
            done.ended, done.said
        ));
    };
    let after = operator.tree().leads_to();
    if after != before {
        return Err(format!("`current` led to {before:?}, and leads to {after:?}"));
    }
    if working(operator).await? != workers {
        return Err("the workers were touched".to_owned());
    }
    let ((), stream) = Stream::during(eyes, "refused", async {}).await?;
    let by: BTreeSet<_> = stream.arrived(eyes).await?.letters.into_iter().map(|letter| letter.release).collect();
    if by != BTreeSet::from([before.clone()]) {
        return Err(format!("mails should come from release {before:?}, and come from {by:?}"));
    }
    Ok((format!("its output is shown: {why}\nrelease {} sends on", before.unwrap_or_default()), stream))
}

/// Has another tool switch, and delete the release that the workers are in.
pub(super) async fn followed(operator: &Operator, eyes: &Eyes) -> Result<(String, Stream), Broken> {
    let old = operator.tree().leads_to().unwrap_or_default();
    let workers = working(operator).await?;
    let acted = async {
        operator.switch_and_delete().await.map_err(|report| report.happened)?;
        let new = operator.tree().leads_to().unwrap_or_default();
        let took = until_all_run(operator, &new).await?;
        Ok::<_, Broken>((new, took))
    };
    let (acted, stream) = Stream::during(eyes, "followed", acted).await?;
    let (new, took) = acted?;
    if took > FOLLOWED_WITHIN {
        return Err(format!("the workers ran release {new} after {took:?}, and {FOLLOWED_WITHIN:?} is the most"));
    }
    if !working(operator).await?.is_disjoint(&workers) {
        return Err(format!("a worker of release {old}, which is gone, still works"));
    }
    let last = stream.arrived(eyes).await?.letters.pop().and_then(|letter| letter.release);
    if last.as_ref() != Some(&new) {
        return Err(format!("the last mail should be from release {new}, and is from {last:?}"));
    }
    let count = workers.len();
    let took = took.as_secs_f64();
    Ok((format!("{count} workers left release {old}, which was gone, and ran {new} {took:.1} s later"), stream))
}

/// The processes that work.
pub(super) async fn working(operator: &Operator) -> Result<BTreeSet<u32>, Broken> {
    let report = operator.report().await?;
    Ok(report
        .workers
        .iter()
        .filter(|worker| worker.state == WorkerState::Ready)
        .filter_map(|worker| worker.pid)
        .collect())
}

/// Waits until every worker runs a release and all is well; says how long that
/// took.
async fn until_all_run(operator: &Operator, release: &str) -> Result<Duration, Broken> {
    let began = Instant::now();
    loop {
        let report = operator.report().await?;
        if is_well_on(&report, release) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > AT_ONCE {
            let seen = serde_json::to_string(&report).unwrap_or_else(|error| error.to_string());
            return Err(format!("the workers do not all run release {release}: {seen}"));
        }
        sleep(LOOK).await;
    }
}

fn is_well_on(report: &AgentReport, release: &str) -> bool {
    let on = |worker: &aloud_client::v1::WorkerReport| worker.release.as_deref() == Some(release);
    let mut living = report.workers.iter().filter(|worker| worker.state != WorkerState::Ended).peekable();
    report.verdict == Verdict::Ok && living.peek().is_some() && living.all(on)
}

/// Waits until processes are gone.
pub(super) async fn until_gone(pids: &BTreeSet<u32>) -> Result<(), Broken> {
    let deadline = Instant::now() + AT_ONCE;
    while pids.iter().any(|pid| lives(*pid)) {
        if Instant::now() > deadline {
            return Err(format!("of the processes {pids:?} not all have ended"));
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Whether a process runs; one that only waits to be reaped does not.
fn lives(pid: u32) -> bool {
    let Some(number) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    let reaped = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    rustix::process::test_kill_process(number).is_ok() && !reaped
}
