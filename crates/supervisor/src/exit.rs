//! How a worker ended, and what that says.

use std::fmt;

use job::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// With this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It is gone, and nobody could say how: it was not our child any more.
    Unseen,
}

/// What an end says about what has to be done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It was asked to end.
    Asked,
    /// It ended by itself, without an error.
    Finished,
    /// It failed.
    Failed,
    /// Its release is gone: it was removed or renamed under it.
    ReleaseGone,
    /// It never became the program: what is wrong, in three parts.
    NotStarted(String),
}

/// The end of a worker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// When it was noticed.
    pub at: Timestamp,
    /// How its first process ended.
    pub exit: Exit,
    /// What that says.
    pub class: Class,
    /// How long it lived.
    pub lived: Span,
    /// How many jobs it had finished.
    pub jobs: u64,
    /// Whether it had been ready.
    pub was_ready: bool,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(126) => f.write_str("exit status 126 (often: found, but could not be run)"),
            Self::Code(127) => f.write_str("exit status 127 (often: a command was not found)"),
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(9) => f.write_str("signal 9 (KILL; often the system, when memory runs out)"),
            Self::Signal(signal) => match rustix::process::Signal::from_named_raw(signal) {
                Some(name) => write!(f, "signal {signal} ({})", format!("{name:?}").trim_start_matches("Signal::")),
                None => write!(f, "signal {signal}"),
            },
            Self::Unseen => f.write_str("an end that nobody saw"),
        }
    }
}
