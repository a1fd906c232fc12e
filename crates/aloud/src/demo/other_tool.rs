//! Deploys by links, as many tools and scripts do it: copy the new release,
//! lead `current` to it, remove old ones.
//!
//! It knows nothing of aloud, asks nobody who is in a release, and tells nobody
//! what it did.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A tree that is deployed to.
#[derive(Clone, Debug)]
pub(crate) struct OtherTool {
    root: PathBuf,
}

impl OtherTool {
    /// For the tree at `root`, whether it is there yet or not.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The link.
    pub(crate) fn current(&self) -> PathBuf {
        self.root.join("current")
    }

    /// The release that the link leads to, by its name.
    pub(crate) fn leads_to(&self) -> Option<String> {
        let to = fs::read_link(self.current()).ok()?;
        Some(to.file_name()?.to_string_lossy().into_owned())
    }

    /// The folder of a release.
    pub(crate) fn release(&self, name: &str) -> PathBuf {
        self.root.join("releases").join(name)
    }

    /// The releases that are there, oldest first.
    pub(crate) fn releases(&self) -> io::Result<Vec<String>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(self.root.join("releases"))? {
            let name = entry?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers.iter().map(u64::to_string).collect())
    }

    /// `cp -r SOURCE releases/N`: makes the next release, and answers its name.
    pub(crate) fn copy(&self, source: &Path) -> io::Result<String> {
        fs::create_dir_all(self.root.join("releases"))?;
        let last = self.releases()?.last().and_then(|name| name.parse::<u64>().ok()).unwrap_or(0);
        let name = (last + 1).to_string();
        copy_folder(source, &self.release(&name))?;
        Ok(name)
    }

    /// `ln -sfn releases/N current`.
    pub(crate) fn switch(&self, name: &str) -> io::Result<()> {
        let draft = self.root.join("current.new");
        symlink(Path::new("releases").join(name), &draft)?;
        fs::rename(&draft, self.current())
    }

    /// `rm -rf releases/N`.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_dir_all(self.release(name))
    }

    /// Removes the oldest until only `keep` are there; answers which.
    pub(crate) fn prune(&self, keep: usize) -> io::Result<Vec<String>> {
        let mut all = self.releases()?;
        all.truncate(all.len().saturating_sub(keep));
        for name in &all {
            self.remove(name)?;
        }
        Ok(all)
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_deploys_remove_the_first_and_keep_five() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("site");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("VERSION"), "1").unwrap();
        let tool = OtherTool::at(folder.path().join("tree"));
        let mut removed = Vec::new();
        for number in 1..=6 {
            let name = tool.copy(&source).unwrap();
            assert_eq!(name, number.to_string());
            tool.switch(&name).unwrap();
            removed.extend(tool.prune(5).unwrap());
        }
        assert_eq!(removed, ["1"]);
        assert_eq!(tool.leads_to().as_deref(), Some("6"));
        assert!(tool.current().join("VERSION").exists() && !tool.release("1").exists());
    }
}
