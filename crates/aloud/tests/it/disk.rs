//! A disk that fills up under a running server.
//!
//! The disk is a small tmpfs, which only root can mount.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aloud_client::v1::{Ack, LeaseWish, LeasedJob, PushJob, Status};
use aloud_client::{Api, Error};
use job::{Outcome, Span};
use serde_json::value::RawValue;

use crate::scratch::{Scratch, Server, wait};

/// How large the disk is.
const DISK: &str = "size=64m";
/// How much of it pushes must leave.
const FLOOR: u64 = 16 << 20;

#[test]
fn needs_root_a_full_disk_refuses_pushes_and_takes_ends_until_there_is_room() {
    let scratch = Scratch::new();
    let disk = Disk::mount(&scratch.path().join("data"));
    let server = serve(&scratch, true);
    let api = server.api();

    // Some jobs run, some wait, while there is still room.
    let (running, waiting) = wait(async {
        for _ in 0..300 {
            api.push(&small("run")).await.unwrap();
        }
        let running = api.lease(&wish("run")).await.unwrap().jobs;
        let mut waiting = Vec::new();
        for _ in 0..300 {
            waiting.push(api.push(&small("wait")).await.unwrap().id);
        }
        (running, waiting)
    });
    assert_eq!(running.len(), 300);

    // Somebody else takes most of the disk, and jobs the rest, down to the floor.
    let most = disk.fill_to("most", FLOOR + (8 << 20));
    let large = wait(async {
        let mut large = Vec::new();
        loop {
            match api.push(&with_payload("large", 256 << 10)).await {
                Ok(pushed) => large.push(pushed.id),
                Err(error) => break assert_full(&error),
            }
            assert!(large.len() < 1_000, "8 MiB never fill up");
        }
        large
    });
    assert!(large.len() > 10, "{} jobs fit", large.len());
    let said = server.run(&scratch, &["push", "k"]).ends(75);
    assert!(said.err.contains("full") && said.err.contains("\nhint: "), "{}", said.err);
    server.run(&scratch, &["status"]).ends(2);

    let (now, later) = running.split_at(150);
    let (cancel_now, cancel_later) = waiting.split_at(150);
    wait(end(&api, now, cancel_now));

    // Then somebody else takes the last byte.
    let last = disk.fill_to("last", 0);
    wait(async { assert_full(&api.push(&small("wait")).await.unwrap_err()) });
    wait(end(&api, later, cancel_later));

    // Room comes back, and nobody restarts anything.
    std::fs::remove_file(most).unwrap();
    std::fs::remove_file(last).unwrap();
    let after = wait(async {
        for id in &large {
            assert_eq!(api.cancel(id).await.unwrap().outcome, Outcome::Cancelled);
        }
        loop {
            match api.push(&small("after")).await {
                Ok(pushed) => break pushed.id,
                Err(error) => assert_full(&error),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let healthy = server.run(&scratch, &["status", "--json"]).fine();
    assert!(healthy.out.contains("\"verdict\":\"ok\""), "{}", healthy.out);

    // And all of it is on disk.
    server.kill();
    let server = serve(&scratch, false);
    let api = server.api();
    wait(async {
        for (ids, outcome) in [
            (running.iter().map(|job| job.id.clone()).collect(), Outcome::Done),
            (waiting, Outcome::Cancelled),
            (large, Outcome::Cancelled),
        ] {
            let ids: Vec<String> = ids;
            for id in ids {
                assert_eq!(api.job(&id).await.unwrap().outcome, Some(outcome), "{id}");
            }
        }
        assert_eq!(api.job(&after).await.unwrap().outcome, None);
        let status: Status = api.status().await.unwrap();
        assert!(status.ledger.adds_up && status.ledger.waiting == 1, "{status:?}");
    });
    server.stop();
}

fn serve(scratch: &Scratch, init: bool) -> Server {
    let mut command = scratch.aloud(&["server", "--data", "data", "--http", "127.0.0.1:0"]);
    command.env("ALOUD_FREE_FLOOR", format!("{FLOOR}B"));
    if init {
        command.arg("--init");
    }
    Server::start(scratch, command).map_err(|said| said.err).unwrap()
}

async fn end(api: &Api, running: &[LeasedJob], waiting: &[String]) {
    for job in running {
        let ack = Ack { lease: job.lease.clone(), output: None, skipped: None };
        assert_eq!(api.ack(&job.id, &ack).await.unwrap().outcome, Some(Outcome::Done), "{}", job.id);
    }
    for id in waiting {
        assert_eq!(api.cancel(id).await.unwrap().outcome, Outcome::Cancelled, "{id}");
    }
}

#[track_caller]
fn assert_full(error: &Error) {
    let Error::Problem(problem) = error else { panic!("{error}") };
    assert_eq!((problem.status, problem.word()), (507, "full"), "{problem}");
}

fn small(queue: &str) -> PushJob {
    with_payload(queue, 100)
}

fn with_payload(queue: &str, bytes: usize) -> PushJob {
    let payload = RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).unwrap();
    PushJob { queue: queue.parse().unwrap(), payload: Some(payload), ..PushJob::new("k".parse().unwrap()) }
}

fn wish(queue: &str) -> LeaseWish {
    LeaseWish {
        queues: vec![queue.parse().unwrap()],
        worker: "w".to_owned(),
        limit: 1_000,
        wait: Span::ZERO,
        for_: Span::from_secs(600),
    }
}

/// A small disk, which is taken away in the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test mounts a tmpfs, which needs root; `scripts/test --quick` leaves it out"
        );
        std::fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "aloud-test"]).arg(at).status().unwrap();
        assert!(mounted.success(), "mount: {mounted}");
        Self(at.to_owned())
    }

    /// Takes what is free but `leave` bytes, and answers the file that has it.
    fn fill_to(&self, name: &str, leave: u64) -> PathBuf {
        let path = self.0.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        let page = [0; 4_096];
        while self.free() > leave {
            match file.write_all(&page) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        path
    }

    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.0).unwrap();
        disk.f_bavail * disk.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because after a failure the server may still be there.
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
