//! What a store keeps besides jobs.

use std::collections::BTreeMap;

use job::time::Remembered;
use job::{AppName, Now, Pause, QueueName, Timestamp};

use crate::reply::Reply;

/// What a store keeps besides jobs: who it is, what it remembers of the clocks,
/// and which queues are held.
pub trait Records: Send + Sync + 'static {
    /// Who this store is.
    fn identity(&self) -> Identity;

    /// How it is.
    fn health(&self) -> Health;

    /// Holds a queue. A pause that is there already is replaced. A queue that
    /// would be one too many ([`crate::jobs::MAX_QUEUES`]) is
    /// [`crate::Error::Full`].
    fn pause(&self, queue: QueueName, pause: Pause, now: Now) -> Reply<()>;

    /// Lets a queue go on, and answers the pause that was there. Pauses that
    /// end by themselves do so in [`crate::Jobs::advance`].
    fn resume(&self, queue: QueueName, now: Now) -> Reply<Option<Pause>>;

    /// The queues that are held.
    fn pauses(&self) -> Reply<BTreeMap<QueueName, Pause>>;

    /// Keeps what the clocks said, for the next start.
    fn remember(&self, clocks: Remembered) -> Reply<()>;

    /// Makes everything durable and ends; later calls answer
    /// [`crate::Error::Closed`].
    fn close(&self) -> Reply<()>;
}

/// Who a store is: what agents and watch remember, so that an empty, older or
/// different store is never served in silence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Drawn when the store was created; 32 digits of 0-9 and a-f.
    pub id: String,
    /// The app that it belongs to.
    pub app: AppName,
    /// When it was created.
    pub created: Timestamp,
    /// The form in which it keeps jobs; larger is newer.
    pub schema: u32,
    /// What the clocks said when it was last written to, as far as it was
    /// remembered when it was opened.
    pub remembered: Option<Remembered>,
}

/// How a store is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    /// It serves.
    Serving,
    /// It serves everything but pushes: too little room is left.
    Full {
        /// How many bytes are free.
        free: u64,
        /// How many must be.
        floor: u64,
    },
    /// A commit failed. Writes are refused until the file was opened again and
    /// what is in memory was built anew.
    Recovering {
        /// Since when.
        since: Timestamp,
        /// What failed.
        why: String,
    },
    /// It does not serve; a person must look.
    Damaged {
        /// What was found.
        why: String,
    },
}
