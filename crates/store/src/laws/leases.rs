//! Leases: their time, their extension, and what follows when they run out.

use job::{Cause, Happened, Phase, Span, State};

use super::bench::{Bench, LEASE};
use crate::jobs::{Revived, Settled, Stale};

/// A job whose worker is not heard of again waits once more, and says so.
pub async fn a_lease_that_runs_out_is_rescued(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    bench.take().await;
    assert!(bench.pass(LEASE - 1).await.rescued.is_empty());
    assert_eq!(bench.phase(id).await, Phase::Running);
    assert_eq!(bench.pass(1).await.rescued, [id]);
    assert_eq!(bench.phase(id).await, Phase::Ready);
    assert!(bench.advance().await.rescued.is_empty(), "once");
    let job = bench.get(id).await;
    assert_eq!((job.rescues, job.failures, job.attempt), (1, 0, 1));
    assert_eq!(job.history.attempts()[0].happened, Happened::Rescued);
    let leased = bench.take().await;
    assert_eq!(leased.job.attempt, 2);
    assert!(bench.done(&leased).await.is_ok());
}

/// A job that takes its worker down each time does not do so for ever.
pub async fn a_job_that_was_rescued_too_often_is_dead(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    for rescues in 1..=3 {
        bench.take().await;
        assert_eq!(bench.pass(LEASE).await.rescued, [id]);
        bench.reopen().await;
        assert_eq!(bench.get(id).await.rescues, rescues);
    }
    assert!(matches!(bench.get(id).await.state, State::Dead { cause: Cause::Rescued, .. }));
    assert!(bench.claim(10).await.is_empty());
    assert_eq!(bench.ledger().await.dead, 1);
    assert_eq!(bench.revive(id).await, Revived::Yes(id));
    assert_eq!(bench.get(id).await.rescues, 0);
    bench.take().await;
    bench.pass(LEASE).await;
    assert_eq!(bench.phase(id).await, Phase::Ready);
}

/// Whoever comes after the time but before the rescue is still heard.
pub async fn a_lease_counts_until_its_job_was_rescued(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b")];
    bench.push(drafts).await;
    let (a, b) = (bench.take().await, bench.take().await);
    bench.clock().advance(Span::from_secs(LEASE + 5));
    assert!(matches!(bench.done(&a).await, Ok(Settled::Ended(_))));
    assert_eq!(bench.extend(&b, LEASE).await, Ok(bench.now().wall + Span::from_secs(LEASE)));
    assert!(bench.advance().await.rescued.is_empty());
    assert_eq!(bench.pass(LEASE).await.rescued, [b.job.id]);
}

/// An extended lease runs out when it was extended to, and not before.
pub async fn an_extension_moves_the_end_of_a_lease(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    for _ in 0..3 {
        bench.pass(LEASE - 1).await;
        assert_eq!(bench.extend(&leased, LEASE).await, Ok(bench.now().wall + Span::from_secs(LEASE)));
    }
    assert_eq!(bench.phase(id).await, Phase::Running);
    assert_eq!(bench.pass(LEASE).await.rescued, [id]);
}

/// A lease can be made shorter.
pub async fn an_extension_may_shorten_a_lease(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    bench.extend(&leased, 5).await.unwrap();
    assert!(bench.pass(4).await.rescued.is_empty());
    assert_eq!(bench.pass(1).await.rescued, [id]);
}

/// Only the holder of a lease extends it.
pub async fn an_extension_without_the_right_changes_nothing(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b")];
    bench.push(drafts).await;
    let mut stranger = bench.take().await;
    stranger.lease.0 ^= 1;
    assert_eq!(bench.extend(&stranger, 600).await, Err(Stale::Other));
    let rescued = bench.pass(LEASE).await.rescued;
    assert_eq!(rescued, [stranger.job.id]);
    stranger.lease.0 ^= 1;
    assert_eq!(bench.extend(&stranger, 600).await, Err(Stale::NotRunning));
    stranger.job.id.0 = 99;
    assert_eq!(bench.extend(&stranger, 600).await, Err(Stale::Unknown));
}

/// A restart changes neither the token of a lease nor its deadline.
pub async fn leases_survive_a_restart_with_token_and_deadline(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b").key("k"), bench.job("c"), bench.job("d")];
    bench.push(drafts).await;
    let [a, b, c, d] = bench.claim(4).await.try_into().unwrap();
    bench.pass(20).await;
    bench.extend(&c, LEASE).await.unwrap();
    bench.reopen().await;
    for leased in [&a, &b, &d] {
        assert_eq!(bench.get(leased.job.id).await, leased.job);
    }
    assert!(matches!(bench.done(&b).await, Ok(Settled::Ended(_))));
    assert!(bench.pass(LEASE - 21).await.rescued.is_empty());
    assert_eq!(bench.pass(1).await.rescued, [a.job.id, d.job.id]);
    bench.reopen().await;
    assert_eq!(bench.done(&a).await, Err(Stale::NotRunning));
    assert_eq!(bench.pass(20).await.rescued, [c.job.id]);
}

/// Whatever is done to the wall clock, a lease lasts as long as was said.
pub async fn a_lease_does_not_mind_the_wall_clock(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    bench.take().await;
    assert!(bench.step(86_400).await.rescued.is_empty());
    assert!(bench.step(-2 * 86_400).await.rescued.is_empty());
    assert!(bench.pass(LEASE - 1).await.rescued.is_empty());
    assert_eq!(bench.pass(1).await.rescued, [id]);
}

/// Leases that ran out are taken in their order, no more at once than asked.
pub async fn lost_jobs_are_rescued_in_the_order_of_their_deadlines(bench: &mut Bench) {
    for _ in 0..6 {
        let draft = bench.job("send");
        bench.accept(draft).await;
    }
    let leased = bench.claim(6).await;
    for (leased, secs) in leased.iter().zip([30, 10, 20, 10, 50, 40]) {
        bench.extend(leased, secs).await.unwrap();
    }
    bench.clock().advance(Span::from_secs(100));
    let mut order = Vec::new();
    loop {
        let advanced = bench.advance_by(2).await;
        assert!(advanced.rescued.len() <= 2);
        order.extend(advanced.rescued.into_iter().map(|id| id.0));
        if !advanced.more {
            break;
        }
    }
    assert_eq!(order, [2, 4, 3, 1, 6, 5]);
}
