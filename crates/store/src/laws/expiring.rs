//! Work that is no longer wanted, and work that is late.

use job::{Cause, JobId, Outcome, Phase, Span, State};

use super::bench::{Bench, EXPIRED_LATE, HELD_LATE, LEASE, MAIL, from};
use crate::jobs::{Revived, Settled};

/// A waiting job ends when it is no longer wanted, on the clock that it names.
pub async fn a_waiting_job_expires(bench: &mut Bench) {
    let drafts = [
        bench.job("a").expiring_in(60),
        bench.job("b").expiring_at(60),
        bench.job("c").due_in(90).expiring_in(60),
        bench.job("d").guarded().expiring_in(60),
        bench.job("e").queue("held").expiring_in(60),
        bench.job("f"),
    ];
    bench.push(drafts).await;
    bench.pause("held", None).await;
    bench.pass(59).await;
    assert_eq!(bench.ledger().await.waiting, 6);
    bench.pass(1).await;
    for id in (1..=5).map(JobId) {
        assert_eq!(bench.end(id).await, (Outcome::Expired, None), "{id}");
    }
    let ledger = bench.ledger().await;
    assert_eq!((ledger.waiting, ledger.ended_as(Outcome::Expired)), (1, 5));
}

/// A job found expired by a claim is not handed out, even if nothing ended it
/// yet.
pub async fn an_expired_job_is_not_claimed(bench: &mut Bench) {
    let drafts = [bench.job("a").expiring_in(60), bench.job("b"), bench.job("c").expiring_at(60)];
    bench.push(drafts).await;
    bench.clock().advance(Span::from_secs(60));
    let claimed = bench.claim(2).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].job.id, JobId(2));
    for id in [1, 3].map(JobId) {
        assert_eq!(bench.end(id).await.0, Outcome::Expired);
    }
}

/// A job that has started is not stopped; one that would wait again expires.
pub async fn a_running_job_does_not_expire(bench: &mut Bench) {
    let drafts = [bench.job("a").expiring_in(10), bench.job("b").expiring_in(10)];
    bench.push(drafts).await;
    let (a, b) = (bench.take().await, bench.take().await);
    bench.pass(20).await;
    assert_eq!(bench.phase(a.job.id).await, Phase::Running);
    assert_eq!(bench.done(&a).await, Ok(Settled::Ended(Outcome::Done)));
    assert!(matches!(bench.fail(&b).await, Ok(Settled::Waits(_))));
    bench.advance().await;
    assert_eq!(bench.end(b.job.id).await.0, Outcome::Expired);
}

/// A rescued job whose time is over expires as well.
pub async fn a_rescued_job_expires(bench: &mut Bench) {
    let draft = bench.job("a").expiring_in(10);
    let id = bench.accept(draft).await;
    bench.take().await;
    assert_eq!(bench.pass(LEASE).await.rescued, [id]);
    bench.advance().await;
    assert_eq!(bench.end(id).await.0, Outcome::Expired);
}

/// An expiry on the wall clock follows it, one after a time does not.
pub async fn an_expiry_keeps_to_its_clock(bench: &mut Bench) {
    let drafts = [bench.job("a").expiring_in(60), bench.job("b").expiring_at(60)];
    bench.push(drafts).await;
    bench.step(3_600).await;
    assert_eq!(bench.phase(JobId(1)).await, Phase::Ready);
    assert_eq!(bench.end(JobId(2)).await.0, Outcome::Expired);
    bench.step(-7_200).await;
    bench.pass(60).await;
    assert_eq!(bench.end(JobId(1)).await.0, Outcome::Expired);
}

/// Expiry survives a restart.
pub async fn a_job_expires_after_a_restart(bench: &mut Bench) {
    let drafts = [bench.job("a").expiring_in(60), bench.job("b").expiring_at(60)];
    bench.push(drafts).await;
    bench.reopen().await;
    bench.pass(60).await;
    assert_eq!(bench.ledger().await.ended_as(Outcome::Expired), 2);
}

