//! What the configuration means.
//!
//! [`file::File`] is what was written and [`crate::args`] what was typed; this
//! is what follows from both: flags override `ALOUD_*` variables, which
//! override `aloud.toml`. Everything here is decided before anything is opened,
//! listened on, or sent.

pub(crate) mod env;
pub(crate) mod file;
pub(crate) mod host;
pub(crate) mod listen;
#[cfg(test)]
mod manual;
pub(crate) mod mistake;
pub(crate) mod sample;
pub(crate) mod section;
pub(crate) mod size;
pub(crate) mod target;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use job::rules::Late;
use job::{AppName, QueueName, Rules};
use runner::config::{GuardConfig, HandlerConfig};

use crate::report::Report;
use env::Env;
use file::{Durability, File};
use listen::Listen;
use size::Size;

/// Where the HTTP API listens if nothing says otherwise.
pub(crate) const DEFAULT_HTTP: &str = "127.0.0.1:7420";

/// What the server needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Whose the store is; without it, the store says so itself.
    pub(crate) app: Option<AppName>,
    /// The store's folder.
    pub(crate) data: PathBuf,
    /// Where the HTTP API listens.
    pub(crate) http: Listen,
    /// Names, besides the usual, that it may be asked for.
    pub(crate) allowed_hosts: Vec<String>,
    /// Where the app's token is.
    pub(crate) token_file: PathBuf,
    /// Where the secret is that requests to the application are signed with.
    pub(crate) secret_file: PathBuf,
    /// When an answered push is on disk.
    pub(crate) durability: Durability,
    /// How much room pushes must leave.
    pub(crate) free_floor: Size,
    /// What the operator decided about queues and kinds.
    pub(crate) rules: Rules,
    /// What does the jobs that aloud runs itself.
    pub(crate) handlers: Vec<HandlerConfig>,
    /// What may be asked whether a job is still wanted.
    pub(crate) guards: Vec<GuardConfig>,
}

/// A configuration, with where it came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// The file, if there is one.
    pub(crate) path: Option<PathBuf>,
    /// What it says, overridden by the environment.
    pub(crate) file: File,
}

impl Found {
    /// Finds the configuration: the file that was named, by flag or variable,
    /// or else `aloud.toml` in the folder `here`, if it is there.
    pub(crate) fn look(named: Option<&Path>, here: &Path, env: &Env) -> Result<Self, Report> {
        let named = named.map(Path::to_owned).or_else(|| env.text("ALOUD_CONFIG").map(PathBuf::from));
        let path = named.or_else(|| Some(here.join(file::NAME)).filter(|path| path.exists()));
        let mut file = path.as_deref().map(File::read).transpose()?.unwrap_or_default();
        file.overlay(env)?;
        Ok(Self { path, file })
    }

    /// The folder, absolute, at which relative paths of handlers and guards
    /// start: that of the file.
    pub(crate) fn folder(&self, here: &Path) -> PathBuf {
        let folder = self.path.as_deref().and_then(Path::parent);
        folder.map_or_else(|| here.to_owned(), |folder| here.join(folder))
    }
}

impl Settings {
    /// Decides what the server does, from a file that environment and flags
    /// have been laid over.
    pub(crate) fn decide(file: File) -> Result<Self, Report> {
        let File { app, server, queue_defaults, queues, handler, guard, .. } = file;
        let Some(data) = server.data else {
            return Err(Report::config(
                "no folder is named for the store",
                "The server did not start.",
                "give `--data DIR`, or `data` in the section [server] of aloud.toml; `aloud init` writes one",
            ));
        };
        let http = server.http.unwrap_or_else(|| DEFAULT_HTTP.parse().expect("the default is an address"));
        if !http.is_local() && !server.allow_remote.unwrap_or(false) {
            return Err(Report::config(
                format!("`{http}` can be reached from other machines"),
                "The API speaks without encryption: whoever can read the traffic can read the token and every job.\n\
                 The server did not start.",
                "listen on 127.0.0.1 behind a proxy with TLS, or say `--allow-remote` (or `allow_remote = true`) if \
                 the network may be trusted",
            ));
        }
        let default = Late::default();
        let late = Late {
            after: queue_defaults.late_after.unwrap_or(default.after),
            then: queue_defaults.late.unwrap_or(default.then),
        };
        let of_queue = |queue: file::OneQueue| Late {
            after: queue.late_after.unwrap_or(late.after),
            then: queue.late.unwrap_or(late.then),
        };
        let late_in: BTreeMap<QueueName, Late> =
            queues.into_iter().map(|(name, queue)| (name, of_queue(queue))).collect();
        let usual = Rules::default();
        Ok(Self {
            app,
            http,
            allowed_hosts: server.allowed_hosts.unwrap_or_default(),
            token_file: server.token_file.unwrap_or_else(|| token_beside(&data)),
            secret_file: server.secret_file.unwrap_or_else(|| secret_beside(&data)),
            data,
            durability: server.durability.unwrap_or_default(),
            free_floor: server.free_floor.unwrap_or(Size(store::sqlite::Options::FREE_FLOOR)),
            rules: Rules {
                own_kinds: handler.iter().map(|handler| handler.kind.clone()).collect(),
                late,
                late_in,
                max_rescues: server.max_rescues.unwrap_or(usual.max_rescues),
                keep_ended: server.keep_ended.unwrap_or(usual.keep_ended),
            },
            handlers: handler,
            guards: guard,
        })
    }
}

