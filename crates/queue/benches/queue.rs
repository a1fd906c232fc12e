//! How fast the queue is in process: whole lives of jobs a second, the time from
//! a push to the start of an idle job, and how late jobs start that fall due
//! together. Prints one table per measure; asserts nothing.
//!
//! The memory store is the reference and looks through all jobs for every
//! answer, so its figures are those of few jobs, and an upper bound of what the
//! queue itself costs.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use job::time::SystemClock;
use job::{Clock, Ending, JobRef, Moment, NewJob, Now, Payload, Rules, Span, Spec};
use queue::{End, From, Leased, NoGuards, Queue, Wish};
use store::Store;
use store::memory::Memory;
use store::sqlite::{Options, Sqlite};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SERVES: &str = "the store of a benchmark serves";

/// A queue on some store, and how many jobs it can bear to be measured with.
struct Subject {
    name: &'static str,
    queue: Queue,
    clock: Arc<SystemClock>,
    jobs: usize,
    /// Where it keeps them, for as long as it is measured.
    _folder: Option<TempDir>,
}

#[tokio::main]
async fn main() {
    println!("{:<8} {:>10} {:>16}", "store", "in flight", "lives/s");
    for in_flight in [1, 64, 512] {
        for subject in subjects() {
            let lives = lives(&subject, in_flight).await;
            println!("{:<8} {in_flight:>10} {lives:>16.0}", subject.name);
            subject.queue.stop().await;
        }
    }
    println!("\n{:<8} {:>21} {:>16}", "store", "pushers and takers", "lives/s");
    for each in [8, 64] {
        for subject in subjects() {
            let lives = apart(&subject, each).await;
            println!("{:<8} {:>21} {lives:>16.0}", subject.name, format!("{each} + {each}"));
            subject.queue.stop().await;
        }
    }
    println!("\n{:<8} {:>28} {:>10}", "store", "idle, push to start: p50", "p99");
    for subject in subjects() {
        let [p50, p99] = percentiles(idle(&subject).await);
        println!("{:<8} {:>25} µs {:>7} µs", subject.name, p50.as_micros(), p99.as_micros());
        subject.queue.stop().await;
    }
    println!("\n{:<8} {:>10} {:>24} {:>10}", "store", "jobs", "due together, late: p50", "p99");
    for subject in subjects() {
        let late = due_together(&subject).await;
        let jobs = late.len();
        let [p50, p99] = percentiles(late);
        println!("{:<8} {jobs:>10} {:>21} ms {:>7} ms", subject.name, p50.as_millis(), p99.as_millis());
        subject.queue.stop().await;
    }
}

fn subjects() -> Vec<Subject> {
    let clock = Arc::new(SystemClock::resume(None));
    let memory = Memory::new("bench".parse().expect(SERVES), Rules::default(), &*clock);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room for a folder");
    let options = Options { create: true, ..Options::new(folder.path(), "bench".parse().expect(SERVES)) };
    let sqlite = Sqlite::open(options, clock.now().wall).expect(SERVES);
    vec![
        Subject::new("memory", Arc::new(memory), clock.clone(), 2_000),
        Subject { _folder: Some(folder), ..Subject::new("sqlite", Arc::new(sqlite), clock, 100_000) },
    ]
}

impl Subject {
    fn new(name: &'static str, store: Arc<dyn Store>, clock: Arc<SystemClock>, jobs: usize) -> Self {
        Self { name, queue: Queue::start(store, clock.clone(), Arc::new(NoGuards)), clock, jobs, _folder: None }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }
}

/// A job of 200 bytes that is due now.
fn job(now: Now) -> NewJob {
    let payload = Payload::new(vec![b'x'; 200]).expect("200 bytes fit");
    NewJob::now(Spec::new("mail".parse().expect(SERVES), "send".parse().expect(SERVES), payload), now)
}

fn wish() -> Wish {
    Wish {
        from: From::Queues(vec!["mail".parse().expect(SERVES)]),
        worker: "w".to_owned(),
        limit: 1,
        wait: Span::from_secs(60),
        lease_for: Span::from_secs(60),
    }
}

