//! What the callers and the writer share.

use std::sync::{Arc, Mutex, PoisonError};

use job::Rules;

use super::Durability;
use super::line::Line;
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
    pub(super) space: Space,
    pub(super) reader: Reader,
    /// How it is, where that is not for the disk to say.
    pub(super) health: Mutex<Option<Health>>,
    /// So many of the next commits fail.
    #[cfg(test)]
    pub(super) fail_commits: Arc<std::sync::atomic::AtomicU32>,
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
