//! One host: its releases, its workers and what is true of it, joined.
//!
//! ```text
//!            supervisor: the workers        host: every process       release: the tree
//!                     │                          │                        │
//!                     └──────────▶ look ◀────────┴────────────────────────┘
//!                                   │ what was seen
//!                                 truth: what is to be thought of it (pure)
//!                                   │ observations
//!              ┌────────────────────┼──────────────────────┐
//!           record               link ◀──▶ server       control ◀──▶ commands on this host
//!        (own file)          (the server may be away)   (follow, restart, who is in it)
//! ```
//!
//! [`Agent`] is the loop in the middle. Nothing in it starts a process, changes
//! a tree or judges a process by itself: that is what the crates it joins are
//! for. [`deploy`] is what a deploy needs of this host; it runs in the command
//! that deploys, and asks the agent for what only the agent can do.

mod agent;
mod answers;
mod code;
pub mod config;
pub mod control;
pub mod deploy;
mod distance;
mod entering;
mod events;
mod handover;
mod hook;
mod link;
mod look;
pub mod notify;
mod proof;
pub mod record;
mod refusals;
mod remedy;
mod settings;
mod stale;
mod trouble;
pub mod truth;
mod verify;
mod watched;

pub use agent::{Agent, Ended};
pub use entering::exec_code;
pub use look::{Accepted, Users};
pub use settings::{Exec, Settings};
pub use trouble::Trouble;
