//! The JSON of `/v1`.
//!
//! Scripts rely on these shapes: a field may be added to an answer, and an
//! optional one to a request; nothing is renamed or removed. Requests refuse
//! fields they do not know, so that a misspelt `on_conflict` is an error and
//! not a different meaning; answers may hold fields that a client does not
//! know.

use std::fmt;

use job::{
    Attempt, Cause, ClientId, Guard, Invalid, Job, JobError, Key, KindName, Moment, NewJob, Now, OnConflict, Outcome,
    Payload, Phase, Policy, QueueName, Span, Spec, State, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `POST /v1/jobs`, one of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushJob {
    /// The line it waits in; `default` if left out.
    #[serde(default = "default_queue")]
    pub queue: QueueName,
    /// What it is.
    pub kind: KindName,
    /// What it carries, kept byte for byte; `null` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<RawValue>>,
    /// Due so long from now, whatever the wall clock does meanwhile.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub in_: Option<Span>,
    /// Due then; a time that has passed means now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What it is about: at most one job waits for each key in a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// What happens when a waiting job holds the key; `keep` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// Who is asked just before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// Lower first, 0 to 4294967295; 1024 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// What follows a failure; what is left out is as by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Policy>,
    /// Not wanted any more so long from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Span>,
    /// An id of the caller's own. A second push with it answers the first job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

fn default_queue() -> QueueName {
    "default".parse().expect("`default` is a queue's name")
}

/// Why a push is refused, though its JSON was in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The field that is wrong.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.field, self.why)
    }
}

impl std::error::Error for Refused {}

impl PushJob {
    /// A job of `kind` in the queue `default`.
    pub fn new(kind: KindName) -> Self {
        Self {
            queue: default_queue(),
            kind,
            payload: None,
            in_: None,
            at: None,
            key: None,
            on_conflict: None,
            guard: None,
            priority: None,
            retry: None,
            expires_in: None,
            id: None,
        }
    }

    /// What it means, now.
    pub fn into_new_job(self, now: Now) -> Result<NewJob, Refused> {
        let refuse = |field, why: String| Refused { field, why };
        let due = match (self.in_, self.at) {
            (Some(_), Some(_)) => return Err(refuse("at", "give either `in` or `at`, not both".to_owned())),
            (Some(in_), None) => Moment::after(now, in_),
            (None, Some(at)) => Moment::at(at, now),
            (None, None) => Moment::after(now, Span::ZERO),
        };
        let payload = match self.payload {
            Some(raw) => Payload::new(raw.get().as_bytes()).map_err(|e| refuse("payload", e.to_string()))?,
            None => Payload::default(),
        };
        if self.on_conflict.is_some() && self.key.is_none() {
            return Err(refuse(
                "on_conflict",
                "it says what happens when the key is held, and there is no `key`".to_owned(),
            ));
        }
        if let Some(guard) = &self.guard {
            check_guard(guard).map_err(|why| refuse("guard", why))?;
        }
        let retry = self.retry.unwrap_or_default();
        if !(1..=Policy::MAX_ATTEMPTS).contains(&retry.max_attempts) {
            return Err(refuse("retry", format!("`max_attempts` must lie between 1 and {}", Policy::MAX_ATTEMPTS)));
        }
        let client_id = match self.id {
            Some(id) => Some(ClientId::choose(&id).map_err(|e: Invalid| refuse("id", e.to_string()))?),
            None => None,
        };
        Ok(NewJob {
            client_id,
            due,
            on_conflict: self.on_conflict.unwrap_or_default(),
            spec: Spec {
                queue: self.queue,
                kind: self.kind,
                payload,
                priority: self.priority.unwrap_or(Spec::DEFAULT_PRIORITY),
                key: self.key,
                guard: self.guard,
                expires: self.expires_in.map(|after| Moment::after(now, after)),
                retry,
            },
        })
    }
}

fn check_guard(guard: &Guard) -> Result<(), String> {
    let (text, fits, wanted) = match guard {
        Guard::Http(url) => (
            url,
            url.starts_with("http://") || url.starts_with("https://"),
            "an address that starts with `http://` or `https://`",
        ),
        Guard::Exec(name) => (name, !name.is_empty(), "the name of a guard that the configuration declares"),
    };
    if text.len() > Guard::MAX_BYTES {
        return Err(format!("it has {} bytes, and at most {} are allowed", text.len(), Guard::MAX_BYTES));
    }
    if !fits || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("it is not {wanted}"));
    }
    Ok(())
}

