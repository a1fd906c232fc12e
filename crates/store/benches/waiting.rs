//! What a waiting job costs beyond the disk, and how long a start takes with a
//! million of them.
//!
//! `cargo bench -p aloud-store --bench waiting` prints both. Heap is what Rust
//! allocates; SQLite's own cache has a fixed size and is not in it. `WAITING`
//! sets how many jobs there are.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench is a program that prints, and fails loudly")]

use std::alloc::System;
use std::path::Path;

use job::time::ManualClock;
use job::{Clock, Moment, NewJob, Now, Payload, Rules, Span, Spec, Timestamp};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use store::jobs::{Jobs, Pushed};
use store::records::Records;
use store::sqlite::{Options, Sqlite};
use tempfile::TempDir;
use tokio::time::Instant;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How much is allocated now.
fn heap() -> f64 {
    let stats = HEAP.stats();
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}

/// How many starts there are; the quickest counts, since whatever else the
/// machine does only ever makes it slower.
const STARTS: usize = 5;

type Dress = fn(&mut NewJob, u64, Now);

const SORTS: [(&str, f64, Dress); 6] = [
    ("due", 40.0, |_, _, _| {}),
    ("due, by the wall clock", 40.0, |new, _, now| new.due = Moment::at(now.wall, now)),
    ("scheduled", 40.0, |new, n, now| new.due = Moment::after(now, Span::from_secs(3_600 + (n % 9_973) as u32))),
    ("due, with a key", 80.0, |new, n, _| new.spec.key = Some(format!("notice:{n}").parse().unwrap())),
    ("due, with a client id", 80.0, |new, n, _| new.client_id = Some(format!("notice-{n}").parse().unwrap())),
    ("scheduled, with a key", 80.0, |new, n, now| {
        new.due = Moment::after(now, Span::from_secs(3_600 + (n % 9_973) as u32));
        new.spec.key = Some(format!("notice:{n}").parse().unwrap());
    }),
];

fn main() {
    let waiting = std::env::var("WAITING").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    println!(
        "| {waiting} jobs that are | heap bytes each | worst on the way | must | after a start | start, warm, s | must |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (sort, must, dress) in SORTS {
        let folder = TempDir::new().unwrap();
        let clock = ManualClock::at(Timestamp(1_800_000_000_000_000));
        let before = heap();
        let (each, worst) = runtime.block_on(fill(folder.path(), &clock, waiting, dress, before));
        let (mut took, mut again) = (f64::MAX, 0.0);
        for _ in 0..STARTS {
            let began = Instant::now();
            let store = open(folder.path(), &clock);
            took = took.min(began.elapsed().as_secs_f64());
            again = (heap() - before) / waiting as f64;
            runtime.block_on(async {
                assert_eq!(store.ledger().await.unwrap().waiting, waiting);
                store.close().await.unwrap();
            });
        }
        println!(
            "| {sort} | {each:.1} | {worst:.1} | {must} | {again:.1} | {took:.2} | {} |",
            0.5 * waiting as f64 / 1e6
        );
    }
}

fn open(folder: &Path, clock: &ManualClock) -> Sqlite {
    let app = "bench".parse().unwrap();
    let options = Options { create: true, rules: Rules::default(), ..Options::new(folder, app) };
    Sqlite::open(options, clock.now().wall).unwrap()
}

/// Pushes the jobs and closes the store. Answers what each costs at the end, and
/// what it cost at worst on the way, once there were some.
async fn fill(folder: &Path, clock: &ManualClock, waiting: u64, dress: Dress, before: f64) -> (f64, f64) {
    let store = open(folder, clock);
    let payload = Payload::new(vec![b'x'; 200]).unwrap();
    let spec = Spec::new("default".parse().unwrap(), "notice.send".parse().unwrap(), payload);
    let (mut worst, mut pushed) = (0.0_f64, 0);
    while pushed < waiting {
        let now = clock.now();
        let jobs = (pushed..waiting.min(pushed + 1_000)).map(|n| {
            let mut new = NewJob::now(spec.clone(), now);
            dress(&mut new, n, now);
            new
        });
        let answers = store.push(jobs.collect(), now).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Pushed::New { .. })));
        pushed += answers.len() as u64;
        drop(answers);
        if pushed >= 100_000 {
            worst = worst.max((heap() - before) / pushed as f64);
        }
    }
    let each = (heap() - before) / waiting as f64;
    store.close().await.unwrap();
    (each, worst)
}
