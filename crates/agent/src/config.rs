//! Workers, as `aloud.toml` writes them.
//!
//! These are only shapes. What they mean is made of them by
//! [`WorkerConfig::build`] and [`WatchedConfig::build`], with one error that
//! names the workers. Unknown keys are refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use job::{PoolName, QueueName, Span};
use serde::Deserialize;
use supervisor::{Limits, Log, Pool, Ready, Share, Stop, StopSignal};

use crate::trouble::Trouble;

/// The most workers of one pool.
const MAX_COUNT: u16 = 500;

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
    pub keep: Option<u8>,
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

impl WorkerConfig {
    /// The pool that is meant; `dir` is the agent's folder, where logs go if
    /// nothing else is said.
    pub fn build(&self, dir: &Path) -> Result<Pool, Trouble> {
        let unfit = |what: String, hint: &str| {
            let happened = format!("the workers `{}` cannot be run: {what}", self.name);
            Err(Trouble::new(happened, "Nothing was started.", hint))
        };
        if self.command.first().is_none_or(String::is_empty) {
            return unfit("`command` is empty".to_owned(), "write the program and its arguments, each as one text");
        }
        let count = self.count.unwrap_or(1);
        if !(1..=MAX_COUNT).contains(&count) {
            return unfit(format!("`count` is {count}"), "give it 1 to 500");
        }
        if self.dir.as_ref().is_some_and(|dir| dir.is_absolute() || dir.components().any(|c| c.as_os_str() == "..")) {
            return unfit("`dir` leads out of the release".to_owned(), "name a folder inside the release");
        }
        let ready_within = self.ready_within.unwrap_or(Span::from_secs(60));
        if ready_within > Span::from_secs(3_600) {
            return unfit(format!("`ready_within` is {ready_within}"), "give it at most 1h");
        }
        let within = self.stop.within.unwrap_or(Span::from_secs(60));
        if within > Span::from_secs(86_400) {
            return unfit(format!("`stop.within` is {within}"), "give it at most 1d");
        }
        let signal = match self.stop.signal.as_deref().map(|name| name.trim_start_matches("SIG")) {
            None | Some("TERM") => StopSignal::Term,
            Some("INT") => StopSignal::Int,
            Some("QUIT") => StopSignal::Quit,
            Some("HUP") => StopSignal::Hup,
            Some("USR1") => StopSignal::Usr1,
            Some("USR2") => StopSignal::Usr2,
            Some("WINCH") => StopSignal::Winch,
            Some(other) => {
                return unfit(
                    format!("`stop.signal` is {other:?}"),
                    "give it TERM, INT, QUIT, HUP, USR1, USR2 or WINCH",
                );
            }
        };
        let umask = match self.limits.umask.as_deref().map(|text| u32::from_str_radix(text, 8)) {
            None => None,
            Some(Ok(mask)) if mask <= 0o777 => Some(mask),
            Some(_) => return unfit("`limits.umask` is no mask".to_owned(), "give it as octal digits: `\"027\"`"),
        };
        let mut pool = Pool::new(self.name.clone(), self.command.clone(), count);
        pool.user.clone_from(&self.user);
        pool.group.clone_from(&self.group);
        pool.env.clone_from(&self.env);
        if !self.queues.is_empty() {
            let queues = self.queues.iter().map(|queue| queue.as_str()).collect::<Vec<_>>().join(",");
            pool.env.entry("ALOUD_QUEUES".to_owned()).or_insert(queues);
        }
        pool.env_files.clone_from(&self.env_files);
        pool.workdir.clone_from(&self.dir);
        pool.stop = Stop { signal, within };
        pool.ready = match self.ready {
            ReadyConfig::Auto => Ready::Auto,
            ReadyConfig::Spoke => Ready::Connect,
            ReadyConfig::Notify => Ready::Notify,
            ReadyConfig::Job => Ready::Job,
            ReadyConfig::Alive => Ready::Alive(Ready::UNVERIFIED_AFTER),
        };
        pool.ready_within = ready_within;
        pool.min_ready = self.min_ready.unwrap_or(Span::from_secs(1));
        pool.max_surge = Share::Count(self.max_surge.unwrap_or(1).max(1));
        pool.limits = Limits {
            open_files: self.limits.open_files,
            core: self.limits.core,
            address_space: self.limits.address_space,
            ..Limits::default()
        };
        pool.nice = self.limits.nice;
        pool.umask = umask;
        let file = self.log.file.clone().unwrap_or_else(|| dir.join("logs").join(format!("{}.log", self.name)));
        let usual = Log::default();
        pool.log = Log {
            file: Some(file),
            rotate_bytes: self.log.rotate_bytes.unwrap_or(usual.rotate_bytes),
            keep: self.log.keep.unwrap_or(5),
            journal: self.log.journald,
        };
        Ok(pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(toml: &str) -> Result<Pool, String> {
        let config: WorkerConfig = toml::from_str(&format!("name = 'mail'\n{toml}")).unwrap();
        config.build(Path::new("/srv/shop/.aloud/agent")).map_err(|trouble| trouble.happened)
    }

    #[test]
    fn a_worker_has_defaults() {
        let pool = pool("command = ['php', 'artisan', 'queue:work']\nqueues = ['mail', 'default']").unwrap();
        assert_eq!((pool.count, pool.stop.within, pool.max_surge), (1, Span::from_secs(60), Share::Count(1)));
        assert_eq!(pool.env["ALOUD_QUEUES"], "mail,default");
        assert_eq!(pool.log.file.as_deref(), Some(Path::new("/srv/shop/.aloud/agent/logs/mail.log")));
    }

    #[test]
    fn what_cannot_be_run_is_told_by_its_name_and_key() {
        let refused = |toml: &str| pool(&format!("command = ['x']\n{toml}")).unwrap_err();
        assert_eq!(pool("command = []").unwrap_err(), "the workers `mail` cannot be run: `command` is empty");
        assert_eq!(refused("count = 0"), "the workers `mail` cannot be run: `count` is 0");
        assert!(refused("dir = '/etc'").ends_with("`dir` leads out of the release"));
        assert!(refused("dir = 'a/../..'").ends_with("`dir` leads out of the release"));
        assert!(refused("stop.signal = 'KILL'").ends_with("`stop.signal` is \"KILL\""));
        assert!(refused("stop.within = '2d'").ends_with("`stop.within` is 2d"));
        assert!(refused("ready_within = '2h'").ends_with("`ready_within` is 2h"));
        assert!(refused("limits.umask = '9'").ends_with("`limits.umask` is no mask"));
        let file = pool("command = ['x']\nstop = { signal = 'SIGINT', within = '5s' }\nready = 'notify'").unwrap();
        assert_eq!((file.stop.signal, file.ready), (StopSignal::Int, Ready::Notify));
    }
}
