//! How long to wait before asking a store again that was busy.

use std::time::Duration;

/// Waits that double, from 1 ms to a second.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It failed again: how long to wait.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = Duration::from_millis(1 << self.failures.min(10)).min(Duration::from_secs(1));
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// It worked: the next failure is the first.
    pub(crate) fn worked(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_second_and_start_anew_once_it_works() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..13).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 1_000, 1_000]);
        backoff.worked();
        assert_eq!(backoff.failed(), Duration::from_millis(1));
    }
}
