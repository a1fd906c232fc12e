//! The JSON of `/v1`.
//!
//! Scripts rely on these shapes: a field may be added to an answer, and an
//! optional one to a request; nothing is renamed or removed. Requests refuse
//! fields they do not know, so that a misspelt `on_conflict` is an error and
//! not a different meaning; answers may hold fields that a client does not
//! know.
//!
//! Each request says what it means in the words of `job` (`into_new_job`,
//! `into_ending`, `check`), or is [`Refused`] with the name of the field.

use std::fmt;

mod agent;
mod finish;
mod lease;
mod object;
mod problem;
mod push;
mod queue;
mod search;
mod status;
mod view;

pub use agent::{
    Action, AgentAnswer, AgentLeaseWish, AgentList, AgentReport, Answered, AskedJob, GiveOrder, GivenOrder,
    GuardAnswer, GuardQuestion, HostView, Order, PeerSeen, ReadyBy, ReleaseReport, TreeReport, WorkerReport,
    WorkerSeen, WorkerState, sentence,
};
pub use finish::{
    Ack, Extend, Extended, Fail, FinishAck, FinishFail, FinishMany, FinishedMany, FinishedOne, Settled, Snooze,
};
pub use lease::{LeaseWish, LeasedJob, LeasedJobs};
pub use object::Object;
pub use problem::Problem;
pub use push::{Push, PushJob, PushedJob};
pub use queue::{PauseQueue, PauseView, QueueList, QueueView};
pub use search::{JobList, JobQuery};
pub use status::{LateQueue, LedgerView, PausedQueue, Status};
pub use view::{CancelledJob, JobView, public_id, raw};

/// Why a request is refused, though its JSON was in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The field that is wrong.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl Refused {
    fn new(field: &'static str, why: impl Into<String>) -> Self {
        Self { field, why: why.into() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.field, self.why)
    }
}

impl std::error::Error for Refused {}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}
