//! What workers write: kept, written to files, and told to whoever listens.

use job::Timestamp;
use serde::{Deserialize, Serialize};

use crate::worker::WorkerId;

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
    /// Whether there was more than is kept of one line.
    pub cut: bool,
}
