//! Push jobs to aloud and work them, from Rust.
//!
//! # Push
//!
//! A type with a [`JobKind`] is a job. [`Aloud`] is where it is pushed to:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use aloud_client::{Aloud, CalledOff, JobKind};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct SendNotice {
//!     notice: u64,
//! }
//!
//! impl JobKind for SendNotice {
//!     const KIND: &'static str = "notice.send";
//!     const QUEUE: &'static str = "mail";
//! }
//!
//! # async fn example() -> Result<(), aloud_client::Error> {
//! // ALOUD_URL, ALOUD_TOKEN_FILE and ALOUD_APP say where and who.
//! let aloud = Aloud::from_env()?;
//! let pushed = aloud
//!     .push(&SendNotice { notice: 42 })
//!     .in_(Duration::from_secs(30 * 60))
//!     .key("notice:42") // at most one job waits for each key in a queue
//!     .replace() // a newer one starts the delay anew
//!     .guard_http("http://127.0.0.1:8080/notices/42/wanted") // asked again just before it runs
//!     .send()
//!     .await?;
//!
//! // Until it starts, it can be called off.
//! if let CalledOff::TooLate { why } = aloud.cancel_key("mail", "notice:42").await? {
//!     println!("{} runs already: {why}", pushed.id);
//! }
//! # Ok(()) }
//! ```
//!
//! A push that was answered is on the server's disk. One whose answer was lost
//! is repeated with the same id, which never makes a second job.
//!
//! # Work
//!
//! [`Worker`] takes jobs and runs the function that is registered for their
//! kind, until it is told to stop. A panic, an error and a run that takes too
//! long are recorded and tried again.
//!
//! # Push with the application's own transaction
//!
//! [`outbox`] writes the intent to push beside the application's own data, so
//! that neither happens without the other.
//!
//! # Test
//!
//! [`Aloud::recorded`] remembers what was pushed and [`Aloud::inline`] runs it
//! at once; neither needs a server.
//!
//! # Errors
//!
//! [`Error`] tells apart what the caller can do: the server said no, it was
//! never reached, it may have happened, the settings cannot work. Each says
//! what happened, what it means and what to do.
//!
//! # Features
//!
//! - `sqlite`: the outbox in an SQLite file, through `rusqlite`.

mod aloud;
pub mod api;
mod backoff;
mod desk;
mod error;
mod handler;
mod id;
mod identity;
mod kind;
pub mod outbox;
mod pace;
mod push;
mod recorded;
mod run;
mod settings;
mod worker;

pub use aloud::{Aloud, CalledOff};
pub use api::Api;
pub use error::Error;
pub use handler::{Ctx, Failure, Handler, Handlers, IntoEnding};
pub use job::{
    Again, AppName, Attempt, Cause, Ending, Guard, Happened, JobError, Key, KindName, OnConflict, Outcome, Phase,
    Policy, QueueName, Span, Timestamp,
};
pub use kind::JobKind;
pub use push::{Became, Push, Pushed};
pub use recorded::{Record, Recorded};
pub use settings::{Settings, Token};
pub use tokio_util::sync::CancellationToken;
pub use wire::v1;
pub use worker::{Worked, Worker};

/// The guide, so that its examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust-client.md")]
struct Guide;
