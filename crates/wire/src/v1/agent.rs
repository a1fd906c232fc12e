//! A host's agent and the server: `POST /v1/agents/{host}` and what lies below.
//!
//! One long poll carries both ways: what the agent saw goes up, what it is to
//! do and who spoke to the server comes down. Both sides always say the whole
//! of what they know, so that a request or an answer that got lost is made up
//! for by the next.

mod answer;
mod bounds;
mod host;
mod lease;
mod report;

pub use answer::{Action, AgentAnswer, AskedJob, GiveOrder, GivenOrder, GuardQuestion, Order, PeerSeen, WorkerSeen};
pub use host::{AgentList, HostView, sentence};
pub use lease::AgentLeaseWish;
pub use report::{AgentReport, Answered, GuardAnswer, ReadyBy, ReleaseReport, TreeReport, WorkerReport, WorkerState};

use super::Refused;

/// A text of 1 to `limit` bytes without control characters.
fn text(field: &'static str, text: &str, limit: usize) -> Result<(), Refused> {
    if text.is_empty() || text.len() > limit || text.chars().any(char::is_control) {
        return Err(Refused::new(field, format!("give a text of 1 to {limit} bytes without control characters")));
    }
    Ok(())
}

/// At most `limit` entries.
fn few<T>(field: &'static str, list: &[T], limit: usize) -> Result<(), Refused> {
    if list.len() > limit {
        return Err(Refused::new(field, format!("there are {}, and at most {limit} are allowed", list.len())));
    }
    Ok(())
}
