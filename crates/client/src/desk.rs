//! A queue in this process, for the tests of an application: no server, no
//! clock that moves anything, nothing on disk.
//!
//! Keys, ids and outcomes follow the same functions of `job` as the server's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use job::lifecycle::Step;
use job::time::SystemClock;
use job::{
    Clock, Ending, Jitter, Job, JobId, JobRef, Key, Lease, Moment, Now, OnConflict, Outcome, QueueName, Run, Span,
    State,
};
use tokio_util::sync::CancellationToken;
use wire::v1::{self, Problem};

use crate::handler::{Ctx, Handlers};
use crate::{Error, run};

/// Jobs that were pushed in this process. With handlers, each is run at once;
/// without, it stays where it is.
#[derive(Debug)]
pub(crate) struct Desk {
    jobs: Mutex<Vec<Job>>,
    clock: SystemClock,
    handlers: Option<Handlers>,
}

impl Desk {
    pub(crate) fn new(handlers: Option<Handlers>) -> Self {
        Self { jobs: Mutex::default(), clock: SystemClock::resume(None), handlers }
    }

    /// Accepts a job; if there are handlers, runs it before answering.
    ///
    /// A run that failed is an error here, so that a test hears of it.
    pub(crate) async fn push(&self, push: &v1::PushJob) -> Result<v1::PushedJob, Error> {
        let pushed = self.accept(push)?;
        if let (true, Some(handlers)) = (pushed.is_new(), &self.handlers) {
            self.run(handlers, &pushed.id).await?;
        }
        Ok(pushed)
    }

    /// As [`Desk::push`], but a push that asked to be refused is an error, as it
    /// is for a server that was sent no array.
    pub(crate) async fn push_alone(&self, push: &v1::PushJob) -> Result<v1::PushedJob, Error> {
        let mut pushed = self.push(push).await?;
        match pushed.rejected.take() {
            None => Ok(pushed),
            Some(why) => {
                let hint = "push with `keep` or `replace`, or with another key";
                Err(problem("key-held", 409, why, "Nothing was pushed.", hint))
            }
        }
    }

    fn accept(&self, push: &v1::PushJob) -> Result<v1::PushedJob, Error> {
        let now = self.clock.now();
        let new = push
            .clone()
            .into_new_job(now)
            .map_err(|why| Error::config(format!("this cannot be pushed: {why}"), "correct the push"))?;
        let mut jobs = self.jobs();
        if let Some(known) =
            new.client_id.as_ref().and_then(|id| jobs.iter().find(|job| job.client_id.as_ref() == Some(id)))
        {
            return Ok(v1::PushedJob { known: true, outcome: outcome(known), ..answer(known, now) });
        }
        let id = JobId(jobs.len() as u64 + 1);
        let mut replaced = None;
        if let Some(holder) = new.spec.key.as_ref().and_then(|key| holder(&mut jobs, &new.spec.queue, key)) {
            match new.on_conflict {
                OnConflict::Keep => return Ok(v1::PushedJob { kept: true, ..answer(holder, now) }),
                OnConflict::Reject => {
                    let why = format!("the job {} waits with this key", holder.public_id());
                    return Ok(v1::PushedJob { rejected: Some(why), ..answer(holder, now) });
                }
                OnConflict::Replace => {
                    holder.take(Step::replaced_by(id), now);
                    replaced = Some(holder.id.to_string());
                }
            }
        }
        let job = Job::new(id, new, now);
        let pushed = v1::PushedJob { replaced, ..answer(&job, now) };
        jobs.push(job);
        Ok(pushed)
    }

    async fn run(&self, handlers: &Handlers, id: &str) -> Result<(), Error> {
        let now = self.clock.now();
        let leased = {
            let mut jobs = self.jobs();
            let Some(job) = find(&mut jobs, id) else { return Ok(()) };
            let until = Moment::after(now, Span::MAX);
            job.start(Run { lease: Lease(0), until, worker: "inline".to_owned(), started: now.wall });
            v1::LeasedJob {
                id: id.to_owned(),
                lease: Lease(0).to_string(),
                until: until.wall,
                queue: job.spec.queue.clone(),
                kind: job.spec.kind.clone(),
                payload: v1::raw(&job.spec.payload),
                attempt: job.attempt,
                key: job.spec.key.clone(),
                pushed: job.pushed,
            }
        };
        let ctx = Ctx::of(&leased, CancellationToken::new(), CancellationToken::new());
        let ending = run::run(handlers, &leased, ctx).await.unwrap_or_else(|| Ending::snoozed(Span::ZERO));
        let failed = match &ending {
            Ending::Failed { error, .. } => Some(format!("{}: {}", error.class, error.message)),
            Ending::Done { .. } | Ending::Skipped { .. } | Ending::Snoozed { .. } => None,
        };
        let now = self.clock.now();
        if let Some(job) = find(&mut self.jobs(), id) {
            let step = job.finish(ending, Jitter::ZERO, now);
            job.take(step, now);
        }
        failed.map_or(Ok(()), |why| {
            Err(problem(
                "inline-run-failed",
                422,
                format!("the job {id} ({}) failed: {why}", leased.kind),
                "The handler ran in this process, as the inline mode does it.",
                "mend the handler, or use the recorded mode if this test is not about it",
            ))
        })
    }

