//! What ties a Rust type to a kind of job.

use std::time::Duration;

use job::Policy;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that is pushed and worked: its fields are the payload.
///
/// ```
/// use aloud_client::JobKind;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct SendNotice {
///     notice: u64,
/// }
///
/// impl JobKind for SendNotice {
///     const KIND: &'static str = "notice.send";
///     const QUEUE: &'static str = "mail";
/// }
/// ```
pub trait JobKind: Serialize + DeserializeOwned + Send + 'static {
    /// What the job is called; workers know by it what to do.
    const KIND: &'static str;

    /// The line it waits in, unless a push names another.
    const QUEUE: &'static str = "default";

    /// How long one run may take. One that takes longer is stopped, and counts
    /// as failed.
    const TIME_LIMIT: Duration = Duration::from_secs(600);

    /// What follows a failure, unless a push says otherwise; `None` leaves it
    /// to the server.
    const RETRY: Option<Policy> = None;
}
