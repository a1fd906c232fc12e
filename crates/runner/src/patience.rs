//! How long a run may last.

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// When a run must end: at its deadline, or when it is cut before.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    deadline: Instant,
    cut: CancellationToken,
}

/// Why a run must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    /// Its time is up.
    TimedOut,
    /// It was cut: aloud stops, or the job is not ours any more.
    Cut,
}

impl Patience {
    pub(crate) fn new(timeout: job::Span, cut: CancellationToken) -> Self {
        Self { deadline: Instant::now() + timeout.as_duration(), cut }
    }

    /// Returns when the run must end.
    pub(crate) async fn over(&self) -> Over {
        tokio::select! {
            biased;
            () = self.cut.cancelled() => Over::Cut,
            () = sleep_until(self.deadline) => Over::TimedOut,
        }
    }

    /// Waits for `work`, unless the run must end first.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Over> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            over = self.over() => Err(over),
        }
    }
}
