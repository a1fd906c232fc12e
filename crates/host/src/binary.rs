//! The program that this process runs, and whether it is still the one that is
//! installed.

use std::path::Path;

use crate::file::{FileId, Place};
use crate::proc::Proc;
use crate::seen::{Look, Seen};

/// What is installed where this process's program should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Installed {
    /// The file that this process runs.
    Same,
    /// Another file: an upgrade, which this process does not run yet.
    Other,
}

/// The program that this process runs.
pub fn program() -> Seen<Place> {
    let look = || -> Look<Place> {
        let proc = Proc::open()?;
        let exe = proc.enter("self")?.handle("exe")?;
        proc.place(&exe)
    };
    look().into()
}

/// Compares the program that this process runs with what is at `path`, through
/// symbolic links. Nothing there is [`Seen::Gone`]: an upgrade may be halfway.
///
/// `path` must be the one that it is started by, not the one that
/// [`program`] tells, which follows the old file.
pub fn installed(path: &Path) -> Seen<Installed> {
    match (FileId::of(path), program()) {
        (Seen::Known(there), Seen::Known(here)) if there == here.id => Seen::Known(Installed::Same),
        (Seen::Known(_), Seen::Known(_)) => Seen::Known(Installed::Other),
        (Seen::Unknown(why), _) | (_, Seen::Unknown(why)) => Seen::Unknown(why),
        (Seen::Gone, _) | (_, Seen::Gone) => Seen::Gone,
    }
}
