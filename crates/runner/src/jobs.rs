//! Where jobs come from, and where it is told how they ended.
//!
//! The runner asks for jobs, keeps their leases and ends their runs, and does
//! not know whether the queue is in its own process or on another host. What
//! stands here is what both can give: a queue at hand gives more than that,
//! and none of it is wanted.

use job::{Ending, JobRef, KindName, Lease, Now, Span};
use queue::{BoxFuture, Leased, Queue};

use crate::task::Task;

/// Gives jobs, and hears how they ended.
///
/// At a distance, every call ends by itself, with [`Error::Cut`] if no answer
/// comes: the wait of a wish, and some seconds more, is as long as one may take.
pub trait Jobs: Send + Sync + 'static {
    /// Hands out jobs; if there are none, waits for the first. None when the
    /// wait is over. Dropping the future ends the wait, and gives back what was
    /// granted and not brought yet.
    fn take(&self, wish: Wish) -> BoxFuture<'_, Result<Vec<Taken>, Error>>;

    /// Extends a lease to so long from now.
    fn extend(&self, id: JobRef, lease: Lease, length: Span) -> BoxFuture<'_, Result<Result<(), Stale>, Error>>;

    /// Ends runs, and answers one for each in their order. Told twice, the
    /// second is stale and does no harm.
    fn finish(&self, ends: Vec<End>) -> BoxFuture<'_, Result<Vec<Result<(), Stale>>, Error>>;

    /// The id of the store that the jobs are in, which keeps apart the `j17` of
    /// two stores. Asked while a job runs.
    fn store_id(&self) -> String;

    /// What the clocks of this host say.
    fn now(&self) -> Now;
}

/// A wish to run jobs of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// Of this kind, from every queue.
    pub kind: KindName,
    /// Who asks.
    pub worker: String,
    /// How many at most; from 1 to 1,000.
    pub limit: usize,
    /// How long to wait for the first; at most a minute.
    pub wait: Span,
    /// For how long each is leased.
    pub lease_for: Span,
}

/// A job that was handed out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// The right to finish it.
    pub lease: Lease,
    /// What is to be done.
    pub task: Task,
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

/// The lease that was shown counts for nothing any more, and nothing changed.
/// Says why, as a clause: `it runs under another lease`.
///
/// What is refused and would be refused every time is said in this way, too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stale(pub String);

/// Why there was no answer, by what the caller can do about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// Ask again in a moment. What is leased stays so meanwhile: where nothing
    /// can be extended, nothing is given to others either.
    #[error("{0}")]
    Busy(String),
    /// Ask again in a moment. What happens on the other side meanwhile is
    /// unknown: it may have happened, and leases may run out.
    #[error("{0}")]
    Cut(String),
    /// Do not ask again: whoever gave the jobs is stopping.
    #[error("the queue is stopping")]
    Closing,
}

impl Jobs for Queue {
    fn take(&self, wish: Wish) -> BoxFuture<'_, Result<Vec<Taken>, Error>> {
        let Wish { kind, worker, limit, wait, lease_for } = wish;
        let wish = queue::Wish { from: queue::From::Kind(kind), worker, limit, wait, lease_for };
        Box::pin(async move { Ok(self.lease(wish).await?.into_iter().map(taken).collect()) })
    }

    fn extend(&self, id: JobRef, lease: Lease, length: Span) -> BoxFuture<'_, Result<Result<(), Stale>, Error>> {
        Box::pin(async move { Ok(self.extend(id, lease, length).await?.map(|_until| ()).map_err(stale)) })
    }

    fn finish(&self, ends: Vec<End>) -> BoxFuture<'_, Result<Vec<Result<(), Stale>>, Error>> {
        let ends = ends.into_iter().map(|End { id, lease, ending }| queue::End { id, lease, ending }).collect();
        Box::pin(async move {
            let settled = self.finish(ends).await?;
            Ok(settled.into_iter().map(|settled| settled.map(|_settled| ()).map_err(stale)).collect())
        })
    }

    fn store_id(&self) -> String {
        self.identity().id
    }

    fn now(&self) -> Now {
        self.now()
    }
}

fn taken(Leased { lease, job, .. }: Leased) -> Taken {
    let attempt = job.attempt;
    Taken { lease, task: Task::of(job, attempt) }
}

fn stale(stale: queue::Stale) -> Stale {
    let why = match stale {
        queue::Stale::Unknown => "there is no such job",
        queue::Stale::NotRunning => "it is not running",
        queue::Stale::Other => "it runs under another lease",
    };
    Stale(why.to_owned())
}

impl From<queue::Error> for Error {
    fn from(error: queue::Error) -> Self {
        match error {
            queue::Error::Closing => Self::Closing,
            queue::Error::Busy(_) | queue::Error::Full(_) | queue::Error::Lost(_) | queue::Error::Damaged(_) => {
                Self::Busy(error.to_string())
            }
        }
    }
}
