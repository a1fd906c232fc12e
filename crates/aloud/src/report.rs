//! What a person is told when something did not work: what happened, what it
//! means, what to do.

use std::fmt;
use std::io;

use crate::exit::Exit;

/// An error in three parts, and how the process ends for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    /// What happened, without a full stop.
    pub(crate) happened: String,
    /// What it means: what changed and what did not.
    pub(crate) means: String,
    /// What to do.
    pub(crate) hint: String,
    /// How the process ends.
    pub(crate) exit: Exit,
    /// Nobody reads the output any more; there is nobody to tell.
    unread: bool,
}

impl Report {
    /// A report in its three parts.
    pub(crate) fn new(
        exit: Exit,
        happened: impl Into<String>,
        means: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { happened: happened.into(), means: means.into(), hint: hint.into(), exit, unread: false }
    }

    /// The command line is wrong.
    pub(crate) fn usage(happened: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Usage, happened, "Nothing was sent, and nothing was changed.", hint)
    }

    /// The configuration, or what it names, is wrong.
    pub(crate) fn config(happened: impl Into<String>, means: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Config, happened, means, hint)
    }

    /// The same, with another end.
    pub(crate) fn ending(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// The same, where it also means this.
    pub(crate) fn also_means(self, sentence: &str) -> Self {
        Self { means: format!("{sentence} {}", self.means), ..self }
    }

    /// Whether the reader of the output has gone, as `head` does: that is no
    /// error of the command's.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.happened.trim_end())?;
        for line in self.means.lines() {
            write!(f, "\n  {line}")?;
        }
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// The output could not be written.
impl From<io::Error> for Report {
    fn from(error: io::Error) -> Self {
        let unread = error.kind() == io::ErrorKind::BrokenPipe;
        Self {
            unread,
            ..Self::new(
                Exit::No,
                format!("cannot write the output: {error}"),
                "What was asked for was done; only its answer is not shown.",
                "look where the output goes: is there room?",
            )
        }
    }
}

/// What the server says of its token is in three parts already.
impl From<server::TokenError> for Report {
    fn from(error: server::TokenError) -> Self {
        Self::config(error.happened, error.means, error.hint)
    }
}

/// What the runner says of its settings is in three parts already.
impl From<runner::Unfit> for Report {
    fn from(unfit: runner::Unfit) -> Self {
        Self::config(unfit.what, unfit.means, unfit.hint)
    }
}

/// What the client says is in three parts already.
impl From<aloud_client::Error> for Report {
    fn from(error: aloud_client::Error) -> Self {
        use aloud_client::Error;
        let exit = match &error {
            Error::Problem(problem) => match problem.status {
                401 | 403 => Exit::NotAllowed,
                408 | 429 | 503 | 507 => Exit::TryAgain,
                500..=599 => Exit::Unreachable,
                _ => Exit::No,
            },
            Error::Unreachable { .. } | Error::Unknown { .. } => Exit::Unreachable,
            Error::Config { .. } | Error::Outbox { .. } => Exit::Config,
        };
        Self::new(exit, error.happened(), error.means(), error.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_three_parts() {
        let report =
            Report::config("cannot read `a.toml`", "The server did not start.\nNo jobs were changed.", "run `x`");
        assert_eq!(
            report.to_string(),
            "error: cannot read `a.toml`\n  The server did not start.\n  No jobs were changed.\nhint: run `x`"
        );
    }

    #[test]
    fn a_reader_that_left_is_no_error_of_ours() {
        assert!(Report::from(io::Error::from(io::ErrorKind::BrokenPipe)).is_unread());
        assert!(!Report::from(io::Error::from(io::ErrorKind::StorageFull)).is_unread());
    }
}
