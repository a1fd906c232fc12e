//! How everything is: `GET /v1/status`.

use std::fmt;

use job::{Outcome, QueueName, Span, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

use super::{HostView, PauseView, is_false};

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
    /// What is to be thought of all of it: critical if jobs are not served or
    /// their count is wrong, or as bad as the worst host, and a warning if there
    /// is any other finding.
    #[serde(default = "unknown")]
    pub verdict: Verdict,
    /// Whether the store takes jobs and gives them out.
    pub serving: bool,
    /// Whether answers may be a second ahead of the disk, because the operator
    /// chose so: a power cut may then take that second.
    #[serde(default, skip_serializing_if = "is_false")]
    pub relaxed: bool,
    /// What is not as it should be, in sentences, worst first.
    pub findings: Vec<String>,
    /// The hosts that are registered or ever reported, by name.
    #[serde(default)]
    pub hosts: Vec<HostView>,
    /// Queues whose oldest due job waits for longer than it should, the latest
    /// first.
    #[serde(default)]
    pub late: Vec<LateQueue>,
    /// Queues that are held, by name.
    #[serde(default)]
    pub paused: Vec<PausedQueue>,
    /// The count of everything that was ever pushed.
    pub ledger: LedgerView,
}

/// What a server that says no verdict is thought of.
fn unknown() -> Verdict {
    Verdict::Unknown
}

/// A queue whose work is late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateQueue {
    /// Its name.
    pub queue: QueueName,
    /// When the oldest job that is due fell due, to the second.
    pub oldest_due: Timestamp,
    /// How long ago that was.
    pub late: Span,
    /// How many jobs are due.
    pub ready: u64,
}

impl fmt::Display for LateQueue {
    /// As it stands among the findings of a status.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, oldest_due, ready, .. } = self;
        let (jobs, are) = if *ready == 1 { ("job", "is") } else { ("jobs", "are") };
        write!(f, "queue {queue}: {ready} {jobs} that {are} due, the oldest since {oldest_due}")
    }
}

/// A queue that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausedQueue {
    /// Its name.
    pub queue: QueueName,
    /// Who holds it, why, and until when.
    #[serde(flatten)]
    pub pause: PauseView,
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
