//! What was seen, and what could not be.
//!
//! The third answer is the point of this crate. "It is not there" and "I could
//! not look" lead to opposite acts, so they are different values, and no
//! function here turns the one into the other.

use serde::{Deserialize, Serialize};

/// The answer to a question about the machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen<T> {
    /// It was seen.
    Known(T),
    /// It was looked for, and is not there (any more).
    Gone,
    /// It could not be seen. It may be anything.
    Unknown(Blind),
}

/// Why something could not be seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Blind {
    /// It belongs to another user, and the system does not let us look.
    #[error("not allowed to look: it takes the same user, root, or CAP_SYS_PTRACE")]
    Denied,
    /// `/proc` is mounted with `hidepid`, so that others' processes do not even
    /// appear.
    #[error("/proc hides the processes of other users (`hidepid`)")]
    Hidden,
    /// We live in a pid namespace of our own, such as a container's, and do not
    /// see the processes outside.
    #[error("processes outside of this pid namespace (this container) cannot be seen")]
    Outside,
    /// It changed while it was looked at, also the second time.
    #[error("it changed while it was looked at")]
    Raced,
    /// Something else, in the system's words.
    #[error("{0}")]
    Failed(String),
}

impl<T> Seen<T> {
    /// What was seen, if it was.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Gone | Self::Unknown(_) => None,
        }
    }

    /// The same by reference.
    pub fn as_ref(&self) -> Seen<&T> {
        match self {
            Self::Known(value) => Seen::Known(value),
            Self::Gone => Seen::Gone,
            Self::Unknown(why) => Seen::Unknown(why.clone()),
        }
    }

    /// The same answer about something that follows from it.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::Known(value) => Seen::Known(f(value)),
            Self::Gone => Seen::Gone,
            Self::Unknown(why) => Seen::Unknown(why),
        }
    }

    /// Why it could not be seen, if it could not.
    pub fn blind(&self) -> Option<&Blind> {
        match self {
            Self::Unknown(why) => Some(why),
            Self::Known(_) | Self::Gone => None,
        }
    }
}

/// The same three answers inside this crate, where `?` is wanted.
pub(crate) type Look<T> = Result<T, Lack>;

/// What stands in place of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Lack {
    Gone,
    Blind(Blind),
}

impl Lack {
    /// For text of the system that does not have the form it always has.
    pub(crate) fn unreadable(what: &str) -> Self {
        Self::Blind(Blind::Failed(format!("{what} does not have the form that is known")))
    }
}

impl From<rustix::io::Errno> for Lack {
    fn from(error: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        match error {
            Errno::NOENT | Errno::SRCH => Self::Gone,
            Errno::ACCESS | Errno::PERM => Self::Blind(Blind::Denied),
            other => Self::Blind(Blind::Failed(std::io::Error::from(other).to_string())),
        }
    }
}

impl<T> From<Look<T>> for Seen<T> {
    fn from(look: Look<T>) -> Self {
        match look {
            Ok(value) => Self::Known(value),
            Err(Lack::Gone) => Self::Gone,
            Err(Lack::Blind(why)) => Self::Unknown(why),
        }
    }
}
