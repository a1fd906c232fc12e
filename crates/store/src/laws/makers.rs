//! Makers of the reference and of the embedded store, and faults around any.

use std::sync::Arc;

use job::time::ManualClock;
use job::{Clock, Rules};
use tempfile::TempDir;

use super::bench::Maker;
use crate::Store;
use crate::faults::{Busy, Fault, Faulty, FullDisk, LostAnswer};
use crate::memory::Memory;
use crate::sqlite::{Durability, Options, Sqlite};

/// The app of stores that the laws work on.
pub const APP: &str = "notice";

/// Makes stores in memory.
#[derive(Debug, Default)]
pub struct InMemory {
    last: Option<Arc<Memory>>,
}

impl Maker for InMemory {
    fn open(&mut self, rules: Rules, clock: &ManualClock) -> Arc<dyn Store> {
        let store = match &self.last {
            Some(last) => last.reopened(rules),
            None => Memory::new(APP.parse().unwrap(), rules, clock),
        };
        Arc::clone(self.last.insert(Arc::new(store))) as Arc<dyn Store>
    }
}

/// Makes embedded stores, in a folder that goes away with it.
#[derive(Debug)]
pub struct Embedded {
    folder: TempDir,
    durability: Durability,
}

impl Embedded {
    /// Stores that are durable before they answer, as they are by default.
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), durability: Durability::Full }
    }

    /// Stores that do not wait for the disk, for tests that make many calls.
    pub fn relaxed() -> Self {
        Self { durability: Durability::Relaxed, ..Self::new() }
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

impl Maker for Embedded {
    fn open(&mut self, rules: Rules, clock: &ManualClock) -> Arc<dyn Store> {
        let durability = self.durability;
        let options = Options::new(self.folder.path(), APP.parse().unwrap());
        let options = Options { rules, durability, create: true, reserve: 0, ..options };
        Arc::new(Sqlite::open(options, clock.now().wall).unwrap())
    }
}

/// Puts a fault around each store of another maker.
#[derive(Debug)]
pub struct Through<M, F> {
    maker: M,
    fault: fn() -> F,
    loses_answers: bool,
}

impl<M: Maker> Through<M, Busy> {
    /// Every call is refused as busy once, and made when it is repeated.
    pub fn busy(maker: M) -> Self {
        Self { maker, fault: || Busy::every(2), loses_answers: false }
    }
}

impl<M: Maker> Through<M, LostAnswer> {
    /// The answer of every call that may be repeated is lost once.
    pub fn lost_answers(maker: M) -> Self {
        Self { maker, fault: || LostAnswer::every_repeatable(2), loses_answers: true }
    }
}

impl<M: Maker> Through<M, FullDisk> {
    /// Every push is refused as full once, and accepted when it is repeated.
    pub fn full_disk(maker: M) -> Self {
        Self { maker, fault: || FullDisk::every(2), loses_answers: false }
    }
}

impl<M: Maker, F: Fault> Maker for Through<M, F> {
    fn open(&mut self, rules: Rules, clock: &ManualClock) -> Arc<dyn Store> {
        Arc::new(Faulty::new((self.fault)(), self.maker.open(rules, clock)))
    }

    fn loses_answers(&self) -> bool {
        self.loses_answers
    }
}
