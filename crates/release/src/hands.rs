//! What a deploy needs done that is not the tree's business.
//!
//! The tree starts no process of the application and never looks for one. It asks its caller through [`Hands`], waits
//! for the answer, and takes an answer that is missing for the worst one.

use std::path::PathBuf;

use job::Span;

use crate::deploy::Progress;
use crate::id::{FileId, ReleaseId, TxId};

/// What the caller does for a deploy. Every call may block; each is made on the thread that called
/// [`deploy`](crate::deploy()).
pub trait Hands {
    /// Runs a command in a release that is being made, to its end.
    fn run(&self, task: &Task) -> Result<Done, Failure>;

    /// Waits until every host has this release, whole. Called once, after the seal of a deploy and before the switch.
    fn barrier(&self, sealed: &Target) -> Go;

    /// Moves the workers to a release that `current` points at.
    fn roll(&self, target: &Target) -> Rolled;

    /// Sees whether the release does what it is for, after the roll. The lines are shown as what was seen.
    fn verify(&self, target: &Target) -> Result<Vec<String>, String>;

    /// Who is in these directories, one answer for each, in their order. An answer that is missing counts as
    /// [`InUse::Unknown`].
    fn in_use(&self, places: &[Place]) -> Vec<InUse>;

    /// Hears how far it is.
    fn tell(&self, progress: Progress);
}

/// A command to be run in a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// What for.
    pub purpose: Purpose,
    /// What it is called: the hook's name, or `boot check`.
    pub name: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Where it is to run: the release's own directory, never through `current`.
    pub dir: PathBuf,
    /// The release that is being made.
    pub release: ReleaseId,
    /// The same for the same hook of the same deploy, for commands whose effect must happen once.
    pub key: String,
    /// How long it may take.
    pub within: Span,
}

/// What a command is run for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To build: its effects are part of the release, or needed by it.
    Build,
    /// To see whether the release starts at all. It leaves nothing behind.
    BootCheck,
}

/// A command that ended well.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// The last lines that it wrote.
    pub output: Vec<String>,
}

/// A command that did not end well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// How it ended, as a clause: `exit status 1`.
    pub why: String,
    /// The last lines that it wrote.
    pub output: Vec<String>,
}

/// A release that is, or is to be, the current one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The deploy or rollback that asks.
    pub tx: TxId,
    /// Which release.
    pub release: ReleaseId,
    /// Its directory, as the system knows it.
    pub file_id: FileId,
    /// Its directory's own path, never through `current`.
    pub path: PathBuf,
    /// The hash or name of what it was made from, where known.
    pub revision: Option<String>,
    /// The release that was current before.
    pub was: Option<ReleaseId>,
}

/// Whether a sealed release may become the current one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Go {
    /// Every host has sealed it.
    Switch,
    /// Some host has not, and will not: why, as a clause.
    Abort(String),
}

/// What came of a roll.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rolled {
    /// Every worker was seen in the release, one line for each.
    Confirmed(Vec<String>),
    /// The roll was given up. Old workers may still serve.
    Held {
        /// Why.
        why: String,
        /// Whether any worker of the new release ever got ready.
        any_new_ready: bool,
    },
    /// There are no workers to roll.
    NobodyToRoll,
}

/// A directory that is asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The release that it holds, or held.
    pub release: ReleaseId,
    /// The directory as the system knows it: the name may have changed.
    pub file_id: FileId,
    /// Where it lies now.
    pub path: PathBuf,
}

/// Who is in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InUse {
    /// Nobody, and everybody could be looked at.
    Free,
    /// These, one text for each.
    Used(Vec<String>),
    /// Perhaps these: they could not be looked at.
    Unknown(Vec<String>),
}
