//! The worker, against a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aloud_client::v1::{Ack, AgentReport, JobView};
use aloud_client::{
    Aloud, CancellationToken, Cause, Ctx, Ending, Error, Failure, Handlers, Happened, JobKind, Outcome, Phase, Policy,
    Push, Span, Timestamp, Token, Worked, Worker,
};
use tokio::sync::{Barrier, Notify, mpsc};
use tokio::task::JoinHandle;

use crate::proxy::Proxy;
use crate::support::{SendNotice, Server, notice, until, within};

/// A worker in a task of its own, and how to stop it.
struct Working {
    shutdown: CancellationToken,
    task: JoinHandle<Result<Worked, Error>>,
}

impl Working {
    fn start(worker: Worker) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(worker.run_until(shutdown.clone().cancelled_owned()));
        Self { shutdown, task }
    }

    async fn stop(self) -> Worked {
        self.shutdown.cancel();
        within("the worker stops", self.task).await.unwrap().unwrap()
    }
}

fn worker(aloud: Aloud) -> Worker {
    Worker::new(aloud).queues(["mail", "default"])
}

/// Waits until a job has ended, or rests.
async fn settled(aloud: &Aloud, id: &str) -> JobView {
    until("the job is settled", async || {
        let view = aloud.job(id).await.unwrap().unwrap();
        (view.state == Phase::Ended || view.state == Phase::Dead || !view.attempts.is_empty()).then_some(view)
    })
    .await
}

#[tokio::test]
async fn jobs_run_at_the_same_time_and_never_more_than_wanted() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let (meet, running, most) =
        (Arc::new(Barrier::new(4)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&most);
    let handler = move |_: SendNotice, _: Ctx| {
        let (meet, running, most) = (Arc::clone(&meet), Arc::clone(&running), Arc::clone(&counter));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Nobody goes on before four are here.
            meet.wait().await;
            running.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let working = Working::start(worker(server.aloud()).concurrency(4).register::<SendNotice, _>(handler));
    aloud.push_many((0..40).map(|n| Push::of(&notice(n)))).await.unwrap();
    let done = async || (server.api().status().await.unwrap().ledger.done == 40).then_some(());
    until("all are done", done).await;
    assert_eq!(working.stop().await, Worked { ended: 40, given_back: 0, lost: 0 });
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_worker_says_which_process_it_is_and_each_attempt_tells_its_release() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let id = aloud.push(&notice(1)).send().await.unwrap().id;
    let worker = worker(server.aloud()).identity("mail.1.g7.aa", Some("66".to_owned())).unwrap();
    let working = Working::start(worker.register::<SendNotice, _>(|_: SendNotice, _: Ctx| async {}));
    assert_eq!(settled(&aloud, &id).await.attempts[0].worker, "mail.1.g7.aa on 66");
    let told = server.api().agent(&"web1".parse().unwrap(), &report(&[])).await.unwrap();
    let seen = &told.spoke[0];
    assert_eq!((seen.worker.as_str(), seen.release.as_deref()), ("mail.1.g7.aa", Some("66")));
    assert_eq!((seen.leases, seen.jobs), (1, 1));
    working.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_to_be_quiet_ends_what_it_runs_and_is_done_by_itself() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&begun), Arc::clone(&go_on));
    let handler = move |_: SendNotice, ctx: Ctx| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            tell.notify_one();
            ctx.stopping.cancelled().await;
            wait.notified().await;
        }
    };
    let worker = worker(server.aloud()).identity("mail.1.g7.aa", None).unwrap().drain_within(Duration::ZERO);
    let working = Working::start(worker.concurrency(2).register::<SendNotice, _>(handler));
    let first = aloud.push(&notice(1)).send().await.unwrap().id;
    within("the first runs", begun.notified()).await;
    server.api().agent(&"web1".parse().unwrap(), &report(&["mail.1.g7.aa"])).await.unwrap();
    // The handler is told to come to its end, which may take longer than a stop may.
    go_on.notify_one();
    let worked = within("it is done by itself", working.task).await.unwrap().unwrap();
    assert_eq!(worked, Worked { ended: 1, given_back: 0, lost: 0 });
    assert_eq!(aloud.job(&first).await.unwrap().unwrap().outcome, Some(Outcome::Done));
    let second = aloud.push(&notice(2)).send().await.unwrap().id;
    assert_eq!(aloud.job(&second).await.unwrap().unwrap().state, Phase::Ready);
}

