//! What a restart keeps, what is removed in time, who the store is.

use job::time::Remembered;
use job::{Again, Answer, JobId, JobRef, Mono, Now, Outcome, Timestamp};

use super::bench::{Bench, HELD_LATE, LEASE, MAIL, fail};
use super::makers::APP;
use crate::Error;
use crate::jobs::{Found, Search};
use crate::records::Health;

/// Every job, in every state, is after a restart what it was before.
pub async fn a_restart_changes_no_job(bench: &mut Bench) {
    let before = one_of_each(bench).await;
    let (ledger, queues) = (bench.ledger().await, bench.queues().await);
    for _ in 0..2 {
        bench.reopen().await;
        assert_eq!(everything(bench).await, before);
        assert_eq!(bench.ledger().await, ledger);
        assert_eq!(bench.queues().await, queues);
        assert!(bench.recount().await.agrees());
    }
}

async fn everything(bench: &Bench) -> Vec<Found> {
    bench.search(Search { limit: 1_000, ..Search::default() }).await.jobs
}

/// Brings jobs into every state there is, and answers all of them.
async fn one_of_each(bench: &mut Bench) -> Vec<Found> {
    let drafts = [
        bench.job("failed").tries(3),
        bench.job("snoozed"),
        bench.job("lost").key("lost"),
        bench.job("dead").named("d1").tries(1),
        bench.job("permanent").key("p"),
        bench.job("done").named("d2"),
        bench.job("skipped"),
        bench.job("runs").key("r").named("d3"),
    ];
    bench.push(drafts).await;
    let [failed, snoozed, lost, dead, permanent, done, skipped, runs] = bench.claim(8).await.try_into().unwrap();
    bench.fail(&failed).await.unwrap();
    bench.snooze(&snoozed, 90).await.unwrap();
    bench.extend(&lost, 1).await.unwrap();
    bench.fail(&dead).await.unwrap();
    bench.finish(&permanent, fail(Again::Never)).await.unwrap();
    bench.done(&done).await.unwrap();
    bench.finish(&skipped, job::Ending::Skipped { why: Some("gone".to_owned()) }).await.unwrap();
    bench.pass(1).await;
    bench.extend(&runs, 2 * LEASE).await.unwrap();
    let drafts = [
        bench.job("late").queue(HELD_LATE),
        bench.job("cancelled").key("c"),
        bench.job("replaced").key("n"),
        bench.job("newer").key("n").replacing().due_at(60),
        bench.job("expired").expiring_in(1),
        bench.job("scheduled").due_in(60).expiring_at(3_600),
        bench.job("discarded").queue("elsewhere"),
        bench.job("refused").guarded(),
        bench.job("unanswered").guarded().queue("unasked"),
    ];
    let pushed = bench.push(drafts).await;
    let [_, crate::jobs::Pushed::New { id: cancelled, .. }, ..] = pushed else { panic!("{pushed:?}") };
    bench.cancel(cancelled).await;
    let question = bench.question().await;
    bench.answer(&question, Answer::No(None)).await.unwrap();
    let [question] = bench.ask_from(super::bench::from(&["unasked"]), 1).await.try_into().unwrap();
    bench.answer(&question, Answer::Error("no route".to_owned())).await.unwrap();
    let [discarded] = bench.claim_from(&["elsewhere"], 1).await.try_into().unwrap();
    bench.finish(&discarded, fail(Again::Never)).await.unwrap();
    bench.discard(discarded.job.id).await;
    bench.pause("held", Some(86_400)).await;
    bench.pass(1).await;
    let all = everything(bench).await;
    let outcomes = bench.ledger().await.ended;
    assert!(outcomes.iter().all(|count| *count > 0), "one of each: {outcomes:?}");
    all
}

/// No id is given twice, not even after everything was removed.
pub async fn an_id_is_never_given_twice(bench: &mut Bench) {
    let mut last = JobId(0);
    for _ in 0..3 {
        for _ in 0..3 {
            let draft = bench.job("a");
            let id = bench.accept(draft).await;
            assert!(id > last, "{id} after {last}");
            last = id;
            bench.cancel(id).await;
        }
        bench.pass(8 * 86_400).await;
        assert_eq!(bench.retain().await, 3);
        assert!(everything(bench).await.is_empty());
        bench.reopen().await;
    }
}

