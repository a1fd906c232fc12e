//! Claims: which jobs, in which order, to whom.

use job::{LeaseSeed, Payload, Phase, Run, Span, State};

use super::bench::{Bench, MAIL, OWN, from, ids};
use crate::jobs::{Claim, From, Leased, MAX_ANSWER_BYTES, Search};

/// The first queue goes first; in each the lower priority, then the older job.
pub async fn jobs_are_claimed_by_queue_then_priority_then_age(bench: &mut Bench) {
    let drafts = [
        bench.job("a").queue("maps").priority(1),
        bench.job("b").priority(9),
        bench.job("c").priority(2),
        bench.job("d").queue("maps").priority(0),
        bench.job("e").priority(2),
        bench.job("f").priority(u32::MAX),
        bench.job("g").priority(0).due_in(60),
        bench.job("h").queue("elsewhere"),
    ];
    bench.push(drafts).await;
    bench.pass(60).await;
    let claimed = bench.claim_from(&[MAIL, "nothing-here", "maps", MAIL], 100).await;
    assert_eq!(numbers(&claimed), [7, 3, 5, 2, 6, 4, 1]);
}

/// Jobs that fell due while others waited take their place among them.
pub async fn the_order_holds_over_many_claims_and_a_restart(bench: &mut Bench) {
    let drafts: Vec<_> =
        (0..60_u32).map(|n| bench.job("a").priority(n * 7 % 5).due_in(if n % 3 == 0 { 60 } else { 0 }).job).collect();
    bench.push_all(drafts).await;
    bench.pass(60).await;
    let mut claimed = Vec::new();
    for n in 0..10 {
        if n == 5 {
            bench.reopen().await;
        }
        let some = bench.claim(6).await;
        assert_eq!(some.len(), 6);
        claimed.extend(some.into_iter().map(|leased| (leased.job.spec.priority, leased.job.id)));
    }
    assert!(claimed.is_sorted(), "{claimed:?}");
    assert!(bench.claim(6).await.is_empty());
}

/// A claim takes no more than it asks for.
pub async fn a_claim_takes_no_more_than_its_limit(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b"), bench.job("c").queue("maps")];
    bench.push(drafts).await;
    assert!(bench.claim(0).await.is_empty());
    assert_eq!(numbers(&bench.claim_from(&[MAIL, "maps"], 2).await), [1, 2]);
    assert_eq!(numbers(&bench.claim_from(&[MAIL, "maps"], 2).await), [3]);
}

/// However much is asked for, an answer has room in memory.
pub async fn a_claim_and_a_page_hold_only_so_many_bytes(bench: &mut Bench) {
    const MORE: usize = MAX_ANSWER_BYTES / Payload::MAX_BYTES + 2;
    for _ in 0..MORE {
        let mut draft = bench.job("large");
        draft.job.spec.payload = Payload::new(vec![b'1'; Payload::MAX_BYTES]).unwrap();
        bench.push([draft]).await;
    }
    let page = bench.search(Search { limit: 100, ..Search::default() }).await;
    assert_eq!(page.jobs.len(), MORE - 2);
    let rest = bench.search(Search { limit: 100, after: page.next, ..Search::default() }).await;
    assert_eq!((rest.jobs.len(), rest.next), (2, None));
    assert_eq!(bench.claim(100).await.len(), MORE - 2);
    assert_eq!(bench.claim(100).await.len(), 2);
}

/// What one claim took, no other takes.
pub async fn a_job_is_handed_out_once(bench: &mut Bench) {
    let draft = bench.job("a");
    bench.accept(draft).await;
    let leased = bench.take().await;
    assert!(bench.claim(10).await.is_empty());
    bench.reopen().await;
    assert!(bench.claim(10).await.is_empty());
    bench.done(&leased).await.unwrap();
    assert!(bench.claim(10).await.is_empty());
}

/// Not a moment before it is due.
pub async fn a_job_is_not_claimed_before_it_is_due(bench: &mut Bench) {
    let drafts = [bench.job("a").due_in(60), bench.job("b").due_at(60)];
    bench.push(drafts).await;
    bench.pass(59).await;
    assert!(bench.claim(10).await.is_empty());
    bench.clock().advance(Span::from_micros(999_999));
    bench.advance().await;
    assert!(bench.claim(10).await.is_empty());
    bench.clock().advance(Span::from_micros(1));
    bench.advance().await;
    assert_eq!(bench.claim(10).await.len(), 2);
}

