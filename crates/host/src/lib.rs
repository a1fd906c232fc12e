//! What is true of a machine: its processes, and what they run.
//!
//! Read from `/proc` by device and inode, synchronously, without privileges
//! where that is enough. What cannot be seen is [`Seen::Unknown`] with the
//! reason, and never a no: a release that nobody seems to use may only be
//! thrown away if everybody was seen. Where there is no `/proc`, nothing is
//! known, by the same rule.
//!
//! This crate knows nothing of jobs, releases or workers. It is given folders
//! ([`Targets`]) and says who is in them ([`scan()`], [`Scan::users_of`]).

pub mod binary;
pub mod file;
pub mod machine;
pub mod process;
pub mod scan;
pub mod seen;
pub mod socket;
pub mod targets;

mod proc;
mod text;
mod veil;

pub use file::{FileId, Place};
pub use process::ProcessId;
pub use scan::{Depth, Process, Scan, Unseen, Users, scan};
pub use seen::{Blind, Seen};
pub use targets::{How, Targets, Use};
