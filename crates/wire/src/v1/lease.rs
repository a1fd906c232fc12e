//! Taking jobs to work on: `POST /v1/lease`.

use job::{Key, KindName, QueueName, Span, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Refused, is_false};

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

pub(super) fn one() -> usize {
    1
}

pub(super) fn a_minute() -> Span {
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
        if self.queues.is_empty() || self.queues.len() > Self::MAX_QUEUES {
            return Err(Refused::new("queues", format!("name 1 to {} queues", Self::MAX_QUEUES)));
        }
        check_bounds(&self.worker, self.limit, self.wait, self.for_)
    }
}

/// What every wish for jobs keeps to.
pub(super) fn check_bounds(worker: &str, limit: usize, wait: Span, for_: Span) -> Result<(), Refused> {
    let most = LeaseWish::MAX_WORKER_BYTES;
    if worker.is_empty() || worker.len() > most || worker.chars().any(char::is_control) {
        return Err(Refused::new("worker", format!("give a name of 1 to {most} bytes without control characters")));
    }
    if !(1..=LeaseWish::MAX_LIMIT).contains(&limit) {
        return Err(Refused::new("limit", format!("it must lie between 1 and {}", LeaseWish::MAX_LIMIT)));
    }
    if wait > LeaseWish::MAX_WAIT {
        return Err(Refused::new("wait", format!("at most {}", LeaseWish::MAX_WAIT)));
    }
    check_lease_for(for_)
}

pub(super) fn check_lease_for(for_: Span) -> Result<(), Refused> {
    if (LeaseWish::MIN_FOR..=LeaseWish::MAX_FOR).contains(&for_) {
        return Ok(());
    }
    let why = format!("it must lie between {} and {}", LeaseWish::MIN_FOR, LeaseWish::MAX_FOR);
    Err(Refused::new("for", why))
}

/// The answer to [`LeaseWish`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeasedJobs {
    /// The jobs; none if the wait ended first.
    pub jobs: Vec<LeasedJob>,
    /// The worker that asks is to get no more: it should end what it runs, and
    /// then end. The header `Aloud-Quiet: 1` says the same.
    #[serde(default, skip_serializing_if = "is_false")]
    pub quiet: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_beyond_its_bounds_is_refused_by_field() {
        let check = |json: &str, expected: &str| {
            let wish: LeaseWish = serde_json::from_str(json).unwrap();
            let found = wish.check().map_or_else(|refused| refused.to_string(), |()| "fine".to_owned());
            assert_eq!(found, expected, "{json}");
        };
        check(r#"{"queues":["q"],"worker":"w"}"#, "fine");
        check(r#"{"queues":["q"],"worker":"w","limit":1000,"wait":"60s","for":"1d"}"#, "fine");
        check(r#"{"queues":[],"worker":"w"}"#, "`queues`: name 1 to 100 queues");
        check(r#"{"queues":["q"],"worker":""}"#, "`worker`: give a name of 1 to 200 bytes without control characters");
        check(
            r#"{"queues":["q"],"worker":"a\u0007"}"#,
            "`worker`: give a name of 1 to 200 bytes without control characters",
        );
        check(r#"{"queues":["q"],"worker":"w","limit":0}"#, "`limit`: it must lie between 1 and 1000");
        check(r#"{"queues":["q"],"worker":"w","limit":1001}"#, "`limit`: it must lie between 1 and 1000");
        check(r#"{"queues":["q"],"worker":"w","wait":"61s"}"#, "`wait`: at most 1m");
        check(r#"{"queues":["q"],"worker":"w","for":"999ms"}"#, "`for`: it must lie between 1s and 1d");
        check(r#"{"queues":["q"],"worker":"w","for":"25h"}"#, "`for`: it must lie between 1s and 1d");
    }
}
