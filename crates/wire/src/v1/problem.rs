//! How the server says no.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An error, as RFC 9457 has it: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Names the sort of problem: `about:blank#` and a word that does not
    /// change.
    #[serde(rename = "type")]
    pub type_: String,
    /// What happened.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What it means here: what changed and what did not.
    pub detail: String,
    /// What to do.
    pub hint: String,
}

impl Problem {
    /// What stands before the word in [`Problem::type_`].
    pub const TYPE_PREFIX: &'static str = "about:blank#";

    /// The word that names the sort of problem.
    pub fn word(&self) -> &str {
        self.type_.strip_prefix(Self::TYPE_PREFIX).unwrap_or(&self.type_)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}
