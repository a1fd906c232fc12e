//! How a job is named.
//!
//! Behind every job stands an integer that is never reused ([`JobId`]). Its
//! public form is `j` and the digits. One who pushes may choose a text of its
//! own ([`ClientId`]), which then is the public form.

use std::fmt;
use std::str::FromStr;

use crate::name::{ClientId, Invalid};

/// The integer behind a job: given once, never reused, larger for later jobs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(pub u64);

impl JobId {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('j')?;
        let canonical = !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        let id = digits.parse().ok()?;
        (canonical && i64::try_from(id).is_ok()).then_some(Self(id))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "j{}", self.0)
    }
}

/// A job as somebody outside refers to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum JobRef {
    /// By the integer, written `j17`.
    Id(JobId),
    /// By the id that the one who pushed chose.
    Client(ClientId),
}

impl FromStr for JobRef {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match JobId::parse(text) {
            Some(id) => Ok(Self::Id(id)),
            None => text.parse().map(Self::Client),
        }
    }
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Client(id) => id.fmt(f),
        }
    }
}

impl ClientId {
    /// Parses an id that a client chose for a new job: one that the server
    /// could have given itself is refused.
    pub fn choose(text: &str) -> Result<Self, Invalid> {
        match text.parse()? {
            JobRef::Client(id) => Ok(id),
            JobRef::Id(_) => Err(Invalid::Reserved(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_forms_never_meet() {
        assert_eq!("j17".parse(), Ok(JobRef::Id(JobId(17))));
        for text in ["j017", "j", "17", "J17", "j17x", "j99999999999999999999"] {
            assert!(matches!(text.parse(), Ok(JobRef::Client(_))), "{text}");
            assert!(ClientId::choose(text).is_ok(), "{text}");
        }
        assert!(matches!(ClientId::choose("j17"), Err(Invalid::Reserved(_))));
    }
}
