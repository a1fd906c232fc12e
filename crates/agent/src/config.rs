//! Workers, as `aloud.toml` writes them.
//!
//! These are only shapes. What they mean is made of them by
//! [`WorkerConfig::build`] and [`WatchedConfig::build`], with one error that
//! names the workers. Unknown keys are refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use job::{PoolName, QueueName, Span};
use serde::Deserialize;

/// Processes that aloud starts from the current release and keeps running: a
/// `[[worker]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerConfig {
    /// What they are called, in lists and logs: letters, digits, `-` and `_`.
    pub name: PoolName,
    /// The program and its arguments, started in the current release. A program
    /// with a slash in its name is looked for there, any other in `PATH`.
    pub command: Vec<String>,
    /// How many of them, 1 to 500; 1 if left out.
    pub count: Option<u16>,
    /// Which queues they take jobs from. They are told in `ALOUD_QUEUES`, with
    /// commas between.
    #[serde(default)]
    pub queues: Vec<QueueName>,
    /// The user they run as; the agent's own if left out. Only an agent that
    /// runs as root can start them as somebody else.
    pub user: Option<String>,
    /// The group they run as; the user's own if left out.
    pub group: Option<String>,
    /// A folder inside the release to start them in; its top if left out.
    pub dir: Option<PathBuf>,
    /// Variables for their environment. Besides these they get `PATH`, `HOME`
    /// and the like, and what aloud tells them in `ALOUD_*`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files with lines `NAME=VALUE`, read at every start, for what should not
    /// stand in this file.
    #[serde(default)]
    pub env_files: Vec<PathBuf>,
    /// How they are asked to end.
    #[serde(default)]
    pub stop: StopConfig,
    /// What shows that one is ready: `auto`, the default, is any of the others;
    /// `spoke`, it asked the queue for jobs, or its connection waits there;
    /// `notify`, it sent `READY=1` to `NOTIFY_SOCKET`; `job`, it finished one;
    /// `alive`, it has run for 10 seconds, which is shown as unverified.
    #[serde(default)]
    pub ready: ReadyConfig,
    /// How long one may take to get ready, at most an hour; 1 minute if left
    /// out.
    pub ready_within: Option<Span>,
    /// How long a new one must stay ready before an old one is ended for it; 1
    /// second if left out.
    pub min_ready: Option<Span>,
    /// How many new ones may run beside the old while they are replaced; 1 if
    /// left out.
    pub max_surge: Option<u16>,
    /// What each may use.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// Where their output goes besides the agent's memory.
    #[serde(default)]
    pub log: LogConfig,
}

/// How workers are asked to end: `stop` of a worker.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopConfig {
    /// The signal: `TERM`, the default, `INT`, `QUIT`, `HUP`, `USR1`, `USR2` or
    /// `WINCH`.
    pub signal: Option<String>,
    /// How long they may take to finish what they do, at most a day; 1 minute
    /// if left out. Then they are killed, and their jobs come back by their
    /// leases.
    pub within: Option<Span>,
}

/// What shows that a worker is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyConfig {
    /// Any of the others.
    #[default]
    Auto,
    /// It spoke to the queue.
    Spoke,
    /// It sent `READY=1`.
    Notify,
    /// It finished a job.
    Job,
    /// It has been running for a while.
    Alive,
}

/// What each worker may use: `limits` of a worker.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// How many files and connections it may have open.
    pub open_files: Option<u64>,
    /// How large its core dumps may be, in bytes; 0 for none.
    pub core: Option<u64>,
    /// How much address space it may use, in bytes.
    pub address_space: Option<u64>,
    /// How nice it is to others, -20 to 19.
    pub nice: Option<i32>,
    /// What its new files may not allow, as octal digits: `"027"`.
    pub umask: Option<String>,
}

/// Where the output of workers goes: `log` of a worker.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// The file; `logs/NAME.log` in the agent's folder if left out.
    pub file: Option<PathBuf>,
    /// How large it may become before it is rotated, in bytes; 10 MiB if left
    /// out.
    pub rotate_bytes: Option<u64>,
    /// How many rotated files are kept; 5 if left out.
    pub keep: Option<u32>,
    /// Also write to the system's journal.
    #[serde(default)]
    pub journald: bool,
}

/// Processes that somebody else starts, and that should run the current release
/// all the same: a `[[watched]]`. Exactly one of `unit`, `pid_file` and
/// `command` says which they are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedConfig {
    /// What they are called, in lists: letters, digits, `-` and `_`.
    pub name: PoolName,
    /// All processes of this unit of systemd.
    pub unit: Option<String>,
    /// The process whose number stands in this file, and its children.
    pub pid_file: Option<PathBuf>,
    /// All processes whose command line holds this text.
    pub command: Option<String>,
    /// How many there must be at least; 1 if left out.
    pub count: Option<u16>,
    /// The command that makes them run the current release: it is run when they
    /// do not, at most once a minute. Without one it is only said.
    #[serde(default)]
    pub restart: Vec<String>,
}
