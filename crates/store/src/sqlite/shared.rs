//! What the callers and the writer share.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};

use job::Rules;

use super::Durability;
use super::herald::Herald;
use super::line::Line;
use super::open::Place;
use super::search::Reader;
use super::space::{Short, Space};
use crate::bell::Bell;
use crate::error::Error;
use crate::records::Health;

pub(super) struct Shared {
    pub(super) line: Line,
    pub(super) bell: Arc<Bell>,
    pub(super) rules: Arc<Rules>,
    pub(super) durability: Durability,
    pub(super) place: Place,
    pub(super) space: Space,
    pub(super) herald: Herald,
    pub(super) reader: Reader,
    /// What the wall clock said in the last call, since a store has none.
    pub(super) latest: AtomicI64,
    /// How it is, where that is not for the disk to say.
    pub(super) health: Mutex<Option<Health>>,
    /// So many of the next commits fail.
    #[cfg(test)]
    pub(super) fail_commits: Arc<std::sync::atomic::AtomicU32>,
    /// So many of the next waits for the disk fail.
    #[cfg(test)]
    pub(super) fail_syncs: Arc<std::sync::atomic::AtomicU32>,
}

/// Takes one from the failures that are left, if there is one.
#[cfg(test)]
pub(super) fn fails(left: &std::sync::atomic::AtomicU32) -> bool {
    use std::sync::atomic::Ordering::SeqCst;
    left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Shared {
    pub(super) fn health(&self) -> Health {
        if let Some(health) = &*self.health.lock().unwrap_or_else(PoisonError::into_inner) {
            return health.clone();
        }
        match self.space.short() {
            Some(Short { free, floor }) => Health::Full { free, floor },
            None => Health::Serving,
        }
    }

    pub(super) fn set_health(&self, health: Option<Health>) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

impl From<Short> for Error {
    fn from(Short { free, floor }: Short) -> Self {
        Self::Full(format!("{} MiB are free where it keeps its data, and {} must be", free >> 20, floor >> 20))
    }
}
