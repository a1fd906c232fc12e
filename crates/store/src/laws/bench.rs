//! What a law works on: a store, a clock, and a caller that does what a correct
//! caller does when the store is busy or an answer was lost.

use std::sync::Arc;

use job::rules::{IfLate, Late};
use job::time::ManualClock;
use job::{Again, Clock, Ending, JobError, JobId, Now, QueueName, Rules, Span};

use super::draft::Draft;
use crate::jobs::{Advanced, From, Leased};
use crate::reply::Reply;
use crate::{Error, Store};

mod calls;
mod looks;

/// Makes the store that a law works on.
pub trait Maker: Send {
    /// Opens it: an empty one the first time, and later the same again, which
    /// was closed before.
    fn open(&mut self, rules: Rules, clock: &ManualClock) -> Arc<dyn Store>;

    /// Whether the answers of calls that may be repeated can be lost.
    fn loses_answers(&self) -> bool {
        false
    }
}

/// The queue of jobs for which no other was asked.
pub const MAIL: &str = "mail";
/// The queue whose late work is held.
pub const HELD_LATE: &str = "held-late";
/// The queue whose late work is expired.
pub const EXPIRED_LATE: &str = "expired-late";
/// The kind that is the rules' own.
pub const OWN: &str = "own";
/// How long leases are given for, in seconds.
pub const LEASE: u32 = 60;
/// How long questions are open, in seconds.
pub const GIVE_UP: u32 = 30;

/// The rules under which the laws are looked at.
pub fn rules() -> Rules {
    let late = |then| Late { after: Span::from_secs(3_600), then };
    Rules {
        own_kinds: [OWN.parse().unwrap()].into(),
        late_in: [
            (HELD_LATE.parse().unwrap(), late(IfLate::Hold)),
            (EXPIRED_LATE.parse().unwrap(), late(IfLate::Expire)),
        ]
        .into(),
        max_rescues: 2,
        ..Rules::default()
    }
}

/// A store, a clock, and a patient caller.
///
/// A call that is answered busy or full is made again. One whose answer was
/// lost is made again where that is safe, and what the second answer says is
/// read as what the first would have said. Every other error is a failure.
pub struct Bench {
    maker: Box<dyn Maker>,
    store: Arc<dyn Store>,
    clock: ManualClock,
    drawn: u64,
}

impl Bench {
    /// A fresh store.
    pub fn new(mut maker: impl Maker + 'static) -> Self {
        let clock = ManualClock::at("2026-12-01T09:00:00Z".parse().unwrap());
        let store = maker.open(rules(), &clock);
        Self { maker: Box::new(maker), store, clock, drawn: 0 }
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The clock.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// What the clock says.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// A job that is due now, in the queue [`MAIL`].
    pub fn job(&self, kind: &str) -> Draft {
        Draft::new(kind, self.now())
    }

    /// Closes the store and opens it again.
    pub async fn reopen(&mut self) {
        self.reopen_under(rules()).await;
    }

    /// Closes the store and opens it again, under other rules.
    pub async fn reopen_under(&mut self, rules: Rules) {
        self.call(|store| store.close()).await;
        self.store = self.maker.open(rules, &self.clock);
    }

    /// Opens the store again, which was closed before.
    pub fn reopen_closed(&mut self) {
        self.store = self.maker.open(rules(), &self.clock);
    }

    /// Makes a call as often as it must be made.
    pub async fn call<T: Unpin>(&self, call: impl Fn(&dyn Store) -> Reply<T>) -> T {
        self.call_and_tell(call).await.0
    }

    /// The same, and tells whether an answer was lost on the way.
    async fn call_and_tell<T: Unpin>(&self, call: impl Fn(&dyn Store) -> Reply<T>) -> (T, bool) {
        let mut lost = false;
        for _ in 0..100 {
            match call(self.store()).await {
                Ok(answer) => return (answer, lost),
                Err(Error::Busy(_) | Error::Full(_)) => {}
                Err(Error::Lost(_)) if self.maker.loses_answers() => lost = true,
                Err(error @ (Error::Lost(_) | Error::Damaged(_) | Error::Closed)) => panic!("{error}"),
            }
        }
        panic!("the store did not do what it was asked a hundred times");
    }

    /// Lets so many seconds pass, and does all that follows.
    pub async fn pass(&mut self, secs: u32) -> Advanced {
        self.clock.advance(Span::from_secs(secs));
        self.advance().await
    }

    /// Sets the wall clock forward or back, and does all that follows.
    pub async fn step(&mut self, secs: i64) -> Advanced {
        self.clock.step(secs * 1_000_000);
        self.advance().await
    }

    /// Does all that follows from the time as it is.
    pub async fn advance(&mut self) -> Advanced {
        let mut all = Advanced::default();
        for _ in 0..10_000 {
            let part = self.advance_by(100).await;
            all.rescued.extend(part.rescued);
            all.resumed.extend(part.resumed);
            if !part.more {
                return Advanced { next_mono: part.next_mono, next_wall: part.next_wall, ..all };
            }
        }
        panic!("there is always more to do");
    }

    /// Does at most so much of what follows from the time as it is.
    pub async fn advance_by(&mut self, limit: usize) -> Advanced {
        let now = self.now();
        self.call(|store| store.advance(limit, now)).await
    }

    /// Removes all jobs that ended long enough ago, and answers how many.
    pub async fn retain(&mut self) -> usize {
        let now = self.now();
        let mut removed = 0;
        loop {
            match self.call(|store| store.retain(100, now)).await {
                0 => return removed,
                some => removed += some,
            }
        }
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }
}

/// From these queues.
pub fn from(queues: &[&str]) -> From {
    From::Queues(queues.iter().map(|name| queue(name)).collect())
}

/// A queue's name.
pub fn queue(name: &str) -> QueueName {
    name.parse().unwrap()
}

/// The end of a run that did its work.
pub fn done() -> Ending {
    Ending::Done { output: None }
}

/// The end of a run that failed.
pub fn fail(again: Again) -> Ending {
    Ending::Failed { error: JobError::new("Oops", "no"), again }
}

/// The ids of jobs that were handed out.
pub fn ids(leased: &[Leased]) -> Vec<JobId> {
    leased.iter().map(|leased| leased.job.id).collect()
}
