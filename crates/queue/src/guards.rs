//! Who asks guards.

use job::{Answer, Job, Span};

use crate::BoxFuture;

/// Asks guards on the queue's behalf.
pub trait Guards: Send + Sync + 'static {
    /// Asks the guard of `job` whether it is still to be run. Whatever is not a
    /// clear answer is an [`Answer::Error`].
    fn ask(&self, job: Job) -> BoxFuture<'static, Answer>;

    /// The longest that asking may take; the queue waits no longer.
    fn patience(&self) -> Span;
}

/// For a server that asks no guards: every question ends in an error, so that a
/// guarded job waits, visibly, and never runs unasked.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoGuards;

impl Guards for NoGuards {
    fn ask(&self, _job: Job) -> BoxFuture<'static, Answer> {
        Box::pin(std::future::ready(Answer::Error("this server asks no guards".to_owned())))
    }

    fn patience(&self) -> Span {
        Span::from_secs(1)
    }
}
