//! Where a release comes from, and how it gets into its directory.

mod fill;
mod folder;
mod git;
mod pack;
mod tarball;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::deploy::Build;
use crate::dir::Dir;
use crate::error::{Error, Message, Trouble};
use crate::tree::Tree;

use fill::Filler;
pub use pack::Pack;

/// Where a release comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A folder, copied.
    Folder(PathBuf),
    /// A `.tar`, `.tar.gz` or `.tgz` file.
    Tarball(PathBuf),
    /// A tarball that came from elsewhere, packed or not.
    Received {
        /// What it was called there.
        shown: String,
        /// Where its bytes are.
        file: PathBuf,
    },
    /// A commit of a git repository, taken by the machine's own `git`.
    Git {
        /// Where the repository is: a path or an address.
        repository: String,
        /// A branch, a tag or a commit.
        reference: String,
    },
}

impl Source {
    /// Reads a source as people write it: a folder, a tarball, `REPOSITORY#REF`, or a repository with a `reference`
    /// beside it. Relative paths are taken from `from` onwards.
    pub fn parse(text: &str, reference: Option<&str>, from: &Path) -> Result<Self, Error> {
        if text.is_empty() || text.contains('\0') {
            return Err(refused("the source is empty", HINT));
        }
        let (place, reference) = match (text.rsplit_once('#'), reference) {
            // A folder may have such a name.
            _ if reference.is_none() && from.join(text).exists() => (text, None),
            (Some((place, inline)), None) => (place, Some(inline)),
            (_, given) => (text, given),
        };
        let path = from.join(place);
        match reference {
            Some("") => Err(refused(&format!("nothing stands after the `#` of {text:?}"), HINT)),
            Some(reference) if reference.starts_with('-') || reference.chars().any(char::is_control) => {
                Err(refused(&format!("{reference:?} cannot be a branch, tag or commit"), HINT))
            }
            Some(reference) => {
                let repository = if path.exists() { path.to_string_lossy().into_owned() } else { place.to_owned() };
                if repository.starts_with('-') {
                    return Err(refused(&format!("{repository:?} cannot be a repository"), HINT));
                }
                Ok(Self::Git { repository, reference: reference.to_owned() })
            }
            None if path.is_dir() => Ok(Self::Folder(path)),
            None if is_tarball(&path) && path.is_file() => Ok(Self::Tarball(path)),
            None if path.exists() => Err(refused(&format!("{text:?} is neither a folder nor a tarball"), HINT)),
            None => Err(refused(&format!("there is no {text:?}"), HINT)),
        }
    }

    /// Whether it lies on this machine, so that others cannot get it by themselves.
    pub fn is_here(&self) -> bool {
        match self {
            Self::Folder(_) | Self::Tarball(_) | Self::Received { .. } => true,
            Self::Git { repository, .. } => Path::new(repository).exists(),
        }
    }

    /// What Deployer calls the target: the branch, or where it comes from.
    pub(crate) fn target(&self) -> String {
        match self {
            Self::Folder(_) | Self::Tarball(_) | Self::Received { .. } => self.to_string(),
            Self::Git { reference, .. } => reference.clone(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::Tarball(path) => write!(f, "{}", path.display()),
            Self::Received { shown, .. } => f.write_str(shown),
            Self::Git { repository, reference } => write!(f, "{}#{reference}", without_password(repository)),
        }
    }
}

const HINT: &str = "name a folder, a `.tar` or `.tar.gz` file, or `REPOSITORY#BRANCH`";

/// Copies the source into the release's new directory. Answers the revision, where the source knows it.
pub(crate) fn fill(tree: &Tree, release: &Dir, build: &Build) -> Result<Option<String>, Trouble> {
    let mut filler = Filler::new(release);
    let revision = match &build.source {
        Source::Folder(folder) => folder::copy(folder, tree, &build.exclude, &mut filler).map(|()| None),
        Source::Tarball(file) => tarball::unpack_file(file, build.strip, &mut filler).map(|()| None),
        Source::Received { shown, file } => {
            tarball::unpack_received(file, shown, build.strip, &mut filler).map(|()| None)
        }
        Source::Git { repository, reference } => git::export(tree, repository, reference, &mut filler).map(Some),
    }?;
    filler.finish()?;
    Ok(build.revision.clone().or(revision))
}

fn is_tarball(path: &Path) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    [".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending))
}

/// An address may hold a password, which nobody should read in a log.
fn without_password(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((user, host)) if !user.contains('/') => {
                let user = user.split_once(':').map_or(user, |(name, _)| name);
                format!("{scheme}://{user}@{host}")
            }
            _ => address.to_owned(),
        },
        None => address.to_owned(),
    }
}

fn refused(happened: &str, hint: &str) -> Error {
    Error::Refused(Message::new(happened, "Nothing was changed.", hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_as_people_write_it() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        std::fs::create_dir(here.join("build")).unwrap();
        std::fs::create_dir(here.join("odd#name")).unwrap();
        std::fs::write(here.join("build.tar.gz"), "").unwrap();
        std::fs::write(here.join("build.zip"), "").unwrap();
        let parse = |text: &str, reference| Source::parse(text, reference, here);
        let git = |repository: &str, reference: &str| Source::Git {
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        };
        assert_eq!(parse("build", None).unwrap(), Source::Folder(here.join("build")));
        assert_eq!(parse("odd#name", None).unwrap(), Source::Folder(here.join("odd#name")));
        assert_eq!(parse("build.tar.gz", None).unwrap(), Source::Tarball(here.join("build.tar.gz")));
        let local = here.join("build").to_string_lossy().into_owned();
        assert_eq!(parse("build#main", None).unwrap(), git(&local, "main"));
        assert_eq!(parse("build", Some("v1")).unwrap(), git(&local, "v1"));
        assert_eq!(parse("git@host:a/b.git#main", None).unwrap(), git("git@host:a/b.git", "main"));
        for wrong in ["", "nothing", "build.zip", "build#", "build#--upload-pack=x", "--x#main", "a\0b"] {
            assert!(parse(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        let shown = |text: &str| without_password(text);
        assert_eq!(shown("https://bob:hunter2@host/a.git"), "https://bob@host/a.git");
        assert_eq!(shown("https://host/a@b.git"), "https://host/a@b.git");
        assert_eq!(shown("git@host:a.git"), "git@host:a.git");
    }
}