/// What became of one pushed job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedJob {
    /// The job: the new one, or the one that was there.
    pub id: String,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Phase>,
    /// A waiting job held the key, and was kept.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kept: bool,
    /// A job with this id was pushed before; nothing changed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub known: bool,
    /// How that job ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The waiting job that it replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// In an array: this one was refused, and why. `id` is then the job that
    /// holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// `POST /v1/lease`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseWish {
    /// From these queues, the first first; at most 100.
    pub queues: Vec<QueueName>,
    /// How the worker calls itself, at most 200 bytes.
    pub worker: String,
    /// How many at most, 1 to 1000; 1 if left out.
    #[serde(default = "one")]
    pub limit: usize,
    /// How long to wait for the first, at most 1 minute; not at all if left
    /// out.
    #[serde(default)]
    pub wait: Span,
    /// For how long, 1 second to 1 day; 1 minute if left out.
    #[serde(default = "a_minute", rename = "for")]
    pub for_: Span,
}

fn one() -> usize {
    1
}

fn a_minute() -> Span {
    Span::from_secs(60)
}

impl LeaseWish {
    /// The most queues of one wish.
    pub const MAX_QUEUES: usize = 100;
    /// The most jobs of one wish.
    pub const MAX_LIMIT: usize = 1_000;
    /// The longest wait.
    pub const MAX_WAIT: Span = Span::from_secs(60);
    /// The shortest lease.
    pub const MIN_FOR: Span = Span::from_secs(1);
    /// The longest lease.
    pub const MAX_FOR: Span = Span::from_secs(86_400);
    /// The longest name of a worker, in bytes.
    pub const MAX_WORKER_BYTES: usize = 200;

    /// Whether what it asks for lies within its bounds.
    pub fn check(&self) -> Result<(), Refused> {
        let refuse = |field, why: String| Err(Refused { field, why });
        if self.queues.is_empty() || self.queues.len() > Self::MAX_QUEUES {
            return refuse("queues", format!("name 1 to {} queues", Self::MAX_QUEUES));
        }
        if self.worker.is_empty()
            || self.worker.len() > Self::MAX_WORKER_BYTES
            || self.worker.chars().any(char::is_control)
        {
            return refuse(
                "worker",
                format!("give a name of 1 to {} bytes without control characters", Self::MAX_WORKER_BYTES),
            );
        }
        if !(1..=Self::MAX_LIMIT).contains(&self.limit) {
            return refuse("limit", format!("it must lie between 1 and {}", Self::MAX_LIMIT));
        }
        if self.wait > Self::MAX_WAIT {
            return refuse("wait", format!("at most {}", Self::MAX_WAIT));
        }
        check_lease_for(self.for_)
    }
}

fn check_lease_for(for_: Span) -> Result<(), Refused> {
    if (LeaseWish::MIN_FOR..=LeaseWish::MAX_FOR).contains(&for_) {
        return Ok(());
    }
    Err(Refused { field: "for", why: format!("it must lie between {} and {}", LeaseWish::MIN_FOR, LeaseWish::MAX_FOR) })
}

/// The answer to [`LeaseWish`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeasedJobs {
    /// The jobs; none if the wait ended first.
    pub jobs: Vec<LeasedJob>,
}

/// A job that was handed out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeasedJob {
    /// Its id.
    pub id: String,
    /// The right to finish it.
    pub lease: String,
    /// Until when, unless it is extended.
    pub until: Timestamp,
    /// The line it came from.
    pub queue: QueueName,
    /// What it is.
    pub kind: KindName,
    /// What it carries.
    pub payload: Box<RawValue>,
    /// Which start this is, from 1.
    pub attempt: u32,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// When it was pushed.
    pub pushed: Timestamp,
}

/// `POST /v1/jobs/{id}/ack`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// The lease that came with the job.
    pub lease: String,
    /// What the work answered; at most 4096 bytes are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// There was nothing to do any more: the job ends as skipped, for this
    /// reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// `POST /v1/jobs/{id}/fail`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// The lease that came with the job.
    pub lease: String,
    /// How it failed.
    pub error: JobError,
    /// Trying again is of no use: the job is dead at once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub permanent: bool,
    /// If it is tried again, not before so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
}

