//! What is kept, and the one place where a job gets from state to state.

use std::collections::{BTreeMap, BTreeSet};

use job::ledger::Slot;
use job::time::Remembered;
use job::{ClientId, Job, JobId, JobRef, Key, Ledger, Moment, Now, Pause, QueueName, Rules, State, Step};

use crate::bell::Rung;
use crate::error::Error;
use crate::jobs::{AskId, MAX_QUEUES};

/// Everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) rules: Rules,
    /// Every job that is kept, wherever it stands.
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// The jobs to which a client id was given, by it.
    pub(super) named: BTreeMap<ClientId, JobId>,
    /// The last id that was given.
    pub(super) last_id: u64,
    /// Every queue that a job was ever pushed to.
    pub(super) queues: BTreeSet<QueueName>,
    pub(super) pauses: BTreeMap<QueueName, Pause>,
    pub(super) ledger: Ledger,
    pub(super) remembered: Option<Remembered>,
    pub(super) closed: bool,

    /// How it stands with the guards of waiting jobs. Lasts no restart.
    pub(super) guards: BTreeMap<JobId, Asked>,
    /// The last question that was given.
    pub(super) last_ask: u64,
    /// The jobs for whose queues the bell was rung since they last changed.
    pub(super) announced: BTreeSet<JobId>,
    /// What is to be rung after this verb.
    pub(super) rung: Rung,
}

/// How it stands with the guard of a job.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// A question is open.
    Open {
        ask: AskId,
        /// When it is closed without an answer.
        until: Moment,
    },
    /// It said yes.
    Yes {
        /// When that is stale.
        until: Moment,
    },
}

impl Tables {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    pub(super) fn reopened(&self, rules: Rules) -> Self {
        Self {
            rules,
            closed: false,
            guards: BTreeMap::new(),
            announced: BTreeSet::new(),
            rung: Rung::default(),
            ..self.clone()
        }
    }

    /// Looks up a job by either form of its id.
    pub(super) fn find(&self, id: &JobRef) -> Option<&Job> {
        match id {
            JobRef::Id(id) => self.jobs.get(id),
            JobRef::Client(name) => self.jobs.get(self.named.get(name)?),
        }
    }

    /// The waiting job that holds a key. One that would not be run any more
    /// takes that step first, and holds nothing.
    pub(super) fn key_holder(&mut self, queue: &QueueName, key: &Key, now: Now) -> Option<JobId> {
        let holder = self.jobs.values().find(|job| waits(job) && has_key(job, queue, key))?.id;
        (!self.turned_away(holder, now)).then_some(holder)
    }

    /// Whether a waiting job is not to be run any more; if so, it has taken that
    /// step.
    pub(super) fn turned_away(&mut self, id: JobId, now: Now) -> bool {
        let job = &self.jobs[&id];
        match job.before_run(&self.rules, now) {
            Some(step) => {
                self.lead(job.clone(), step, now);
                true
            }
            None => false,
        }
    }

    /// Takes a job that does not wait where `step` leads, unless it would wait
    /// and another holds its key. Answers the job as it is then.
    pub(super) fn lead_back(&mut self, job: Job, step: Step, now: Now) -> &Job {
        let key = job.spec.key.clone().filter(|_| matches!(step, Step::Wait(_)));
        let held = key.is_some_and(|key| self.key_holder(&job.spec.queue, &key, now).is_some());
        self.lead(job, step.unless_key_held(held), now)
    }

    /// Takes a job where `step` leads. Answers the job as it is then.
    pub(super) fn lead(&mut self, mut job: Job, step: Step, now: Now) -> &Job {
        job.take(step, now);
        self.keep(job, now)
    }

    /// Keeps a job that changed its state: counts that, forgets its guard, and
    /// says what may now be done with it.
    pub(super) fn keep(&mut self, job: Job, now: Now) -> &Job {
        let id = job.id;
        let to = Slot::from(&job.state);
        match self.jobs.insert(id, job) {
            Some(before) => self.ledger.moved(Slot::from(&before.state), to),
            None => self.ledger.pushed(),
        }
        self.guards.remove(&id);
        self.announced.remove(&id);
        self.announce(id, now);
        self.rung.timers = true;
        &self.jobs[&id]
    }

    /// Rings for a job that may be claimed or asked, if that was not done yet.
    pub(super) fn announce(&mut self, id: JobId, now: Now) {
        let job = &self.jobs[&id];
        if !self.may_be_claimed(job, now) && !self.may_be_asked(job, now) {
            self.announced.remove(&id);
        } else if self.announced.insert(id) {
            self.rung.queues.insert(job.spec.queue.clone());
        }
    }

    /// Whether a queue is held.
    pub(super) fn is_paused(&self, queue: &QueueName, now: Now) -> bool {
        self.pauses.get(queue).is_some_and(|pause| !pause.is_over(now))
    }

    /// Whether the guard of a job is being asked.
    pub(super) fn is_asked(&self, id: JobId, now: Now) -> bool {
        matches!(self.guards.get(&id), Some(Asked::Open { until, .. }) if !until.reached(now))
    }

    /// Whether a job is due and needs no answer, or has a fresh yes.
    pub(super) fn may_be_claimed(&self, job: &Job, now: Now) -> bool {
        let agreed = || matches!(self.guards.get(&job.id), Some(Asked::Yes { until }) if !until.reached(now));
        is_due(job, now) && (job.spec.guard.is_none() || agreed())
    }

    /// Whether a job is due and its guard is to be asked.
    pub(super) fn may_be_asked(&self, job: &Job, now: Now) -> bool {
        let State::Waiting { ask_at, .. } = job.state else { return false };
        let in_hand = match self.guards.get(&job.id) {
            Some(Asked::Open { until, .. } | Asked::Yes { until }) => !until.reached(now),
            None => false,
        };
        is_due(job, now) && job.spec.guard.is_some() && ask_at.is_none_or(|at| at.reached(now)) && !in_hand
    }

    /// Refuses queues that would be too many.
    pub(super) fn room_for<'a>(&self, queues: impl Iterator<Item = &'a QueueName>) -> Result<(), Error> {
        let known: BTreeSet<_> = self.queues.iter().chain(self.pauses.keys()).collect();
        let new: BTreeSet<_> = queues.filter(|queue| !known.contains(queue)).collect();
        if !new.is_empty() && known.len() + new.len() > MAX_QUEUES {
            return Err(Error::Full(format!("it holds {} queues, and at most {MAX_QUEUES} are allowed", known.len())));
        }
        Ok(())
    }
}

pub(super) fn waits(job: &Job) -> bool {
    matches!(job.state, State::Waiting { .. })
}

pub(super) fn is_due(job: &Job, now: Now) -> bool {
    matches!(job.state, State::Waiting { due, .. } if due.reached(now))
}

pub(super) fn has_key(job: &Job, queue: &QueueName, key: &Key) -> bool {
    job.spec.queue == *queue && job.spec.key.as_ref() == Some(key)
}
