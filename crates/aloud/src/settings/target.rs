//! Which server the commands talk to, and how they are let in.

use std::path::PathBuf;

use aloud_client::{Settings, Token};
use job::AppName;

use crate::report::Report;
use crate::settings::file::File;
use crate::settings::listen::{self, Listen};
use crate::settings::token_beside;

/// A server to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its address.
    pub(crate) url: String,
    /// The file with the app's token, if one is known of.
    pub(crate) token_file: Option<PathBuf>,
    /// The app that it should belong to, if one is known of.
    pub(crate) app: Option<AppName>,
}

impl Target {
    /// Decides which one, from a file that environment and flags have been laid
    /// over.
    pub(crate) fn decide(file: File) -> Result<Self, Report> {
        let server = file.server;
        let url = match (server.url, server.http) {
            (Some(url), _) => url,
            (None, None) => Settings::DEFAULT_URL.to_owned(),
            (None, Some(Listen::At(address))) if address.port() != 0 => listen::url(address),
            (None, Some(http)) => {
                return Err(Report::config(
                    format!("the configuration does not say where the server is: its `http` is `{http}`"),
                    "Nothing was sent.",
                    "give --url with the address that the server printed, or set ALOUD_URL",
                ));
            }
        };
        let token_file = server.token_file.or_else(|| server.data.as_deref().map(token_beside));
        Ok(Self { url, token_file, app: file.app })
    }

    /// How to reach it; reads the token.
    pub(crate) fn settings(&self) -> Result<Settings, Report> {
        let Some(path) = &self.token_file else {
            return Err(Report::config(
                "no token file is named",
                "The server answers only those who show the app's token. Nothing was sent.",
                "give --token-file or set ALOUD_TOKEN_FILE (it is `token` in the store's folder), or run this where \
                 aloud.toml is",
            ));
        };
        let token = Token::new(server::Token::read(path)?.reveal())?;
        Ok(Settings { app: self.app.clone(), ..Settings::new(self.url.clone(), Some(token)) })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn target(text: &str) -> Result<Target, Report> {
        Target::decide(File::parse(text, Path::new("aloud.toml")).unwrap())
    }

    #[test]
    fn the_server_is_where_the_configuration_says_it_listens() {
        let url = |text: &str| target(text).map(|target| target.url).map_err(|report| report.exit);
        assert_eq!(url(""), Ok("http://127.0.0.1:7420".to_owned()));
        assert_eq!(url("server.http = '127.0.0.1:99'"), Ok("http://127.0.0.1:99".to_owned()));
        assert_eq!(url("server.http = '0.0.0.0:99'"), Ok("http://127.0.0.1:99".to_owned()));
        assert_eq!(url("server.http = '[::]:99'"), Ok("http://[::1]:99".to_owned()));
        assert_eq!(url("server = { http = 'off', url = 'https://q.example' }"), Ok("https://q.example".to_owned()));
        assert_eq!(url("server.http = 'off'"), Err(crate::exit::Exit::Config));
        assert_eq!(url("server.http = '127.0.0.1:0'"), Err(crate::exit::Exit::Config));
    }

    #[test]
    fn the_token_is_in_the_folder_of_the_store_unless_something_else_is_said() {
        let file = |text: &str| target(text).unwrap().token_file;
        assert_eq!(file(""), None);
        assert_eq!(file("server.data = '/d'"), Some("/d/token".into()));
        assert_eq!(file("server = { data = '/d', token_file = '/t' }"), Some("/t".into()));
    }
}
