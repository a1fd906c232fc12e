//! Where the server is, and how to be let in.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use job::AppName;

use crate::Error;

/// The secret that lets an application in.
///
/// It is never printed: not by `Debug`, not in an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The longest file that is taken for a token's, in bytes.
    const MAX_FILE_BYTES: u64 = 4_096;

    /// Takes the token itself: visible ASCII without spaces.
    pub fn new(token: impl Into<String>) -> Result<Self, Error> {
        let token = token.into();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::config(
                "the token is empty, or holds characters that no token has",
                "give the text that `aloud init` wrote into the token file, or name that file in ALOUD_TOKEN_FILE",
            ));
        }
        Ok(Self(token))
    }

    /// Reads the token from the file that `aloud init` wrote.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(Self::MAX_FILE_BYTES + 1).read_to_string(&mut text));
        let bytes = read.map_err(|e| {
            Error::config(
                format!("cannot read the token file `{}`: {e}", path.display()),
                "name the file that `aloud init` wrote, and run as a user who may read it",
            )
        })?;
        if bytes as u64 > Self::MAX_FILE_BYTES {
            return Err(Error::config(
                format!("`{}` is no token file: it has more than {} bytes", path.display(), Self::MAX_FILE_BYTES),
                "name the file that `aloud init` wrote",
            ));
        }
        Self::new(text.trim())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where the server is, how to be let in, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's address: `http://127.0.0.1:7420`.
    pub url: String,
    /// What lets the application in.
    pub token: Option<Token>,
    /// The application's name. A server of another application then refuses.
    pub app: Option<AppName>,
    /// How long a connection may take to be made; 5 seconds by default.
    pub connect_within: Duration,
    /// How long an answer may take, beyond the wait that a request asks for;
    /// 30 seconds by default.
    pub answer_within: Duration,
}

impl Settings {
    /// The server's address if nothing says otherwise.
    pub const DEFAULT_URL: &str = "http://127.0.0.1:7420";

    /// A server, with the time-outs as they are by default.
    pub fn new(url: impl Into<String>, token: Option<Token>) -> Self {
        Self {
            url: url.into(),
            token,
            app: None,
            connect_within: Duration::from_secs(5),
            answer_within: Duration::from_secs(30),
        }
    }

    /// What the environment says: `ALOUD_URL`, `ALOUD_TOKEN_FILE`, `ALOUD_APP`.
    /// Processes that aloud starts find all three there.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_vars(|name| std::env::var_os(name))
    }

    fn from_vars(var: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let var = |name| var(name).filter(|value| !value.is_empty());
        let text = |name| match var(name).map(OsString::into_string).transpose() {
            Ok(text) => Ok(text),
            Err(_) => Err(Error::config(format!("{name} is not UTF-8"), "set it anew, as text")),
        };
        let url = text("ALOUD_URL")?.unwrap_or_else(|| Self::DEFAULT_URL.to_owned());
        let token = var("ALOUD_TOKEN_FILE").map(PathBuf::from).map(Token::from_file).transpose()?;
        let mut settings = Self::new(url, token);
        if let Some(app) = text("ALOUD_APP")? {
            settings.app = Some(app.parse().map_err(|e| {
                Error::config(format!("ALOUD_APP is not an application's name: {e}"), "give it as in `aloud.toml`")
            })?);
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed() {
        let token = Token::new("s3cret").unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
        let bad = Token::new("s3cret\u{7}").unwrap_err();
        assert!(!format!("{bad:#} {bad:?}").contains("s3cret"));
    }

    #[test]
    fn the_environment_names_the_server_the_token_file_and_the_app() {
        let file = std::env::temp_dir().join(format!("aloud-token-{}", std::process::id()));
        std::fs::write(&file, "s3cret\n").unwrap();
        let path = file.display().to_string();
        let read = |url: Option<&str>, token: Option<&str>, app: Option<&str>| {
            Settings::from_vars(|name| {
                let value = match name {
                    "ALOUD_URL" => url,
                    "ALOUD_TOKEN_FILE" => token,
                    "ALOUD_APP" => app,
                    _ => None,
                };
                value.map(OsString::from)
            })
        };
        let settings = read(Some("http://10.0.0.1:1"), Some(&path), Some("notice")).unwrap();
        assert_eq!(settings.url, "http://10.0.0.1:1");
        assert_eq!(settings.token.unwrap().as_str(), "s3cret");
        assert_eq!(settings.app.unwrap().as_str(), "notice");
        assert_eq!(read(None, None, None).unwrap().url, Settings::DEFAULT_URL);
        std::fs::remove_file(&file).unwrap();
        let missing = read(None, Some(&path), None).unwrap_err();
        assert!(missing.happened().starts_with("cannot read the token file"), "{missing}");
        assert!(matches!(read(None, None, Some("no tice")), Err(Error::Config { .. })));
        let endless = read(None, Some("/dev/zero"), None).unwrap_err();
        assert!(endless.happened().contains("more than 4096 bytes"), "{endless}");
    }
}
