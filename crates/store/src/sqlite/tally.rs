//! What is counted along.

use job::ledger::Slot;
use job::{JobId, Ledger, Mono, Now, Timestamp};

/// The numbers that are written with every commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    pub(super) ledger: Ledger,
    /// The last id that was given.
    pub(super) last_id: u64,
    /// How many ended jobs are kept.
    pub(super) kept: u64,
    /// The newest times of any call that wrote something.
    pub(super) newest: Now,
}

impl Tally {
    /// The id of the next job.
    pub(super) fn next_id(&self) -> JobId {
        JobId(self.last_id + 1)
    }

    /// A job was accepted as new.
    pub(super) fn pushed(&mut self, id: JobId) {
        self.last_id = id.0;
        self.ledger.pushed();
    }

    /// A job went from one place to another.
    pub(super) fn moved(&mut self, from: Slot, to: Slot) {
        self.ledger.moved(from, to);
        if matches!(to, Slot::Ended(_)) {
            self.kept += 1;
        }
    }

    /// Something happened then.
    pub(super) fn at(&mut self, now: Now) {
        let Now { wall: Timestamp(wall), mono: Mono(mono) } = now;
        self.newest = Now { wall: Timestamp(wall.max(self.newest.wall.0)), mono: Mono(mono.max(self.newest.mono.0)) };
    }

    /// How many jobs are kept in all.
    pub(super) fn all(&self) -> u64 {
        self.ledger.waiting + self.ledger.running + self.ledger.dead + self.kept
    }
}
