//! Where jobs are kept.
//!
//! [`Jobs`] is the whole surface: some twenty verbs of the domain, each a whole
//! transition guarded by what it needs to be true. [`Records`] is what a store
//! keeps besides jobs. Two stores exist: [`memory`], the reference, and
//! [`sqlite`], which is what runs in earnest. One suite of `laws` holds for
//! every store; it says in sentences what the verbs promise.
//!
//! A store knows no protocol and makes up no policy: what follows a failure,
//! when work is late, when a pause is over is decided by the pure functions of
//! `job`, inside the transition. A driver's type never leaves its module.

pub mod bell;
pub mod error;
pub mod jobs;
pub mod memory;
pub mod records;
pub mod reply;
pub mod sqlite;

#[cfg(feature = "laws")]
pub mod faults;
#[cfg(feature = "laws")]
pub mod laws;

pub use bell::{Bell, Rung};
pub use error::Error;
pub use jobs::Jobs;
pub use records::Records;
pub use reply::Reply;

/// A whole store: jobs and records.
pub trait Store: Jobs + Records {}

impl<S: Jobs + Records + ?Sized> Store for S {}
