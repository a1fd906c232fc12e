//! Push jobs to aloud and work them, from Rust.

mod aloud;
pub mod api;
mod backoff;
mod desk;
mod error;
mod handler;
mod id;
mod kind;
pub mod outbox;
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
