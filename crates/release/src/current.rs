//! What `current` is, and how it is made to be something else.

use std::path::PathBuf;

use crate::id::{FileId, ReleaseId};

/// What `current` was, at the moment when it was looked at. It is never remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Current {
    /// There is none.
    Missing,
    /// A real directory (or file) stands there instead of a link. It is never replaced.
    Directory,
    /// A link to nothing; with its text.
    Dangling(String),
    /// A link that leads back to itself.
    Loop,
    /// A link to something that is no release of this tree.
    Elsewhere(PathBuf),
    /// A link to a release.
    Release {
        /// Which.
        id: ReleaseId,
        /// Its directory as the system knows it.
        file_id: FileId,
        /// The link's own text.
        text: String,
    },
}

impl Current {
    /// The release, if it is one.
    pub fn release(&self) -> Option<&ReleaseId> {
        match self {
            Self::Release { id, .. } => Some(id),
            Self::Missing | Self::Directory | Self::Dangling(_) | Self::Loop | Self::Elsewhere(_) => None,
        }
    }
}
