//! Commands of jobs and guards, run in the release that `current` leads to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use job::time::SystemClock;
use release::{Current, Layout, Tree, lease};
use runner::{Code, Entered};
use supervisor::guardian;

use crate::code::what_it_is;
use crate::settings::run_dir;
use crate::trouble::Trouble;

/// How often a release that is on its way out is tried again.
const TRIES: usize = 5;

/// The current release, entered anew for each command and held while it runs.
struct InTree {
    tree: Tree,
    /// By this variable the guardian finds the command, if the agent dies.
    mark: (String, String),
}

impl std::fmt::Debug for InTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InTree").field("root", &self.tree.root()).finish()
    }
}

/// Where commands of jobs and guards are started: in the current release of the
/// tree at `root`. They end with the agent whose folder is `dir`, however that
/// ends.
pub fn exec_code(root: &Path, dir: &Path) -> Result<Arc<dyn Code>, Trouble> {
    let tree = Tree::create(Layout::new(root), Arc::new(SystemClock::resume(None)))?;
    Ok(Arc::new(InTree { tree, mark: guardian::mark(&run_dir(dir)) }))
}

impl Code for InTree {
    fn enter(&self) -> Result<Entered, String> {
        let mut last = String::new();
        for _ in 0..TRIES {
            let current = self.tree.current().map_err(|error| error.message().happened.clone())?;
            let Current::Release { id, file_id, .. } = &current else { return Err(what_it_is(&self.tree, &current)) };
            let dir: PathBuf = self.tree.path_of(id);
            match lease::hold(&dir, *file_id) {
                Ok(held) => {
                    let env = vec![("ALOUD_RELEASE".to_owned(), id.as_str().to_owned()), self.mark.clone()];
                    return Ok(Entered { dir, env, pin: Some(Box::new(held)), ..Entered::default() });
                }
                // It was switched from and removed since: the next look finds the new one.
                Err(gone) => last = format!("release {id}: {gone}"),
            }
        }
        Err(last)
    }
}
