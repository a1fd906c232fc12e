//! Jobs that aloud runs itself, and the guards it asks.
//!
//! A [`Handler`] does the jobs of one kind: by a request to the application
//! ([`http`]), by a declared command ([`exec`]), or by a letter ([`mail`]).
//! [`Runner`] takes such jobs, runs them within their time, and says how each
//! ended. [`HttpAndExecGuards`] asks, just before a job is run, whether it is
//! still wanted.
//!
//! Two things are left to others. Where the jobs come from is behind [`Jobs`]: a
//! queue in this process, or one on another host. Where commands start is behind
//! [`Code`]: in whatever release is current.
//!
//! What is here never decides what follows a failure: that is the job's policy,
//! applied by the queue. And nothing is read as an answer that does not clearly
//! answer: a catch-all page, a wrong site, a command that is gone are all
//! errors, each with what came instead.

pub mod config;
pub mod exec;
pub mod guards;
pub mod http;
pub mod jobs;
pub mod mail;
pub mod tls;

mod code;
mod excerpt;
mod finisher;
mod handler;
mod patience;
mod runner;
mod running;
mod secret;
mod task;
mod unfit;

pub use code::{Code, Entered};
pub use exec::{Command, ExecHandler};
pub use guards::{GuardCommand, HttpAndExecGuards};
pub use handler::{Handler, Run};
pub use http::{Ack, Address, HttpHandler};
pub use jobs::Jobs;
pub use mail::MailHandler;
pub use queue::BoxFuture;
pub use runner::Runner;
pub use secret::Secret;
pub use task::Task;
pub use unfit::Unfit;
