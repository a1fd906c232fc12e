//! What is known of a release, beside its directory.

use job::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dir::Dir;
use crate::error::Trouble;
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

/// What is kept of a release in `.aloud/releases/NAME.json`.
///
/// To add a field, give it a default: files of earlier versions have to be read for as long as their releases are
/// there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) id: ReleaseId,
    #[serde(flatten)]
    pub(crate) state: State,
    /// When it was begun, or first seen.
    pub(crate) created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) healthy_since: Option<Timestamp>,
    /// What it consisted of when it was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) contents: Option<Contents>,
}

/// What a release consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Contents {
    /// Files, links and folders.
    pub(crate) inodes: u64,
    /// What they take on the disk.
    pub(crate) bytes: u64,
    /// CRC-32 over path, kind, size and time of change of each, in the order of the paths. It tells one tree from
    /// another and notices a change by hand; it proves nothing against someone who wants to deceive.
    pub(crate) digest: u32,
}

impl Meta {
    const MAX_BYTES: u64 = 64 << 10;
    const ENDING: &str = ".json";

    pub(crate) fn new(id: ReleaseId, state: State, created: Timestamp) -> Self {
        Self {
            id,
            state,
            created,
            by: None,
            source: None,
            revision: None,
            sealed_at: None,
            healthy_since: None,
            contents: None,
        }
    }

    /// What becomes of its state when another has taken its place before it was settled whether it works.
    pub(crate) fn once_left(&self, at: Timestamp) -> Option<State> {
        let why = || "it was left before anybody confirmed that it works".to_owned();
        match (&self.state, self.healthy_since) {
            // That nobody looked again says nothing against it.
            (State::Live { .. }, Some(since)) => Some(State::Healthy { since }),
            (State::Live { .. } | State::Held { .. }, _) => Some(State::Failed { at, why: why() }),
            (
                State::Building
                | State::Sealed { .. }
                | State::Healthy { .. }
                | State::Failed { .. }
                | State::Aborted { .. }
                | State::RolledBack { .. }
                | State::Found
                | State::Bad { .. },
                _,
            ) => None,
        }
    }

    /// What is kept of `id`. A file that cannot be made sense of is none: the release is then as if another tool had
    /// made it, but never counts as good.
    pub(crate) fn read(dir: &Dir, id: &ReleaseId) -> Result<Option<Self>, Trouble> {
        let name = format!("{}{}", id.file_name(), Self::ENDING);
        let Some(text) = dir.read(&name, Self::MAX_BYTES)? else { return Ok(None) };
        match serde_json::from_str::<Self>(&text) {
            Ok(meta) if meta.id == *id => Ok(Some(meta)),
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::warn!(release = %id, %error, "what was written down about a release cannot be read");
                Ok(Some(Self::new(id.clone(), State::Bad { mark: format!(".aloud/releases/{name}") }, Timestamp(0))))
            }
        }
    }

    /// All that is kept, also of releases that are gone.
    pub(crate) fn ids(dir: &Dir) -> Result<Vec<ReleaseId>, Trouble> {
        let mut ids = Vec::new();
        for name in dir.names()? {
            let Some(text) = dir.read(&name, Self::MAX_BYTES)? else { continue };
            if let Ok(meta) = serde_json::from_str::<Self>(&text) {
                ids.push(meta.id);
            }
        }
        Ok(ids)
    }

    pub(crate) fn write(&self, dir: &Dir) -> Result<(), Trouble> {
        let text = serde_json::to_string_pretty(self).expect("it holds nothing that JSON cannot say");
        dir.write(&format!("{}{}", self.id.file_name(), Self::ENDING), &text)
    }

    pub(crate) fn forget(dir: &Dir, id: &ReleaseId) -> Result<(), Trouble> {
        dir.unlink_if_there(format!("{}{}", id.file_name(), Self::ENDING))
    }
}
