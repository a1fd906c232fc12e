//! When to let the store's time pass.
//!
//! The store says when to come back, on two clocks. Until then the loop naps: at
//! most a second at a time, because the wall clock may be set, and because a
//! machine that sleeps stops the clock that naps are measured with, but not the
//! one that delays run on.

use std::time::Duration;

use job::{Mono, Now, Timestamp};
use store::jobs::Advanced;
use tokio::time::Instant;

use crate::backoff::Backoff;

/// The longest nap while something is to come.
const NAP: Duration = Duration::from_secs(1);
/// The shortest time between two looks, unless there was too much for one: who
/// waits for something that is to come is not helped by more.
const GRAIN: Duration = Duration::from_millis(1);
/// How often time is let pass although nothing is known to come. Only a ring
/// that got lost would make a difference, and then this ends its effect.
const ROUND: Duration = Duration::from_secs(60);

/// When to let time pass next.
#[derive(Debug)]
pub(crate) struct Timers {
    mono: Option<Mono>,
    wall: Option<Timestamp>,
    /// Something may be due before what is known.
    rung: bool,
    under_way: bool,
    /// When to look at the clocks again.
    wake: Instant,
    round: Instant,
    backoff: Backoff,
    /// It was just looked at, or the store failed: not before then.
    hold: Option<Instant>,
}

impl Timers {
    /// Nothing is known yet, so that the first look is due.
    pub(crate) fn new(at: Instant) -> Self {
        Self {
            mono: None,
            wall: None,
            rung: true,
            under_way: false,
            wake: at,
            round: at + ROUND,
            backoff: Backoff::default(),
            hold: None,
        }
    }

    /// The bell rang for the timers.
    pub(crate) fn rung(&mut self) {
        self.rung = true;
    }

    /// When to look again; nothing while time is let pass.
    pub(crate) fn wake(&self) -> Option<Instant> {
        (!self.under_way).then(|| self.hold.unwrap_or(self.wake))
    }

    /// Whether time is to be let pass now. Who is told so does it, and brings
    /// the answer to [`Timers::advanced`] or [`Timers::failed`].
    pub(crate) fn due(&mut self, now: Now, at: Instant) -> bool {
        if self.under_way {
            return false;
        }
        if self.hold.is_some_and(|hold| at < hold) {
            return false;
        }
        self.hold = None;
        let left = self.left(now);
        if self.rung || left == Some(Duration::ZERO) || at >= self.round {
            self.rung = false;
            self.under_way = true;
            self.round = at + ROUND;
            return true;
        }
        self.wake = left.map_or(self.round, |left| (at + left.min(NAP)).min(self.round));
        false
    }

    /// Time passed in the store.
    pub(crate) fn advanced(&mut self, advanced: &Advanced, at: Instant) {
        self.under_way = false;
        self.hold = (!advanced.more).then(|| at + GRAIN);
        self.backoff.worked();
        self.mono = advanced.next_mono;
        self.wall = advanced.next_wall;
        self.rung |= advanced.more;
    }

    /// The store did not let time pass.
    pub(crate) fn failed(&mut self, at: Instant) {
        self.under_way = false;
        self.rung = true;
        self.hold = Some(at + self.backoff.failed());
    }

    /// How long until the next is due, by the clock that counts for it.
    fn left(&self, now: Now) -> Option<Duration> {
        let mono = self.mono.map(|mono| mono.since(now.mono));
        let wall = self.wall.map(|wall| wall.since(now.wall));
        mono.into_iter().chain(wall).min().map(job::Span::as_duration)
    }
}

#[cfg(test)]
mod tests {
    use job::time::ManualClock;
    use job::{Clock, Span};

    use super::*;

    fn advanced(next_mono: Option<Mono>, next_wall: Option<Timestamp>) -> Advanced {
        Advanced { next_mono, next_wall, ..Advanced::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn naps_are_short_and_end_when_the_clock_that_counts_says_so() {
        let clock = ManualClock::at(Timestamp(1_000_000_000));
        let at = Instant::now();
        let mut timers = Timers::new(at);
        assert!(timers.due(clock.now(), at), "the first look");
        assert!(!timers.due(clock.now(), at), "one at a time");
        let (mono, wall) = (clock.now().mono + Span::from_millis(1_500), clock.now().wall + Span::from_secs(3_600));
        timers.advanced(&advanced(Some(mono), Some(wall)), at);
        let at = at + GRAIN;
        clock.advance(Span::from_millis(1));
        assert!(!timers.due(clock.now(), at));
        assert_eq!(timers.wake(), Some(at + NAP));
        clock.advance(Span::from_secs(1));
        assert!(!timers.due(clock.now(), at + NAP));
        assert_eq!(timers.wake(), Some(at + Duration::from_millis(1_499)));
        clock.step(3_600_000_000);
        assert!(timers.due(clock.now(), at + NAP), "the wall clock was set");
        timers.advanced(&advanced(Some(mono), None), at + NAP);
        assert!(!timers.due(clock.now(), at + NAP));
        clock.advance(Span::from_millis(499));
        assert!(timers.due(clock.now(), at + Duration::from_millis(1_499)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_busy_is_asked_again_ever_more_slowly() {
        let clock = ManualClock::at(Timestamp(0));
        let mut at = Instant::now();
        let mut timers = Timers::new(at);
        for wait in [1, 2, 4, 8] {
            assert!(timers.due(clock.now(), at));
            timers.failed(at);
            assert!(!timers.due(clock.now(), at));
            at += Duration::from_millis(wait);
            assert_eq!(timers.wake(), Some(at));
        }
        assert!(timers.due(clock.now(), at));
        timers.advanced(&Advanced { more: true, ..Advanced::default() }, at);
        assert!(timers.due(clock.now(), at), "more is due at once");
        timers.rung();
        timers.advanced(&Advanced::default(), at);
        assert!(!timers.due(clock.now(), at), "but rings do not make it look all the time");
        at = timers.wake().unwrap();
        assert!(timers.due(clock.now(), at), "a ring while it was under way counts");
        timers.advanced(&Advanced::default(), at);
        assert!(!timers.due(clock.now(), at + GRAIN));
        assert_eq!(timers.wake(), Some(at + ROUND));
        assert!(timers.due(clock.now(), at + ROUND), "and now and then without any");
    }
}
