//! What was pushed in a test, and what became of it.

use std::sync::Arc;

use wire::v1::JobView;

use crate::JobKind;
use crate::desk::Desk;

/// What was pushed to [`crate::Aloud::recorded`] or [`crate::Aloud::inline`].
#[derive(Debug, Clone)]
pub struct Recorded {
    desk: Arc<Desk>,
}

/// A job that was pushed in a test.
#[derive(Debug, Clone)]
pub struct Record<J> {
    /// The job.
    pub job: J,
    /// How it stands, as the server would show it.
    pub view: JobView,
}

impl Recorded {
    pub(crate) fn of(desk: Arc<Desk>) -> Self {
        Self { desk }
    }

    /// All jobs of a kind, oldest first, those that were cancelled or replaced
    /// among them: `view` says what became of each.
    ///
    /// # Panics
    ///
    /// If a job of this kind was pushed whose payload is not a `J`.
    pub fn pushed<J: JobKind>(&self) -> Vec<Record<J>> {
        let read = |view: JobView| {
            let job = serde_json::from_str(view.payload.get())
                .unwrap_or_else(|e| panic_with(&format!("a job `{}` does not hold what its type says: {e}", J::KIND)));
            Record { job, view }
        };
        self.views().into_iter().filter(|view| view.kind.as_str() == J::KIND).map(read).collect()
    }

    /// The jobs of a kind that would still run, oldest first.
    ///
    /// # Panics
    ///
    /// As [`Recorded::pushed`].
    pub fn waiting<J: JobKind>(&self) -> Vec<Record<J>> {
        self.pushed().into_iter().filter(|record| record.view.due.is_some()).collect()
    }

    /// All jobs of all kinds, oldest first.
    pub fn views(&self) -> Vec<JobView> {
        self.desk.views()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.desk.clear();
    }
}

#[expect(clippy::panic, reason = "only tests call it, and a test should say where it failed")]
fn panic_with<T>(message: &str) -> T {
    panic!("{message}")
}
