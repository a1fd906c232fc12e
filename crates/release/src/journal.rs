//! What was intended, and what was done.

use job::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deploy::Step;
use crate::id::{ReleaseId, TxId};

/// One line of the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// What it belongs to.
    pub tx: TxId,
    /// What kind of thing that is.
    pub act: Act,
    /// The step.
    pub step: Step,
    /// Whether it is about to happen, or has.
    pub mark: Mark,
    /// The release that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// The release that was current when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<ReleaseId>,
    /// When, by the wall clock.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// More about it: a hook's name, why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What is being done to the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A new release.
    Deploy,
    /// A sealed release that was left behind becomes the current one.
    Resume,
    /// Back to an older release.
    Rollback,
    /// Old releases are removed.
    Prune,
    /// What was cut short is put in order.
    Recover,
}

/// Before or after.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It is about to happen.
    Intent,
    /// It has happened.
    Done,
    /// It was tried, and failed.
    Failed,
}
