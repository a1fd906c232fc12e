//! Room on the disk: how much is left, and the reserve.
//!
//! Pushes stop at a floor. What frees room (ends, cancels, deletes) goes on: for
//! when even that finds no room, a file of some megabytes is kept, really
//! written, and given up.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long an answer of the disk counts.
const FRESH: Duration = Duration::from_millis(100);

/// The room that a store has.
pub(super) struct Space {
    folder: PathBuf,
    floor: u64,
    reserve: u64,
    last: Mutex<Option<(Instant, u64)>>,
}

/// Too little room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) free: u64,
    pub(super) floor: u64,
}

impl Space {
    pub(super) fn new(folder: PathBuf, floor: u64, reserve: u64) -> Self {
        Self { folder, floor, reserve, last: Mutex::new(None) }
    }

    /// Whether there is too little room for more jobs. Asks the disk at most ten
    /// times a second. A disk that does not answer has room.
    pub(super) fn short(&self) -> Option<Short> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let free = match *last {
            Some((at, free)) if at.elapsed() < FRESH => free,
            Some(_) | None => {
                let free = rustix::fs::statvfs(&self.folder)
                    .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
                *last = Some((Instant::now(), free));
                free
            }
        };
        (free < self.floor).then_some(Short { free, floor: self.floor })
    }

    /// Forgets what the disk said last.
    pub(super) fn look_again(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the reserve is there.
    pub(super) fn has_reserve(&self) -> bool {
        self.reserve == 0 || fs::metadata(self.path()).is_ok_and(|file| file.len() >= self.reserve)
    }

    /// Gives the reserve up.
    pub(super) fn release_reserve(&self) {
        match fs::remove_file(self.path()) {
            Ok(()) => tracing::warn!(folder = %self.folder.display(), "the disk is full: the reserve was given up"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "the disk is full, and the reserve cannot be given up"),
        }
        self.look_again();
    }

    /// Makes the reserve if there is room for it above the floor, and answers
    /// whether it is there.
    pub(super) fn restore_reserve(&self) -> bool {
        if self.has_reserve() {
            return true;
        }
        if self.short().is_some() {
            return false;
        }
        let made = self.make_reserve();
        if let Err(error) = &made {
            tracing::warn!(%error, "the reserve cannot be made");
            drop(fs::remove_file(self.path()));
        }
        self.look_again();
        made.is_ok() && self.short().is_none()
    }

    /// Written, and not only claimed, so that it is there on every file system.
    fn make_reserve(&self) -> io::Result<()> {
        let mut file = super::folder::create(&self.path())?;
        let zeros = [0; 1 << 16];
        let mut left = self.reserve;
        while left > 0 {
            let part = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
            file.write_all(&zeros[..part])?;
            left -= part as u64;
        }
        File::sync_all(&file)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("reserve")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_made_given_up_and_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let space = Space::new(folder.path().to_owned(), 0, 100_000);
        assert!(!space.has_reserve());
        assert!(space.restore_reserve());
        assert_eq!(fs::metadata(folder.path().join("reserve")).unwrap().len(), 100_000);
        space.release_reserve();
        assert!(!space.has_reserve());
        assert!(space.restore_reserve());
    }

    #[test]
    fn below_the_floor_there_is_too_little_room_and_no_reserve_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let space = Space::new(folder.path().to_owned(), u64::MAX, 100_000);
        assert_eq!(space.short().map(|short| short.floor), Some(u64::MAX));
        assert!(!space.restore_reserve());
        assert!(!folder.path().join("reserve").exists());
    }
}
