//! How many jobs live in a second: pushed, claimed and acknowledged, in process,
//! on the embedded store, with a payload of 200 bytes and history kept.
//!
//! A push and an acknowledgement are answered when they are on the disk; a claim
//! when it is committed. `cargo bench -p aloud-store --bench life` prints the
//! best of several rounds, since whatever else the machine does only ever makes
//! it slower, and the worst; `LIFE_ROUNDS` and `LIFE_SECONDS` set how many and
//! how long, and `LIFE_IN_FLIGHT` picks one row.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench is a program that prints, and fails loudly")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use job::time::SystemClock;
use job::{Clock, Ending, Jitter, JobRef, LeaseSeed, NewJob, Payload, QueueName, Span, Spec};
use store::jobs::{Claim, Finish, From, Jobs};
use store::records::Records;
use store::sqlite::{Durability, Options, Sqlite};
use tempfile::TempDir;
use tokio::time::Instant;

const GOALS: [(usize, Option<u64>); 4] = [(1, None), (8, None), (64, Some(40_000)), (512, Some(150_000))];

fn main() {
    let setting = |name, usual| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (rounds, seconds) = (setting("LIFE_ROUNDS", 5), setting("LIFE_SECONDS", 2));
    println!("| in flight | life cycles/s, best | worst | goal | CPU µs per job | p50 / p99 of a push, ms |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    let only = setting("LIFE_IN_FLIGHT", 0);
    for (in_flight, goal) in GOALS.into_iter().filter(|(in_flight, _)| only == 0 || *in_flight as u64 == only) {
        let mut all: Vec<Round> =
            (0..rounds).map(|_| round(in_flight, Duration::from_secs(seconds), Durability::Full)).collect();
        all.sort_unstable_by_key(|round| round.per_second);
        let (best, worst) = (all.last().unwrap(), all.first().unwrap());
        let goal = goal.map_or_else(|| "–".to_owned(), |goal| goal.to_string());
        println!(
            "| {in_flight} | {} | {} | {goal} | {:.1} | {:.2} / {:.2} |",
            best.per_second, worst.per_second, best.cpu, best.p50, best.p99
        );
    }
}

struct Round {
    per_second: u64,
    /// Microseconds of this process, per job.
    cpu: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
}

fn round(in_flight: usize, long: Duration, durability: Durability) -> Round {
    let folder = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::env::var("LIFE_WORKERS").ok().and_then(|w| w.parse().ok()).unwrap_or(2))
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = Arc::new(SystemClock::resume(None));
        let app = "bench".parse().unwrap();
        let options = Options { create: true, durability, ..Options::new(folder.path(), app) };
        let store = Arc::new(Sqlite::open(options, clock.now().wall).unwrap());
        let lived = Arc::new(AtomicU64::new(0));
        let (began, cpu) = (Instant::now(), cpu());
        let until = began + long;
        let tasks: Vec<_> = (0..in_flight as u64)
            .map(|seed| tokio::spawn(live(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&lived), seed, until)))
            .collect();
        let mut pushes = Vec::new();
        for task in tasks {
            pushes.extend(task.await.unwrap());
        }
        let took = began.elapsed();
        let cpu = cpu_since(cpu);
        let lived = lived.load(Ordering::Relaxed);
        let recount = store.recount().await.unwrap();
        assert!(recount.agrees(), "{recount:?}");
        assert_eq!(recount.ended_kept, lived, "every job that was counted has ended");
        store.close().await.unwrap();
        pushes.sort_unstable();
        let at = |share: f64| pushes[(pushes.len() as f64 * share) as usize].as_secs_f64() * 1_000.0;
        Round {
            per_second: (lived as f64 / took.as_secs_f64()) as u64,
            cpu: cpu * 1_000_000.0 / lived as f64,
            p50: at(0.5),
            p99: at(0.99),
        }
    })
}

/// One job after the other, from push to end. Answers how long the pushes took.
async fn live(
    store: Arc<Sqlite>,
    clock: Arc<SystemClock>,
    lived: Arc<AtomicU64>,
    seed: u64,
    until: Instant,
) -> Vec<Duration> {
    let queue: QueueName = "default".parse().unwrap();
    let payload = Payload::new(vec![b'x'; 200]).unwrap();
    let spec = Spec::new(queue.clone(), "notice.send".parse().unwrap(), payload);
    let mut pushes = Vec::new();
    for n in 0.. {
        if Instant::now() >= until {
            break;
        }
        let pushed = Instant::now();
        let now = clock.now();
        store.push(vec![NewJob::now(spec.clone(), now)], now).await.unwrap();
        pushes.push(pushed.elapsed());
        let claim = Claim {
            from: From::Queues(vec![queue.clone()]),
            limit: 1,
            worker: "worker-1".to_owned(),
            lease_for: Span::from_secs(60),
            seed: LeaseSeed(seed << 32 | n),
        };
        let claimed = store.claim(claim, clock.now()).await.unwrap();
        let leased = claimed.jobs.into_iter().next().expect("there are as many jobs as takers");
        let id = JobRef::Id(leased.job.id);
        let end = Finish { id, lease: leased.lease, ending: Ending::done(), jitter: Jitter::ZERO };
        let ends = store.finish(vec![end], clock.now()).await.unwrap();
        assert!(ends[0].is_ok());
        lived.fetch_add(1, Ordering::Relaxed);
    }
    pushes
}

/// How many clock ticks this process has used.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// How many seconds since; the kernel counts a hundred ticks in each.
fn cpu_since(before: u64) -> f64 {
    (cpu() - before) as f64 / 100.0
}
