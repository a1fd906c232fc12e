//! What others do to a job: push it, call it off, delete it, revive it.

use job::{JobRef, NewJob};
use store::jobs::{Cancel, Cancelled, Discarded, Pushed, Revived};

use crate::{Error, Queue};

impl Queue {
    /// Accepts new jobs, all in one commit, and answers one for each in their
    /// order. What was answered is on disk. Dropping the future does not undo
    /// the push, and whoever waits for such a job hears of it all the same.
    pub async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, Error> {
        self.shared.open()?;
        self.shared.changing();
        Ok(self.shared.store.push(jobs, self.now()).await?)
    }

    /// Calls off a job that waits, for `by`. One that was called off never
    /// starts.
    pub async fn cancel(&self, what: Cancel, by: &str) -> Result<Cancelled, Error> {
        self.shared.open()?;
        self.shared.changing();
        Ok(self.shared.store.cancel(what, by.to_owned(), self.now()).await?)
    }

    /// Deletes a dead job, for `by`.
    pub async fn discard(&self, id: JobRef, by: &str) -> Result<Discarded, Error> {
        self.shared.open()?;
        self.shared.changing();
        Ok(self.shared.store.discard(id, by.to_owned(), self.now()).await?)
    }

    /// Makes a dead job wait again, or a waiting one due now.
    pub async fn revive(&self, id: JobRef) -> Result<Revived, Error> {
        self.shared.open()?;
        self.shared.changing();
        Ok(self.shared.store.revive(id, self.now()).await?)
    }
}
