//! A release that somebody is in.
//!
//! Whoever works in a release holds a shared kernel lock on its directory, and every process that it starts inherits
//! it. The lock is gone with the last of them, whatever becomes of them. Pruning takes the exclusive one first. Where
//! the file system knows no locks on directories, a file in `.aloud/leases/` is locked instead, by the same rule.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, mkdir, open, stat};
use rustix::io::Errno;

use crate::dir::{Dir, file_id};
use crate::error::Trouble;
use crate::id::{FileId, ReleaseId};
use crate::prune::TRASH;

/// Why a release cannot be held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// There is nothing at that path, or something else than was expected. Resolve `current` again.
    #[error("the release is not there any more")]
    Gone,
    /// It is being removed at this moment.
    #[error("the release is being removed")]
    Removing,
    /// The system refused.
    #[error("the release cannot be held: {0}")]
    System(String),
}

/// How often, and how far apart, a release is tried that somebody has for himself: a pruner looks for a moment whether
/// anybody is in it.
const TRIES: u32 = 100;
const BETWEEN: Duration = Duration::from_millis(10);
const LEASES: &str = ".aloud/leases";

/// Holds the release at `path`, for as long as the descriptor, or a copy that a process inherited, is open.
///
/// What is held is the directory that was expected, and it was not on its way out when it was held. The descriptor is
/// closed when a program is executed, unless that is changed. It may wait for a second.
pub fn hold(path: &Path, expected: FileId) -> Result<OwnedFd, Gone> {
    let system = |error: Errno| match error {
        Errno::NOENT | Errno::NOTDIR => Gone::Gone,
        error => Gone::System(format!("{error} (`{}`)", path.display())),
    };
    let dir = open_dir(path).map_err(system)?;
    if fstat(&dir).map(|stat| file_id(&stat)).map_err(system)? != expected {
        return Err(Gone::Gone);
    }
    let mut tries = 0;
    let held = loop {
        match lock(dir.as_fd(), path, FlockOperation::NonBlockingLockShared, flock_dir) {
            Ok(None) => break dir,
            Ok(Some(instead)) => break instead,
            Err(Errno::WOULDBLOCK | Errno::INTR) if tries < TRIES => {
                tries += 1;
                std::thread::sleep(BETWEEN);
            }
            Err(Errno::WOULDBLOCK) => return Err(Gone::Removing),
            Err(error) => return Err(system(error)),
        }
    };
    // It may have been moved away between the look and the lock.
    let still = stat(path).map(|stat| file_id(&stat)).map_err(system)?;
    if still == expected { Ok(held) } else { Err(Gone::Gone) }
}

/// A release that nobody else can be in, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Alone(OwnedFd);

impl Drop for Alone {
    fn drop(&mut self) {
        // Not left to the closing: a process that is being started at this moment has a copy of the descriptor.
        if let Err(error) = flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!(%error, "a release was not given back before its directory was closed");
        }
    }
}