/// What is due when it is pushed can be claimed at once, whatever its clock.
pub async fn a_job_that_is_pushed_due_is_claimable_at_once(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b").due_at(0)];
    bench.push(drafts).await;
    assert_eq!(bench.claim(10).await.len(), 2);
}

/// A claimed job says who runs it, since when, until when, under which lease.
pub async fn a_claimed_job_runs_under_its_lease(bench: &mut Bench) {
    let draft = bench.job("a").named("n1").key("k");
    let id = bench.accept(draft).await;
    let now = bench.now();
    let claim = Claim {
        from: from(&[MAIL]),
        limit: 1,
        worker: "host-7:12".to_owned(),
        lease_for: Span::from_secs(90),
        seed: LeaseSeed(42),
    };
    let claimed = bench.call(|store| store.claim(claim.clone(), now)).await;
    assert!(!claimed.unasked);
    let leased = &claimed.jobs[0];
    assert_eq!(leased.lease, LeaseSeed(42).lease(id, 1));
    assert_eq!(leased.until, now.wall + Span::from_secs(90));
    assert_eq!(leased.job.attempt, 1);
    let until = job::Moment::after(now, Span::from_secs(90));
    let run = Run { lease: leased.lease, until, worker: "host-7:12".to_owned(), started: now.wall };
    assert_eq!(leased.job.state, State::Running(run));
    assert_eq!(bench.get(id).await, leased.job);
    assert_eq!(bench.phase(id).await, Phase::Running);
}

/// A kind that is the rules' own is claimed by its kind, and by nothing else.
pub async fn own_kinds_are_not_handed_to_those_who_ask_for_queues(bench: &mut Bench) {
    let drafts = [bench.job(OWN), bench.job("a")];
    bench.push(drafts).await;
    assert_eq!(numbers(&bench.claim(10).await), [2]);
    assert_eq!(numbers(&bench.claim_as(own(), 10).await.jobs), [1]);
}

/// A kind is claimed through all queues, by priority, then age.
pub async fn a_kind_is_claimed_through_all_queues(bench: &mut Bench) {
    let drafts = [
        bench.job(OWN).queue("z").priority(5),
        bench.job(OWN).queue("a").priority(5),
        bench.job("other").queue("a").priority(0),
        bench.job(OWN).queue("m").priority(3).due_in(60),
        bench.job(OWN).queue("held").priority(0),
        bench.job(OWN).queue("a").priority(7),
    ];
    bench.push(drafts).await;
    bench.pause("held", None).await;
    bench.pass(60).await;
    assert_eq!(numbers(&bench.claim_as(own(), 3).await.jobs), [4, 1, 2]);
    bench.reopen().await;
    bench.resume("held").await;
    assert_eq!(numbers(&bench.claim_as(own(), 10).await.jobs), [5, 6]);
}

/// A kind that is not the rules' own is not claimed by its kind.
pub async fn a_kind_of_others_cannot_be_claimed_as_ones_own(bench: &mut Bench) {
    let draft = bench.job("a");
    bench.accept(draft).await;
    assert!(bench.claim_as(From::Kind("a".parse().unwrap()), 10).await.jobs.is_empty());
    assert_eq!(bench.claim(10).await.len(), 1);
}

/// Which kinds are the rules' own is looked at when the store is opened.
pub async fn another_set_of_own_kinds_counts_after_a_restart(bench: &mut Bench) {
    let drafts = [bench.job(OWN), bench.job("a")];
    bench.push(drafts).await;
    let rules = job::Rules { own_kinds: ["a".parse().unwrap()].into(), ..super::bench::rules() };
    bench.reopen_under(rules).await;
    assert_eq!(numbers(&bench.claim(10).await), [1]);
    assert!(bench.claim_as(own(), 10).await.jobs.is_empty());
    assert_eq!(numbers(&bench.claim_as(From::Kind("a".parse().unwrap()), 10).await.jobs), [2]);
}

/// Many workers that ask in turn get every job once.
pub async fn a_thousand_jobs_are_handed_out_once_each(bench: &mut Bench) {
    let drafts = (0..1_000).map(|_| bench.job("a").job).collect();
    bench.push_all(drafts).await;
    let mut taken = Vec::new();
    while let claimed @ [_, ..] = &bench.claim(7).await[..] {
        taken.extend(ids(claimed));
    }
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 1_000);
    assert_eq!(bench.ledger().await.running, 1_000);
}

fn own() -> From {
    From::Kind(OWN.parse().unwrap())
}

/// The ids as bare numbers.
fn numbers(leased: &[Leased]) -> Vec<u64> {
    ids(leased).into_iter().map(|id| id.0).collect()
}
