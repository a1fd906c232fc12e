//! By what a worker is known to be ready.

use std::fmt;

use job::Span;
use serde::{Deserialize, Serialize};

use crate::pool::Ready;

/// A sign that a worker is ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// It sent `READY=1`.
    Notified,
    /// It spoke to the queue, and said who it is.
    Spoke,
    /// A connection of its waits for work.
    Connected,
    /// It finished a job.
    Finished,
    /// It has lived for so long. Nothing is proven by that.
    Alive(Span),
}

impl Sign {
    /// Whether something is proven by it.
    pub const fn is_proof(self) -> bool {
        match self {
            Self::Notified | Self::Spoke | Self::Connected | Self::Finished => true,
            Self::Alive(_) => false,
        }
    }

    /// Whether it is one that the policy asks for.
    pub(crate) fn counts(self, policy: Ready) -> bool {
        match policy {
            Ready::Auto => true,
            Ready::Notify => self == Self::Notified,
            Ready::Connect => matches!(self, Self::Spoke | Self::Connected | Self::Finished),
            Ready::Job => self == Self::Finished,
            Ready::Alive(_) => matches!(self, Self::Alive(_)),
        }
    }
}

impl fmt::Display for Sign {
    /// As a clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notified => f.write_str("it sent READY=1"),
            Self::Spoke => f.write_str("it spoke to the queue"),
            Self::Connected => f.write_str("it waits for work"),
            Self::Finished => f.write_str("it finished a job"),
            Self::Alive(span) => write!(f, "it has lived for {span}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_takes_its_own_signs() {
        let all = [Sign::Notified, Sign::Spoke, Sign::Connected, Sign::Finished, Sign::Alive(Span::ZERO)];
        let taken = |policy| all.map(|sign| sign.counts(policy));
        assert_eq!(taken(Ready::Auto), [true; 5]);
        assert_eq!(taken(Ready::Notify), [true, false, false, false, false]);
        assert_eq!(taken(Ready::Connect), [false, true, true, true, false]);
        assert_eq!(taken(Ready::Job), [false, false, false, true, false]);
        assert_eq!(taken(Ready::Alive(Span::ZERO)), [false, false, false, false, true]);
    }
}
