//! Push, and what ends a job or turns it back.

use std::collections::BTreeSet;

use job::time::Remembered;
use job::{Job, JobId, JobRef, Lease, Moment, NewJob, Now, OnConflict, Pause, QueueName, Span, State, Step, Timestamp};

use super::Writer;
use crate::jobs::{Cancel, Cancelled, Discarded, Finish, Pushed, Revived, Settled, Stale};
use crate::sqlite::index::QueueNo;
use crate::sqlite::trouble::Trouble;

impl Writer<'_> {
    pub(in crate::sqlite) fn push(&mut self, jobs: Vec<NewJob>, now: Now) -> Result<Vec<Pushed>, Trouble> {
        self.room_for_queues(&jobs)?;
        jobs.into_iter().map(|new| self.push_one(new, now)).collect()
    }

    fn push_one(&mut self, new: NewJob, now: Now) -> Result<Pushed, Trouble> {
        if let Some(known) = self.known(&new)? {
            return Ok(known);
        }
        let holder = match &new.spec.key {
            Some(key) => self.key_holder(&new.spec.queue, key, now)?,
            None => None,
        };
        let id = self.tally.next_id();
        let replaced = match (holder, new.on_conflict) {
            (None, _) => None,
            (Some(Job { id, client_id, .. }), OnConflict::Keep) => return Ok(Pushed::Kept { id, client_id }),
            (Some(Job { id, client_id, .. }), OnConflict::Reject) => return Ok(Pushed::Rejected { id, client_id }),
            (Some(old), OnConflict::Replace) => Some(self.lead(old, Step::replaced_by(id), now)?.id),
        };
        let queue = self.queue_for_push(&new.spec.queue)?;
        let job = Job::new(id, new, now);
        self.rows.push(&job, queue)?;
        self.tally.pushed(id);
        if let Some(client_id) = &job.client_id {
            self.index.add_client(client_id.as_str(), id.0);
        }
        self.sit(&job)?;
        if matches!(job.state, State::Waiting { due, .. } if due.reached(now)) {
            self.rows.keep_fresh(job);
        }
        Ok(Pushed::New { id, replaced })
    }

    /// The job that was pushed before with the client id of `new`.
    fn known(&mut self, new: &NewJob) -> Result<Option<Pushed>, Trouble> {
        let Some(client_id) = &new.client_id else { return Ok(None) };
        let Some(id) = self.resolve(client_id)? else { return Ok(None) };
        Ok(Some(Pushed::Known { id, outcome: self.rows.outcome(id.0)? }))
    }

    fn room_for_queues(&mut self, jobs: &[NewJob]) -> Result<(), Trouble> {
        let mut queues = BTreeSet::new();
        for new in jobs {
            if self.index.number(&new.spec.queue).is_none() && self.known(new)?.is_none() {
                queues.insert(&new.spec.queue);
            }
        }
        self.room_for(queues.len())
    }

    /// The number of a queue that a job is pushed to.
    fn queue_for_push(&mut self, name: &QueueName) -> Result<QueueNo, Trouble> {
        let number = match self.index.number(name) {
            Some(number) => number,
            None => self.add_queue(name, true)?,
        };
        if !self.index.queue_mut(number).pushed {
            self.rows.push_queue(number)?;
            self.index.queue_mut(number).pushed = true;
        }
        Ok(number)
    }

    fn add_queue(&mut self, name: &QueueName, pushed: bool) -> Result<QueueNo, Trouble> {
        let number = self.index.add_queue(name.clone());
        self.rows.add_queue(number, name, pushed)?;
        self.index.queue_mut(number).pushed = pushed;
        Ok(number)
    }

    pub(in crate::sqlite) fn extend(
        &mut self,
        id: &JobRef,
        lease: Lease,
        for_: Span,
        now: Now,
    ) -> Result<Result<Timestamp, Stale>, Trouble> {
        let id = match self.run_of(id, lease)? {
            Ok(id) => id,
            Err(stale) => return Ok(Err(stale)),
        };
        let until = Moment::after(now, for_);
        if let Some(job) = self.index.running(id.0) {
            self.rows.extend(id, &job.spec, until)?;
        }
        self.index.extend(id.0, until);
        Ok(Ok(until.wall))
    }

    pub(in crate::sqlite) fn finish(
        &mut self,
        ends: Vec<Finish>,
        now: Now,
    ) -> Result<Vec<Result<Settled, Stale>>, Trouble> {
        ends.into_iter().map(|end| self.finish_one(end, now)).collect()
    }

    fn finish_one(&mut self, end: Finish, now: Now) -> Result<Result<Settled, Stale>, Trouble> {
        let id = match self.run_of(&end.id, end.lease)? {
            Ok(id) => id,
            Err(stale) => return Ok(Err(stale)),
        };
        self.rows.begin_to_last()?;
        let Some(mut job) = self.index.stop(id.0) else { return Ok(Err(Stale::Unknown)) };
        let step = job.finish(end.ending, end.jitter, now);
        Ok(Ok(match self.lead_back(*job, step, now)?.state {
            State::Waiting { due, .. } => Settled::Waits(due.wall),
            State::Ended { outcome, .. } => Settled::Ended(outcome),
            State::Dead { .. } => Settled::Dead,
            State::Running(_) => unreachable!("no step leads to running"),
        }))
    }

    /// Which job it is, if it runs under this lease.
    fn run_of(&mut self, id: &JobRef, lease: Lease) -> Result<Result<JobId, Stale>, Trouble> {
        let id = match id {
            JobRef::Id(id) => Some(*id),
            JobRef::Client(id) => self.resolve(id)?,
        };
        let Some(id) = id else { return Ok(Err(Stale::Unknown)) };
        if let Some(job) = self.index.running(id.0) {
            let is_it = matches!(&job.state, State::Running(run) if run.lease == lease);
            return Ok(if is_it { Ok(id) } else { Err(Stale::Other) });
        }
        Ok(Err(if self.find_by_id(id)?.is_some() { Stale::NotRunning } else { Stale::Unknown }))
    }

    pub(in crate::sqlite) fn cancel(&mut self, what: &Cancel, by: String, now: Now) -> Result<Cancelled, Trouble> {
        let found = match what {
            Cancel::Job(id) => self.find(id)?,
            Cancel::Key(queue, key) => match self.waiting_with(queue, key)? {
                Some(job) => Some(job),
                None => {
                    let has_key = |job: &&Job| job.spec.queue == *queue && job.spec.key.as_ref() == Some(key);
                    self.index.all_running().filter(has_key).max_by_key(|job| job.id).cloned()
                }
            },
        };
        let Some(job) = found else { return Ok(Cancelled::Unknown) };
        Ok(match job.state {
            State::Waiting { .. } => Cancelled::Yes(self.lead(job, Step::cancelled(by), now)?.id),
            State::Running(_) => Cancelled::Running(job.id),
            State::Dead { .. } => Cancelled::Dead(job.id),
            State::Ended { outcome, .. } => Cancelled::Ended(job.id, outcome),
        })
    }

    pub(in crate::sqlite) fn discard(&mut self, id: &JobRef, by: String, now: Now) -> Result<Discarded, Trouble> {
        let Some(job) = self.find(id)? else { return Ok(Discarded::Unknown) };
        Ok(match job.state {
            State::Dead { .. } => Discarded::Yes(self.lead(job, Step::discarded(by), now)?.id),
            State::Waiting { .. } | State::Running(_) | State::Ended { .. } => {
                Discarded::NotDead(job.id, self.phase(&job, now))
            }
        })
    }

    pub(in crate::sqlite) fn revive(&mut self, id: &JobRef, now: Now) -> Result<Revived, Trouble> {
        let Some(mut job) = self.find(id)? else { return Ok(Revived::Unknown) };
        match job.state {
            State::Waiting { .. } => {}
            State::Dead { .. } => {
                if let Some(key) = &job.spec.key
                    && let Some(holder) = self.key_holder(&job.spec.queue, key, now)?
                {
                    return Ok(Revived::KeyHeld(job.id, holder.id));
                }
            }
            State::Running(_) | State::Ended { .. } => return Ok(Revived::Not(job.id, self.phase(&job, now))),
        }
        let step = job.revive(now);
        Ok(Revived::Yes(self.lead(job, step, now)?.id))
    }

    pub(in crate::sqlite) fn pause(&mut self, queue: &QueueName, pause: Pause) -> Result<(), Trouble> {
        let number = match self.index.number(queue) {
            Some(number) => number,
            None => {
                self.room_for(1)?;
                self.add_queue(queue, false)?
            }
        };
        self.rows.pause(number, Some(&pause))?;
        self.index.set_pause(number, Some(pause));
        Ok(())
    }

    pub(in crate::sqlite) fn resume(&mut self, queue: &QueueName) -> Result<Option<Pause>, Trouble> {
        self.index.ring(queue.clone());
        let Some(number) = self.index.number(queue) else { return Ok(None) };
        let pause = self.index.set_pause(number, None);
        if self.index.queue_mut(number).pushed {
            if pause.is_some() {
                self.rows.pause(number, None)?;
            }
        } else {
            self.rows.remove_queue(number)?;
            self.index.remove_queue(number);
        }
        Ok(pause)
    }

    pub(in crate::sqlite) fn remember(&mut self, clocks: &Remembered) -> Result<(), Trouble> {
        self.tally.at(clocks.newest);
        Ok(self.rows.remember(clocks)?)
    }
}