/// `POST /v1/jobs/{id}/extend`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// The lease that came with the job.
    pub lease: String,
    /// For how long from now, 1 second to 1 day; 1 minute if left out.
    #[serde(default = "a_minute", rename = "for")]
    pub for_: Span,
}

impl Extend {
    /// Whether what it asks for lies within its bounds.
    pub fn check(&self) -> Result<(), Refused> {
        check_lease_for(self.for_)
    }
}

/// The answer to [`Extend`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extended {
    /// Until when the lease lasts now.
    pub until: Timestamp,
}

/// `POST /v1/jobs/{id}/snooze`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snooze {
    /// The lease that came with the job.
    pub lease: String,
    /// Run it again so much later, without that being a failure.
    #[serde(rename = "in")]
    pub in_: Span,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What became of a job whose run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Where it stands now.
    pub state: Phase,
    /// How it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it is due again, if it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
}

/// `POST /v1/finish`: many ends, and the next jobs, in one round trip.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishMany {
    /// Runs that did their work; at most 1000 ends in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acks: Vec<FinishAck>,
    /// Runs that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fails: Vec<FinishFail>,
    /// The next jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseWish>,
}

impl FinishMany {
    /// The most ends of one request.
    pub const MAX_ENDS: usize = 1_000;
}

/// One of [`FinishMany::acks`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishAck {
    /// Of which job.
    pub id: String,
    /// The lease that came with it.
    pub lease: String,
    /// What the work answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// There was nothing to do any more, for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// One of [`FinishMany::fails`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishFail {
    /// Of which job.
    pub id: String,
    /// The lease that came with it.
    pub lease: String,
    /// How it failed.
    pub error: JobError,
    /// Trying again is of no use.
    #[serde(default, skip_serializing_if = "is_false")]
    pub permanent: bool,
    /// If it is tried again, not before so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
}

/// The answer to [`FinishMany`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinishedMany {
    /// One for each of the acks, then one for each of the fails.
    pub ends: Vec<FinishedOne>,
    /// The next jobs.
    pub jobs: Vec<LeasedJob>,
}

/// One of [`FinishedMany::ends`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedOne {
    /// Of which job.
    pub id: String,
    /// What became of it; `None` if the lease is no longer the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
    /// Why nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

/// A job as `GET /v1/jobs/{id}` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobView {
    /// Its id: the caller's own, or the one that the server gave.
    pub id: String,
    /// The line it waits in.
    pub queue: QueueName,
    /// What it is.
    pub kind: KindName,
    /// Where it stands.
    pub state: Phase,
    /// How it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Who, which or why, if there is anything to say of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why it is dead, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What it carries.
    pub payload: Box<RawValue>,
    /// Lower first.
    pub priority: u32,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// Who is asked before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// What follows a failure.
    pub retry: Policy,
    /// When it was pushed.
    pub pushed: Timestamp,
    /// When it is due, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// When it is not wanted any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Who runs it, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Until when that worker's lease lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<Timestamp>,
    /// Since when it is dead, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How often it was started.
    pub attempt: u32,
    /// How often it failed since it was pushed or last revived.
    pub failures: u32,
    /// How often its lease ran out.
    pub rescues: u32,
    /// How often it asked to be run later.
    pub snoozes: u32,
    /// What became of its runs, oldest first.
    pub attempts: Vec<Attempt>,
    /// How many attempts are not kept, between the first and the second shown.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts_dropped: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl JobView {
    /// A job as it shows itself.
    pub fn of(job: Job, phase: Phase) -> Self {
        let id = public_id(&job);
        let mut view = Self {
            id,
            state: phase,
            outcome: None,
            detail: None,
            cause: None,
            payload: raw(&job.spec.payload),
            queue: job.spec.queue,
            kind: job.spec.kind,
            priority: job.spec.priority,
            key: job.spec.key,
            guard: job.spec.guard,
            retry: job.spec.retry,
            pushed: job.pushed,
            due: None,
            expires: job.spec.expires.map(|at| at.wall),
            worker: None,
            leased_until: None,
            since: None,
            attempt: job.attempt,
            failures: job.failures,
            rescues: job.rescues,
            snoozes: job.snoozes,
            attempts: job.history.attempts().to_vec(),
            attempts_dropped: job.history.dropped(),
        };
        match job.state {
            State::Waiting { due, .. } => view.due = Some(due.wall),
            State::Running(run) => {
                view.worker = Some(run.worker);
                view.leased_until = Some(run.until.wall);
                view.since = Some(run.started);
            }
            State::Dead { since, cause } => {
                view.since = Some(since);
                view.cause = Some(cause);
            }
            State::Ended { outcome, at, detail } => {
                view.since = Some(at);
                view.outcome = Some(outcome);
                view.detail = detail;
            }
        }
        view
    }
}

