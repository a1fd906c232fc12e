//! Which paths may stand in a unit.
//!
//! A unit outlives many deploys. A program or a configuration that lies in a
//! release is gone when that release is pruned, and one that is reached through
//! `current` is another file after each deploy: then what should mend the
//! workers is itself a part of what is deployed.

use std::path::{Component, Path, PathBuf};

use crate::report::Report;

/// How a path leads into a release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inside {
    /// It lies below a folder `releases`.
    Releases,
    /// It is reached through a link `current`.
    Current,
}

/// The path from `/` onwards, links in it kept as they are.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Report> {
    let steps_back = path.components().any(|part| part == Component::ParentDir);
    let absolute = if steps_back { path.canonicalize() } else { std::path::absolute(path) };
    absolute.map_err(|error| {
        Report::config(
            format!("cannot tell where `{}` is: {error}", path.display()),
            "No unit was written.",
            "give its whole path, from `/` onwards",
        )
    })
}

/// Refuses a path that a deploy or a prune would replace or remove.
pub(crate) fn outlives_deploys(what: &str, path: &Path) -> Result<(), Report> {
    // What is not there leads nowhere else.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let Some(inside) = inside(path, &real, Path::is_symlink) else { return Ok(()) };
    let happened = match inside {
        Inside::Releases => format!("the {what} `{}` lies in a release", path.display()),
        Inside::Current => format!("the {what} `{}` is reached through the link `current`", path.display()),
    };
    let means = match inside {
        Inside::Releases => "When that release is pruned, the units would start nothing any more.",
        Inside::Current => "Each deploy would replace what supervises it, and a broken one would take it along.",
    };
    Err(Report::config(
        happened,
        format!("{means}\nNo unit was written."),
        format!(
            "keep the {what} outside the release tree: /usr/local/bin/aloud, /etc/aloud/aloud.toml, /var/lib/aloud"
        ),
    ))
}

/// Refuses a path that cannot be written in a unit.
pub(crate) fn fits_a_unit(what: &str, path: &Path) -> Result<(), Report> {
    let fits = path.to_str().is_some_and(|text| !text.chars().any(char::is_control));
    if fits {
        return Ok(());
    }
    Err(Report::config(
        format!("the path of the {what}, {path:?}, cannot stand in a unit"),
        "It is not UTF-8, or holds a control character. No unit was written.",
        "name it differently",
    ))
}

fn inside(path: &Path, real: &Path, is_link: impl Fn(&Path) -> bool) -> Option<Inside> {
    let below_releases = |path: &Path| path.ancestors().skip(1).any(|folder| folder.ends_with("releases"));
    let through_current = path.ancestors().any(|part| part.ends_with("current") && is_link(part));
    if through_current {
        Some(Inside::Current)
    } else if below_releases(path) || below_releases(real) {
        Some(Inside::Releases)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_release_is_told_from_what_does_not() {
        let link = Path::new("/srv/shop/current");
        let check = |path: &str, real: &str| inside(Path::new(path), Path::new(real), |part| part == link);
        for (path, real, expect) in [
            ("/usr/bin/aloud", "/usr/bin/aloud", None),
            ("/usr/local/bin/aloud", "/opt/aloud/0.2/aloud", None),
            ("/srv/shop/aloud.toml", "/srv/shop/aloud.toml", None),
            ("/srv/shop/shared/aloud.toml", "/srv/shop/shared/aloud.toml", None),
            ("/srv/shop/releases/66/aloud.toml", "/srv/shop/releases/66/aloud.toml", Some(Inside::Releases)),
            ("/usr/local/bin/aloud", "/srv/shop/releases/66/bin/aloud", Some(Inside::Releases)),
            ("/srv/shop/current/aloud.toml", "/srv/shop/releases/66/aloud.toml", Some(Inside::Current)),
            ("/srv/shop/current/aloud.toml", "/srv/shop/current/aloud.toml", Some(Inside::Current)),
            ("/opt/current/aloud.toml", "/opt/current/aloud.toml", None),
            ("/srv/releases", "/srv/releases", None),
        ] {
            assert_eq!(check(path, real), expect, "{path} -> {real}");
        }
    }

    #[test]
    fn a_real_tree_is_looked_through() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("releases/66")).unwrap();
        std::fs::write(root.join("releases/66/aloud.toml"), "").unwrap();
        std::os::unix::fs::symlink("releases/66", root.join("current")).unwrap();
        std::os::unix::fs::symlink("current/aloud.toml", root.join("aloud.toml")).unwrap();
        let told = |path: &str| {
            let report = outlives_deploys("configuration", &root.join(path)).unwrap_err().to_string();
            report.replace(&root.display().to_string(), "DIR")
        };
        insta::assert_snapshot!(told("current/aloud.toml"), @r"
        error: the configuration `DIR/current/aloud.toml` is reached through the link `current`
          Each deploy would replace what supervises it, and a broken one would take it along.
          No unit was written.
        hint: keep the configuration outside the release tree: /usr/local/bin/aloud, /etc/aloud/aloud.toml, /var/lib/aloud
        ");
        insta::assert_snapshot!(told("aloud.toml"), @r"
        error: the configuration `DIR/aloud.toml` lies in a release
          When that release is pruned, the units would start nothing any more.
          No unit was written.
        hint: keep the configuration outside the release tree: /usr/local/bin/aloud, /etc/aloud/aloud.toml, /var/lib/aloud
        ");
        assert!(outlives_deploys("configuration", &root.join("shared/aloud.toml")).is_ok());
    }

    #[test]
    fn a_path_that_would_break_the_unit_is_refused() {
        assert!(fits_a_unit("store", Path::new("/var/lib/aloud 2 \"x\" %h $y")).is_ok());
        assert!(fits_a_unit("store", Path::new("/var/lib/a\nUser=root")).is_err());
    }
}
