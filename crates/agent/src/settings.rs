//! What an agent is told.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use job::HostName;
use runner::{GuardCommand, Handler};
use supervisor::Pool;

use crate::config::{WatchedConfig, WorkerConfig};
use crate::look::Accepted;
use crate::refusals::{self, Own};
use crate::trouble::Trouble;

/// What an agent is told: decided from the configuration before it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What this host is called.
    pub host: HostName,
    /// The tree of releases.
    pub root: PathBuf,
    /// The agent's own folder.
    pub dir: PathBuf,
    /// The program, by the path under which a newer one will be installed.
    pub program: PathBuf,
    /// The configuration's file, if there is one.
    pub config: Option<PathBuf>,
    /// The workers.
    pub workers: Vec<WorkerConfig>,
    /// The processes of others.
    pub watched: Vec<WatchedConfig>,
    /// Where the server is, and how to be let in.
    pub server: aloud_client::Settings,
    /// What every worker is told: where the server is, and the like.
    pub env: Vec<(String, String)>,
    /// How releases are kept.
    pub releases: release::Options,
    /// Programs that cannot be looked at and are known to be in no release.
    pub accepted: Accepted,
    /// What this agent runs for a server elsewhere.
    pub exec: Exec,
}

/// Commands that an agent runs for the server.
#[derive(Clone, Debug, Default)]
pub struct Exec {
    /// What does the jobs of a kind; only those that run commands.
    pub handlers: Vec<Handler>,
    /// What can be asked whether a job is still wanted.
    pub guards: Vec<GuardCommand>,
}

impl Settings {
    /// Whether an agent could start with this: nothing is touched.
    pub fn check(&self) -> Result<(), Trouble> {
        self.pools()?;
        for watched in &self.watched {
            watched.build()?;
        }
        let mut own =
            vec![Own { what: "the program", path: &self.program }, Own { what: "the agent's folder", path: &self.dir }];
        own.extend(self.config.as_deref().map(|path| Own { what: "the configuration", path }));
        let here = std::env::current_dir().unwrap_or_default();
        own.push(Own { what: "the working directory", path: &here });
        refusals::outlive_releases(&self.root, &own)
    }

    /// Where the agent keeps its sockets, pipes and records of processes.
    pub fn run_dir(&self) -> PathBuf {
        run_dir(&self.dir)
    }

    /// The agent's folder in a tree, if nothing else is said.
    pub fn default_dir(root: &Path) -> PathBuf {
        root.join(".aloud").join("agent")
    }

    /// The server's address and port, if it is one of numbers: by it the
    /// processes behind its connections are found.
    pub(crate) fn server_at(&self) -> Option<SocketAddr> {
        let rest = self.server.url.strip_prefix("http://")?;
        rest.trim_end_matches('/').replace("localhost", "127.0.0.1").parse().ok()
    }

    /// How the launcher and the guardian are started: as the program that this
    /// process is, and not what is installed where it was. That may be gone, or
    /// no program, and workers are started all the same.
    pub(crate) fn own(command: &str) -> Vec<OsString> {
        vec!["/proc/self/exe".into(), command.into()]
    }

    /// The pools of workers that are declared.
    pub fn pools(&self) -> Result<Vec<Pool>, Trouble> {
        self.workers.iter().map(|worker| worker.build(&self.dir)).collect()
    }
}

/// The same, of the agent whose folder is `dir`.
pub(crate) fn run_dir(dir: &Path) -> PathBuf {
    dir.join("run")
}
