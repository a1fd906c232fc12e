//! Where commands are started, if the settings leave that to the releases.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// The application's code, wherever it is at the moment.
///
/// It is entered anew at every start, so that a command runs in what is current
/// then, and not in what was current when the settings were read.
pub trait Code: fmt::Debug + Send + Sync {
    /// Where a command is started now.
    ///
    /// It may look at files, and runs where that holds nobody up. It fails with
    /// a sentence about what is missing: `there is no current release: …`.
    fn enter(&self) -> Result<Entered, String>;

    /// Where a command is started now that names an absolute folder: there. It
    /// may have a wrapper too, or lie in a release and be pinned.
    fn enter_folder(&self, dir: &Path) -> Result<Entered, String> {
        Ok(Entered { dir: dir.to_owned(), ..Entered::default() })
    }
}

/// What one command is started in.
#[derive(Default)]
pub struct Entered {
    /// The folder, absolute. That of a release is resolved, so that a switch in
    /// the middle of a run leads nowhere else; the command finds it as `PWD`,
    /// too.
    pub dir: PathBuf,
    /// More variables for its environment, such as `ALOUD_RELEASE`. They count
    /// before what is declared.
    pub env: Vec<(String, String)>,
    /// What keeps the folder there. It is dropped when the command has ended,
    /// and the rest of its process group with it.
    pub pin: Option<Box<dyn Send + Sync>>,
    /// A program, and arguments, to which the command is added as more of them;
    /// empty if there is none.
    ///
    /// It `exec`s the command, and so leaves it its process id, its group, its
    /// streams and its folder. Where it cannot, it says why on stderr and ends
    /// with 125, 126 or 127, as `env` does; never with a status that would be
    /// read as an answer: 0, 75 or 77.
    pub wrap: Vec<OsString>,
}
