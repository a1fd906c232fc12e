//! What the tests have in common: a clock that goes with tokio's, a store whose
//! answers can be held back, and quick ways to say things.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use job::time::Remembered;
use job::{
    Answer, Clock, Ending, Guard, JobId, JobRef, KindName, Lease, Ledger, Moment, NewJob, Now, Outcome, Pause, Payload,
    QueueName, Rules, Span, Spec, Timestamp,
};
use queue::{BoxFuture, End, Error, Guards, Leased, NoGuards, Queue, Settled, Wish};
use store::faults::{Fault, Faulty, Verb};
use store::jobs::{
    Advanced, AskId, Cancel, Cancelled, Claim, Claimed, Discarded, Finish, Found, From, Jobs, Page, Pushed, Question,
    QueueState, Recount, Revived, Search, Stale,
};
use store::memory::Memory;
use store::records::{Health, Identity, Records};
use store::{Bell, Error as StoreError, Reply, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Both clocks go on with tokio's, which tests pause; the wall clock can be set.
pub(crate) struct TestClock {
    start: Instant,
    base: i64,
    set: AtomicI64,
}

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        let base = "2026-12-01T09:00:00Z".parse::<Timestamp>().unwrap().0;
        Arc::new(Self { start: Instant::now(), base, set: AtomicI64::new(0) })
    }

    /// Somebody sets the wall clock, by so many seconds forward or back.
    pub(crate) fn step(&self, secs: i64) {
        self.set.fetch_add(secs * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let gone = i64::try_from(self.start.elapsed().as_micros()).unwrap();
        Now { wall: Timestamp(self.base + gone + self.set.load(Ordering::SeqCst)), mono: job::Mono(1 + gone) }
    }
}

