//! `/proc` by handles: a folder that is held stays the same process.
//!
//! Once a process has ended, everything below a held `/proc/PID` is gone, also
//! if its number has been given to another. So what is read through one handle
//! is of one process.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::path::Arg;

use crate::file::{FileId, Place};
use crate::seen::{Blind, Lack, Look};

/// Opens without reading: neither waits nor needs to be allowed to read.
#[cfg(target_os = "linux")]
const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const HANDLE: OFlags = OFlags::CLOEXEC;

const DELETED: &[u8] = b" (deleted)";

/// A folder that is held.
pub(crate) struct Folder(OwnedFd);

/// `/proc`, and what this process itself has open.
pub(crate) struct Proc {
    all: Folder,
    own: Folder,
}

impl Folder {
    pub(crate) fn at(path: &Path) -> Look<Self> {
        Ok(Self(openat(CWD, path, HANDLE | OFlags::DIRECTORY, Mode::empty())?))
    }

    /// The folder `name` in it, or where the link `name` in it leads.
    pub(crate) fn enter(&self, name: impl Arg) -> Look<Self> {
        Ok(Self(openat(&self.0, name, HANDLE | OFlags::DIRECTORY, Mode::empty())?))
    }

    /// What the link `name` in it leads to, whatever that is.
    pub(crate) fn handle(&self, name: impl Arg) -> Look<OwnedFd> {
        Ok(openat(&self.0, name, HANDLE, Mode::empty())?)
    }

    /// What the link `name` in it says.
    pub(crate) fn link(&self, name: impl Arg) -> Look<PathBuf> {
        let text = readlinkat(&self.0, name, Vec::with_capacity(256))?;
        Ok(OsString::from_vec(text.into_bytes()).into())
    }

    /// The whole file `name` in it, which may have `most` bytes.
    pub(crate) fn read(&self, name: impl Arg, most: u64) -> Look<Vec<u8>> {
        let file = openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut bytes = Vec::with_capacity(1_024);
        let read = std::fs::File::from(file).take(most + 1).read_to_end(&mut bytes);
        read.map_err(|error| match rustix::io::Errno::from_io_error(&error) {
            Some(number) => number.into(),
            None => Lack::Blind(Blind::Failed(error.to_string())),
        })?;
        if bytes.len() as u64 > most {
            return Err(Lack::Blind(Blind::Failed(format!("it is longer than {most} bytes"))));
        }
        Ok(bytes)
    }

    /// The numbers that are names in the folder `name` in it: processes,
    /// threads, open files.
    pub(crate) fn numbers(&self, name: impl Arg) -> Look<Vec<i32>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut numbers = Vec::new();
        for entry in Dir::new(openat(&self.0, name, flags, Mode::empty())?)? {
            if let Ok(number) = OsStr::from_bytes(entry?.file_name().to_bytes()).to_string_lossy().parse() {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// What `name` in it is, where a link leads.
    pub(crate) fn stat(&self, name: impl Arg) -> Look<Stat> {
        Ok(statat(&self.0, name, AtFlags::empty())?)
    }

    /// What the name `name` in it stands for, not following a link.
    pub(crate) fn stat_of(&self, name: impl Arg) -> Look<FileId> {
        Ok(FileId::from(&statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    pub(crate) fn id(&self) -> Look<FileId> {
        Ok(FileId::from(&fstat(&self.0)?))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Proc {
    pub(crate) fn open() -> Look<Self> {
        let open = || -> Look<Self> {
            let all = Folder::at(Path::new("/proc"))?;
            let own = all.enter("self/fd")?;
            Ok(Self { all, own })
        };
        // Without it nothing is seen of anybody, which is not that nobody is there.
        open().map_err(|lack| match lack {
            Lack::Gone => Lack::Blind(Blind::Failed("there is no /proc of this process".to_owned())),
            Lack::Blind(why) => Lack::Blind(why),
        })
    }

    /// All processes that show themselves, by number.
    pub(crate) fn pids(&self) -> Look<Vec<i32>> {
        self.all.numbers(".")
    }

    pub(crate) fn enter(&self, name: impl Arg) -> Look<Folder> {
        self.all.enter(name)
    }

    pub(crate) fn read(&self, name: impl Arg, most: u64) -> Look<Vec<u8>> {
        self.all.read(name, most)
    }

    /// What is held by `handle`, and what it is called now.
    pub(crate) fn place(&self, handle: impl AsFd) -> Look<Place> {
        // In this order: what is deleted in between is then seen to be.
        let stat = fstat(&handle)?;
        let path = self.own.link(handle.as_fd().as_raw_fd().to_string())?;
        Ok(place(&stat, path))
    }
}

/// A file of which the kernel says that it is called `text`.
///
/// ` (deleted)` at the end may be the kernel's word or part of the name. It is
/// the name if the file still has one, and is found by it.
pub(crate) fn place(stat: &Stat, text: PathBuf) -> Place {
    let id = FileId::from(stat);
    match text.as_os_str().as_bytes().strip_suffix(DELETED) {
        Some(path) if stat.st_nlink == 0 || !is_at(id, &text) => {
            Place { id, path: OsStr::from_bytes(path).into(), deleted: true }
        }
        Some(_) | None => Place { id, path: text, deleted: false },
    }
}

fn is_at(id: FileId, path: &Path) -> bool {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| FileId::from(&stat) == id)
}
