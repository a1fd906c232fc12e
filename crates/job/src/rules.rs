//! What the operator decided about all jobs of a kind or a queue.
//!
//! A store is opened with them and applies them inside its transitions; it
//! never makes one up.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::name::{KindName, QueueName};
use crate::time::{Moment, Now, Span};

/// What the operator decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The kinds that aloud runs itself. Their jobs are handed to nobody else.
    pub own_kinds: BTreeSet<KindName>,
    /// What becomes of late work where the queue has no rule of its own.
    pub late: Late,
    /// What becomes of late work in these queues.
    pub late_in: BTreeMap<QueueName, Late>,
    /// How often a job may be rescued from a lost worker before it is dead: one
    /// that takes its worker down each time must not do so for ever.
    pub max_rescues: u32,
    /// How long ended jobs are kept.
    pub keep_ended: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            own_kinds: BTreeSet::new(),
            late: Late::default(),
            late_in: BTreeMap::new(),
            max_rescues: 5,
            keep_ended: Span::from_secs(7 * 86_400),
        }
    }
}

/// What to do with work that is found long after it was due: an outage is over,
/// and the reminders of six weeks would go out at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Late {
    /// How far behind its due time a job is late.
    pub after: Span,
    /// What then.
    pub then: IfLate,
}

impl Default for Late {
    fn default() -> Self {
        Self { after: Span::from_secs(86_400), then: IfLate::Run }
    }
}

/// What to do with a late job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfLate {
    /// Run it as if nothing had been.
    #[default]
    Run,
    /// Lay it aside as dead, where a person can revive or delete it.
    Hold,
    /// End it as expired.
    Expire,
}

impl Rules {
    /// What to do with a job of `queue` that was `due` and is found `now`.
    pub fn if_late(&self, queue: &QueueName, due: Moment, now: Now) -> IfLate {
        let late = self.late_in.get(queue).unwrap_or(&self.late);
        if due.overdue(now) > late.after { late.then } else { IfLate::Run }
    }
}
