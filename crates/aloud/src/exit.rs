//! How the command ends: every exit code there is, and what it says.
//!
//! The upper ones are those of `sysexits.h`, which mail servers and systemd
//! know. `main` alone turns one into the process's end.

use std::process::ExitCode;

/// An exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// What was asked for was done.
    Ok,
    /// The answer is no.
    No,
    /// Something does not do what it is for, or cannot be seen.
    Critical,
    /// The command line is wrong.
    Usage,
    /// The server was not reached, or did not say what it did.
    Unreachable,
    /// aloud has a defect.
    Defect,
    /// It may work in a moment.
    TryAgain,
    /// Not let in.
    NotAllowed,
    /// The configuration, or what it names, is wrong.
    Config,
}

impl Exit {
    /// All of them, in the order of their codes.
    pub(crate) const ALL: [Self; 9] = [
        Self::Ok,
        Self::No,
        Self::Critical,
        Self::Usage,
        Self::Unreachable,
        Self::Defect,
        Self::TryAgain,
        Self::NotAllowed,
        Self::Config,
    ];

    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::No => 1,
            Self::Critical => 2,
            Self::Usage => 64,
            Self::Unreachable => 69,
            Self::Defect => 70,
            Self::TryAgain => 75,
            Self::NotAllowed => 77,
            Self::Config => 78,
        }
    }

    /// What it says, as `--help` has it.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done; `status`: all is as it should be",
            Self::No => "refused, or not so: no such job, too late to cancel; `status`: a warning",
            Self::Critical => {
                "red: something does not do what it is for, or cannot be seen; the change itself may have been made"
            }
            Self::Usage => "the command line, or the JSON given with it, is wrong; nothing was sent",
            Self::Unreachable => "the server could not be reached, or it is unknown whether it did what was asked",
            Self::Defect => "a defect in aloud",
            Self::TryAgain => "the server is busy, full or stopping; the same command may work in a moment",
            Self::NotAllowed => "the token was refused, or the server belongs to another app",
            Self::Config => "the configuration, or a file or address that it names, is wrong",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The exit codes, as the end of `--help` shows them.
pub(crate) fn manual() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        text.push_str(&format!("  {:>2}  {}\n", exit.code(), exit.meaning()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_ends_share_a_code() {
        let codes: Vec<_> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    }
}
