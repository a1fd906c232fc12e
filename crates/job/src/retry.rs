//! What follows a failed run.
//!
//! Pure: no clock, no store, no randomness. The caller brings the jitter, so
//! every verdict can be replayed in a test.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// How often a job is tried, and how long the waits between are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// How many failures there may be before the job is dead; at least 1.
    pub max_attempts: u32,
    /// The wait after the first failure, before jitter. Each further failure
    /// doubles it.
    pub first: Span,
    /// The longest wait, before jitter.
    pub cap: Span,
}

impl Default for Policy {
    /// Twenty attempts over some three days.
    fn default() -> Self {
        Self { max_attempts: 20, first: Span::from_secs(10), cap: Span::from_secs(6 * 3_600) }
    }
}

impl Policy {
    /// The largest number of attempts that may be asked for.
    pub const MAX_ATTEMPTS: u32 = 1_000;
}

/// A fraction from 0 (included) to 1 (excluded) that the caller draws.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Jitter(u32);

impl Jitter {
    /// No jitter: the shortest wait.
    pub const ZERO: Self = Self(0);

    /// A jitter from 32 random bits.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    fn of(self, span: Span) -> Span {
        let share = (i128::from(span.as_micros()) * i128::from(self.0)) >> 32;
        Span::from_micros(i64::try_from(share).unwrap_or(i64::MAX))
    }
}

/// What follows a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Wait so long, then try again.
    RetryIn(Span),
    /// No attempts are left.
    Exhausted,
}

/// Decides what follows a failure.
///
/// `failures` counts from 1 and includes the run that just failed. The wait
/// lies between half of the doubled value and the whole of it ("equal
/// jitter"), so that jobs that failed together come back apart.
pub fn after_failure(failures: u32, policy: Policy, jitter: Jitter) -> Verdict {
    if failures >= policy.max_attempts {
        return Verdict::Exhausted;
    }
    let doublings = failures.saturating_sub(1).min(40);
    let whole = policy.first.as_micros().saturating_mul(1 << doublings).min(policy.cap.as_micros());
    let half = whole / 2;
    let drawn = jitter.of(Span::from_micros(whole - half));
    Verdict::RetryIn(Span::from_micros(half + drawn.as_micros()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOW: Jitter = Jitter::ZERO;
    const HIGH: Jitter = Jitter(u32::MAX);

    #[test]
    fn the_wait_doubles_up_to_its_cap_and_then_the_job_is_dead() {
        let policy = Policy { max_attempts: 5, first: Span::from_secs(10), cap: Span::from_secs(30) };
        let low: Vec<_> = (1..=5).map(|n| after_failure(n, policy, LOW)).collect();
        let secs = |n| Verdict::RetryIn(Span::from_secs(n));
        assert_eq!(low, [secs(5), secs(10), secs(15), secs(15), Verdict::Exhausted]);
        assert_eq!(after_failure(1, Policy { max_attempts: 1, ..policy }, LOW), Verdict::Exhausted);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_its_cap_or_shorter_than_half_the_first(
            failures in 1_u32..2_000, first in 0_i64..Span::MAX.as_micros(), cap in 0_i64..Span::MAX.as_micros(), bits: u32,
        ) {
            let (first, cap) = (Span::from_micros(first), Span::from_micros(cap));
            let policy = Policy { max_attempts: u32::MAX, first, cap };
            let Verdict::RetryIn(wait) = after_failure(failures, policy, Jitter(bits)) else { panic!() };
            prop_assert!(wait <= cap);
            prop_assert!(wait.as_micros() >= first.min(cap).as_micros() / 2);
            prop_assert!(wait <= after_failure(failures, policy, HIGH).wait());
        }
    }

    impl Verdict {
        fn wait(self) -> Span {
            match self {
                Self::RetryIn(wait) => wait,
                Self::Exhausted => Span::ZERO,
            }
        }
    }
}