/// Takes a release for oneself; `None` if somebody is in it.
pub(crate) fn take(path: &Path) -> Result<Option<Alone>, Errno> {
    let dir = open_dir(path)?;
    match lock(dir.as_fd(), path, FlockOperation::NonBlockingLockExclusive, flock_dir) {
        Ok(None) => Ok(Some(Alone(dir))),
        Ok(Some(instead)) => Ok(Some(Alone(instead))),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes what was locked in the stead of a release that is gone.
pub(crate) fn forget(own: &Dir, id: &ReleaseId) -> Result<(), Trouble> {
    match own.dir("leases")? {
        Some(leases) => leases.unlink_if_there(id.file_name()),
        None => Ok(()),
    }
}

fn open_dir(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
}

fn flock_dir(dir: std::os::fd::BorrowedFd<'_>, operation: FlockOperation) -> Result<(), Errno> {
    flock(dir, operation)
}

/// Locks the directory; where that cannot be, a file in its stead, which is answered.
fn lock(
    dir: std::os::fd::BorrowedFd<'_>,
    path: &Path,
    operation: FlockOperation,
    on_dir: impl Fn(std::os::fd::BorrowedFd<'_>, FlockOperation) -> Result<(), Errno>,
) -> Result<Option<OwnedFd>, Errno> {
    match on_dir(dir, operation) {
        Ok(()) => Ok(None),
        Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL | Errno::BADF | Errno::NOSYS) => {
            let file = stand_in(path)?;
            flock(&file, operation)?;
            Ok(Some(file))
        }
        Err(error) => Err(error),
    }
}

/// The file that is locked for the release at `path`.
fn stand_in(path: &Path) -> Result<OwnedFd, Errno> {
    let (Some(name), Some(root)) = (path.file_name(), path.parent().and_then(Path::parent)) else {
        return Err(Errno::INVAL);
    };
    let name = name.to_str().ok_or(Errno::INVAL)?;
    // What is being removed is locked under the name that it had.
    let id: ReleaseId = name.strip_prefix(TRASH).unwrap_or(name).parse().map_err(|_| Errno::INVAL)?;
    let folder = root.join(LEASES);
    match mkdir(&folder, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    open(folder.join(id.file_name()), flags, Mode::from_raw_mode(0o666))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, std::path::PathBuf, FileId) {
        let root = tempfile::tempdir().unwrap();
        let release = root.path().join("releases/7");
        std::fs::create_dir_all(&release).unwrap();
        std::fs::create_dir(root.path().join(".aloud")).unwrap();
        let id = file_id(&stat(&release).unwrap());
        (root, release, id)
    }

    #[test]
    fn who_is_in_a_release_is_seen_and_two_may_be() {
        let (_root, release, id) = tree();
        let first = hold(&release, id).unwrap();
        let second = hold(&release, id).unwrap();
        assert!(take(&release).unwrap().is_none());
        drop(first);
        assert!(take(&release).unwrap().is_none());
        drop(second);
        assert!(take(&release).unwrap().is_some());
    }

    #[test]
    fn what_is_gone_or_another_one_is_not_held() {
        let (root, release, id) = tree();
        let moved = root.path().join("releases/.trash-7");
        std::fs::rename(&release, moved).unwrap();
        assert_eq!(hold(&release, id).unwrap_err(), Gone::Gone);
        std::fs::create_dir(&release).unwrap();
        assert_eq!(hold(&release, id).unwrap_err(), Gone::Gone, "a new directory with the old name");
    }

    #[test]
    fn what_is_being_removed_is_not_held() {
        let (_root, release, id) = tree();
        let _taken = take(&release).unwrap().unwrap();
        assert_eq!(hold(&release, id).unwrap_err(), Gone::Removing);
    }

    #[test]
    fn what_was_moved_away_while_one_waited_for_it_is_not_held() {
        let (root, release, id) = tree();
        let opened = || {
            let fds = std::fs::read_dir("/proc/self/fd").unwrap();
            fds.filter(|fd| std::fs::read_link(fd.as_ref().unwrap().path()).is_ok_and(|to| to == release)).count()
        };
        let alone = take(&release).unwrap().unwrap();
        let held = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| hold(&release, id));
            while opened() < 2 {
                assert!(!waiting.is_finished(), "it did not wait");
                std::thread::yield_now();
            }
            std::fs::rename(&release, root.path().join("releases/.trash-7")).unwrap();
            std::fs::create_dir(&release).unwrap();
            drop(alone);
            waiting.join().unwrap()
        });
        assert_eq!(held.unwrap_err(), Gone::Gone);
    }

    #[test]
    fn where_directories_cannot_be_locked_a_file_is() {
        let (root, release, _) = tree();
        let refuse = |_: std::os::fd::BorrowedFd<'_>, _| Err(Errno::NOLCK);
        let dir = open_dir(&release).unwrap();
        let shared = FlockOperation::NonBlockingLockShared;
        let held = lock(dir.as_fd(), &release, shared, refuse).unwrap();
        assert!(held.is_some() && root.path().join(".aloud/leases/7").exists());
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        assert_eq!(lock(dir.as_fd(), &release, exclusive, refuse).unwrap_err(), Errno::WOULDBLOCK);
        drop(held);
        let trash = root.path().join("releases/.trash-7");
        std::fs::rename(&release, &trash).unwrap();
        let held = lock(dir.as_fd(), &trash, exclusive, refuse).unwrap();
        assert!(held.is_some(), "under the name that it had");
        assert_eq!(lock(dir.as_fd(), &release, shared, refuse).unwrap_err(), Errno::WOULDBLOCK);
        let own = Dir::open(&root.path().join(".aloud"), std::sync::Arc::new(crate::crash::Never)).unwrap();
        forget(&own, &"7".parse().unwrap()).unwrap();
        assert!(!root.path().join(".aloud/leases/7").exists());
    }
}
