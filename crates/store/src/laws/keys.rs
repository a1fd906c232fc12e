//! Keys: who holds one, who waits for nobody, who gives way.

use job::{Again, JobId, Outcome, Phase, Step};

use super::bench::{Bench, EXPIRED_LATE, HELD_LATE, done, fail};
use crate::jobs::{Cancelled, Pushed, Revived, Settled};

/// The detail of the end of a job that `newer` replaced.
fn replaced_by(newer: JobId) -> (Outcome, Option<String>) {
    match Step::replaced_by(newer) {
        Step::End { outcome, detail } => (outcome, detail),
        step @ (Step::Wait(_) | Step::Rest(_)) => panic!("not an end: {step:?}"),
    }
}

/// A push whose key is held is kept back, and answers the job that waits.
pub async fn a_held_key_keeps_the_first_job(bench: &mut Bench) {
    let (first, second) = (bench.job("a").key("k").named("n1").due_in(60), bench.job("b").key("k"));
    let id = bench.accept(first).await;
    let kept = Pushed::Kept { id, client_id: Some("n1".parse().unwrap()) };
    assert_eq!(bench.push([second]).await, [kept]);
    assert_eq!(bench.ledger().await.pushed, 1);
    bench.pass(60).await;
    assert_eq!(bench.take().await.job.spec.kind.as_str(), "a");
}

/// A push that asks for it is refused when its key is held.
pub async fn a_held_key_rejects_who_asks_for_that(bench: &mut Bench) {
    let (first, second) = (bench.job("a").key("k").named("n1"), bench.job("b").key("k").or_rejected());
    let id = bench.accept(first).await;
    assert_eq!(bench.push([second]).await, [Pushed::Rejected { id, client_id: Some("n1".parse().unwrap()) }]);
    assert_eq!(bench.ledger().await.pushed, 1);
}

/// A push that replaces ends the job that waits, which says by which.
pub async fn a_newer_job_takes_the_place_of_the_one_that_waits(bench: &mut Bench) {
    let (first, second) = (bench.job("a").key("k").due_in(60), bench.job("b").key("k").replacing().due_in(90));
    let old = bench.accept(first).await;
    let [Pushed::New { id, replaced }] = bench.push([second]).await else { panic!("not new") };
    assert_eq!(replaced, Some(old));
    assert_eq!(bench.end(old).await, replaced_by(id));
    bench.pass(60).await;
    assert!(bench.claim(10).await.is_empty(), "the old one does not run");
    bench.pass(30).await;
    assert_eq!(bench.take().await.job.id, id);
    assert_eq!(bench.ledger().await.ended_as(Outcome::Superseded), 1);
}

/// With `replace` a hundred times, one job waits.
pub async fn replacing_again_and_again_leaves_the_last(bench: &mut Bench) {
    let mut last = None;
    for _ in 0..100 {
        let draft = bench.job("a").key("k").replacing();
        let [Pushed::New { id, replaced }] = bench.push([draft]).await else { panic!("not new") };
        assert_eq!(replaced, last);
        last = Some(id);
    }
    let ledger = bench.ledger().await;
    assert_eq!((ledger.waiting, ledger.ended_as(Outcome::Superseded)), (1, 99));
}

/// The same key in another queue is another key.
pub async fn a_key_is_held_in_one_queue_only(bench: &mut Bench) {
    let (mail, maps) = (bench.job("a").key("k"), bench.job("a").key("k").queue("maps"));
    bench.accept(mail).await;
    bench.accept(maps).await;
    let other = bench.job("a").key("K");
    bench.accept(other).await;
}

/// Within one push, later jobs meet the keys of earlier ones.
pub async fn later_jobs_of_a_push_see_the_keys_of_earlier_ones(bench: &mut Bench) {
    let first = bench.job("a").key("k").named("n1");
    let (newer, kept) = (bench.job("b").key("k").named("n2").replacing(), bench.job("c").key("k"));
    let answers = bench.push([first, newer, kept]).await;
    let client_id = Some("n2".parse().unwrap());
    let new = |id, replaced| Pushed::New { id: JobId(id), replaced };
    assert_eq!(answers, [new(1, None), new(2, Some(JobId(1))), Pushed::Kept { id: JobId(2), client_id }]);
    assert_eq!(bench.end(JobId(1)).await, replaced_by(JobId(2)));
}

