//! Everything at once, in real time and on several threads: each job is handed
//! out once, all are finished, and the ledger adds up.
//!
//! Those who work wait for ever and never ask twice, so that a single lost
//! wake-up would leave jobs lying. Others come by, lose patience at any moment,
//! and must neither keep a job nor take one along.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use job::time::SystemClock;
use job::{Answer, ClientId, Clock, Ending, Guard, JobId, Moment, NewJob, Outcome, Rules, Span, Spec};
use queue::{BoxFuture, Error, Guards, Leased, Pushed, Queue, Wish};
use store::Store;
use store::faults::{Busy, Faulty, LostAnswer};
use store::memory::Memory;
use store::sqlite::{Options, Sqlite};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{end, kind, name, one};

const QUEUES: [&str; 4] = ["mail", "maps", "bills", "news"];
const WORKERS: usize = 200;
const PUSHERS: usize = 40;
const PASSERS_BY: usize = 40;
/// Each pusher pushes so many, and each passer-by asks so often.
const EACH: usize = 5;

struct Storm {
    queue: Queue,
    clock: Arc<SystemClock>,
    draw: AtomicU32,
    /// How often each job was received.
    seen: Mutex<HashMap<JobId, usize>>,
    ended: watch::Sender<usize>,
}

/// Guards that say yes, most of them at once.
struct Yes(AtomicU32);

impl Guards for Yes {
    fn ask(&self, _job: job::Job) -> BoxFuture<'static, Answer> {
        let nth = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if nth.is_multiple_of(10) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Answer::Yes
        })
    }

    fn patience(&self) -> Span {
        Span::from_millis(100)
    }
}

/// Repeats a call until it is known that it happened, as every client does.
async fn until_known<T, F: Future<Output = Result<T, Error>>>(mut call: impl FnMut() -> F) -> T {
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(Error::Busy(_) | Error::Lost(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Storm {
    fn draw(&self) -> u32 {
        self.draw.fetch_add(1, Ordering::Relaxed).wrapping_mul(2_654_435_769) >> 16
    }

    async fn push(&self, round: usize, pusher: usize) {
        for nth in 0..EACH {
            let queue = QUEUES[self.draw() as usize % QUEUES.len()];
            let guard = self.draw().is_multiple_of(4).then(|| Guard::Exec("wanted".into()));
            let after = Span::from_millis(if self.draw().is_multiple_of(3) { self.draw() % 100 } else { 0 });
            let spec = Spec { guard, ..Spec::new(name(queue), kind("send"), job::Payload::default()) };
            let job = NewJob {
                client_id: Some(ClientId::choose(&format!("{round}-{pusher}-{nth}")).unwrap()),
                due: Moment::after(self.clock.now(), after),
                ..NewJob::now(spec, self.clock.now())
            };
            let pushed = until_known(|| self.queue.push(vec![job.clone()])).await;
            assert!(matches!(pushed[0], Pushed::New { .. } | Pushed::Known { .. }), "{pushed:?}");
        }
    }

    fn wish(&self) -> Wish {
        let queues: Vec<_> = (0..1 + self.draw() % 3).map(|_| QUEUES[self.draw() as usize % QUEUES.len()]).collect();
        Wish { limit: 1 + self.draw() as usize % 5, lease_for: Span::from_millis(2_000), ..one(&queues) }
    }

    async fn take(&self, nth: usize) {
        // Some are always there for every queue.
        let wish = if nth.is_multiple_of(4) { one(&QUEUES) } else { self.wish() };
        let wish = Wish { lease_for: Span::from_millis(2_000), ..wish };
        loop {
            match self.queue.lease(wish.clone()).await {
                Ok(leased) => self.work(leased).await,
                Err(Error::Busy(_) | Error::Lost(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(Error::Closing) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn come_by(&self) {
        for _ in 0..EACH {
            let mut wish = self.wish();
            if self.draw().is_multiple_of(3) {
                wish.wait = Span::ZERO;
            }
            let patience = Duration::from_micros(u64::from(self.draw() % 3_000));
            if let Ok(Ok(leased)) = tokio::time::timeout(patience, self.queue.lease(wish)).await {
                self.work(leased).await;
            }
        }
    }

    async fn work(&self, leased: Vec<Leased>) {
        for leased in leased {
            *self.seen.lock().unwrap().entry(leased.job.id).or_default() += 1;
            tokio::task::yield_now().await;
            until_known(|| self.queue.finish(vec![end(&leased, Ending::done())])).await;
            self.ended.send_modify(|ended| *ended += 1);
        }
    }
}

fn memory(clock: &SystemClock) -> Arc<Memory> {
    Arc::new(Memory::new("notice".parse().unwrap(), Rules::default(), clock))
}

async fn storm(rounds: usize, store: impl FnOnce(&SystemClock) -> Arc<dyn Store>) {
    let clock = Arc::new(SystemClock::resume(None));
    let queue = Queue::start(store(&clock), clock.clone(), Arc::new(Yes(AtomicU32::new(0))));
    let ended = watch::Sender::new(0);
    let storm = Arc::new(Storm { queue, clock, draw: AtomicU32::new(1), seen: Mutex::default(), ended });
    let mut workers = JoinSet::new();
    for nth in 0..WORKERS {
        let storm = storm.clone();
        workers.spawn(async move { storm.take(nth).await });
    }
    let mut jobs = 0;
    for round in 0..rounds {
        let mut others = JoinSet::new();
        for pusher in 0..PUSHERS {
            let storm = storm.clone();
            others.spawn(async move { storm.push(round, pusher).await });
        }
        for _ in 0..PASSERS_BY {
            let storm = storm.clone();
            others.spawn(async move { storm.come_by().await });
        }
        others.join_all().await;
        jobs += PUSHERS * EACH;
        let mut ended = storm.ended.subscribe();
        let all = tokio::time::timeout(Duration::from_secs(60), ended.wait_for(|ended| *ended == jobs)).await;
        if all.is_err() {
            panic!("jobs lie and nobody comes: {:?} {:?}", storm.queue.ledger().await, storm.queue.queues().await);
        }
    }
    let recount = until_known(|| storm.queue.recount()).await;
    assert!(recount.agrees(), "{recount:?}");
    assert_eq!((recount.ledger.pushed, recount.ledger.ended_as(Outcome::Done)), (jobs as u64, jobs as u64));
    storm.queue.stop().await;
    workers.join_all().await;
    let seen = storm.seen.lock().unwrap();
    assert_eq!(seen.len(), jobs);
    assert_eq!(seen.values().max(), Some(&1), "each was handed out once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_storm_each_job_is_handed_out_once_and_finished() {
    storm(10, |clock| memory(clock)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_storm_the_embedded_store_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let options = Options { create: true, ..Options::new(folder.path(), "notice".parse().unwrap()) };
    storm(5, |clock| Arc::new(Sqlite::open(options, clock.now().wall).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_storm_a_busy_store_loses_and_doubles_nothing() {
    storm(10, |clock| Arc::new(Faulty::new(Busy::every(7), memory(clock)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_storm_lost_answers_lose_and_double_nothing() {
    // Few rounds: where an answer is lost, a lease or a question has to run out.
    storm(2, |clock| Arc::new(Faulty::new(LostAnswer::every(23), memory(clock)))).await;
}
