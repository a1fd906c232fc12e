//! What is known of a folder before its aloud.toml is written: a tree of
//! releases that it is or lies in, and the application.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use job::time::SystemClock;
use release::{Layout, Tree};

use super::code::{self, Code, Suggested};
use super::tree::{self, Shared};
use crate::adopt::root;

/// What was found.
#[derive(Default)]
pub(crate) struct Survey {
    /// The tree, if there is one.
    pub(crate) tree: Option<OfTree>,
    /// The application.
    pub(crate) code: Code,
}

/// What was found of a tree.
pub(crate) struct OfTree {
    /// Its root.
    pub(crate) root: PathBuf,
    /// Whose it is.
    pub(crate) kind: release::Kind,
    /// The current release.
    pub(crate) current: Option<String>,
    /// How many its tool keeps, and where that stands.
    pub(crate) keep: Option<(u32, &'static str)>,
    /// What its releases share.
    pub(crate) shared: Shared,
}

impl Survey {
    /// Looks at the folder `here`. A tree counts if it is that folder, or if
    /// that folder lies in one of its releases.
    pub(crate) fn of(here: &Path) -> Self {
        let is_it =
            |root: &PathBuf| root::is_in_a_release(here, root) || here.canonicalize().ok() == root.canonicalize().ok();
        match root::around(here).filter(is_it) {
            Some(root) => Self::of_tree(&root),
            None => Self { tree: None, code: code::look(here) },
        }
    }

    /// Looks at the tree with this root.
    pub(crate) fn of_tree(root: &Path) -> Self {
        let clock = Arc::new(SystemClock::resume(None));
        let Ok(tree) = Tree::open(Layout::new(root), clock) else { return Self::default() };
        let current = tree.current().ok().and_then(|current| current.release().cloned());
        let folder = current.as_ref().map(|id| tree.path_of(id));
        Self {
            code: folder.as_deref().map(code::look).unwrap_or_default(),
            tree: Some(OfTree {
                root: root.to_owned(),
                kind: tree.kind().unwrap_or(release::Kind::Unknown),
                current: current.map(|id| id.to_string()),
                keep: folder.as_deref().and_then(tree::keep),
                shared: folder.as_deref().map(|folder| tree::shared(root, folder)).unwrap_or_default(),
            }),
        }
    }

    /// What was found, in one line; nothing if nothing was.
    pub(crate) fn line(&self) -> Option<String> {
        let tree = self.tree.as_ref().map(|tree| {
            let kind = match tree.kind {
                release::Kind::Unknown => "a tree of releases".to_owned(),
                kind @ (release::Kind::Aloud
                | release::Kind::Deployer
                | release::Kind::Capistrano
                | release::Kind::Ansistrano) => format!("a tree of {kind}"),
            };
            let current = tree.current.as_ref().map_or_else(String::new, |id| format!(", release {id} current"));
            format!("{kind} in {}{current}", tree.root.display())
        });
        let parts: Vec<_> = tree.into_iter().chain(self.code.is.iter().map(|name| (*name).to_owned())).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// What [release] says then, as TOML.
    pub(crate) fn release(&self) -> Vec<(&'static str, String)> {
        let mut settings = Vec::new();
        if let Some(tree) = &self.tree {
            settings.extend(tree.root.to_str().map(|root| ("root", text(root))));
            settings.extend(tree.keep.map(|(keep, recipe)| ("keep", format!("{keep}   # as {recipe} says"))));
            for (key, paths) in [("shared_dirs", &tree.shared.dirs), ("shared_files", &tree.shared.files)] {
                let paths: Vec<_> = paths.iter().filter_map(|path| path.to_str()).collect();
                if !paths.is_empty() {
                    settings.push((key, list(&paths)));
                }
            }
        }
        settings.extend(self.code.boot_check.as_deref().map(|argv| ("boot_check", list(argv))));
        settings
    }
}

/// Workers that may be wanted, in comments.
pub(crate) fn workers(suggested: &[Suggested]) -> String {
    let one = |worker: &Suggested| {
        let name = text(&worker.name);
        let user = worker.user.as_ref().map_or_else(String::new, |user| format!("# user = {}\n", text(user)));
        format!("# [[worker]]\n# name = {name}\n# command = {}\n{user}", list(&worker.command))
    };
    suggested.iter().map(one).collect::<Vec<_>>().join("#\n")
}

/// A text, as TOML.
pub(crate) fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A list of texts, as TOML.
pub(crate) fn list(texts: &[impl AsRef<str>]) -> String {
    format!("[{}]", texts.iter().map(|one| text(one.as_ref())).collect::<Vec<_>>().join(", "))
}
