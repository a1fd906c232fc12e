//! A job's life: its states, and which step follows what.
//!
//! ```text
//!            push                     claim                 ack
//!  ─────────▶ waiting ──────────────▶ running ───────────▶ done
//!               │  ▲ ▲  fail · snooze  │ │ │                skipped
//!               │  │ └─── lost lease ──┘ │ └──────────────▶ superseded
//!               │  │ revive              │ no attempts left
//!               │  └───── dead ◀─────────┘
//!               │          │ ▲ late and held
//!               │          │ └───────────────── waiting
//!               │          └──────────────────────────────▶ discarded
//!               └─────▶ cancelled · superseded · expired · skipped
//! ```
//!
//! `waiting` shows itself as one of four [`Phase`]s, told apart by the clock
//! and by what the job waits for: a job that falls due becomes ready without
//! anybody having to write that down.
//!
//! The functions here decide; a store applies what they decided in one guarded
//! transition. None of them reads a clock.

use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Happened, History, JobError, MAX_TEXT_BYTES, bounded};
use crate::id::{JobId, JobRef};
use crate::key;
use crate::lease::Lease;
use crate::name::ClientId;
use crate::push::{NewJob, Spec};
use crate::retry::{Jitter, Verdict, after_failure};
use crate::rules::{IfLate, Rules};
use crate::time::{Moment, Now, Span, Timestamp};

/// A job, and all that has become of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// The integer behind it.
    pub id: JobId,
    /// The id that the one who pushed chose.
    pub client_id: Option<ClientId>,
    /// What it is.
    pub spec: Spec,
    /// When it was accepted.
    pub pushed: Timestamp,
    /// Where it stands.
    pub state: State,
    /// How often it was started.
    pub attempt: u32,
    /// How often it failed since it was pushed, or last revived.
    pub failures: u32,
    /// How often it was rescued since it was pushed, or last revived.
    pub rescues: u32,
    /// How often it asked to be run later.
    pub snoozes: u32,
    /// What became of its runs.
    pub history: History,
}

/// Where a job stands, with what is true only there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// It waits to be run.
    Waiting {
        /// When it is due.
        due: Moment,
        /// What for.
        wait: Wait,
        /// When its guard may be asked again, after it gave no answer.
        ask_at: Option<Moment>,
    },
    /// Somebody runs it.
    Running(Run),
    /// It rests until a person revives or deletes it.
    Dead {
        /// Since when.
        since: Timestamp,
        /// Why.
        cause: Cause,
    },
    /// It is over.
    Ended {
        /// How.
        outcome: Outcome,
        /// When.
        at: Timestamp,
        /// Who, which or why, if there is anything to say.
        detail: Option<String>,
    },
}

/// What a waiting job waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Its first run.
    First,
    /// Another one: it failed, was rescued, or asked for it.
    Again,
}

/// A run that is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// The right to finish it.
    pub lease: Lease,
    /// When that right ends.
    pub until: Moment,
    /// Who has it, as that worker called itself.
    pub worker: String,
    /// Since when.
    pub started: Timestamp,
}

/// Why a job is dead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It failed as often as its policy allows.
    Exhausted,
    /// Its worker said that trying again is of no use.
    Permanent,
    /// It lost its worker too often.
    Rescued,
    /// It was found late, and its queue's rule is to hold late jobs.
    Late,
}

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was run.
    Done,
    /// Its guard, or the run itself, said that it is not wanted any more.
    Skipped,
    /// Somebody called it off before it ran.
    Cancelled,
    /// A newer job with its key took its place.
    Superseded,
    /// It was still waiting when it was no longer wanted.
    Expired,
    /// A person deleted it, or a rule dropped it.
    Discarded,
}

/// How a job that has not ended shows itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is not due yet.
    Scheduled,
    /// It is due, and its guard is being asked.
    Checking,
    /// It is due, and waits for somebody to take it.
    Ready,
    /// Somebody runs it.
    Running,
    /// It ran before, and waits to be due again.
    Retrying,
    /// It rests.
    Dead,
    /// It is over.
    Ended,
}

