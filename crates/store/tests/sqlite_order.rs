//! Write, then wait for the disk, then answer: seen from outside, in the system
//! calls of a process that serves a store.
//!
//! A killed process cannot show this, since what it wrote survives in the page
//! cache. `strace` shows the order, and makes the disk fail.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is how a test fails, in its helpers too")]

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use job::time::SystemClock;
use job::{Clock, Ending, Jitter, JobRef, LeaseSeed, NewJob, Payload, QueueName, Span, Spec};
use store::jobs::{Claim, Finish, From, Jobs, Leased, Pushed};
use store::records::{Health, Records};
use store::sqlite::{Options, Sqlite};
use store::{Error, Reply};
use tempfile::TempDir;

/// Where the child of a test finds the folder that it serves.
const DATA: &str = "ALOUD_TEST_ORDER_DATA";

fn options(folder: &Path) -> Options {
    Options { create: true, reserve: 0, ..Options::new(folder, "notice".parse().unwrap()) }
}

/// Says something to whoever reads the system calls.
fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

async fn told<T: Unpin>(what: &str, reply: impl FnOnce() -> Reply<T>) -> T {
    say(&format!("begin {what}\n"));
    let answer = reply().await.unwrap();
    say(&format!("answered {what}\n"));
    answer
}

fn mail() -> QueueName {
    "mail".parse().unwrap()
}

fn claim() -> Claim {
    Claim {
        from: From::Queues(vec![mail()]),
        limit: 1,
        worker: "w1".into(),
        lease_for: Span::from_secs(60),
        seed: LeaseSeed(7),
    }
}

fn done(leased: &Leased) -> Finish {
    Finish { id: JobRef::Id(leased.job.id), lease: leased.lease, ending: Ending::done(), jitter: Jitter::ZERO }
}

/// The calls of a short life, one after the other.
#[tokio::test]
#[ignore = "the child of another test, which starts it under strace"]
async fn child_that_lives_shortly() {
    let clock = SystemClock::resume(None);
    let store = Sqlite::open(options(&PathBuf::from(std::env::var_os(DATA).unwrap())), clock.now().wall).unwrap();
    let now = || clock.now();
    let spec = Spec::new(mail(), "send".parse().unwrap(), Payload::default());
    let keyed = Spec { key: Some("notice:42".parse().unwrap()), ..spec.clone() };
    told("push", || store.push(vec![NewJob::now(spec, now())], now())).await;
    let plain = told("claim", || store.claim(claim(), now())).await;
    let (id, lease) = (JobRef::Id(plain.jobs[0].job.id), plain.jobs[0].lease);
    told("extend", || store.extend(id, lease, Span::from_secs(90), now())).await.unwrap();
    told("ack", || store.finish(vec![done(&plain.jobs[0])], now())).await;
    told("keyed push", || store.push(vec![NewJob::now(keyed, now())], now())).await;
    let keyed = told("keyed claim", || store.claim(claim(), now())).await;
    assert_eq!(keyed.jobs.len(), 1);
    told("empty claim", || store.claim(claim(), now())).await;
    told("look", || store.queues(now())).await;
}

