//! What was answered, and what contradicts it.

use std::collections::{BTreeMap, HashMap};

use aloud_client::v1::{JobView, LeasedJob, PushedJob};
use job::{Cause, JobRef, Outcome, Phase, Span, Timestamp};

/// What the server said so far.
#[derive(Default)]
pub(super) struct Book {
    jobs: HashMap<String, Entry>,
    /// Jobs whose push was not answered, and whose id is therefore not known.
    nameless: u64,
    /// The job of each lease that was handed out.
    leases: HashMap<String, String>,
    wrong: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

/// What was said of one job.
#[derive(Default)]
struct Entry {
    /// A push was answered with it; otherwise it may be there.
    pushed: bool,
    /// That push was answered with it as a new job.
    new: bool,
    /// By which worker each attempt was started, as far as that was heard.
    starts: BTreeMap<u32, String>,
    /// Who heard that it had finished the job, and when.
    done: Option<(String, Timestamp)>,
    maybe_done: bool,
    /// When it was heard that the job was cancelled.
    cancelled: Option<Timestamp>,
    /// A push that took its place was answered.
    replaced: bool,
    maybe_cancelled: bool,
    maybe_deleted: bool,
}

/// How sure it is that something happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    /// It was answered.
    Yes,
    /// No answer came.
    Maybe,
}

impl Book {
    /// A job may have been pushed: its id was chosen, and the push sent.
    pub(super) fn maybe_pushed(&mut self, id: &str) {
        self.entry(id);
    }

    /// A push was answered.
    pub(super) fn pushed(&mut self, answer: &PushedJob) {
        let entry = self.entry(&answer.id);
        entry.pushed = true;
        if !answer.is_new() {
            self.count("pushes answered with a job that was there");
        } else if std::mem::replace(&mut entry.new, true) {
            self.wrong(format!("{} was accepted as new twice", answer.id));
        } else {
            self.count("pushes answered");
        }
        if let Some(replaced) = &answer.replaced {
            self.entry(replaced).replaced = true;
        }
    }

    /// A job may have been pushed that nobody knows the id of.
    pub(super) fn pushed_nameless(&mut self) {
        self.nameless += 1;
    }

    /// A job was handed out for `lease_for`.
    pub(super) fn started(&mut self, job: &LeasedJob, worker: &str, lease_for: Span) {
        self.count("jobs handed out");
        if let Some(other) = self.leases.insert(job.lease.clone(), job.id.clone()) {
            self.wrong(format!("lease {} of {} was handed out before, for {other}", job.lease, job.id));
        }
        // Known or not: a push that was not answered may have happened.
        let entry = self.entry(&job.id);
        let before = entry.starts.insert(job.attempt, worker.to_owned());
        let (cancelled, done) = (entry.cancelled, entry.done.clone());
        if let Some(before) = before {
            self.wrong(format!("attempt {} of {} was given to {before} and to {worker}", job.attempt, job.id));
        }
        // Answers may overtake each other, times of one machine do not.
        let handed_out = job.until - lease_for;
        if let Some(at) = cancelled.filter(|at| handed_out > *at) {
            self.wrong(format!("{} was cancelled at {at} and handed out at {handed_out}", job.id));
        }
        if let Some((by, at)) = done.filter(|(_, at)| handed_out > *at) {
            self.wrong(format!("{} was done by {by} at {at} and handed out at {handed_out}", job.id));
        }
    }

    /// A run that did its work was acked, or may have been.
    pub(super) fn done(&mut self, id: &str, worker: &str, now: Timestamp, sure: Sure) {
        let entry = self.entry(id);
        match sure {
            Sure::Maybe => entry.maybe_done = true,
            Sure::Yes => {
                let before = entry.done.replace((worker.to_owned(), now));
                let cancelled = entry.cancelled;
                self.count("acks answered");
                if let Some((before, _)) = before {
                    self.wrong(format!("{id} was finished by {before} and by {worker}"));
                }
                if let Some(at) = cancelled {
                    self.wrong(format!("{id} was cancelled at {at} and finished by {worker}"));
                }
            }
        }
    }