    pub(crate) fn cancel(&self, id: &str) -> Result<v1::CancelledJob, Error> {
        let now = self.clock.now();
        let mut jobs = self.jobs();
        let Some(job) = find(&mut jobs, id) else {
            let title = format!("there is no job {id}");
            return Err(problem("no-such-job", 404, title, "Nothing changed.", "see what was pushed"));
        };
        let step = match &job.state {
            State::Waiting { .. } => Step::cancelled("client".to_owned()),
            State::Dead { .. } => Step::discarded("client".to_owned()),
            // What is to be so is so.
            State::Ended { outcome: outcome @ (Outcome::Cancelled | Outcome::Discarded), .. } => {
                return Ok(v1::CancelledJob { id: id.to_owned(), outcome: *outcome });
            }
            State::Running(_) | State::Ended { .. } => {
                let title = format!("the job {id} cannot be called off: it is {}", word(job, now));
                return Err(problem("ended", 409, title, "Nothing changed.", "only what waits can be called off"));
            }
        };
        job.take(step, now);
        Ok(v1::CancelledJob { id: id.to_owned(), outcome: outcome(job).expect("a job that took this step has ended") })
    }

    pub(crate) fn cancel_key(&self, queue: &QueueName, key: &Key) -> Result<v1::CancelledJob, Error> {
        let now = self.clock.now();
        let mut jobs = self.jobs();
        let Some(job) = holder(&mut jobs, queue, key) else {
            let title = format!("no job with the key {key} waits in the queue {queue}");
            return Err(problem("no-such-key", 404, title, "There is nothing to call off.", "see what was pushed"));
        };
        job.take(Step::cancelled("client".to_owned()), now);
        Ok(v1::CancelledJob { id: job.id.to_string(), outcome: Outcome::Cancelled })
    }

    pub(crate) fn job(&self, id: &str) -> Option<v1::JobView> {
        let now = self.clock.now();
        find(&mut self.jobs(), id).map(|job| view(job, now))
    }

    /// All of them, oldest first.
    pub(crate) fn views(&self) -> Vec<v1::JobView> {
        let now = self.clock.now();
        self.jobs().iter().map(|job| view(job, now)).collect()
    }

    pub(crate) fn clear(&self) {
        self.jobs().clear();
    }

    fn jobs(&self) -> MutexGuard<'_, Vec<Job>> {
        // Each change is one assignment: what a panic left is whole.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find<'a>(jobs: &'a mut [Job], id: &str) -> Option<&'a mut Job> {
    let id: JobRef = id.parse().ok()?;
    jobs.iter_mut().find(|job| match &id {
        JobRef::Id(id) => job.id == *id,
        JobRef::Client(id) => job.client_id.as_ref() == Some(id),
    })
}

fn holder<'a>(jobs: &'a mut [Job], queue: &QueueName, key: &Key) -> Option<&'a mut Job> {
    jobs.iter_mut().find(|job| {
        matches!(job.state, State::Waiting { .. }) && job.spec.queue == *queue && job.spec.key.as_ref() == Some(key)
    })
}

fn view(job: &Job, now: Now) -> v1::JobView {
    v1::JobView::of(job.clone(), job.phase(now, false))
}

fn answer(job: &Job, now: Now) -> v1::PushedJob {
    v1::PushedJob { state: Some(job.phase(now, false)), ..v1::PushedJob::of(job.public_id().to_string()) }
}

fn outcome(job: &Job) -> Option<Outcome> {
    match &job.state {
        State::Ended { outcome, .. } => Some(*outcome),
        State::Waiting { .. } | State::Running(_) | State::Dead { .. } => None,
    }
}

fn word(job: &Job, now: Now) -> String {
    outcome(job).map_or_else(|| job.phase(now, false).as_str().to_owned(), |outcome| outcome.as_str().to_owned())
}

fn problem(word: &str, status: u16, title: String, detail: &str, hint: &str) -> Error {
    Error::Problem(Box::new(Problem {
        type_: format!("about:blank#{word}"),
        title,
        status,
        detail: detail.to_owned(),
        hint: hint.to_owned(),
    }))
}
