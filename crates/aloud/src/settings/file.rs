//! `aloud.toml`, as it is written.
//!
//! Every key is declared here, with its doc comment as its manual entry. What
//! a combination of them means is decided in [`crate::settings`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agent::config::{WatchedConfig, WorkerConfig};
use job::rules::IfLate;
use job::{AppName, HostName, QueueName, Span};
use runner::config::{GuardConfig, HandlerConfig};
use serde::Deserialize;

use crate::report::Report;
use crate::settings::env::Env;
use crate::settings::listen::Listen;
use crate::settings::mistake;
use crate::settings::section::{Overlay, Section, section};
use crate::settings::size::Size;

/// What `aloud.toml` is called, where nothing else is said.
pub(crate) const NAME: &str = "aloud.toml";

/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    pub(crate) app: Option<AppName>,
    pub(crate) server: Server,
    pub(crate) queue_defaults: QueueDefaults,
    pub(crate) queues: BTreeMap<QueueName, OneQueue>,
    pub(crate) release: Release,
    pub(crate) agent: Agent,
    pub(crate) worker: Vec<WorkerConfig>,
    pub(crate) watched: Vec<WatchedConfig>,
    pub(crate) handler: Vec<HandlerConfig>,
    pub(crate) guard: Vec<GuardConfig>,
}

section! {
    /// At the top of the file, before the first section.
    [""] Top {
        /// The application that everything below belongs to. A store belongs to
        /// one app, and its server answers no other, so that two apps never
        /// share a queue by accident. At most 64 letters, digits, `-`, `_` and
        /// `.`. Without it, the store says whose it is.
        app: AppName = Example("\"shop\""), env "ALOUD_APP", flag "--app";
    }
}

section! {
    /// The queue server of this host, and how the commands find it.
    ["server"] Server {
        /// The folder of the embedded store. The server needs it; it is created
        /// by `aloud init` and by `--init`, and never otherwise. A relative path
        /// starts at the folder of this file.
        data: PathBuf = Example("\"/var/lib/aloud\""), env "ALOUD_DATA", flag "--data";

        /// Where the HTTP API listens: an IP address and a port, or `off`. Port
        /// 0 takes a free one; the server prints which.
        http: Listen = Default("\"127.0.0.1:7420\""), env "ALOUD_HTTP", flag "--http";

        /// Lets `http` be an address that other machines can reach. The API
        /// speaks without encryption: whoever can read the traffic can read the
        /// token and every job, so put a proxy with TLS before it, or keep to a
        /// network where that is acceptable.
        allow_remote: bool = Default("false"), env "ALOUD_ALLOW_REMOTE", flag "--allow-remote";

        /// Names and addresses, without a port, under which the server may be
        /// called besides `localhost`, the loopback addresses and the address of
        /// `http`. A request with another `Host` is refused, so that no web page
        /// can reach the API under a name of its own.
        allowed_hosts: Vec<String> = Default("[]"), env "ALOUD_ALLOWED_HOSTS";

        /// The file with the app's token: one line, readable by its owner alone
        /// (mode 0600). Server, commands and clients read it; the token itself
        /// never stands in this file, on a command line or in the environment.
        /// By default it is `token` in the folder `data`.
        token_file: PathBuf = Example("\"/etc/aloud/token\""), env "ALOUD_TOKEN_FILE", flag "--token-file";

        /// The file with the secret that requests to the application are signed
        /// with, so that it can tell them from others; readable by its owner
        /// alone. By default it is `secret` in the folder `data`, and created
        /// with the store.
        secret_file: PathBuf = Example("\"/etc/aloud/secret\""), env "ALOUD_SECRET_FILE";

        /// Where the commands reach the server. By default at the address of
        /// `http`.
        url: String = Example("\"http://127.0.0.1:7420\""), env "ALOUD_URL", flag "--url";

        /// `full`: what was answered is on disk. `relaxed`: it is on disk within
        /// a second, so that a power cut may take the last second with it; a
        /// crash of the server takes nothing either way.
        durability: Durability = Default("\"full\""), env "ALOUD_DURABILITY", flag "--durability";

        /// Pushes are refused when the disk has less than this left, so that
        /// what frees room (ends, cancels, deletes) still finds some.
        free_floor: Size = Default("\"64MiB\""), env "ALOUD_FREE_FLOOR";

        /// How long jobs that have ended can still be looked up. The counts of
        /// the ledger stay for ever.
        keep_ended: Span = Default("\"7d\""), env "ALOUD_KEEP_ENDED";

        /// How often a job may lose its worker (its lease runs out) before it is
        /// laid aside as dead: one that takes its worker down each time must not
        /// do so for ever.
        max_rescues: u32 = Default("5"), env "ALOUD_MAX_RESCUES";
    }
}

