//! What only the passing of time brings about.

use job::{JobId, Moment, Now, QueueName, State};

use super::tables::{Asked, Tables, waits};
use crate::jobs::Advanced;

/// Something whose time has come.
enum Passed {
    Pause(QueueName),
    Expiry(JobId),
    Lease(JobId),
}

impl Tables {
    pub(super) fn advance(&mut self, limit: usize, now: Now) -> Advanced {
        let mut advanced = Advanced::default();
        for passed in self.passed(now).into_iter().take(limit.max(1)) {
            match passed {
                Passed::Pause(queue) => {
                    advanced.resumed.extend(self.resume(&queue).map(|pause| (queue, pause)));
                }
                Passed::Expiry(id) => _ = self.turned_away(id, now),
                Passed::Lease(id) => {
                    let mut job = self.jobs[&id].clone();
                    let step = job.rescue(&self.rules, now);
                    self.lead_back(job, step, now);
                    advanced.rescued.push(id);
                }
            }
        }
        // Beyond the limit, or since: a rescued job may find that it expired meanwhile.
        advanced.more = !self.passed(now).is_empty();
        let all: Vec<_> = self.jobs.keys().copied().collect();
        for id in all {
            self.announce(id, now);
        }
        let to_come = || self.moments().filter(|moment| !moment.reached(now));
        advanced.next_mono = to_come().filter_map(|moment| moment.mono).min();
        advanced.next_wall = to_come().filter(|moment| moment.mono.is_none()).map(|moment| moment.wall).min();
        advanced
    }

    /// What is to be done now: pauses by name, expired jobs by id, leases by
    /// deadline.
    fn passed(&self, now: Now) -> Vec<Passed> {
        let pauses = self.pauses.iter().filter(|(_, pause)| pause.is_over(now));
        let expired = self.jobs.values().filter(|job| waits(job) && job.has_expired(now));
        let mut leases: Vec<_> = self
            .jobs
            .values()
            .filter_map(|job| match &job.state {
                State::Running(run) if run.until.reached(now) => Some((run.until.mono, job.id)),
                State::Running(_) | State::Waiting { .. } | State::Dead { .. } | State::Ended { .. } => None,
            })
            .collect();
        leases.sort_unstable();
        let pauses = pauses.map(|(queue, _)| Passed::Pause(queue.clone()));
        let expired = expired.map(|job| Passed::Expiry(job.id));
        pauses.chain(expired).chain(leases.into_iter().map(|(_, id)| Passed::Lease(id))).collect()
    }

    /// Every moment that something waits for, those that have come included.
    fn moments(&self) -> impl Iterator<Item = Moment> {
        let of_jobs = self.jobs.values().flat_map(|job| match &job.state {
            State::Waiting { due, ask_at, .. } => [Some(*due), *ask_at, job.spec.expires],
            State::Running(run) => [Some(run.until), None, None],
            State::Dead { .. } | State::Ended { .. } => [None; 3],
        });
        let of_questions = self.guards.values().map(|asked| match asked {
            Asked::Open { until, .. } => Some(*until),
            // A stale yes is found by whoever claims next.
            Asked::Yes { .. } => None,
        });
        let of_pauses = self.pauses.values().map(|pause| pause.until);
        of_jobs.chain(of_questions).chain(of_pauses).flatten()
    }

    pub(super) fn retain(&mut self, limit: usize, now: Now) -> usize {
        let keep = self.rules.keep_ended;
        let old = self.jobs.values().filter(|job| match job.state {
            State::Ended { at, .. } => now.wall.since(at) > keep,
            State::Waiting { .. } | State::Running(_) | State::Dead { .. } => false,
        });
        let old: Vec<_> = old.map(|job| job.id).take(limit).collect();
        old.iter().for_each(|id| _ = self.jobs.remove(id));
        self.named.retain(|_, id| self.jobs.contains_key(id));
        old.len()
    }
}