/// How a worker ends a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It did its work.
    Done {
        /// What the work answered.
        output: Option<String>,
    },
    /// There was nothing to do any more.
    Skipped {
        /// Why.
        why: Option<String>,
    },
    /// It failed.
    Failed {
        /// How.
        error: JobError,
        /// Whether trying again is of use.
        again: Again,
    },
    /// It wants to be run later, without that being a failure.
    Snoozed {
        /// How much later.
        after: Span,
        /// Why.
        why: Option<String>,
    },
}

impl Ending {
    /// It did its work, and has nothing to say about it.
    pub fn done() -> Self {
        Self::Done { output: None }
    }

    /// It did its work, and this is what the work answered.
    pub fn output(text: impl Into<String>) -> Self {
        Self::Done { output: Some(text.into()) }
    }

    /// There was nothing to do any more, for this reason.
    pub fn skipped(why: impl Into<String>) -> Self {
        Self::Skipped { why: Some(why.into()) }
    }

    /// It failed; what follows is as its policy says.
    pub fn failed(error: JobError) -> Self {
        Self::Failed { error, again: Again::ByPolicy }
    }

    /// It failed, and trying again is of no use.
    pub fn fatal(error: JobError) -> Self {
        Self::Failed { error, again: Again::Never }
    }

    /// It wants to be run so much later, without that being a failure.
    pub fn snoozed(after: impl Into<Span>) -> Self {
        Self::Snoozed { after: after.into(), why: None }
    }
}

/// Whether a failed job is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    /// As its policy says.
    ByPolicy,
    /// If its policy allows, but not before so long.
    NotBefore(Span),
    /// No.
    Never,
}

/// What follows for a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// It waits again.
    Wait(Moment),
    /// It is laid aside.
    Rest(Cause),
    /// It is over.
    End {
        /// How.
        outcome: Outcome,
        /// Who, which or why.
        detail: Option<String>,
    },
}

impl Step {
    /// The end, with nothing more to say about it.
    pub fn end(outcome: Outcome) -> Self {
        Self::End { outcome, detail: None }
    }

    /// The end of a job that `by` called off before it ran.
    pub fn cancelled(by: String) -> Self {
        Self::End { outcome: Outcome::Cancelled, detail: Some(bounded(by, MAX_TEXT_BYTES)) }
    }

    /// The end of a dead job that `by` deleted.
    pub fn discarded(by: String) -> Self {
        Self::End { outcome: Outcome::Discarded, detail: Some(bounded(by, MAX_TEXT_BYTES)) }
    }

    /// The end of a waiting job whose key a newer one was pushed to take.
    pub fn replaced_by(newer: JobId) -> Self {
        Self::End { outcome: Outcome::Superseded, detail: Some(format!("replaced by {newer}")) }
    }

    /// The end of a job whose guard said no.
    pub fn refused(why: Option<String>) -> Self {
        Self::End { outcome: Outcome::Skipped, detail: why.map(|why| bounded(why, MAX_TEXT_BYTES)) }
    }

    /// The step of a job that comes back: if it would wait, but a newer job
    /// holds its key, it is superseded instead.
    pub fn unless_key_held(self, held_by_another: bool) -> Self {
        match self {
            Self::Wait(_) => match key::on_return(held_by_another) {
                key::Return::Wait => self,
                key::Return::Superseded => Self::end(Outcome::Superseded),
            },
            Self::Rest(_) | Self::End { .. } => self,
        }
    }
}

impl Job {
    /// A job as it is when it has just been accepted.
    pub fn new(id: JobId, new: NewJob, now: Now) -> Self {
        Self {
            id,
            client_id: new.client_id,
            spec: new.spec,
            pushed: now.wall,
            state: State::Waiting { due: new.due, wait: Wait::First, ask_at: None },
            attempt: 0,
            failures: 0,
            rescues: 0,
            snoozes: 0,
            history: History::default(),
        }
    }

    /// How it is referred to outside: by the id that its pusher chose, or else
    /// by the integer.
    pub fn public_id(&self) -> JobRef {
        match &self.client_id {
            Some(id) => JobRef::Client(id.clone()),
            None => JobRef::Id(self.id),
        }
    }

