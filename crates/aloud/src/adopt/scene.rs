//! What was seen of a tree and of those who run from it.

use std::path::PathBuf;

use job::{Timestamp, Verdict};
use serde::Serialize;

use super::origin::Origin;

/// A tree, and who runs from it.
#[derive(Debug, Serialize)]
pub(crate) struct Scene {
    /// The worst of all that is said.
    pub(crate) verdict: Verdict,
    /// When it was looked at.
    pub(crate) at: Timestamp,
    /// The folder with `releases/`.
    pub(crate) root: PathBuf,
    /// Whose tree it is.
    pub(crate) kind: String,
    /// What `current` is, as a sentence.
    pub(crate) current_is: String,
    /// The current release.
    pub(crate) current: Option<String>,
    /// When `current` was last switched.
    pub(crate) switched: Option<Timestamp>,
    /// The releases, newest first.
    pub(crate) releases: Vec<Release>,
    /// What is to be said of the tree, worst first.
    pub(crate) remarks: Vec<Remark>,
    /// Who runs from it; masters before their children, worst first.
    pub(crate) processes: Vec<Member>,
    /// What is to be said of those who could not be looked at.
    pub(crate) unseen: Vec<Remark>,
    /// What the framework says of its queue, if it is one that is known.
    pub(crate) framework: Option<Framework>,
}

/// One release.
#[derive(Debug, Serialize)]
pub(crate) struct Release {
    /// Its name.
    pub(crate) id: String,
    /// Whether `current` leads to it.
    pub(crate) current: bool,
    /// How it fared.
    pub(crate) state: &'static str,
    /// Marks that other tools left: `BAD_RELEASE`, `DIRTY_RELEASE`.
    pub(crate) marks: Vec<String>,
    /// When it was made.
    pub(crate) made: Option<Timestamp>,
    /// By whom.
    pub(crate) by: Option<String>,
    /// From what.
    pub(crate) revision: Option<String>,
    /// By how many processes it is held.
    pub(crate) processes: usize,
}

/// A process that runs from the tree.
#[derive(Debug, Serialize)]
pub(crate) struct Member {
    /// Its number.
    pub(crate) pid: i32,
    /// The one in this list that it descends from.
    pub(crate) child_of: Option<i32>,
    /// As whom it runs.
    pub(crate) user: Option<String>,
    /// What it calls itself.
    pub(crate) name: String,
    /// How it was called.
    pub(crate) argv: Vec<String>,
    /// Since when it runs.
    pub(crate) since: Option<Timestamp>,
    /// Who starts it.
    pub(crate) origin: Origin,
    /// Whether it is a shell that a person types in.
    pub(crate) person: bool,
    /// What it runs.
    pub(crate) runs: Runs,
    /// By which ways it uses the tree.
    pub(crate) uses: Vec<Way>,
    /// What is wrong with it, worst first.
    pub(crate) remarks: Vec<Remark>,
}

/// Which release a process runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "runs", rename_all = "snake_case")]
pub(crate) enum Runs {
    /// One that is not there any more.
    Gone {
        /// Its name, if that can be told.
        release: Option<String>,
        /// When it was removed, if that can be told.
        removed: Option<Timestamp>,
    },
    /// One that is there, and is not the current one.
    Old {
        /// Its name.
        release: String,
    },
    /// It names `current` and was started before that was switched: some
    /// earlier one.
    Earlier,
    /// The current one.
    Current,
}

/// One way in which a process uses a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Way {
    /// Which: `cwd`, `argument` and so on.
    pub(crate) how: host::How,
    /// What exactly.
    pub(crate) path: PathBuf,
    /// Whether that is gone.
    pub(crate) deleted: bool,
    /// Which release it lies in, if that is there.
    pub(crate) release: Option<String>,
}

/// What a framework says of its queue.
#[derive(Debug, Serialize)]
pub(crate) struct Framework {
    /// Its name.
    pub(crate) name: &'static str,
    /// What was read, from a list of names that hold no secrets.
    pub(crate) settings: Vec<(String, String)>,
    /// How many processes of which command there are.
    pub(crate) workers: Vec<(String, usize)>,
}

/// Something to be said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Remark {
    /// How bad it is.
    pub(crate) verdict: Verdict,
    /// A sentence without a full stop.
    pub(crate) what: String,
    /// What to do, as a clause; empty if nothing is to be done.
    pub(crate) remedy: String,
}

impl Remark {
    pub(crate) fn new(verdict: Verdict, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict, what: what.into(), remedy: remedy.into() }
    }
}

impl Member {
    /// Its command, shortened for people.
    pub(crate) fn command(&self) -> String {
        const MOST: usize = 80;
        let line = if self.argv.is_empty() { format!("[{}]", self.name) } else { self.argv.join(" ") };
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if line.chars().count() <= MOST { line } else { line.chars().take(MOST - 1).chain(['…']).collect() }
    }

    /// How bad its worst remark is.
    pub(crate) fn verdict(&self) -> Verdict {
        self.remarks.iter().map(|remark| remark.verdict).max().unwrap_or_default()
    }
}

impl Runs {
    /// How much it is out of date: the order in which they are shown.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Gone { .. } => 0,
            Self::Old { .. } => 1,
            Self::Earlier => 2,
            Self::Current => 3,
        }
    }

    /// The release, if it has a name.
    pub(crate) fn release(&self) -> Option<String> {
        match self {
            Self::Gone { release, .. } => release.clone(),
            Self::Old { release } => Some(release.clone()),
            Self::Earlier | Self::Current => None,
        }
    }

    /// Whether it is the same release.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.rank() == other.rank() && self.release() == other.release()
    }
}
