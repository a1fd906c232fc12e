//! Chance: where leases and jitter come from.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use job::{Ending, Jitter, LeaseSeed};

/// Draws seeds for leases, and jitter for waits.
///
/// A seed is a base that was drawn once for this process, and a count: no two
/// claims of one process have the same, and two processes meet by accident
/// only, as two draws of 64 bits do.
#[derive(Debug)]
pub(crate) struct Draw {
    base: u64,
    count: AtomicU64,
    jitter: RandomState,
}

impl Draw {
    pub(crate) fn new() -> Self {
        let base = getrandom::u64().expect("a running system gives random bytes");
        Self { base, count: AtomicU64::new(0), jitter: RandomState::new() }
    }

    /// A seed that no other claim has.
    pub(crate) fn seed(&self) -> LeaseSeed {
        LeaseSeed(self.base.wrapping_add(self.next()))
    }

    /// The jitter for what follows `ending`; only a failure needs any.
    pub(crate) fn jitter(&self, ending: &Ending) -> Jitter {
        match ending {
            Ending::Failed { .. } => {
                let bits = self.jitter.hash_one(self.base.wrapping_add(self.next()));
                Jitter::from_bits((bits >> 32) as u32)
            }
            Ending::Done { .. } | Ending::Skipped { .. } | Ending::Snoozed { .. } => Jitter::ZERO,
        }
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use job::{Again, JobError};

    use super::*;

    #[test]
    fn no_two_claims_have_one_seed_and_failures_come_back_apart() {
        let draw = Draw::new();
        let seeds: HashSet<_> = (0..1_000).map(|_| draw.seed().0).collect();
        assert_eq!(seeds.len(), 1_000);
        let failed = Ending::Failed { error: JobError::new("E", "e"), again: Again::ByPolicy };
        let drawn: HashSet<_> = (0..1_000).map(|_| format!("{:?}", draw.jitter(&failed))).collect();
        assert!(drawn.len() > 990, "{}", drawn.len());
        assert_eq!(draw.jitter(&Ending::Done { output: None }), Jitter::ZERO);
    }
}
