//! Puts files into a new release.
//!
//! Everything is made through descriptors, and no link on the way is followed, so nothing that a source says can end up
//! outside the release.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, fchmod, linkat};

use super::folder::Sink;
use crate::dir::Dir;
use crate::error::Trouble;

/// A release that is being filled.
pub(super) struct Filler<'r> {
    root: &'r Dir,
    /// The folder that was used last, for most files lie beside the one before.
    last: Option<(PathBuf, Dir)>,
    /// The modes of folders, set at the end: one that is read-only could not be filled.
    modes: BTreeMap<PathBuf, u32>,
}

impl<'r> Filler<'r> {
    pub(super) fn new(root: &'r Dir) -> Self {
        Self { root, last: None, modes: BTreeMap::new() }
    }

    pub(super) fn folder(&mut self, path: &Path, mode: u32) -> Result<(), Trouble> {
        if is_root(path) {
            return Ok(());
        }
        let (parent, name) = self.place(path)?;
        if parent.dir(&name)?.is_none() {
            parent.make_new_dir(&name)?;
        }
        // The owner always gets in: otherwise nobody could remove it.
        self.modes.insert(inside(path)?, mode & 0o777 | 0o700);
        Ok(())
    }

    pub(super) fn file(&mut self, path: &Path, mode: u32, from: &mut impl Read) -> Result<(), Trouble> {
        let mut file = self.new_file(path)?;
        io::copy(from, &mut file).map_err(|error| self.failed("fill", path, &error))?;
        set_mode(&file, mode).map_err(|error| self.failed("set the mode of", path, &error))
    }

    /// The same from a file: where the file system can share the bytes, they are shared.
    pub(super) fn copy(&mut self, path: &Path, mode: u32, mut from: File) -> Result<(), Trouble> {
        let mut file = self.new_file(path)?;
        io::copy(&mut from, &mut file).map_err(|error| self.failed("fill", path, &error))?;
        set_mode(&file, mode).map_err(|error| self.failed("set the mode of", path, &error))
    }

    pub(super) fn link(&mut self, path: &Path, text: &Path) -> Result<(), Trouble> {
        let (parent, name) = self.place(path)?;
        parent.unlink_if_there(&name)?;
        parent.symlink(text, &name)
    }

    /// A second name for a file that is there already.
    pub(super) fn hard_link(&mut self, path: &Path, first: &Path) -> Result<(), Trouble> {
        let first = inside(first)?;
        let (from, from_name) = self.root.parent_of(&first)?;
        let (parent, name) = self.place(path)?;
        parent.unlink_if_there(&name)?;
        linkat(from.fd(), from_name, parent.fd(), &name, AtFlags::empty())
            .map_err(|error| parent.trouble("make the link", &name, error))
    }

    /// Sets the modes of the folders.
    pub(super) fn finish(self) -> Result<(), Trouble> {
        for (path, mode) in self.modes.iter().rev() {
            let (parent, name) = self.root.parent_of(path)?;
            let Some(dir) = parent.dir(name)? else { continue };
            fchmod(dir.fd(), Mode::from_raw_mode(*mode)).map_err(|e| dir.trouble("set the mode of", name, e))?;
        }
        Ok(())
    }

    fn new_file(&mut self, path: &Path) -> Result<File, Trouble> {
        self.root.point("fill");
        let (parent, name) = self.place(path)?;
        parent.unlink_if_there(&name)?;
        parent.new_file(&name)
    }

    fn place(&mut self, path: &Path) -> Result<(&Dir, PathBuf), Trouble> {
        let path = inside(path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        if self.last.as_ref().is_none_or(|(last, _)| *last != folder) {
            let (dir, _) = self.root.parent_of(&path)?;
            self.last = Some((folder, dir));
        }
        let (_, dir) = self.last.as_ref().expect("it was set just now");
        Ok((dir, path.file_name().map(PathBuf::from).unwrap_or_default()))
    }

    fn failed(&self, tried: &str, path: &Path, error: &io::Error) -> Trouble {
        Trouble::io(format!("{tried} `{}`", self.root.path().join(path).display()), error)
    }
}

impl Sink for Filler<'_> {
    fn folder(&mut self, path: &Path, mode: u32) -> Result<(), Trouble> {
        Filler::folder(self, path, mode)
    }

    fn link(&mut self, path: &Path, text: &Path) -> Result<(), Trouble> {
        Filler::link(self, path, text)
    }

    fn copy(&mut self, path: &Path, mode: u32, from: File) -> Result<(), Trouble> {
        Filler::copy(self, path, mode, from)
    }
}

/// Whether the path is the release itself.
pub(super) fn is_root(path: &Path) -> bool {
    path.components().all(|part| part == Component::CurDir)
}

/// The path without `.` in it; one that could lead out of the release is refused.
fn inside(path: &Path) -> Result<PathBuf, Trouble> {
    let stays = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays && path.file_name().is_some() {
        return Ok(path.components().filter(|part| *part != Component::CurDir).collect());
    }
    Err(Trouble::ours(
        format!("put {path:?} into the release"),
        "the path leads out of it",
        "see who made this source: such paths are how files elsewhere get overwritten",
    ))
}

fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    Ok(fchmod(file.as_fd(), Mode::from_raw_mode(mode & 0o777))?)
}
