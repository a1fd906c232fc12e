//! What an agent refuses to start with.
//!
//! An agent that lives inside a release is the story again: the deploy that
//! removes that release takes the agent's program, its configuration or its
//! records with it, and nobody is left to say so. So nothing of it may lie below
//! `releases/`, by whatever path it was reached: links such as `current` are
//! followed before this is judged.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::trouble::Trouble;

/// Something of the agent's that must outlive releases.
#[derive(Clone, Debug)]
pub(crate) struct Own<'a> {
    /// What it is: `the program`, `the configuration`.
    pub(crate) what: &'static str,
    /// Where it is, as it was said.
    pub(crate) path: &'a Path,
}

/// Refuses what lies below `releases/` of the tree at `root`.
pub(crate) fn outlive_releases(root: &Path, own: &[Own<'_>]) -> Result<(), Trouble> {
    let releases = real(&root.join("releases"));
    for Own { what, path } in own {
        let found = real(path);
        if found.starts_with(&releases) {
            let through = if found == *path { String::new() } else { format!(" (it leads to `{}`)", found.display()) };
            return Err(Trouble::new(
                format!("{what} `{}` lies in a release{through}", path.display()),
                "The deploy that removes that release would take it from under the agent, and nobody would be left to \
                 say so. The agent did not start.",
                "keep it outside of the tree, such as in /usr/local/bin, /etc/aloud and /var/lib/aloud",
            ));
        }
    }
    Ok(())
}

/// A path without links, as far as it is there: the longest part of it that is
/// there is followed, and the rest appended.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in path.ancestors() {
        if let (Ok(found), Ok(rest)) = (there.canonicalize(), path.strip_prefix(there)) {
            return if rest.as_os_str().is_empty() { found } else { found.join(rest) };
        }
    }
    path
}

/// Proof that no other agent has this tree. It ends with the program, however
/// that ends.
#[derive(Debug)]
pub(crate) struct Alone(#[expect(dead_code, reason = "held, not read")] File);

/// Claims the tree at `root` for this agent.
pub(crate) fn alone(root: &Path) -> Result<Alone, Trouble> {
    let path = root.join(".aloud").join("agent.lock");
    let unusable = |error: std::io::Error| {
        Trouble::new(
            format!("cannot use `{}`: {error}", path.display()),
            "Without it two agents could start the same workers twice. The agent did not start.",
            "see that the folder is there and belongs to the user that the agent runs as",
        )
    };
    std::fs::create_dir_all(root.join(".aloud")).map_err(unusable)?;
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut by = String::new();
            Read::by_ref(&mut file).take(100).read_to_string(&mut by).ok();
            return Err(Trouble::new(
                format!("another agent has the tree `{}` (process {})", root.display(), by.trim()),
                "Two agents would start every worker twice. This one did not start.",
                "stop the other one first, or give this one another tree",
            ));
        }
        Err(error) => return Err(unusable(error.into())),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(unusable)?;
    Ok(Alone(file))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_of_the_agent_may_lie_in_a_release_by_whatever_path() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("releases/66/config")).unwrap();
        std::fs::create_dir_all(root.join(".aloud")).unwrap();
        symlink("releases/66", root.join("current")).unwrap();
        std::fs::write(root.join("releases/66/config/aloud.toml"), "").unwrap();
        std::fs::write(root.join("aloud.toml"), "").unwrap();
        let refused = |path: &str| {
            let path = root.join(path);
            let refused = outlive_releases(&root, &[Own { what: "the configuration", path: &path }]);
            refused.err().map(|trouble| trouble.happened.replace(&root.display().to_string(), "ROOT"))
        };
        assert_eq!(refused("aloud.toml"), None);
        assert_eq!(refused(".aloud/agent"), None);
        assert_eq!(refused("shared/aloud.toml"), None, "also if it is not there yet");
        assert_eq!(
            refused("releases/66/config/aloud.toml").unwrap(),
            "the configuration `ROOT/releases/66/config/aloud.toml` lies in a release"
        );
        assert_eq!(
            refused("current/config/aloud.toml").unwrap(),
            "the configuration `ROOT/current/config/aloud.toml` lies in a release (it leads to \
             `ROOT/releases/66/config/aloud.toml`)"
        );
        assert!(refused("current/data/not-there-yet").is_some());
    }

    #[test]
    fn a_tree_has_one_agent() {
        let root = tempfile::tempdir().unwrap();
        let first = alone(root.path()).unwrap();
        let refused = alone(root.path()).unwrap_err();
        assert!(refused.happened.ends_with(&format!("(process {})", std::process::id())), "{refused}");
        drop(first);
        alone(root.path()).unwrap();
    }
}
