//! What follows a run that did not do its work.

use job::{Again, Cause, Ending, Happened, History, Jitter, JobId, JobRef, Phase, Policy, Span, State, Wait};

use super::bench::{Bench, fail};
use crate::jobs::{Discarded, Finish, Revived, Settled};

/// How many seconds from now the job is due.
async fn waits(bench: &Bench, id: JobId) -> i64 {
    match bench.get(id).await.state {
        State::Waiting { due, wait: Wait::Again, ask_at: None } => due.remaining(bench.now()).as_micros() / 1_000_000,
        state @ (State::Waiting { .. } | State::Running(_) | State::Dead { .. } | State::Ended { .. }) => {
            panic!("{id} does not wait again: {state:?}")
        }
    }
}

/// A failed job waits as its policy says, again and again, until it is dead.
pub async fn a_failed_job_waits_ever_longer_and_then_is_dead(bench: &mut Bench) {
    let draft = bench.job("send").tries(4);
    let id = bench.accept(draft).await;
    for secs in [5, 10, 15] {
        let leased = bench.take().await;
        let due = bench.now().wall + Span::from_secs(secs);
        assert_eq!(bench.fail(&leased).await, Ok(Settled::Waits(due)));
        assert_eq!(waits(bench, id).await, i64::from(secs));
        assert_eq!(bench.phase(id).await, Phase::Retrying);
        bench.pass(secs - 1).await;
        assert!(bench.claim(10).await.is_empty());
        bench.pass(1).await;
        assert_eq!(bench.phase(id).await, Phase::Ready);
    }
    let leased = bench.take().await;
    assert_eq!((leased.job.attempt, leased.job.failures), (4, 3));
    assert_eq!(bench.fail(&leased).await, Ok(Settled::Dead));
    let since = bench.now().wall;
    bench.reopen().await;
    bench.pass(86_400).await;
    assert!(bench.claim(10).await.is_empty());
    let job = bench.get(id).await;
    assert_eq!(job.state, State::Dead { since, cause: Cause::Exhausted });
    assert_eq!((job.attempt, job.failures), (4, 4));
    assert_eq!(job.history.attempts().len(), 4);
}

/// Jitter lengthens the wait up to what the policy says.
pub async fn jitter_spreads_what_failed_together(bench: &mut Bench) {
    let mut draft = bench.job("send");
    draft.job.spec.retry = Policy { max_attempts: 9, first: Span::from_secs(100), cap: Span::from_secs(100) };
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    let jitter = Jitter::from_bits(1 << 31);
    let end = Finish { id: JobRef::Id(id), lease: leased.lease, ending: fail(Again::ByPolicy), jitter };
    bench.finish_all([end]).await[0].unwrap();
    assert_eq!(waits(bench, id).await, 75);
}

/// A wait that the worker asks for lengthens the one that was drawn.
pub async fn a_worker_may_ask_for_a_longer_wait(bench: &mut Bench) {
    let draft = bench.job("send").tries(3);
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    bench.finish(&leased, fail(Again::NotBefore(Span::from_secs(90)))).await.unwrap();
    assert_eq!(waits(bench, id).await, 90);
    bench.pass(90).await;
    let leased = bench.take().await;
    bench.finish(&leased, fail(Again::NotBefore(Span::from_secs(1)))).await.unwrap();
    assert_eq!(waits(bench, id).await, 10);
}

/// What a worker says is of no use to try again is dead at once.
pub async fn a_permanent_failure_is_not_tried_again(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept_dead(draft).await;
    assert!(matches!(bench.get(id).await.state, State::Dead { cause: Cause::Permanent, .. }));
    assert_eq!(bench.ledger().await.dead, 1);
}

/// A snooze is no failure and spends no attempt.
pub async fn a_snooze_spends_no_attempt(bench: &mut Bench) {
    let draft = bench.job("send").tries(1);
    let id = bench.accept(draft).await;
    for times in 1..=5 {
        let leased = bench.take().await;
        let ending = Ending::Snoozed { after: Span::from_secs(30), why: Some("closed on Sundays".to_owned()) };
        let due = bench.now().wall + Span::from_secs(30);
        assert_eq!(bench.finish(&leased, ending).await, Ok(Settled::Waits(due)));
        assert_eq!(bench.phase(id).await, Phase::Retrying);
        bench.reopen().await;
        let job = bench.get(id).await;
        assert_eq!((job.snoozes, job.failures, job.attempt), (times, 0, times));
        bench.pass(30).await;
    }
    let history = bench.get(id).await.history;
    assert_eq!(history.attempts()[0].happened, Happened::Snoozed { why: Some("closed on Sundays".to_owned()) });
    let leased = bench.take().await;
    assert_eq!(bench.fail(&leased).await, Ok(Settled::Dead), "its one attempt");
}

