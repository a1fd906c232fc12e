//! A tree of releases, as it is on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use job::{Clock, Timestamp};

use crate::crash::Crash;
use crate::current::Current;
use crate::error::{Error, Message};
use crate::foreign::Kind;
use crate::id::{FileId, ReleaseId};
use crate::journal::Record;
use crate::lock::Holder;
use crate::meta::State;

/// Where the parts of a tree lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The directory that holds `releases/` and `shared/`. Absolute.
    pub root: PathBuf,
    /// The link to the current release: a path, taken from `root` onwards. `current`, if nothing else is said.
    pub current: PathBuf,
}

/// A tree of releases.
pub struct Tree;

/// A release that was found in the tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its name.
    pub id: ReleaseId,
    /// Its directory as the system knows it.
    pub file_id: FileId,
    /// Its directory's own path.
    pub path: PathBuf,
    /// What is known of how it fared.
    pub state: State,
    /// Whether `current` points at it.
    pub current: bool,
    /// When it was made, as far as is known.
    pub created: Option<Timestamp>,
    /// Who made it.
    pub by: Option<String>,
    /// What it was made from: the hash of a commit.
    pub revision: Option<String>,
    /// Where it came from: a repository, a folder, a file.
    pub source: Option<String>,
}

impl Layout {
    /// A tree below `root` with `current` in it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), current: PathBuf::from("current") }
    }
}

impl Tree {
    /// Opens the tree, which must be there. Nothing is written.
    pub fn open(layout: Layout, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        drop((layout, clock));
        Err(unfinished())
    }

    /// Opens the tree; what is missing of `root`, `releases/` and `shared/` is made.
    pub fn create(layout: Layout, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        drop((layout, clock));
        Err(unfinished())
    }

    /// The same tree, with somebody who hears of each moment at which everything may end.
    pub fn with_crash(self, crash: Arc<dyn Crash>) -> Self {
        drop(crash);
        self
    }

    /// The directory that holds `releases/`.
    pub fn root(&self) -> &Path {
        Path::new("/")
    }

    /// The link's own path.
    pub fn current_path(&self) -> PathBuf {
        PathBuf::new()
    }

    /// The directory of a release, whether it is there or not.
    pub fn path_of(&self, id: &ReleaseId) -> PathBuf {
        PathBuf::from(id.as_str())
    }

    /// Whose tree it is.
    pub fn kind(&self) -> Kind {
        Kind::Unknown
    }

    /// What `current` is now.
    pub fn current(&self) -> Result<Current, Error> {
        Err(unfinished())
    }

    /// All releases that are there, newest first.
    pub fn releases(&self) -> Result<Vec<Found>, Error> {
        Err(unfinished())
    }

    /// One release, if it is there.
    pub fn release(&self, id: &ReleaseId) -> Result<Option<Found>, Error> {
        drop(id.clone());
        Err(unfinished())
    }

    /// The last `most` records of the journal, newest last.
    pub fn records(&self, most: usize) -> Result<Vec<Record>, Error> {
        drop(most.to_string());
        Err(unfinished())
    }

    /// Who is at work in the tree now, if anybody is.
    pub fn locked_by(&self) -> Result<Option<Holder>, Error> {
        Err(unfinished())
    }
}

pub(crate) fn unfinished() -> Error {
    Error::Refused(Message::new("this is not built yet", "Nothing was changed.", "wait for it"))
}
