//! The verbs that only look, in few words.

use job::{Job, JobId, JobRef, Ledger, Outcome, Phase, State};

use super::Bench;
use crate::jobs::{Found, Page, QueueState, Recount, Search};

impl Bench {
    /// Looks up a job.
    pub async fn look(&self, id: JobRef) -> Option<Found> {
        let now = self.now();
        self.call(|store| store.get(id.clone(), now)).await
    }

    /// A job, which must be there.
    pub async fn get(&self, id: JobId) -> Job {
        self.look(JobRef::Id(id)).await.expect("a job that is kept").job
    }

    /// How a job shows itself; it must be there.
    pub async fn phase(&self, id: JobId) -> Phase {
        self.look(JobRef::Id(id)).await.expect("a job that is kept").phase
    }

    /// How a job ended, which it must have, and the detail.
    pub async fn end(&self, id: JobId) -> (Outcome, Option<String>) {
        match self.get(id).await.state {
            State::Ended { outcome, detail, .. } => (outcome, detail),
            state @ (State::Waiting { .. } | State::Running(_) | State::Dead { .. }) => {
                panic!("{id} has not ended: {state:?}")
            }
        }
    }

    /// One page of a search.
    pub async fn search(&self, search: Search) -> Page {
        let now = self.now();
        self.call(|store| store.search(search.clone(), now)).await
    }

    /// The ids of all jobs that a search finds.
    pub async fn search_all(&self, mut search: Search) -> Vec<JobId> {
        let mut found = Vec::new();
        for _ in 0..10_000 {
            let page = self.search(search.clone()).await;
            found.extend(page.jobs.iter().map(|found| found.job.id));
            match page.next {
                Some(next) => search.after = Some(next),
                None => return found,
            }
        }
        panic!("the search has no end");
    }

    /// All queues.
    pub async fn queues(&self) -> Vec<QueueState> {
        let now = self.now();
        self.call(|store| store.queues(now)).await
    }

    /// How a queue stands, which must be there.
    pub async fn queue(&self, name: &str) -> QueueState {
        let is_it = |state: &QueueState| state.name.as_str() == name;
        self.queues().await.into_iter().find(is_it).expect("a queue that is known")
    }

    /// The ledger.
    pub async fn ledger(&self) -> Ledger {
        self.call(|store| store.ledger()).await
    }

    /// The ledger, counted again.
    pub async fn recount(&self) -> Recount {
        self.call(|store| store.recount()).await
    }
}
