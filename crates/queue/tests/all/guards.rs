//! Guards: asked for whoever waits, and never in anybody's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use job::{Answer, Happened, NewJob, Outcome, Phase, Rules, Span, Spec};
use queue::{From, NoGuards, Wish};
use store::faults::{Faulty, Verb};
use tokio::time::Instant;

use crate::support::*;

const LATER: Span = Span::from_secs(3_600);

/// The failed questions in a job's history: what came instead, and how often.
fn errors(leased: &[queue::Leased]) -> Vec<String> {
    let mut errors = Vec::new();
    for attempt in leased[0].job.history.attempts() {
        let Happened::GuardFailed { error, times } = &attempt.happened else { panic!("{attempt:?}") };
        errors.push(format!("{error} ({times})"));
    }
    errors
}

#[tokio::test(start_paused = true)]
async fn a_yes_runs_the_job_for_who_waits() {
    let (guards, mut questions) = ask_me(LATER);
    let bench = Bench::guarded(guards);
    let taker = bench.park(one(&["mail"])).await;
    let id = bench.push_guarded("mail", "wanted").await;
    let question = next(&mut questions).await;
    assert_eq!(question.job.id, id);
    assert_eq!(bench.found(id).await.phase, Phase::Checking);
    assert!(!taker.is_finished());
    question.answer(Answer::Yes);
    assert_eq!(ids(&taker.await.unwrap().unwrap()), [id]);
}

