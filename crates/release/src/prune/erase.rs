//! Deletes a directory and what lies in it.
//!
//! By descriptors all the way down: no link is followed and no other file system is entered, whatever happens to the
//! names meanwhile. What cannot be deleted is named, and the rest is deleted all the same.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::dir::{Dir, bytes_to_path, is_dir};

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Erased {
    /// What it took on the disk, as far as it is gone.
    pub(crate) bytes: u64,
    /// What could not be deleted, one line for each. At most [`Erased::MAX_STUCK`].
    pub(crate) stuck: Vec<String>,
}

impl Erased {
    const MAX_STUCK: usize = 50;

    fn stuck(&mut self, path: &Path, why: impl std::fmt::Display) {
        if self.stuck.len() < Self::MAX_STUCK {
            self.stuck.push(format!("`{}`: {why}", path.display()));
        }
    }
}

/// How deep it goes: each folder on the way is an open descriptor.
const DEEPEST: usize = 250;
const ENTER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Deletes `name` in `parent`, whatever it is.
pub(crate) fn erase(parent: &Dir, name: &Path) -> Erased {
    let mut erased = Erased::default();
    let path = parent.path().join(name);
    match parent.again() {
        Ok(opened) => erase_entry(&opened, opened.fd().as_fd(), name, &path, 0, &mut erased),
        Err(trouble) => erased.stuck(&path, trouble),
    }
    erased
}

fn erase_entry(
    moments: &Dir,
    parent: std::os::fd::BorrowedFd<'_>,
    name: &Path,
    path: &Path,
    depth: usize,
    erased: &mut Erased,
) {
    let stat = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return,
        Err(error) => return erased.stuck(path, error),
    };
    let flags = if is_dir(&stat) {
        if depth >= DEEPEST {
            return erased.stuck(path, format_args!("it lies more than {DEEPEST} folders deep"));
        }
        match enter(parent, name) {
            Ok(dir) => erase_contents(moments, &dir, path, depth, erased),
            Err(Errno::XDEV) => return erased.stuck(path, "another file system is mounted there"),
            Err(error) => return erased.stuck(path, error),
        }
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    moments.point("erase");
    match unlink(parent, name, flags) {
        Ok(()) if is_dir(&stat) || stat.st_nlink == 1 => {
            erased.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        }
        Ok(()) | Err(Errno::NOENT) => {}
        // What is in it was said to be stuck already.
        Err(Errno::NOTEMPTY) if !erased.stuck.is_empty() => {}
        Err(error) => erased.stuck(path, error),
    }
}

fn erase_contents(moments: &Dir, dir: &OwnedFd, path: &Path, depth: usize, erased: &mut Erased) {
    let names = match names(dir) {
        Ok(names) => names,
        Err(error) => return erased.stuck(path, error),
    };
    for name in names {
        erase_entry(moments, dir.as_fd(), &name, &path.join(&name), depth + 1, erased);
    }
}

/// Opens a folder in `parent`: never through a link, never on another file system. One that its owner cannot read is
/// made readable.
fn enter(parent: std::os::fd::BorrowedFd<'_>, name: &Path) -> Result<OwnedFd, Errno> {
    match open_beneath(parent, name, ENTER) {
        Err(Errno::ACCESS) => {
            let path_only = open_beneath(parent, name, ENTER | OFlags::PATH)?;
            open_up(&path_only)?;
            open_beneath(parent, name, ENTER)
        }
        opened => opened,
    }
}

fn open_beneath(parent: std::os::fd::BorrowedFd<'_>, name: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match fs::openat2(parent, name, flags, Mode::empty(), beneath) {
        // Before Linux 5.6, or where a sandbox does not know it.
        Err(Errno::NOSYS | Errno::PERM) => {
            let opened = fs::openat(parent, name, flags, Mode::empty())?;
            if fs::fstat(&opened)?.st_dev != fs::fstat(parent)?.st_dev {
                return Err(Errno::XDEV);
            }
            Ok(opened)
        }
        opened => opened,
    }
}

/// Removes one name; in a folder that is read-only, once more after it was made writable.
fn unlink(parent: std::os::fd::BorrowedFd<'_>, name: &Path, flags: AtFlags) -> Result<(), Errno> {
    match fs::unlinkat(parent, name, flags) {
        Err(Errno::ACCESS) => {
            fs::fchmod(parent, Mode::from_raw_mode(0o700))?;
            fs::unlinkat(parent, name, flags)
        }
        done => done,
    }
}

/// Gives its owner every right to a folder that is open by path only.
fn open_up(dir: &OwnedFd) -> Result<(), Errno> {
    let name = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    fs::chmod(&name, Mode::from_raw_mode(0o700))
}

fn names(dir: &OwnedFd) -> Result<Vec<PathBuf>, Errno> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(bytes_to_path(name));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::Arc;

    use super::*;
    use crate::crash::Never;

    #[test]
    fn links_are_removed_and_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("precious"), "x").unwrap();
        let doomed = folder.path().join("doomed/a/b");
        std::fs::create_dir_all(&doomed).unwrap();
        symlink(outside.path(), doomed.join("out")).unwrap();
        symlink("loop", doomed.join("loop")).unwrap();
        std::fs::write(doomed.join("file"), vec![0; 9_000]).unwrap();
        let parent = Dir::open(folder.path(), Arc::new(Never)).unwrap();
        let erased = erase(&parent, Path::new("doomed"));
        assert!(erased.stuck.is_empty(), "{erased:?}");
        assert!(erased.bytes >= 9_000, "{erased:?}");
        assert!(!folder.path().join("doomed").exists());
        assert!(outside.path().join("precious").exists());
    }

    #[test]
    fn folders_without_rights_are_removed_by_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("doomed/closed");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(inner.join("file"), "x").unwrap();
        for (path, mode) in [(inner.clone(), 0o000), (folder.path().join("doomed"), 0o555)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let parent = Dir::open(folder.path(), Arc::new(Never)).unwrap();
        let erased = erase(&parent, Path::new("doomed"));
        assert!(erased.stuck.is_empty() && !folder.path().join("doomed").exists(), "{erased:?}");
    }
}
