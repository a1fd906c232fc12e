//! What is known of a release, beside its directory.

use job::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::ReleaseId;

/// How a release fared.
///
/// ```text
/// building ─▶ sealed ─▶ live ─▶ healthy ─▶ rolled_back
///    │           │        ├──▶ held ─▶ healthy
///    ▼           ▼        ▼      ▼
///  aborted    aborted   failed  failed
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It is being made, or its making was cut short.
    Building,
    /// It is whole, on the disk, and was never current.
    Sealed {
        /// Since when.
        at: Timestamp,
    },
    /// It is current, or was, and nobody has confirmed yet that it works.
    Live {
        /// Since when.
        since: Timestamp,
        /// Why it is not confirmed, if something came between.
        why: Option<String>,
    },
    /// Its workers were confirmed. It stays so when a newer one takes its place.
    Healthy {
        /// Since when.
        since: Timestamp,
    },
    /// It is current, and its roll was given up: old workers may still serve.
    Held {
        /// When.
        at: Timestamp,
        /// Why.
        why: String,
    },
    /// It was current and was left because it did not work.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        why: String,
    },
    /// It never became current.
    Aborted {
        /// When.
        at: Timestamp,
        /// Why.
        why: String,
    },
    /// A person left it for an older one.
    RolledBack {
        /// When.
        at: Timestamp,
        /// For which one.
        to: ReleaseId,
        /// Why, if that was said.
        why: Option<String>,
    },
    /// Another tool made it, and did not call it bad. It counts as healthy.
    Found,
    /// Another tool made it and marked it as bad or unfinished.
    Bad {
        /// The mark: the name of the file that says so.
        mark: String,
    },
}

impl State {
    /// As people and scripts read it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Sealed { .. } => "sealed",
            Self::Live { .. } => "unverified",
            Self::Healthy { .. } => "healthy",
            Self::Held { .. } => "held",
            Self::Failed { .. } => "failed",
            Self::Aborted { .. } => "aborted",
            Self::RolledBack { .. } => "rolled back",
            Self::Found => "found",
            Self::Bad { .. } => "bad",
        }
    }

    /// Whether it may be rolled back to without being named.
    pub const fn is_good(&self) -> bool {
        match self {
            Self::Healthy { .. } | Self::Found => true,
            Self::Building
            | Self::Sealed { .. }
            | Self::Live { .. }
            | Self::Held { .. }
            | Self::Failed { .. }
            | Self::Aborted { .. }
            | Self::RolledBack { .. }
            | Self::Bad { .. } => false,
        }
    }
}