/// A job that ended is kept as long as the rules say, and then is gone.
pub async fn ended_jobs_are_removed_in_time(bench: &mut Bench) {
    let drafts = [bench.job("a").named("n1"), bench.job("b")];
    bench.push(drafts).await;
    bench.cancel(JobId(1)).await;
    bench.pass(86_400).await;
    bench.cancel(JobId(2)).await;
    bench.pass(6 * 86_400).await;
    assert_eq!(bench.retain().await, 0, "seven days, and not a moment less");
    bench.pass(1).await;
    assert_eq!(bench.retain().await, 1);
    assert_eq!(bench.look(JobRef::Id(JobId(1))).await, None);
    assert_eq!(bench.look("n1".parse().unwrap()).await, None);
    bench.reopen().await;
    assert_eq!(bench.look(JobRef::Id(JobId(1))).await, None);
    assert_eq!(bench.end(JobId(2)).await.0, Outcome::Cancelled);
    let recount = bench.recount().await;
    assert_eq!((recount.ledger.ended_as(Outcome::Cancelled), recount.ended_kept), (2, 1));
}

/// What has not ended is not removed, however old.
pub async fn only_what_ended_is_removed(bench: &mut Bench) {
    let draft = bench.job("dead");
    bench.accept_dead(draft).await;
    let draft = bench.job("runs");
    bench.accept(draft).await;
    let leased = bench.take().await;
    let draft = bench.job("waits");
    bench.accept(draft).await;
    bench.extend(&leased, 100 * 86_400).await.unwrap();
    bench.pass(50 * 86_400).await;
    assert_eq!(bench.retain().await, 0);
    assert_eq!(everything(bench).await.len(), 3);
}

/// A removal takes no more at once than asked.
pub async fn ended_jobs_are_removed_in_slices(bench: &mut Bench) {
    for _ in 0..10 {
        let draft = bench.job("a");
        let id = bench.accept(draft).await;
        bench.cancel(id).await;
    }
    bench.pass(8 * 86_400).await;
    let now = bench.now();
    let removed = bench.call(|store| store.retain(4, now)).await;
    assert!((1..=4).contains(&removed));
    assert_eq!(everything(bench).await.len(), 10 - removed);
    assert_eq!(bench.retain().await, 10 - removed);
}

/// A wall clock that was set back removes nothing early.
pub async fn a_clock_set_back_removes_nothing(bench: &mut Bench) {
    let draft = bench.job("a");
    let id = bench.accept(draft).await;
    bench.cancel(id).await;
    bench.step(-365 * 86_400).await;
    assert_eq!(bench.retain().await, 0);
}

/// A store says who it is, and says the same after a restart.
pub async fn a_store_remembers_who_it_is(bench: &mut Bench) {
    let created = bench.now().wall;
    let identity = bench.store().identity();
    assert_eq!((identity.app.as_str(), identity.created), (APP, created));
    assert!(identity.id.len() == 32 && identity.id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(identity.remembered, None);
    assert_eq!(bench.store().health(), Health::Serving);
    bench.pass(60).await;
    bench.reopen().await;
    let again = bench.store().identity();
    assert_eq!(
        (again.id, again.app, again.created, again.schema),
        (identity.id, identity.app, created, identity.schema)
    );
}

/// What the clocks said is there for the next start.
pub async fn a_store_remembers_the_clocks(bench: &mut Bench) {
    for (boot, offset) in [("b1", -5), ("b2", 7_000_000_000_000)] {
        let newest = Now { wall: Timestamp(1_700_000_000_123_456), mono: Mono(offset * 2) };
        let clocks = Remembered { boot: boot.to_owned(), offset, newest };
        bench.call(|store| store.remember(clocks.clone())).await;
        bench.reopen().await;
        assert_eq!(bench.store().identity().remembered, Some(clocks));
    }
}

/// A closed store does nothing more.
pub async fn a_closed_store_is_closed(bench: &mut Bench) {
    bench.call(|store| store.close()).await;
    let now = bench.now();
    let jobs = vec![bench.job("a").job];
    let refused = |answer: Result<(), Error>| matches!(answer, Err(Error::Closed));
    loop {
        match bench.store().push(jobs.clone(), now).await.map(|_| ()) {
            Err(Error::Busy(_) | Error::Lost(_) | Error::Full(_)) => {}
            answer => break assert!(refused(answer)),
        }
    }
    loop {
        match bench.store().remember(Remembered { boot: String::new(), offset: 0, newest: now }).await {
            Err(Error::Busy(_) | Error::Lost(_)) => {}
            answer => break assert!(refused(answer)),
        }
    }
    bench.reopen_closed();
    assert_eq!(bench.ledger().await.pushed, 0);
    let draft = bench.job("a").queue(MAIL);
    bench.accept(draft).await;
}