/// What the agent of a host says that wants these workers quiet.
fn report(quiet: &[&str]) -> AgentReport {
    AgentReport {
        agent: "a".to_owned(),
        version: "0".to_owned(),
        boot: String::new(),
        at: Timestamp(0),
        verdict: job::Verdict::Ok,
        observations: Vec::new(),
        tree: None,
        workers: Vec::new(),
        heard: 0,
        wait: Span::ZERO,
        quiet: quiet.iter().map(|id| (*id).to_owned()).collect(),
        guards: Vec::new(),
        answers: Vec::new(),
    }
}

#[tokio::test]
async fn several_workers_run_each_job_once() {
    let server = Server::start().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let start = || {
        let runs = Arc::clone(&runs);
        let count = move |_: SendNotice, _: Ctx| {
            runs.fetch_add(1, Ordering::SeqCst);
            async {}
        };
        Working::start(worker(server.aloud()).concurrency(7).register::<SendNotice, _>(count))
    };
    let workers = [start(), start(), start()];
    for tens in 0..30 {
        server.aloud().push_many((0..10).map(|n| Push::of(&notice(tens * 10 + n)))).await.unwrap();
    }
    let done = async || (server.api().status().await.unwrap().ledger.done == 300).then_some(());
    until("all are done", done).await;
    let mut ended = 0;
    for working in workers {
        ended += working.stop().await.ended;
    }
    assert_eq!((ended, runs.load(Ordering::SeqCst)), (300, 300));
}

#[tokio::test]
async fn each_way_to_end_is_told_to_the_server() {
    async fn handler(job: SendNotice, _: Ctx) -> Result<Ending, Failure> {
        match job.notice {
            1 => Ok(Ending::output("250 queued")),
            2 => Ok(Ending::skipped("nobody wants it")),
            3 => Ok(Ending::snoozed(Duration::from_secs(3_600))),
            4 => Err(std::io::Error::other("450 later"))?,
            5 => Err(Failure::new("Smtp", "550 no such user").fatal()),
            6 => Err(Failure::new("Smtp", "421 closing").not_before(Span::from_secs(7_200))),
            n => panic!("no notice {n}"),
        }
    }
    let server = Server::start().await;
    let aloud = server.aloud();
    let working = Working::start(worker(server.aloud()).register::<SendNotice, _>(handler));
    let end = async |n: u64| {
        let pushed = aloud.push(&notice(n)).send().await.unwrap();
        settled(&aloud, &pushed.id).await
    };
    let view = end(1).await;
    assert_eq!(view.outcome, Some(Outcome::Done));
    assert_eq!(view.attempts[0].happened, Happened::Done { output: Some("250 queued".into()) });
    let view = end(2).await;
    assert_eq!((view.outcome, view.detail.as_deref()), (Some(Outcome::Skipped), Some("nobody wants it")));
    let view = end(3).await;
    assert_eq!((view.state, view.snoozes, view.failures), (Phase::Retrying, 1, 0));
    let view = end(4).await;
    assert_eq!((view.state, view.failures), (Phase::Retrying, 1));
    let Happened::Failed { error } = &view.attempts[0].happened else { panic!("{view:?}") };
    assert_eq!((error.class.as_str(), error.message.as_str()), ("std::io::error::Error", "450 later"));
    let view = end(5).await;
    assert_eq!((view.state, view.cause), (Phase::Dead, Some(Cause::Permanent)));
    let view = end(6).await;
    assert!(view.due.unwrap().since(view.attempts[0].ended) >= Span::from_secs(7_200), "{view:?}");
    let view = end(7).await;
    let Happened::Failed { error } = &view.attempts[0].happened else { panic!("{view:?}") };
    assert_eq!((error.class.as_str(), error.message.as_str()), ("panic", "no notice 7"));
    assert_eq!(working.stop().await, Worked { ended: 7, given_back: 0, lost: 0 });
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Brief;

impl JobKind for Brief {
    const KIND: &'static str = "brief";
    const TIME_LIMIT: Duration = Duration::from_millis(50);
    const RETRY: Option<Policy> =
        Some(Policy { max_attempts: 1, first: Span::from_secs(10), cap: Span::from_secs(10) });
}

#[tokio::test]
async fn a_run_beyond_its_time_limit_is_a_failed_attempt() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let stopped = CancellationToken::new();
    let guard = stopped.clone();
    let endless = move |_: Brief, ctx: Ctx| {
        let guard = guard.clone().drop_guard();
        async move {
            let _guard = guard;
            ctx.cancelled.cancelled().await;
            std::future::pending::<()>().await;
        }
    };
    let working = Working::start(worker(server.aloud()).register::<Brief, _>(endless));
    let pushed = aloud.push(&Brief).send().await.unwrap();
    let view = settled(&aloud, &pushed.id).await;
    assert_eq!((view.state, view.cause), (Phase::Dead, Some(Cause::Exhausted)), "it was to be tried once");
    let Happened::Failed { error } = &view.attempts[0].happened else { panic!("{view:?}") };
    assert_eq!(error.class, "TimeLimit");
    within("the handler is dropped", stopped.cancelled()).await;
    working.stop().await;
}

