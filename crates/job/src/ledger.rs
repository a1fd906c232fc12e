//! The count of everything that was ever pushed.
//!
//! `pushed = waiting + running + dead + outcomes`, at every moment. A store
//! counts in the same transaction as the step itself, so the sum holds through
//! crashes, and it survives the removal of old ended jobs.

use crate::lifecycle::{Outcome, State};

/// How many jobs were pushed, and where each of them is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    /// Jobs that were accepted as new.
    pub pushed: u64,
    /// Those that wait: scheduled, ready, being checked, or for a retry.
    pub waiting: u64,
    /// Those that run.
    pub running: u64,
    /// Those that are dead.
    pub dead: u64,
    /// Those that ended, by [`Outcome::index`].
    pub ended: [u64; Outcome::ALL.len()],
}

/// Where a job is, as far as the ledger is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// Waiting.
    Waiting,
    /// Running.
    Running,
    /// Dead.
    Dead,
    /// Ended.
    Ended(Outcome),
}

impl From<&State> for Slot {
    fn from(state: &State) -> Self {
        match state {
            State::Waiting { .. } => Self::Waiting,
            State::Running(_) => Self::Running,
            State::Dead { .. } => Self::Dead,
            State::Ended { outcome, .. } => Self::Ended(*outcome),
        }
    }
}

impl Ledger {
    /// A job was accepted as new, and waits.
    pub fn pushed(&mut self) {
        self.pushed += 1;
        self.waiting += 1;
    }

    /// A job went from one place to another.
    pub fn moved(&mut self, from: Slot, to: Slot) {
        let left = self.count_mut(from);
        debug_assert!(*left > 0, "a job left {from:?}, where the ledger knows none");
        *left = left.saturating_sub(1);
        *self.count_mut(to) += 1;
    }

    /// How many jobs ended with `outcome`.
    pub fn ended_as(&self, outcome: Outcome) -> u64 {
        self.ended[outcome.index()]
    }

    /// Whether every job that was pushed is somewhere.
    pub fn adds_up(&self) -> bool {
        self.pushed == self.waiting + self.running + self.dead + self.ended.iter().sum::<u64>()
    }

    fn count_mut(&mut self, slot: Slot) -> &mut u64 {
        match slot {
            Slot::Waiting => &mut self.waiting,
            Slot::Running => &mut self.running,
            Slot::Dead => &mut self.dead,
            Slot::Ended(outcome) => &mut self.ended[outcome.index()],
        }
    }
}
