//! What `current` is, and how it is made to be something else.

use std::path::{Component, Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::dir::{Dir, file_id, is_dir, kind};
use crate::error::{Trouble, Why};
use crate::id::{FileId, ReleaseId, TxId};
use crate::tree::Tree;

/// What `current` was, at the moment when it was looked at. It is never remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Current {
    /// There is none.
    Missing,
    /// A real directory (or file) stands there instead of a link. It is never replaced.
    Directory,
    /// A link to nothing; with its text.
    Dangling(String),
    /// A link that leads back to itself.
    Loop,
    /// A link to something that is no release of this tree; with its text.
    Elsewhere(PathBuf),
    /// A link to a release.
    Release {
        /// Which.
        id: ReleaseId,
        /// Its directory as the system knows it.
        file_id: FileId,
        /// The link's own text.
        text: String,
    },
}

impl Current {
    /// The release, if it is one.
    pub fn release(&self) -> Option<&ReleaseId> {
        match self {
            Self::Release { id, .. } => Some(id),
            Self::Missing | Self::Directory | Self::Dangling(_) | Self::Loop | Self::Elsewhere(_) => None,
        }
    }
}

impl std::fmt::Display for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("`current` is not there"),
            Self::Directory => f.write_str("`current` is a real directory, not a link"),
            Self::Dangling(text) => write!(f, "`current` leads to {text:?}, where there is nothing"),
            Self::Loop => f.write_str("`current` leads back to itself"),
            Self::Elsewhere(path) => write!(f, "`current` leads to {path:?}, which is no release of this tree"),
            Self::Release { id, .. } => write!(f, "`current` is release {id}"),
        }
    }
}

/// How the name of a link begins that is about to become `current`.
fn draft_prefix(name: &str) -> String {
    format!(".{name}.")
}

/// What the link is now.
pub(crate) fn resolve(tree: &Tree) -> Result<Current, Trouble> {
    let Some((parent, name)) = place(tree)? else { return Ok(Current::Missing) };
    resolve_at(tree, &parent, &name)
}

fn resolve_at(tree: &Tree, parent: &Dir, name: &str) -> Result<Current, Trouble> {
    let Some(stat) = parent.stat(name)? else { return Ok(Current::Missing) };
    if kind(&stat) != FileType::Symlink {
        return Ok(Current::Directory);
    }
    let Some(text) = parent.link_text(name)? else { return Ok(Current::Missing) };
    let target = match parent.stat_through_links(name) {
        Ok(Some(target)) => target,
        Ok(None) => return Ok(Current::Dangling(text.to_string_lossy().into_owned())),
        Err(Trouble { why: Why::System(Errno::LOOP), .. }) => return Ok(Current::Loop),
        Err(Trouble { why: Why::System(Errno::NOTDIR), .. }) => return Ok(Current::Elsewhere(text)),
        Err(trouble) => return Err(trouble),
    };
    if !is_dir(&target) {
        return Ok(Current::Elsewhere(text));
    }
    let sought = file_id(&target);
    let Some(releases) = tree.releases_dir()? else { return Ok(Current::Elsewhere(text)) };
    // The link's own last word is right nearly always; what decides is the directory behind it.
    let last = text.file_name().map(PathBuf::from);
    for candidate in last.into_iter().chain(releases.names()?) {
        let Some(id) = candidate.to_str().and_then(|text| text.parse::<ReleaseId>().ok()) else { continue };
        if releases.stat(&candidate)?.is_some_and(|stat| is_dir(&stat) && file_id(&stat) == sought) {
            return Ok(Current::Release { id, file_id: sought, text: text.to_string_lossy().into_owned() });
        }
    }
    Ok(Current::Elsewhere(text))
}

