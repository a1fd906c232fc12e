//! What is to run: a `[[worker]]` of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use job::{PoolName, Span};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

/// A pool of equal worker processes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pool {
    /// What it is called.
    pub name: PoolName,
    /// The program and its arguments. A program with a slash in its name is
    /// looked for from the working folder onwards, any other in `PATH`.
    pub command: Vec<String>,
    /// How many processes there are to be.
    pub count: u16,
    /// As whom they run, by name or number; as the supervisor if not given.
    pub user: Option<String>,
    /// In which group, by name or number; in the user's if not given.
    pub group: Option<String>,
    /// What they find in their environment besides what every worker gets.
    pub env: BTreeMap<String, String>,
    /// Files with lines `NAME=VALUE`, read anew at every start. A relative path
    /// starts in the release. One that is missing keeps the worker from
    /// starting, unless its path begins with `-`.
    pub env_files: Vec<PathBuf>,
    /// Where they start, from the release onwards; in the release itself if not given.
    pub workdir: Option<PathBuf>,
    /// How they are asked to end.
    pub stop: Stop,
    /// When one counts as ready.
    pub ready: Ready,
    /// How long a roll may go without another worker becoming ready.
    pub ready_within: Span,
    /// How many may run beyond `count` during a roll.
    pub max_surge: Share,
    /// How long a new worker must have been ready before an old one is ended for it.
    pub min_ready: Span,
    /// What follows when a new generation does not become ready.
    pub on_failure: OnFailure,
    /// What they may use.
    pub limits: Limits,
    /// Their mask for new files; 0o022 if not given.
    pub umask: Option<u32>,
    /// How much they stand back for other processes, from -20 to 19.
    pub nice: Option<i32>,
    /// How soon the system kills them when memory runs out, from -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Whether a program with the set-user-id bit still works in them; `true`
    /// forbids it.
    pub no_new_privs: bool,
    /// Where their output goes.
    pub log: Log,
}

/// How a worker is asked to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stop {
    /// Which signal its first process gets.
    pub signal: StopSignal,
    /// How long it and what it started have from then on, before they are killed.
    pub within: Span,
}

/// A signal that asks a worker to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGWINCH.
    Winch,
}

/// When a worker counts as ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// By whatever comes first: `READY=1`, a word to the queue, or being alive
    /// for [`Ready::UNVERIFIED_AFTER`], which is shown as not verified.
    #[default]
    Auto,
    /// When it has sent `READY=1` to its `NOTIFY_SOCKET`.
    Notify,
    /// When it has spoken to the queue.
    Connect,
    /// When it has finished a job.
    Job,
    /// When it has lived so long. Nothing is proven by that.
    Alive(Span),
}

/// A number of processes, or a share of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// So many.
    Count(u16),
    /// So many of each hundred, rounded up.
    Percent(u8),
}

/// What follows when a new generation does not become ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The workers that serve stay as they are.
    #[default]
    Hold,
    /// The same, and whoever owns the link is to turn it back.
    Rollback,
}

/// What a worker may use. What is not given is as the supervisor has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    /// How many files it may have open.
    pub open_files: Option<u64>,
    /// How large a core dump may be, in bytes.
    pub core: Option<u64>,
    /// How much address space each of its processes may have, in bytes.
    pub address_space: Option<u64>,
    /// How many processes its user may have.
    pub processes: Option<u64>,
    /// How much memory it and what it started may have together, in bytes.
    /// Needs a control group with the memory controller.
    pub memory_max: Option<u64>,
}

/// Where the output goes, besides the last of it that is kept in memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Log {
    /// The file; none if not given.
    pub file: Option<PathBuf>,
    /// How large it may become before the next is begun.
    pub rotate_bytes: u64,
    /// How many full ones are kept beside the one that is written.
    pub keep: u8,
    /// Whether it also goes to the journal of the system.
    pub journal: bool,
}

impl Pool {
    /// A pool with everything but its name, command and number as usual.
    pub fn new(name: PoolName, command: Vec<String>, count: u16) -> Self {
        Self {
            name,
            command,
            count,
            user: None,
            group: None,
            env: BTreeMap::new(),
            env_files: Vec::new(),
            workdir: None,
            stop: Stop::default(),
            ready: Ready::default(),
            ready_within: Span::from_secs(60),
            max_surge: Share::Percent(25),
            min_ready: Span::ZERO,
            on_failure: OnFailure::default(),
            limits: Limits::default(),
            umask: None,
            nice: None,
            oom_score_adj: None,
            no_new_privs: false,
            log: Log::default(),
        }
    }

    /// How many may run beyond `count` during a roll; at least one.
    pub fn surge(&self) -> u16 {
        self.max_surge.of(self.count).max(1)
    }

    /// Whether a worker that was started for `other` is what this pool asks for:
    /// how many there are and how they are replaced makes no difference to it.
    pub fn starts_the_same(&self, other: &Self) -> bool {
        let of_a_process = |pool: &Self| Self {
            count: 0,
            stop: Stop::default(),
            ready: Ready::Auto,
            ready_within: Span::ZERO,
            max_surge: Share::Count(1),
            min_ready: Span::ZERO,
            on_failure: OnFailure::Hold,
            log: Log::default(),
            ..pool.clone()
        };
        of_a_process(self) == of_a_process(other)
    }
}

impl Ready {
    /// After what time [`Ready::Auto`] takes a living worker for ready.
    pub const UNVERIFIED_AFTER: Span = Span::from_secs(10);

    /// After what time being alive counts, if it does.
    pub fn alive_for(self) -> Option<Span> {
        match self {
            Self::Auto => Some(Self::UNVERIFIED_AFTER),
            Self::Alive(span) => Some(span),
            Self::Notify | Self::Connect | Self::Job => None,
        }
    }
}

impl Share {
    /// How many that are of `whole`.
    pub fn of(self, whole: u16) -> u16 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let share = (u32::from(whole) * u32::from(percent)).div_ceil(100);
                u16::try_from(share).unwrap_or(u16::MAX)
            }
        }
    }
}

impl StopSignal {
    /// As the system knows it.
    pub fn signal(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Int => Signal::INT,
            Self::Quit => Signal::QUIT,
            Self::Hup => Signal::HUP,
            Self::Usr1 => Signal::USR1,
            Self::Usr2 => Signal::USR2,
            Self::Winch => Signal::WINCH,
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: StopSignal::Term, within: Span::from_secs(60) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { file: None, rotate_bytes: 10 << 20, keep: 3, journal: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surge_is_at_least_one_and_rounded_up() {
        let pool =
            |count, max_surge| Pool { max_surge, ..Pool::new("mail".parse().unwrap(), vec!["work".into()], count) };
        assert_eq!(pool(1, Share::Percent(25)).surge(), 1);
        assert_eq!(pool(5, Share::Percent(25)).surge(), 2);
        assert_eq!(pool(4, Share::Count(0)).surge(), 1);
        assert_eq!(pool(4, Share::Percent(100)).surge(), 4);
    }

    #[test]
    fn only_what_a_process_would_notice_asks_for_new_processes() {
        let pool = Pool::new("mail".parse().unwrap(), vec!["work".into()], 4);
        assert!(pool.starts_the_same(&Pool { count: 8, min_ready: Span::from_secs(1), ..pool.clone() }));
        assert!(!pool.starts_the_same(&Pool { command: vec!["work".into(), "-v".into()], ..pool.clone() }));
        assert!(!pool.starts_the_same(&Pool { user: Some("www".into()), ..pool.clone() }));
    }
}
