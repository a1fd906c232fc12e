//! A source that lies on this machine, as a tarball for a host that cannot get it by itself.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::folder::{self, Sink};
use super::{Source, git};
use crate::error::{Error, Trouble};

/// A source of this machine, as it was when it was looked at.
///
/// A branch may move while hosts are served one after the other: the commit that it means is decided once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pack {
    source: Source,
    /// The whole hash of the commit, of a repository.
    pub revision: Option<String>,
}

impl Pack {
    /// Decides what will be packed.
    pub fn new(source: &Source) -> Result<Self, Error> {
        let revision = match source {
            Source::Git { repository, reference } => {
                Some(git::commit_here(Path::new(repository), reference).map_err(Trouble::refused)?)
            }
            Source::Folder(_) | Source::Tarball(_) | Source::Received { .. } => None,
        };
        Ok(Self { source: source.clone(), revision })
    }

    /// Writes it as a tarball, a folder without `.git` and what is excluded. A tarball goes as it is.
    pub fn write(&self, exclude: &[String], out: &mut dyn Write) -> Result<(), Error> {
        let written = match (&self.source, &self.revision) {
            (Source::Git { repository, reference }, revision) => {
                git::archive_here(Path::new(repository), revision.as_ref().unwrap_or(reference), out)
            }
            (Source::Folder(from), _) => folder_as_tar(from, exclude, out),
            (Source::Tarball(file) | Source::Received { file, .. }, _) => as_it_is(file, out),
        };
        written.map_err(Trouble::refused)
    }
}

fn as_it_is(file: &Path, out: &mut dyn Write) -> Result<(), Trouble> {
    let trouble = |error| Trouble::io(format!("pass on `{}`", file.display()), &error);
    let mut opened = File::open(file).map_err(trouble)?;
    io::copy(&mut opened, out).map(|_| ()).map_err(trouble)
}

fn folder_as_tar(from: &Path, exclude: &[String], out: &mut dyn Write) -> Result<(), Trouble> {
    let mut packer = Packer { from, tar: Builder::new(out) };
    folder::pack(from, exclude, &mut packer)?;
    packer.tar.finish().map_err(|error| Trouble::io(format!("pack `{}`", from.display()), &error))
}

struct Packer<'a, W: Write> {
    from: &'a Path,
    tar: Builder<W>,
}

impl<W: Write> Packer<'_, W> {
    fn failed(&self, path: &Path, error: &io::Error) -> Trouble {
        Trouble::io(format!("pack `{}`", self.from.join(path).display()), error)
    }
}

impl<W: Write> Sink for Packer<'_, W> {
    fn folder(&mut self, path: &Path, mode: u32) -> Result<(), Trouble> {
        let mut header = header(EntryType::Directory, mode, 0);
        self.tar.append_data(&mut header, path, io::empty()).map_err(|error| self.failed(path, &error))
    }

    fn link(&mut self, path: &Path, text: &Path) -> Result<(), Trouble> {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        self.tar.append_link(&mut header, path, text).map_err(|error| self.failed(path, &error))
    }

    fn copy(&mut self, path: &Path, mode: u32, from: File) -> Result<(), Trouble> {
        let size = from.metadata().map_err(|error| self.failed(path, &error))?.len();
        let mut header = header(EntryType::Regular, mode, size);
        let mut counted = Counted { from: from.take(size), read: 0 };
        self.tar.append_data(&mut header, path, &mut counted).map_err(|error| self.failed(path, &error))?;
        if counted.read != size {
            return Err(Trouble::ours(
                format!("pack `{}`", self.from.join(path).display()),
                "it became shorter while it was read",
                "deploy from a folder that nobody writes to meanwhile",
            ));
        }
        Ok(())
    }
}

/// A tarball whose entry is shorter than was said of it would be read as another one.
struct Counted<R> {
    from: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.read += read as u64;
        Ok(read)
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o777);
    header.set_size(size);
    header
}