#[tokio::test(start_paused = true)]
async fn a_no_skips_the_job_and_the_taker_waits_on() {
    let (guards, mut questions) = ask_me(LATER);
    let bench = Bench::guarded(guards);
    let id = bench.push_guarded("mail", "wanted").await;
    let taker = bench.park(one(&["mail"])).await;
    next(&mut questions).await.answer(Answer::No(Some("switched off".into())));
    assert_eq!(bench.ended(id).await, Outcome::Skipped);
    let next = bench.push("mail").await;
    assert_eq!(ids(&taker.await.unwrap().unwrap()), [next]);
    bench.assert_counts().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_no_the_next_guarded_job_is_asked_about() {
    let (guards, mut questions) = ask_me(LATER);
    let bench = Bench::guarded(guards);
    let (unwanted, wanted) = (bench.push_guarded("mail", "wanted").await, bench.push_guarded("mail", "wanted").await);
    let taker = bench.park(one(&["mail"])).await;
    let start = Instant::now();
    let question = next(&mut questions).await;
    assert_eq!(question.job.id, unwanted);
    question.answer(Answer::No(None));
    let question = next(&mut questions).await;
    assert_eq!(question.job.id, wanted);
    question.answer(Answer::Yes);
    assert_eq!(ids(&taker.await.unwrap().unwrap()), [wanted]);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_not_a_no_and_is_asked_again_ever_more_slowly() {
    let (guards, mut questions) = ask_me(LATER);
    let bench = Bench::guarded(guards);
    bench.push_guarded("mail", "wanted").await;
    let taker = bench.park(one(&["mail"])).await;
    let start = Instant::now();
    let mut asked = Vec::new();
    for _ in 0..4 {
        let question = next(&mut questions).await;
        asked.push(start.elapsed().as_secs());
        question.answer(Answer::Error("no route to host".into()));
    }
    assert_eq!(asked, [0, 1, 3, 7]);
    assert_eq!(
        bench.queue.findings(),
        ["jobs of the kind `send` are held up: their guard gave no answer 3 times since 2026-12-01T09:00:00.000Z: \
             no route to host"]
    );
    next(&mut questions).await.answer(Answer::Yes);
    assert_eq!(errors(&taker.await.unwrap().unwrap()), ["no route to host (4)"]);
    assert_eq!(bench.queue.findings(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_takes_longer_than_its_patience_gave_no_answer() {
    let (guards, mut questions) = ask_me(secs(10));
    let bench = Bench::guarded(guards);
    bench.push_guarded("mail", "wanted").await;
    let taker = bench.park(one(&["mail"])).await;
    let start = Instant::now();
    let hanging = next(&mut questions).await;
    let question = next(&mut questions).await;
    assert!(hanging.is_abandoned());
    assert_eq!(start.elapsed().as_secs(), 11, "patience, and a second");
    question.answer(Answer::Yes);
    assert_eq!(errors(&taker.await.unwrap().unwrap()), ["the guard gave no answer within 10s (1)"]);
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_panics_gave_no_answer() {
    let asked = AtomicUsize::new(0);
    let bench = Bench::guarded(AskFn(move |_| {
        assert!(asked.fetch_add(1, Ordering::SeqCst) > 0, "boom");
        Answer::Yes
    }));
    bench.push_guarded("mail", "wanted").await;
    let leased = bench.queue.lease(one(&["mail"])).await.unwrap();
    assert_eq!(errors(&leased), ["asking the guard panicked: boom (1)"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_guards_holds_guarded_jobs_visibly() {
    let bench = Bench::guarded(NoGuards);
    let id = bench.push_guarded("mail", "wanted").await;
    assert_eq!(bench.queue.lease(Wish { wait: secs(20), ..one(&["mail"]) }).await.unwrap(), []);
    assert_eq!(bench.found(id).await.phase, Phase::Checking);
    assert!(bench.queue.findings()[0].ends_with("this server asks no guards"));
}

#[tokio::test(start_paused = true)]
async fn while_a_guard_hangs_other_jobs_flow() {
    let (guards, mut questions) = ask_me(secs(30));
    let bench = Bench::guarded(guards);
    let hanging = bench.push_guarded("mail", "hangs").await;
    let taker = bench.park(one(&["mail"])).await;
    let question = next(&mut questions).await;
    let start = Instant::now();
    let unguarded = bench.push("mail").await;
    assert_eq!(ids(&taker.await.unwrap().unwrap()), [unguarded]);
    assert_eq!(start.elapsed(), Duration::ZERO);

    let guarded = bench.push_guarded("mail", "wanted").await;
    let taker = bench.park(one(&["mail"])).await;
    let other = next(&mut questions).await;
    assert!(start.elapsed() <= Duration::from_millis(501), "one hanging guard does not hold up the next");
    assert_eq!(other.job.id, guarded);
    other.answer(Answer::Yes);
    assert_eq!(ids(&taker.await.unwrap().unwrap()), [guarded]);
    question.answer(Answer::No(None));
    assert_eq!(bench.ended(hanging).await, Outcome::Skipped, "a late answer counts as long as patience lasts");
}

#[tokio::test(start_paused = true)]
async fn no_guard_is_asked_while_nobody_wants_a_job() {
    let (guards, mut questions) = ask_me(LATER);
    let bench = Bench::guarded(guards);
    bench.push_guarded("mail", "wanted").await;
    let elsewhere = bench.park(one(&["maps"])).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(questions.try_recv().is_err());
    elsewhere.abort();
}

#[tokio::test(start_paused = true)]
async fn no_more_guards_are_asked_than_those_who_wait_can_use() {
    let (guards, mut questions) = ask_me(LATER);
    let bench = Bench::guarded(guards);
    let guarded = NewJob::now(Spec { guard: Some(job::Guard::Exec("wanted".into())), ..spec("mail") }, bench.now());
    bench.queue.push(vec![guarded; 300]).await.unwrap();
    let three = bench.park(Wish { limit: 3, ..one(&["mail"]) }).await;
    let asked = |questions: &mut tokio::sync::mpsc::UnboundedReceiver<Asked>| {
        std::iter::from_fn(|| questions.try_recv().ok()).collect::<Vec<_>>()
    };
    let first = asked(&mut questions);
    assert_eq!(first.len(), 3);
    let hundred = bench.park(Wish { limit: 100, ..one(&["mail"]) }).await;
    assert_eq!(asked(&mut questions).len(), 61, "and never more than 64 at once");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(questions.try_recv().is_err(), "not even if they take long");
    first.into_iter().for_each(|question| question.answer(Answer::Yes));
    let got = three.await.unwrap().unwrap();
    assert!((1..=3).contains(&got.len()));
    hundred.abort();
}

#[tokio::test(start_paused = true)]
async fn many_takers_do_not_wait_for_each_others_guards() {
    let (guards, mut questions) = ask_me(LATER);
    let bench = Bench::guarded(guards);
    let mut takers = Vec::new();
    for _ in 0..20 {
        takers.push(bench.park(one(&["mail"])).await);
    }
    let guarded = NewJob::now(Spec { guard: Some(job::Guard::Exec("wanted".into())), ..spec("mail") }, bench.now());
    bench.queue.push(vec![guarded; 30]).await.unwrap();
    let start = Instant::now();
    for _ in 0..20 {
        let question = next(&mut questions).await;
        // Each takes a while; together they take no longer.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            question.answer(Answer::Yes);
        });
    }
    for taker in takers {
        assert_eq!(taker.await.unwrap().unwrap().len(), 1);
    }
    assert!(start.elapsed() < Duration::from_millis(110), "{:?}", start.elapsed());
    assert!(questions.try_recv().is_err(), "nobody is left to want more");
}

#[tokio::test(start_paused = true)]
async fn who_comes_by_without_waiting_gets_a_guarded_job_the_next_time() {
    let bench = Bench::guarded(AskFn(|_| Answer::Yes));
    let id = bench.push_guarded("mail", "wanted").await;
    assert_eq!(bench.queue.lease(at_once(&["mail"])).await.unwrap(), []);
    settle().await;
    assert_eq!(ids(&bench.queue.lease(at_once(&["mail"])).await.unwrap()), [id]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_worker_gets_guarded_jobs_in_their_turn() {
    let bench = Bench::guarded(AskFn(|_| Answer::Yes));
    let guarded = bench.push_guarded("mail", "wanted").await;
    bench.queue.push(vec![NewJob::now(spec("mail"), bench.now()); 10]).await.unwrap();
    let first = bench.queue.lease(at_once(&["mail"])).await.unwrap();
    assert_ne!(ids(&first), [guarded]);
    settle().await;
    assert_eq!(ids(&bench.queue.lease(at_once(&["mail"])).await.unwrap()), [guarded], "it is the oldest");
}

#[tokio::test(start_paused = true)]
async fn guarded_jobs_of_an_own_kind_are_asked_about_for_who_runs_that_kind() {
    let (guards, mut questions) = ask_me(LATER);
    let rules = Rules { own_kinds: [kind("notice.send")].into(), ..Rules::default() };
    let bench = Bench::with(rules, guards, |memory| memory);
    let runner = bench.park(Wish { from: From::Kind(kind("notice.send")), ..one(&[]) }).await;
    let guarded = Spec { kind: kind("notice.send"), guard: Some(job::Guard::Exec("wanted".into())), ..spec("mail") };
    let id = bench
        .push_job(NewJob { due: job::Moment::after(bench.now(), secs(30)), ..NewJob::now(guarded, bench.now()) })
        .await;
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(questions.try_recv().is_err(), "it is not due");
    next(&mut questions).await.answer(Answer::Yes);
    assert_eq!(ids(&runner.await.unwrap().unwrap()), [id]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_cancelled_while_its_guard_was_asked_never_starts() {
    let (guards, mut questions) = ask_me(LATER);
    let bench = Bench::guarded(guards);
    let taker = bench.park(one(&["mail"])).await;
    let id = bench.push_guarded("mail", "wanted").await;
    let question = next(&mut questions).await;
    let cancelled = bench.queue.cancel(queue::Cancel::Job(job::JobRef::Id(id)), "its owner").await.unwrap();
    assert_eq!(cancelled, queue::Cancelled::Yes(id));
    question.answer(Answer::Yes);
    settle().await;
    assert!(!taker.is_finished());
    assert_eq!(bench.ended(id).await, Outcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn an_answer_reaches_a_store_that_is_busy_for_a_while() {
    for verb in [Verb::Answer, Verb::Ask] {
        let bench = Bench::with(Rules::default(), AskFn(|_| Answer::Yes), |memory| {
            Arc::new(Faulty::new(Instead(busy(verb, 5)), memory))
        });
        let taker = bench.park(one(&["mail"])).await;
        let start = Instant::now();
        let id = bench.push_guarded("mail", "wanted").await;
        assert_eq!(ids(&taker.await.unwrap().unwrap()), [id]);
        assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    }
}
