//! From which release workers are started: where `current` leads, now.

use std::sync::Arc;

use release::{Current, ReleaseId, Tree};
use supervisor::{Code, Dir, NoCode, Source};

/// Asks the tree, each time anew.
pub(crate) struct FromTree {
    pub(crate) tree: Arc<Tree>,
    /// What workers are told besides what their pool says.
    pub(crate) env: Vec<(String, String)>,
}

impl Source for FromTree {
    fn resolve(&self) -> Result<Code, NoCode> {
        let current = self.tree.current().map_err(|error| NoCode { why: error.message().happened.clone() })?;
        let Current::Release { id, file_id, .. } = current else {
            return Err(NoCode { why: what_it_is(&self.tree, &current) });
        };
        Ok(Code {
            dir: self.tree.path_of(&id),
            id: word(&id),
            is: Dir { dev: file_id.dev, ino: file_id.ino },
            logical: self.tree.current_path(),
            env: self.env.clone(),
        })
    }
}

/// A release as workers are told it, and as they tell it to the server: what
/// is no visible ASCII is escaped, since it goes into the head of a request.
pub(crate) fn word(id: &ReleaseId) -> String {
    let mut word = String::new();
    for c in id.to_string().chars() {
        if c.is_ascii_graphic() {
            word.push(c);
        } else {
            word.extend(c.escape_unicode());
        }
    }
    word
}

/// What is wrong with a `current` that leads to no release, as a clause.
pub(crate) fn what_it_is(tree: &Tree, current: &Current) -> String {
    let path = tree.current_path();
    let link = path.display();
    match current {
        Current::Missing => format!("there is no `{link}`: nothing was deployed yet"),
        Current::Directory => format!("`{link}` is a folder or a file, and should be a link to a release"),
        Current::Dangling(text) => format!("`{link}` leads to `{text}`, which is not there"),
        Current::Loop => format!("`{link}` leads back to itself"),
        Current::Elsewhere(to) => format!("`{link}` leads to `{}`, which is no release of this tree", to.display()),
        Current::Release { id, .. } => format!("`{link}` leads to release {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_told_in_visible_letters() {
        let told = |name: &str| word(&name.parse().unwrap());
        assert_eq!(told("66"), "66");
        assert_eq!(told("has space"), "\"has\\u{20}space\"");
        assert!(
            ["größe", "new\nline", "\u{1b}[31m"].iter().all(|name| told(name).bytes().all(|b| b.is_ascii_graphic()))
        );
    }
}
