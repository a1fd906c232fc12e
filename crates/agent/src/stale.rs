//! Whether the agent itself is still what is installed: its program, and its
//! configuration.
//!
//! An agent that watches others for being out of date must not be so itself. A
//! change is acted on when it has stood still for a moment, so that a file that
//! is just being written is not read half.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use host::Seen;
use host::binary::{self, Installed};

/// What the agent was started from.
#[derive(Debug)]
pub(crate) struct Origin {
    program: PathBuf,
    config: Option<(PathBuf, Mark)>,
    /// What was seen of a change at the last look.
    before: Option<Change>,
    /// A change that was found to be of no use.
    refused: Option<Change>,
}

/// A file's state: another one means that it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    dev: u64,
    ino: u64,
    size: u64,
    seconds: i64,
    nanos: i64,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    program: Option<Mark>,
    config: Option<Mark>,
}

impl Change {
    /// As a clause.
    pub(crate) fn what(&self) -> &'static str {
        match (self.program, self.config) {
            (Some(_), Some(_)) => "the program and the configuration were changed",
            (Some(_), None) => "the program was replaced",
            (None, _) => "the configuration was changed",
        }
    }
}

impl Origin {
    /// The program at `program`, with the configuration at `config`, as they
    /// are now.
    pub(crate) fn now(program: PathBuf, config: Option<PathBuf>) -> Self {
        let config = config.map(|path| (path.clone(), mark(&path).unwrap_or_default()));
        Self { program, config, before: None, refused: None }
    }

    /// Looks; answers a change that has stood still since the last look.
    pub(crate) fn look(&mut self) -> Option<Change> {
        let program = match binary::installed(&self.program) {
            Seen::Known(Installed::Other) => mark(&self.program),
            // Nothing there may be an upgrade that is halfway.
            Seen::Known(Installed::Same) | Seen::Gone | Seen::Unknown(_) => None,
        };
        let config = self.config.as_ref().and_then(|(path, then)| mark(path).filter(|now| now != then));
        let change = (program.is_some() || config.is_some()).then_some(Change { program, config });
        let stands = change.is_some() && change == self.before && change != self.refused;
        self.before.clone_from(&change);
        change.filter(|_| stands)
    }

    /// A change cannot be used as it is: it is not told again until it changes.
    pub(crate) fn refuse(&mut self, change: Change) {
        self.refused = Some(change);
    }
}

fn mark(path: &Path) -> Option<Mark> {
    std::fs::metadata(path).ok().as_ref().map(Mark::from)
}

impl From<&Metadata> for Mark {
    fn from(file: &Metadata) -> Self {
        Self { dev: file.dev(), ino: file.ino(), size: file.len(), seconds: file.mtime(), nanos: file.mtime_nsec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_configuration_is_told_once_it_stands_still() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("aloud.toml");
        std::fs::write(&config, "a").unwrap();
        let program = std::env::current_exe().unwrap();
        let mut origin = Origin::now(program, Some(config.clone()));
        assert_eq!(origin.look(), None);
        std::fs::write(&config, "half of").unwrap();
        assert_eq!(origin.look(), None, "it may still be written");
        std::fs::write(&config, "half of it and all").unwrap();
        assert_eq!(origin.look(), None, "it was");
        let change = origin.look().unwrap();
        assert_eq!(change.what(), "the configuration was changed");
        origin.refuse(change);
        assert_eq!(origin.look(), None, "it was refused");
        std::fs::write(&config, "mended").unwrap();
        assert_eq!(origin.look(), None);
        assert!(origin.look().is_some());
        std::fs::remove_file(&config).unwrap();
        assert_eq!((origin.look(), origin.look()), (None, None), "what is not there is not read");
    }
}
