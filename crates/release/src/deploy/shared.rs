//! What all releases share, linked into a new one.

use std::path::{Component, Path, PathBuf};

use rustix::fs::FileType;

use super::Shared;
use crate::dir::{Dir, file_id, is_dir, kind};
use crate::error::{Trouble, Why};
use crate::id::ReleaseId;
use crate::prune::erase;
use crate::tree::{RELEASES, SHARED, Tree};

/// The most paths that may be shared.
const MAX_PATHS: usize = 1_000;

/// Refuses what could not be linked, before anything is made.
pub(super) fn check(shared: &Shared) -> Result<(), Trouble> {
    let all: Vec<&str> = shared.folders.iter().chain(&shared.files).map(String::as_str).collect();
    let refuse = |path: &str, what: String, hint: &str| Err(Trouble::ours(format!("share `{path}`"), what, hint));
    if all.len() > MAX_PATHS {
        return refuse(all[0], format!("more than {MAX_PATHS} paths are shared"), "share the folders that they lie in");
    }
    for (at, text) in all.iter().enumerate() {
        let path = Path::new(text);
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || path.file_name().is_none() {
            return refuse(
                text,
                "it is not a path inside a release".into(),
                "write it without `/`, `.` or `..` in front",
            );
        }
        if let Some(other) = all.iter().enumerate().find(|(i, o)| *i != at && path.starts_with(o)) {
            let what = format!("`{}`, which holds it or is it, is shared too", other.1);
            return refuse(text, what, "name each path once, and only the outer one");
        }
    }
    Ok(())
}

/// Links what is shared into the release. What came with the release and is not shared yet is moved there.
pub(super) fn link(tree: &Tree, id: &ReleaseId, release: &Dir, shared: &Shared) -> Result<usize, Trouble> {
    if shared.folders.is_empty() && shared.files.is_empty() {
        return Ok(0);
    }
    let home = tree.root_dir().make_dir(SHARED)?;
    for folder in &shared.folders {
        link_folder(tree, id, release, &home, Path::new(folder))?;
    }
    for file in &shared.files {
        link_file(tree, id, release, &home, Path::new(file))?;
    }
    Ok(shared.folders.len() + shared.files.len())
}

fn link_folder(tree: &Tree, id: &ReleaseId, release: &Dir, home: &Dir, path: &Path) -> Result<(), Trouble> {
    let (parent, name) = release.parent_of(path)?;
    let (shared_parent, shared_name) = way_to(home, path)?;
    match (shared_parent.stat_through_links(shared_name), parent.stat(name)?) {
        (Ok(Some(stat)), _) if is_dir(&stat) => {}
        (Ok(Some(_)), _) => return Err(wrong(home, path, "it is not a folder", "move it away")),
        (Ok(None), _) if shared_parent.stat(shared_name)?.is_some() => {
            return Err(wrong(home, path, "it is a link to nothing", "make what it leads to, or remove it"));
        }
        (Ok(None), Some(shipped)) if is_dir(&shipped) => {
            move_or_copy(&parent, name, &shared_parent, shared_name)?;
        }
        (Ok(None), _) => {
            shared_parent.make_new_dir(shared_name)?;
        }
        (Err(trouble), _) => return Err(trouble),
    }
    replace(tree, id, &parent, name, path)
}

fn link_file(tree: &Tree, id: &ReleaseId, release: &Dir, home: &Dir, path: &Path) -> Result<(), Trouble> {
    let (parent, name) = release.parent_of(path)?;
    let (shared_parent, shared_name) = way_to(home, path)?;
    let shipped = parent.stat(name)?.is_some_and(|stat| kind(&stat) == FileType::RegularFile);
    match shared_parent.stat_through_links(shared_name)? {
        Some(stat) if !is_dir(&stat) => {}
        Some(_) => return Err(wrong(home, path, "it is a folder", "list it under the shared folders")),
        None if shared_parent.stat(shared_name)?.is_some() => {
            return Err(wrong(home, path, "it is a link to nothing", "make what it leads to, or remove it"));
        }
        None if shipped => move_or_copy(&parent, name, &shared_parent, shared_name)?,
        None => {
            let hint = format!("write it: `{}`", home.path().join(path).display());
            return Err(wrong(home, path, "it is not there, and the release brings none", &hint));
        }
    }
    replace(tree, id, &parent, name, path)
}

/// The folder below `shared/` that a path lies in. On the way there links are followed: what is shared may well lie on
/// another disk.
fn way_to<'a>(home: &Dir, path: &'a Path) -> Result<(Dir, &'a Path), Trouble> {
    let mut at = home.again()?;
    for part in path.parent().into_iter().flat_map(Path::components) {
        at = at.make_dir(part)?;
    }
    Ok((at, path.file_name().map(Path::new).unwrap_or(path)))
}

fn move_or_copy(from: &Dir, name: &Path, to: &Dir, to_name: &Path) -> Result<(), Trouble> {
    match from.rename_into(name, to, to_name) {
        Err(Trouble { why: Why::System(rustix::io::Errno::XDEV), .. }) => Err(Trouble::ours(
            format!("move `{}` to `{}`", from.path().join(name).display(), to.path().join(to_name).display()),
            "they lie on different file systems",
            format!("copy it there once by hand: `cp -a` to `{}`", to.path().join(to_name).display()),
        )),
        done => done,
    }
}

/// Puts a link to what is shared in the place of what came with the release.
fn replace(tree: &Tree, id: &ReleaseId, parent: &Dir, name: &Path, path: &Path) -> Result<(), Trouble> {
    if parent.stat(name)?.is_some() {
        let erased = erase(parent, name);
        if let Some(first) = erased.stuck.first() {
            return Err(Trouble::ours(
                format!("replace `{}` by a link", parent.path().join(name).display()),
                first.clone(),
                "see whom it belongs to",
            ));
        }
    }
    let up: PathBuf = std::iter::repeat_n("..", path.components().count() + 1).collect();
    let shared = tree.root().join(SHARED).join(path);
    parent.symlink(&up.join(SHARED).join(path), name)?;
    let expected = tree.root_dir().stat_through_links(Path::new(SHARED).join(path))?.map(|stat| file_id(&stat));
    let leads_there = |parent: &Dir| Ok(parent.stat_through_links(name)?.map(|stat| file_id(&stat)) == expected);
    // Where `releases/` is itself a link, the way up ends elsewhere.
    if !leads_there(parent)? {
        parent.unlink(name)?;
        parent.symlink(&shared, name)?;
    }
    if leads_there(parent)? {
        return Ok(());
    }
    let link = tree.root().join(RELEASES).join(id.as_str()).join(path);
    Err(Trouble::ours(format!("link `{}`", link.display()), "the link leads elsewhere", "see where with `readlink -f`"))
}

fn wrong(home: &Dir, path: &Path, what: &str, hint: &str) -> Trouble {
    Trouble::ours(format!("share `{}`", home.path().join(path).display()), what, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_linked_is_refused_before_anything_is_made() {
        let shared = |folders: &[&str], files: &[&str]| Shared {
            folders: folders.iter().map(|&text| text.to_owned()).collect(),
            files: files.iter().map(|&text| text.to_owned()).collect(),
        };
        assert!(check(&shared(&["storage", "a/b"], &[".env", "storage.txt"])).is_ok());
        for wrong in ["", "/etc", "..", "a/../b", "./a", "storage/logs", "storage"] {
            assert!(check(&shared(&["storage", wrong], &[])).is_err(), "{wrong}");
            assert!(check(&shared(&["storage"], &[wrong])).is_err(), "{wrong}");
        }
    }
}
