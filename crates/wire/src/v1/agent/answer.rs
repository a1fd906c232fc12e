//! What the server answers an agent.

use job::{Key, KindName, PoolName, QueueName, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The answer to [`super::AgentReport`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentAnswer {
    /// Counts what is new. The next report brings it back, and is answered at
    /// once if there is more.
    pub heard: u64,
    /// The workers that spoke to the server and may be of this host: those that
    /// the report names, and those that spoke from the agent's own address.
    pub spoke: Vec<WorkerSeen>,
    /// Who takes jobs without saying which worker it is, over a connection from
    /// this machine or from the agent's own address.
    pub peers: Vec<PeerSeen>,
    /// What the agent is to do. Each comes again until a report brings back the
    /// number of an answer that held it.
    pub orders: Vec<Order>,
    /// Guards to ask. Each comes again until it is answered, or was waited for
    /// too long.
    pub questions: Vec<GuardQuestion>,
    /// Another agent reports as this host: its [`super::AgentReport::agent`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<String>,
}

/// A worker, as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSeen {
    /// Who it says it is, with the header `Aloud-Worker`.
    pub worker: String,
    /// From which release it says it runs, with the header `Aloud-Release`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// From where it spoke last: address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// How many jobs it was handed.
    pub leases: u64,
    /// How many runs it ended, by ack, fail or snooze.
    pub jobs: u64,
    /// Whether it waits for jobs now.
    pub waiting: bool,
    /// When it spoke first.
    pub first: Timestamp,
    /// When it spoke last.
    pub last: Timestamp,
}

/// Somebody who takes jobs and does not say who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerSeen {
    /// The other end of its connection: address and port.
    pub peer: String,
    /// Whether it waits for jobs now.
    pub waiting: bool,
    /// How many jobs it was handed over this connection.
    pub leases: u64,
    /// How many runs it ended over this connection.
    pub jobs: u64,
    /// When it spoke last.
    pub last: Timestamp,
}

/// Something that an agent is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which one; an order that comes twice has one id.
    pub id: u64,
    /// What.
    pub order: Action,
    /// To which pool; to all if none is named.
    #[serde(default)]
    pub pool: Option<PoolName>,
}

/// What can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Roll to new processes of the release that is current.
    Restart,
}

/// `POST /v1/agents/{host}/orders`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveOrder {
    /// What.
    pub order: Action,
    /// To which pool; to all if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolName>,
}

/// The answer to [`GiveOrder`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenOrder {
    /// Its id.
    pub id: u64,
}

/// A guard that the agent is to ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GuardQuestion {
    /// Which question; an answer names it.
    pub id: u64,
    /// Which guard, by the name under which the configuration declares it.
    pub guard: String,
    /// About what.
    pub job: AskedJob,
}

/// A job that a guard is asked about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskedJob {
    /// Its id.
    pub id: String,
    /// The line it waits in.
    pub queue: QueueName,
    /// What it is.
    pub kind: KindName,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// What it carries.
    pub payload: Box<RawValue>,
    /// Which start it would be, from 1.
    pub attempt: u32,
    /// When it was pushed.
    pub pushed: Timestamp,
}