/// Makes the link point at `release`, in one step: whoever looks sees the old one or the new one, and never neither. It
/// is on the disk when this returns.
pub(crate) fn switch(tree: &Tree, release: &ReleaseId, expected: FileId, tx: &TxId) -> Result<(), Trouble> {
    let tried = || format!("switch `{}` to release {release}", tree.current_path().display());
    let Some((parent, name)) = place(tree)? else {
        return Err(Trouble::ours(tried(), "the folder that it should lie in is not there", "make that folder"));
    };
    if resolve_at(tree, &parent, &name)? == Current::Directory {
        return Err(Trouble::ours(
            tried(),
            "a real directory (or file) stands there, not a link",
            format!("move it away, for instance `mv {0} {0}.old`, and deploy again", tree.current_path().display()),
        ));
    }
    let draft = format!("{}{tx}", draft_prefix(&name));
    parent.unlink_if_there(&draft)?;
    parent.symlink(&link_text(tree, parent.path(), release), &draft)?;
    // Looked at before it counts: a link that leads elsewhere must never become the current one.
    let leads_there =
        matches!(resolve_at(tree, &parent, &draft)?, Current::Release { file_id, .. } if file_id == expected);
    if !leads_there {
        parent.unlink_if_there(&draft)?;
        return Err(Trouble::ours(tried(), "the release is not where it was", "see who else changes this tree"));
    }
    if let Err(trouble) = parent.rename(&draft, &name) {
        parent.unlink_if_there(&draft).ok();
        return Err(trouble);
    }
    parent.sync()?;
    let now = resolve_at(tree, &parent, &name)?;
    if matches!(now, Current::Release { file_id, .. } if file_id == expected) {
        return Ok(());
    }
    Err(Trouble::ours(tried(), format!("afterwards {now}"), "see who else changes this tree"))
}

/// The links that were about to become `current` and did not.
pub(crate) fn drafts(tree: &Tree) -> Result<Vec<PathBuf>, Trouble> {
    let Some((parent, name)) = place(tree)? else { return Ok(Vec::new()) };
    // The folder may belong to all the world: only what looks like ours is ours.
    let ours = |found: &Path| {
        let tx = found.to_str().and_then(|text| text.strip_prefix(&draft_prefix(&name)));
        tx.is_some_and(|tx| tx.contains('-') && tx.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
    };
    let mut drafts = Vec::new();
    for found in parent.names()? {
        if ours(&found) && parent.stat(&found)?.is_some_and(|stat| kind(&stat) == FileType::Symlink) {
            drafts.push(found);
        }
    }
    Ok(drafts)
}

pub(crate) fn remove_draft(tree: &Tree, draft: &Path) -> Result<(), Trouble> {
    match place(tree)? {
        Some((parent, _)) => parent.unlink_if_there(draft),
        None => Ok(()),
    }
}

/// The folder that the link lies in, and its name there.
fn place(tree: &Tree) -> Result<Option<(Dir, String)>, Trouble> {
    let path = &tree.layout().current;
    let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.ok_or_else(|| {
        Trouble::ours(format!("use `{}` as the link", path.display()), "it names no file", "name the link itself")
    })?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let dir = match parent {
        Some(parent) => tree.root_dir().dir_through_links(parent)?,
        None => Some(tree.root_dir().again()?),
    };
    Ok(dir.map(|dir| (dir, name)))
}

/// What the link says: the way to the release from where the link lies.
fn link_text(tree: &Tree, parent: &Path, release: &ReleaseId) -> PathBuf {
    let below = Path::new("releases").join(release.as_str());
    match (parent.canonicalize(), tree.root().canonicalize()) {
        (Ok(parent), Ok(root)) => way(&parent, &root).join(below),
        _ => tree.root().join(below),
    }
}

/// The relative way from one absolute folder to another; empty if they are the same.
fn way(from: &Path, to: &Path) -> PathBuf {
    let parts = |path: &Path| -> Vec<PathBuf> {
        path.components().filter(|c| matches!(c, Component::Normal(_))).map(|c| PathBuf::from(c.as_os_str())).collect()
    };
    let (from, to) = (parts(from), parts(to));
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(PathBuf::from(".."), from.len() - shared);
    up.chain(to.into_iter().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_relative_to_where_the_link_lies() {
        let check = |from: &str, to: &str, expect: &str| {
            assert_eq!(way(Path::new(from), Path::new(to)).join("releases/7"), Path::new(expect), "{from} {to}");
        };
        check("/srv/app", "/srv/app", "releases/7");
        check("/srv", "/srv/app", "app/releases/7");
        check("/var/www", "/srv/app", "../../srv/app/releases/7");
        check("/", "/srv/app", "srv/app/releases/7");
    }
}
