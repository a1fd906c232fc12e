//! What happens, as it happens.

use job::{PoolName, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::exit::Ended;
use crate::roll::Held;
use crate::sign::Sign;
use crate::worker::{Generation, WorkerId};

/// Something that happened. Whoever listens too slowly misses the oldest; the
/// snapshot always has the whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A worker was started.
    Started {
        /// Which.
        worker: WorkerId,
        /// The number of its process.
        pid: u32,
        /// From which release.
        release: String,
    },
    /// A worker is ready.
    Ready {
        /// Which.
        worker: WorkerId,
        /// By what.
        how: Sign,
        /// Whether something was proven by it.
        verified: bool,
    },
    /// A worker has not become ready in its time. It is left to go on.
    NotReady {
        /// Which.
        worker: WorkerId,
        /// How long it has had.
        waited: Span,
        /// What it wrote last.
        last: LastLines,
    },
    /// A worker is asked to finish what it has and to end.
    Draining {
        /// Which.
        worker: WorkerId,
    },
    /// A worker did not end in its time, and was killed.
    Killed {
        /// Which.
        worker: WorkerId,
        /// How long it had.
        within: Span,
    },
    /// A worker has ended.
    Ended {
        /// Which.
        worker: WorkerId,
        /// How.
        ended: Ended,
        /// What it wrote last.
        last: LastLines,
        /// After what time it is started again, if it is.
        again: Option<Span>,
    },
    /// Workers end again and again without finishing a job. Said at the third
    /// end, and then ever more rarely for as long as it goes on.
    Alarm {
        /// In which pool.
        pool: PoolName,
        /// The worker that ended last.
        worker: WorkerId,
        /// How many ends there were in a row.
        failures: u32,
        /// Since when.
        since: Timestamp,
        /// How the last ended.
        ended: Ended,
        /// What it wrote last.
        last: LastLines,
    },
    /// A generation begins to take the place of another.
    Rolling {
        /// In which pool.
        pool: PoolName,
        /// The new one.
        generation: Generation,
        /// From which release.
        release: String,
        /// Why.
        reason: String,
    },
    /// A generation serves, and no worker of another is left.
    Rolled {
        /// In which pool.
        pool: PoolName,
        /// The one that serves.
        generation: Generation,
        /// From which release.
        release: String,
    },
    /// A new generation did not become ready. What served before still serves,
    /// if anything did.
    Held {
        /// In which pool.
        pool: PoolName,
        /// Why.
        held: Held,
    },
    /// The release of workers that run was removed or renamed under them.
    ReleaseGone {
        /// In which pool.
        pool: PoolName,
        /// Which release.
        release: String,
    },
    /// There is no release to start workers from.
    NoRelease {
        /// Why, as a clause.
        why: String,
    },
    /// There is a release again.
    ReleaseBack {
        /// Which.
        release: String,
    },
    /// The guardian had ended, and was started again.
    GuardianRestarted,
    /// The guardian cannot be started: if this process is killed, its workers
    /// will outlive it.
    NoGuardian {
        /// Why.
        why: String,
    },
    /// Workers of an earlier life were found, and ended.
    LeftoversEnded {
        /// How many there were.
        workers: usize,
    },
    /// Something that was asked for cannot be had here; said once.
    Degraded {
        /// What, in three parts.
        what: String,
    },
    /// Lines of output were dropped, because they could not be written in time.
    OutputDropped {
        /// In which pool.
        pool: PoolName,
        /// How many since the last time it was said.
        lines: u64,
    },
}

/// The last lines of both streams, as text; at most [`LastLines::MAX`] of each.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LastLines {
    /// What was written to the standard output.
    pub stdout: Vec<String>,
    /// What was written to the standard error.
    pub stderr: Vec<String>,
}

impl LastLines {
    /// How many lines of each stream are told.
    pub const MAX: usize = 20;
}
