//! What may happen to a job, and when.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use job::{Clock, Ending, Jitter, JobRef, Lease, LeaseSeed, Ledger, NewJob, Now, Pause, QueueName, Span, Timestamp};
use store::Store;
use store::jobs::{Claim, Finish};

mod error;
mod guards;

pub use error::Error;
pub use guards::{Guards, NoGuards};
pub use store::jobs::{
    Cancel, Cancelled, Claimed, Cursor, Discarded, Found, From, Leased, Page, Pushed, QueueState, Recount, Revived,
    Search, Settled, Stale,
};
pub use store::records::{Health, Identity};

/// A future on the heap, as a trait object's methods answer it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A wish to run jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// Where from.
    pub from: From,
    /// Who asks, as that worker calls itself.
    pub worker: String,
    /// How many at most.
    pub limit: usize,
    /// How long to wait for the first.
    pub wait: Span,
    /// For how long each is leased.
    pub lease_for: Span,
}

/// The end of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// Of which job.
    pub id: JobRef,
    /// With what right.
    pub lease: Lease,
    /// How.
    pub ending: Ending,
}

/// A handle to the queue; cheap to clone.
#[derive(Clone)]
pub struct Queue {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Queue {
    /// Starts the queue over `store`. Must be called inside a tokio runtime.
    pub fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, _guards: Arc<dyn Guards>) -> Self {
        Self { store, clock }
    }

    /// Answers everything that waits, ends the loop and closes the store.
    /// Returns when that is done; may be called twice.
    pub async fn stop(&self) {
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "the store did not close");
        }
    }

    /// What the clocks say.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Accepts new jobs, all in one commit.
    pub async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, Error> {
        Ok(self.store.push(jobs, self.now()).await?)
    }

    /// Hands out jobs, or waits for the first.
    pub async fn lease(&self, wish: Wish) -> Result<Vec<Leased>, Error> {
        let Wish { from, worker, limit, wait: _, lease_for } = wish;
        let claim = Claim { from, limit, worker, lease_for, seed: LeaseSeed(0) };
        Ok(self.store.claim(claim, self.now()).await?.jobs)
    }

    /// Ends runs, all in one commit.
    pub async fn finish(&self, ends: Vec<End>) -> Result<Vec<Result<Settled, Stale>>, Error> {
        let ends = ends
            .into_iter()
            .map(|End { id, lease, ending }| Finish { id, lease, ending, jitter: Jitter::ZERO })
            .collect();
        Ok(self.store.finish(ends, self.now()).await?)
    }

    /// Ends runs and hands out the next jobs, in one round trip.
    pub async fn finish_and_lease(
        &self,
        ends: Vec<End>,
        wish: Wish,
    ) -> Result<(Vec<Result<Settled, Stale>>, Vec<Leased>), Error> {
        let settled = self.finish(ends).await?;
        Ok((settled, self.lease(wish).await?))
    }

    /// Extends a lease to `for_` from now.
    pub async fn extend(&self, id: JobRef, lease: Lease, for_: Span) -> Result<Result<Timestamp, Stale>, Error> {
        Ok(self.store.extend(id, lease, for_, self.now()).await?)
    }

    /// Calls off a job that waits.
    pub async fn cancel(&self, what: Cancel, by: &str) -> Result<Cancelled, Error> {
        Ok(self.store.cancel(what, by.to_owned(), self.now()).await?)
    }

    /// Deletes a dead job.
    pub async fn discard(&self, id: JobRef, by: &str) -> Result<Discarded, Error> {
        Ok(self.store.discard(id, by.to_owned(), self.now()).await?)
    }

    /// Makes a dead job wait again, or a waiting one due now.
    pub async fn revive(&self, id: JobRef) -> Result<Revived, Error> {
        Ok(self.store.revive(id, self.now()).await?)
    }

    /// One job, wherever it stands.
    pub async fn get(&self, id: JobRef) -> Result<Option<Found>, Error> {
        Ok(self.store.get(id, self.now()).await?)
    }

    /// Jobs that fit.
    pub async fn search(&self, search: Search) -> Result<Page, Error> {
        Ok(self.store.search(search, self.now()).await?)
    }

    /// How every queue stands.
    pub async fn queues(&self) -> Result<Vec<QueueState>, Error> {
        Ok(self.store.queues(self.now()).await?)
    }

    /// Holds a queue; without `for_` until somebody resumes it.
    pub async fn pause(
        &self,
        queue: QueueName,
        by: String,
        reason: String,
        for_: Option<Span>,
    ) -> Result<Pause, Error> {
        let now = self.now();
        let until = for_.map(|span| job::Moment::after(now, span));
        let pause = Pause { by, reason, since: now.wall, until };
        self.store.pause(queue, pause.clone(), now).await?;
        Ok(pause)
    }

    /// Lets a queue go on, and answers the pause that was there.
    pub async fn resume(&self, queue: QueueName) -> Result<Option<Pause>, Error> {
        Ok(self.store.resume(queue, self.now()).await?)
    }

    /// The ledger, as it was counted along.
    pub async fn ledger(&self) -> Result<Ledger, Error> {
        Ok(self.store.ledger().await?)
    }

    /// Counts again what the ledger says.
    pub async fn recount(&self) -> Result<Recount, Error> {
        Ok(self.store.recount().await?)
    }

    /// Who the store is.
    pub fn identity(&self) -> Identity {
        self.store.identity()
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        self.store.health()
    }

    /// What is not as it should be, in sentences.
    pub fn findings(&self) -> Vec<String> {
        Vec::new()
    }
}
