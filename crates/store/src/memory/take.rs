//! What takes jobs: claims, and the questions before them.

use job::guard::FRESH;
use job::{Answer, Job, JobId, Moment, Now, Run, Span, Step};

use super::tables::{Asked, Tables, is_due};
use crate::jobs::{AskId, Claim, Claimed, From, Leased, MAX_ANSWER_BYTES, Question, Stale};

impl Tables {
    pub(super) fn claim(&mut self, claim: &Claim, now: Now) -> Claimed {
        let mut claimed = Claimed::default();
        let mut bytes = 0;
        for id in self.in_order(&claim.from, now) {
            if claimed.jobs.len() == claim.limit || bytes >= MAX_ANSWER_BYTES {
                break;
            }
            if self.may_be_claimed(&self.jobs[&id], now) && !self.turned_away(id, now) {
                let leased = self.start(id, claim, now);
                bytes += leased.job.spec.payload.as_bytes().len();
                claimed.jobs.push(leased);
            }
        }
        claimed.unasked = self.in_order(&claim.from, now).iter().any(|id| self.may_be_asked(&self.jobs[id], now));
        claimed
    }

    fn start(&mut self, id: JobId, claim: &Claim, now: Now) -> Leased {
        let mut job = self.jobs[&id].clone();
        let lease = claim.seed.lease(id, job.attempt + 1);
        let until = Moment::after(now, claim.lease_for);
        job.start(Run { lease, until, worker: claim.worker.clone(), started: now.wall });
        Leased { lease, until: until.wall, job: self.keep(job, now).clone() }
    }

    /// The due jobs of queues that are not held, in the order in which they are
    /// taken.
    fn in_order(&self, from: &From, now: Now) -> Vec<JobId> {
        let due = self.jobs.values().filter(|job| is_due(job, now) && !self.is_paused(&job.spec.queue, now));
        let mut placed: Vec<_> =
            due.filter_map(|job| Some((self.place(from, job)?, job.spec.priority, job.id))).collect();
        placed.sort_unstable();
        placed.into_iter().map(|(_, _, id)| id).collect()
    }

    /// Which of the wishes in `from` a job fulfils, if any.
    fn place(&self, from: &From, job: &Job) -> Option<usize> {
        let own = self.rules.own_kinds.contains(&job.spec.kind);
        match from {
            From::Queues(queues) if !own => queues.iter().position(|queue| *queue == job.spec.queue),
            From::Kind(kind) if own && *kind == job.spec.kind => Some(0),
            From::Queues(_) | From::Kind(_) => None,
        }
    }

    pub(super) fn ask(&mut self, from: &From, limit: usize, give_up: Span, now: Now) -> Vec<Question> {
        let mut questions = Vec::new();
        for id in self.in_order(from, now) {
            if questions.len() == limit {
                break;
            }
            if self.may_be_asked(&self.jobs[&id], now) && !self.turned_away(id, now) {
                self.last_ask += 1;
                let ask = AskId(self.last_ask);
                self.guards.insert(id, Asked::Open { ask, until: Moment::after(now, give_up) });
                self.announced.remove(&id);
                self.rung.timers = true;
                questions.push(Question { ask, job: self.jobs[&id].clone() });
            }
        }
        questions
    }

    pub(super) fn answer(&mut self, id: JobId, ask: AskId, answer: Answer, now: Now) -> Result<(), Stale> {
        let mut job = self.jobs.get(&id).ok_or(Stale::Unknown)?.clone();
        match self.guards.get(&id) {
            Some(Asked::Open { until, .. }) if until.reached(now) => return Err(Stale::NotRunning),
            Some(Asked::Open { ask: open, .. }) if *open != ask => return Err(Stale::Other),
            Some(Asked::Open { .. }) => {}
            Some(Asked::Yes { .. }) | None => return Err(Stale::NotRunning),
        }
        match answer {
            Answer::Yes => {
                self.guards.insert(id, Asked::Yes { until: Moment::after(now, FRESH) });
                self.announce(id, now);
            }
            Answer::No(why) => _ = self.lead(job, Step::refused(why), now),
            Answer::Error(error) => {
                job.guard_failed(error, now);
                self.keep(job, now);
            }
        }
        Ok(())
    }
}