/// A snooze of no time is due at once.
pub async fn a_snooze_of_no_time_is_due_at_once(bench: &mut Bench) {
    let draft = bench.job("send");
    bench.accept(draft).await;
    let leased = bench.take().await;
    assert_eq!(bench.snooze(&leased, 0).await, Ok(Settled::Waits(bench.now().wall)));
    assert_eq!(bench.take().await.job.attempt, 2);
}

/// Each run has another lease, and its own place in the history.
pub async fn every_attempt_is_another_one(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    let mut leases = std::collections::HashSet::new();
    for n in 1..=30 {
        let leased = bench.take().await;
        assert_eq!(leased.job.attempt, n);
        assert!(leases.insert(leased.lease));
        bench.snooze(&leased, 0).await.unwrap();
    }
    bench.reopen().await;
    let history = bench.get(id).await.history;
    let numbers: Vec<_> = history.attempts().iter().map(|attempt| attempt.number).collect();
    assert_eq!((numbers.len(), numbers[0], numbers[1], numbers[19]), (History::MAX, 1, 12, 30));
    assert_eq!(history.dropped(), 10);
}

/// A revived job waits, due now, with all its attempts anew.
pub async fn a_revived_job_has_all_its_attempts_again(bench: &mut Bench) {
    let draft = bench.job("send").tries(2);
    let id = bench.accept(draft).await;
    for settled in [None, Some(Settled::Dead)] {
        let leased = bench.take().await;
        let answer = bench.fail(&leased).await.unwrap();
        assert!(settled.is_none_or(|settled| settled == answer));
        bench.pass(30).await;
    }
    assert_eq!(bench.revive(id).await, Revived::Yes(id));
    bench.reopen().await;
    let job = bench.get(id).await;
    assert_eq!((job.attempt, job.failures, job.rescues), (2, 0, 0));
    assert_eq!(job.history.attempts().len(), 2);
    assert_eq!(bench.phase(id).await, Phase::Ready);
    let leased = bench.take().await;
    assert!(matches!(bench.fail(&leased).await, Ok(Settled::Waits(_))));
    assert_eq!(bench.ledger().await.dead, 0);
}

/// A job that waits for later can be had now.
pub async fn a_waiting_job_can_be_made_due(bench: &mut Bench) {
    let drafts = [bench.job("a").due_in(3_600), bench.job("b").due_at(3_600), bench.job("c").tries(2)];
    bench.push(drafts).await;
    let leased = bench.take().await;
    bench.fail(&leased).await.unwrap();
    for id in [1, 2, 3].map(JobId) {
        assert!(bench.claim(10).await.is_empty());
        assert_eq!(bench.revive(id).await, Revived::Yes(id));
        assert_eq!(bench.take().await.job.id, id);
    }
    bench.pass(7_200).await;
    assert!(bench.claim(0).await.is_empty());
}

/// What runs, or is over, is not revived; what is not dead is not deleted.
pub async fn only_what_rests_is_revived_or_deleted(bench: &mut Bench) {
    let drafts = [bench.job("runs"), bench.job("ends"), bench.job("waits").due_in(60)];
    bench.push(drafts).await;
    let (runs, ends, waits) = (JobId(1), JobId(2), JobId(3));
    bench.take().await;
    bench.cancel(ends).await;
    assert_eq!(bench.revive(runs).await, Revived::Not(runs, Phase::Running));
    assert_eq!(bench.revive(ends).await, Revived::Not(ends, Phase::Ended));
    assert_eq!(bench.revive(JobId(9)).await, Revived::Unknown);
    assert_eq!(bench.discard(runs).await, Discarded::NotDead(runs, Phase::Running));
    assert_eq!(bench.discard(ends).await, Discarded::NotDead(ends, Phase::Ended));
    assert_eq!(bench.discard(waits).await, Discarded::NotDead(waits, Phase::Scheduled));
    assert_eq!(bench.discard(JobId(9)).await, Discarded::Unknown);
}

/// A deleted job ends as discarded, says by whom, and stays so.
pub async fn a_deleted_job_is_over(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept_dead(draft).await;
    assert_eq!(bench.discard(id).await, Discarded::Yes(id));
    assert_eq!(bench.end(id).await, (job::Outcome::Discarded, Some("ute".to_owned())));
    assert_eq!(bench.revive(id).await, Revived::Not(id, Phase::Ended));
    assert_eq!(bench.discard(id).await, Discarded::NotDead(id, Phase::Ended));
    bench.reopen().await;
    assert_eq!(bench.end(id).await.0, job::Outcome::Discarded);
}
