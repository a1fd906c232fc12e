//! What can go wrong, sorted by what the caller can do about it.

use std::fmt;
use std::io;

use rustix::io::Errno;

use crate::lock::Holder;

/// What a person is told: what happened, what it means, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What happened, as a clause without a full stop.
    pub happened: String,
    /// What it means, as whole sentences.
    pub means: String,
    /// What to do about it, as a clause.
    pub hint: String,
}

/// Why something did not happen in a tree of releases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was changed. Something has to be put right first.
    #[error("{0}")]
    Refused(Message),
    /// Nothing was changed. Somebody else is at work in this tree.
    #[error("{message}")]
    Locked {
        /// Who, as far as is known.
        holder: Box<Holder>,
        /// What a person is told.
        message: Message,
    },
    /// A deploy ended before the switch: `current` is as it was.
    #[error("{0}")]
    Aborted(Message),
    /// It is not known whether all of it took effect. The next deploy, or a recovery, finds out.
    #[error("{0}")]
    Unsure(Message),
}

impl Message {
    /// A message of these three parts.
    pub fn new(happened: impl Into<String>, means: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { happened: happened.into(), means: means.into(), hint: hint.into() }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}\nhint: {}", self.happened, self.means, self.hint)
    }
}

impl Error {
    /// What a person is told.
    pub fn message(&self) -> &Message {
        match self {
            Self::Refused(message) | Self::Aborted(message) | Self::Unsure(message) => message,
            Self::Locked { message, .. } => message,
        }
    }
}

/// A step that the system refused: what was tried, and why it failed.
///
/// It stays inside the crate until it is known what it means for the one who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What was tried, as a clause such as ``write `x` ``.
    pub(crate) tried: String,
    /// What came of it.
    pub(crate) why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// The system said so.
    System(Errno),
    /// We say so; with what to do about it.
    Ours {
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: String,
    },
}

impl Trouble {
    pub(crate) fn system(tried: impl Into<String>, error: Errno) -> Self {
        Self { tried: tried.into(), why: Why::System(error) }
    }

    pub(crate) fn ours(tried: impl Into<String>, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { tried: tried.into(), why: Why::Ours { what: what.into(), hint: hint.into() } }
    }

    pub(crate) fn io(tried: impl Into<String>, error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => Self::system(tried, errno),
            None => Self::ours(tried, error.to_string(), "try again"),
        }
    }

    pub(crate) fn happened(&self) -> String {
        match &self.why {
            Why::System(errno) => format!("cannot {}: {errno}", self.tried),
            Why::Ours { what, .. } => format!("cannot {}: {what}", self.tried),
        }
    }

    pub(crate) fn hint(&self) -> String {
        match &self.why {
            Why::System(errno) => hint_for(*errno).to_owned(),
            Why::Ours { hint, .. } => hint.clone(),
        }
    }

    /// Nothing was changed by it.
    pub(crate) fn refused(self) -> Error {
        Error::Refused(Message::new(self.happened(), "Nothing was changed.", self.hint()))
    }

    /// What was begun may be half done.
    pub(crate) fn unsure(self, means: &str) -> Error {
        Error::Unsure(Message::new(self.happened(), means, self.hint()))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.happened())
    }
}

fn hint_for(errno: Errno) -> &'static str {
    match errno {
        Errno::NOSPC => "make room on that file system (see `df` and `df -i`), or prune releases; then try again",
        Errno::DQUOT => "the quota of this user is used up: make room or raise it; then try again",
        Errno::ROFS => "that file system is mounted read-only: see `dmesg` for why, and mount it for writing",
        Errno::ACCESS | Errno::PERM => "run this as the user whom the tree belongs to, or give this user the right",
        Errno::IO => "the disk does not work as it should: see `dmesg`",
        Errno::NOENT => "see that it is there",
        Errno::NOTDIR => "see that it is a directory",
        Errno::LOOP => "a symbolic link leads back to itself: see where it points with `readlink`",
        _ => "see what the system says, put it right, and try again",
    }
}
