//! In which target a file or folder lies.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::file::FileId;
use crate::proc::Folder;
use crate::seen::{Blind, Lack, Look};
use crate::targets::Targets;

/// Finds targets upwards from folders, and remembers the way for one scan.
pub(super) struct Homes<'a> {
    targets: &'a Targets,
    /// Folders that lie in a target. Those that do not are looked up each time:
    /// mounted elsewhere, the same folder may have other folders above it.
    inside: HashMap<FileId, FileId>,
    /// Files that are where they are called, seen from our root.
    files: HashMap<(PathBuf, FileId), Vec<FileId>>,
}

/// The most folders that lie in each other. More can be made, but not by a path
/// that the system accepts.
const MAX_FOLDERS: usize = 4_096;

impl<'a> Homes<'a> {
    pub(super) fn new(targets: &'a Targets) -> Self {
        Self { targets, inside: HashMap::new(), files: HashMap::new() }
    }

    /// The innermost target that `folder` is or lies in.
    ///
    /// Goes up by `..`, which knows no names: it works after a rename, and in a
    /// folder that is deleted.
    pub(super) fn of_folder(&mut self, folder: &Folder) -> Look<Vec<FileId>> {
        Ok(self.above(folder)?.into_iter().collect())
    }

    fn above(&mut self, folder: &Folder) -> Look<Option<FileId>> {
        let mut way = vec![folder.id()?];
        let mut above: Option<Folder> = None;
        for _ in 0..MAX_FOLDERS {
            let here = way[way.len() - 1];
            let target = if self.targets.has(here) { Some(here) } else { self.inside.get(&here).copied() };
            if let Some(target) = target {
                self.inside.extend(way.into_iter().map(|folder| (folder, target)));
                return Ok(Some(target));
            }
            let next = above.as_ref().unwrap_or(folder).enter("..").map_err(still_there)?;
            let id = next.id()?;
            if id == here {
                return Ok(None);
            }
            way.push(id);
            above = Some(next);
        }
        Err(Lack::Blind(Blind::Failed(format!("it lies {MAX_FOLDERS} folders deep"))))
    }

    /// Where the file lies that the kernel calls `text`, also with ` (deleted)`,
    /// for a process whose root is `root`.
    pub(super) fn of_file(&mut self, file: FileId, text: &Path, root: &Look<Folder>) -> Look<Home> {
        let key = (text.to_owned(), file);
        if let Some(known) = self.files.get(&key) {
            return Ok(Home { targets: known.clone(), deleted: false });
        }
        let our_root = Folder::at(Path::new("/"));
        let ours = self.by_name(&our_root, file, text);
        if let Ok(Named { target, is_it: true }) = ours {
            let targets: Vec<_> = target.into_iter().collect();
            self.files.insert(key, targets.clone());
            return Ok(Home { targets, deleted: false });
        }
        let theirs = self.by_name(root, file, text);
        if let Ok(Named { target, is_it: true }) = theirs {
            return Ok(Home { targets: target.into_iter().collect(), deleted: false });
        }
        if let Some(path) = without_deleted(text) {
            return Ok(Home { targets: self.of_deleted(path)?, deleted: true });
        }
        // What it is called leads to another file. Some file systems number a
        // file in two ways, so that may still be the one.
        let mut targets = self.targets.around(text);
        match (theirs, ours) {
            (Ok(named), _) | (Err(_), Ok(named)) => targets.extend(named.target.filter(|one| !targets.contains(one))),
            (Err(_), Err(_)) if !targets.is_empty() => {}
            (Err(Lack::Blind(why)), _) | (_, Err(Lack::Blind(why))) => return Err(Lack::Blind(why)),
            (Err(Lack::Gone), Err(Lack::Gone)) => return Err(Lack::Blind(Blind::Raced)),
        }
        Ok(Home { targets, deleted: false })
    }

    /// Nothing has the name of a deleted file any more, except what replaced
    /// it; but the folders in that name may still be there.
    fn of_deleted(&mut self, path: &Path) -> Look<Vec<FileId>> {
        let mut found = self.targets.around(path);
        if let Some(folder) = path.parent()
            && let Ok(folder) = Folder::at(folder)
        {
            found.extend(self.above(&folder)?.filter(|target| !found.contains(target)));
        }
        Ok(found)
    }

    /// Follows `path` from `root`.
    fn by_name(&mut self, root: &Look<Folder>, file: FileId, path: &Path) -> Look<Named> {
        let root = root.as_ref().map_err(Clone::clone)?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Err(Lack::Gone) };
        let folder = folder.strip_prefix("/").unwrap_or(folder);
        let folder = root.enter(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
        let is_it = folder.stat_of(name)? == file;
        Ok(Named { target: self.above(&folder)?, is_it })
    }
}

/// Where a file lies.
pub(super) struct Home {
    /// In which targets: one, or all that are called the same.
    pub(super) targets: Vec<FileId>,
    /// Whether the kernel's ` (deleted)` is its word, and not part of the name.
    pub(super) deleted: bool,
}

/// What a name led to.
struct Named {
    /// The target in which it lies.
    target: Option<FileId>,
    /// Whether it is the file that was asked for.
    is_it: bool,
}

/// `text` without ` (deleted)` at its end, if that is there.
pub(super) fn without_deleted(text: &Path) -> Option<&Path> {
    Some(Path::new(OsStr::from_bytes(text.as_os_str().as_bytes().strip_suffix(b" (deleted)")?)))
}

/// A folder always has one above it. One that has not was moved away from what
/// is mounted there, and what is above it cannot be told.
fn still_there(lack: Lack) -> Lack {
    match lack {
        Lack::Gone => Lack::Blind(Blind::Failed("the folder above it is out of reach".to_owned())),
        Lack::Blind(why) => Lack::Blind(why),
    }
}
