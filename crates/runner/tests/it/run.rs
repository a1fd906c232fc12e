//! The whole loop: from a push to how it ended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use job::{Cause, Happened, Phase, Policy, Span, State};
use queue::{From, NoGuards};
use runner::{Ack, ExecHandler, Handler, HttpHandler, Run};
use store::Error;
use store::faults::{Fault, Faulty, Verb};

use crate::app::{App, Then, answer};
use crate::bench::{Bench, Ended, KIND, kind, secret, until, within};
use crate::exec::Script;

fn post_to(app: &App) -> Run {
    Run::Http(HttpHandler { address: app.at("/"), ack: Ack::Job, secret: secret() })
}

#[tokio::test]
async fn a_failed_job_is_tried_again_with_all_its_attempts_kept_until_it_is_done() {
    let app = App::answering(|seen| match seen.header("aloud-attempt") {
        "3" => answer(200, &[("aloud-job", seen.header("aloud-job"))], "at last"),
        n => answer(500, &[], format!("attempt {n} failed")),
    })
    .await;
    let bench = Bench::new(post_to(&app));
    let soon = Policy { max_attempts: 5, first: Span::from_millis(10), cap: Span::from_millis(10) };
    let id = bench.push_as("null", |job| job.spec.retry = soon).await;
    let found = until(async || Some(bench.get(&id).await).filter(|found| found.phase == Phase::Ended)).await.unwrap();
    assert_eq!(found.done().as_deref(), Some("at last"));
    let attempts = found.job.history.attempts();
    assert_eq!(attempts.len(), 3);
    for (n, attempt) in attempts[..2].iter().enumerate() {
        assert_eq!(attempt.worker, "aloud:http");
        let Happened::Failed { error } = &attempt.happened else { panic!("{attempt:?}") };
        assert_eq!(error.class, "http.status_500");
        assert!(error.message.ends_with(&format!("attempt {} failed", n + 1)), "{}", error.message);
    }
}

#[tokio::test]
async fn a_job_that_only_fails_is_dead_with_its_last_error() {
    let app = App::answering(|_| answer(500, &[], "broken")).await;
    let bench = Bench::new(post_to(&app));
    let id = bench.push_as("null", |job| job.spec.retry.max_attempts = 1).await;
    let found = bench.ended(&id).await;
    assert_eq!(found.dead().0, "http.status_500");
    assert!(matches!(found.job.state, State::Dead { cause: Cause::Exhausted, .. }));
}

#[tokio::test]
async fn no_more_run_at_once_than_were_allowed_and_all_of_those_do() {
    let script = Script::new(
        "touch here.$ALOUD_JOB; ls here.* | wc -l; until [ -e go ]; do sleep 0.02; done; rm here.$ALOUD_JOB",
    );
    let run = Run::Exec(ExecHandler { command: script.command() });
    let bench = Bench::with(Handler::new(kind(), run).with_concurrency(3).unwrap());
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(bench.push("null").await);
    }
    let running = async || {
        let queues = bench.queue.queues().await.unwrap();
        queues.iter().map(|queue| queue.running).sum::<u64>()
    };
    until(async || (running().await == 3).then_some(())).await.expect("three run");
    std::fs::write(script.path("go"), "").unwrap();
    for id in ids {
        let at_once: usize = bench.ended(&id).await.done().unwrap().trim().parse().unwrap();
        assert!((1..=3).contains(&at_once), "{at_once}");
    }
}

#[tokio::test]
async fn a_kind_with_a_handler_is_handed_to_no_worker() {
    let app = App::raw(b"", Then::Hang).await;
    let bench = Bench::with(Handler::new(kind(), post_to(&app)).with_concurrency(1).unwrap());
    for _ in 0..3 {
        bench.push("null").await;
    }
    let wish = queue::Wish {
        from: From::Queues(vec!["mail".parse().unwrap()]),
        worker: "somebody".to_owned(),
        limit: 10,
        wait: Span::from_millis(50),
        lease_for: Span::from_secs(60),
    };
    assert_eq!(bench.queue.lease(wish).await.unwrap(), []);
}

#[tokio::test]
async fn many_jobs_are_done_once_each() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let app = App::answering(move |seen| {
        counted.fetch_add(1, Ordering::SeqCst);
        answer(200, &[("aloud-job", seen.header("aloud-job"))], "")
    })
    .await;
    let bench = Bench::with(Handler::new(kind(), post_to(&app)).with_concurrency(20).unwrap());
    for _ in 0..300 {
        bench.push("null").await;
    }
    let done =
        async || Some(bench.queue.ledger().await.unwrap()).filter(|ledger| ledger.ended_as(job::Outcome::Done) == 300);
    let ledger = until(done).await.expect("all are done");
    assert!(ledger.adds_up());
    assert_eq!(count.load(Ordering::SeqCst), 300);
    let mut ids: Vec<_> = app.seen().iter().map(|seen| seen.header("aloud-job").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 300);
}

