//! What a generation is started from.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A folder by what the system knows it by, whatever its name is now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Dir {
    /// The device.
    pub dev: u64,
    /// The inode.
    pub ino: u64,
}

impl Dir {
    /// What is at `path` now, through symbolic links.
    pub fn at(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path)?;
        Ok(Self { dev: found.dev(), ino: found.ino() })
    }
}

/// A release, as workers are started from it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Code {
    /// How people call the release.
    pub id: String,
    /// Its folder, resolved.
    pub dir: PathBuf,
    /// The same folder by device and inode: a worker is only started in this.
    pub is: Dir,
    /// The path that leads to it for as long as it is the current one, such as
    /// `/srv/notice/current`. Workers see it as `PWD`.
    pub logical: PathBuf,
    /// What its workers find in their environment besides what the pool says:
    /// where the server is and the like. Files with secrets are named here,
    /// not the secrets. A change of it makes a new generation.
    pub env: Vec<(String, String)>,
}

/// There is no release that workers could be started from.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub struct NoCode {
    /// What is the matter, as a clause: "`/srv/notice/current` leads to nothing".
    pub why: String,
}

/// Says which release workers are to be started from.
pub trait Source: Send + Sync + 'static {
    /// Resolves the current release now. Asked at every start of a worker and
    /// every second; it may read a few files, and must not wait for anything.
    fn resolve(&self) -> Result<Code, NoCode>;
}
