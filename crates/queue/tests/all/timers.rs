//! What the passing of time brings, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use job::{Happened, Moment, NewJob, Outcome, Rules, Span, Spec};
use queue::{NoGuards, Wish};
use store::faults::{Faulty, Verb};
use store::memory::Memory;
use store::records::Records as _;
use tokio::time::Instant;

use crate::support::*;

/// Later than due by no more than the grain of tokio's timers.
fn on_time(elapsed: Duration, due: Duration) -> bool {
    (due..=due + Duration::from_millis(2)).contains(&elapsed)
}

#[tokio::test(start_paused = true)]
async fn a_delayed_job_reaches_a_parked_taker_when_it_is_due_and_not_before() {
    let bench = Bench::new();
    let taker = bench.park(one(&["mail"])).await;
    let start = Instant::now();
    let later = bench.push_in("mail", secs(1_800)).await;
    let sooner = bench.push_in("mail", Span::from_millis(90_500)).await;
    let leased = taker.await.unwrap().unwrap();
    assert_eq!(ids(&leased), [sooner]);
    bench.done(&leased[0]).await;
    assert!(on_time(start.elapsed(), Duration::from_millis(90_500)), "{:?}", start.elapsed());
    assert_eq!(ids(&bench.queue.lease(one(&["mail"])).await.unwrap()), [later]);
    assert!(on_time(start.elapsed(), Duration::from_secs(1_800)), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_as_long_as_it_was_whatever_is_done_to_the_wall_clock() {
    for step in [86_400, -86_400] {
        let bench = Bench::new();
        let taker = bench.park(one(&["mail"])).await;
        let start = Instant::now();
        bench.push_in("mail", secs(1_800)).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        bench.clock.step(step);
        assert_eq!(taker.await.unwrap().unwrap().len(), 1);
        assert!(on_time(start.elapsed(), Duration::from_secs(1_800)), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_appointment_follows_the_wall_clock_within_a_second() {
    let bench = Bench::new();
    let taker = bench.park(one(&["mail"])).await;
    let at = bench.now().wall + secs(1_800);
    let appointment = NewJob { due: Moment::at(at, bench.now()), ..NewJob::now(spec("mail"), bench.now()) };
    let id = bench.push_job(appointment.clone()).await;
    bench.clock.step(-3_600);
    tokio::time::sleep(Duration::from_secs(1_801)).await;
    assert!(!taker.is_finished(), "the clock was set back: it is not that time yet");
    bench.clock.step(3_600);
    let start = Instant::now();
    assert_eq!(ids(&taker.await.unwrap().unwrap()), [id]);
    assert!(start.elapsed() <= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_jobs_that_fall_due_together_are_all_handed_out_without_delay() {
    let bench = Bench::new();
    let due = Moment::after(bench.now(), secs(60));
    let jobs = vec![NewJob { due, ..NewJob::now(spec("mail"), bench.now()) }; 2_000];
    bench.queue.push(jobs).await.unwrap();
    let start = Instant::now();
    let mut takers = Vec::new();
    for _ in 0..20 {
        takers.push(bench.park(Wish { limit: 100, ..one(&["mail"]) }).await);
    }
    let mut got = 0;
    for taker in takers {
        got += taker.await.unwrap().unwrap().len();
    }
    while got < 2_000 {
        got += bench.queue.lease(Wish { limit: 100, ..one(&["mail"]) }).await.unwrap().len();
    }
    assert!(on_time(start.elapsed(), Duration::from_secs(60)), "{:?}", start.elapsed());
    bench.assert_counts().await;
}

#[tokio::test(start_paused = true)]
async fn the_job_of_a_lost_worker_comes_back_when_its_lease_runs_out() {
    let bench = Bench::new();
    let id = bench.push("mail").await;
    let lost = bench.queue.lease(one(&["mail"])).await.unwrap();
    let taker = bench.park(one(&["mail"])).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let until = bench.queue.extend(job::JobRef::Id(id), lost[0].lease, secs(60)).await.unwrap().unwrap();
    let start = Instant::now();
    assert_eq!(until, bench.now().wall + secs(60));
    let again = taker.await.unwrap().unwrap();
    assert!(on_time(start.elapsed(), Duration::from_secs(60)), "{:?}", start.elapsed());
    assert_eq!(again[0].job.history.attempts()[0].happened, Happened::Rescued);
    let late = bench.queue.finish(vec![end(&lost[0], job::Ending::done())]).await.unwrap();
    assert_eq!(late, [Err(queue::Stale::Other)]);
    bench.done(&again[0]).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_comes_back_with_jitter_from_the_queue() {
    let bench = Bench::new();
    bench.queue.push(vec![NewJob::now(spec("mail"), bench.now()); 20]).await.unwrap();
    let leased = bench.queue.lease(Wish { limit: 20, ..one(&["mail"]) }).await.unwrap();
    let failed = || job::Ending::failed(job::JobError::new("E", "e"));
    let ends = leased.iter().map(|leased| end(leased, failed())).collect();
    let start = Instant::now();
    bench.queue.finish(ends).await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..20 {
        let leased = bench.queue.lease(one(&["mail"])).await.unwrap();
        assert_eq!(leased[0].job.failures, 1);
        waits.push(start.elapsed().as_millis());
    }
    assert!((5_000..=10_002).contains(&waits[0]) && (5_000..=10_002).contains(&waits[19]), "{waits:?}");
    waits.dedup();
    assert!(waits.len() > 10, "they come back apart: {waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_and_its_end_wakes_who_waits() {
    let bench = Bench::new();
    let mail = || name("mail");
    bench.queue.pause(mail(), "ops".into(), "smtp is down".into(), None).await.unwrap();
    let id = bench.push("mail").await;
    let taker = bench.park(one(&["mail"])).await;
    tokio::time::sleep(Duration::from_secs(900)).await;
    assert!(!taker.is_finished());
    let state = &bench.queue.queues().await.unwrap()[0];
    assert_eq!(state.pause.as_ref().unwrap().reason, "smtp is down");
    assert_eq!(bench.queue.resume(mail()).await.unwrap().unwrap().by, "ops");
    let leased = taker.await.unwrap().unwrap();
    assert_eq!(ids(&leased), [id]);
    bench.done(&leased[0]).await;

    let until = bench.queue.pause(mail(), "ops".into(), "again".into(), Some(secs(300))).await.unwrap().until;
    assert_eq!(until, Some(Moment::after(bench.now(), secs(300))));
    let start = Instant::now();
    let id = bench.push("mail").await;
    assert_eq!(ids(&bench.queue.lease(one(&["mail"])).await.unwrap()), [id], "it ended by itself");
    assert!(on_time(start.elapsed(), Duration::from_secs(300)), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_job_expires_though_nobody_asks_for_it() {
    let bench = Bench::new();
    let expires = Some(Moment::after(bench.now(), secs(120)));
    let id = bench.push_job(NewJob::now(Spec { expires, ..spec("mail") }, bench.now())).await;
    let start = Instant::now();
    assert_eq!(bench.ended(id).await, Outcome::Expired);
    assert!(on_time(start.elapsed(), Duration::from_secs(120)), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn jobs_that_ended_long_ago_are_removed_in_slices() {
    let slices = Arc::new(AtomicU64::new(0));
    let counted = slices.clone();
    let rules = Rules { keep_ended: secs(30), ..Rules::default() };
    let bench = Bench::with(rules, NoGuards, |memory| {
        let count = Instead(move |verb| {
            counted.fetch_add(u64::from(verb == Verb::Retain), Ordering::SeqCst);
            None
        });
        Arc::new(Faulty::new(count, memory))
    });
    bench.queue.push(vec![NewJob::now(spec("mail"), bench.now()); 1_200]).await.unwrap();
    for _ in 0..2 {
        let leased = bench.queue.lease(Wish { limit: 600, ..at_once(&["mail"]) }).await.unwrap();
        let ends = leased.iter().map(|leased| end(leased, job::Ending::done())).collect();
        bench.queue.finish(ends).await.unwrap();
    }
    assert_eq!(bench.queue.recount().await.unwrap().ended_kept, 1_200);
    tokio::time::sleep(Duration::from_millis(60_100)).await;
    let recount = bench.queue.recount().await.unwrap();
    assert_eq!((recount.ended_kept, recount.ledger.ended_as(Outcome::Done)), (0, 1_200));
    assert!(slices.load(Ordering::SeqCst) >= 3);
}

#[tokio::test(start_paused = true)]
async fn time_passes_though_the_store_is_busy_now_and_then() {
    let bench = Bench::failing(busy(Verb::Advance, 8));
    let taker = bench.park(one(&["mail"])).await;
    let start = Instant::now();
    bench.push_in("mail", secs(60)).await;
    assert_eq!(taker.await.unwrap().unwrap().len(), 1);
    assert!(on_time(start.elapsed(), Duration::from_secs(60)), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_clocks_are_remembered_at_the_start_while_things_change_and_at_the_end() {
    let mut store = None;
    let bench = Bench::with(Rules::default(), NoGuards, |memory: Arc<Memory>| {
        store = Some(memory.clone());
        memory
    });
    let store = store.unwrap();
    let remembered = || store.reopened(Rules::default()).identity().remembered.map(|it| it.newest.mono);
    let start = bench.now().mono;
    settle().await;
    assert_eq!(remembered(), Some(start));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(remembered(), Some(start), "nothing changed");
    bench.push("mail").await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    let later = remembered().unwrap();
    assert!(later >= start + secs(60));
    bench.queue.stop().await;
    assert_eq!(remembered(), Some(bench.now().mono));
}
