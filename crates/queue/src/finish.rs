//! A run ends.

use std::future::{Future as _, poll_fn};
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use job::{Ending, JobRef, Lease, Span, Timestamp};
use store::jobs::{Finish, Leased, Settled, Stale};
use store::{Error as StoreError, Reply};

use crate::backoff::Backoff;
use crate::findings::Verb;
use crate::{Error, Queue, Shared, Wish};

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

/// Why a job goes back that nobody got.
const WENT_AWAY: &str = "the taker went away before it got the job";

impl Queue {
    /// Ends runs, all in one commit, and answers one for each in their order. A
    /// late end changes nothing and is told so.
    pub async fn finish(&self, ends: Vec<End>) -> Result<Vec<Result<Settled, Stale>>, Error> {
        self.shared.open()?;
        Ok(self.shared.finish(ends).await?)
    }

    /// Ends runs and hands out the next jobs, in one round trip.
    ///
    /// The claim is on its way before the ends are answered, so that they share a
    /// commit. Ends that fail fail the whole, and what was claimed goes back; a
    /// claim that fails hands out nothing, and the ends stand. The ends are
    /// answered together with the jobs: a `wait` holds back both.
    pub async fn finish_and_lease(
        &self,
        ends: Vec<End>,
        wish: Wish,
    ) -> Result<(Vec<Result<Settled, Stale>>, Vec<Leased>), Error> {
        if ends.is_empty() {
            return Ok((Vec::new(), self.lease(wish).await?));
        }
        self.shared.open()?;
        let settling = self.shared.finish(ends);
        let mut lease = pin!(self.lease(wish));
        let early = match poll_fn(|cx| Poll::Ready(lease.as_mut().poll(cx))).await {
            Poll::Ready(leased) => Some(Held { shared: &self.shared, jobs: leased.unwrap_or_default() }),
            Poll::Pending => None,
        };
        let settled = settling.await?;
        let jobs = match early {
            Some(held) => held.take(),
            None => lease.await.unwrap_or_default(),
        };
        Ok((settled, jobs))
    }

    /// Extends a lease to `for_` from now, and answers until when it counts.
    pub async fn extend(&self, id: JobRef, lease: Lease, for_: Span) -> Result<Result<Timestamp, Stale>, Error> {
        self.shared.open()?;
        self.shared.changing();
        Ok(self.shared.store.extend(id, lease, for_, self.now()).await?)
    }
}

/// Jobs that go back unless they are taken.
struct Held<'a> {
    shared: &'a Arc<Shared>,
    jobs: Vec<Leased>,
}

impl Held<'_> {
    fn take(mut self) -> Vec<Leased> {
        mem::take(&mut self.jobs)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.give_back(mem::take(&mut self.jobs));
    }
}

impl Shared {
    fn finish(&self, ends: Vec<End>) -> Reply<Vec<Result<Settled, Stale>>> {
        self.changing();
        let ends = ends.into_iter().map(|End { id, lease, ending }| {
            let jitter = self.draw.jitter(&ending);
            Finish { id, lease, ending, jitter }
        });
        self.store.finish(ends.collect(), self.now())
    }

    /// Gives jobs back whose taker went away, so that the next gets them at once
    /// and not when their leases run out.
    pub(crate) fn give_back(self: &Arc<Self>, jobs: Vec<Leased>) {
        if jobs.is_empty() {
            return;
        }
        let shared = Arc::clone(self);
        self.spawn(async move { shared.bring_back(&jobs).await });
    }

    /// Repeats until it is known that the jobs are back; a repetition changes
    /// nothing. Ends at the latest with the leases.
    async fn bring_back(&self, jobs: &[Leased]) {
        let until = jobs.iter().map(|leased| leased.until).max();
        let mut backoff = Backoff::default();
        loop {
            let ends = jobs.iter().map(|Leased { lease, job, .. }| End {
                id: JobRef::Id(job.id),
                lease: *lease,
                ending: Ending::Snoozed { after: Span::ZERO, why: Some(WENT_AWAY.to_owned()) },
            });
            match self.finish(ends.collect()).await {
                Ok(_) => return self.findings.worked(Verb::GiveBack),
                Err(error @ (StoreError::Busy(_) | StoreError::Full(_) | StoreError::Lost(_)))
                    if until > Some(self.now().wall) =>
                {
                    self.findings.failed(Verb::GiveBack, &error, self.now());
                    tokio::time::sleep(backoff.failed()).await;
                }
                Err(error) => {
                    tracing::warn!(jobs = jobs.len(), %error, "jobs could not be given back; they return when their leases run out");
                    return;
                }
            }
        }
    }
}
