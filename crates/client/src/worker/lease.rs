//! One run under its lease: the heartbeat beside the handler.

use std::sync::Arc;
use std::time::Duration;

use job::{Ending, Span};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wire::v1::{Extend, LeasedJob};

use super::ends::End;
use crate::handler::{Ctx, Handlers};
use crate::{Api, Error, run};

/// A job that was taken, on its way through this worker.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) job: LeasedJob,
    /// When it came.
    pub(super) at: Instant,
    /// For how long it is leased.
    pub(super) lease_for: Duration,
    /// Places for heartbeats, shared by all runs: a thousand jobs that were
    /// taken together do not open a thousand connections.
    pub(super) heartbeats: Arc<Semaphore>,
}

/// How a run left the worker.
#[derive(Debug)]
pub(super) enum Left {
    /// It ended, or was stopped and is given back.
    Ended(End),
    /// Its lease was lost: there is nothing to tell.
    Lost,
}

/// Runs a job to its end, keeping its lease meanwhile. `stop` ends it early.
pub(super) async fn run(
    taken: Taken,
    api: Api,
    handlers: Arc<Handlers>,
    stopping: CancellationToken,
    stop: CancellationToken,
) -> Left {
    let mut heartbeat = Heartbeat::new(api, &taken);
    let job = taken.job;
    let ctx = Ctx::of(&job, stop.child_token(), stopping);
    let cancelled = ctx.cancelled.clone();
    tracing::debug!(job = job.id, kind = %job.kind, attempt = job.attempt, "running");
    let mut running = std::pin::pin!(run::run(&handlers, &job, ctx));
    let ending = tokio::select! {
        ending = &mut running => ending,
        why = heartbeat.lost() => {
            tracing::error!(
                job = job.id, kind = %job.kind, attempt = job.attempt, why,
                "the lease was lost; the run is stopped, and the job may run elsewhere",
            );
            cancelled.cancel();
            running.await;
            return Left::Lost;
        }
    };
    match ending {
        Some(ending) => {
            say(&job, &ending);
            Left::Ended(End::new(&job, ending, heartbeat.over))
        }
        None => Left::Ended(given_back(&job, heartbeat.over)),
    }
}

/// The end of a run that was stopped, or never begun, because the worker stops:
/// the job is ready again at once, and this was no failure.
pub(super) fn given_back(job: &LeasedJob, over: Instant) -> End {
    let why = Some("the worker stopped before the run had ended".to_owned());
    End { given_back: true, ..End::new(job, Ending::Snoozed { after: Span::ZERO, why }, over) }
}

fn say(job: &LeasedJob, ending: &Ending) {
    let (id, kind, attempt) = (&job.id, &job.kind, job.attempt);
    match ending {
        Ending::Done { .. } => tracing::debug!(job = id, %kind, attempt, "done"),
        Ending::Skipped { why } => tracing::debug!(job = id, %kind, attempt, why, "skipped"),
        Ending::Snoozed { after, why } => tracing::debug!(job = id, %kind, attempt, %after, why, "snoozed"),
        Ending::Failed { error, .. } => {
            tracing::warn!(job = id, %kind, attempt, class = error.class, error = error.message, "failed");
        }
    }
}

/// Extends a lease at a third of its length.
struct Heartbeat {
    api: Api,
    id: String,
    lease: String,
    lease_for: Duration,
    places: Arc<Semaphore>,
    /// Until when the lease is known to last.
    sure: Instant,
    /// When it is over in any case.
    over: Instant,
}

impl Heartbeat {
    fn new(api: Api, taken: &Taken) -> Self {
        let Taken { job, at, lease_for, heartbeats } = taken;
        let (lease_for, until) = (*lease_for, *at + *lease_for);
        let (id, lease, places) = (job.id.clone(), job.lease.clone(), Arc::clone(heartbeats));
        Self { api, id, lease, lease_for, places, sure: until, over: until }
    }

    /// Keeps the lease; returns only when it is lost, and says why.
    async fn lost(&mut self) -> String {
        let mut next = self.sure - self.lease_for / 3 * 2;
        loop {
            sleep_until(next).await;
            let asked = Instant::now();
            // Should this be cut off, the lease may have been extended.
            self.over = self.over.max(asked + self.lease_for);
            match self.extend().await {
                Ok(()) => {
                    self.sure = asked + self.lease_for;
                    self.over = Instant::now() + self.lease_for;
                    next = asked + self.lease_for / 3;
                }
                Err(error) if error.is_conflict() || error.is_no_such_job() => return error.happened(),
                Err(error) if Instant::now() >= self.sure => {
                    return format!("it could not be extended before it ran out: {error}");
                }
                Err(error) => {
                    tracing::warn!(job = self.id, %error, "the lease could not be extended yet");
                    // At the latest when it may be over, to say that it is.
                    next = (Instant::now() + self.lease_for / 10).min(self.sure);
                }
            }
        }
    }

    async fn extend(&self) -> Result<(), Error> {
        let extend = Extend { lease: self.lease.clone(), for_: self.lease_for.into() };
        let extended = async {
            // Nobody closes it.
            let _place = self.places.acquire().await.ok();
            self.api.extend(&self.id, &extend).await
        };
        match timeout(self.lease_for / 3, extended).await {
            Ok(extended) => extended.map(|_| ()),
            Err(_) => Err(Error::Unknown { url: self.api.url().to_owned(), why: "no answer in time".to_owned() }),
        }
    }
}