    /// How it shows itself; `asking` says whether its guard is being asked.
    pub fn phase(&self, now: Now, asking: bool) -> Phase {
        match &self.state {
            State::Waiting { due, wait, ask_at } => match (due.reached(now), wait) {
                (true, _) if asking || ask_at.is_some_and(|at| !at.reached(now)) => Phase::Checking,
                (true, _) => Phase::Ready,
                (false, Wait::First) => Phase::Scheduled,
                (false, Wait::Again) => Phase::Retrying,
            },
            State::Running(_) => Phase::Running,
            State::Dead { .. } => Phase::Dead,
            State::Ended { .. } => Phase::Ended,
        }
    }

    /// What must happen to a due job instead of being run, if anything.
    pub fn before_run(&self, rules: &Rules, now: Now) -> Option<Step> {
        let State::Waiting { due, .. } = self.state else { return None };
        if self.has_expired(now) {
            return Some(Step::end(Outcome::Expired));
        }
        match rules.if_late(&self.spec.queue, due, now) {
            IfLate::Run => None,
            IfLate::Hold => Some(Step::Rest(Cause::Late)),
            IfLate::Expire => {
                Some(Step::End { outcome: Outcome::Expired, detail: Some(format!("found {} late", due.overdue(now))) })
            }
        }
    }

    /// Whether it is no longer wanted.
    pub fn has_expired(&self, now: Now) -> bool {
        self.spec.expires.is_some_and(|at| at.reached(now))
    }

    /// Starts a run.
    pub fn start(&mut self, run: Run) {
        debug_assert!(matches!(self.state, State::Waiting { .. }), "only a waiting job can start");
        self.attempt += 1;
        self.state = State::Running(run);
    }

    /// Ends the run that is under way, as its worker says, and decides what
    /// follows; `jitter` is for the wait after a failure. The caller has
    /// compared the lease and applies the step with [`Job::take`].
    pub fn finish(&mut self, ending: Ending, jitter: Jitter, now: Now) -> Step {
        let cut = |text: Option<String>| text.map(|text| bounded(text, MAX_TEXT_BYTES));
        let (happened, step) = match ending {
            Ending::Done { output } => (Happened::Done { output: cut(output) }, Step::end(Outcome::Done)),
            Ending::Skipped { why } => {
                let why = cut(why);
                (Happened::Skipped { why: why.clone() }, Step::End { outcome: Outcome::Skipped, detail: why })
            }
            Ending::Failed { error, again } => {
                self.failures += 1;
                (
                    Happened::Failed { error: error.bounded() },
                    after_failed_run(self.failures, self.spec.retry, again, jitter, now),
                )
            }
            Ending::Snoozed { after, why } => {
                self.snoozes += 1;
                (Happened::Snoozed { why: cut(why) }, Step::Wait(Moment::after(now, after)))
            }
        };
        self.record(happened, now.wall);
        step
    }

    /// Ends a run whose lease ran out, and decides what follows.
    pub fn rescue(&mut self, rules: &Rules, now: Now) -> Step {
        self.rescues += 1;
        self.record(Happened::Rescued, now.wall);
        if self.rescues > rules.max_rescues {
            return Step::Rest(Cause::Rescued);
        }
        Step::Wait(Moment::after(now, Span::ZERO))
    }

    /// Records that the guard gave no answer, and puts off the next question.
    pub fn guard_failed(&mut self, error: String, now: Now) {
        let number = self.attempt + 1;
        let error = bounded(error, MAX_TEXT_BYTES);
        self.history.add(Attempt {
            number,
            worker: "guard".to_owned(),
            started: now.wall,
            ended: now.wall,
            happened: Happened::GuardFailed { error, times: 1 },
        });
        let after = crate::guard::ask_again_after(self.history.guard_errors());
        if let State::Waiting { ask_at, .. } = &mut self.state {
            *ask_at = Some(Moment::after(now, after));
        }
    }

    /// A person wants a dead job tried again, with all its attempts anew.
    pub fn revive(&mut self, now: Now) -> Step {
        self.failures = 0;
        self.rescues = 0;
        Step::Wait(Moment::after(now, Span::ZERO))
    }

