//! How long to wait before trying again what did not work.

use std::time::Duration;

use job::retry::{Verdict, after_failure};
use job::{Jitter, Policy, Span};

use crate::id;

/// Waits that double up to a cap, each drawn between its half and its whole,
/// so that clients that failed together do not come back together.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    policy: Policy,
    failures: u32,
}

impl Backoff {
    /// Waits from `first` up to `cap`.
    pub(crate) fn new(first: Span, cap: Span) -> Self {
        Self { policy: Policy { max_attempts: u32::MAX, first, cap }, failures: 0 }
    }

    /// It worked: the next wait is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed once more: how long to wait.
    pub(crate) fn next(&mut self) -> Duration {
        // One short of the largest number, at which the policy would give up.
        self.failures = self.failures.saturating_add(1).min(u32::MAX - 1);
        match after_failure(self.failures, self.policy, Jitter::from_bits(id::draw_u32())) {
            Verdict::RetryIn(wait) => wait.as_duration(),
            Verdict::Exhausted => self.policy.cap.as_duration(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_grow_to_their_cap_and_start_over() {
        let mut backoff = Backoff::new(Span::from_millis(100), Span::from_secs(1));
        let waits: Vec<_> = (0..6).map(|_| backoff.next().as_millis()).collect();
        assert!((50..=100).contains(&waits[0]), "{waits:?}");
        assert!((100..=200).contains(&waits[1]), "{waits:?}");
        assert!((500..=1_000).contains(&waits[5]), "{waits:?}");
        backoff.reset();
        assert!(backoff.next().as_millis() <= 100);
    }
}
