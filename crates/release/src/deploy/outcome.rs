//! How far a deploy is, and what came of it.

use job::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hands::Rolled;
use crate::id::ReleaseId;
use crate::prune::Pruning;
use crate::recover::Recovery;

/// The steps, in their order, and those that may come instead.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The directory is made.
    Create,
    /// The source is copied into it.
    Fill,
    /// What is shared is linked into it.
    Shared,
    /// The hooks are run.
    Build,
    /// The boot check is run.
    BootCheck,
    /// Everything is on the disk.
    Seal,
    /// The other hosts are waited for.
    Barrier,
    /// `current` is made to point at it.
    Switch,
    /// The workers are moved.
    Roll,
    /// It is seen whether it works.
    Verify,
    /// It is written down as healthy.
    Commit,
    /// What is not needed any more is removed.
    Prune,
    /// Instead: it never becomes current.
    Abort,
    /// Instead: it stays current, unconfirmed, and that is said aloud.
    Hold,
    /// Instead: `current` is made to point at the release before.
    SwitchBack,
    /// Instead: the workers are moved back.
    RollBack,
}

/// How far it is: for people who wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// What had been cut short earlier was put in order.
    Recovered(Recovery),
    /// A step begins; with a sentence about it.
    Begins(Step, String),
    /// A step has ended well; with what there is to say about it.
    Ended(Step, String),
    /// A hook has ended well; with its last lines.
    Ran {
        /// Which.
        hook: String,
        /// What it wrote last.
        output: Vec<String>,
    },
    /// Something that did not stop it, and that people should know.
    Warning(String),
}

/// What came of a deploy, a resumed one, or a rollback that reached the switch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The release that was to become the current one.
    pub release: ReleaseId,
    /// The one that was current before.
    pub was: Option<ReleaseId>,
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub ended: Ended,
    /// What became of the older releases, if that was looked at.
    pub pruning: Option<Pruning>,
    /// What people should know, as sentences.
    pub warnings: Vec<String>,
}

/// How a deploy ended. Only the first is well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It is current, and confirmed: one line for each thing that was seen. None if there are no workers.
    Healthy(Vec<String>),
    /// It is current and not confirmed; the old workers and their release stay.
    Held {
        /// Why.
        why: String,
    },
    /// It did not work: `current` points at the release before.
    WentBack {
        /// Why.
        why: String,
        /// What came of the roll back to it.
        rolled: Rolled,
    },
}

impl Outcome {
    /// Whether it is as it should be.
    pub fn is_ok(&self) -> bool {
        match self.ended {
            Ended::Healthy(_) => true,
            Ended::Held { .. } | Ended::WentBack { .. } => false,
        }
    }
}