#[tokio::test]
async fn what_the_worker_cannot_run_is_recorded_and_holds_up_nothing() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let working = Working::start(worker(server.aloud()).register(async |_: SendNotice, _: Ctx| {}));
    let odd = serde_json::from_str(r#"{"kind":"notice.send","queue":"mail","payload":{"notice":"one"}}"#).unwrap();
    let odd = server.api().push(&odd).await.unwrap();
    let stranger = aloud.push(&Brief).queue("mail").send().await.unwrap();
    let good = aloud.push(&notice(1)).send().await.unwrap();
    assert_eq!(settled(&aloud, &good.id).await.outcome, Some(Outcome::Done));
    let view = settled(&aloud, &odd.id).await;
    assert_eq!((view.state, view.cause), (Phase::Dead, Some(Cause::Permanent)));
    let Happened::Failed { error } = &view.attempts[0].happened else { panic!("{view:?}") };
    assert!(error.message.contains("invalid type"), "{error:?}");
    let view = settled(&aloud, &stranger.id).await;
    let Happened::Failed { error } = &view.attempts[0].happened else { panic!("{view:?}") };
    assert!(error.message.contains("no handler for `brief`"), "{error:?}");
    working.stop().await;
}

/// A handler that says when it begins, and ends when it is let go.
struct Held {
    begun: mpsc::UnboundedReceiver<Ctx>,
    go: Arc<Notify>,
    handlers: Handlers,
}

impl Held {
    fn new() -> Self {
        let (begin, begun) = mpsc::unbounded_channel();
        let go = Arc::new(Notify::new());
        let gone = Arc::clone(&go);
        let handlers = Handlers::new().register(move |_: SendNotice, ctx: Ctx| {
            let (begin, go) = (begin.clone(), Arc::clone(&gone));
            async move {
                begin.send(ctx).unwrap();
                go.notified().await;
            }
        });
        Self { begun, go, handlers }
    }

    async fn begun(&mut self) -> Ctx {
        within("a run begins", self.begun.recv()).await.unwrap()
    }
}

