//! The ledger: everything that was ever pushed is somewhere.

use job::ledger::Ledger;
use job::{Again, Answer, Outcome};

use super::bench::{Bench, EXPIRED_LATE, LEASE, fail};

/// Where jobs are, in few words: waiting, running, dead, then the outcomes.
fn counts(ledger: &Ledger) -> [u64; 9] {
    let [done, skipped, cancelled, superseded, expired, discarded] =
        Outcome::ALL.map(|outcome| ledger.ended_as(outcome));
    [ledger.waiting, ledger.running, ledger.dead, done, skipped, cancelled, superseded, expired, discarded]
}

async fn counted(bench: &Bench) -> [u64; 9] {
    let recount = bench.recount().await;
    assert!(recount.agrees(), "{recount:?}");
    assert_eq!(recount.ledger, bench.ledger().await);
    counts(&recount.ledger)
}

/// Each step is counted, in the same moment.
pub async fn the_ledger_counts_every_step(bench: &mut Bench) {
    let drafts: [_; 8] = std::array::from_fn(|_| bench.job("a").tries(2));
    bench.push(drafts).await;
    assert_eq!(counted(bench).await, [8, 0, 0, 0, 0, 0, 0, 0, 0]);
    let [a, b, c, d, e, _f] = bench.claim(6).await.try_into().unwrap();
    assert_eq!(counted(bench).await, [2, 6, 0, 0, 0, 0, 0, 0, 0]);
    bench.done(&a).await.unwrap();
    bench.finish(&b, job::Ending::Skipped { why: None }).await.unwrap();
    bench.fail(&c).await.unwrap();
    bench.finish(&d, fail(Again::Never)).await.unwrap();
    bench.snooze(&e, 600).await.unwrap();
    assert_eq!(counted(bench).await, [4, 1, 1, 1, 1, 0, 0, 0, 0]);
    bench.cancel(e.job.id).await;
    assert_eq!(counted(bench).await, [3, 1, 1, 1, 1, 1, 0, 0, 0]);
    bench.pass(LEASE).await;
    assert_eq!(counted(bench).await, [4, 0, 1, 1, 1, 1, 0, 0, 0]);
    bench.discard(d.job.id).await;
    assert_eq!(counted(bench).await, [4, 0, 0, 1, 1, 1, 0, 0, 1]);
    let drafts = [bench.job("a").key("k"), bench.job("a").key("k").replacing(), bench.job("a").key("k")];
    bench.push(drafts).await;
    assert_eq!(counted(bench).await, [5, 0, 0, 1, 1, 1, 1, 0, 1]);
    bench.reopen().await;
    assert_eq!(counted(bench).await, [5, 0, 0, 1, 1, 1, 1, 0, 1]);
    let drafts = [bench.job("a").expiring_in(1), bench.job("a").queue(EXPIRED_LATE), bench.job("a").guarded()];
    bench.push(drafts).await;
    let question = bench.question().await;
    bench.answer(&question, Answer::No(None)).await.unwrap();
    bench.pass(3_601).await;
    bench.claim_from(&[EXPIRED_LATE], 1).await;
    assert_eq!(counted(bench).await, [5, 0, 0, 1, 2, 1, 1, 2, 1]);
    assert_eq!(bench.ledger().await.pushed, 13);
}

/// What changes nothing counts nothing.
pub async fn what_changes_nothing_is_not_counted(bench: &mut Bench) {
    let draft = bench.job("a").key("k").named("n1");
    let id = bench.accept(draft.clone()).await;
    let before = bench.ledger().await;
    let drafts =
        [draft.clone(), bench.job("a").key("k").named("n2"), bench.job("a").key("k").named("n3").or_rejected()];
    bench.push(drafts).await;
    bench.revive(id).await;
    bench.discard(id).await;
    bench.claim_from(&["elsewhere"], 10).await;
    assert_eq!(bench.ledger().await, before);
    let leased = bench.take().await;
    let before = bench.ledger().await;
    bench.extend(&leased, 90).await.unwrap();
    bench.cancel(id).await;
    bench.revive(id).await;
    assert_eq!(bench.ledger().await, before);
}

/// What was removed is still counted.
pub async fn the_ledger_outlives_what_it_counted(bench: &mut Bench) {
    for _ in 0..3 {
        let draft = bench.job("a");
        let id = bench.accept(draft).await;
        bench.cancel(id).await;
        bench.pass(8 * 86_400).await;
        bench.retain().await;
    }
    let draft = bench.job("a");
    bench.accept(draft).await;
    bench.reopen().await;
    let recount = bench.recount().await;
    assert_eq!((recount.ledger.pushed, recount.ledger.ended_as(Outcome::Cancelled)), (4, 3));
    assert_eq!((recount.waiting, recount.ended_kept), (1, 0));
    assert!(recount.agrees());
}
