//! One run of a job: decode, run under a time limit and a panic guard, and
//! whatever happens, an ending.
//!
//! ```text
//! leased job ──▶ decode ──▶ run ──────────────▶ ending
//!                  │         │ time is up, panic   ▲
//!                  └─────────┴─────────────────────┘
//! ```
//!
//! Knows nothing of the server: leases, heartbeats and acks are the worker's.

use std::any::Any;
use std::time::Duration;

use futures_util::future::{Either, select};
use job::{Ending, JobError};
use tokio::task::JoinHandle;
use wire::v1::LeasedJob;

use crate::handler::{Ctx, Handlers};

/// How long a handler that was stopped may take to let go. One that does not
/// yield at all, such as a blocking call, is left to itself after that.
const LET_GO: Duration = Duration::from_secs(5);

/// Runs one job to its end. If the context is cancelled from outside, the
/// handler is stopped and there is no ending: `None`.
pub(crate) async fn run(handlers: &Handlers, job: &LeasedJob, ctx: Ctx) -> Option<Ending> {
    let (ready, limit) = match handlers.decode(job) {
        Ok(ready) => ready,
        Err(ending) => return Some(ending),
    };
    let cancelled = ctx.cancelled.clone();
    // A task of its own: a panic ends that task alone, and a handler that
    // blocks does not hold up the heartbeat.
    let mut task = Stopped::at_drop(tokio::spawn(async move { ready(ctx).await }));
    let watch = async {
        tokio::select! {
            () = cancelled.cancelled() => false,
            () = tokio::time::sleep(limit) => true,
        }
    };
    let watch = std::pin::pin!(watch);
    let ended = match select(&mut task.0, watch).await {
        Either::Left((ended, _)) => ended,
        Either::Right((time_is_up, _)) => {
            cancelled.cancel();
            stop(&mut task.0, job).await;
            return time_is_up.then(|| Ending::failed(out_of_time(limit)));
        }
    };
    Some(ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => Ending::failed(JobError::new("panic", said(&*panic))),
        Err(_) => Ending::failed(JobError::new("Aborted", "the handler's task was aborted")),
    }))
}

async fn stop(task: &mut JoinHandle<Ending>, job: &LeasedJob) {
    task.abort();
    if tokio::time::timeout(LET_GO, task).await.is_err() {
        tracing::error!(job = job.id, kind = %job.kind, "the handler blocks and cannot be stopped; it goes on, unheeded");
    }
}

fn out_of_time(limit: Duration) -> JobError {
    JobError::new("TimeLimit", format!("the run took longer than {limit:?} and was stopped"))
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

/// A task that does not outlive whoever waits for it.
struct Stopped(JoinHandle<Ending>);

impl Stopped {
    fn at_drop(task: JoinHandle<Ending>) -> Self {
        Self(task)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use job::Again;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::JobKind;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Add {
        a: u32,
        b: u32,
    }

    impl JobKind for Add {
        const KIND: &'static str = "add";
        const TIME_LIMIT: Duration = Duration::from_secs(60);
    }

    fn leased(kind: &str, payload: &str) -> LeasedJob {
        let json = format!(
            r#"{{"id":"j1","lease":"00","until":"2026-12-01T09:00:00Z","queue":"default","kind":"{kind}",
                "payload":{payload},"attempt":1,"pushed":"2026-12-01T09:00:00Z"}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    async fn run_with(handlers: Handlers, job: &LeasedJob) -> Option<Ending> {
        run(&handlers, job, Ctx::of(job, CancellationToken::new(), CancellationToken::new())).await
    }

    fn failed(ending: Option<Ending>) -> (JobError, Again) {
        match ending {
            Some(Ending::Failed { error, again }) => (error, again),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_handler_is_given_its_job_and_its_answer_is_the_ending() {
        let handlers = Handlers::new()
            .register(|add: Add, ctx: Ctx| async move { Ending::output(format!("{} {}", ctx.id, add.a + add.b)) });
        assert_eq!(run_with(handlers, &leased("add", r#"{"a":1,"b":2}"#)).await, Some(Ending::output("j1 3")));
    }

    #[tokio::test]
    async fn a_payload_that_is_not_the_handlers_is_a_failure_for_good() {
        let handlers = Handlers::new().register(|_: Add, _| async {});
        let (error, again) = failed(run_with(handlers, &leased("add", r#"{"a":"one"}"#)).await);
        assert_eq!((error.class.as_str(), again), ("UndecodablePayload", Again::Never));
        assert!(error.message.contains("`add`") && error.message.contains("invalid type"), "{}", error.message);
    }

    #[tokio::test]
    async fn a_kind_without_a_handler_is_left_to_a_worker_that_has_one() {
        let handlers = Handlers::new().register(|_: Add, _| async {});
        let (error, again) = failed(run_with(handlers, &leased("subtract", "null")).await);
        assert_eq!((error.class.as_str(), again), ("UnknownKind", Again::ByPolicy));
        assert!(error.message.contains("it has them for: add"), "{}", error.message);
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_with_its_message() {
        let handlers = Handlers::new().register(|add: Add, _| async move { assert_eq!(add.a, 0, "a was {}", add.a) });
        let (error, again) = failed(run_with(handlers, &leased("add", r#"{"a":7,"b":2}"#)).await);
        assert_eq!((error.class.as_str(), again), ("panic", Again::ByPolicy));
        assert!(error.message.contains("a was 7"), "{}", error.message);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_takes_too_long_is_stopped_and_is_a_failure() {
        let gone = CancellationToken::new();
        let guard = gone.clone();
        let handlers = Handlers::new().register(move |_: Add, _| {
            let guard = guard.clone().drop_guard();
            async move {
                std::future::pending::<()>().await;
                drop(guard);
            }
        });
        let (error, _) = failed(run_with(handlers, &leased("add", r#"{"a":1,"b":2}"#)).await);
        assert_eq!(error.class, "TimeLimit");
        gone.cancelled().await;
    }

    #[tokio::test]
    async fn a_run_that_is_called_off_has_no_ending() {
        let handlers = Handlers::new().register(|_: Add, _| std::future::pending::<()>());
        let job = leased("add", r#"{"a":1,"b":2}"#);
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        assert_eq!(run(&handlers, &job, Ctx::of(&job, cancelled, CancellationToken::new())).await, None);
    }
}
