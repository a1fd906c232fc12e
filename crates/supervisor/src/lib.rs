//! Processes and their generations: started, found ready, replaced, drained, restarted, ended.
//!
//! A [`Pool`] says what is to run. A [`Source`] says from which release, and is
//! asked anew at every start, so that no path is remembered longer than it is
//! true. The workers that were started from one release with one configuration
//! are a generation; [`Supervisor`] keeps one generation serving, and moves to
//! the next without ever having fewer workers than it should.
//!
//! Every worker is started by [`launch`], which is a process of its own: it
//! locks the release, changes the user and becomes the worker. A [`guardian`]
//! ends the workers if the supervisor is killed.
//!
//! This crate knows no jobs, and does not look into a release.

mod attend;
pub mod cgroup;
mod code;
mod event;
mod exit;
mod fingerprint;
pub mod guardian;
pub mod launch;
mod life;
pub mod output;
mod pidfd;
pub mod plan;
mod pool;
mod process;
mod reach;
mod record;
pub mod restart;
mod roll;
mod sign;
mod snapshot;
mod supervisor;
mod worker;

pub use code::{Code, Dir, NoCode, Source};
pub use event::{Event, LastLines};
pub use exit::{Class, Ended, Exit};
pub use pool::{Limits, Log, OnFailure, Pool, Ready, Share, Stop, StopSignal};
pub use process::{Ident, Start};
pub use roll::{Confirmed, Held, Rolled, Rolling, Step};
pub use sign::Sign;
pub use snapshot::{GenerationView, PoolView, Role, Snapshot, State, WorkerView};
pub use supervisor::{Failure, NoHooks, Options, Quiet, Quieting, Scope, Supervisor, Told};
pub use worker::{Generation, Which, WorkerId};