/// The public form of a job's id: its pusher's own, or else the server's.
pub fn public_id(job: &Job) -> String {
    match &job.client_id {
        Some(id) => id.to_string(),
        None => job.id.to_string(),
    }
}

/// A payload as JSON: as it is if it is JSON, otherwise as a JSON string in
/// which what is not UTF-8 is replaced.
pub fn raw(payload: &Payload) -> Box<RawValue> {
    let json =
        std::str::from_utf8(payload.as_bytes()).ok().and_then(|text| RawValue::from_string(text.to_owned()).ok());
    json.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(payload.as_bytes());
        serde_json::value::to_raw_value(&text).expect("a string is JSON")
    })
}

/// `GET /v1/jobs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobList {
    /// Those that fit.
    pub jobs: Vec<JobView>,
    /// Give this as `after` for the next page; not there at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How many jobs were looked at for this page.
    pub searched: u64,
    /// How many are kept in all.
    pub of: u64,
}

/// `DELETE /v1/jobs/{id}` and `DELETE /v1/queues/{q}/keys/{key}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelledJob {
    /// The job.
    pub id: String,
    /// `cancelled` if it waited, `discarded` if it was dead.
    pub outcome: Outcome,
}

/// `POST /v1/queues/{q}/pause`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseQueue {
    /// Who asks for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// For how long; without it the pause lasts until somebody resumes.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_: Option<Span>,
}

/// Who holds a queue, why, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseView {
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// `GET /v1/queues`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueList {
    /// All queues, by name.
    pub queues: Vec<QueueView>,
}

/// How a queue stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// Its name.
    pub name: QueueName,
    /// Jobs that are not due yet and never ran.
    pub scheduled: u64,
    /// Jobs that are due.
    pub ready: u64,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that ran before and are not due again yet.
    pub retrying: u64,
    /// Dead jobs.
    pub dead: u64,
    /// When the oldest of those that are due fell due, to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_due: Option<Timestamp>,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseView>,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The app that this server belongs to.
    pub app: String,
    /// The store's id.
    pub store: String,
    /// Which `aloud` serves.
    pub version: String,
    /// When this was judged.
    pub judged: Timestamp,
    /// Whether the store takes jobs and gives them out.
    pub serving: bool,
    /// What is not as it should be, in sentences, worst first.
    pub findings: Vec<String>,
    /// The count of everything that was ever pushed.
    pub ledger: LedgerView,
}

/// The count of everything that was ever pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerView {
    /// Accepted as new.
    pub pushed: u64,
    /// Waiting.
    pub waiting: u64,
    /// Running.
    pub running: u64,
    /// Dead.
    pub dead: u64,
    /// Ended, by outcome.
    pub done: u64,
    /// Ended as skipped.
    pub skipped: u64,
    /// Ended as cancelled.
    pub cancelled: u64,
    /// Ended as superseded.
    pub superseded: u64,
    /// Ended as expired.
    pub expired: u64,
    /// Ended as discarded.
    pub discarded: u64,
    /// Whether it adds up.
    pub adds_up: bool,
}

impl From<job::Ledger> for LedgerView {
    fn from(ledger: job::Ledger) -> Self {
        Self {
            pushed: ledger.pushed,
            waiting: ledger.waiting,
            running: ledger.running,
            dead: ledger.dead,
            done: ledger.ended_as(Outcome::Done),
            skipped: ledger.ended_as(Outcome::Skipped),
            cancelled: ledger.ended_as(Outcome::Cancelled),
            superseded: ledger.ended_as(Outcome::Superseded),
            expired: ledger.ended_as(Outcome::Expired),
            discarded: ledger.ended_as(Outcome::Discarded),
            adds_up: ledger.adds_up(),
        }
    }
}

/// An error, as RFC 9457 has it: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Names the sort of problem: `about:blank#` and a word that does not
    /// change.
    #[serde(rename = "type")]
    pub type_: String,
    /// What happened.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What it means here: what changed and what did not.
    pub detail: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}
