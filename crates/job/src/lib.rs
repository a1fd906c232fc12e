//! The words of aloud.
//!
//! Ids, states and the legal steps between them, retries, keys, guards, time.
//! Everything here is a value or a pure decision about values: no I/O, no
//! store, no randomness, and no clock but the one in [`time`]. Every other
//! crate speaks in these words; this one knows none of them.

pub mod attempt;
pub mod guard;
pub mod id;
pub mod key;
pub mod lease;
pub mod ledger;
pub mod lifecycle;
pub mod name;
pub mod observe;
pub mod pause;
pub mod payload;
pub mod push;
pub mod retry;
pub mod rules;
pub mod time;

pub use attempt::{Attempt, Happened, History, JobError};
pub use guard::{Answer, Guard};
pub use id::{JobId, JobRef};
pub use key::OnConflict;
pub use lease::{Lease, LeaseSeed};
pub use ledger::Ledger;
pub use lifecycle::{Again, Cause, Ending, Job, Outcome, Phase, Run, State, Step, Wait};
pub use name::{AppName, ClientId, HostName, Invalid, Key, KindName, PoolName, QueueName};
pub use observe::{Observation, Subject, Verdict};
pub use pause::Pause;
pub use payload::Payload;
pub use push::{NewJob, Spec};
pub use retry::{Jitter, Policy};
pub use rules::Rules;
pub use time::{Clock, Moment, Mono, Now, Span, Timestamp};
