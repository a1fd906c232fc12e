//! The tree of releases: how one is made, switched to, proven unused and removed.
//!
//! A tree is a directory with `releases/`, `shared/` and a symbolic link `current`, as Deployer, Capistrano, Ansistrano
//! and Mina make it, and `.aloud/` beside them. [`Tree`] looks at it; [`deploy()`], [`rollback`], [`resume`],
//! [`confirm`], [`prune()`] and [`recover()`] change it, one at a time, under a lock, with a journal record before and
//! after each step.
//!
//! This crate starts no process but `git`, never looks for one, and knows nothing of jobs: what it needs done about
//! them it asks of its caller through [`Hands`]. It blocks; callers bring a thread.

mod crash;
mod current;
pub mod deploy;
mod dir;
mod error;
mod foreign;
pub mod hands;
mod id;
mod journal;
pub mod lease;
mod lock;
mod meta;
mod prune;
mod recover;
mod settle;
mod source;
mod transaction;
mod tree;

pub use crash::Crash;
pub use current::Current;
pub use deploy::{
    Build, Ended, Hook, Keep, OnFailure, Options, Outcome, Progress, Reserve, Shared, Step, confirm, deploy, resume,
    rollback,
};
pub use error::{Error, Message};
pub use foreign::Kind;
pub use hands::{Done, Failure, Go, Hands, InUse, Place, Purpose, Rolled, Target, Task};
pub use id::{BadName, FileId, ReleaseId, TxId};
pub use journal::{Act, Mark, Record};
pub use lock::Holder;
pub use meta::State;
pub use prune::{Fate, Fated, Pruning, prune};
pub use recover::{Mended, Recovery, recover};
pub use settle::{abort, settle};
pub use source::{Pack, Source};
pub use tree::{Found, Layout, Tree};
