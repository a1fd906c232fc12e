//! What can go wrong within the store, by what must happen then.

use job::JobId;

use super::stored::Unreadable;
use crate::error::Error;

/// Why a verb could not be done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is refused. Nothing changed.
    Refused(Error),
    /// The row of a job cannot be read.
    Unreadable(JobId, Unreadable),
    /// SQLite failed. What is in memory may have run ahead of the disk.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Trouble {
    /// SQLite says that it is busy only when a transaction is to begin, which is
    /// before anything has changed.
    fn from(error: rusqlite::Error) -> Self {
        match failure(&error) {
            Failure::Busy => Self::Refused(Error::Busy("another process is writing to the database".to_owned())),
            Failure::Full | Failure::Corrupt | Failure::Other => Self::Failed(error),
        }
    }
}

/// What sort of failure SQLite reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No room.
    Full,
    /// Somebody else holds the file for longer than we waited.
    Busy,
    /// The file is not what it should be.
    Corrupt,
    /// Anything else: the disk, mostly.
    Other,
}

/// Why a session cannot go on.
#[derive(Debug, Clone)]
pub(super) struct Stopped {
    /// What was found, as a clause.
    pub(super) why: String,
    pub(super) failure: Failure,
}

impl Stopped {
    /// What the call is told that met it, before anything was committed.
    pub(super) fn refusal(&self) -> Error {
        let why = self.why.clone();
        match self.failure {
            Failure::Full => Error::Full(why),
            Failure::Corrupt => Error::Damaged(why),
            Failure::Busy | Failure::Other => Error::Busy(why),
        }
    }
}

impl From<rusqlite::Error> for Stopped {
    fn from(error: rusqlite::Error) -> Self {
        Self { why: error.to_string(), failure: failure(&error) }
    }
}

pub(super) fn failure(error: &rusqlite::Error) -> Failure {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        Some(Code::DiskFull) => Failure::Full,
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => Failure::Busy,
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => Failure::Corrupt,
        _ => Failure::Other,
    }
}