/// A running job holds no key: a change that comes while it runs is not lost.
pub async fn a_key_is_free_when_its_job_starts(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    bench.accept(draft.clone()).await;
    let first = bench.take().await;
    bench.accept(draft.clone()).await;
    let second = bench.take().await;
    assert_eq!(bench.done(&first).await, Ok(Settled::Ended(Outcome::Done)));
    assert_eq!(bench.done(&second).await, Ok(Settled::Ended(Outcome::Done)));
    bench.accept(draft).await;
}

/// A key is free when its job was called off, expired, or is dead.
pub async fn a_key_is_free_when_its_job_waits_no_longer(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    let cancelled = bench.accept(draft.clone()).await;
    bench.cancel(cancelled).await;
    bench.accept_dead(draft.clone()).await;
    bench.accept(draft.clone().expiring_in(60)).await;
    bench.pass(60).await;
    let refused = bench.accept(draft.clone().guarded()).await;
    let question = bench.question().await;
    bench.answer(&question, job::Answer::No(None)).await.unwrap();
    assert_eq!(bench.end(refused).await, (Outcome::Skipped, None));
    bench.accept(draft).await;
}

/// A job that failed and waits again holds its key again.
pub async fn a_job_that_comes_back_holds_its_key_again(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    let id = bench.accept(draft.clone()).await;
    let leased = bench.take().await;
    assert!(matches!(bench.fail(&leased).await, Ok(Settled::Waits(_))));
    for _ in 0..2 {
        assert!(matches!(bench.push([draft.clone()]).await, [Pushed::Kept { id: held, .. }] if held == id));
        bench.reopen().await;
    }
}

/// A failed job that finds its key taken by a newer one is superseded.
pub async fn a_failed_job_gives_way_to_a_newer_one_with_its_key(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    let old = bench.accept(draft.clone()).await;
    let leased = bench.take().await;
    let newer = bench.accept(draft).await;
    assert_eq!(bench.fail(&leased).await, Ok(Settled::Ended(Outcome::Superseded)));
    assert_eq!(bench.end(old).await.0, Outcome::Superseded);
    assert_eq!(bench.get(old).await.history.attempts().len(), 1, "its failure is not forgotten");
    assert_eq!(bench.phase(newer).await, Phase::Ready);
}

/// So is one that asked to be run later.
pub async fn a_snoozed_job_gives_way_to_a_newer_one_with_its_key(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    bench.accept(draft.clone()).await;
    let leased = bench.take().await;
    bench.accept(draft).await;
    assert_eq!(bench.snooze(&leased, 5).await, Ok(Settled::Ended(Outcome::Superseded)));
}

/// So is one that lost its worker.
pub async fn a_rescued_job_gives_way_to_a_newer_one_with_its_key(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    let old = bench.accept(draft.clone()).await;
    bench.take().await;
    let newer = bench.accept(draft).await;
    assert_eq!(bench.pass(60).await.rescued, [old]);
    assert_eq!(bench.end(old).await.0, Outcome::Superseded);
    assert_eq!(bench.take().await.job.id, newer);
}

/// One that has nothing left to wait for ends as it would without the other.
pub async fn a_job_that_would_not_wait_does_not_mind_its_key(bench: &mut Bench) {
    let draft = bench.job("a").key("k").tries(1);
    bench.accept(draft.clone()).await;
    let first = bench.take().await;
    bench.accept(draft.clone()).await;
    let second = bench.take().await;
    bench.accept(draft).await;
    assert_eq!(bench.finish(&first, done()).await, Ok(Settled::Ended(Outcome::Done)));
    assert_eq!(bench.fail(&second).await, Ok(Settled::Dead));
}

