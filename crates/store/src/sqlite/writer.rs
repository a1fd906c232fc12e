//! The verbs, on rows and memory at once.
//!
//! A verb changes both as it goes, within the transaction of its batch. Nobody
//! is told before that is committed, and if it cannot be committed, memory is
//! thrown away and made again from the rows: so a verb sees what those before it
//! did, and nobody ever sees what did not happen.
//!
//! The same decisions as in the reference, [`crate::memory`], in the same words;
//! only the looking-up differs.

use std::sync::Arc;

use job::ledger::Slot;
use job::{ClientId, Job, JobId, JobRef, Key, Now, Phase, QueueName, Rules, State, Step};

use super::index::{Index, Question, Turn};
use super::rows::Rows;
use super::stored::Unreadable;
use super::tally::Tally;
use super::trouble::Trouble;
use crate::error::Error;
use crate::jobs::MAX_QUEUES;

mod look;
mod passing;
mod take;
mod turn;

/// Whoever may write.
pub(super) struct Writer<'c> {
    pub(super) rows: Rows<'c>,
    pub(super) index: Index,
    pub(super) tally: Tally,
    pub(super) rules: Arc<Rules>,
}

/// So many jobs fall due within one call of any verb, if they must.
const FEW: usize = 256;

impl Writer<'_> {
    /// Before any verb: what fell due falls due.
    pub(super) fn catch_up(&mut self, now: Now) -> Result<(), Trouble> {
        self.index.close_questions(now);
        self.pass(FEW, now).map(|_| ())
    }

    /// Lets at most `limit` jobs fall due. Answers how many did.
    fn pass(&mut self, limit: usize, now: Now) -> Result<usize, Trouble> {
        for turned in 0..limit {
            let Some((id, turn)) = self.index.next_turn(now) else { return Ok(turned) };
            self.turn(id, turn)?;
        }
        Ok(limit)
    }

    fn turn(&mut self, id: u64, turn: Turn) -> Result<(), Trouble> {
        match self.rows.waiter(id, &mut self.index) {
            Ok(Some(waiter)) => self.index.turn(&waiter, turn),
            Ok(None) => aside(JobId(id), &Unreadable::new("row", "it is not there")),
            Err(Trouble::Unreadable(id, why)) => aside(id, &why),
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    /// A job, wherever it is, without what it carries.
    fn find(&mut self, id: &JobRef) -> Result<Option<Job>, Trouble> {
        match id {
            JobRef::Id(id) => self.find_by_id(*id),
            JobRef::Client(id) => match self.resolve(id)? {
                Some(id) => self.find_by_id(id),
                None => Ok(None),
            },
        }
    }

    fn find_by_id(&mut self, JobId(id): JobId) -> Result<Option<Job>, Trouble> {
        if id > self.tally.last_id {
            return Ok(None);
        }
        if let Some(job) = self.index.running(id) {
            return Ok(Some(job.clone()));
        }
        if let Some(job) = self.rows.waiting(id, &self.index)? {
            return Ok(Some(job));
        }
        match self.rows.dead(id, &self.index)? {
            Some(job) => Ok(Some(job)),
            None => self.rows.ended(id, &self.index),
        }
    }

    /// The job with an id that its pusher chose.
    fn resolve(&mut self, client_id: &ClientId) -> Result<Option<JobId>, Trouble> {
        for id in self.index.may_be(client_id.as_str()) {
            if self.rows.has_client(id, client_id.as_str())? {
                return Ok(Some(JobId(id)));
            }
        }
        Ok(self.rows.resting_client(client_id.as_str())?.map(JobId))
    }

    /// The waiting job that has a key, whether or not it is to be run.
    fn waiting_with(&mut self, queue: &QueueName, key: &Key) -> Result<Option<Job>, Trouble> {
        let hash = self.index.hash_of_key(queue.as_str(), key.as_str());
        for id in self.index.may_hold(hash) {
            if let Some(job) = self.rows.waiting(id, &self.index)?
                && job.spec.queue == *queue
                && job.spec.key.as_ref() == Some(key)
            {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    /// The waiting job that holds a key. One that would not be run any more
    /// takes that step first, and holds nothing.
    fn key_holder(&mut self, queue: &QueueName, key: &Key, now: Now) -> Result<Option<Job>, Trouble> {
        let Some(holder) = self.waiting_with(queue, key)? else { return Ok(None) };
        match holder.before_run(&self.rules, now) {
            Some(step) => self.lead(holder, step, now).map(|_| None),
            None => Ok(Some(holder)),
        }
    }

    /// Takes a job that does not wait where `step` leads, unless it would wait
    /// and another holds its key. Answers the job as it is then.
    fn lead_back(&mut self, job: Job, step: Step, now: Now) -> Result<Job, Trouble> {
        let held = match &job.spec.key {
            Some(key) if matches!(step, Step::Wait(_)) => {
                self.key_holder(&job.spec.queue, &key.clone(), now)?.is_some()
            }
            Some(_) | None => false,
        };
        self.lead(job, step.unless_key_held(held), now)
    }

    /// Takes a job where `step` leads. Answers the job as it is then.
    fn lead(&mut self, mut job: Job, step: Step, now: Now) -> Result<Job, Trouble> {
        let from = Slot::from(&job.state);
        // Before anything changes in memory: only this can be refused.
        self.rows.begin_to_last()?;
        self.leave(&job)?;
        job.take(step, now);
        self.arrive(&job, from)?;
        self.tally.moved(from, Slot::from(&job.state));
        Ok(job)
    }

    /// A job changes its state: memory forgets where it was, and what ends with
    /// that state ends.
    fn leave(&mut self, job: &Job) -> Result<(), Trouble> {
        match job.state {
            State::Waiting { .. } => {
                let waiter = self.index.waiter(job).ok_or_else(|| no_queue(job))?;
                self.index.unseat(&waiter);
            }
            State::Running(_) => {
                self.index.stop(job.id.0);
                self.rows.remove_lease(job.id)?;
            }
            State::Dead { .. } => {
                let queue = self.index.number(&job.spec.queue).ok_or_else(|| no_queue(job))?;
                self.index.queue_mut(queue).dead -= 1;
                if let Some(id) = &job.client_id {
                    // It is looked for among the dead as long as it is one.
                    self.index.add_client(id.as_str(), job.id.0);
                }
            }
            State::Ended { .. } => {}
        }
        Ok(())
    }

    /// A job has changed its state: its rows are written, and memory notes where
    /// it is.
    fn arrive(&mut self, job: &Job, from: Slot) -> Result<(), Trouble> {
        let queue = self.index.number(&job.spec.queue).ok_or_else(|| no_queue(job))?;
        match job.state {
            State::Waiting { .. } => {
                if from == Slot::Dead {
                    self.rows.remove_dead(job.id)?;
                    self.rows.revive(job, queue)?;
                } else {
                    self.rows.wait(job)?;
                }
                self.sit(job)?;
                return Ok(());
            }
            State::Dead { .. } => {
                self.rows.die(job, queue)?;
                self.index.queue_mut(queue).dead += 1;
            }
            State::Ended { .. } => self.rows.end(job, queue, &mut self.index)?,
            State::Running(_) => unreachable!("no step leads to running"),
        }
        match from {
            Slot::Dead => self.rows.remove_dead(job.id)?,
            Slot::Waiting | Slot::Running | Slot::Ended(_) => self.rows.remove_live(job.id)?,
        }
        if let Some(id) = &job.client_id {
            self.index.remove_client(id.as_str(), job.id.0);
        }
        Ok(())
    }

    /// Memory notes a job that waits.
    fn sit(&mut self, job: &Job) -> Result<(), Trouble> {
        let waiter = self.index.waiter(job).ok_or_else(|| no_queue(job))?;
        self.index.seat(&waiter);
        Ok(())
    }

    fn phase(&self, job: &Job, now: Now) -> Phase {
        let asking = matches!(self.index.asked(job.id.0, now), Some(Question::Open(_)));
        job.phase(now, asking)
    }

    /// Refuses queues that would be too many.
    fn room_for(&self, new: usize) -> Result<(), Trouble> {
        let held = self.index.count_queues();
        if new > 0 && held + new > MAX_QUEUES {
            let why = format!("it holds {held} queues, and at most {MAX_QUEUES} are allowed");
            return Err(Trouble::Refused(Error::Full(why)));
        }
        Ok(())
    }
}

fn no_queue(job: &Job) -> Trouble {
    Trouble::Unreadable(job.id, Unreadable::new("queue", "it has no number"))
}

/// A job cannot be read, and nobody is given it until it can.
fn aside(id: JobId, why: &Unreadable) {
    tracing::error!(%id, %why, "a job cannot be read and is set aside");
}
