//! A directory by its descriptor.
//!
//! What lies below is named relative to the descriptor, so it does not matter who renames what above it meanwhile. No
//! name is ever followed through a symbolic link unless a method says so. Each change is a moment at which everything
//! may end, and is said to be one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::crash::Crash;
use crate::error::Trouble;
use crate::id::FileId;

/// An open directory.
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
    crash: Arc<dyn Crash>,
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
/// What new directories are made with, before the umask.
pub(crate) const FOLDER_MODE: u32 = 0o777;

/// How the name of a file ends that is about to take the place of another.
pub(crate) const DRAFT: &str = ".draft";

impl Dir {
    /// Opens the directory at `path`, through links.
    pub(crate) fn open(path: &Path, crash: Arc<dyn Crash>) -> Result<Self, Errno> {
        let fd = fs::open(path, DIRECTORY | OFlags::PATH, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned(), crash })
    }

    /// The same directory, with someone else who hears of each moment.
    pub(crate) fn with_crash(self, crash: Arc<dyn Crash>) -> Self {
        Self { crash, ..self }
    }

    /// Its path, for people.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn crash(&self) -> Arc<dyn Crash> {
        Arc::clone(&self.crash)
    }

    pub(crate) fn point(&self, name: &str) {
        self.crash.point(name);
    }

    pub(crate) fn file_id(&self) -> Result<FileId, Trouble> {
        fs::fstat(&self.fd).map(|stat| file_id(&stat)).map_err(|e| self.trouble("look at", Path::new(""), e))
    }

    /// Opens a directory in it for reading; `None` if it is not there.
    pub(crate) fn dir(&self, name: impl AsRef<Path>) -> Result<Option<Self>, Trouble> {
        self.open_dir(name.as_ref(), OFlags::NOFOLLOW)
    }

    /// The same, through links.
    pub(crate) fn dir_through_links(&self, name: impl AsRef<Path>) -> Result<Option<Self>, Trouble> {
        self.open_dir(name.as_ref(), OFlags::empty())
    }

    fn open_dir(&self, name: &Path, more: OFlags) -> Result<Option<Self>, Trouble> {
        match fs::openat(&self.fd, name, DIRECTORY | OFlags::RDONLY | more, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name), crash: Arc::clone(&self.crash) })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.trouble("open", name, error)),
        }
    }

    /// Opens a directory in it, and makes it if it is not there. A link is followed.
    pub(crate) fn make_dir(&self, name: impl AsRef<Path>) -> Result<Self, Trouble> {
        let name = name.as_ref();
        if let Some(there) = self.dir_through_links(name)? {
            return Ok(there);
        }
        self.point("mkdir");
        match fs::mkdirat(&self.fd, name, Mode::from_raw_mode(FOLDER_MODE)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(self.trouble("make the directory", name, error)),
        }
        self.point("mkdir done");
        self.dir_through_links(name)?.ok_or_else(|| self.trouble("open", name, Errno::NOENT))
    }

    /// Makes a directory that must not be there yet.
    pub(crate) fn make_new_dir(&self, name: impl AsRef<Path>) -> Result<Self, Trouble> {
        let name = name.as_ref();
        self.point("mkdir");
        fs::mkdirat(&self.fd, name, Mode::from_raw_mode(FOLDER_MODE))
            .map_err(|error| self.trouble("make the directory", name, error))?;
        self.point("mkdir done");
        self.dir(name)?.ok_or_else(|| self.trouble("open", name, Errno::NOENT))
    }

    /// The directory that `path` lies in, and its name there. What is missing on the way is made; a link on the way is
    /// refused.
    pub(crate) fn parent_of<'a>(&self, path: &'a Path) -> Result<(Self, &'a Path), Trouble> {
        let name = path.file_name().ok_or_else(|| self.trouble("name", path, Errno::INVAL))?;
        let mut at = self.again()?;
        for part in path.parent().into_iter().flat_map(Path::components) {
            let Component::Normal(part) = part else { return Err(self.trouble("enter", path, Errno::INVAL)) };
            at = match at.dir(part)? {
                Some(there) => there,
                None => at.make_new_dir(part)?,
            };
        }
        Ok((at, Path::new(name)))
    }

    /// The same directory, opened anew for reading.
    pub(crate) fn again(&self) -> Result<Self, Trouble> {
        self.dir(".")?
            .map(|dir| Self { path: self.path.clone(), ..dir })
            .ok_or_else(|| self.trouble("open", Path::new(""), Errno::NOENT))
    }

    /// What stands under this name; `None` if nothing does.
    pub(crate) fn stat(&self, name: impl AsRef<Path>) -> Result<Option<Stat>, Trouble> {
        self.stat_with(name.as_ref(), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// What a name leads to, through links; `None` if to nothing.
    pub(crate) fn stat_through_links(&self, name: impl AsRef<Path>) -> Result<Option<Stat>, Trouble> {
        self.stat_with(name.as_ref(), AtFlags::empty())
    }

    fn stat_with(&self, name: &Path, flags: AtFlags) -> Result<Option<Stat>, Trouble> {
        match fs::statat(&self.fd, name, flags) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.trouble("look at", name, error)),
        }
    }

    /// The text of a link; `None` if there is no link under this name.
    pub(crate) fn link_text(&self, name: impl AsRef<Path>) -> Result<Option<PathBuf>, Trouble> {
        let name = name.as_ref();
        match fs::readlinkat(&self.fd, name, Vec::new()) {
            Ok(text) => Ok(Some(bytes_to_path(text.into_bytes()))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(self.trouble("read the link", name, error)),
        }
    }

    /// The names in it, sorted, without those two that every directory has.
    pub(crate) fn names(&self) -> Result<Vec<PathBuf>, Trouble> {
        let failed = |error| self.trouble("list", Path::new(""), error);
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(bytes_to_path(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// At most the first `most` bytes of a file as text; `None` if it is not there or is no file.
    pub(crate) fn read(&self, name: impl AsRef<Path>, most: u64) -> Result<Option<String>, Trouble> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(self.trouble("read", name, error)),
        };
        let mut bytes = Vec::new();
        match file.take(most).read_to_end(&mut bytes) {
            Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => Ok(None),
            Err(error) => Err(Trouble::io(format!("read `{}`", self.path.join(name).display()), &error)),
        }
    }

    /// Opens a file for reading and writing, and makes it if it is not there.
    pub(crate) fn open_file(&self, name: &str) -> Result<File, Trouble> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        self.point("open file");
        let fd = fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o666))
            .map_err(|error| self.trouble("write", Path::new(name), error))?;
        self.point("open file done");
        Ok(File::from(fd))
    }

    /// Makes a file that must not be there yet.
    pub(crate) fn new_file(&self, name: impl AsRef<Path>) -> Result<File, Trouble> {
        let name = name.as_ref();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o666))
            .map_err(|error| self.trouble("write", name, error))?;
        Ok(File::from(fd))
    }

    /// Replaces a file as a whole: afterwards it is the old or the new one, also after a power cut.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Trouble> {
        let draft = format!(".{name}{DRAFT}");
        self.unlink_if_there(&draft)?;
        self.point("write");
        let mut file = self.new_file(&draft)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            self.unlink_if_there(&draft).ok();
            return Err(Trouble::io(format!("write `{}`", self.path.join(name).display()), &error));
        }
        self.rename(&draft, name)?;
        self.sync()
    }

    /// Adds a line to a file.
    pub(crate) fn append(&self, name: &str, line: &str) -> Result<(), Trouble> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        self.point("append");
        let fd = fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o666))
            .map_err(|error| self.trouble("write", Path::new(name), error))?;
        let mut file = File::from(fd);
        file.write_all(format!("{line}\n").as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|error| Trouble::io(format!("write `{}`", self.path.join(name).display()), &error))?;
        self.point("append done");
        Ok(())
    }

    pub(crate) fn symlink(&self, text: &Path, name: impl AsRef<Path>) -> Result<(), Trouble> {
        let name = name.as_ref();
        self.point("symlink");
        fs::symlinkat(text, &self.fd, name).map_err(|error| self.trouble("make the link", name, error))?;
        self.point("symlink done");
        Ok(())
    }

    pub(crate) fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), Trouble> {
        self.rename_into(from, self, to)
    }

    pub(crate) fn rename_into(&self, from: impl AsRef<Path>, into: &Self, to: impl AsRef<Path>) -> Result<(), Trouble> {
        let (from, to) = (from.as_ref(), to.as_ref());
        self.point("rename");
        fs::renameat(&self.fd, from, &into.fd, to).map_err(|error| {
            let to = into.path.join(to);
            Trouble::system(format!("rename `{}` to `{}`", self.path.join(from).display(), to.display()), error)
        })?;
        self.point("rename done");
        Ok(())
    }

    pub(crate) fn unlink(&self, name: impl AsRef<Path>) -> Result<(), Trouble> {
        let name = name.as_ref();
        self.point("unlink");
        fs::unlinkat(&self.fd, name, AtFlags::empty()).map_err(|error| self.trouble("remove", name, error))?;
        self.point("unlink done");
        Ok(())
    }

    pub(crate) fn unlink_if_there(&self, name: impl AsRef<Path>) -> Result<(), Trouble> {
        let name = name.as_ref();
        if self.stat(name)?.is_some() { self.unlink(name) } else { Ok(()) }
    }

    /// Has the system write down which names are in it.
    pub(crate) fn sync(&self) -> Result<(), Trouble> {
        self.point("fsync");
        let opened = self.again()?;
        match fs::fsync(&opened.fd) {
            // Some file systems know no such thing for directories.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(self.trouble("write to the disk", Path::new(""), error)),
        }
        self.point("fsync done");
        Ok(())
    }

    pub(crate) fn trouble(&self, tried: &str, name: &Path, error: Errno) -> Trouble {
        let path = if name.as_os_str().is_empty() { self.path.clone() } else { self.path.join(name) };
        Trouble::system(format!("{tried} `{}`", path.display()), error)
    }
}

pub(crate) fn file_id(stat: &Stat) -> FileId {
    FileId { dev: stat.st_dev, ino: stat.st_ino }
}

pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(crate) fn is_dir(stat: &Stat) -> bool {
    kind(stat) == FileType::Directory
}

pub(crate) fn bytes_to_path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes))
}
