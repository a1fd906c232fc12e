//! Push, and what ends a job or turns it back.

use job::{Job, JobId, JobRef, Lease, Moment, NewJob, Now, OnConflict, Pause, QueueName, Span, State, Step, Timestamp};

use super::tables::{Tables, has_key, waits};
use crate::error::Error;
use crate::jobs::{Cancel, Cancelled, Discarded, Finish, Pushed, Revived, Settled, Stale};

impl Tables {
    pub(super) fn push(&mut self, jobs: Vec<NewJob>, now: Now) -> Result<Vec<Pushed>, Error> {
        let unknown = jobs.iter().filter(|new| self.known(new).is_none());
        self.room_for(unknown.map(|new| &new.spec.queue))?;
        Ok(jobs.into_iter().map(|new| self.push_one(new, now)).collect())
    }

    fn push_one(&mut self, new: NewJob, now: Now) -> Pushed {
        if let Some(known) = self.known(&new) {
            let outcome = match known.state {
                State::Ended { outcome, .. } => Some(outcome),
                State::Waiting { .. } | State::Running(_) | State::Dead { .. } => None,
            };
            return Pushed::Known { id: known.id, outcome };
        }
        let id = JobId(self.last_id + 1);
        let holder = new.spec.key.as_ref().and_then(|key| self.key_holder(&new.spec.queue, key, now));
        if let Some(holder) = holder {
            let old = self.jobs[&holder].clone();
            match new.on_conflict {
                OnConflict::Keep => return Pushed::Kept { id: old.id, client_id: old.client_id },
                OnConflict::Reject => return Pushed::Rejected { id: old.id, client_id: old.client_id },
                OnConflict::Replace => _ = self.lead(old, Step::replaced_by(id), now),
            }
        }
        self.last_id = id.0;
        self.queues.insert(new.spec.queue.clone());
        self.named.extend(new.client_id.clone().map(|name| (name, id)));
        self.keep(Job::new(id, new, now), now);
        Pushed::New { id, replaced: holder }
    }

    /// The job that was pushed before with the client id of `new`.
    fn known(&self, new: &NewJob) -> Option<&Job> {
        new.client_id.clone().and_then(|id| self.find(&JobRef::Client(id)))
    }

    pub(super) fn extend(&mut self, id: &JobRef, lease: Lease, for_: Span, now: Now) -> Result<Timestamp, Stale> {
        let mut job = self.running(id, lease)?;
        let until = Moment::after(now, for_);
        if let State::Running(run) = &mut job.state {
            run.until = until;
        }
        self.keep(job, now);
        Ok(until.wall)
    }

    pub(super) fn finish(&mut self, end: Finish, now: Now) -> Result<Settled, Stale> {
        let mut job = self.running(&end.id, end.lease)?;
        let step = job.finish(end.ending, end.jitter, now);
        Ok(match &self.lead_back(job, step, now).state {
            State::Waiting { due, .. } => Settled::Waits(due.wall),
            State::Ended { outcome, .. } => Settled::Ended(*outcome),
            State::Dead { .. } => Settled::Dead,
            State::Running(_) => unreachable!("no step leads to running"),
        })
    }

    /// The job, if it runs under this lease.
    fn running(&self, id: &JobRef, lease: Lease) -> Result<Job, Stale> {
        let job = self.find(id).ok_or(Stale::Unknown)?;
        match &job.state {
            State::Running(run) if run.lease == lease => Ok(job.clone()),
            State::Running(_) => Err(Stale::Other),
            State::Waiting { .. } | State::Dead { .. } | State::Ended { .. } => Err(Stale::NotRunning),
        }
    }

    pub(super) fn cancel(&mut self, what: &Cancel, by: String, now: Now) -> Cancelled {
        let found = match what {
            Cancel::Job(id) => self.find(id),
            Cancel::Key(queue, key) => {
                let youngest =
                    |fits: fn(&Job) -> bool| self.jobs.values().rfind(|job| has_key(job, queue, key) && fits(job));
                youngest(waits).or_else(|| youngest(|job| matches!(job.state, State::Running(_))))
            }
        };
        let Some(job) = found.cloned() else { return Cancelled::Unknown };
        match job.state {
            State::Waiting { .. } => Cancelled::Yes(self.lead(job, Step::cancelled(by), now).id),
            State::Running(_) => Cancelled::Running(job.id),
            State::Dead { .. } => Cancelled::Dead(job.id),
            State::Ended { outcome, .. } => Cancelled::Ended(job.id, outcome),
        }
    }

    pub(super) fn discard(&mut self, id: &JobRef, by: String, now: Now) -> Discarded {
        let Some(job) = self.find(id).cloned() else { return Discarded::Unknown };
        match job.state {
            State::Dead { .. } => Discarded::Yes(self.lead(job, Step::discarded(by), now).id),
            State::Waiting { .. } | State::Running(_) | State::Ended { .. } => {
                Discarded::NotDead(job.id, self.phase(&job, now))
            }
        }
    }

    pub(super) fn revive(&mut self, id: &JobRef, now: Now) -> Revived {
        let Some(mut job) = self.find(id).cloned() else { return Revived::Unknown };
        match job.state {
            State::Waiting { .. } => {}
            State::Dead { .. } => {
                let key = job.spec.key.as_ref();
                if let Some(holder) = key.and_then(|key| self.key_holder(&job.spec.queue, key, now)) {
                    return Revived::KeyHeld(job.id, holder);
                }
            }
            State::Running(_) | State::Ended { .. } => return Revived::Not(job.id, self.phase(&job, now)),
        }
        let step = job.revive(now);
        Revived::Yes(self.lead(job, step, now).id)
    }

    pub(super) fn pause(&mut self, queue: QueueName, pause: Pause) -> Result<(), Error> {
        self.room_for([&queue].into_iter())?;
        self.pauses.insert(queue, pause);
        self.rung.timers = true;
        Ok(())
    }

    pub(super) fn resume(&mut self, queue: &QueueName) -> Option<Pause> {
        let pause = self.pauses.remove(queue)?;
        self.rung.queues.insert(queue.clone());
        Some(pause)
    }
}