#[tokio::test]
async fn a_heartbeat_keeps_the_lease_of_a_long_run() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let mut held = Held::new();
    let short = worker(server.aloud()).handlers(held.handlers.clone()).lease_for(Duration::from_secs(1));
    let working = Working::start(short);
    let id = aloud.push(&notice(1)).send().await.unwrap().id;
    held.begun().await;
    let first = aloud.job(&id).await.unwrap().unwrap().leased_until.unwrap();
    until("the lease was extended well beyond its first end", async || {
        let view = aloud.job(&id).await.unwrap().unwrap();
        (view.leased_until.expect("it runs all the time") > first + Span::from_secs(1)).then_some(())
    })
    .await;
    held.go.notify_one();
    let view = settled(&aloud, &id).await;
    assert_eq!((view.outcome, view.attempt, view.rescues), (Some(Outcome::Done), 1, 0));
    working.stop().await;
}

#[tokio::test]
async fn a_lease_that_is_lost_stops_its_run() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let mut held = Held::new();
    let short = worker(server.aloud()).handlers(held.handlers.clone()).lease_for(Duration::from_secs(1));
    let working = Working::start(short);
    let id = aloud.push(&notice(1)).send().await.unwrap().id;
    let ctx = held.begun().await;
    // Somebody else ends the run, under its own lease.
    let lease = server.lease_of(&id).await;
    server.api().ack(&id, &Ack { lease, output: None, skipped: None }).await.unwrap();
    within("the run is told", ctx.cancelled.cancelled()).await;
    assert_eq!(working.stop().await, Worked { ended: 0, given_back: 0, lost: 1 });
}

#[tokio::test]
async fn a_lease_that_cannot_be_extended_in_time_stops_its_run() {
    let mut server = Server::start().await;
    let aloud = server.aloud();
    let mut held = Held::new();
    let short = worker(server.aloud()).handlers(held.handlers.clone()).lease_for(Duration::from_secs(1));
    let working = Working::start(short);
    let id = aloud.push(&notice(1)).send().await.unwrap().id;
    let ctx = held.begun().await;
    server.stop().await;
    within("the run is told", ctx.cancelled.cancelled()).await;
    server.start_again().await;
    let again = held.begun().await;
    assert_eq!((again.id.as_str(), again.attempt), (id.as_str(), 2), "the job came back to the worker, which went on");
    held.go.notify_one();
    let done = async || aloud.job(&id).await.unwrap().unwrap().outcome;
    assert_eq!(until("it is done", done).await, Outcome::Done);
    assert_eq!(working.stop().await, Worked { ended: 1, given_back: 0, lost: 1 });
}

#[tokio::test]
async fn a_server_that_restarts_in_the_middle_of_a_run_hears_of_its_end() {
    let mut server = Server::start().await;
    let aloud = server.aloud();
    let mut held = Held::new();
    let working = Working::start(worker(server.aloud()).handlers(held.handlers.clone()));
    let id = aloud.push(&notice(1)).send().await.unwrap().id;
    held.begun().await;
    server.stop().await;
    // The run ends while nobody can be told.
    held.go.notify_one();
    server.start_again().await;
    let done = async || aloud.job(&id).await.unwrap().unwrap().outcome;
    assert_eq!(until("its end is told", done).await, Outcome::Done);
    assert_eq!(aloud.job(&id).await.unwrap().unwrap().attempt, 1);
    // And the worker takes the next.
    let id = aloud.push(&notice(2)).send().await.unwrap().id;
    held.begun().await;
    held.go.notify_one();
    assert_eq!(settled(&aloud, &id).await.outcome, Some(Outcome::Done));
    assert_eq!(working.stop().await, Worked { ended: 2, given_back: 0, lost: 0 });
}

