//! SIGKILL at random moments under load: whatever was answered is so.
//!
//! Several tasks push, lease, finish and cancel without a pause. The server is
//! killed again and again: while it serves, while it starts, while it stops. A
//! [`book::Book`] keeps what was answered; what contradicts it is noted as it
//! happens, and the rest is looked at in the end. Without `ALOUD_TEST_SEED`
//! every run is another; the seed is printed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aloud_client::Api;
use aloud_client::v1::{JobQuery, JobView};
use job::Timestamp;
use rustix::process::Signal;
use store::sqlite::{Options, Sqlite};
use store::{Jobs, Records};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::scratch::{Scratch, Server};
use book::Book;
use chance::Chance;

mod book;
mod chance;
mod load;

/// How often the server is killed.
const ROUNDS: u32 = 36;

#[test]
fn whatever_was_answered_is_so_after_any_kill() {
    let seed = std::env::var("ALOUD_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(chance::seed);
    println!("ALOUD_TEST_SEED={seed}");
    let scratch = Scratch::new();
    let book = Arc::new(Mutex::new(Book::default()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let kept = runtime.block_on(async {
        let mut chance = Chance::new(seed);
        scratch.server().stop();
        let (at, server) = watch::channel(None);
        let load = load::start(&mut chance, &book, &server);
        let mut longest = Duration::ZERO;
        for round in 0..ROUNDS {
            longest = longest.max(round_of(round, &scratch, &mut chance, &at).await);
        }
        println!("longest start: {longest:?}");

        let server = started(&scratch, &at);
        load.stop().await;
        let api = server.api();
        let kept = all(&api).await;
        let status = api.status().await.unwrap();
        assert!(status.serving && status.ledger.adds_up, "{status:?}");
        assert_eq!(status.ledger.pushed, kept.len() as u64, "nothing is old enough to have been removed");
        server.stop();
        kept
    });
    let mut book = book.lock().unwrap();
    println!("{}", book.summary());
    book.compare(&kept);
    assert_eq!(book.wrong_so_far(), Vec::<String>::new(), "ALOUD_TEST_SEED={seed}");
    runtime.block_on(recount(&scratch));
}

/// Starts the server, lets it serve for a while, and kills it; or kills it
/// while it starts, or while it stops. Answers how long the start took.
async fn round_of(round: u32, scratch: &Scratch, chance: &mut Chance, at: &watch::Sender<Option<Api>>) -> Duration {
    let began = Instant::now();
    if round % 6 == 5 {
        let mut child = scratch.aloud(&["server", "--data", "data", "--http", "127.0.0.1:0"]).spawn().unwrap();
        sleep(Duration::from_micros(chance.below(60_000))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        return Duration::ZERO;
    }
    let server = started(scratch, at);
    let took = began.elapsed();
    let status = server.api().status().await.unwrap();
    assert!(status.serving && status.ledger.adds_up, "round {round}: {status:?}");
    sleep(Duration::from_micros(50_000 + chance.below(1_100_000))).await;
    if round % 6 == 4 {
        server.signal(Signal::TERM);
        sleep(Duration::from_micros(chance.below(20_000))).await;
    }
    server.kill();
    at.send_replace(None);
    took
}

fn started(scratch: &Scratch, at: &watch::Sender<Option<Api>>) -> Server {
    // Never with --init: a store that is gone must not be replaced by an empty one.
    let server = scratch.start(&["server", "--data", "data", "--http", "127.0.0.1:0"]);
    at.send_replace(Some(server.api()));
    server
}

/// Every job that is kept.
async fn all(api: &Api) -> Vec<JobView> {
    let mut query = JobQuery { limit: JobQuery::MAX_LIMIT, ..JobQuery::default() };
    let mut jobs = Vec::new();
    loop {
        let page = api.jobs(&query).await.unwrap();
        jobs.extend(page.jobs);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return jobs,
        }
    }
}

/// Counts again, job by job, what the ledger says.
async fn recount(scratch: &Scratch) {
    let options = Options::new(scratch.path().join("data"), "default".parse().unwrap());
    let store = Sqlite::open(options, Timestamp::default()).unwrap();
    let recount = store.recount().await.unwrap();
    assert!(recount.agrees(), "{recount:?}");
    store.close().await.unwrap();
}