    /// Goes where the step leads.
    pub fn take(&mut self, step: Step, now: Now) {
        let wait = if self.attempt == 0 { Wait::First } else { Wait::Again };
        self.state = match step {
            Step::Wait(due) => State::Waiting { due, wait, ask_at: None },
            Step::Rest(cause) => State::Dead { since: now.wall, cause },
            Step::End { outcome, detail } => State::Ended { outcome, at: now.wall, detail },
        };
    }

    fn record(&mut self, happened: Happened, ended: Timestamp) {
        let State::Running(run) = &self.state else { return };
        self.history.add(Attempt {
            number: self.attempt,
            worker: run.worker.clone(),
            started: run.started,
            ended,
            happened,
        });
    }
}

fn after_failed_run(failures: u32, policy: crate::retry::Policy, again: Again, jitter: Jitter, now: Now) -> Step {
    let wait = match again {
        Again::Never => return Step::Rest(Cause::Permanent),
        Again::ByPolicy => Span::ZERO,
        Again::NotBefore(wait) => wait,
    };
    match after_failure(failures, policy, jitter) {
        Verdict::RetryIn(drawn) => Step::Wait(Moment::after(now, drawn.max(wait))),
        Verdict::Exhausted => Step::Rest(Cause::Exhausted),
    }
}

impl Outcome {
    /// All of them, in the order of [`Outcome::index`].
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Skipped, Self::Cancelled, Self::Superseded, Self::Expired, Self::Discarded];

    /// Its place in [`Outcome::ALL`]; stored, so it never changes.
    pub const fn index(self) -> usize {
        match self {
            Self::Done => 0,
            Self::Skipped => 1,
            Self::Cancelled => 2,
            Self::Superseded => 3,
            Self::Expired => 4,
            Self::Discarded => 5,
        }
    }

    /// Its name, as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Discarded => "discarded",
        }
    }
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Scheduled, Self::Checking, Self::Ready, Self::Running, Self::Retrying, Self::Dead, Self::Ended];

    /// Its name, as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Checking => "checking",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Dead => "dead",
            Self::Ended => "ended",
        }
    }
}

impl Cause {
    /// All of them, in the order of [`Cause::index`].
    pub const ALL: [Self; 4] = [Self::Exhausted, Self::Permanent, Self::Rescued, Self::Late];

    /// Its place in [`Cause::ALL`]; stored, so it never changes.
    pub const fn index(self) -> usize {
        match self {
            Self::Exhausted => 0,
            Self::Permanent => 1,
            Self::Rescued => 2,
            Self::Late => 3,
        }
    }

    /// Its name, as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Permanent => "permanent",
            Self::Rescued => "rescued",
            Self::Late => "late",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Payload;
    use crate::retry::Policy;
    use crate::rules::Late;
    use crate::time::{Clock, ManualClock};

    const JITTER: Jitter = Jitter::ZERO;

    fn job(clock: &ManualClock, max_attempts: u32) -> Job {
        let mut spec = Spec::new("mail".parse().unwrap(), "send".parse().unwrap(), Payload::default());
        spec.retry = Policy { max_attempts, ..Policy::default() };
        Job::new(JobId(1), NewJob::now(spec, clock.now()), clock.now())
    }

    fn run(clock: &ManualClock) -> Run {
        let until = Moment::after(clock.now(), Span::from_secs(60));
        Run { lease: Lease(1), until, worker: "w1".into(), started: clock.now().wall }
    }

    fn fail(again: Again) -> Ending {
        Ending::Failed { error: JobError::new("Oops", "no"), again }
    }

    #[test]
    fn a_job_fails_until_its_attempts_are_spent_and_can_be_revived_with_all_of_them() {
        let clock = ManualClock::at(Timestamp(0));
        let mut job = job(&clock, 2);
        for expected in [Phase::Retrying, Phase::Dead] {
            job.start(run(&clock));
            let step = job.finish(fail(Again::ByPolicy), JITTER, clock.now());
            job.take(step, clock.now());
            assert_eq!(job.phase(clock.now(), false), expected);
        }
        assert!(matches!(job.state, State::Dead { cause: Cause::Exhausted, .. }));
        let step = job.revive(clock.now());
        job.take(step, clock.now());
        assert_eq!((job.attempt, job.failures), (2, 0));
        assert_eq!(job.phase(clock.now(), false), Phase::Ready);
        assert_eq!(job.history.attempts().len(), 2);
    }

