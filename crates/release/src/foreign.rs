//! Trees that other tools made, and keep using.

use std::fmt;

/// Whose tree it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Ours alone.
    Aloud,
    /// Deployer's: there is a `.dep`.
    Deployer,
    /// Capistrano's: there is a `revisions.log`, or names are timestamps.
    Capistrano,
    /// Ansistrano's: names are timestamps that end in `Z`.
    Ansistrano,
    /// Some other tool's, or nobody's yet.
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Aloud => "aloud",
            Self::Deployer => "Deployer",
            Self::Capistrano => "Capistrano",
            Self::Ansistrano => "Ansistrano",
            Self::Unknown => "unknown",
        })
    }
}
