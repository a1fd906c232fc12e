//! What can go wrong between a caller and a store, on purpose.
//!
//! A [`Faulty`] store passes every call on to the store within, but for what
//! its [`Fault`] does first or afterwards. The laws run through these, and so
//! do the tests of whoever calls a store.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::Error;
use crate::records::Health;

mod faulty;

pub use faulty::Faulty;

/// Something that goes wrong.
pub trait Fault: Send + Sync + 'static {
    /// What is answered instead of making the call, if anything.
    fn instead(&self, verb: Verb) -> Option<Error>;

    /// What is answered after the call was made, instead of its answer.
    fn afterwards(&self, verb: Verb) -> Option<Error>;

    /// What is said of the health, if it is not the store's.
    fn health(&self) -> Option<Health> {
        None
    }
}

/// A call, as far as a fault is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// [`Jobs::push`](crate::Jobs::push).
    Push {
        /// Whether each of the jobs has a client id.
        named: bool,
    },
    /// [`Jobs::claim`](crate::Jobs::claim).
    Claim,
    /// [`Jobs::extend`](crate::Jobs::extend).
    Extend,
    /// [`Jobs::finish`](crate::Jobs::finish).
    Finish,
    /// [`Jobs::cancel`](crate::Jobs::cancel).
    Cancel {
        /// Whether by a key.
        by_key: bool,
    },
    /// [`Jobs::discard`](crate::Jobs::discard).
    Discard,
    /// [`Jobs::revive`](crate::Jobs::revive).
    Revive,
    /// [`Jobs::ask`](crate::Jobs::ask).
    Ask,
    /// [`Jobs::answer`](crate::Jobs::answer).
    Answer,
    /// [`Jobs::advance`](crate::Jobs::advance).
    Advance,
    /// [`Jobs::retain`](crate::Jobs::retain).
    Retain,
    /// A call that changes nothing.
    Look,
    /// [`Records::pause`](crate::Records::pause).
    Pause,
    /// [`Records::resume`](crate::Records::resume).
    Resume,
    /// [`Records::remember`](crate::Records::remember).
    Remember,
    /// [`Records::close`](crate::Records::close).
    Close,
}

impl Verb {
    /// Whether a caller that lost the answer may make the call again, and can
    /// tell then what came of the first. Others look around, or wait: for a
    /// lease to run out, or a question to be closed.
    pub fn may_be_repeated(self) -> bool {
        match self {
            Self::Push { named } => named,
            Self::Cancel { by_key } => !by_key,
            Self::Extend | Self::Finish | Self::Discard | Self::Revive => true,
            Self::Look | Self::Pause | Self::Remember => true,
            Self::Claim | Self::Ask | Self::Answer | Self::Advance | Self::Retain => false,
            Self::Resume | Self::Close => false,
        }
    }
}

/// Counts calls, and picks every so many of them.
#[derive(Debug)]
struct Every {
    nth: u64,
    count: AtomicU64,
}

impl Every {
    fn new(nth: u64) -> Self {
        Self { nth, count: AtomicU64::new(0) }
    }

    fn next(&self) -> bool {
        self.nth > 0 && (self.count.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.nth)
    }
}

/// Every so many calls are answered [`Error::Busy`], and not made.
#[derive(Debug)]
pub struct Busy(Every);

impl Busy {
    /// Every `nth` call is refused; with 0 none is.
    pub fn every(nth: u64) -> Self {
        Self(Every::new(nth))
    }
}

impl Fault for Busy {
    fn instead(&self, _verb: Verb) -> Option<Error> {
        self.0.next().then(|| Error::Busy("it was told to be".to_owned()))
    }

    fn afterwards(&self, _verb: Verb) -> Option<Error> {
        None
    }
}

/// Every so many calls are made, and answered [`Error::Lost`].
#[derive(Debug)]
pub struct LostAnswer {
    every: Every,
    of_all: bool,
}

impl LostAnswer {
    /// The answer of every `nth` call is lost.
    pub fn every(nth: u64) -> Self {
        Self { every: Every::new(nth), of_all: true }
    }

    /// The answer of every `nth` call that may be repeated is lost.
    pub fn every_repeatable(nth: u64) -> Self {
        Self { every: Every::new(nth), of_all: false }
    }
}

impl Fault for LostAnswer {
    fn instead(&self, _verb: Verb) -> Option<Error> {
        None
    }

    fn afterwards(&self, verb: Verb) -> Option<Error> {
        let lost = (self.of_all || verb.may_be_repeated()) && self.every.next();
        lost.then(|| Error::Lost("the answer was dropped on purpose".to_owned()))
    }
}