/// Where the token of a store is if nothing says otherwise.
pub(crate) fn token_beside(data: &Path) -> PathBuf {
    data.join("token")
}

/// Where the signing secret of a store is if nothing says otherwise.
pub(crate) fn secret_beside(data: &Path) -> PathBuf {
    data.join("secret")
}

#[cfg(test)]
mod tests {
    use job::Span;
    use job::rules::IfLate;

    use super::*;

    fn decide(text: &str) -> Result<Settings, Report> {
        Settings::decide(File::parse(text, Path::new("aloud.toml"))?)
    }

    #[test]
    fn a_queue_takes_from_the_defaults_what_it_leaves_out() {
        let rules = decide(
            "server.data = 'd'\n[queue_defaults]\nlate = 'expire'\nlate_after = '1h'\n\
             [queues.mail]\nlate = 'hold'\n[queues.sms]\nlate_after = '2h'",
        )
        .unwrap()
        .rules;
        let late = |queue: &str| rules.late_in[queue];
        assert_eq!(rules.late, Late { after: Span::from_secs(3_600), then: IfLate::Expire });
        assert_eq!(late("mail"), Late { after: Span::from_secs(3_600), then: IfLate::Hold });
        assert_eq!(late("sms"), Late { after: Span::from_secs(7_200), then: IfLate::Expire });
    }

    #[test]
    fn a_kind_with_a_handler_is_handed_to_nobody_else() {
        let settings = decide("server.data = 'd'\n[[handler]]\nkind = 'k'\nrun = { exec = ['true'] }").unwrap();
        assert!(settings.rules.own_kinds.contains("k"));
        assert_eq!(settings.handlers.len(), 1);
    }

    #[test]
    fn other_machines_are_let_in_only_if_that_is_said() {
        insta::assert_snapshot!(decide("server = { data = 'd', http = '0.0.0.0:7420' }").unwrap_err(), @r"
        error: `0.0.0.0:7420` can be reached from other machines
          The API speaks without encryption: whoever can read the traffic can read the token and every job.
          The server did not start.
        hint: listen on 127.0.0.1 behind a proxy with TLS, or say `--allow-remote` (or `allow_remote = true`) if the network may be trusted
        ");
        assert!(decide("server = { data = 'd', http = '0.0.0.0:7420', allow_remote = true }").is_ok());
        assert!(decide("server = { data = 'd', http = '[::1]:7420' }").is_ok());
    }

    #[test]
    fn a_server_without_a_folder_is_refused() {
        insta::assert_snapshot!(decide("app = 'shop'").unwrap_err(), @r"
        error: no folder is named for the store
          The server did not start.
        hint: give `--data DIR`, or `data` in the section [server] of aloud.toml; `aloud init` writes one
        ");
    }

    #[test]
    fn the_documented_defaults_are_the_defaults() {
        let defaults = |section: section::Section| {
            let lines = section.entries.iter().filter_map(|entry| match entry.value {
                section::Value::Default(value) => Some(format!("{} = {value}\n", entry.key)),
                section::Value::Example(_) => None,
            });
            lines.collect::<String>()
        };
        let (server, queues) = (defaults(file::Server::MANUAL), defaults(file::QueueDefaults::MANUAL));
        let all = format!("[server]\ndata = 'd'\n{server}[queue_defaults]\n{queues}");
        let (all, none) = (decide(&all).unwrap(), decide("server.data = 'd'").unwrap());
        assert_eq!(format!("{all:?}"), format!("{none:?}"));
    }
}