/// Of two that run with one key, the first to come back waits, the other ends.
pub async fn of_two_runs_with_one_key_one_waits_again(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    bench.accept(draft.clone()).await;
    let first = bench.take().await;
    bench.accept(draft).await;
    let second = bench.take().await;
    assert!(matches!(bench.fail(&second).await, Ok(Settled::Waits(_))));
    assert_eq!(bench.fail(&first).await, Ok(Settled::Ended(Outcome::Superseded)));
}

/// Of two that lost their workers, the one whose lease ran out first waits.
pub async fn of_two_lost_runs_with_one_key_the_earlier_lease_waits_again(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    let first = bench.accept(draft.clone()).await;
    let leased = bench.take().await;
    let second = bench.accept(draft).await;
    bench.take().await;
    bench.extend(&leased, 90).await.unwrap();
    assert_eq!(bench.pass(100).await.rescued, [second, first]);
    assert_eq!(bench.phase(second).await, Phase::Ready);
    assert_eq!(bench.end(first).await.0, Outcome::Superseded);
}

/// A dead job whose key is held stays dead, and says by whom.
pub async fn a_dead_job_whose_key_is_held_is_not_revived(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    let dead = bench.accept_dead(draft.clone()).await;
    let holder = bench.accept(draft.clone()).await;
    assert_eq!(bench.revive(dead).await, Revived::KeyHeld(dead, holder));
    assert_eq!(bench.phase(dead).await, Phase::Dead);
    bench.cancel(holder).await;
    assert_eq!(bench.revive(dead).await, Revived::Yes(dead));
    assert!(matches!(bench.push([draft]).await, [Pushed::Kept { id, .. }] if id == dead), "it holds the key again");
}

/// A holder whose time is over keeps nobody back, even if nothing ended it yet.
pub async fn an_expired_holder_gives_way(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    let old = bench.accept(draft.clone().due_in(90).expiring_in(60)).await;
    bench.clock().advance(job::Span::from_secs(60));
    let [Pushed::New { replaced, .. }] = bench.push([draft]).await else { panic!("kept by an expired job") };
    assert_eq!(replaced, None);
    assert_eq!(bench.end(old).await.0, Outcome::Expired);
}

/// So does one that is late where late work is not run.
pub async fn a_late_holder_gives_way(bench: &mut Bench) {
    for queue in [HELD_LATE, EXPIRED_LATE] {
        let draft = bench.job("a").key("k").queue(queue);
        let old = bench.accept(draft.clone()).await;
        bench.pass(3_601).await;
        let newer = bench.job("a").key("k").queue(queue).or_rejected();
        bench.accept(newer).await;
        let phase = if queue == HELD_LATE { Phase::Dead } else { Phase::Ended };
        assert_eq!(bench.phase(old).await, phase, "{queue}");
    }
}

/// A dead job meets a late holder no more than a push does.
pub async fn a_dead_job_is_revived_over_a_late_holder(bench: &mut Bench) {
    let draft = bench.job("a").key("k").queue(EXPIRED_LATE);
    let dead = bench.accept_dead(draft.clone()).await;
    let holder = bench.accept(draft).await;
    bench.pass(3_601).await;
    assert_eq!(bench.revive(dead).await, Revived::Yes(dead));
    assert_eq!(bench.end(holder).await.0, Outcome::Expired);
}

/// Who held a key before a restart holds it after.
pub async fn keys_are_held_over_a_restart(bench: &mut Bench) {
    let draft = bench.job("a").key("k");
    let id = bench.accept(draft.clone().due_in(60)).await;
    let running = bench.job("a").key("r");
    bench.accept(running.clone()).await;
    let leased = bench.take().await;
    bench.reopen().await;
    assert!(matches!(bench.push([draft]).await, [Pushed::Kept { id: held, .. }] if held == id));
    assert_eq!(bench.cancel_key("r").await, Cancelled::Running(leased.job.id));
    let newer = bench.accept(running).await;
    assert_eq!(bench.finish(&leased, fail(Again::ByPolicy)).await, Ok(Settled::Ended(Outcome::Superseded)));
    assert_eq!(bench.cancel_key("r").await, Cancelled::Yes(newer));
}
