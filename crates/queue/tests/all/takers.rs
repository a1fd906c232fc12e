//! Who gets which job, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use job::{Ending, Happened, NewJob, Outcome, Phase, Rules, Span, Spec};
use queue::{Error, From, NoGuards, Wish};
use store::Error as StoreError;
use store::faults::{Fault, Faulty, Verb};
use tokio::time::Instant;

use crate::support::*;

/// Soon: no timer was waited for, or only the shortest.
const SOON: Duration = Duration::from_millis(20);

#[tokio::test(start_paused = true)]
async fn a_job_that_is_there_is_handed_out_at_once() {
    let bench = Bench::new();
    let id = bench.push("mail").await;
    let leased = bench.queue.lease(at_once(&["mail"])).await.unwrap();
    assert_eq!(ids(&leased), [id]);
    assert_eq!(leased[0].until, bench.now().wall + secs(60));
    assert_eq!(bench.found(id).await.phase, Phase::Running);
    bench.done(&leased[0]).await;
    assert_eq!(bench.queue.lease(at_once(&["mail"])).await.unwrap(), []);
    assert_eq!(bench.assert_counts().await.ended_as(Outcome::Done), 1);
}

#[tokio::test(start_paused = true)]
async fn a_parked_taker_gets_a_job_that_is_pushed_later() {
    let bench = Bench::new();
    let taker = bench.park(one(&["mail"])).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let pushed = Instant::now();
    let id = bench.push("mail").await;
    assert_eq!(ids(&taker.await.unwrap().unwrap()), [id]);
    assert!(pushed.elapsed() < SOON);
}

#[tokio::test(start_paused = true)]
async fn of_two_takers_one_gets_the_job_and_the_other_waits_on() {
    let bench = Bench::new();
    let (first, second) = (bench.park(one(&["mail"])).await, bench.park(one(&["mail"])).await);
    let id = bench.push("mail").await;
    assert_eq!(ids(&first.await.unwrap().unwrap()), [id]);
    settle().await;
    assert!(!second.is_finished());
    let id = bench.push("mail").await;
    assert_eq!(ids(&second.await.unwrap().unwrap()), [id]);
}