/// Pushes are refused as [`Error::Full`] while it is switched on, and every so
/// many of them also while it is not.
#[derive(Debug)]
pub struct FullDisk {
    full: AtomicBool,
    every: Every,
}

impl FullDisk {
    /// Switched off; every `nth` push is refused; with 0 none is.
    pub fn every(nth: u64) -> Self {
        Self { full: AtomicBool::new(false), every: Every::new(nth) }
    }

    /// Switches it on or off.
    pub fn set(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }
}

impl Fault for FullDisk {
    fn instead(&self, verb: Verb) -> Option<Error> {
        let full = matches!(verb, Verb::Push { .. }) && (self.full.load(Ordering::SeqCst) || self.every.next());
        full.then(|| Error::Full("it was told to be".to_owned()))
    }

    fn afterwards(&self, _verb: Verb) -> Option<Error> {
        None
    }

    fn health(&self) -> Option<Health> {
        self.full.load(Ordering::SeqCst).then_some(Health::Full { free: 0, floor: 1 })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use job::time::ManualClock;
    use job::{Clock, JobId, JobRef, Rules, Span, Timestamp};

    use super::*;
    use crate::jobs::{Cancel, Cancelled, Claim, Jobs};
    use crate::laws::bench::{MAIL, from};
    use crate::laws::draft::Draft;
    use crate::memory::Memory;
    use crate::records::Records;

    fn clock_and_store() -> (ManualClock, Arc<Memory>) {
        let clock = ManualClock::at(Timestamp(0));
        let store = Memory::new("notice".parse().unwrap(), Rules::default(), &clock);
        (clock, Arc::new(store))
    }

    fn claim() -> Claim {
        let (worker, lease_for) = ("w1".to_owned(), Span::from_secs(60));
        Claim { from: from(&[MAIL]), limit: 10, worker, lease_for, seed: job::LeaseSeed(1) }
    }

    #[tokio::test]
    async fn a_busy_store_does_not_make_the_call() {
        let (clock, store) = clock_and_store();
        let busy = Faulty::new(Busy::every(2), Arc::clone(&store));
        let push = || busy.push(vec![Draft::new("a", clock.now()).job], clock.now());
        assert!(push().await.is_ok());
        assert!(matches!(push().await, Err(Error::Busy(_))));
        assert!(push().await.is_ok());
        assert_eq!(store.ledger().await.unwrap().pushed, 2);
    }

    #[tokio::test]
    async fn a_lost_answer_is_that_of_a_call_that_was_made() {
        let (clock, store) = clock_and_store();
        let lossy = Faulty::new(LostAnswer::every(1), Arc::clone(&store));
        let push = lossy.push(vec![Draft::new("a", clock.now()).job], clock.now());
        assert!(matches!(push.await, Err(Error::Lost(_))));
        assert!(matches!(lossy.claim(claim(), clock.now()).await, Err(Error::Lost(_))));
        assert_eq!(store.ledger().await.unwrap().running, 1);
    }

    #[tokio::test]
    async fn only_answers_of_calls_that_may_be_repeated_are_lost_if_so_wished() {
        let (clock, store) = clock_and_store();
        let lossy = Faulty::new(LostAnswer::every_repeatable(1), store);
        let (now, job) = (clock.now(), Draft::new("a", clock.now()));
        assert!(lossy.push(vec![job.job.clone()], now).await.is_ok());
        assert!(matches!(lossy.push(vec![job.named("n1").job], now).await, Err(Error::Lost(_))));
        assert_eq!(lossy.claim(claim(), now).await.unwrap().jobs.len(), 2);
        assert!(matches!(lossy.ledger().await, Err(Error::Lost(_))));
    }

    #[tokio::test]
    async fn while_the_disk_is_full_everything_but_a_push_goes_on() {
        let (clock, store) = clock_and_store();
        let (now, job) = (clock.now(), Draft::new("a", clock.now()).job);
        let full = Faulty::new(FullDisk::every(0), store);
        full.push(vec![job.clone(), job.clone()], now).await.unwrap();
        full.fault.set(true);
        assert!(matches!(full.push(vec![job.clone()], now).await, Err(Error::Full(_))));
        assert_eq!(full.health(), Health::Full { free: 0, floor: 1 });
        let claimed = full.claim(Claim { limit: 1, ..claim() }, now).await.unwrap();
        assert_eq!(claimed.jobs.len(), 1);
        let cancelled = full.cancel(Cancel::Job(JobRef::Id(JobId(2))), "ute".to_owned(), now).await;
        assert_eq!(cancelled, Ok(Cancelled::Yes(JobId(2))));
        full.fault.set(false);
        assert_eq!(full.health(), Health::Serving);
        assert!(full.push(vec![job], now).await.is_ok());
    }
}
