//! What can go wrong between an application and the server, by what the caller
//! can do about it.

use std::fmt;

use wire::v1::Problem;

/// Why the server did not do what it was asked.
///
/// `{}` writes it in one line. `{:#}` writes three parts on lines of their own:
/// what happened, what it means, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The server answered, and the answer is no. It says what changed.
    Problem(Box<Problem>),
    /// The request never reached the server. Nothing changed.
    Unreachable {
        /// Where it was sent.
        url: String,
        /// What came instead.
        why: String,
    },
    /// The request was sent and no answer came, or none that can be understood.
    /// It may have happened.
    Unknown {
        /// Where it was sent.
        url: String,
        /// What came instead.
        why: String,
    },
    /// What the client was given cannot work. Nothing was sent.
    Config {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The application's own database did not take, or give, an intent of the
    /// outbox.
    Outbox {
        /// What it said.
        why: String,
    },
}

impl Error {
    pub(crate) fn config(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Config { what: what.into(), hint: hint.into() }
    }

    /// What happened.
    pub fn happened(&self) -> String {
        match self {
            Self::Problem(problem) => problem.title.clone(),
            Self::Unreachable { url, why } => format!("cannot reach the server at {url}: {why}"),
            Self::Unknown { url, why } => format!("the server at {url} gave no answer: {why}"),
            Self::Config { what, .. } => what.clone(),
            Self::Outbox { why } => format!("the outbox cannot be used: {why}"),
        }
    }

    /// What it means: what changed and what did not.
    pub fn means(&self) -> String {
        match self {
            Self::Problem(problem) => problem.detail.clone(),
            Self::Unreachable { .. } => "The request was not sent. No jobs were changed.".to_owned(),
            Self::Unknown { .. } => "The request was sent; it may have happened.".to_owned(),
            Self::Config { .. } => "Nothing was sent. No jobs were changed.".to_owned(),
            Self::Outbox { .. } => "What is in it stays there; an intent that was to be written is not.".to_owned(),
        }
    }

    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Problem(problem) => problem.hint.clone(),
            Self::Unreachable { .. } => "see that `aloud server` runs, and that ALOUD_URL is its address".to_owned(),
            Self::Unknown { .. } => {
                "a push with an id, and every call that shows a lease, can be repeated safely".to_owned()
            }
            Self::Config { hint, .. } => hint.clone(),
            Self::Outbox { .. } => {
                "roll the transaction back and try again; `outbox::create_table` creates the tables".to_owned()
            }
        }
    }

    /// The HTTP status of the server's answer, if it gave one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            Self::Unreachable { .. } | Self::Unknown { .. } | Self::Config { .. } | Self::Outbox { .. } => None,
        }
    }

    /// Whether the same request may succeed in a moment.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Problem(problem) => matches!(problem.status, 408 | 425 | 429 | 500 | 502 | 503 | 504 | 507),
            Self::Unreachable { .. } | Self::Unknown { .. } => true,
            Self::Config { .. } | Self::Outbox { .. } => false,
        }
    }

    /// Whether the server knows no such job, or none that waits with such a
    /// key. An address that the server does not have is another matter, though
    /// its status is 404 too.
    pub fn is_no_such_job(&self) -> bool {
        matches!(self, Self::Problem(problem) if matches!(problem.word(), "no-such-job" | "no-such-key"))
    }

    /// Whether the server understood the request and would refuse it tomorrow
    /// too. A token that is wrong, or an address that is not there, is not
    /// that: a person will mend it.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::Problem(problem) => {
                matches!(problem.status, 409 | 413 | 422) || matches!(problem.word(), "bad-json" | "bad-path")
            }
            Self::Config { .. } => true,
            Self::Unreachable { .. } | Self::Unknown { .. } | Self::Outbox { .. } => false,
        }
    }

    /// Whether the lease that was shown is no longer the job's, or the job is
    /// not in a state in which this can be done to it.
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (happened, means, hint) = (self.happened(), self.means(), self.hint());
        if f.alternate() {
            f.write_str(&happened)?;
            if !means.is_empty() {
                write!(f, "\n  {means}")?;
            }
            if !hint.is_empty() {
                write!(f, "\nhint: {hint}")?;
            }
            return Ok(());
        }
        f.write_str(&happened)?;
        if !means.is_empty() {
            write!(f, ". {}", means.trim_end_matches('.'))?;
        }
        if !hint.is_empty() {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_happened_what_it_means_and_what_to_do() {
        let error = Error::Unreachable { url: "http://127.0.0.1:7420/".into(), why: "connection refused".into() };
        assert_eq!(
            format!("{error:#}"),
            "cannot reach the server at http://127.0.0.1:7420/: connection refused\n  \
             The request was not sent. No jobs were changed.\n\
             hint: see that `aloud server` runs, and that ALOUD_URL is its address"
        );
        assert_eq!(
            error.to_string(),
            "cannot reach the server at http://127.0.0.1:7420/: connection refused. The request was not sent. \
             No jobs were changed (hint: see that `aloud server` runs, and that ALOUD_URL is its address)"
        );
    }
}
