//! The data folder: who may read it, and who owns it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

/// The lock that makes this process the only one to serve a folder. It ends when
/// it is dropped, and with the process, however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why a folder cannot be owned.
#[derive(Debug)]
pub(super) enum NotOwned {
    /// Another process owns it; its id, if it wrote that down.
    Held(Option<u32>),
    Io(io::Error),
}

/// Makes the folder, for nobody else to look into.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Creates a file, for nobody else to look into; one that is there is emptied.
pub(super) fn create(path: &Path) -> io::Result<File> {
    options().create(true).truncate(true).open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes names in a folder durable.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Owns a folder.
///
/// The lock is on a file of its own: opening and closing the database's by hand
/// would drop SQLite's locks on it.
pub(super) fn own(folder: &Path) -> Result<Lock, NotOwned> {
    let path = folder.join("lock");
    let mut file = options().read(true).create(true).truncate(false).open(&path).map_err(NotOwned::Io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(NotOwned::Io)?;
            return Err(NotOwned::Held(pid.trim().parse().ok()));
        }
        Err(TryLockError::Error(error)) => return Err(NotOwned::Io(error)),
    }
    file.set_len(0).map_err(NotOwned::Io)?;
    writeln!(file, "{}", std::process::id()).map_err(NotOwned::Io)?;
    Ok(Lock { _file: file })
}
