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
    let usual = renew.as_duration();
    let mut sure = Instant::now() + length.as_duration();
    let mut next = usual;
    loop {
        sleep(next).await;
        let asked = Instant::now();
        next = match shared.jobs.extend(task.id.clone(), *lease, length).await {
            Ok(Ok(())) => {
                sure = asked + length.as_duration();
                usual
            }
            Ok(Err(Stale(why))) => return why,
            // Somebody else may have the job by now.
            Err(Error::Cut(why)) if Instant::now() >= sure => {
                return format!("its lease could not be renewed before it ran out: {why}");
            }
            Err(Error::Cut(why)) => {
                tracing::warn!(job = %task.id, why, "the lease could not be renewed yet");
                (usual / 4).min(sure - Instant::now())
            }
            // Nobody else gets the job meanwhile.
            Err(error @ (Error::Busy(_) | Error::Closing)) => {
                tracing::warn!(job = %task.id, %error, "the lease could not be renewed");
                usual
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use job::time::SystemClock;
    use job::{JobRef, KindName, Lease, NewJob, Now, Outcome, Payload, Phase, Rules, Spec, State};
    use queue::{BoxFuture, Found, NoGuards, Pushed, Queue};
    use store::memory::Memory;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;
    use crate::exec::{Command, ExecHandler};
    use crate::jobs::{Jobs, Wish};
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
        ended(folder.path()).await;
    }

    /// Returns once the process has ended whose number is in `first`.
    async fn ended(folder: &Path) {
        let mut written = None;
        for _ in 0..3_000 {
            written = std::fs::read_to_string(folder.join("first")).ok().filter(|text| text.ends_with('\n'));
            if written.is_some() {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        let pid = written.expect("the process started");
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        for _ in 0..3_000 {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if rustix::process::test_kill_process(pid).is_err() || state.contains(") Z ") {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the process lives on");
    }

    /// Hands out one job, and then says of every renewal the same.
    struct Far {
        job: Mutex<Option<Taken>>,
        says: Error,
        asked: AtomicUsize,
        ends: mpsc::UnboundedSender<End>,
    }

    impl Jobs for Arc<Far> {
        fn take(&self, _wish: Wish) -> BoxFuture<'_, Result<Vec<Taken>, Error>> {
            let job = self.job.lock().unwrap().take();
            Box::pin(async move {
                match job {
                    Some(job) => Ok(vec![job]),
                    None => std::future::pending().await,
                }
            })
        }

        fn extend(&self, _: JobRef, _: Lease, _: Span) -> BoxFuture<'_, Result<Result<(), Stale>, Error>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Err(self.says.clone()) })
        }

        fn finish(&self, ends: Vec<End>) -> BoxFuture<'_, Result<Vec<Result<(), Stale>>, Error>> {
            let told = ends.iter().map(|_| Ok(())).collect();
            ends.into_iter().for_each(|end| self.ends.send(end).unwrap());
            Box::pin(async { Ok(told) })
        }

        fn store_id(&self) -> String {
            "far".to_owned()
        }

        fn now(&self) -> Now {
            Now::default()
        }
    }

    /// A runner that runs this script, while every renewal is answered so.
    fn run_far(folder: &Path, script: &str, says: Error) -> (Runner, Arc<Far>, mpsc::UnboundedReceiver<End>) {
        std::fs::write(folder.join("job.sh"), script).unwrap();
        let kind: KindName = "a.b".parse().unwrap();
        let task = Task {
            id: "j17".parse().unwrap(),
            kind: kind.clone(),
            queue: "q".parse().unwrap(),
            key: None,
            attempt: 1,
            payload: Payload::default(),
        };
        let (ends, heard) = mpsc::unbounded_channel();
        let job = Mutex::new(Some(Taken { lease: Lease(7), task }));
        let far = Arc::new(Far { job, says, asked: AtomicUsize::new(0), ends });
        let command = Command::new(vec!["/bin/sh".into(), "job.sh".into()], folder).unwrap();
        let handler = Handler::new(kind, Run::Exec(ExecHandler { command }));
        (Runner::start_at(QUICK, Arc::new(Arc::clone(&far)), vec![handler]), far, heard)
    }

    #[tokio::test]
    async fn a_run_whose_lease_ran_out_at_a_distance_is_dropped_and_its_process_ended() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo $$ > first; while :; do sleep 0.1; done";
        let (runner, far, mut heard) = run_far(folder.path(), script, Error::Cut("no route".into()));
        ended(folder.path()).await;
        assert!(far.asked.load(Ordering::SeqCst) >= 3, "it was tried again before that");
        runner.stop().await;
        assert_eq!(heard.try_recv().ok(), None, "there is nothing to tell of it");
    }

    #[tokio::test]
    async fn a_run_goes_on_while_nobody_gets_a_lease() {
        let folder = tempfile::tempdir().unwrap();
        let (_runner, far, mut heard) = run_far(folder.path(), "sleep 2; echo done", Error::Busy("full".into()));
        let end = timeout(Duration::from_secs(30), heard.recv()).await.unwrap().unwrap();
        assert_eq!((end.id.to_string().as_str(), end.lease), ("j17", Lease(7)));
        assert_eq!(end.ending, Ending::Done { output: Some("done".to_owned()) });
        assert!(far.asked.load(Ordering::SeqCst) >= 3);
    }

    #[test]
    fn a_panic_is_a_failure_that_says_whose_defect_it_is() {
        let panic: Box<dyn std::any::Any + Send> = Box::new("index out of bounds".to_owned());
        let Ending::Failed { error, again: Again::ByPolicy } = panicked(&*panic) else { panic!("it failed") };
        assert_eq!(error.class, "aloud.panic");
        assert!(error.message.ends_with("that is a defect: index out of bounds"), "{}", error.message);
    }
}