    #[test]
    fn retry_after_lengthens_the_wait_and_never_shortens_it() {
        let clock = ManualClock::at(Timestamp(0));
        let due = |again| {
            let mut job = job(&clock, 5);
            job.start(run(&clock));
            match job.finish(fail(again), JITTER, clock.now()) {
                Step::Wait(due) => due.remaining(clock.now()).to_string(),
                step @ (Step::Rest(_) | Step::End { .. }) => format!("{step:?}"),
            }
        };
        assert_eq!(due(Again::ByPolicy), "5s");
        assert_eq!(due(Again::NotBefore(Span::from_secs(90))), "1m30s");
        assert_eq!(due(Again::NotBefore(Span::from_secs(1))), "5s");
        assert_eq!(due(Again::Never), "Rest(Permanent)");
    }

    #[test]
    fn a_snooze_and_a_rescue_spend_no_attempt() {
        let clock = ManualClock::at(Timestamp(0));
        let mut job = job(&clock, 1);
        let rules = Rules { max_rescues: 1, ..Rules::default() };
        job.start(run(&clock));
        let step = job.finish(Ending::Snoozed { after: Span::from_secs(5), why: None }, JITTER, clock.now());
        job.take(step, clock.now());
        job.start(run(&clock));
        let step = job.rescue(&rules, clock.now());
        job.take(step, clock.now());
        assert_eq!((job.attempt, job.failures, job.snoozes, job.rescues), (2, 0, 1, 1));
        job.start(run(&clock));
        assert_eq!(job.rescue(&rules, clock.now()), Step::Rest(Cause::Rescued));
    }

    #[test]
    fn late_work_is_run_held_or_expired_as_the_queue_says() {
        let clock = ManualClock::at(Timestamp(0));
        let job = job(&clock, 1);
        let decide = |then| {
            let late = Late { after: Span::from_secs(60), then };
            let rules = Rules { late_in: [(job.spec.queue.clone(), late)].into(), ..Rules::default() };
            job.before_run(&rules, clock.now())
        };
        assert_eq!(decide(IfLate::Hold), None, "in time");
        clock.advance(Span::from_secs(61));
        assert_eq!(decide(IfLate::Run), None);
        assert_eq!(decide(IfLate::Hold), Some(Step::Rest(Cause::Late)));
        assert_eq!(
            decide(IfLate::Expire),
            Some(Step::End { outcome: Outcome::Expired, detail: Some("found 1m1s late".into()) })
        );
    }

    #[test]
    fn a_job_that_comes_back_to_a_held_key_is_superseded() {
        let wait = Step::Wait(Moment { wall: Timestamp(0), mono: None });
        assert_eq!(wait.clone().unless_key_held(false), wait);
        assert_eq!(wait.unless_key_held(true), Step::end(Outcome::Superseded));
        assert_eq!(Step::Rest(Cause::Late).unless_key_held(true), Step::Rest(Cause::Late));
    }

    #[test]
    fn a_guard_without_an_answer_holds_the_job_in_checking_and_leaves_its_due_time() {
        let clock = ManualClock::at(Timestamp(0));
        let mut job = job(&clock, 1);
        job.guard_failed("connection refused".into(), clock.now());
        assert_eq!(job.phase(clock.now(), false), Phase::Checking);
        clock.advance(Span::from_secs(1));
        assert_eq!(job.phase(clock.now(), false), Phase::Ready);
        assert_eq!(job.failures, 0);
    }

    #[test]
    fn stored_numbers_are_places_in_the_lists() {
        assert!(Outcome::ALL.iter().enumerate().all(|(i, o)| o.index() == i));
        assert!(Cause::ALL.iter().enumerate().all(|(i, c)| c.index() == i));
    }
}
