//! What happens when a commit, or the disk, fails: made to fail here, on
//! purpose, since no ordinary disk does it when it is asked to.

use std::sync::atomic::Ordering;
use std::time::Duration;

use job::time::ManualClock;
use job::{
    AppName, Clock, Ending, Jitter, JobRef, LeaseSeed, NewJob, Now, OnConflict, Outcome, Payload, QueueName, Span,
    Spec, Timestamp,
};
use tempfile::TempDir;

use super::{Durability, Options, Sqlite};
use crate::Error;
use crate::jobs::{Cancel, Cancelled, Claim, Finish, From, Jobs, Leased, Pushed, Settled};
use crate::records::{Health, Records};

struct Desk {
    folder: TempDir,
    clock: ManualClock,
    store: Sqlite,
}

impl Desk {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = TempDir::new().unwrap();
        let clock = ManualClock::at(Timestamp(1_800_000_000_000_000));
        let mut options = Options { create: true, reserve: 0, ..Options::new(folder.path(), app()) };
        change(&mut options);
        let store = Sqlite::open(options, clock.now().wall).unwrap();
        Self { folder, clock, store }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn job(&self, client_id: &str) -> NewJob {
        let spec = Spec::new(mail(), "send".parse().unwrap(), Payload::default());
        NewJob { client_id: Some(client_id.parse().unwrap()), ..NewJob::now(spec, self.now()) }
    }

    async fn push(&self, client_id: &str) -> Result<Vec<Pushed>, Error> {
        self.store.push(vec![self.job(client_id)], self.now()).await
    }

    async fn claim(&self, limit: usize) -> Result<Vec<Leased>, Error> {
        let claim = Claim {
            from: From::Queues(vec![mail()]),
            limit,
            worker: "w1".to_owned(),
            lease_for: Span::from_secs(60),
            seed: LeaseSeed(7),
        };
        self.store.claim(claim, self.now()).await.map(|claimed| claimed.jobs)
    }

    async fn finish(&self, leased: &Leased) -> Result<Settled, Error> {
        let id = JobRef::Id(leased.job.id);
        let end = Finish { id, lease: leased.lease, ending: Ending::done(), jitter: Jitter::ZERO };
        let settled = self.store.finish(vec![end], self.now()).await?;
        Ok(settled[0].expect("the lease is the job's"))
    }

