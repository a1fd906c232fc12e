//! Calls that are under way at the same time.

use std::collections::HashSet;

use job::{Jitter, JobId, JobRef, LeaseSeed, Outcome, Span};

use super::bench::{Bench, MAIL, done, from};
use crate::jobs::{Cancel, Cancelled, Claim, Finish};

/// One of several workers at the same bench, each of which pushes jobs, takes
/// what there is, and ends it. Answers the jobs that it was handed.
async fn work(bench: &Bench, worker: u64) -> Vec<JobId> {
    let now = bench.now();
    let mut taken = Vec::new();
    for turn in 0..20 {
        let name = format!("w{worker}-{turn}");
        let jobs =
            vec![bench.job("a").named(&name).job, bench.job("b").named(&format!("{name}b")).key("k").replacing().job];
        bench.call(|store| store.push(jobs.clone(), now)).await;
        let claim = Claim {
            from: from(&[MAIL]),
            limit: 2,
            worker: name,
            lease_for: Span::from_secs(60),
            seed: LeaseSeed(worker * 1_000 + turn),
        };
        let claimed = bench.call(|store| store.claim(claim.clone(), now)).await;
        let end = |leased: &crate::jobs::Leased| Finish {
            id: JobRef::Id(leased.job.id),
            lease: leased.lease,
            ending: done(),
            jitter: Jitter::ZERO,
        };
        let ends: Vec<_> = claimed.jobs.iter().map(end).collect();
        taken.extend(claimed.jobs.iter().map(|leased| leased.job.id));
        bench.call(|store| store.finish(ends.clone(), now)).await;
    }
    taken
}

/// What several do at once is done one after the other: no job is handed out
/// twice, none is lost, and one holds the key.
pub async fn what_is_done_at_once_is_done_in_some_order(bench: &mut Bench) {
    let at = &*bench;
    let (a, b, c, d) = tokio::join!(work(at, 1), work(at, 2), work(at, 3), work(at, 4));
    let rest = bench.claim(1_000).await;
    for leased in &rest {
        bench.done(leased).await.unwrap();
    }
    let taken: Vec<_> = [a, b, c, d].concat().into_iter().chain(super::bench::ids(&rest)).collect();
    let once: HashSet<_> = taken.iter().collect();
    assert_eq!(once.len(), taken.len(), "a job was handed out twice");
    let ledger = bench.ledger().await;
    assert_eq!((ledger.pushed, ledger.waiting, ledger.running), (160, 0, 0));
    assert_eq!(ledger.ended_as(Outcome::Done), taken.len() as u64);
    assert_eq!(ledger.ended_as(Outcome::Superseded), 160 - taken.len() as u64);
}

/// A job that is claimed and called off at once is one or the other.
pub async fn a_claim_and_a_cancel_at_once_agree(bench: &mut Bench) {
    for turn in 0..50 {
        let draft = bench.job("a");
        let id = bench.accept(draft).await;
        let now = bench.now();
        let seed = LeaseSeed(turn);
        let claim =
            Claim { from: from(&[MAIL]), limit: 1, worker: "w1".to_owned(), lease_for: Span::from_secs(60), seed };
        let claim = async |bench: &Bench| bench.call(|store| store.claim(claim.clone(), now)).await;
        let what = Cancel::Job(JobRef::Id(id));
        let cancel = async |bench: &Bench| bench.call(|store| store.cancel(what.clone(), "ute".to_owned(), now)).await;
        let at = &*bench;
        let (claimed, cancelled) = if turn % 2 == 0 {
            tokio::join!(claim(at), cancel(at))
        } else {
            let (cancelled, claimed) = tokio::join!(cancel(at), claim(at));
            (claimed, cancelled)
        };
        match &claimed.jobs[..] {
            [] => assert!(matches!(cancelled, Cancelled::Yes(_) | Cancelled::Ended(_, Outcome::Cancelled))),
            [leased] => {
                assert_eq!(cancelled, Cancelled::Running(id));
                bench.done(leased).await.unwrap();
            }
            more => panic!("{} jobs were handed out", more.len()),
        }
    }
}