/// Takes one of those that are left, if any are.
fn one_of(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

async fn done(queue: &Queue, leased: Vec<Leased>) {
    let ends = leased.into_iter().map(|Leased { lease, job, .. }| End {
        id: JobRef::Id(job.id),
        lease,
        ending: Ending::done(),
    });
    queue.finish(ends.collect()).await.expect(SERVES);
}

/// Push, lease and end, by so many at once: lives a second.
async fn lives(subject: &Subject, in_flight: usize) -> f64 {
    let left = Arc::new(AtomicUsize::new(subject.jobs));
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for _ in 0..in_flight {
        let (queue, left) = (subject.queue.clone(), left.clone());
        tasks.spawn(async move {
            while one_of(&left) {
                queue.push(vec![job(queue.now())]).await.expect(SERVES);
                let leased = queue.lease(wish()).await.expect(SERVES);
                done(&queue, leased).await;
            }
        });
    }
    tasks.join_all().await;
    subject.jobs as f64 / start.elapsed().as_secs_f64()
}

/// Pushed by so many, and taken and ended by as many others, who mostly wait:
/// lives a second.
async fn apart(subject: &Subject, each: usize) -> f64 {
    let (to_push, to_take) = (Arc::new(AtomicUsize::new(subject.jobs)), Arc::new(AtomicUsize::new(subject.jobs)));
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for _ in 0..each {
        let (queue, left) = (subject.queue.clone(), to_take.clone());
        tasks.spawn(async move {
            while one_of(&left) {
                let leased = queue.lease(wish()).await.expect(SERVES);
                done(&queue, leased).await;
            }
        });
        let (queue, left) = (subject.queue.clone(), to_push.clone());
        tasks.spawn(async move {
            while one_of(&left) {
                queue.push(vec![job(queue.now())]).await.expect(SERVES);
            }
        });
    }
    tasks.join_all().await;
    subject.jobs as f64 / start.elapsed().as_secs_f64()
}

/// From the call of push to the job in the hands of one who waits, when nothing
/// else happens.
async fn idle(subject: &Subject) -> Vec<Duration> {
    let (to, mut started) = tokio::sync::mpsc::channel(1);
    let queue = subject.queue.clone();
    // Ends with the queue, which then hands it nothing.
    tokio::spawn(async move {
        while let Ok(leased) = queue.lease(wish()).await {
            let at = Instant::now();
            if leased.is_empty() {
                return;
            }
            done(&queue, leased).await;
            to.send(at).await.expect("the measure goes on");
        }
    });
    let mut latencies = Vec::new();
    for _ in 0..500 {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let pushed = Instant::now();
        subject.queue.push(vec![job(subject.now())]).await.expect(SERVES);
        latencies.push(started.recv().await.expect("the worker works") - pushed);
    }
    latencies
}

/// How late jobs start that fall due in the same moment, with 64 workers.
async fn due_together(subject: &Subject) -> Vec<Duration> {
    let due = Moment::after(subject.now(), Span::from_secs(2));
    let jobs = subject.jobs.min(10_000);
    for batch in vec![NewJob { due, ..job(subject.now()) }; jobs].chunks(500) {
        subject.queue.push(batch.to_vec()).await.expect(SERVES);
    }
    let left = Arc::new(AtomicUsize::new(jobs));
    let mut workers = JoinSet::new();
    for _ in 0..64 {
        let (queue, left) = (subject.queue.clone(), left.clone());
        workers.spawn(async move {
            let mut late = Vec::new();
            while one_of(&left) {
                let leased = queue.lease(wish()).await.expect(SERVES);
                late.push(due.overdue(queue.now()).as_duration());
                done(&queue, leased).await;
            }
            late
        });
    }
    workers.join_all().await.concat()
}

fn percentiles(mut all: Vec<Duration>) -> [Duration; 2] {
    all.sort_unstable();
    [50, 99].map(|percent| all[(all.len() * percent / 100).min(all.len() - 1)])
}