#[tokio::test]
async fn an_end_whose_answer_is_lost_is_told_again() {
    let server = Server::start().await;
    let proxy = Proxy::before(server.address).await;
    let aloud = server.aloud();
    let mut held = Held::new();
    let through = Aloud::with(server.settings_through(proxy.address)).unwrap();
    let short = worker(through).handlers(held.handlers.clone()).concurrency(1).lease_for(Duration::from_secs(3));
    let working = Working::start(short);
    let id = aloud.push(&notice(1)).send().await.unwrap().id;
    held.begun().await;
    proxy.lose(1);
    held.go.notify_one();
    assert_eq!(settled(&aloud, &id).await.outcome, Some(Outcome::Done));
    until("the answer is lost", async || (proxy.to_lose() == 0).then_some(())).await;
    let id = aloud.push(&notice(2)).send().await.unwrap().id;
    held.begun().await;
    held.go.notify_one();
    assert_eq!(settled(&aloud, &id).await.outcome, Some(Outcome::Done));
    assert_eq!(working.stop().await, Worked { ended: 2, given_back: 0, lost: 0 });
}

#[tokio::test]
async fn a_worker_that_stops_waits_for_its_runs() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let mut held = Held::new();
    let working = Working::start(worker(server.aloud()).handlers(held.handlers.clone()));
    let id = aloud.push(&notice(1)).send().await.unwrap().id;
    let ctx = held.begun().await;
    working.shutdown.cancel();
    within("the run is told that the worker stops", ctx.stopping.cancelled()).await;
    assert!(!ctx.cancelled.is_cancelled());
    let late = aloud.push(&notice(2)).send().await.unwrap().id;
    held.go.notify_one();
    let worked = working.stop().await;
    assert_eq!((worked.ended, worked.lost), (1, 0));
    assert_eq!(aloud.job(&id).await.unwrap().unwrap().outcome, Some(Outcome::Done));
    until("what came late is there for others", async || {
        (aloud.job(&late).await.unwrap().unwrap().state == Phase::Ready).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_does_not_end_in_time_is_given_back_at_once() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let mut held = Held::new();
    let impatient = worker(server.aloud()).handlers(held.handlers.clone()).drain_within(Duration::from_millis(20));
    let working = Working::start(impatient);
    let id = aloud.push(&notice(1)).send().await.unwrap().id;
    held.begun().await;
    assert_eq!(working.stop().await, Worked { ended: 0, given_back: 1, lost: 0 });
    let view = aloud.job(&id).await.unwrap().unwrap();
    assert_eq!((view.state, view.snoozes, view.failures), (Phase::Ready, 1, 0));
    // The next worker need not wait for the lease to run out.
    let next = Working::start(worker(server.aloud()).handlers(held.handlers.clone()));
    assert_eq!(held.begun().await.attempt, 2);
    held.go.notify_one();
    assert_eq!(next.stop().await.ended, 1);
}

#[tokio::test]
async fn a_worker_that_is_not_let_in_says_so_at_once() {
    let server = Server::start().await;
    let wrong = Token::new("x".repeat(40)).unwrap();
    let aloud = Aloud::new(format!("http://{}", server.address), wrong).unwrap();
    let refused = within("it gives up", worker(aloud).run_until(std::future::pending())).await.unwrap_err();
    assert_eq!(refused.status(), Some(401));
}

#[tokio::test]
async fn a_worker_that_starts_before_its_server_works_once_it_is_there() {
    let mut server = Server::start().await;
    let proxy = Proxy::before(server.address).await;
    let aloud = server.aloud();
    server.stop().await;
    let through = Aloud::with(server.settings_through(proxy.address)).unwrap();
    let working = Working::start(worker(through).register(async |_: SendNotice, _: Ctx| {}));
    until("it asked in vain", async || (proxy.in_vain() > 1).then_some(())).await;
    server.start_again().await;
    let id = aloud.push(&notice(1)).send().await.unwrap().id;
    assert_eq!(settled(&aloud, &id).await.outcome, Some(Outcome::Done));
    working.stop().await;
}
