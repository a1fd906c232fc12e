//! What workers write: kept, written to files, and told to whoever listens.
//!
//! Nothing here ever holds a worker up: what cannot be written in time is
//! dropped and counted.

pub(crate) mod file;
pub(crate) mod journal;
pub(crate) mod tail;
pub(crate) mod writer;

use job::Timestamp;
use serde::{Deserialize, Serialize};

use crate::worker::WorkerId;

/// How much of one line is kept, in bytes.
pub const LONGEST_LINE: usize = 8 * 1_024;
/// How much of each stream of a worker is kept in memory, in bytes.
pub const KEPT: usize = 64 * 1_024;

/// Which stream it was written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

/// A line that a worker wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// When it was read.
    pub at: Timestamp,
    /// Who wrote it.
    pub worker: WorkerId,
    /// To which stream.
    pub stream: Stream,
    /// What, without the line's end. Any bytes but that.
    pub text: Vec<u8>,
    /// Whether it was longer than [`LONGEST_LINE`], and the rest left out.
    pub cut: bool,
}

impl Stream {
    /// As it stands in a file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stdout => "out",
            Self::Stderr => "err",
        }
    }
}
