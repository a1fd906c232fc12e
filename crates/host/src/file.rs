//! A file or folder by what it is, not by what it is called.
//!
//! A name can be moved to another folder, and a folder to another name, while a
//! process sits in it. Device and inode stay.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Stat, fstat, statat};
use serde::{Deserialize, Serialize};

use crate::seen::{Look, Seen};

/// Which file or folder: the same as long as it exists or somebody holds it.
///
/// Afterwards its number may be given to another. Whoever remembers one of a
/// folder that is gone forgets it once nobody uses it any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct FileId {
    /// The device, as `stat` tells it.
    pub dev: u64,
    /// The inode on it.
    pub ino: u64,
}

/// Where a process is, or what it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which file or folder.
    pub id: FileId,
    /// What the kernel calls it at the moment: without symbolic links, after
    /// renames, and without the ` (deleted)` that it appends.
    pub path: PathBuf,
    /// Whether that name is gone: nobody can enter it by this path any more.
    pub deleted: bool,
}

impl FileId {
    /// What `path` leads to, through symbolic links.
    pub fn of(path: &Path) -> Seen<Self> {
        Look::from(statat(CWD, path, AtFlags::empty()).map(|stat| Self::from(&stat)).map_err(Into::into)).into()
    }

    /// What is open there.
    pub fn of_open(file: impl AsFd) -> Seen<Self> {
        Look::from(fstat(file).map(|stat| Self::from(&stat)).map_err(Into::into)).into()
    }
}

/// A device of these two numbers, as `stat` tells it.
pub(crate) fn device(major: u32, minor: u32) -> u64 {
    rustix::fs::makedev(major, minor) as u64
}

impl From<&Stat> for FileId {
    #[expect(clippy::unnecessary_cast, reason = "other systems count in other widths")]
    fn from(stat: &Stat) -> Self {
        Self { dev: stat.st_dev as u64, ino: stat.st_ino as u64 }
    }
}
