//! A deploy: what is to be done, in which order, and what came of it.

use job::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::hands::{Hands, Rolled};
use crate::id::ReleaseId;
use crate::prune::Pruning;
use crate::recover::Recovery;
use crate::source::Source;
use crate::tree::Tree;

/// A release that is to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Build {
    /// Where it comes from.
    pub source: Source,
    /// What it is made from, where the source does not say so itself.
    pub revision: Option<String>,
    /// Names that are left out when a folder is copied, besides `.git`: each is compared with the name of a file or
    /// folder, and with its path from the source's root.
    pub exclude: Vec<String>,
    /// Whether the one folder that a tarball holds is left away.
    pub strip: bool,
    /// What it shares with the other releases.
    pub shared: Shared,
    /// What is run to build it, in this order. At most 64.
    pub hooks: Vec<Hook>,
    /// What is run to see whether it starts at all.
    pub boot_check: Option<Hook>,
}

/// What all releases share: paths from a release's root onwards.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shared {
    /// Folders.
    pub folders: Vec<String>,
    /// Files.
    pub files: Vec<String>,
}

/// A command of a deploy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// What it is called.
    pub name: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// How long it may take.
    pub within: Span,
}

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

impl Options {
    /// As it should be if nothing else is said: 5 and 2 releases stay, 256 MiB and 10,000 files are left free, nobody is
    /// waited for.
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

impl Build {
    /// A release made from `source`, with nothing shared and nothing run.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            revision: None,
            exclude: Vec::new(),
            strip: false,
            shared: Shared::default(),
            hooks: Vec::new(),
            boot_check: None,
        }
    }
}

/// Makes a release and makes it the current one.
pub fn deploy(tree: &Tree, build: &Build, options: &Options, hands: &dyn Hands) -> Result<Outcome, Error> {
    drop((tree.kind(), build.clone(), options.clone(), hands.in_use(&[])));
    Err(crate::tree::unfinished())
}

/// Makes a sealed release that was left behind the current one: the newest, or the one that is named.
pub fn resume(
    tree: &Tree,
    release: Option<&ReleaseId>,
    options: &Options,
    hands: &dyn Hands,
) -> Result<Outcome, Error> {
    drop((tree.kind(), release.cloned(), options.clone(), hands.in_use(&[])));
    Err(crate::tree::unfinished())
}

/// Makes an older release the current one: the last that was healthy before, or the one that is named. `why` is written
/// down with the one that is left.
pub fn rollback(
    tree: &Tree,
    to: Option<&ReleaseId>,
    why: Option<&str>,
    options: &Options,
    hands: &dyn Hands,
) -> Result<Outcome, Error> {
    drop((tree.kind(), to.cloned(), why.map(str::to_owned), options.clone(), hands.in_use(&[])));
    Err(crate::tree::unfinished())
}
