//! How a tree is to be treated.

use job::Span;
use serde::{Deserialize, Serialize};

/// How the tree is to be treated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Who does this, as people should read it.
    pub who: String,
    /// How long to wait for somebody else who is at work in the tree.
    pub wait: Span,
    /// What follows a roll, or a verification, that failed.
    pub on_failure: OnFailure,
    /// How many releases stay.
    pub keep: Keep,
    /// What a deploy must leave free.
    pub reserve: Reserve,
    /// For how long a release that was cut short is left for people to look at.
    pub grace: Span,
    /// Whether releases go that may be in use by processes that could not be looked at.
    pub accept_unknown: bool,
    /// Whether releases are pruned at the end of a deploy.
    pub prune: bool,
}

/// What follows a roll that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Back to the release before if no worker of the new one ever got ready, else hold.
    #[default]
    Decide,
    /// `current` stays at the new release, the old workers go on, and it is said aloud.
    Hold,
    /// Back to the release before.
    Rollback,
}

/// How many releases stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Of those that worked, the newest so many, with the current one.
    pub healthy: usize,
    /// Of those that did not, the newest so many.
    pub failed: usize,
}

/// What a deploy must leave free on the file system of the releases, beyond one and a half times the last release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserve {
    /// Bytes.
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
}

impl Options {
    /// As it should be if nothing else is said: 5 and 2 releases stay, 256 MiB and 10,000 files are left free, nobody
    /// is waited for.
    pub fn new(who: impl Into<String>) -> Self {
        Self {
            who: who.into(),
            wait: Span::ZERO,
            on_failure: OnFailure::Decide,
            keep: Keep { healthy: 5, failed: 2 },
            reserve: Reserve { bytes: 256 << 20, inodes: 10_000 },
            grace: Span::from_secs(3_600),
            accept_unknown: false,
            prune: true,
        }
    }
}
