//! What a tree that another tool made says of how it is used.
//!
//! Only looked at, and never far: the links of a release into `shared/`, and the
//! tool's own recipe if the code carries it.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// What a release shares with all others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shared {
    /// Folders, from the top of the release.
    pub(crate) dirs: Vec<PathBuf>,
    /// Files, from the top of the release.
    pub(crate) files: Vec<PathBuf>,
    /// Links to something in `shared/` that is not there, or lies there by
    /// another name than in the release.
    pub(crate) odd: Vec<PathBuf>,
    /// Those of them that lead to nothing.
    pub(crate) dangling: Vec<PathBuf>,
}

/// How deep shared folders lie at most: `vendor/bundle`, `public/uploads/a`.
const DEPTH: usize = 4;
/// The most that is looked at in a release.
const ENTRIES: usize = 50_000;
/// Where nobody puts a link into `shared/`, and much else lies.
const SKIPPED: [&str; 2] = [".git", "node_modules"];
/// The most that is read of a recipe.
const RECIPE: u64 = 1 << 20;

/// What the release in `folder` shares, by its links into `root/shared`.
pub(crate) fn shared(root: &Path, folder: &Path) -> Shared {
    let mut shared = Shared::default();
    let Ok(home) = root.join("shared").canonicalize() else { return shared };
    let Ok(folder) = folder.canonicalize() else { return shared };
    let mut left = ENTRIES;
    let mut line = vec![(PathBuf::new(), 0)];
    while let Some((below, depth)) = line.pop() {
        let Ok(entries) = fs::read_dir(folder.join(&below)) else { continue };
        for entry in entries.flatten() {
            left -= 1;
            if left == 0 {
                break;
            }
            let path = below.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() => sort(&mut shared, &home, &folder, path),
                Ok(kind) if kind.is_dir() && depth + 1 < DEPTH => {
                    if !SKIPPED.iter().any(|skipped| path.ends_with(skipped)) {
                        line.push((path, depth + 1));
                    }
                }
                Ok(_) | Err(_) => {}
            }
        }
        if left == 0 {
            break;
        }
    }
    for list in [&mut shared.dirs, &mut shared.files, &mut shared.odd, &mut shared.dangling] {
        list.sort();
    }
    shared
}

fn sort(shared: &mut Shared, home: &Path, folder: &Path, path: PathBuf) {
    let link = folder.join(&path);
    let Ok(text) = fs::read_link(&link) else { return };
    let target = plain(&link.parent().unwrap_or(folder).join(text));
    let real = target.canonicalize();
    let target = real.as_ref().unwrap_or(&target);
    let Ok(inside) = target.strip_prefix(home) else { return };
    if real.is_err() {
        shared.dangling.push(path.clone());
        shared.odd.push(path);
    } else if inside != path {
        shared.odd.push(path);
    } else if target.is_dir() {
        shared.dirs.push(path);
    } else {
        shared.files.push(path);
    }
}

/// A path without `..`, where nothing of it need be there.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
        plain
    })
}

/// How many releases the tool keeps by its recipe in the code, and the recipe.
pub(crate) fn keep(code: &Path) -> Option<(u32, &'static str)> {
    const RECIPES: [&str; 4] = ["deploy.php", "deploy.yaml", "deploy.yml", "config/deploy.rb"];
    RECIPES.into_iter().find_map(|recipe| {
        let text = read(&code.join(recipe), RECIPE)?;
        Some((text.lines().find_map(keep_in)?, recipe))
    })
}

/// `set('keep_releases', 7);`, `set :keep_releases, 7`, `keep_releases: 7`
fn keep_in(line: &str) -> Option<u32> {
    let line = line.trim_start();
    if line.starts_with('#') || line.starts_with("//") {
        return None;
    }
    let rest = line.split_once("keep_releases")?.1;
    let digits = rest.trim_start_matches(['\'', '"', ',', ':', ' ', '\t']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().filter(|keep| (1..=1_000).contains(keep))
}

/// A file's text, if it is there, is text, and is not longer than `most`.
pub(crate) fn read(path: &Path, most: u64) -> Option<String> {
    let stat = fs::metadata(path).ok()?;
    if !stat.is_file() || stat.len() > most {
        return None;
    }
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_shared_is_known_by_the_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let release = root.join("releases/66");
        fs::create_dir_all(release.join("public")).unwrap();
        fs::create_dir_all(release.join("config")).unwrap();
        fs::create_dir_all(root.join("shared/storage")).unwrap();
        fs::create_dir_all(root.join("shared/public/uploads")).unwrap();
        fs::write(root.join("shared/.env"), "").unwrap();
        symlink("../../shared/storage", release.join("storage")).unwrap();
        symlink("../../../shared/public/uploads", release.join("public/uploads")).unwrap();
        symlink(root.join("shared/.env"), release.join(".env")).unwrap();
        symlink("../../../shared/config/master.key", release.join("config/master.key")).unwrap();
        symlink("../../shared/storage", release.join("files")).unwrap();
        symlink("artisan", release.join("console")).unwrap();
        let shared = shared(root, &release);
        assert_eq!(shared.dirs, [Path::new("public/uploads"), Path::new("storage")]);
        assert_eq!(shared.files, [Path::new(".env")]);
        assert_eq!(shared.dangling, [Path::new("config/master.key")]);
        assert_eq!(shared.odd, [Path::new("config/master.key"), Path::new("files")]);
    }

    #[test]
    fn how_many_are_kept_is_read_from_each_tools_recipe() {
        for (line, expect) in [
            ("set('keep_releases', 7);", Some(7)),
            ("  set(\"keep_releases\", 3);", Some(3)),
            ("set :keep_releases, 4", Some(4)),
            ("  keep_releases: 10", Some(10)),
            ("set('keep_releases', -1);", None),
            ("// set('keep_releases', 7);", None),
            ("# set :keep_releases, 5", None),
            ("set :keep, 5", None),
        ] {
            assert_eq!(keep_in(line), expect, "{line}");
        }
    }
}