    /// A job was called off, and the answer came at `now`.
    pub(super) fn cancelled(&mut self, id: &str, now: Timestamp, sure: Sure) {
        let entry = self.entry(id);
        match sure {
            Sure::Maybe => entry.maybe_cancelled = true,
            Sure::Yes => {
                entry.cancelled.get_or_insert(now);
                self.count("cancels answered");
            }
        }
    }

    /// A dead job was deleted, or may have been.
    pub(super) fn deleted(&mut self, id: &str) {
        self.entry(id).maybe_deleted = true;
    }

    fn entry(&mut self, id: &str) -> &mut Entry {
        self.jobs.entry(id.to_owned()).or_default()
    }

    /// Something contradicts what was answered.
    pub(super) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(super) fn summary(&self) -> String {
        format!("{:?}, {} pushes of unknown end without an id", self.counts, self.nameless)
    }

    /// The first contradictions.
    pub(super) fn wrong_so_far(&self) -> Vec<String> {
        self.wrong.iter().take(20).cloned().collect()
    }

    /// Compares with every job that is kept in the end.
    pub(super) fn compare(&mut self, kept: &[JobView]) {
        let kept: HashMap<&str, &JobView> = kept.iter().map(|job| (job.id.as_str(), job)).collect();
        let mut wrong = Vec::new();
        for (id, entry) in &self.jobs {
            match kept.get(id.as_str()) {
                Some(job) => wrong.extend(entry.compare(job).map(|what| format!("{id}: {what}: {job:?}"))),
                None if entry.pushed => wrong.push(format!("{id} was pushed, and is not there")),
                None => {}
            }
        }
        let known = |id: &str| match id.parse() {
            // The server gave this id, and the answer with it may have been lost.
            Ok(JobRef::Id(_)) => self.jobs.get(id).is_some_and(|entry| entry.pushed),
            _ => self.jobs.contains_key(id),
        };
        let strangers: Vec<_> = kept.keys().filter(|id| !known(id)).collect();
        if strangers.len() as u64 > self.nameless {
            wrong.push(format!("{} jobs are there that nobody pushed: {strangers:?}", strangers.len()));
        }
        self.wrong.extend(wrong);
    }
}

impl Entry {
    /// What of a job contradicts what was said of it.
    fn compare(&self, job: &JobView) -> Option<String> {
        let said = |what: &str| Some(what.to_owned());
        if let Some((attempt, _)) = self.starts.last_key_value().filter(|(attempt, _)| **attempt > job.attempt) {
            return Some(format!("attempt {attempt} was handed out, and is not counted"));
        }
        match (job.state, job.outcome) {
            (_, outcome) if self.done.is_some() && outcome != Some(Outcome::Done) => said("it was acked"),
            (_, outcome) if self.cancelled.is_some() && outcome != Some(Outcome::Cancelled) => said("it was cancelled"),
            (_, outcome) if self.replaced && outcome != Some(Outcome::Superseded) => said("it was replaced"),
            (Phase::Ended, Some(Outcome::Done)) => match &self.done {
                Some((by, _)) if job.attempts.last().is_none_or(|last| last.worker != *by) => {
                    Some(format!("{by} heard that it had finished it"))
                }
                None if !self.maybe_done => said("nobody acked it"),
                Some(_) | None => None,
            },
            (Phase::Ended, Some(Outcome::Cancelled)) if self.cancelled.is_none() && !self.maybe_cancelled => {
                said("nobody cancelled it")
            }
            (Phase::Ended, Some(Outcome::Superseded)) if job.key.is_none() => said("it has no key"),
            (Phase::Ended, Some(Outcome::Discarded)) if !self.maybe_deleted => said("nobody deleted it"),
            (Phase::Ended, Some(Outcome::Skipped | Outcome::Expired) | None) => said("nothing here ends a job so"),
            (Phase::Dead, _) if !matches!(job.cause, Some(Cause::Rescued | Cause::Exhausted)) => {
                said("nothing here lays a job aside so")
            }
            (Phase::Scheduled | Phase::Checking | Phase::Ready | Phase::Running | Phase::Retrying, _)
            | (Phase::Dead | Phase::Ended, _) => None,
        }
    }
}
