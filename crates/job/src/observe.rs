//! What was seen, of what, and what it means.
//!
//! The parts of aloud that look at the world (the agent at its host, the server
//! at its queues) only say what they saw, each time with the moment and with
//! the evidence. An observation that is old says nothing any more: whoever
//! reads one compares [`Observation::at`] with its own clock first.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{HostName, PoolName, QueueName};
use crate::time::{Span, Timestamp};

/// What an observation is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A machine.
    Host(HostName),
    /// The tree of releases on a machine.
    Releases(HostName),
    /// A pool of workers on a machine.
    Workers {
        /// On which machine.
        host: HostName,
        /// Which pool.
        pool: PoolName,
    },
    /// A queue.
    Queue(QueueName),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "host {host}"),
            Self::Releases(host) => write!(f, "releases on {host}"),
            Self::Workers { host, pool } => write!(f, "workers {pool} on {host}"),
            Self::Queue(queue) => write!(f, "queue {queue}"),
        }
    }
}

/// What is to be thought of something, from the best to the worst: not to know
/// is worse than a warning, for it may hide anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was seen, and is as it should be.
    #[default]
    Ok,
    /// It works, and is not as it should be.
    Warning,
    /// It could not be seen, or was not seen lately.
    Unknown,
    /// It does not do what it is for.
    Critical,
}

impl Verdict {
    /// As people and scripts read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One thing that was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// What it is about.
    pub subject: Subject,
    /// When it was seen, by the clock of the one who saw it.
    pub at: Timestamp,
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// What was seen, as a sentence without a full stop.
    pub what: String,
    /// What shows it: processes, paths, last lines of output. At most
    /// [`Observation::MAX_EVIDENCE`] lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

impl Observation {
    /// The most lines of evidence that are kept.
    pub const MAX_EVIDENCE: usize = 40;
    /// How old the last word of an agent may be and still be believed.
    pub const FRESH_FOR: Span = Span::from_secs(15);
}

/// The worst of several verdicts; nothing seen is unknown.
pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    verdicts.into_iter().max().unwrap_or(Verdict::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_worse_than_a_warning_and_nothing_seen_is_not_ok() {
        assert_eq!(worst([Verdict::Ok, Verdict::Warning]), Verdict::Warning);
        assert_eq!(worst([Verdict::Unknown, Verdict::Warning, Verdict::Ok]), Verdict::Unknown);
        assert_eq!(worst([Verdict::Unknown, Verdict::Critical]), Verdict::Critical);
        assert_eq!(worst([]), Verdict::Unknown);
    }

    #[test]
    fn an_observation_is_written_as_json_and_read_back() {
        let text = r#"{"subject":{"workers":{"host":"web1","pool":"mail"}},"at":"2026-12-01T09:00:00.000Z","verdict":"critical","what":"2 of 4 are on release 65","evidence":["pid 7"]}"#;
        let read: Observation = serde_json::from_str(text).unwrap();
        assert_eq!(read.subject.to_string(), "workers mail on web1");
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
