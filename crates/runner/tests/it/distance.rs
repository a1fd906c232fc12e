//! A runner whose jobs come from somewhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use job::time::SystemClock;
use job::{Again, Clock, Ending, JobRef, Lease, Now, Payload, Span};
use runner::jobs::{End, Error, Stale, Taken, Wish};
use runner::{Ack, BoxFuture, ExecHandler, Handler, HttpHandler, Jobs, Run, Runner, Task};
use tokio::sync::{Mutex, mpsc};

use crate::app::{App, answer};
use crate::bench::{kind, secret, within};
use crate::exec::Script;

/// What the server is to the runner: jobs come, ends go.
struct Server {
    clock: SystemClock,
    jobs: Mutex<mpsc::UnboundedReceiver<Taken>>,
    ends: mpsc::UnboundedSender<End>,
    wishes: mpsc::UnboundedSender<Wish>,
    /// So many of the next calls are not answered.
    cut: AtomicUsize,
}

/// The other side of it.
struct Side {
    server: Arc<Server>,
    jobs: mpsc::UnboundedSender<Taken>,
    ends: mpsc::UnboundedReceiver<End>,
    wishes: mpsc::UnboundedReceiver<Wish>,
}

/// A handle of the runner's own, as an agent would have it.
struct Remote(Arc<Server>);

impl Side {
    fn new() -> Self {
        let ((jobs, from), (to, ends), (wish, wishes)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let server = Server {
            clock: SystemClock::resume(None),
            jobs: Mutex::new(from),
            ends: to,
            wishes: wish,
            cut: AtomicUsize::new(0),
        };
        Self { server: Arc::new(server), jobs, ends, wishes }
    }

    fn hand_out(&self, id: &str, lease: u64, payload: &str) {
        let task = Task {
            id: id.parse().unwrap(),
            kind: kind(),
            queue: "mail".parse().unwrap(),
            key: None,
            attempt: 2,
            payload: Payload::new(payload.as_bytes()).unwrap(),
        };
        self.jobs.send(Taken { lease: Lease(lease), task }).unwrap();
    }

    async fn end(&mut self) -> End {
        within(self.ends.recv()).await.expect("a run ended").unwrap()
    }
}

impl Server {
    fn answers(&self) -> Result<(), Error> {
        let cut = self.cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if cut { Err(Error::Cut("no route to the server".to_owned())) } else { Ok(()) }
    }
}

impl Jobs for Remote {
    fn take(&self, wish: Wish) -> BoxFuture<'_, Result<Vec<Taken>, Error>> {
        Box::pin(async move {
            self.0.wishes.send(wish).unwrap();
            self.0.answers()?;
            match self.0.jobs.lock().await.recv().await {
                Some(job) => Ok(vec![job]),
                None => Err(Error::Closing),
            }
        })
    }

    fn extend(&self, _: JobRef, _: Lease, _: Span) -> BoxFuture<'_, Result<Result<(), Stale>, Error>> {
        Box::pin(async { Ok(Ok(())) })
    }

    fn finish(&self, ends: Vec<End>) -> BoxFuture<'_, Result<Vec<Result<(), Stale>>, Error>> {
        Box::pin(async move {
            self.0.answers()?;
            let stale = |end: &End| end.lease == Lease(0);
            let told = ends.iter().map(|end| if stale(end) { Err(Stale("unknown".to_owned())) } else { Ok(()) });
            let told = told.collect();
            ends.into_iter().for_each(|end| self.0.ends.send(end).unwrap());
            Ok(told)
        })
    }

    fn store_id(&self) -> String {
        "far-away".to_owned()
    }

    fn now(&self) -> Now {
        self.0.clock.now()
    }
}

fn start(side: &Side, run: Run) -> Runner {
    Runner::start(Remote(Arc::clone(&side.server)), vec![Handler::new(kind(), run).with_concurrency(1).unwrap()])
}

fn done(output: &str) -> Ending {
    Ending::Done { output: Some(output.to_owned()) }
}

#[tokio::test]
async fn jobs_from_elsewhere_are_done_by_a_command_and_their_ends_told_there() {
    let mut side = Side::new();
    let script = Script::new("echo \"$ALOUD_JOB $ALOUD_ATTEMPT $(cat)\"; [ $ALOUD_JOB = j17 ]");
    let runner = start(&side, Run::Exec(ExecHandler { command: script.command() }));
    side.hand_out("j17", 1, r#"{"to":  "ute"}"#);
    side.hand_out("order-42", 2, "null");
    let first = side.end().await;
    assert_eq!((first.id.to_string().as_str(), first.lease), ("j17", Lease(1)));
    assert_eq!(first.ending, done(r#"j17 2 {"to":  "ute"}"#), "byte for byte");
    let second = side.end().await;
    assert_eq!((second.id.to_string().as_str(), second.lease), ("order-42", Lease(2)));
    let Ending::Failed { error, again: Again::ByPolicy } = second.ending else { panic!("it failed") };
    assert_eq!(error.class, "exec.exit_1");
    let wish = side.wishes.recv().await.unwrap();
    assert_eq!((wish.kind, wish.worker.as_str(), wish.limit), (kind(), "aloud:exec", 1));
    within(runner.stop()).await.expect("it stops");
}

#[tokio::test]
async fn jobs_from_elsewhere_are_done_by_a_request() {
    let mut side = Side::new();
    let app = App::answering(|seen| answer(200, &[("aloud-job", seen.header("aloud-job"))], "sent")).await;
    let run = Run::Http(HttpHandler { address: app.at("/"), ack: Ack::Job, secret: secret() });
    let _runner = start(&side, run);
    side.hand_out("order%42", 1, r#"{"to":  "ute"}"#);
    assert_eq!(side.end().await.ending, done("sent"));
    let [seen] = &app.seen()[..] else { panic!("{:?}", app.seen()) };
    assert_eq!((seen.header("aloud-job"), seen.header("aloud-attempt")), ("order%2542", "2"));
    assert_eq!(String::from_utf8_lossy(&seen.body), r#"{"to":  "ute"}"#);
}

#[tokio::test]
async fn what_was_not_answered_is_asked_and_told_again_and_a_stale_end_holds_up_nobody() {
    let mut side = Side::new();
    side.server.cut.store(1, Ordering::SeqCst);
    let script =
        Script::new("echo $ALOUD_JOB >> ran; [ -e go ] || echo on > started; until [ -e go ]; do sleep 0.02; done");
    let _runner = start(&side, Run::Exec(ExecHandler { command: script.command() }));
    side.hand_out("j1", 1, "null");
    script.wrote("started").await;
    side.server.cut.store(2, Ordering::SeqCst);
    std::fs::write(script.path("go"), "").unwrap();
    assert_eq!(side.end().await.id.to_string(), "j1");
    assert_eq!(side.server.cut.load(Ordering::SeqCst), 0, "it was told three times");
    side.hand_out("j2", 0, "null");
    side.hand_out("j3", 3, "null");
    assert_eq!((side.end().await.id.to_string(), side.end().await.id.to_string()), ("j2".into(), "j3".into()));
    assert_eq!(script.wrote("ran").await, "j1\nj2\nj3", "once each");
}