#[tokio::test]
async fn a_stop_lets_running_jobs_end_and_takes_no_more() {
    let script = Script::new("echo on > started; until [ -e go ]; do sleep 0.02; done; echo finished");
    let run = Run::Exec(ExecHandler { command: script.command() });
    let mut bench = Bench::with(Handler::new(kind(), run).with_concurrency(1).unwrap());
    let (first, second) = (bench.push("null").await, bench.push("null").await);
    script.wrote("started").await;
    let runner = bench.runner.take().unwrap();
    let stopping = tokio::spawn(runner.stop());
    std::fs::write(script.path("go"), "").unwrap();
    within(stopping).await.expect("it stops").unwrap();
    assert_eq!(bench.get(&first).await.done().as_deref(), Some("finished"));
    assert_eq!(bench.get(&second).await.phase, Phase::Ready, "it waits for the next start");
}

#[tokio::test]
async fn what_still_runs_at_the_end_of_a_stop_is_ended_and_put_off_without_spending_an_attempt() {
    let script =
        Script::new("trap 'echo asked to end >&2; exit 1' TERM; echo on > started; while :; do sleep 0.05; done");
    let mut bench = Bench::new(Run::Exec(ExecHandler { command: script.command() }));
    let id = bench.push("null").await;
    script.wrote("started").await;
    let runner = bench.runner.take().unwrap();
    within(runner.stop_within(Span::from_millis(50))).await.expect("it stops");
    let (why, wait) = bench.get(&id).await.snoozed();
    assert!(why.starts_with("aloud stopped while `/bin/sh` ran") && why.ends_with("asked to end"), "{why}");
    assert_eq!(wait, Span::from_secs(1));

    let silent = App::raw(b"", Then::Hang).await;
    let mut bench = Bench::new(post_to(&silent));
    let id = bench.push("null").await;
    until(async || (bench.get(&id).await.phase == Phase::Running).then_some(())).await.expect("it runs");
    within(bench.runner.take().unwrap().stop_within(Span::from_millis(50))).await.expect("it stops");
    assert!(bench.get(&id).await.snoozed().0.contains("whether the job was done is unknown"));
}

/// Refuses the first claim and the first end, and loses the answer to the
/// second end.
#[derive(Default)]
struct Stumbling {
    claims: AtomicUsize,
    ends: AtomicUsize,
}

impl Fault for Stumbling {
    fn instead(&self, verb: Verb) -> Option<Error> {
        let first = match verb {
            Verb::Claim => self.claims.fetch_add(1, Ordering::SeqCst) == 0,
            Verb::Finish => self.ends.fetch_add(1, Ordering::SeqCst) == 0,
            _ => false,
        };
        first.then(|| Error::Busy("it stumbles".to_owned()))
    }

    fn afterwards(&self, verb: Verb) -> Option<Error> {
        let second = verb == Verb::Finish && self.ends.load(Ordering::SeqCst) == 2;
        second.then(|| Error::Lost("it stumbles".to_owned()))
    }
}

#[tokio::test]
async fn an_end_is_told_until_it_is_heard_and_a_job_is_run_once_all_the_same() {
    let app = App::right(200, "sent").await;
    let handler = Handler::new(kind(), post_to(&app)).with_concurrency(1).unwrap();
    let stumbling = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&stumbling);
    let bench = Bench::over(handler, Arc::new(NoGuards), move |store| {
        let faulty = Arc::new(Faulty::new(Stumbling::default(), store));
        *seen.lock().unwrap() = Some(Arc::clone(&faulty));
        faulty
    });
    for _ in 0..2 {
        assert_eq!(bench.push_and_run("null").await.done().as_deref(), Some("sent"));
    }
    assert_eq!(app.seen().len(), 2, "once for each job");
    let faulty = stumbling.lock().unwrap().take().unwrap();
    assert_eq!(faulty.fault.ends.load(Ordering::SeqCst), 4, "refused, lost, too late to count, and the second job's");
}

#[tokio::test]
async fn a_runner_without_work_stops_at_once() {
    let mut bench = Bench::new(post_to(&App::absent().await));
    bench.push_and_run("null").await.retrying();
    within(bench.runner.take().unwrap().stop()).await.expect("it stops");
    within(bench.queue.stop()).await.expect("so does the queue");
    assert_eq!(KIND, kind().as_str());
}