/// A queue on the memory store.
pub(crate) struct Bench {
    pub(crate) queue: Queue,
    pub(crate) clock: Arc<TestClock>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Rules::default(), NoGuards, |memory| memory)
    }

    pub(crate) fn guarded(guards: impl Guards) -> Self {
        Self::with(Rules::default(), guards, |memory| memory)
    }

    /// The store within `around`, so that calls can be watched or made to fail.
    pub(crate) fn with<S: Store>(
        rules: Rules,
        guards: impl Guards,
        around: impl FnOnce(Arc<Memory>) -> Arc<S>,
    ) -> Self {
        let clock = TestClock::new();
        let memory = Arc::new(Memory::new("notice".parse().unwrap(), rules, &*clock));
        let queue = Queue::start(around(memory), clock.clone(), Arc::new(guards));
        Self { queue, clock }
    }

    /// Claims can be counted, and their answers held back.
    pub(crate) fn gated() -> (Self, Arc<Gate>) {
        let mut gate = None;
        let bench = Self::with(Rules::default(), NoGuards, |memory| {
            let made = Gate::around(memory);
            gate = Some(made.clone());
            made
        });
        (bench, gate.unwrap())
    }

    /// Calls go wrong as `instead` says, without being made.
    pub(crate) fn failing(instead: impl Fn(Verb) -> Option<StoreError> + Send + Sync + 'static) -> Self {
        Self::with(Rules::default(), NoGuards, |memory| Arc::new(Faulty::new(Instead(instead), memory)))
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Pushes one job that is due now.
    pub(crate) async fn push(&self, queue: &str) -> JobId {
        self.push_job(NewJob::now(spec(queue), self.now())).await
    }

    pub(crate) async fn push_in(&self, queue: &str, after: Span) -> JobId {
        self.push_job(NewJob { due: Moment::after(self.now(), after), ..NewJob::now(spec(queue), self.now()) }).await
    }

    pub(crate) async fn push_guarded(&self, queue: &str, guard: &str) -> JobId {
        self.push_job(NewJob::now(Spec { guard: Some(Guard::Exec(guard.into())), ..spec(queue) }, self.now())).await
    }

    pub(crate) async fn push_job(&self, job: NewJob) -> JobId {
        id_of(&self.queue.push(vec![job]).await.unwrap()[0])
    }

    /// Waits for jobs in a task of its own; it is parked once the others had
    /// their turn.
    pub(crate) async fn park(&self, wish: Wish) -> tokio::task::JoinHandle<Result<Vec<Leased>, Error>> {
        let queue = self.queue.clone();
        let task = tokio::spawn(async move { queue.lease(wish).await });
        settle().await;
        assert!(!task.is_finished(), "there was nothing to wait for");
        task
    }

    pub(crate) async fn done(&self, leased: &Leased) {
        let ended = self.queue.finish(vec![end(leased, Ending::done())]).await.unwrap();
        assert_eq!(ended, [Ok(Settled::Ended(Outcome::Done))]);
    }

    pub(crate) async fn found(&self, id: JobId) -> Found {
        self.queue.get(JobRef::Id(id)).await.unwrap().unwrap()
    }

    /// Waits until a job ended.
    pub(crate) async fn ended(&self, id: JobId) -> Outcome {
        loop {
            if let job::State::Ended { outcome, .. } = self.found(id).await.job.state {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) async fn assert_counts(&self) -> Ledger {
        let recount = self.queue.recount().await.unwrap();
        assert!(recount.agrees(), "{recount:?}");
        recount.ledger
    }
}

/// Lets everything happen that needs no time: as much as the clock stands still.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn name(queue: &str) -> QueueName {
    queue.parse().unwrap()
}

pub(crate) fn kind(kind: &str) -> KindName {
    kind.parse().unwrap()
}

pub(crate) fn spec(queue: &str) -> Spec {
    Spec::new(name(queue), kind("send"), Payload::default())
}

pub(crate) fn id_of(pushed: &Pushed) -> JobId {
    match pushed {
        Pushed::New { id, .. } | Pushed::Kept { id, .. } | Pushed::Rejected { id, .. } | Pushed::Known { id, .. } => {
            *id
        }
    }
}

pub(crate) fn secs(secs: u32) -> Span {
    Span::from_secs(secs)
}

/// One job from these queues, within an hour.
pub(crate) fn one(queues: &[&str]) -> Wish {
    Wish {
        from: From::Queues(queues.iter().map(|queue| name(queue)).collect()),
        worker: "w".into(),
        limit: 1,
        wait: secs(3_600),
        lease_for: secs(60),
    }
}

/// One job from these queues, at once or not at all.
pub(crate) fn at_once(queues: &[&str]) -> Wish {
    Wish { wait: Span::ZERO, ..one(queues) }
}

pub(crate) fn end(leased: &Leased, ending: Ending) -> End {
    End { id: JobRef::Id(leased.job.id), lease: leased.lease, ending }
}

pub(crate) fn ids(leased: &[Leased]) -> Vec<JobId> {
    leased.iter().map(|leased| leased.job.id).collect()
}

/// Guards that ask the test: every question comes out of the receiver.
pub(crate) struct AskMe {
    to: mpsc::UnboundedSender<Asked>,
    patience: Span,
}

/// A question to the test.
pub(crate) struct Asked {
    pub(crate) job: job::Job,
    answer: oneshot::Sender<Answer>,
}

impl Asked {
    pub(crate) fn answer(self, answer: Answer) {
        self.answer.send(answer).ok();
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }
}

pub(crate) fn ask_me(patience: Span) -> (AskMe, mpsc::UnboundedReceiver<Asked>) {
    let (to, questions) = mpsc::unbounded_channel();
    (AskMe { to, patience }, questions)
}

/// The next question; waits no longer than a day for it.
pub(crate) async fn next(questions: &mut mpsc::UnboundedReceiver<Asked>) -> Asked {
    let question = tokio::time::timeout(Duration::from_secs(86_400), questions.recv());
    question.await.expect("a guard is asked").unwrap()
}

impl Guards for AskMe {
    fn ask(&self, job: job::Job) -> BoxFuture<'static, Answer> {
        let (answer, answered) = oneshot::channel();
        self.to.send(Asked { job, answer }).ok();
        Box::pin(async move {
            match answered.await {
                Ok(answer) => answer,
                // Dropped without an answer: it hangs.
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn patience(&self) -> Span {
        self.patience
    }
}

/// Guards that are a function.
pub(crate) struct AskFn<F>(pub(crate) F);

impl<F: Fn(job::Job) -> Answer + Send + Sync + 'static> Guards for AskFn<F> {
    fn ask(&self, job: job::Job) -> BoxFuture<'static, Answer> {
        let answer = (self.0)(job);
        Box::pin(std::future::ready(answer))
    }

    fn patience(&self) -> Span {
        secs(10)
    }
}

/// What is answered instead of a call.
pub(crate) struct Instead<F>(pub(crate) F);

impl<F: Fn(Verb) -> Option<StoreError> + Send + Sync + 'static> Fault for Instead<F> {
    fn instead(&self, verb: Verb) -> Option<StoreError> {
        (self.0)(verb)
    }

    fn afterwards(&self, _verb: Verb) -> Option<StoreError> {
        None
    }
}

/// The first `times` calls are answered busy.
pub(crate) fn busy(verb: Verb, times: u64) -> impl Fn(Verb) -> Option<StoreError> + Send + Sync + 'static {
    let left = AtomicU64::new(times);
    move |called| {
        let hit = called == verb && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        hit.then(|| StoreError::Busy("it was told to be".into()))
    }
}

