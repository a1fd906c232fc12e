//! What only looks.

use job::{JobRef, Now};

use super::Writer;
use crate::jobs::{Found, QueueState, Recount};
use crate::sqlite::counting::{Counting, Table};
use crate::sqlite::trouble::Trouble;

impl Writer<'_> {
    pub(in crate::sqlite) fn get(&mut self, id: &JobRef, now: Now) -> Result<Option<Found>, Trouble> {
        let Some(mut job) = self.find(id)? else { return Ok(None) };
        job.spec.payload = self.rows.payload(job.id)?;
        Ok(Some(Found { phase: self.phase(&job, now), job }))
    }

    pub(in crate::sqlite) fn queues(&self) -> Vec<QueueState> {
        let mut queues: Vec<_> = self
            .index
            .queues()
            .map(|queue| QueueState {
                name: queue.name.clone(),
                scheduled: queue.scheduled,
                ready: queue.ready,
                running: queue.running,
                retrying: queue.retrying,
                dead: queue.dead,
                oldest_due: queue.oldest_due(),
                pause: queue.pause.clone(),
            })
            .collect();
        queues.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        queues
    }

    /// What counting again found.
    pub(in crate::sqlite) fn recounted(&self, counting: &Counting) -> Recount {
        let running = counting.count(Table::Leases);
        Recount {
            ledger: self.tally.ledger,
            waiting: counting.count(Table::Jobs).saturating_sub(running),
            running,
            dead: counting.count(Table::Dead),
            ended_kept: counting.count(Table::Ended),
        }
    }
}