/// A dead job rests until a person looks, however old it is.
pub async fn a_dead_job_does_not_expire(bench: &mut Bench) {
    let draft = bench.job("a").expiring_in(60);
    let id = bench.accept_dead(draft).await;
    bench.pass(7_200).await;
    assert_eq!(bench.phase(id).await, Phase::Dead);
    assert_eq!(bench.revive(id).await, Revived::Yes(id));
    bench.advance().await;
    assert_eq!(bench.end(id).await.0, Outcome::Expired, "but it is no longer wanted");
}

/// Late work is run where no rule says otherwise.
pub async fn late_work_is_run_by_default(bench: &mut Bench) {
    let draft = bench.job("a");
    bench.accept(draft).await;
    bench.pass(30 * 86_400).await;
    assert_eq!(bench.claim(1).await.len(), 1);
}

/// Late work is laid aside where the rule says so, and can be revived: then it
/// is not late.
pub async fn late_work_is_held_where_the_queue_says_so(bench: &mut Bench) {
    let draft = bench.job("a").queue(HELD_LATE);
    let id = bench.accept(draft).await;
    bench.pass(3_601).await;
    assert_eq!(bench.phase(id).await, Phase::Ready, "nobody was about to run it");
    assert!(bench.claim_from(&[HELD_LATE], 10).await.is_empty());
    let since = bench.now().wall;
    assert_eq!(bench.get(id).await.state, State::Dead { since, cause: Cause::Late });
    assert_eq!(bench.revive(id).await, Revived::Yes(id));
    assert_eq!(bench.claim_from(&[HELD_LATE], 10).await.len(), 1);
}

/// Late work is ended where the rule says so, and says how late it was.
pub async fn late_work_is_expired_where_the_queue_says_so(bench: &mut Bench) {
    let drafts = [bench.job("a").queue(EXPIRED_LATE), bench.job("b").queue(EXPIRED_LATE).due_in(60)];
    bench.push(drafts).await;
    bench.reopen().await;
    bench.pass(3_605).await;
    let claimed = bench.claim_from(&[EXPIRED_LATE], 1).await;
    assert_eq!(claimed.len(), 1, "the one that is late is passed over");
    assert_eq!(claimed[0].job.id, JobId(2));
    assert_eq!(bench.end(JobId(1)).await, (Outcome::Expired, Some("found 1h5s late".to_owned())));
}

/// Work is late after the time of the rule, not with it.
pub async fn work_is_late_after_its_time(bench: &mut Bench) {
    let draft = bench.job("a").queue(EXPIRED_LATE);
    bench.accept(draft).await;
    bench.pass(3_600).await;
    assert_eq!(bench.claim_from(&[EXPIRED_LATE], 10).await.len(), 1);
}

/// A claim leaves alone what it could not hand out; late work with a guard is
/// found when the guard is to be asked.
pub async fn late_work_with_a_guard_is_found_by_its_question(bench: &mut Bench) {
    let draft = bench.job("a").queue(HELD_LATE).guarded();
    let id = bench.accept(draft).await;
    bench.pass(3_601).await;
    let claimed = bench.claim_as(from(&[HELD_LATE]), 10).await;
    assert_eq!((claimed.jobs.len(), claimed.unasked), (0, true));
    assert_eq!(bench.phase(id).await, Phase::Ready);
    assert!(bench.ask_from(from(&[HELD_LATE]), 10).await.is_empty());
    assert_eq!(bench.phase(id).await, Phase::Dead);
}

/// What a claim does not reach is not looked at.
pub async fn late_work_behind_a_full_claim_is_left_alone(bench: &mut Bench) {
    let drafts = [bench.job("a").queue(EXPIRED_LATE).priority(1), bench.job("b")];
    bench.push(drafts).await;
    bench.pass(3_601).await;
    assert_eq!(bench.claim_from(&[MAIL, EXPIRED_LATE], 1).await.len(), 1);
    assert_eq!(bench.phase(JobId(1)).await, Phase::Ready);
    assert!(bench.claim_from(&[MAIL, EXPIRED_LATE], 1).await.is_empty());
    assert_eq!(bench.phase(JobId(1)).await, Phase::Ended);
}
