//! A folder, copied into a release or packed for another host.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::Trouble;
use crate::tree::Tree;

/// How deep a source may go.
const DEEPEST: usize = 200;

/// Where the files of a folder go.
pub(super) trait Sink {
    fn folder(&mut self, path: &Path, mode: u32) -> Result<(), Trouble>;
    fn link(&mut self, path: &Path, text: &Path) -> Result<(), Trouble>;
    fn copy(&mut self, path: &Path, mode: u32, from: File) -> Result<(), Trouble>;
}

/// Copies what lies in `from`, but for `.git` and what is excluded.
pub(super) fn copy(from: &Path, tree: &Tree, exclude: &[String], sink: &mut dyn Sink) -> Result<(), Trouble> {
    let real = real(from)?;
    if let Ok(root) = tree.root().canonicalize()
        && root.starts_with(&real)
    {
        return Err(Trouble::ours(
            format!("copy `{}`", from.display()),
            format!("the tree of releases `{}` lies inside it, and would be copied into itself", root.display()),
            "deploy from a folder that does not hold the tree",
        ));
    }
    copy_below(&real, Path::new(""), exclude, sink, 0)
}

/// The same where there is no tree that could lie inside it.
pub(super) fn pack(from: &Path, exclude: &[String], sink: &mut dyn Sink) -> Result<(), Trouble> {
    copy_below(&real(from)?, Path::new(""), exclude, sink, 0)
}

fn real(from: &Path) -> Result<PathBuf, Trouble> {
    from.canonicalize().map_err(|error| Trouble::io(format!("read `{}`", from.display()), &error))
}

fn copy_below(from: &Path, below: &Path, exclude: &[String], sink: &mut dyn Sink, depth: usize) -> Result<(), Trouble> {
    let here = from.join(below);
    let trouble = |error: std::io::Error| Trouble::io(format!("read `{}`", here.display()), &error);
    if depth > DEEPEST {
        return Err(Trouble::ours(
            format!("copy `{}`", here.display()),
            format!("it lies more than {DEEPEST} folders deep"),
            "see how it got so deep, or exclude it",
        ));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&here).map_err(trouble)? {
        names.push(entry.map_err(trouble)?.file_name());
    }
    names.sort();
    for name in names {
        let path = below.join(&name);
        if name == ".git" || exclude.iter().any(|out| is_excluded(out, &path)) {
            continue;
        }
        let full = from.join(&path);
        let trouble = |error: std::io::Error| Trouble::io(format!("read `{}`", full.display()), &error);
        let found = fs::symlink_metadata(&full).map_err(trouble)?;
        let kind = found.file_type();
        if kind.is_dir() {
            sink.folder(&path, found.mode())?;
            copy_below(from, &path, exclude, sink, depth + 1)?;
        } else if kind.is_symlink() {
            sink.link(&path, &fs::read_link(&full).map_err(trouble)?)?;
        } else if kind.is_file() {
            let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
            let file: File = fs::OpenOptions::new().read(true).custom_flags(flags).open(&full).map_err(trouble)?;
            sink.copy(&path, found.mode(), file)?;
        } else {
            return Err(Trouble::ours(
                format!("copy `{}`", full.display()),
                "it is a socket, a pipe or a device, and means nothing in another place",
                "remove it, or exclude it",
            ));
        }
    }
    Ok(())
}

/// By its name, or by its path from the source's root.
fn is_excluded(out: &str, path: &Path) -> bool {
    let out = Path::new(out.trim_start_matches("./").trim_matches('/'));
    path == out || path.file_name().is_some_and(|name| Path::new(name) == out)
}
