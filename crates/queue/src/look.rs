//! What only looks.

use job::{JobRef, Ledger};
use store::jobs::{Found, Page, QueueState, Recount, Search};
use store::records::{Health, Identity};

use crate::{Error, Queue};

impl Queue {
    /// One job, wherever it stands; `None` if there never was one, or if it ended
    /// and was removed.
    pub async fn get(&self, id: JobRef) -> Result<Option<Found>, Error> {
        self.shared.open()?;
        Ok(self.shared.store.get(id, self.now()).await?)
    }

    /// Jobs that fit, in slices.
    pub async fn search(&self, search: Search) -> Result<Page, Error> {
        self.shared.open()?;
        Ok(self.shared.store.search(search, self.now()).await?)
    }

    /// How every queue stands, by name.
    pub async fn queues(&self) -> Result<Vec<QueueState>, Error> {
        self.shared.open()?;
        Ok(self.shared.store.queues(self.now()).await?)
    }

    /// The ledger, as it was counted along.
    pub async fn ledger(&self) -> Result<Ledger, Error> {
        self.shared.open()?;
        Ok(self.shared.store.ledger().await?)
    }

    /// Counts again what the ledger says of jobs that are kept, and answers both.
    pub async fn recount(&self) -> Result<Recount, Error> {
        self.shared.open()?;
        Ok(self.shared.store.recount().await?)
    }

    /// Who the store is.
    pub fn identity(&self) -> Identity {
        self.shared.store.identity()
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        self.shared.store.health()
    }

    /// Whether it takes calls: it was not told to stop, and its loop has not
    /// ended by itself.
    pub fn is_open(&self) -> bool {
        self.shared.open().is_ok()
    }

    /// What is not as it should be, in sentences, the worst first; nothing if
    /// all is well.
    pub fn findings(&self) -> Vec<String> {
        self.shared.findings.all(&self.health(), self.now())
    }
}