#[tokio::test(start_paused = true)]
async fn jobs_go_to_takers_in_the_order_in_which_they_came() {
    let bench = Bench::new();
    let mut takers = Vec::new();
    for _ in 0..5 {
        takers.push(bench.park(one(&["mail"])).await);
    }
    let jobs = vec![NewJob::now(spec("mail"), bench.now()); 5];
    let pushed: Vec<_> = bench.queue.push(jobs).await.unwrap().iter().map(id_of).collect();
    for (taker, id) in takers.into_iter().zip(pushed) {
        assert_eq!(ids(&taker.await.unwrap().unwrap()), [id]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_does_not_overtake_who_waits() {
    let (bench, gate) = Bench::gated();
    let first = bench.park(one(&["mail"])).await;
    gate.hold();
    let id = bench.push("mail").await;
    let next = bench.push("mail").await;
    let second = bench.park(one(&["mail"])).await;
    assert_eq!(bench.queue.lease(at_once(&["mail"])).await.unwrap(), [], "somebody is before it");
    gate.release();
    assert_eq!(ids(&first.await.unwrap().unwrap()), [id]);
    assert_eq!(ids(&second.await.unwrap().unwrap()), [next]);
}

#[tokio::test(start_paused = true)]
async fn a_taker_with_several_queues_waits_for_all_and_prefers_the_first() {
    let bench = Bench::new();
    let on_mail = bench.park(one(&["mail"])).await;
    let taker = bench.park(one(&["maps", "mail"])).await;
    let id = bench.push("maps").await;
    assert_eq!(ids(&taker.await.unwrap().unwrap()), [id]);
    assert!(!on_mail.is_finished(), "nothing came for it");
    let taker = bench.park(one(&["maps", "mail"])).await;
    let (mail, maps) = (NewJob::now(spec("mail"), bench.now()), NewJob::now(spec("maps"), bench.now()));
    let pushed = bench.queue.push(vec![mail.clone(), mail, maps]).await.unwrap();
    assert_eq!(ids(&on_mail.await.unwrap().unwrap()), [id_of(&pushed[0])]);
    let got = taker.await.unwrap().unwrap();
    assert!(got[0].job.spec.queue == name("maps") || got[0].job.id == id_of(&pushed[1]));
    let left = bench.queue.lease(Wish { limit: 9, ..at_once(&["maps", "mail"]) }).await.unwrap();
    assert_eq!(left.len(), 1);
    let both = vec![NewJob::now(spec("mail"), bench.now()), NewJob::now(spec("maps"), bench.now())];
    bench.queue.push(both).await.unwrap();
    let got = bench.queue.lease(one(&["maps", "mail"])).await.unwrap();
    assert_eq!(got[0].job.spec.queue, name("maps"), "both are there: the first queue first");
}

#[tokio::test(start_paused = true)]
async fn a_taker_gets_as_many_as_it_asked_for_and_the_next_gets_the_rest() {
    let bench = Bench::new();
    let three = Wish { limit: 3, ..one(&["mail"]) };
    let (first, second) = (bench.park(three.clone()).await, bench.park(three).await);
    bench.queue.push(vec![NewJob::now(spec("mail"), bench.now()); 5]).await.unwrap();
    assert_eq!(first.await.unwrap().unwrap().len(), 3);
    assert_eq!(second.await.unwrap().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_nothing_when_its_time_is_up() {
    let bench = Bench::new();
    let start = Instant::now();
    let leased = bench.queue.lease(Wish { wait: secs(20), ..one(&["mail"]) }).await.unwrap();
    assert_eq!(leased, []);
    assert!((Duration::from_secs(20)..Duration::from_secs(20) + SOON).contains(&start.elapsed()));
    let id = bench.push("mail").await;
    assert_eq!(ids(&bench.queue.lease(at_once(&["mail"])).await.unwrap()), [id], "nobody waits any more");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_while_a_claim_is_under_way_ends_with_what_it_brings() {
    let (bench, gate) = Bench::gated();
    let with_job = bench.park(Wish { wait: secs(20), ..one(&["mail"]) }).await;
    let without = bench.park(Wish { wait: secs(20), ..one(&["mail"]) }).await;
    gate.hold();
    let id = bench.push("mail").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!with_job.is_finished());
    assert_eq!(without.await.unwrap().unwrap(), []);
    gate.release();
    assert_eq!(ids(&with_job.await.unwrap().unwrap()), [id]);
}

#[tokio::test(start_paused = true)]
async fn waiting_costs_no_claims() {
    let (bench, gate) = Bench::gated();
    let mut takers = Vec::new();
    for _ in 0..50 {
        takers.push(bench.park(one(&["mail"])).await);
    }
    assert_eq!(gate.claims(), 1, "only the first did not know that there is nothing");
    tokio::time::sleep(Duration::from_secs(3_000)).await;
    assert_eq!(gate.claims(), 1);
    bench.push("maps").await;
    settle().await;
    assert_eq!(gate.claims(), 1, "it rang for another queue");
    bench.push("mail").await;
    settle().await;
    assert!(gate.claims() <= 4, "one job is not claimed for by fifty: {}", gate.claims());
    assert_eq!(takers.iter().filter(|taker| taker.is_finished()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_comes_between_the_claim_and_the_wait_is_not_missed() {
    let (bench, gate) = Bench::gated();
    gate.hold();
    let taker = bench.park(one(&["mail"])).await;
    assert_eq!(gate.claims(), 1, "it found nothing, but does not know yet");
    let id = bench.push("mail").await;
    settle().await;
    let start = Instant::now();
    gate.release();
    assert_eq!(ids(&taker.await.unwrap().unwrap()), [id]);
    assert!(start.elapsed() < SOON);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_comes_while_a_claim_for_the_first_finds_nothing_is_not_missed() {
    let (bench, gate) = Bench::gated();
    let taker = bench.park(one(&["mail"])).await;
    gate.hold();
    // Of a kind of its own nobody here is handed anything: the bell rings in vain.
    bench.queue.pause(name("mail"), "me".into(), "test".into(), None).await.unwrap();
    bench.push("mail").await;
    settle().await;
    assert_eq!(gate.claims(), 2, "the bell rang, and the queue was held");
    bench.queue.resume(name("mail")).await.unwrap();
    settle().await;
    gate.release();
    let start = Instant::now();
    assert_eq!(taker.await.unwrap().unwrap().len(), 1);
    assert!(start.elapsed() < SOON);
}

#[tokio::test(start_paused = true)]
async fn a_taker_that_left_does_not_swallow_a_job() {
    let (bench, gate) = Bench::gated();
    let gone = bench.park(one(&["mail"])).await;
    let next = bench.park(one(&["mail"])).await;
    gate.hold();
    let id = bench.push("mail").await;
    settle().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    gate.release();
    let leased = next.await.unwrap().unwrap();
    assert_eq!(ids(&leased), [id]);
    let attempts = leased[0].job.history.attempts();
    assert_eq!(
        attempts[0].happened,
        Happened::Snoozed { why: Some("the taker went away before it got the job".into()) }
    );
    assert_eq!(leased[0].job.failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_straight_claim_whose_taker_left_goes_back() {
    let (bench, gate) = Bench::gated();
    let id = bench.push("mail").await;
    gate.hold();
    let gone = bench.park(one(&["mail"])).await;
    let next = bench.park(one(&["mail"])).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let start = Instant::now();
    gate.release();
    assert_eq!(ids(&next.await.unwrap().unwrap()), [id]);
    assert!(start.elapsed() < SOON, "not only when its lease has run out");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_handed_over_but_never_received_goes_back() {
    let bench = Bench::new();
    let mut gone = Box::pin(bench.queue.lease(one(&["mail"])));
    let pending = tokio::time::timeout(Duration::from_millis(1), &mut gone).await;
    assert!(pending.is_err());
    let id = bench.push("mail").await;
    settle().await;
    assert_eq!(bench.found(id).await.phase, Phase::Running, "it was claimed, and nobody looked yet");
    drop(gone);
    settle().await;
    assert_eq!(ids(&bench.queue.lease(at_once(&["mail"])).await.unwrap()), [id]);
}

#[tokio::test(start_paused = true)]
async fn a_push_whose_future_is_dropped_still_wakes_a_taker() {
    let bench = Bench::new();
    let taker = bench.park(one(&["mail"])).await;
    let mut push = Box::pin(bench.queue.push(vec![NewJob::now(spec("mail"), bench.now())]));
    // Polled once, so that the call is made; its answer is never looked at.
    let polled = std::future::poll_fn(|cx| Poll::Ready(push.as_mut().poll(cx))).await;
    drop((polled, push));
    assert_eq!(taker.await.unwrap().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn jobs_of_own_kinds_go_only_to_who_asks_for_the_kind() {
    let rules = Rules { own_kinds: [kind("notice.send")].into(), ..Rules::default() };
    let bench = Bench::with(rules, NoGuards, |memory| memory);
    let outside = bench.park(one(&["mail"])).await;
    let own = bench.park(Wish { from: From::Kind(kind("notice.send")), ..one(&[]) }).await;
    let job = |of: &str| NewJob::now(Spec { kind: kind(of), ..spec("mail") }, bench.now());
    let id = bench.push_job(job("notice.send")).await;
    assert_eq!(ids(&own.await.unwrap().unwrap()), [id]);
    assert!(!outside.is_finished());
    let id = bench.push_job(job("other")).await;
    assert_eq!(ids(&outside.await.unwrap().unwrap()), [id]);
}

#[tokio::test(start_paused = true)]
async fn more_takers_than_may_wait_are_told_so() {
    let bench = Bench::new();
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let queue = bench.queue.clone();
        takers.spawn(async move { queue.lease(one(&["mail"])).await });
    }
    // Once everybody waits, and only then, time goes on.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let refused = bench.queue.lease(one(&["mail"])).await.unwrap_err();
    assert!(matches!(&refused, Error::Busy(why) if why.contains("10000 takers wait already")), "{refused:?}");
    assert_eq!(bench.queue.lease(at_once(&["maps"])).await.unwrap(), [], "who does not wait is none too many");
    takers.abort_all();
    while takers.join_next().await.is_some() {}
    let taker = bench.park(one(&["mail"])).await;
    bench.push("mail").await;
    assert_eq!(taker.await.unwrap().unwrap().len(), 1, "they left, and there is room");
}

#[tokio::test(start_paused = true)]
async fn ends_and_the_next_jobs_take_one_round_trip() {
    let bench = Bench::new();
    let (first, second) = (bench.push("mail").await, bench.push("mail").await);
    let leased = bench.queue.lease(at_once(&["mail"])).await.unwrap();
    let ends = vec![end(&leased[0], Ending::done())];
    let (settled, next) = bench.queue.finish_and_lease(ends.clone(), at_once(&["mail"])).await.unwrap();
    assert_eq!(settled.len(), 1);
    assert_eq!(ids(&next), [second]);
    let (settled, none) = bench.queue.finish_and_lease(ends, at_once(&["mail"])).await.unwrap();
    assert_eq!((settled, none), (vec![Err(queue::Stale::NotRunning)], vec![]));
    assert_eq!(bench.ended(first).await, Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn ends_that_fail_hand_out_nothing_and_keep_nothing() {
    let bench = Bench::failing(busy(Verb::Finish, 1));
    let (first, second) = (bench.push("mail").await, bench.push("mail").await);
    let leased = bench.queue.lease(at_once(&["mail"])).await.unwrap();
    let ends = vec![end(&leased[0], Ending::done())];
    let failed = bench.queue.finish_and_lease(ends, at_once(&["mail"])).await;
    assert!(matches!(failed, Err(Error::Busy(_))), "{failed:?}");
    settle().await;
    assert_eq!(bench.found(first).await.phase, Phase::Running);
    assert_eq!(bench.found(second).await.phase, Phase::Ready);
}

#[tokio::test(start_paused = true)]
async fn ends_stand_when_the_claim_after_them_fails() {
    let bench = Bench::failing(|verb| (verb == Verb::Claim).then(|| StoreError::Busy("always".into())));
    let unknown = job::JobRef::Id(job::JobId(7));
    let ends = vec![queue::End { id: unknown, lease: job::Lease(7), ending: Ending::done() }];
    let answer = bench.queue.finish_and_lease(ends, at_once(&["mail"])).await;
    assert_eq!(answer, Ok((vec![Err(queue::Stale::Unknown)], vec![])));
}

#[tokio::test(start_paused = true)]
async fn a_busy_store_loses_no_wake_up() {
    let bench = Bench::with(Rules::default(), NoGuards, |memory| {
        let claims = AtomicU64::new(0);
        let fault = Instead(move |verb| {
            // The first is the straight claim; then the store is busy for a while.
            let nth = if verb == Verb::Claim { claims.fetch_add(1, Ordering::SeqCst) } else { 0 };
            (1..13).contains(&nth).then(|| StoreError::Busy("it reopens".into()))
        });
        Arc::new(Faulty::new(fault, memory))
    });
    let taker = bench.park(one(&["mail"])).await;
    let start = Instant::now();
    let id = bench.push("mail").await;
    tokio::time::sleep(Duration::from_millis(2_060)).await;
    let findings = bench.queue.findings();
    assert!(findings[0].starts_with("who waits for jobs gets none: the store failed 12 times since"), "{findings:?}");
    assert_eq!(ids(&taker.await.unwrap().unwrap()), [id]);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(bench.queue.findings(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_leaves_the_taker_waiting() {
    /// The answer to the second claim is lost.
    struct Second(AtomicU64);
    impl Fault for Second {
        fn instead(&self, _verb: Verb) -> Option<StoreError> {
            None
        }
        fn afterwards(&self, verb: Verb) -> Option<StoreError> {
            let second = verb == Verb::Claim && self.0.fetch_add(1, Ordering::SeqCst) == 1;
            second.then(|| StoreError::Lost("the disk".into()))
        }
    }
    let bench =
        Bench::with(Rules::default(), NoGuards, |memory| Arc::new(Faulty::new(Second(AtomicU64::new(0)), memory)));
    let taker = bench.park(one(&["mail"])).await;
    let start = Instant::now();
    let id = bench.push("mail").await;
    let leased = taker.await.unwrap().unwrap();
    assert_eq!(ids(&leased), [id]);
    assert_eq!(leased[0].job.history.attempts()[0].happened, Happened::Rescued, "nobody had it; its lease ran out");
    assert!((Duration::from_secs(60)..Duration::from_secs(61)).contains(&start.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_taker_learns_that_the_store_is_damaged() {
    let claims = AtomicU64::new(0);
    let bench = Bench::failing(move |verb| {
        let later = verb == Verb::Claim && claims.fetch_add(1, Ordering::SeqCst) > 0;
        later.then(|| StoreError::Damaged("page 7".into()))
    });
    let taker = bench.park(one(&["mail"])).await;
    bench.push("mail").await;
    assert_eq!(taker.await.unwrap(), Err(Error::Damaged("page 7".into())));
}

#[tokio::test(start_paused = true)]
async fn no_jobs_are_handed_out_to_who_asks_for_none() {
    let bench = Bench::new();
    bench.push("mail").await;
    assert_eq!(bench.queue.lease(Wish { limit: 0, ..one(&["mail"]) }).await.unwrap(), []);
    let nowhere = Wish { wait: Span::from_secs(5), ..one(&[]) };
    assert_eq!(bench.queue.lease(nowhere).await.unwrap(), []);
}
