//! What the system is asked for, seen by strace: SIGKILL cannot tell a synced
//! write from one that is not, and a disk does not fail on demand.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aloud_client::v1::{Ack, LeaseWish, PushJob, Status};
use aloud_client::{Api, Error};
use job::Outcome;

use crate::scratch::{Scratch, Server, wait};

/// How often each thing is done.
const TIMES: usize = 12;

#[test]
fn needs_strace_what_is_answered_was_written_and_synced_before() {
    let answers = push_lease_ack_and_cancel(&[]);
    // The one lease, of jobs with neither key nor guard, is committed and need
    // not be synced.
    for (nth, answer) in answers.iter().enumerate().filter(|(nth, _)| *nth != 2 * TIMES) {
        assert_eq!(*answer, Answered::AfterSync, "answer {nth} of {answers:?}");
    }
}

#[test]
fn needs_strace_relaxed_durability_answers_before_it_syncs() {
    // It is also what shows that the test above can fail.
    let answers = push_lease_ack_and_cancel(&["--durability", "relaxed"]);
    let before = answers.iter().filter(|answer| **answer == Answered::AfterWrite).count();
    assert!(before > answers.len() / 2, "{answers:?}");
    assert!(!answers.contains(&Answered::WithoutWrite), "{answers:?}");
}

/// How far the change of each answer had come when it was sent: of pushes, one
/// lease, acks, and cancels.
fn push_lease_ack_and_cancel(args: &[&str]) -> Vec<Answered> {
    let scratch = Scratch::new();
    scratch.server().stop();
    let trace = scratch.path().join("trace");
    let calls = ["-e", "trace=pwrite64,fsync,fdatasync,write,writev,sendto"];
    let server = traced(&scratch, &trace, &calls, args);
    wait(async {
        let api = server.api();
        let mut ids = Vec::new();
        for _ in 0..2 * TIMES {
            ids.push(api.push(&job()).await.unwrap().id);
        }
        let (to_ack, to_cancel) = ids.split_at(TIMES);
        let leased = api.lease(&wish(TIMES)).await.unwrap().jobs;
        assert_eq!(leased.iter().map(|job| &job.id).collect::<Vec<_>>(), to_ack.iter().collect::<Vec<_>>());
        for job in leased {
            let ack = Ack { lease: job.lease, output: None, skipped: None };
            api.ack(&job.id, &ack).await.unwrap();
        }
        for id in to_cancel {
            assert_eq!(api.cancel(id).await.unwrap().outcome, Outcome::Cancelled);
        }
    });
    server.stop();
    let answers = answers(&std::fs::read_to_string(trace).unwrap());
    assert_eq!(answers.len(), 4 * TIMES + 1, "{answers:?}");
    answers
}

#[test]
fn needs_strace_a_disk_that_fails_makes_no_answer_untrue_and_needs_no_restart() {
    const PUSHES: usize = 120;
    let scratch = Scratch::new();
    scratch.server().stop();
    // Three syncs in a row fail, in the middle of it.
    let fail = "inject=fsync,fdatasync:error=EIO:when=20..22";
    let trace = scratch.path().join("trace");
    let server = traced(&scratch, &trace, &["-e", "trace=fsync,fdatasync", "-e", fail], &[]);
    let refused = wait(async {
        let api = server.api();
        let mut refused = Vec::new();
        for nth in 0..PUSHES {
            let job = PushJob { id: Some(format!("n-{nth}")), ..job() };
            refused.extend(push_until_answered(&api, &job).await);
        }
        let leased = api.lease(&wish(PUSHES)).await.unwrap().jobs;
        assert_eq!(leased.len(), PUSHES, "each is there once");
        let status: Status = api.status().await.unwrap();
        assert!(status.serving && status.ledger.adds_up, "{status:?}");
        assert_eq!(status.ledger.pushed, PUSHES as u64);
        refused
    });
    assert!(std::fs::read_to_string(&trace).unwrap().contains("EIO"), "the disk has failed");
    assert!(refused.iter().any(|word| word == "unknown"), "and that was told: {refused:?}");
    assert!(refused.iter().all(|word| matches!(word.as_str(), "unknown" | "busy")), "{refused:?}");
    server.kill();
    let server = scratch.start(&["server", "--data", "data", "--http", "127.0.0.1:0"]);
    let status = wait(async { server.api().status().await.unwrap() });
    assert_eq!((status.ledger.pushed, status.ledger.running), (PUSHES as u64, PUSHES as u64), "{status:?}");
    server.stop();
}

