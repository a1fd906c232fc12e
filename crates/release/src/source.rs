//! Where a release comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Where a release comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A folder, copied.
    Folder(PathBuf),
    /// A `.tar`, `.tar.gz` or `.tgz` file.
    Tarball(PathBuf),
    /// A commit of a git repository, taken by the machine's own `git`.
    Git {
        /// Where the repository is: a path or an address.
        repository: String,
        /// A branch, a tag or a commit.
        reference: String,
    },
}

impl Source {
    /// Reads a source as people write it: a folder, a tarball, `REPOSITORY#REF`, or a repository with a `reference`
    /// beside it. Relative paths are taken from `from` onwards.
    pub fn parse(text: &str, reference: Option<&str>, from: &Path) -> Result<Self, Error> {
        drop((text.to_owned(), reference.map(str::to_owned), from.to_owned()));
        Err(crate::tree::unfinished())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::Tarball(path) => write!(f, "{}", path.display()),
            Self::Git { repository, reference } => write!(f, "{repository}#{reference}"),
        }
    }
}
