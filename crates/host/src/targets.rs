//! Folders somebody wants to know the users of.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::file::FileId;

/// Folders to look for, each by what it is and by what it is called.
///
/// Where a process is inside two of them, the inner one counts. So `releases`
/// may be listed beside the releases in it: then it stands for those that are
/// not listed, because they are deleted and forgotten.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    ids: HashSet<FileId>,
    named: Vec<(PathBuf, FileId)>,
}

/// One way in which a process uses a target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Use {
    /// What is used: the innermost target.
    pub target: FileId,
    /// By which way.
    pub how: How,
    /// What exactly, as the kernel or the process calls it.
    pub path: PathBuf,
    /// Whether that is deleted already.
    pub deleted: bool,
}

/// By which way a process uses a folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Its working directory is in it.
    Cwd,
    /// Its root directory is in it.
    Root,
    /// It runs a program that lies in it.
    Exe,
    /// It has mapped a file in it into memory: a shared library, a data file.
    Map,
    /// It has opened a file or folder in it.
    OpenFile,
    /// It has it mounted, in a mount namespace of its own such as a container's.
    Mount,
    /// A path in it stands in its command line: whatever it starts next by
    /// that path ignores where `current` leads.
    Argument,
    /// A path in it stands in the environment that it was started with. It may
    /// be of no meaning (`OLDPWD`), or be baked in (`BUNDLE_GEMFILE`).
    Variable,
}

impl Targets {
    /// These folders. A path is absolute and without symbolic links, as the
    /// kernel tells it; a folder that people also call otherwise can be listed
    /// again with the other path.
    pub fn new(folders: impl IntoIterator<Item = (FileId, PathBuf)>) -> Self {
        let mut named: Vec<_> = folders.into_iter().map(|(id, path)| (path, id)).collect();
        let ids = named.iter().map(|(_, id)| *id).collect();
        named.retain(|(path, _)| path.is_absolute() && path.parent().is_some());
        // The inner ones first.
        named.sort_by_key(|(path, _)| std::cmp::Reverse(path.as_os_str().len()));
        Self { ids, named }
    }

    pub(crate) fn has(&self, id: FileId) -> bool {
        self.ids.contains(&id)
    }

    /// The targets in which `path` lies by name alone: the innermost, and all
    /// that are called the same.
    pub(crate) fn around(&self, path: &Path) -> Vec<FileId> {
        let Some((inner, _)) = self.named.iter().find(|(target, _)| path.starts_with(target)) else {
            return Vec::new();
        };
        self.named.iter().filter(|(target, _)| target == inner).map(|(_, id)| *id).collect()
    }

    /// The paths below targets that stand somewhere in `text`.
    pub(crate) fn named_in(&self, text: &[u8]) -> Vec<(FileId, PathBuf)> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(slash) = text[at..].iter().position(|&byte| byte == b'/').map(|more| at + more) {
            at = slash + 1;
            let rest = &text[slash..];
            let Some((name, _)) = self.named.iter().find(|(target, _)| begins_with(rest, target)) else { continue };
            if !path_begins(text, slash) {
                continue;
            }
            let name_ends = name.as_os_str().len();
            let more = rest[name_ends..].iter().position(|byte| ENDS.contains(byte));
            let end = more.map_or(rest.len(), |more| name_ends + more);
            let path = Path::new(OsStr::from_bytes(&rest[..end]));
            let called_so = self.named.iter().filter(|(target, _)| target == name);
            found.extend(called_so.map(|(_, id)| (*id, path.to_owned())));
            at = slash + end;
        }
        found
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&Path, FileId)> {
        self.named.iter().map(|(path, id)| (path.as_path(), *id))
    }
}

/// What ends a path inside a longer text. A space does not: better too long
/// than cut.
const ENDS: &[u8] = b":;,\"'\n";

/// Whether `text` starts with the path `target`, and not with a longer name.
fn begins_with(text: &[u8], target: &Path) -> bool {
    let rest = text.strip_prefix(target.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.first().is_none_or(|next| *next == b'/' || *next == b' ' || ENDS.contains(next)))
}

/// Whether a path can begin at this slash: at the start, after a separator, or
/// after an option of one letter (`-d/srv`). Otherwise it is the middle of one.
fn path_begins(text: &[u8], slash: usize) -> bool {
    match &text[..slash] {
        [] | [b'-', _] => true,
        [.., last] => !(last.is_ascii_alphanumeric() || matches!(last, b'/' | b'.' | b'_' | b'-') || *last >= 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ino: u64) -> FileId {
        FileId { dev: 1, ino }
    }

    #[test]
    fn the_innermost_target_counts_and_a_longer_name_is_another() {
        let targets = Targets::new([
            (id(1), "/srv/releases".into()),
            (id(65), "/srv/releases/65".into()),
            (id(165), "/srv/releases/65".into()),
        ]);
        let check = |path: &str, expect: &[u64]| {
            let found: Vec<_> = targets.around(Path::new(path)).iter().map(|id| id.ino).collect();
            assert_eq!(found, expect, "{path}");
        };
        check("/srv/releases/65", &[65, 165]);
        check("/srv/releases/65/public", &[65, 165]);
        check("/srv/releases/655", &[1]);
        check("/srv/releases", &[1]);
        check("/srv/release", &[]);
        check("/mnt/srv/releases/65", &[]);
    }

    #[test]
    fn paths_are_found_in_arguments_and_variables() {
        let targets = Targets::new([(id(65), "/srv/releases/65".into()), (id(7), "/srv/a b".into())]);
        let check = |text: &str, expect: &[&str]| {
            let found: Vec<_> = targets.named_in(text.as_bytes()).into_iter().map(|(_, path)| path).collect();
            assert_eq!(found, expect.iter().map(PathBuf::from).collect::<Vec<_>>(), "{text}");
        };
        check("/srv/releases/65", &["/srv/releases/65"]);
        check("/srv/releases/65/artisan", &["/srv/releases/65/artisan"]);
        check("--file=/srv/releases/65/artisan", &["/srv/releases/65/artisan"]);
        check("-d/srv/releases/65/public", &["/srv/releases/65/public"]);
        check("/bin:/srv/releases/65/bin:/srv/releases/65", &["/srv/releases/65/bin", "/srv/releases/65"]);
        check("cd /srv/releases/65 && make", &["/srv/releases/65 && make"]);
        check("/srv/a b/c d", &["/srv/a b/c d"]);
        check("/srv/releases/655/artisan", &[]);
        check("/srv/releases/65.old", &[]);
        check("/mnt/srv/releases/65", &[]);
        check("/srv/current/artisan", &[]);
        check("", &[]);
    }

    #[test]
    fn a_relative_path_or_the_root_is_looked_for_by_its_number_alone() {
        let targets = Targets::new([(id(1), "/".into()), (id(2), "releases".into())]);
        assert!(targets.has(id(1)) && targets.has(id(2)));
        assert!(targets.around(Path::new("/etc")).is_empty());
        assert!(targets.named_in(b"/etc:releases").is_empty());
    }
}
