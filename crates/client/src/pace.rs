//! How often something is tried that does not work, and how often that is said.

use std::time::Duration;

use job::Span;
use tokio::time::Instant;

use crate::Error;
use crate::backoff::Backoff;

/// The wait after the first failure.
const FIRST: Span = Span::from_millis(100);
/// The longest wait: so long it may take to notice that the server is back.
const LONGEST: Span = Span::from_secs(5);

/// Trying for ever: more and more slowly, and saying so more and more seldom.
#[derive(Debug)]
pub(crate) struct Pace {
    backoff: Backoff,
    failed: u32,
    not_before: Option<Instant>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { backoff: Backoff::new(FIRST, LONGEST), failed: 0, not_before: None }
    }

    /// Ends the wait if it is over.
    pub(crate) fn go_on(&mut self, now: Instant) {
        self.not_before = self.not_before.filter(|at| *at > now);
    }

    /// Whether it may be tried.
    pub(crate) fn may(&self) -> bool {
        self.not_before.is_none()
    }

    /// When it may be tried again, if there is a wait.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// It failed: how long to wait. Logged at the first failure, the second,
    /// the fourth and so on.
    pub(crate) fn failed(&mut self, error: &Error, message: &str) -> Duration {
        self.failed = self.failed.saturating_add(1);
        if self.failed.is_power_of_two() {
            tracing::warn!(%error, failed = self.failed, "{message}");
        }
        let wait = self.backoff.next();
        self.not_before = Some(Instant::now() + wait);
        wait
    }

    /// It worked. Logged if it had failed before.
    pub(crate) fn worked(&mut self, message: &str) {
        if self.failed > 0 {
            tracing::info!(failed = self.failed, "{message}");
            self.failed = 0;
            self.backoff.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_failed_waits_until_its_time_has_come_or_it_worked() {
        let error = Error::Outbox { why: "busy".into() };
        let mut pace = Pace::new();
        assert!(pace.may());
        let wait = pace.failed(&error, "it fails");
        assert!(!pace.may() && pace.not_before() == Some(Instant::now() + wait));
        pace.go_on(Instant::now());
        assert!(!pace.may(), "it is not time yet");
        tokio::time::advance(wait).await;
        pace.go_on(Instant::now());
        assert!(pace.may());
        assert!((0..10).map(|_| pace.failed(&error, "it fails")).last() > Some(Duration::from_secs(2)));
        pace.worked("it works");
        assert!(pace.failed(&error, "it fails") <= Duration::from_millis(100));
    }
}
