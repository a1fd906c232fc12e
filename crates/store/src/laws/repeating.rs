//! Calls that are made again because their answer was lost.
//!
//! The answers here are thrown away by the law itself, so that these hold for
//! every store, and not only through a fault.

use job::{JobId, Outcome};

use super::bench::{Bench, done};
use crate::jobs::{Pushed, Stale};

/// A push with client ids can be repeated: what happened is answered, and
/// nothing happens twice.
pub async fn a_push_with_client_ids_can_be_repeated(bench: &mut Bench) {
    let draft = bench.job("old").key("k");
    let old = bench.accept(draft).await;
    let jobs = {
        let newer = bench.job("a").key("k").named("n1").replacing().job;
        vec![newer, bench.job("b").named("n2").due_in(60).job]
    };
    let now = bench.now();
    drop(bench.store().push(jobs.clone(), now));
    for _ in 0..2 {
        let answers = bench.call(|store| store.push(jobs.clone(), now)).await;
        let ids: Vec<_> = answers
            .into_iter()
            .map(|answer| match answer {
                Pushed::New { id, .. } | Pushed::Known { id, outcome: None } => id.0,
                Pushed::Known { .. } | Pushed::Kept { .. } | Pushed::Rejected { .. } => panic!("{answer:?}"),
            })
            .collect();
        assert_eq!(ids, [2, 3]);
    }
    assert_eq!(bench.end(old).await.0, Outcome::Superseded);
    assert_eq!(bench.ledger().await.pushed, 3);
}

/// A call whose answer nobody waited for takes effect before the next.
pub async fn calls_take_effect_in_their_order(bench: &mut Bench) {
    let now = bench.now();
    let drafts: Vec<_> = (0..50).map(|n| bench.job("a").key("k").replacing().named(&format!("n{n}")).job).collect();
    for job in drafts {
        drop(bench.store().push(vec![job], now));
    }
    let last = bench.job("a").key("k").named("last").replacing();
    let [Pushed::New { replaced, .. }] = bench.push([last]).await else { panic!("not new") };
    assert!(replaced.is_some());
    let leased = bench.take().await;
    assert_eq!(leased.job.client_id.as_ref().map(|id| id.as_str()), Some("last"));
    assert_eq!(bench.ledger().await.waiting, 0);
}

/// An end that was repeated is told that it is over, and how it ended is seen.
pub async fn an_end_can_be_repeated(bench: &mut Bench) {
    let draft = bench.job("a");
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    bench.done(&leased).await.unwrap();
    assert_eq!(bench.finish(&leased, done()).await, Err(Stale::NotRunning));
    assert_eq!(bench.end(id).await.0, Outcome::Done);
    assert_eq!(id, JobId(1));
}