/// Pushes on a disk that fails now and then, until each push was answered.
#[tokio::test]
#[ignore = "the child of another test, which starts it under strace"]
async fn child_that_pushes_on_a_failing_disk() {
    let clock = SystemClock::resume(None);
    let store = Sqlite::open(options(&PathBuf::from(std::env::var_os(DATA).unwrap())), clock.now().wall).unwrap();
    let mut lost = 0;
    for n in 0..PUSHES {
        let spec = Spec::new(mail(), "send".parse().unwrap(), Payload::default());
        let now = clock.now();
        let new = NewJob { client_id: Some(format!("n{n}").parse().unwrap()), ..NewJob::now(spec, now) };
        loop {
            match store.push(vec![new.clone()], now).await {
                Ok(pushed) => {
                    assert!(matches!(pushed[..], [Pushed::New { .. } | Pushed::Known { outcome: None, .. }]));
                    break say(&format!("answered n{n}\n"));
                }
                Err(Error::Lost(_)) => lost += 1,
                Err(Error::Busy(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(error @ (Error::Full(_) | Error::Damaged(_) | Error::Closed)) => panic!("{error}"),
            }
        }
    }
    assert_eq!(store.health(), Health::Serving);
    let recount = store.recount().await.unwrap();
    assert!(recount.agrees(), "{recount:?}");
    say(&format!("lost {lost}\n"));
    // The disk may well fail once more.
    drop(store.close().await);
}

const PUSHES: usize = 40;

/// What a traced process did, in order.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// It wrote to the log.
    Wrote,
    /// It waited for the log, or the database, and the disk had it.
    Synced,
    /// The same, and the disk failed.
    NotSynced,
    /// It said something.
    Said(String),
}

/// Runs a child of these tests under strace. Answers what it did.
fn traced(child: &str, data: &Path, inject: Option<&str>) -> Vec<Event> {
    let trace = data.join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "200", "-e", "trace=pwrite64,fdatasync,fsync,write", "-o"]).arg(&trace);
    if let Some(inject) = inject {
        strace.args(["-e", inject]);
    }
    strace.arg(std::env::current_exe().unwrap()).args([
        "--exact",
        child,
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    strace.env(DATA, data).stdin(Stdio::null());
    let output = strace.output().unwrap_or_else(|error| {
        panic!("this test wants `strace` (Debian: apt-get install strace), and starting it failed: {error}")
    });
    assert!(
        output.status.success(),
        "{child} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    read(&fs::read_to_string(trace).unwrap())
}

/// Reads a trace. A call that was interrupted by another thread's counts when it
/// returned.
fn read(trace: &str) -> Vec<Event> {
    let mut unfinished: HashMap<&str, String> = HashMap::new();
    let mut events = Vec::new();
    for line in trace.lines() {
        let (pid, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            unfinished.insert(pid, begun.to_owned());
            continue;
        }
        let whole = match call.split_once(" resumed>") {
            Some((_, end)) => unfinished.remove(pid).unwrap_or_default() + end,
            None => call.to_owned(),
        };
        let of_store = whole.contains("/aloud.db");
        if whole.starts_with("pwrite64(") && whole.contains("/aloud.db-wal>") {
            events.push(Event::Wrote);
        } else if of_store && (whole.starts_with("fdatasync(") || whole.starts_with("fsync(")) {
            events.push(if whole.contains(") = 0") { Event::Synced } else { Event::NotSynced });
        } else if whole.starts_with("write(2<")
            && let Some((_, text)) = whole.split_once(", \"")
            && let Some((text, _)) = text.split_once("\\n\"")
        {
            events.push(Event::Said(text.to_owned()));
        }
    }
    events
}

/// What was done between the beginning of a call and its answer.
fn during<'e>(events: &'e [Event], call: &str) -> &'e [Event] {
    let at = |text: String| {
        let said = Event::Said(text);
        events.iter().position(|event| *event == said).unwrap_or_else(|| panic!("{said:?} was not said: {events:?}"))
    };
    &events[at(format!("begin {call}")) + 1..at(format!("answered {call}"))]
}

#[test]
fn needs_strace_a_change_is_written_then_on_the_disk_and_only_then_answered() {
    let data = TempDir::new().unwrap();
    let events = traced("child_that_lives_shortly", data.path(), None);
    for call in ["push", "ack", "keyed push", "keyed claim"] {
        let during = during(&events, call);
        let wrote = during.iter().rposition(|event| *event == Event::Wrote);
        let synced = during.iter().rposition(|event| *event == Event::Synced);
        assert!(wrote.is_some() && synced > wrote, "{call}: {during:?}");
    }
    for call in ["claim", "extend"] {
        let during = during(&events, call);
        assert!(!during.is_empty() && during.iter().all(|event| *event == Event::Wrote), "{call}: {during:?}");
    }
    for call in ["empty claim", "look"] {
        assert_eq!(during(&events, call), [], "{call}");
    }
}

#[tokio::test]
async fn needs_strace_a_disk_that_fails_brings_no_untrue_answer_and_is_recovered_from() {
    let data = TempDir::new().unwrap();
    drop(Sqlite::open(options(data.path()), job::Timestamp(0)).unwrap());
    // In every thread the third wait for the disk fails, and each fourth after it.
    let inject = "inject=fdatasync:error=EIO:when=3+4";
    let events = traced("child_that_pushes_on_a_failing_disk", data.path(), Some(inject));
    let failed = events.iter().filter(|event| **event == Event::NotSynced).count();
    assert!(failed >= 5, "the disk failed {failed} times");
    let lost = events.iter().find_map(|event| match event {
        Event::Said(text) => text.strip_prefix("lost ")?.parse::<usize>().ok(),
        Event::Wrote | Event::Synced | Event::NotSynced => None,
    });
    assert!(lost >= Some(3), "{lost:?} answers were lost");
    // What was written last before an answer was on the disk by then.
    let mut pending = false;
    let mut answered = 0;
    for event in &events {
        match event {
            Event::Wrote => pending = true,
            Event::Synced => pending = false,
            Event::NotSynced => {}
            Event::Said(text) if text.starts_with("answered n") => {
                assert!(!pending, "{text} was said before its disk had it");
                answered += 1;
            }
            Event::Said(_) => {}
        }
    }
    assert_eq!(answered, PUSHES);
    let store = Sqlite::open(options(data.path()), job::Timestamp(0)).unwrap();
    let now = SystemClock::resume(None).now();
    for n in 0..PUSHES {
        assert!(store.get(format!("n{n}").parse().unwrap(), now).await.unwrap().is_some(), "n{n} was answered");
    }
    let recount = store.recount().await.unwrap();
    assert!(recount.agrees() && recount.waiting == PUSHES as u64, "{recount:?}");
}
