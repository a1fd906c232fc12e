//! When a worker that ended is started again.
//!
//! Pure: no clock, no process, no randomness. What counts is whether a worker
//! finished jobs, not how long it lived: one that dies every three seconds
//! without having done anything is in a loop, however healthy it looks between.
//! It is started again more and more slowly, but always, and never in silence.

use job::{Jitter, Mono, Now, Policy, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::exit::{Class, Ended};

/// The wait after the first fruitless end, before jitter; it doubles.
pub const FIRST: Span = Span::from_millis(200);
/// The longest wait.
pub const CAP: Span = Span::from_secs(60);
/// At which fruitless end in a row it is said aloud.
pub const ALARM_AT: u32 = 3;
/// A worker that was ready for so long did not fail to start, whatever it did.
pub const SETTLED: Span = Span::from_secs(600);
/// The first wait before the same is said again; it doubles.
const AGAIN_FIRST: Span = Span::from_secs(60);
/// The longest of these waits.
const AGAIN_CAP: Span = Span::from_secs(3_600);

/// The fruitless ends in a row in one place of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Streak {
    /// How many.
    pub failures: u32,
    /// When the first was.
    pub since: Option<Timestamp>,
}

/// When an alarm was last raised for a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alarmed {
    at: Mono,
    times: u32,
}

/// What follows the end of a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restart {
    /// After what time the next is started in its place.
    pub delay: Span,
    /// The streak, with this end.
    pub streak: Streak,
    /// Whether to say it aloud now, and when it was said then.
    pub alarm: Option<Alarmed>,
}

/// Decides what follows the end of a worker.
///
/// `ready_for` is how long it had been ready; `alarmed` is what the last
/// [`Restart::alarm`] of its pool was since somebody there finished a job.
pub fn after_end(
    streak: Streak,
    alarmed: Option<Alarmed>,
    ended: &Ended,
    ready_for: Span,
    now: Now,
    jitter: Jitter,
) -> Restart {
    if !is_fruitless(ended, ready_for) {
        return Restart { delay: Span::ZERO, streak: Streak::default(), alarm: None };
    }
    let streak = if ready_for >= SETTLED { Streak::default() } else { streak };
    let failures = streak.failures.saturating_add(1);
    // One that worked and was killed is no loop yet: its place is not left empty.
    let delay = if failures == 1 && ended.was_ready { Span::ZERO } else { backoff(failures, jitter) };
    let due = match alarmed {
        None => true,
        Some(last) => now.mono.since(last.at) >= doubled(AGAIN_FIRST, last.times, AGAIN_CAP),
    };
    let times = alarmed.map_or(0, |last| last.times).saturating_add(1);
    let alarm = (failures >= ALARM_AT && due).then_some(Alarmed { at: now.mono, times });
    Restart { delay, streak: Streak { failures, since: streak.since.or(Some(now.wall)) }, alarm }
}

/// Whether a worker ended without having been of use.
pub fn is_fruitless(ended: &Ended, ready_for: Span) -> bool {
    match ended.class {
        Class::Asked => false,
        Class::Finished => ended.jobs == 0 && ready_for < SETTLED,
        Class::Failed | Class::ReleaseGone | Class::NotStarted(_) => ended.jobs == 0,
    }
}

fn backoff(failures: u32, jitter: Jitter) -> Span {
    let policy = Policy { max_attempts: u32::MAX, first: FIRST, cap: CAP };
    match job::retry::after_failure(failures, policy, jitter) {
        job::retry::Verdict::RetryIn(wait) => wait,
        job::retry::Verdict::Exhausted => CAP,
    }
}

fn doubled(first: Span, times: u32, cap: Span) -> Span {
    first.times(1 << times.saturating_sub(1).min(16)).min(cap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    const WORST: u32 = u32::MAX;

    fn ended(class: Class, jobs: u64, was_ready: bool) -> Ended {
        let (at, lived) = (Timestamp(0), Span::from_millis(300));
        Ended { at, exit: Exit::Code(1), class, lived, jobs, was_ready }
    }

    fn at(secs: i64) -> Now {
        Now { wall: Timestamp(secs * 1_000_000), mono: Mono(secs * 1_000_000) }
    }

    #[test]
    fn whoever_is_of_use_is_started_again_at_once_and_whoever_is_not_ever_more_slowly() {
        let streak = |failures| Streak { failures, since: None };
        let check = |before: u32, class: Class, jobs, was_ready, ready_secs, expect: (u32, i64)| {
            let ready_for = Span::from_secs(ready_secs);
            let end = ended(class, jobs, was_ready);
            let found = after_end(streak(before), None, &end, ready_for, at(0), Jitter::from_bits(WORST));
            let millis = (found.delay.as_micros() + 500) / 1_000;
            assert_eq!((found.streak.failures, millis), expect, "{before} {end:?} {ready_secs}");
        };
        check(5, Class::Finished, 1, true, 1, (0, 0));
        check(5, Class::Failed, 1, true, 1, (0, 0));
        check(5, Class::Asked, 0, false, 0, (0, 0));
        check(5, Class::Finished, 0, true, 600, (0, 0));
        check(5, Class::Failed, 0, true, 600, (1, 0));
        check(0, Class::Failed, 0, true, 3, (1, 0));
        check(0, Class::Failed, 0, false, 0, (1, 200));
        check(0, Class::Finished, 0, false, 0, (1, 200));
        check(1, Class::Failed, 0, true, 3, (2, 400));
        check(2, Class::ReleaseGone, 0, false, 0, (3, 800));
        check(20, Class::NotStarted("no".into()), 0, false, 0, (21, 60_000));
        check(u32::MAX, Class::Failed, 0, false, 0, (u32::MAX, 60_000));
    }

    #[test]
    fn the_third_is_said_aloud_and_then_on_a_slow_schedule_without_end() {
        let (mut streak, mut alarmed, mut said) = (Streak::default(), None, Vec::new());
        let end = ended(Class::Failed, 0, false);
        for second in 0..20_000 {
            let found = after_end(streak, alarmed, &end, Span::ZERO, at(second), Jitter::ZERO);
            streak = found.streak;
            if let Some(alarm) = found.alarm {
                alarmed = Some(alarm);
                said.push(second);
            }
        }
        assert_eq!(said, [2, 62, 182, 422, 902, 1862, 3782, 7382, 10982, 14582, 18182]);
        assert_eq!(streak.since, Some(Timestamp(0)));
    }
}
