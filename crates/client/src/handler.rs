//! The application's side of a worker: functions that do the work.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use job::{Again, Ending, JobError, Key, KindName, QueueName, Span, Timestamp};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use wire::v1::LeasedJob;

use crate::JobKind;

/// What a handler is told beside the job itself.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// The job's id.
    pub id: String,
    /// Which start of the job this is, from 1.
    pub attempt: u32,
    /// The line it came from.
    pub queue: QueueName,
    /// What it is.
    pub kind: KindName,
    /// What it is about.
    pub key: Option<Key>,
    /// When it was pushed.
    pub pushed: Timestamp,
    /// Cancelled when the run is of no use any more: its lease was lost, its
    /// time was up, or the worker waited for it long enough. What the handler
    /// does after that may happen a second time elsewhere.
    pub cancelled: CancellationToken,
    /// Cancelled when the worker begins to stop. A long run may end itself now,
    /// with [`Ending::snoozed`], before it is stopped.
    pub stopping: CancellationToken,
}

impl Ctx {
    pub(crate) fn of(job: &LeasedJob, cancelled: CancellationToken, stopping: CancellationToken) -> Self {
        Self {
            id: job.id.clone(),
            attempt: job.attempt,
            queue: job.queue.clone(),
            kind: job.kind.clone(),
            key: job.key.clone(),
            pushed: job.pushed,
            cancelled,
            stopping,
        }
    }
}

/// Why a run failed, as it is recorded with the attempt.
///
/// Every error of the standard sort becomes one by `?`; whoever runs into it is
/// then tried again as the job's policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is recorded.
    pub error: JobError,
    /// Whether it is tried again.
    pub again: Again,
}

impl Failure {
    /// A failure with a class, such as the sort of error, and a message.
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { error: JobError::new(class, message), again: Again::ByPolicy }
    }

    /// Trying again is of no use: the job is dead at once.
    #[must_use]
    pub fn fatal(self) -> Self {
        Self { again: Again::Never, ..self }
    }

    /// If it is tried again, then not before so long.
    #[must_use]
    pub fn not_before(self, after: impl Into<Span>) -> Self {
        Self { again: Again::NotBefore(after.into()), ..self }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        Self::new(std::any::type_name::<E>(), message)
    }
}

/// What a handler may answer: an [`Ending`]; nothing, which is done; or a
/// `Result` of these whose error becomes a [`Failure`].
pub trait IntoEnding {
    /// How the run ends.
    fn into_ending(self) -> Ending;
}

impl IntoEnding for Ending {
    fn into_ending(self) -> Ending {
        self
    }
}

impl IntoEnding for () {
    fn into_ending(self) -> Ending {
        Ending::done()
    }
}

impl<T: IntoEnding, E: Into<Failure>> IntoEnding for Result<T, E> {
    fn into_ending(self) -> Ending {
        match self {
            Ok(ending) => ending.into_ending(),
            Err(failure) => {
                let Failure { error, again } = failure.into();
                Ending::Failed { error, again }
            }
        }
    }
}

/// A function that does the work of one kind: every
/// `async fn(J, Ctx) -> impl IntoEnding` is one.
pub trait Handler<J>: Send + Sync + 'static {
    /// Does the work.
    fn run(&self, job: J, ctx: Ctx) -> BoxFuture<'static, Ending>;
}

impl<J, F, Fut, R> Handler<J> for F
where
    F: Fn(J, Ctx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: IntoEnding + 'static,
{
    fn run(&self, job: J, ctx: Ctx) -> BoxFuture<'static, Ending> {
        self(job, ctx).map(IntoEnding::into_ending).boxed()
    }
}

/// A job that was understood: what remains is to do it.
pub(crate) type Ready = Box<dyn FnOnce(Ctx) -> BoxFuture<'static, Ending> + Send>;

type Decode = dyn Fn(&RawValue) -> Result<Ready, serde_json::Error> + Send + Sync;

#[derive(Clone)]
struct Entry {
    time_limit: Duration,
    decode: Arc<Decode>,
}

/// The kinds that are worked here, and the function for each.
#[derive(Clone, Default)]
pub struct Handlers {
    entries: BTreeMap<&'static str, Entry>,
}

impl Handlers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Works jobs of `J` with this function. A second one for the same kind
    /// takes the place of the first.
    #[must_use]
    pub fn register<J: JobKind, H: Handler<J>>(mut self, handler: H) -> Self {
        let handler = Arc::new(handler);
        let decode = move |payload: &RawValue| -> Result<Ready, serde_json::Error> {
            let job: J = serde_json::from_str(payload.get())?;
            let handler = Arc::clone(&handler);
            Ok(Box::new(move |ctx| handler.run(job, ctx)))
        };
        self.entries.insert(J::KIND, Entry { time_limit: J::TIME_LIMIT, decode: Arc::new(decode) });
        self
    }

    /// The kinds, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.entries.keys().copied()
    }

    /// Understands a job: what remains is to do it, within a limit. What cannot
    /// be understood has ended already.
    pub(crate) fn decode(&self, job: &LeasedJob) -> Result<(Ready, Duration), Ending> {
        let Some(entry) = self.entries.get(job.kind.as_str()) else {
            let known: Vec<_> = self.kinds().collect();
            // Not for ever: in a rolling deploy the worker that knows the kind
            // may be the next to take it.
            return Err(Ending::failed(JobError::new(
                "UnknownKind",
                format!(
                    "this worker has no handler for `{}`; it has them for: {}. Register one, or keep the kind in a \
                     queue that only workers with a handler take from.",
                    job.kind,
                    if known.is_empty() { "nothing".to_owned() } else { known.join(", ") }
                ),
            )));
        };
        match (entry.decode)(&job.payload) {
            Ok(ready) => Ok((ready, entry.time_limit)),
            Err(e) => Err(Ending::fatal(JobError::new(
                "UndecodablePayload",
                format!("the payload is not what the handler of `{}` takes: {e}", job.kind),
            ))),
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the mail server refused")]
    struct Refused(#[source] std::io::Error);

    #[test]
    fn an_error_is_recorded_with_its_type_and_its_causes() {
        let failure: Failure = Refused(std::io::Error::other("no route")).into();
        assert!(failure.error.class.ends_with("::Refused"), "{}", failure.error.class);
        assert_eq!(failure.error.message, "the mail server refused: no route");
        assert_eq!(failure.again, Again::ByPolicy);
        assert_eq!(failure.clone().fatal().again, Again::Never);
        assert_eq!(failure.not_before(Duration::from_secs(5)).again, Again::NotBefore(Span::from_secs(5)));
    }

    #[test]
    fn what_a_handler_answers_becomes_an_ending() {
        assert_eq!(().into_ending(), Ending::done());
        let ok: Result<(), Failure> = Ok(());
        assert_eq!(ok.into_ending(), Ending::done());
        let skipped: Result<Ending, std::io::Error> = Ok(Ending::skipped("nothing to send"));
        assert_eq!(skipped.into_ending(), Ending::skipped("nothing to send"));
        let failed: Result<(), Failure> = Err(Failure::new("Smtp", "550").fatal());
        assert_eq!(failed.into_ending(), Ending::fatal(JobError::new("Smtp", "550")));
    }
}