section! {
    /// What holds for every queue that says nothing else in `[queues.NAME]`.
    ["queue_defaults"] QueueDefaults {
        /// What to do with work that is found late, when an outage is over:
        /// `run` it; `hold` it as dead, where a person can retry or delete it;
        /// or `expire` it.
        late: IfLate = Default("\"run\""), env "ALOUD_LATE";

        /// How far behind its due time work is late.
        late_after: Span = Default("\"24h\""), env "ALOUD_LATE_AFTER";
    }
}

section! {
    /// One queue, by its name. A queue need not be declared to be used. What is
    /// left out is as in `[queue_defaults]`.
    ["queues.NAME"] OneQueue {
        /// As in `[queue_defaults]`.
        late: IfLate = Example("\"expire\"");

        /// As in `[queue_defaults]`.
        late_after: Span = Example("\"2h\"");
    }
}

section! {
    /// The tree of releases that is deployed to, and that workers run from:
    /// `releases/`, `shared/`, and `current`, a symbolic link. Trees of Deployer,
    /// Capistrano and Ansistrano are taken as they are.
    ["release"] Release {
        /// The folder with `current` and `releases/` in it. A relative path
        /// starts at the folder of this file.
        root: PathBuf = Example("\"/srv/shop\""), env "ALOUD_RELEASE_ROOT", flag "--root";

        /// How many healthy releases are kept, 1 to 1000. What a process is in,
        /// or may be in, is kept besides.
        keep: u32 = Default("5");

        /// How many failed releases are kept, to be looked at.
        keep_failed: u32 = Default("2");

        /// Programs that cannot be looked at, because they belong to other users,
        /// and are known to be in no release: by the names that `aloud prune`
        /// shows, or `*` for all of them. Whoever else cannot be looked at keeps
        /// every release from being removed.
        accept_unknown: Vec<String> = Example("[\"sshd\", \"systemd\"]");

        /// Folders that all releases share: they live in `shared/`, and each
        /// release has a link to them.
        shared_dirs: Vec<PathBuf> = Default("[]");

        /// Files that all releases share.
        shared_files: Vec<PathBuf> = Default("[]");

        /// What is not copied from a folder that is deployed: names, or paths
        /// from its top. `.git` never is.
        exclude: Vec<String> = Default("[]");

        /// Commands that make a release of what was copied, one after the other,
        /// in the release: a failure ends the deploy before anything was
        /// switched.
        build: Vec<Vec<String>> = Example("[[\"composer\", \"install\", \"--no-dev\"]]");

        /// Commands that must run once and not on every host, such as a
        /// database migration: on the first host only, after `build`.
        build_once: Vec<Vec<String>> = Example("[[\"php\", \"artisan\", \"migrate\", \"--force\"]]");

        /// The longest that one of these commands may take.
        build_within: Span = Default("\"30m\"");

        /// The user that `build` runs as; the one who deploys if left out.
        user: String = Example("\"deploy\"");

        /// A command that only works if the release can run. It is run in the new
        /// release, as the user and with the environment of every kind of worker,
        /// before the switch.
        boot_check: Vec<String> = Example("[\"php\", \"artisan\", \"--version\"]");

        /// How long it may take.
        boot_within: Span = Default("\"1m\"");

        /// Addresses that must answer with 2xx after the switch.
        verify_http: Vec<String> = Example("[\"http://127.0.0.1:8080/health\"]");

        /// A kind of job that workers do as a proof: after the switch one is
        /// pushed, and a worker of the new release must do it.
        verify_job: job::KindName = Example("\"health.check\"");

        /// The queue it is pushed to.
        verify_queue: QueueName = Default("\"default\"");

        /// How long all that may take.
        verify_within: Span = Default("\"30s\"");

        /// How long everything must stay well after that.
        settle: Span = Default("\"2s\"");

        /// What follows if the new release's workers do not get ready: `hold`,
        /// the old ones work on, and it is said; or `rollback`, `current` is
        /// switched back. Without this it is `hold` while old workers serve, and
        /// `rollback` if none does.
        on_failure: OnFailure = Example("\"rollback\"");

        /// The hosts that `aloud deploy` and `aloud rollback` reach over `ssh`, as
        /// that knows them; `localhost` is this one. Without any it is this host
        /// alone. All have the release ready before any switches to it.
        hosts: Vec<String> = Default("[]");
    }
}

