//! What a mail says: the letter that lies in a release.
//!
//! A worker reads it once, when it starts, from the folder that it was started
//! in. So a mail shows which release its worker runs, and a release without a
//! letter that can be read cannot start.

use std::fs;
use std::path::{Path, PathBuf};

use minijinja::{Environment, UndefinedBehavior, context};

use crate::book::SendNotice;

/// The text of the letter that comes with this example.
pub const TEXT: &str = include_str!("../site/letter.txt");
/// The same as HTML.
pub const HTML: &str = include_str!("../site/letter.html");
/// The colour in it that a new version may change.
pub const COLOUR: &str = "#3d4fd6";

/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A release's letter.
#[derive(Debug)]
pub struct Letter {
    /// The release that it lies in.
    pub release: String,
    /// What the release says of itself, in its file `VERSION`.
    pub version: String,
    text: String,
    html: String,
    pages: Environment<'static>,
}

/// A letter that was filled in.
#[derive(Debug, PartialEq, Eq)]
pub struct Filled {
    /// As text.
    pub text: String,
    /// As HTML.
    pub html: String,
}

/// Why a letter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is not there, or cannot be read.
    #[error("cannot read `{}`: {why}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It is no template, or asks for what nobody knows.
    #[error("`{name}` cannot be filled in: {why}")]
    Template {
        /// Which.
        name: &'static str,
        /// Why.
        why: minijinja::Error,
    },
}

impl Letter {
    /// Reads the letter of the release `release` in a folder, and tries it out.
    pub fn read(folder: &Path, release: &str) -> Result<Self, Error> {
        let mut pages = Environment::new();
        pages.set_undefined_behavior(UndefinedBehavior::Strict);
        let letter = Self {
            release: release.to_owned(),
            version: read(&folder.join("VERSION"))?.trim().to_owned(),
            text: read(&folder.join("letter.txt"))?,
            html: read(&folder.join("letter.html"))?,
            pages,
        };
        letter.fill(&SendNotice {
            request: 0,
            title: "A title".to_owned(),
            recipient: "somebody".to_owned(),
            to: "somebody@example.org".to_owned(),
        })?;
        Ok(letter)
    }

    /// Fills it in.
    pub fn fill(&self, notice: &SendNotice) -> Result<Filled, Error> {
        // The name decides that what is filled in is escaped as HTML.
        let fill = |name: &'static str, source: &str| {
            let SendNotice { title, recipient, .. } = notice;
            let (release, version) = (&self.release, &self.version);
            let filled = self.pages.render_named_str(name, source, context! { title, recipient, release, version });
            filled.map_err(|why| Error::Template { name, why })
        };
        Ok(Filled { text: fill("letter.txt", &self.text)?, html: fill("letter.html", &self.html)? })
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let failed = |why: String| Error::File { path: path.to_owned(), why };
    let bytes = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if bytes > MAX_BYTES {
        return Err(failed(format!("it has {bytes} bytes, and at most {MAX_BYTES} are read")));
    }
    fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> SendNotice {
        SendNotice { request: 1, title: "Ready <b>".into(), recipient: "a reader".into(), to: "a@example.org".into() }
    }

    fn site() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("letter.txt", TEXT), ("letter.html", HTML), ("VERSION", "7\n")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_letter_says_which_release_it_is_from() {
        let folder = site();
        let letter = Letter::read(folder.path(), "66").unwrap();
        fs::remove_dir_all(folder.path()).unwrap();
        let Filled { text, html } = letter.fill(&notice()).unwrap();
        assert_eq!(text.lines().last(), Some("Sent by release 66, version 7."));
        assert!(text.contains("Ready <b>.") && html.contains("Ready &lt;b&gt;</h1>"), "{text}{html}");
        assert!(html.contains(COLOUR), "a new version changes this colour");
    }

    #[test]
    fn a_release_whose_letter_cannot_be_used_says_why() {
        let folder = site();
        fs::write(folder.path().join("letter.txt"), "{{ tytle }}").unwrap();
        let why = Letter::read(folder.path(), "66").unwrap_err().to_string();
        assert!(why.starts_with("`letter.txt` cannot be filled in: "), "{why}");
        fs::remove_file(folder.path().join("letter.html")).unwrap();
        let why = Letter::read(folder.path(), "66").unwrap_err().to_string();
        assert!(why.contains("/letter.html`: No such file"), "{why}");
    }
}
