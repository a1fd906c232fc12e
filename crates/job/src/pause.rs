//! A queue that is held on purpose.

use crate::time::{Moment, Now, Timestamp};

/// Who holds a queue, why, and until when.
///
/// A pause keeps jobs from being claimed and nothing else: whatever waits goes
/// on growing older, and is heard of when it is overdue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pause {
    /// The person or program that asked for it.
    pub by: String,
    /// Their reason.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself; without one it lasts until somebody resumes.
    pub until: Option<Moment>,
}

impl Pause {
    /// The longest `by`, in bytes.
    pub const MAX_BY_BYTES: usize = 200;
    /// The longest `reason`, in bytes.
    pub const MAX_REASON_BYTES: usize = 1_000;

    /// Whether it has ended by itself.
    pub fn is_over(&self, now: Now) -> bool {
        self.until.is_some_and(|until| until.reached(now))
    }
}