/// A store whose claims are counted, and answered only when the test lets them
/// be.
pub(crate) struct Gate {
    store: Arc<Memory>,
    claims: AtomicU64,
    held: tokio::sync::watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn around(store: Arc<Memory>) -> Arc<Self> {
        Arc::new(Self { store, claims: AtomicU64::new(0), held: tokio::sync::watch::Sender::new(false) })
    }

    /// The store within.
    pub(crate) fn inner(&self) -> &Memory {
        &self.store
    }

    /// How many claims were made.
    pub(crate) fn claims(&self) -> u64 {
        self.claims.load(Ordering::SeqCst)
    }

    /// From now on claims are made, and not answered.
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Answers are given again, those that were held back included.
    pub(crate) fn release(&self) {
        self.held.send_replace(false);
    }
}

impl Jobs for Gate {
    fn claim(&self, claim: Claim, now: Now) -> Reply<Claimed> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        let reply = self.store.claim(claim, now);
        if !*self.held.borrow() {
            return reply;
        }
        let (to, late) = Reply::coming();
        let mut held = self.held.subscribe();
        tokio::spawn(async move {
            held.wait_for(|held| !held).await.unwrap();
            to.send(reply.await).ok();
        });
        late
    }

    fn bell(&self) -> Arc<Bell> {
        self.store.bell()
    }
    fn push(&self, jobs: Vec<NewJob>, now: Now) -> Reply<Vec<Pushed>> {
        self.store.push(jobs, now)
    }
    fn extend(&self, id: JobRef, lease: Lease, for_: Span, now: Now) -> Reply<Result<Timestamp, Stale>> {
        self.store.extend(id, lease, for_, now)
    }
    fn finish(&self, ends: Vec<Finish>, now: Now) -> Reply<Vec<Result<Settled, Stale>>> {
        self.store.finish(ends, now)
    }
    fn cancel(&self, what: Cancel, by: String, now: Now) -> Reply<Cancelled> {
        self.store.cancel(what, by, now)
    }
    fn discard(&self, id: JobRef, by: String, now: Now) -> Reply<Discarded> {
        self.store.discard(id, by, now)
    }
    fn revive(&self, id: JobRef, now: Now) -> Reply<Revived> {
        self.store.revive(id, now)
    }
    fn ask(&self, from: From, limit: usize, give_up: Span, now: Now) -> Reply<Vec<Question>> {
        self.store.ask(from, limit, give_up, now)
    }
    fn answer(&self, id: JobId, ask: AskId, answer: Answer, now: Now) -> Reply<Result<(), Stale>> {
        self.store.answer(id, ask, answer, now)
    }
    fn advance(&self, limit: usize, now: Now) -> Reply<Advanced> {
        self.store.advance(limit, now)
    }
    fn retain(&self, limit: usize, now: Now) -> Reply<usize> {
        self.store.retain(limit, now)
    }
    fn get(&self, id: JobRef, now: Now) -> Reply<Option<Found>> {
        self.store.get(id, now)
    }
    fn search(&self, search: Search, now: Now) -> Reply<Page> {
        self.store.search(search, now)
    }
    fn queues(&self, now: Now) -> Reply<Vec<QueueState>> {
        self.store.queues(now)
    }
    fn ledger(&self) -> Reply<Ledger> {
        self.store.ledger()
    }
    fn recount(&self) -> Reply<Recount> {
        self.store.recount()
    }
}

impl Records for Gate {
    fn identity(&self) -> Identity {
        self.store.identity()
    }
    fn health(&self) -> Health {
        self.store.health()
    }
    fn pause(&self, queue: QueueName, pause: Pause, now: Now) -> Reply<()> {
        self.store.pause(queue, pause, now)
    }
    fn resume(&self, queue: QueueName, now: Now) -> Reply<Option<Pause>> {
        self.store.resume(queue, now)
    }
    fn pauses(&self) -> Reply<BTreeMap<QueueName, Pause>> {
        self.store.pauses()
    }
    fn remember(&self, clocks: Remembered) -> Reply<()> {
        self.store.remember(clocks)
    }
    fn close(&self) -> Reply<()> {
        self.store.close()
    }
}