    /// The answer once the store serves again.
    async fn until_it_serves<T>(&self, call: impl AsyncFn(&Self) -> Result<T, Error>) -> T {
        let serves = async {
            loop {
                match call(self).await {
                    Err(Error::Busy(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
                    answer => return answer.unwrap(),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), serves).await.expect("the store recovers by itself")
    }

    async fn adds_up(&self) {
        let recount = self.store.recount().await.unwrap();
        assert!(recount.agrees(), "{recount:?}");
    }
}

fn app() -> AppName {
    "notice".parse().unwrap()
}

fn mail() -> QueueName {
    "mail".parse().unwrap()
}

/// Where a failure is put: every test of one must hold for the other.
#[derive(Clone, Copy, Debug)]
enum Fails {
    Commit,
    Disk,
}

const BOTH: [Fails; 2] = [Fails::Commit, Fails::Disk];

impl Fails {
    /// The next `times` of it fail.
    fn next(self, desk: &Desk, times: u32) {
        let shared = &desk.store.shared;
        let left = match self {
            Self::Commit => &shared.fail_commits,
            Self::Disk => &shared.fail_syncs,
        };
        left.store(times, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_push_whose_commit_fails_is_unknown_and_can_be_repeated() {
    for fails in BOTH {
        let desk = Desk::new();
        desk.push("before").await.unwrap();
        fails.next(&desk, 1);
        assert!(matches!(desk.push("during").await, Err(Error::Lost(_))), "{fails:?}");
        desk.until_it_serves(async |desk: &Desk| desk.push("during").await).await;
        assert_eq!(desk.store.health(), Health::Serving);
        let known = desk.push("during").await.unwrap();
        assert!(matches!(known[..], [Pushed::Known { .. }]), "{fails:?}: {known:?}");
        assert_eq!(desk.store.ledger().await.unwrap().pushed, 2, "{fails:?}: it was accepted once");
        desk.adds_up().await;
    }
}

#[tokio::test]
async fn what_was_answered_stays_whatever_fails_afterwards() {
    for fails in BOTH {
        let desk = Desk::new();
        for id in ["a", "b", "c"] {
            desk.push(id).await.unwrap();
        }
        let leased = desk.claim(2).await.unwrap();
        assert_eq!(desk.finish(&leased[0]).await, Ok(Settled::Ended(Outcome::Done)));
        fails.next(&desk, 1);
        let failed = desk.finish(&leased[1]).await;
        assert!(matches!(failed, Err(Error::Lost(_))), "{fails:?}: {failed:?}");
        // Whether the second one has ended is unknown; that its lease cannot be used twice is not.
        let ended = desk
            .until_it_serves(async |desk: &Desk| {
                let id = JobRef::Id(leased[1].job.id);
                let lease = leased[1].lease;
                let end = Finish { id, lease, ending: Ending::done(), jitter: Jitter::ZERO };
                desk.store.finish(vec![end], desk.now()).await
            })
            .await;
        assert!(matches!(ended[0], Ok(Settled::Ended(Outcome::Done)) | Err(crate::jobs::Stale::NotRunning)));
        let ledger = desk.store.ledger().await.unwrap();
        assert_eq!((ledger.ended_as(Outcome::Done), ledger.waiting, ledger.running), (2, 1, 0), "{fails:?}");
        desk.adds_up().await;
    }
}

#[tokio::test]
async fn a_lease_outlives_a_failure_that_came_after_it() {
    for fails in BOTH {
        let desk = Desk::new();
        desk.push("a").await.unwrap();
        let leased = desk.claim(1).await.unwrap();
        fails.next(&desk, 1);
        assert!(matches!(desk.push("b").await, Err(Error::Lost(_))));
        desk.until_it_serves(async |desk: &Desk| desk.push("c").await).await;
        assert_eq!(desk.finish(&leased[0]).await, Ok(Settled::Ended(Outcome::Done)), "{fails:?}");
        desk.adds_up().await;
    }
}

#[tokio::test]
async fn a_store_recovers_for_as_long_as_it_takes_and_says_so() {
    let desk = Desk::new();
    desk.push("before").await.unwrap();
    // Opening again commits, too: so it fails five times more.
    Fails::Commit.next(&desk, 6);
    assert!(matches!(desk.push("during").await, Err(Error::Lost(_))));
    let recovering = desk.push("after").await;
    assert!(matches!(recovering, Err(Error::Busy(ref why)) if why.contains("recovers")), "{recovering:?}");
    assert!(matches!(desk.store.health(), Health::Recovering { since, .. } if since == desk.now().wall));
    desk.until_it_serves(async |desk: &Desk| desk.push("after").await).await;
    assert_eq!(desk.store.health(), Health::Serving);
    assert_eq!(desk.store.shared.fail_commits.load(Ordering::SeqCst), 0);
    desk.adds_up().await;
}

#[tokio::test]
async fn calls_that_shared_a_failed_commit_are_all_unknown_and_later_ones_are_refused() {
    for fails in BOTH {
        let desk = Desk::new();
        desk.push("a").await.unwrap();
        fails.next(&desk, 1);
        let pushes: Vec<_> = (0..2_000)
            .map(|n| desk.store.push(vec![desk.job(&format!("n{n}"))], desk.now()))
            .chain([desk.store.push(vec![desk.job("a")], desk.now())])
            .collect();
        let (mut unknown, mut refused, mut accepted) = (0, 0, 0);
        for push in pushes {
            match push.await {
                Err(Error::Lost(_)) => unknown += 1,
                Err(Error::Busy(_)) => refused += 1,
                Ok(_) => accepted += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(unknown > 0, "{fails:?}: {unknown} unknown, {refused} refused, {accepted} accepted");
        let pushed = desk.until_it_serves(async |desk: &Desk| desk.store.ledger().await).await.pushed;
        assert!(pushed > accepted, "{fails:?}: what was accepted is there");
        assert!(pushed <= 1 + accepted + unknown, "{fails:?}: what was refused is not");
        desk.adds_up().await;
    }
}

#[tokio::test]
async fn a_cancel_that_was_answered_stays_and_a_replaced_job_never_starts() {
    for fails in BOTH {
        let desk = Desk::new();
        let keyed = |desk: &Desk, id: &str| {
            let mut new = desk.job(id);
            new.spec.key = Some("notice:42".parse().unwrap());
            NewJob { on_conflict: OnConflict::Replace, ..new }
        };
        desk.store.push(vec![keyed(&desk, "first")], desk.now()).await.unwrap();
        fails.next(&desk, 1);
        assert!(matches!(desk.store.push(vec![keyed(&desk, "second")], desk.now()).await, Err(Error::Lost(_))));
        desk.until_it_serves(async |desk: &Desk| desk.store.push(vec![keyed(desk, "third")], desk.now()).await).await;
        let what = Cancel::Key(mail(), "notice:42".parse().unwrap());
        assert!(matches!(desk.store.cancel(what, "ute".into(), desk.now()).await, Ok(Cancelled::Yes(_))));
        assert!(desk.claim(10).await.unwrap().is_empty(), "{fails:?}: none of the three starts");
        desk.adds_up().await;
    }
}

#[tokio::test]
async fn ids_are_not_given_again_after_a_failed_commit_that_may_have_happened() {
    let desk = Desk::new();
    desk.push("a").await.unwrap();
    Fails::Disk.next(&desk, 1);
    assert!(matches!(desk.push("b").await, Err(Error::Lost(_))));
    let again = desk.until_it_serves(async |desk: &Desk| desk.push("c").await).await;
    let b = desk.store.get("b".parse().unwrap(), desk.now()).await.unwrap();
    let Pushed::New { id, .. } = again[0] else { panic!("{again:?}") };
    assert!(b.is_none_or(|b| b.job.id < id));
}

#[tokio::test]
async fn a_plain_claim_is_told_although_the_disk_is_not_waited_for() {
    let desk = Desk::new();
    desk.push("a").await.unwrap();
    Fails::Disk.next(&desk, 1);
    assert_eq!(desk.claim(1).await.unwrap().len(), 1);
    assert_eq!(desk.store.shared.fail_syncs.load(Ordering::SeqCst), 1, "nobody asked the disk");
}

#[tokio::test]
async fn a_claim_of_a_keyed_job_waits_for_the_disk() {
    let desk = Desk::new();
    let mut new = desk.job("a");
    new.spec.key = Some("notice:42".parse().unwrap());
    desk.store.push(vec![new], desk.now()).await.unwrap();
    Fails::Disk.next(&desk, 1);
    assert!(matches!(desk.claim(1).await, Err(Error::Lost(_))));
}

#[tokio::test]
async fn relaxed_answers_do_not_wait_for_the_disk_but_a_close_does() {
    let desk = Desk::with(|options| options.durability = Durability::Relaxed);
    Fails::Disk.next(&desk, 1);
    desk.push("a").await.unwrap();
    assert_eq!(desk.store.shared.fail_syncs.load(Ordering::SeqCst), 1, "nobody asked the disk yet");
    assert!(matches!(desk.store.close().await, Err(Error::Lost(_))), "a close asks it, and says what came of that");
}

#[tokio::test]
async fn relaxed_answers_are_on_the_disk_within_a_second_without_anybody_asking() {
    let desk = Desk::with(|options| options.durability = Durability::Relaxed);
    Fails::Disk.next(&desk, 1);
    desk.push("a").await.unwrap();
    let asked = async {
        while desk.store.shared.fail_syncs.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_millis(1_500), asked).await.expect("the disk is waited for by itself");
}

#[tokio::test]
async fn a_store_that_recovers_can_be_closed() {
    let desk = Desk::new();
    Fails::Commit.next(&desk, u32::MAX);
    assert!(matches!(desk.push("a").await, Err(Error::Lost(_))));
    desk.store.close().await.unwrap();
    assert_eq!(desk.push("b").await, Err(Error::Closed));
    let options = Options { reserve: 0, ..Options::new(desk.folder.path(), app()) };
    let again = Sqlite::open(options, desk.now().wall).unwrap();
    assert_eq!(again.ledger().await.unwrap().pushed, 0);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_said_and_the_others_are_served() {
    let desk = Desk::new();
    for id in ["a", "b", "c"] {
        desk.push(id).await.unwrap();
    }
    desk.store.close().await.unwrap();
    let file = desk.folder.path().join("aloud.db");
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.execute("UPDATE jobs SET retry = 'often' WHERE id = 1", []).unwrap();
    conn.execute("UPDATE jobs SET queue = 77 WHERE id = 2", []).unwrap();
    conn.close().unwrap();
    let options = Options { reserve: 0, ..Options::new(desk.folder.path(), app()) };
    let store = Sqlite::open(options, desk.now().wall).unwrap();
    let desk = Desk { store, ..desk };
    let leased = desk.claim(10).await.unwrap();
    assert_eq!(leased.iter().map(|leased| leased.job.id.0).collect::<Vec<_>>(), [3]);
    for (id, why) in [("j1", "its retry policy cannot be read"), ("j2", "its queue cannot be read")] {
        let read = desk.store.get(id.parse().unwrap(), desk.now()).await;
        assert!(matches!(read, Err(Error::Damaged(ref text)) if text.contains(why)), "{read:?}");
        let cancelled = desk.store.cancel(Cancel::Job(id.parse().unwrap()), "ute".into(), desk.now()).await;
        assert!(matches!(cancelled, Err(Error::Damaged(_))), "{cancelled:?}");
    }
    assert_eq!(desk.finish(&leased[0]).await, Ok(Settled::Ended(Outcome::Done)));
    assert_eq!(desk.store.health(), Health::Serving);
    desk.adds_up().await;
}
