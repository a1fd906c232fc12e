//! What only looks.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use job::{Job, JobRef, Now, Phase, QueueName, State, Timestamp};

use super::tables::Tables;
use crate::jobs::{Cursor, Found, MAX_ANSWER_BYTES, Page, QueueState, Recount, Search};

impl Tables {
    pub(super) fn phase(&self, job: &Job, now: Now) -> Phase {
        job.phase(now, self.is_asked(job.id, now))
    }

    fn found(&self, job: &Job, now: Now) -> Found {
        Found { job: job.clone(), phase: self.phase(job, now) }
    }

    pub(super) fn get(&self, id: &JobRef, now: Now) -> Option<Found> {
        self.find(id).map(|job| self.found(job, now))
    }

    pub(super) fn search(&self, search: &Search, now: Now) -> Page {
        let order = |cursor: Cursor| (cursor.part, Reverse(cursor.id));
        let mut all: Vec<_> = self.jobs.values().map(|job| (Cursor { part: part(job), id: job.id }, job)).collect();
        all.sort_unstable_by_key(|(place, _)| order(*place));
        let mut page = Page { of: all.len() as u64, ..Page::default() };
        let mut bytes = 0;
        let behind = all.into_iter().filter(|(place, _)| search.after.is_none_or(|after| order(*place) > order(after)));
        for (place, job) in behind {
            page.searched += 1;
            let found = self.found(job, now);
            if fits(search, &found) {
                bytes += found.job.spec.payload.as_bytes().len();
                page.jobs.push(found);
            }
            if page.jobs.len() == search.limit.max(1) || bytes >= MAX_ANSWER_BYTES {
                page.next = Some(place);
                break;
            }
        }
        page
    }

    pub(super) fn queues(&self, now: Now) -> Vec<QueueState> {
        let mut states: BTreeMap<_, _> =
            self.queues.iter().chain(self.pauses.keys()).map(|name| (name, self.empty(name))).collect();
        for job in self.jobs.values() {
            if let Some(state) = states.get_mut(&job.spec.queue) {
                self.count(job, state, now);
            }
        }
        states.into_values().collect()
    }

    fn empty(&self, name: &QueueName) -> QueueState {
        QueueState {
            name: name.clone(),
            scheduled: 0,
            ready: 0,
            running: 0,
            retrying: 0,
            dead: 0,
            oldest_due: None,
            pause: self.pauses.get(name).cloned(),
        }
    }

    fn count(&self, job: &Job, state: &mut QueueState, now: Now) {
        match self.phase(job, now) {
            Phase::Scheduled => state.scheduled += 1,
            Phase::Checking | Phase::Ready => {
                state.ready += 1;
                if let State::Waiting { due, .. } = job.state {
                    let due = Timestamp(due.wall.0 - due.wall.0.rem_euclid(1_000_000));
                    state.oldest_due = Some(state.oldest_due.map_or(due, |oldest| oldest.min(due)));
                }
            }
            Phase::Running => state.running += 1,
            Phase::Retrying => state.retrying += 1,
            Phase::Dead => state.dead += 1,
            Phase::Ended => {}
        }
    }

    pub(super) fn recount(&self) -> Recount {
        let count = |fits: fn(&State) -> bool| self.jobs.values().filter(|job| fits(&job.state)).count() as u64;
        Recount {
            ledger: self.ledger,
            waiting: count(|state| matches!(state, State::Waiting { .. })),
            running: count(|state| matches!(state, State::Running(_))),
            dead: count(|state| matches!(state, State::Dead { .. })),
            ended_kept: count(|state| matches!(state, State::Ended { .. })),
        }
    }
}

/// Which part of the list a job is in.
fn part(job: &Job) -> u8 {
    match job.state {
        State::Waiting { .. } | State::Running(_) => 0,
        State::Dead { .. } => 1,
        State::Ended { .. } => 2,
    }
}

fn fits(search: &Search, found: &Found) -> bool {
    let Found { job, phase } = found;
    let has_outcome = |wanted| matches!(job.state, State::Ended { outcome, .. } if outcome == wanted);
    (search.phases.is_empty() || search.phases.contains(phase))
        && search.outcome.is_none_or(has_outcome)
        && search.queue.as_ref().is_none_or(|queue| *queue == job.spec.queue)
        && search.kind.as_ref().is_none_or(|kind| *kind == job.spec.kind)
        && search.key.as_ref().is_none_or(|key| Some(key) == job.spec.key.as_ref())
}
