//! The app's token: who shows it may do everything under `/v1`.
//!
//! It lives in a file that only its owner can read. It is never logged, never
//! part of an error, and never compared faster when it is more wrong.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use subtle::ConstantTimeEq;

/// A secret that opens `/v1`: one line of visible ASCII characters. One that was
/// drawn here is `alo_` and 64 digits of 0-9 and a-f.
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{happened}\n  {means}\nhint: {hint}")]
pub struct TokenError {
    /// What happened.
    pub happened: String,
    /// What it means.
    pub means: &'static str,
    /// What to do.
    pub hint: String,
}

/// By it a token is known where it should not be: in a log, in a repository.
const PREFIX: &str = "alo_";
const RANDOM_BYTES: usize = 32;
const MIN_BYTES: usize = 32;
const MAX_BYTES: usize = 512;

impl Token {
    /// Draws a new token and writes it into a new file that only its owner can
    /// read. A file that is there already is left alone, and is an error.
    pub fn create(path: &Path) -> Result<Self, TokenError> {
        let token =
            Self::draw().map_err(|e| cannot("draw a token", path, &e, "see that the system's random source works"))?;
        let mut file = new_private_file(path).map_err(|error| {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return cannot("create", path, &error, "see that its folder is there and can be written to");
            }
            let hint = "use it as it is; to change the token, delete the file first and restart all who use it";
            TokenError {
                happened: format!("there is a file `{}` already", path.display()),
                means: "No token was written; the one that is there still counts.",
                hint: hint.to_owned(),
            }
        })?;
        let written = file.write_all(format!("{}\n", token.0).as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            let mut failed = cannot("write", path, &error, "see that its file system has room and can be written to");
            if let Err(left) = std::fs::remove_file(path) {
                failed.hint = format!("{}, and delete the file, which could not be removed: {left}", failed.hint);
            }
            return Err(failed);
        }
        Ok(token)
    }

    /// Reads the token from its file, which nobody but its owner may be able to
    /// read.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let file = File::open(path).map_err(|e| {
            cannot("open", path, &e, "`aloud init` writes it; run this as the user whom the file belongs to")
        })?;
        if let Some(mode) = open_to_others(&file).map_err(|e| cannot("look at", path, &e, "see that it is a file"))? {
            return Err(TokenError {
                happened: format!("the token file `{}` can be read by others (its mode is {mode:03o})", path.display()),
                means: "It is not used, because others may know the token.",
                hint: format!(
                    "if nobody else read it, run `chmod 600 {0}`; otherwise delete it and have a new one written",
                    path.display()
                ),
            });
        }
        let mut text = String::new();
        // No more than the longest token and a line's end is looked at.
        file.take(MAX_BYTES as u64 + 3)
            .read_to_string(&mut text)
            .map_err(|e| cannot("read", path, &e, "see that it is a file that `aloud init` wrote"))?;
        Self::parse(text.trim_end()).ok_or_else(|| TokenError {
            happened: format!("the file `{}` holds no token", path.display()),
            means: "A token is one line of 32 to 512 visible ASCII characters without spaces.",
            hint: "name the file that `aloud init` wrote, or delete this one and have a new one written".to_owned(),
        })
    }

    /// The token as text, to be shown to a server and to nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is this token. How long that takes does not depend on
    /// how much of it is right.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }

    fn draw() -> Result<Self, io::Error> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("{PREFIX}{digits}")))
    }

    fn parse(text: &str) -> Option<Self> {
        let fits = (MIN_BYTES..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn cannot(what: &str, path: &Path, error: &dyn fmt::Display, hint: &str) -> TokenError {
    TokenError {
        happened: format!("cannot {what} the token file `{}`: {error}", path.display()),
        means: "Without the token nobody can be let in, or get in.",
        hint: hint.to_owned(),
    }
}

fn new_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The file's mode, if anybody but its owner can do anything with it.
fn open_to_others(file: &File) -> io::Result<Option<u32>> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&found) & 0o777;
        Ok((mode & 0o077 != 0).then_some(mode))
    }
    #[cfg(not(unix))]
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn message(error: &TokenError, folder: &Path) -> String {
        error.to_string().replace(&folder.display().to_string(), "DIR")
    }

    #[test]
    fn a_token_is_read_as_it_was_created_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let created = Token::create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Token::read(&path).unwrap();
        assert_eq!(created.reveal(), read.reveal());
        assert_eq!(created.reveal().len(), 68);
        assert!(read.is(created.reveal().as_bytes()));
        for wrong in ["", "alo_", &created.reveal()[..67], &format!("{}0", created.reveal())] {
            assert!(!read.is(wrong.as_bytes()), "{wrong}");
        }
        assert_ne!(Token::create(&folder.path().join("other")).unwrap().reveal(), created.reveal());
    }

    #[test]
    fn nothing_of_a_token_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::create(&folder.path().join("token")).unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn a_token_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let first = Token::create(&path).unwrap();
        insta::assert_snapshot!(message(&Token::create(&path).unwrap_err(), folder.path()), @r"
        there is a file `DIR/token` already
          No token was written; the one that is there still counts.
        hint: use it as it is; to change the token, delete the file first and restart all who use it
        ");
        assert_eq!(Token::read(&path).unwrap().reveal(), first.reveal());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        Token::create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(Token::read(&path).is_err(), "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        insta::assert_snapshot!(message(&Token::read(&path).unwrap_err(), folder.path()), @r"
        the token file `DIR/token` can be read by others (its mode is 644)
          It is not used, because others may know the token.
        hint: if nobody else read it, run `chmod 600 DIR/token`; otherwise delete it and have a new one written
        ");
    }

    #[test]
    fn what_holds_no_token_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let good = Token::create(&path).unwrap().reveal().to_owned();
        for wrong in ["", "hunter2\n", &good[..31], &"x".repeat(513), &format!("{good}\nmore")] {
            std::fs::write(&path, wrong).unwrap();
            assert!(Token::read(&path).is_err(), "{wrong}");
        }
        std::fs::write(&path, "hunter2\n").unwrap();
        insta::assert_snapshot!(message(&Token::read(&path).unwrap_err(), folder.path()), @r"
        the file `DIR/token` holds no token
          A token is one line of 32 to 512 visible ASCII characters without spaces.
        hint: name the file that `aloud init` wrote, or delete this one and have a new one written
        ");
        std::fs::write(&path, format!("{good}\r\n")).unwrap();
        assert!(Token::read(&path).is_ok(), "a line's end is no part of it");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        insta::assert_snapshot!(message(&Token::read(folder.path()).unwrap_err(), folder.path()), @r"
        cannot look at the token file `DIR`: it is not a file
          Without the token nobody can be let in, or get in.
        hint: see that it is a file
        ");
        let missing = Token::read(&folder.path().join("nothing")).unwrap_err();
        insta::assert_snapshot!(message(&missing, folder.path()), @r"
        cannot open the token file `DIR/nothing`: No such file or directory (os error 2)
          Without the token nobody can be let in, or get in.
        hint: `aloud init` writes it; run this as the user whom the file belongs to
        ");
    }
}
