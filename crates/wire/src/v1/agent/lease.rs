//! Jobs that an agent runs itself: `POST /v1/agents/{host}/lease`.

use job::{KindName, Span};
use serde::{Deserialize, Serialize};

use crate::v1::Refused;
use crate::v1::lease::{a_minute, check_bounds, one};

/// `POST /v1/agents/{host}/lease`: like [`crate::v1::LeaseWish`], and the answer is the
/// same, but from every queue, of one kind that a handler is declared for. No
/// worker is ever handed such a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentLeaseWish {
    /// The kind.
    pub kind: KindName,
    /// How the agent calls itself, at most 200 bytes.
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

impl AgentLeaseWish {
    /// Whether what it asks for lies within its bounds.
    pub fn check(&self) -> Result<(), Refused> {
        check_bounds(&self.worker, self.limit, self.wait, self.for_)
    }
}
