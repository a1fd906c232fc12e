//! A host, as the server knows it: `GET /v1/agents`, and part of the status.

use job::{HostName, Observation, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

use super::{TreeReport, WorkerReport};

/// `GET /v1/agents`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentList {
    /// Every host that is registered or ever reported, by name.
    pub agents: Vec<HostView>,
}

/// An observation as a sentence that says what it is about, as it stands among
/// the findings of a status.
pub fn sentence(seen: &Observation) -> String {
    let subject = seen.subject.to_string();
    if seen.what.starts_with(&subject) { seen.what.clone() } else { format!("{subject}: {}", seen.what) }
}

/// A host, as its agent said last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostView {
    /// Which host.
    pub host: HostName,
    /// When its agent was heard last, by the server's clock.
    #[serde(default)]
    pub heard: Option<Timestamp>,
    /// Whether that is so short ago that it still holds.
    pub fresh: bool,
    /// Which `aloud` its agent is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What is to be thought of it: what its agent thinks, or unknown if that
    /// does not hold any more.
    pub verdict: Verdict,
    /// What was seen, worst first. What the server itself has to say of the
    /// host is among it.
    pub observations: Vec<Observation>,
    /// Its workers.
    pub workers: Vec<WorkerReport>,
    /// Its releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeReport>,
}
