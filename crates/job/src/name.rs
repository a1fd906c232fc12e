//! Names that people and programs choose: apps, queues, kinds, keys, ids.
//!
//! Each is parsed once, at the edge, so that inside a [`QueueName`] is already
//! valid. A name is never empty, never longer than its limit in bytes, and
//! holds no control character, so that it can stand in a log line, a terminal
//! or an address without surprises.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The text was empty.
    #[error("{what} is empty")]
    Empty {
        /// Which kind of name was asked for, with its article.
        what: &'static str,
    },
    /// The text was longer than a name of this kind may be.
    #[error("{what} has {bytes} bytes, and at most {limit} are allowed")]
    TooLong {
        /// Which kind of name was asked for, with its article.
        what: &'static str,
        /// How long the text was.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The text held a character that the name may not hold.
    #[error("{what} holds the character {found:?} at byte {at}; {allowed}")]
    Character {
        /// Which kind of name was asked for, with its article.
        what: &'static str,
        /// The first character that is not allowed.
        found: char,
        /// Where it stands, in bytes from 0.
        at: usize,
        /// What is allowed, as a clause.
        allowed: &'static str,
    },
    /// The text has the form of an id that the server gives.
    #[error("the job id {0:?} has the form of an id that the server gives (`j` and digits); choose another form")]
    Reserved(String),
}

fn check(
    what: &'static str,
    text: &str,
    limit: usize,
    allowed: &'static str,
    fits: impl Fn(char) -> bool,
) -> Result<(), Invalid> {
    if text.is_empty() {
        return Err(Invalid::Empty { what });
    }
    if text.len() > limit {
        return Err(Invalid::TooLong { what, bytes: text.len(), limit });
    }
    match text.char_indices().find(|&(_, c)| !fits(c)) {
        Some((at, found)) => Err(Invalid::Character { what, found, at, allowed }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal, $allowed:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest it may be, in bytes.
            pub const MAX_BYTES: usize = $limit;

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                check($what, text, $limit, $allowed, $fits)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '_' | '.' | ':' | '/' | '+' | ';' | '$' | '(' | ')' | '@' | '\\' | '#')
}

fn visible(c: char) -> bool {
    !c.is_control()
}

name!(
    /// The owner of queues, jobs and a store: one application.
    AppName, "the app's name", 64, "letters, digits, `-`, `_` and `.` are allowed",
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
);
name!(
    /// A line of jobs that workers take from.
    QueueName, "the queue's name", 200, "letters, digits and any of `-_.:/+;$()@\\#` are allowed", plain
);
name!(
    /// What a job is, so that a worker knows what to do with it.
    KindName, "the job's kind", 200, "letters, digits and any of `-_.:/+;$()@\\#` are allowed", plain
);
name!(
    /// What a job is about: at most one job waits for each key in a queue.
    Key, "the key", 512, "control characters are not allowed", visible
);
name!(
    /// An id that the one who pushes chose for a job.
    ClientId, "the job id", 128, "spaces, `/`, `?` and control characters are not allowed",
    |c| visible(c) && !c.is_whitespace() && !matches!(c, '/' | '?')
);
name!(
    /// A machine, as its agent calls it.
    HostName, "the host's name", 64, "letters, digits, `-`, `_` and `.` are allowed",
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
);
name!(
    /// A pool of workers: a `[[worker]]` of the configuration.
    PoolName, "the name of the workers", 64, "letters, digits, `-` and `_` are allowed",
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_refused_for_what_it_holds() {
        let refused = |text: &str| text.parse::<QueueName>().unwrap_err().to_string();
        assert_eq!(refused(""), "the queue's name is empty");
        assert_eq!(
            refused("mail\n"),
            "the queue's name holds the character '\\n' at byte 4; letters, digits and any of `-_.:/+;$()@\\#` are allowed"
        );
        assert_eq!(refused(&"q".repeat(201)), "the queue's name has 201 bytes, and at most 200 are allowed");
        assert!("notice:42 für Ute".parse::<Key>().is_ok());
        assert!("a\u{7}".parse::<Key>().is_err());
    }

    #[test]
    fn a_name_is_parsed_when_it_is_deserialized() {
        assert!(serde_json::from_str::<QueueName>("\"mail\"").is_ok());
        assert!(serde_json::from_str::<QueueName>("\"ma il\"").is_err());
    }
}
