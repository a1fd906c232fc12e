//! One run of one job, from its lease to its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use job::{Again, Ending, JobError, Span};
use tokio::time::{Instant, sleep};

use crate::handler::{Handler, Run};
use crate::jobs::{End, Error, Stale, Taken};
use crate::patience::Patience;
use crate::runner::{Pace, Shared};
use crate::task::Task;

/// How much later a job is run again that was cut because aloud stopped.
pub(crate) const AFTER_A_CUT: Span = Span::from_secs(1);

/// Runs a job, keeps its lease while it runs, and says how it ended.
///
/// A job that is found to be somebody else's by now is dropped where it stands.
pub(crate) async fn run(shared: Arc<Shared>, handler: Arc<Handler>, taken: Taken) {
    let Taken { lease, task } = &taken;
    let patience = Patience::new(handler.timeout(), shared.cut.clone());
    let ending = tokio::select! {
        biased;
        done = AssertUnwindSafe(work(&shared, &handler, task, &patience)).catch_unwind() => {
            done.unwrap_or_else(|panic| panicked(&*panic))
        }
        why = keep(&shared, &taken) => {
            tracing::warn!(job = %task.id, why, "the job is not ours any more; its run was dropped");
            return;
        }
    };
    shared.finisher.finish(End { id: task.id.clone(), lease: *lease, ending }).await;
}

async fn work(shared: &Shared, handler: &Handler, task: &Task, patience: &Patience) -> Ending {
    match handler.run() {
        Run::Http(http) => http.run(task, &*shared.jobs, patience).await,
        Run::Exec(exec) => exec.run(task, patience).await,
        Run::Mail(mail) => mail.run(task, &*shared.jobs, patience).await,
    }
}

/// Renews the lease for as long as it is polled; returns if it was lost, and
/// says why.
async fn keep(shared: &Shared, Taken { lease, task }: &Taken) -> String {
    let Pace { lease: length, renew } = shared.pace;
    let soon = renew.as_duration() / 10;
    let mut sure = Instant::now() + length.as_duration();
    let mut next = renew.as_duration();
    loop {
        sleep(next).await;
        let asked = Instant::now();
        next = match shared.jobs.extend(task.id.clone(), *lease, length).await {
            Ok(Ok(())) => {
                sure = asked + length.as_duration();
                renew.as_duration()
            }
            Ok(Err(Stale(why))) => return why,
            Err(Error::Cut(why)) if Instant::now() >= sure => {
                return format!("its lease could not be renewed before it ran out: {why}");
            }
            Err(error @ (Error::Busy(_) | Error::Cut(_) | Error::Closing)) => {
                tracing::warn!(job = %task.id, %error, "the lease could not be renewed yet");
                soon
            }
        };
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Ending {
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let message = format!("aloud itself failed while it ran this job; that is a defect: {said}");
    Ending::Failed { error: JobError::new("aloud.panic", message), again: Again::ByPolicy }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use job::time::SystemClock;
    use job::{JobRef, KindName, NewJob, Outcome, Payload, Phase, Rules, Spec, State};
    use queue::{Found, NoGuards, Pushed, Queue};
    use store::memory::Memory;

    use super::*;
    use crate::exec::{Command, ExecHandler};
    use crate::runner::{Pace, Runner};

    const QUICK: Pace = Pace { lease: Span::from_secs(1), renew: Span::from_millis(300) };
    const NEVER: Pace = Pace { lease: Span::from_secs(1), renew: Span::from_millis(1_500) };

    /// Runs this script as a job at this pace, to its end.
    async fn play(pace: Pace, folder: &Path, script: &str) -> Found {
        std::fs::write(folder.join("job.sh"), script).unwrap();
        let kind: KindName = "a.b".parse().unwrap();
        let clock = Arc::new(SystemClock::resume(None));
        let rules = Rules { own_kinds: [kind.clone()].into(), ..Rules::default() };
        let store = Memory::new("test".parse().unwrap(), rules, &*clock);
        let queue = Queue::start(Arc::new(store), clock, Arc::new(NoGuards));
        let command = Command::new(vec!["/bin/sh".into(), "job.sh".into()], folder).unwrap();
        let run = Run::Exec(ExecHandler { command });
        let handler = Handler::new(kind.clone(), run).with_concurrency(1).unwrap();
        let _runner = Runner::start_at(pace, Arc::new(queue.clone()), vec![handler]);
        let spec = Spec::new("q".parse().unwrap(), kind, Payload::default());
        let pushed = queue.push(vec![NewJob::now(spec, queue.now())]).await.unwrap();
        let [Pushed::New { id, .. }] = pushed[..] else { panic!("{pushed:?}") };
        for _ in 0..3_000 {
            let found = queue.get(JobRef::Id(id)).await.unwrap().unwrap();
            if found.phase == Phase::Ended {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not end");
    }

    #[tokio::test]
    async fn a_lease_is_renewed_for_as_long_as_the_job_runs() {
        let folder = tempfile::tempdir().unwrap();
        let found = play(QUICK, folder.path(), "sleep 2.5; echo done").await;
        assert!(matches!(found.job.state, State::Ended { outcome: Outcome::Done, .. }));
        assert_eq!((found.job.attempt, found.job.rescues), (1, 0));
    }

    #[tokio::test]
    async fn a_job_that_is_no_longer_ours_is_dropped_and_its_process_ended() {
        let folder = tempfile::tempdir().unwrap();
        let script = "[ $ALOUD_ATTEMPT = 2 ] && exit; echo $$ > first; while :; do sleep 0.1; done";
        let found = play(NEVER, folder.path(), script).await;
        assert_eq!((found.job.attempt, found.job.rescues), (2, 1));
        let pid = std::fs::read_to_string(folder.path().join("first")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        for _ in 0..3_000 {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if rustix::process::test_kill_process(pid).is_err() || state.contains(") Z ") {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the first process lives on");
    }

    #[test]
    fn a_panic_is_a_failure_that_says_whose_defect_it_is() {
        let panic: Box<dyn std::any::Any + Send> = Box::new("index out of bounds".to_owned());
        let Ending::Failed { error, again: Again::ByPolicy } = panicked(&*panic) else { panic!("it failed") };
        assert_eq!(error.class, "aloud.panic");
        assert!(error.message.ends_with("that is a defect: index out of bounds"), "{}", error.message);
    }
}
