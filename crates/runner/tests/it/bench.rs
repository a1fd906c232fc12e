//! A queue with a runner on it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use job::time::SystemClock;
use job::{Attempt, Happened, JobRef, KindName, NewJob, Outcome, Payload, Phase, Policy, Rules, Span, Spec, State};
use queue::{Found, Guards, NoGuards, Pushed, Queue};
use runner::{Handler, Run, Runner, Secret};
use store::Store;
use store::memory::Memory;

/// How long anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const KIND: &str = "notice.send";

pub(crate) struct Bench {
    pub(crate) queue: Queue,
    pub(crate) runner: Option<Runner>,
}

impl Bench {
    /// A queue whose jobs of [`KIND`] are done so.
    pub(crate) fn new(run: Run) -> Self {
        Self::with(Handler::new(kind(), run))
    }

    pub(crate) fn with(handler: Handler) -> Self {
        Self::asking(handler, Arc::new(NoGuards))
    }

    pub(crate) fn asking(handler: Handler, guards: Arc<dyn Guards>) -> Self {
        Self::over(handler, guards, |store| store)
    }

    /// The same, with something between the queue and its store.
    pub(crate) fn over(
        handler: Handler,
        guards: Arc<dyn Guards>,
        between: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
    ) -> Self {
        let clock = Arc::new(SystemClock::resume(None));
        let rules = Rules { own_kinds: [handler.kind().clone()].into(), ..Rules::default() };
        let store = Memory::new("notice".parse().unwrap(), rules, &*clock);
        let queue = Queue::start(between(Arc::new(store)), clock, guards);
        let runner = Runner::start(queue.clone(), vec![handler]);
        Self { queue, runner: Some(runner) }
    }

    /// Pushes a job with this payload, due now, that is not tried again soon.
    pub(crate) async fn push(&self, payload: &str) -> JobRef {
        self.push_as(payload, |_| {}).await
    }

    pub(crate) async fn push_as(&self, payload: &str, change: impl FnOnce(&mut NewJob)) -> JobRef {
        let payload = Payload::new(payload.as_bytes()).unwrap();
        let mut spec = Spec::new("mail".parse().unwrap(), kind(), payload);
        spec.retry = Policy { max_attempts: 5, first: Span::from_secs(3_600), cap: Span::from_secs(3_600) };
        let mut job = NewJob::now(spec, self.queue.now());
        change(&mut job);
        match self.queue.push(vec![job]).await.unwrap()[..] {
            [Pushed::New { id, .. }] => JobRef::Id(id),
            ref other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn get(&self, id: &JobRef) -> Found {
        self.queue.get(id.clone()).await.unwrap().expect("the job was pushed")
    }

    /// The job once its first run, or first question, has ended.
    pub(crate) async fn ended(&self, id: &JobRef) -> Found {
        let mut last = None;
        let looked = until(async || {
            let found = self.get(id).await;
            let ended = found.phase != Phase::Running && !found.job.history.attempts().is_empty();
            last = Some(found.clone());
            ended.then_some(found)
        });
        match looked.await {
            Some(found) => found,
            None => panic!("no run ended: {last:?}"),
        }
    }

    pub(crate) async fn push_and_run(&self, payload: &str) -> Found {
        let id = self.push(payload).await;
        self.ended(&id).await
    }
}

pub(crate) fn kind() -> KindName {
    KIND.parse().unwrap()
}

pub(crate) fn secret() -> Secret {
    Secret::new(b"0123456789abcdef0123456789abcdef").unwrap()
}

/// Looks again and again, for as long as anything may take.
pub(crate) async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    within(async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, work).await.ok()
}

pub(crate) trait Ended {
    fn last(&self) -> &Attempt;
    /// The output of a run that ended the job as done.
    fn done(&self) -> Option<String>;
    /// Why the job was skipped.
    fn skipped(&self) -> Option<String>;
    /// The class and the message of a failure after which it waits.
    fn retrying(&self) -> (String, String);
    /// The same, after which it is dead.
    fn dead(&self) -> (String, String);
    /// Why it is run later, and how much later than the run ended.
    fn snoozed(&self) -> (String, Span);
    /// How much later than its last run ended it is due.
    fn wait(&self) -> Span;
}

impl Ended for Found {
    fn last(&self) -> &Attempt {
        self.job.history.attempts().last().expect("it ran")
    }

    fn done(&self) -> Option<String> {
        assert!(matches!(self.job.state, State::Ended { outcome: Outcome::Done, .. }), "{:#?}", self.job);
        match &self.last().happened {
            Happened::Done { output } => output.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn skipped(&self) -> Option<String> {
        match &self.job.state {
            State::Ended { outcome: Outcome::Skipped, detail, .. } => detail.clone(),
            _ => panic!("{:#?}", self.job),
        }
    }

    fn retrying(&self) -> (String, String) {
        assert_eq!(self.phase, Phase::Retrying, "{:#?}", self.job);
        assert_eq!(self.job.failures, 1, "it cost an attempt");
        failure(self)
    }

    fn dead(&self) -> (String, String) {
        assert_eq!(self.phase, Phase::Dead, "{:#?}", self.job);
        failure(self)
    }

    fn snoozed(&self) -> (String, Span) {
        assert_eq!(self.job.failures, 0, "it cost no attempt");
        assert_eq!(self.job.snoozes, 1);
        match &self.last().happened {
            Happened::Snoozed { why } => (why.clone().expect("it says why"), self.wait()),
            other => panic!("{other:?}"),
        }
    }

    fn wait(&self) -> Span {
        match self.job.state {
            State::Waiting { due, .. } => due.wall.since(self.last().ended),
            _ => panic!("{:#?}", self.job),
        }
    }
}

fn failure(found: &Found) -> (String, String) {
    match &found.last().happened {
        Happened::Failed { error } => (error.class.clone(), error.message.clone()),
        other => panic!("{other:?}"),
    }
}
