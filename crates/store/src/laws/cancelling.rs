//! Calling off.

use job::{Answer, JobId, JobRef, Outcome, Phase};

use super::bench::{Bench, LEASE, queue};
use crate::jobs::{Cancel, Cancelled, Revived};

/// A job that was called off never starts, whatever comes.
pub async fn a_cancelled_job_never_starts(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b").due_in(60), bench.job("c").due_at(60), bench.job("d").guarded()];
    bench.push(drafts).await;
    for id in [1, 2, 3, 4].map(JobId) {
        assert_eq!(bench.cancel(id).await, Cancelled::Yes(id));
        assert_eq!(bench.end(id).await, (Outcome::Cancelled, Some("ute".to_owned())));
    }
    for _ in 0..2 {
        assert!(bench.claim(10).await.is_empty());
        assert!(bench.ask(10).await.is_empty());
        bench.pass(60).await;
        bench.reopen().await;
    }
    assert_eq!(bench.ledger().await.ended_as(Outcome::Cancelled), 4);
}

/// What waits for another run can be called off too.
pub async fn a_job_between_its_runs_can_be_cancelled(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    bench.fail(&leased).await.unwrap();
    assert_eq!(bench.cancel(id).await, Cancelled::Yes(id));
    bench.pass(86_400).await;
    assert!(bench.claim(10).await.is_empty());
}

/// Too late, nothing to do, over, never heard of: each is its own answer.
pub async fn what_does_not_wait_cannot_be_cancelled(bench: &mut Bench) {
    let draft = bench.job("send").tries(1);
    let id = bench.accept(draft.clone()).await;
    let leased = bench.take().await;
    assert_eq!(bench.cancel(id).await, Cancelled::Running(id));
    bench.fail(&leased).await.unwrap();
    assert_eq!(bench.cancel(id).await, Cancelled::Dead(id));
    assert_eq!(bench.phase(id).await, Phase::Dead);
    bench.discard(id).await;
    assert_eq!(bench.cancel(id).await, Cancelled::Ended(id, Outcome::Discarded));
    assert_eq!(bench.cancel(JobId(99)).await, Cancelled::Unknown);
    let again = bench.accept(draft).await;
    assert_eq!(bench.cancel(again).await, Cancelled::Yes(again));
    assert_eq!(bench.cancel(again).await, Cancelled::Ended(again, Outcome::Cancelled));
}

/// A job is called off by its client id.
pub async fn a_job_is_cancelled_by_its_client_id(bench: &mut Bench) {
    let draft = bench.job("send").named("n42");
    let id = bench.accept(draft).await;
    let cancel = |name: &str| Cancel::Job(name.parse::<JobRef>().unwrap());
    assert_eq!(bench.cancel_what(cancel("n43")).await, Cancelled::Unknown);
    assert_eq!(bench.cancel_what(cancel("n42")).await, Cancelled::Yes(id));
    assert_eq!(bench.cancel_what(cancel("n42")).await, Cancelled::Ended(id, Outcome::Cancelled));
}

/// A key calls off the job that waits with it; if none waits, it tells of the
/// one that runs.
pub async fn a_key_cancels_the_job_that_waits_with_it(bench: &mut Bench) {
    assert_eq!(bench.cancel_key("k").await, Cancelled::Unknown);
    let draft = bench.job("a").key("k");
    let first = bench.accept(draft.clone()).await;
    let elsewhere = Cancel::Key(queue("maps"), "k".parse().unwrap());
    assert_eq!(bench.cancel_what(elsewhere).await, Cancelled::Unknown);
    bench.take().await;
    assert_eq!(bench.cancel_key("k").await, Cancelled::Running(first));
    let second = bench.accept(draft.clone()).await;
    assert_eq!(bench.cancel_key("k").await, Cancelled::Yes(second), "that one waits");
    assert_eq!(bench.phase(first).await, Phase::Running);
    let third = bench.accept(draft).await;
    bench.take().await;
    assert_eq!(bench.cancel_key("k").await, Cancelled::Running(third), "the youngest that runs");
    bench.pass(LEASE).await;
    assert_eq!(bench.phase(first).await, Phase::Ready);
    assert_eq!(bench.cancel_key("k").await, Cancelled::Yes(first));
    assert_eq!(bench.cancel_key("k").await, Cancelled::Unknown);
}

/// A key of which nothing waits or runs is unknown, whatever is dead or over.
pub async fn a_key_of_the_dead_and_the_ended_is_unknown(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    let dead = bench.accept_dead(draft).await;
    assert_eq!(bench.cancel_key("k").await, Cancelled::Unknown);
    bench.discard(dead).await;
    assert_eq!(bench.cancel_key("k").await, Cancelled::Unknown);
}

/// A job can be called off while its guard is asked, and then the answer is
/// nothing to it.
pub async fn a_job_whose_guard_is_asked_can_be_cancelled(bench: &mut Bench) {
    let draft = bench.job("a").guarded().key("k");
    let id = bench.accept(draft).await;
    let question = bench.question().await;
    assert_eq!(bench.cancel_key("k").await, Cancelled::Yes(id));
    assert!(bench.answer(&question, Answer::Yes).await.is_err());
    assert!(bench.claim(10).await.is_empty());
    assert_eq!(bench.end(id).await.0, Outcome::Cancelled);
}

/// Nor does it start after its guard said yes.
pub async fn a_job_whose_guard_said_yes_can_be_cancelled(bench: &mut Bench) {
    let draft = bench.job("a").guarded();
    let id = bench.accept(draft).await;
    let question = bench.question().await;
    bench.answer(&question, Answer::Yes).await.unwrap();
    assert_eq!(bench.cancel(id).await, Cancelled::Yes(id));
    assert!(bench.claim(10).await.is_empty());
    assert_eq!(bench.revive(id).await, Revived::Not(id, Phase::Ended));
}
