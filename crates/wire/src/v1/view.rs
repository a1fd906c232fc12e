//! A job as it shows itself: `GET|DELETE /v1/jobs/{id}`.

use job::{Attempt, Cause, Guard, Job, Key, KindName, Outcome, Payload, Phase, Policy, QueueName, State, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::is_zero;

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
    job.public_id().to_string()
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

/// `DELETE /v1/jobs/{id}` and `DELETE /v1/queues/{q}/keys/{key}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelledJob {
    /// The job.
    pub id: String,
    /// `cancelled` if it waited, `discarded` if it was dead.
    pub outcome: Outcome,
}
