//! A process that serves a store is killed, at any moment, again and again: what
//! it answered is so, and stays so.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is how a test fails, in its helpers too")]

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use job::time::SystemClock;
use job::{Clock, Ending, Jitter, JobId, JobRef, LeaseSeed, NewJob, Outcome, Payload, QueueName, Span, Spec, State};
use store::jobs::{Cancel, Cancelled, Claim, Finish, From, Jobs, Pushed};
use store::records::Records;
use store::sqlite::{Options, Sqlite};
use tempfile::TempDir;

/// Where the child finds the folder that it serves.
const DATA: &str = "ALOUD_TEST_KILL_DATA";
/// How often it is killed; each time it lives a little longer.
const ROUNDS: u64 = 8;
/// How many lives one child leads at once.
const IN_FLIGHT: u64 = 48;

fn options(folder: &Path) -> Options {
    Options { create: true, ..Options::new(folder, "notice".parse().unwrap()) }
}

fn mail() -> QueueName {
    "mail".parse().unwrap()
}

/// Tells the parent what was answered.
fn say(what: &str, id: JobId) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n#{what} {}\n", id.0).as_bytes()).unwrap();
}

#[tokio::test]
#[ignore = "the child of another test, which kills it"]
async fn child_that_is_killed() {
    let clock = Arc::new(SystemClock::resume(None));
    let folder = PathBuf::from(std::env::var_os(DATA).unwrap());
    let store = Arc::new(Sqlite::open(options(&folder), clock.now().wall).unwrap());
    let lives = (0..IN_FLIGHT).map(|seed| tokio::spawn(live(Arc::clone(&store), Arc::clone(&clock), seed)));
    for life in lives.collect::<Vec<_>>() {
        life.await.unwrap();
    }
}

/// Pushes, and then calls off, or claims and ends some job; for ever.
async fn live(store: Arc<Sqlite>, clock: Arc<SystemClock>, seed: u64) {
    for n in 0_u64.. {
        let mut spec = Spec::new(mail(), "send".parse().unwrap(), Payload::new(vec![b'x'; 300]).unwrap());
        spec.key = n.is_multiple_of(3).then(|| format!("{seed}").parse().unwrap());
        let now = clock.now();
        let pushed = store.push(vec![NewJob::now(spec, now)], now).await.unwrap();
        let Pushed::New { id, .. } = pushed[0] else { continue };
        say("pushed", id);
        if n.is_multiple_of(4) {
            if store.cancel(Cancel::Job(JobRef::Id(id)), "ute".into(), clock.now()).await == Ok(Cancelled::Yes(id)) {
                say("cancelled", id);
            }
            continue;
        }
        let claim = Claim {
            from: From::Queues(vec![mail()]),
            limit: 2,
            worker: "w1".into(),
            lease_for: Span::from_secs(600),
            seed: LeaseSeed(seed << 32 | n),
        };
        for leased in store.claim(claim, clock.now()).await.unwrap().jobs {
            let id = leased.job.id;
            say("leased", id);
            let end = Finish { id: JobRef::Id(id), lease: leased.lease, ending: Ending::done(), jitter: Jitter::ZERO };
            // Some runs go on until the end.
            if !n.is_multiple_of(5) && store.finish(vec![end], clock.now()).await.unwrap()[0].is_ok() {
                say("done", id);
            }
        }
    }
}

fn start(data: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_killed", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DATA, data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn whatever_was_answered_before_a_kill_is_so_after_it() {
    let data = TempDir::new().unwrap();
    let mut answered: HashMap<u64, HashSet<String>> = HashMap::new();
    for round in 0..ROUNDS {
        let mut child = start(data.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = 50 + round * 400;
        // After so many answers it is killed; what it had said by then is read to the end.
        for line in lines {
            if let Some(said) = line.unwrap().strip_prefix('#') {
                let (what, id) = said.split_once(' ').unwrap();
                let news = answered.entry(id.parse().unwrap()).or_default().insert(what.to_owned());
                assert!(news, "job {id} was {what} twice");
                left = left.saturating_sub(1);
                if left == 0 {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        look(data.path(), &answered).await;
    }
}

/// Looks whether everything that was answered is so.
async fn look(data: &Path, answered: &HashMap<u64, HashSet<String>>) {
    let clock = SystemClock::resume(None);
    let store = Sqlite::open(options(data), clock.now().wall).unwrap();
    let recount = store.recount().await.unwrap();
    assert!(recount.agrees(), "{recount:?}");
    for (id, answers) in answered {
        let found = store.get(JobRef::Id(JobId(*id)), clock.now()).await.unwrap();
        let job = found.unwrap_or_else(|| panic!("job {id} is lost: it was {answers:?}")).job;
        let outcome = match job.state {
            State::Ended { outcome, .. } => Some(outcome),
            State::Waiting { .. } | State::Running(_) | State::Dead { .. } => None,
        };
        if answers.contains("done") {
            assert_eq!(outcome, Some(Outcome::Done), "job {id}");
        } else if answers.contains("cancelled") {
            assert_eq!(outcome, Some(Outcome::Cancelled), "job {id}");
            assert!(!answers.contains("leased"), "job {id} was called off, and started");
        } else if answers.contains("leased") {
            let runs = matches!(job.state, State::Running(_));
            assert!(runs || outcome == Some(Outcome::Done), "job {id}: {:?}", job.state);
        }
    }
    let now = clock.now();
    let spec = Spec::new("other".parse().unwrap(), "send".parse().unwrap(), Payload::default());
    let pushed = store.push(vec![NewJob::now(spec, now)], now).await.unwrap();
    let Pushed::New { id, .. } = pushed[0] else { panic!("{pushed:?}") };
    assert!(answered.keys().all(|given| *given < id.0), "{id} was given before");
    store.close().await.unwrap();
}
