//! A question asked again just before a job runs: is it still wanted?
//!
//! Only a clear answer counts. An error is not a no: the question is asked
//! again, ever more slowly, until there is an answer, the job expires, or a
//! person looks.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// Who is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Guard {
    /// An address that is sent the job and answers
    /// `{"job": ID, "run": true|false}` with status 200.
    Http(String),
    /// The name of a command that the configuration declares: exit status 0
    /// says run, 77 says skip.
    Exec(String),
}

impl Guard {
    /// The longest address or name, in bytes.
    pub const MAX_BYTES: usize = 2_048;
}

/// What came of asking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Run it.
    Yes,
    /// Don't: the job ends as skipped. Says why, if anything was said.
    No(Option<String>),
    /// No answer. Says what came instead.
    Error(String),
}

/// How long a yes counts.
pub const FRESH: Span = Span::from_secs(5);

/// How long to wait before asking again, after so many errors in a row.
///
/// `errors` counts from 1: 1 s, 2 s, 4 s … at most a minute.
pub fn ask_again_after(errors: u32) -> Span {
    let doubled = 1_u32 << errors.saturating_sub(1).min(6);
    Span::from_secs(doubled.min(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_slows_down_and_never_stops() {
        let after: Vec<_> = (1..=8).map(|n| ask_again_after(n).to_string()).collect();
        assert_eq!(after, ["1s", "2s", "4s", "8s", "16s", "32s", "1m", "1m"]);
        assert_eq!(ask_again_after(u32::MAX).to_string(), "1m");
    }
}
