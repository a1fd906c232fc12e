//! Finds the tree that is meant: from what was typed, from the configuration, or
//! from the folder that one is in.

use std::path::{Path, PathBuf};

use crate::report::Report;
use crate::settings::Found;

/// The root of the tree: of the one that `typed` leads to or into, or else the
/// configured one, or else the one around `here`.
pub(crate) fn find(typed: Option<&Path>, configured: Option<&Found>, here: &Path) -> Result<PathBuf, Report> {
    if let Some(typed) = typed {
        let path = here.join(typed);
        return around(&path).ok_or_else(|| {
            Report::config(
                format!("`{}` is no tree of releases, and lies in none", path.display()),
                "A tree is a folder with `releases/` and a link `current` to one of them. Nothing was changed.",
                "name that folder, or `current`, or a folder inside a release",
            )
        });
    }
    let configured = configured.and_then(|found| found.file.release.root.as_ref());
    if let Some(root) = configured {
        return Ok(here.join(root));
    }
    around(here).ok_or_else(|| {
        Report::config(
            "no tree of releases is named, and this folder lies in none",
            "A tree is a folder with `releases/` and a link `current` to one of them. Nothing was changed.",
            "name it: `aloud adopt --check /srv/app`",
        )
    })
}

/// The tree that `path` is, leads to, or lies in: the outermost.
pub(crate) fn around(path: &Path) -> Option<PathBuf> {
    let typed = std::path::absolute(path).ok()?;
    // A link that leads nowhere is asked for by the folder it lies in.
    let real = typed.canonicalize().or_else(|_| typed.parent().unwrap_or(&typed).canonicalize()).ok()?;
    let root = real.ancestors().filter(|folder| is_tree(folder)).last()?;
    // As it is called by whoever typed it, if that is the root itself.
    let is_typed = is_tree(&typed) && typed.canonicalize().is_ok_and(|typed| typed == root);
    Some(if is_typed { typed } else { root.to_owned() })
}

/// Whether `path` lies in one of the releases of the tree, as the kernel sees it.
pub(crate) fn is_in_a_release(path: &Path, root: &Path) -> bool {
    let real = |path: &Path| {
        path.ancestors().find_map(|above| {
            let real = above.canonicalize().ok()?;
            Some(path.strip_prefix(above).map_or(real.clone(), |rest| real.join(rest)))
        })
    };
    match (real(path), real(&root.join("releases"))) {
        (Some(path), Some(releases)) => path.starts_with(releases),
        _ => false,
    }
}

fn is_tree(folder: &Path) -> bool {
    const MARKS: [&str; 4] = ["current", ".dep", ".aloud", "revisions.log"];
    folder.join("releases").is_dir() && MARKS.iter().any(|mark| folder.join(mark).symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir_all;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_is_found_from_everywhere_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let root = base.join("srv/app");
        // A release may hold what looks like a tree itself.
        create_dir_all(root.join("releases/66/public/releases/1")).unwrap();
        symlink("1", root.join("releases/66/public/current")).unwrap();
        create_dir_all(root.join("shared/storage")).unwrap();
        symlink("releases/66", root.join("current")).unwrap();
        symlink("srv/app/current", base.join("www")).unwrap();
        symlink("srv/app", base.join("link")).unwrap();
        for inside in
            ["srv/app", "srv/app/current", "srv/app/current/public/releases/1", "srv/app/shared/storage", "www"]
        {
            assert_eq!(around(&base.join(inside)).as_deref(), Some(root.as_path()), "{inside}");
        }
        assert_eq!(around(&base.join("link")), Some(base.join("link")), "as it was typed");
        assert_eq!(around(&base.join("srv")), None);
        std::fs::remove_dir_all(root.join("releases/66")).unwrap();
        assert_eq!(around(&root.join("current")).as_deref(), Some(root.as_path()), "also if it leads nowhere");
    }

    #[test]
    fn what_lies_in_a_release_is_known_before_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        create_dir_all(root.join("releases/66")).unwrap();
        symlink("releases/66", root.join("current")).unwrap();
        assert!(is_in_a_release(&root.join("releases/66/aloud.toml"), root));
        assert!(is_in_a_release(&root.join("current/etc/aloud.toml"), root));
        assert!(!is_in_a_release(&root.join("aloud.toml"), root));
    }
}