/// Pushes again and again, and answers in which words that was refused.
async fn push_until_answered(api: &Api, job: &PushJob) -> Vec<String> {
    let mut refused = Vec::new();
    loop {
        match api.push(job).await {
            Ok(_) => return refused,
            Err(Error::Problem(problem)) => refused.push(problem.word().to_owned()),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn job() -> PushJob {
    PushJob::new("k".parse().unwrap())
}

fn wish(limit: usize) -> LeaseWish {
    let wish = r#"{"queues":["default"],"worker":"w","for":"1h"}"#;
    LeaseWish { limit, ..serde_json::from_str(wish).unwrap() }
}

/// A server under strace. `-D` makes strace the server's grandchild, so that
/// signals reach the server.
fn traced(scratch: &Scratch, trace: &Path, calls: &[&str], args: &[&str]) -> Server {
    let aloud = scratch.aloud(&[]);
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-y", "-s", "16", "-o"]).arg(trace).args(calls);
    command.arg(aloud.get_program()).args(["server", "--data", "data", "--http", "127.0.0.1:0"]).args(args);
    command.current_dir(scratch.path());
    let there = Command::new("strace").arg("-V").output().is_ok_and(|said| said.status.success());
    assert!(there, "this test needs strace (Debian: apt-get install strace); `scripts/test --quick` leaves it out");
    Server::start(scratch, command).map_err(|said| said.err).unwrap()
}

/// What had happened to the log since the answer before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    WithoutWrite,
    AfterWrite,
    AfterSync,
}

/// Reads a trace: how far each answer's change had come when it was sent.
fn answers(trace: &str) -> Vec<Answered> {
    let mut answers = Vec::new();
    let mut since = Answered::WithoutWrite;
    for line in trace.lines() {
        let (_, call) = line.split_once(char::is_whitespace).unwrap();
        let call = call.trim_start();
        let of_log = call.contains("/aloud.db-wal>");
        let synced = of_log && (call.starts_with("fsync(") || call.starts_with("fdatasync("));
        let synced = synced && call.ends_with("= 0") || call.contains("sync resumed>") && call.ends_with("= 0");
        if of_log && call.starts_with("pwrite64(") && since == Answered::WithoutWrite {
            since = Answered::AfterWrite;
        } else if synced && since == Answered::AfterWrite {
            since = Answered::AfterSync;
        } else if call.contains("\"HTTP/1.1 20") {
            answers.push(since);
            since = Answered::WithoutWrite;
        }
    }
    answers
}

#[test]
fn a_trace_is_read_as_it_is_written() {
    let trace = "7 pwrite64(13</d/aloud.db-wal>, \"x\"..., 24, 8272) = 24\n\
                 7 fsync(13</d/aloud.db-wal>) = 0\n\
                 8 writev(15<socket:[1]>, [{iov_base=\"HTTP/1.1 201 Cre\"..., iov_len=113}], 2) = 140\n\
                 7 pwrite64(13</d/aloud.db-wal>, \"x\"..., 24, 8272) = 24\n\
                 7 fsync(13</d/aloud.db-wal> <unfinished ...>\n\
                 8 writev(15<socket:[1]>, [{iov_base=\"HTTP/1.1 200 OK\"..., iov_len=113}], 2) = 140\n\
                 7 <... fsync resumed>) = 0\n\
                 7 fsync(12</d/aloud.db>) = 0\n\
                 8 writev(15<socket:[1]>, [{iov_base=\"HTTP/1.1 200 OK\"..., iov_len=113}], 2) = 140\n";
    assert_eq!(answers(trace), [Answered::AfterSync, Answered::AfterWrite, Answered::WithoutWrite]);
}
