//! The reference as a maker of stores, and faults around any maker.

use std::sync::Arc;

use job::Rules;
use job::time::ManualClock;

use super::bench::Maker;
use crate::Store;
use crate::faults::{Busy, Fault, Faulty, FullDisk, LostAnswer};
use crate::memory::Memory;

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