section! {
    /// The agent of this host: it starts the workers and keeps them on the
    /// deployed release.
    ["agent"] Agent {
        /// What this host is called; its own name if left out.
        host: HostName = Example("\"web1\""), env "ALOUD_HOST";

        /// The folder of the agent's sockets, records and logs. Without it,
        /// `.aloud/agent` beside `releases/`.
        dir: PathBuf = Example("\"/var/lib/aloud-agent\""), env "ALOUD_AGENT_DIR";

        /// The file with the agent's own token, which `aloud agents add HOST`
        /// writes on the server. Without it the app's token is used.
        token_file: PathBuf = Example("\"/etc/aloud/agent-token\""), env "ALOUD_AGENT_TOKEN_FILE";
    }
}

/// What follows if new workers do not get ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    /// The old ones work on.
    Hold,
    /// `current` is switched back.
    Rollback,
}

/// When an answered push is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// Before it is answered.
    #[default]
    Full,
    /// Within a second.
    Relaxed,
}

impl From<Durability> for store::sqlite::Durability {
    fn from(setting: Durability) -> Self {
        match setting {
            Durability::Full => Self::Full,
            Durability::Relaxed => Self::Relaxed,
        }
    }
}

/// Every section, in the order of the reference.
pub(crate) const SECTIONS: [Section; 6] =
    [Top::MANUAL, Server::MANUAL, QueueDefaults::MANUAL, OneQueue::MANUAL, Release::MANUAL, Agent::MANUAL];

impl File {
    /// Reads a file. Relative paths in it start at its folder.
    pub(crate) fn read(path: &Path) -> Result<Self, Report> {
        let text = read_bounded(path).map_err(|why| {
            Report::config(
                format!("cannot read the configuration `{}`: {why}", path.display()),
                "Nothing was started, and nothing was sent.",
                "name the file with --config or ALOUD_CONFIG, or write one with `aloud init`",
            )
        })?;
        Ok(Self::parse(&text, path)?.with_base(path.parent().unwrap_or(Path::new(""))))
    }

    /// Lets relative paths start at the folder `base`.
    pub(crate) fn with_base(mut self, base: &Path) -> Self {
        let server = &mut self.server;
        let release = &mut self.release;
        let agent = &mut self.agent;
        let paths = [
            &mut server.data,
            &mut server.token_file,
            &mut server.secret_file,
            &mut release.root,
            &mut agent.dir,
            &mut agent.token_file,
        ];
        for path in paths.into_iter().flatten() {
            *path = base.join(&path);
        }
        self
    }

    /// Reads a file's text; `path` is for messages.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, Report> {
        toml::from_str(text).map_err(|error| mistake::report(&error, text, path))
    }

    /// Lets the environment override what the file said.
    pub(crate) fn overlay(&mut self, env: &Env) -> Result<(), Report> {
        let mut top = Top { app: self.app.take() };
        top.overlay(env)?;
        self.app = top.app;
        self.server.overlay(env)?;
        self.queue_defaults.overlay(env)?;
        self.release.overlay(env)?;
        self.agent.overlay(env)
    }
}

fn read_bounded(path: &Path) -> Result<String, String> {
    let bytes = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if bytes > MAX_BYTES {
        return Err(format!("it has {bytes} bytes, and at most {MAX_BYTES} are read"));
    }
    std::fs::read_to_string(path).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_overrides_the_file() {
        let mut file = File::parse("app = \"shop\"\n[server]\nhttp = \"off\"", Path::new("aloud.toml")).unwrap();
        assert_eq!(file.server.http, Some(Listen::Off));
        file.overlay(&Env::from([("ALOUD_APP", "notice"), ("ALOUD_HTTP", "127.0.0.1:0"), ("ALOUD_LATE", "hold")]))
            .unwrap();
        assert_eq!(file.app.unwrap().as_str(), "notice");
        assert_eq!(file.server.http, Some("127.0.0.1:0".parse().unwrap()));
        assert_eq!(file.queue_defaults.late, Some(IfLate::Hold));
    }

    #[test]
    fn every_setting_is_explained() {
        for section in SECTIONS {
            assert!(!section.doc.is_empty(), "[{}]", section.name);
            for entry in section.entries {
                assert!(!entry.doc.is_empty(), "{} in [{}]", entry.key, section.name);
            }
        }
    }

    #[test]
    fn no_two_settings_share_a_variable() {
        let mut seen = std::collections::BTreeSet::new();
        let entries = SECTIONS.iter().flat_map(|section| section.entries);
        for entry in entries.filter(|entry| !entry.env.is_empty()) {
            assert!(seen.insert(entry.env), "{}", entry.env);
        }
    }
}
