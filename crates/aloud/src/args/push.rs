//! `aloud push`, as it is typed.

use std::str::FromStr;

use clap::{Args as ClapArgs, ValueEnum};
use job::{Guard, Key, KindName, QueueName, Span, Timestamp};

use crate::args::Reach;

/// `aloud push`.
#[derive(ClapArgs, Debug)]
pub(crate) struct PushArgs {
    /// What the job is
    #[arg(value_name = "KIND")]
    pub(crate) kind: KindName,

    /// What it carries; `-` reads it from stdin; `null` if left out
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) payload: Option<String>,

    /// The line it waits in
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) queue: QueueName,

    /// Due so long from now, such as `30m`, whatever the wall clock does
    #[arg(long = "in", value_name = "SPAN", conflicts_with = "at")]
    pub(crate) in_: Option<Span>,

    /// Due then, such as `2026-12-01T09:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Timestamp>,

    /// What it is about: at most one job waits for each key in a queue
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<Key>,

    /// If a waiting job holds the key: keep that one, replace it, or reject this
    /// one [default: keep]
    #[arg(long, value_enum, requires = "key", hide_possible_values = true, value_name = "keep|replace|reject")]
    pub(crate) on_conflict: Option<OnConflict>,

    /// Who is asked just before it runs: an address, or `exec:NAME` of a guard
    /// that aloud.toml declares
    #[arg(long, value_name = "URL|exec:NAME")]
    pub(crate) guard: Option<GuardArg>,

    /// Lower first, 0 to 4294967295 [default: 1024]
    #[arg(long, value_name = "N")]
    pub(crate) priority: Option<u32>,

    /// Not wanted any more so long from now, if it has not started by then
    #[arg(long, value_name = "SPAN")]
    pub(crate) expires_in: Option<Span>,

    /// An id of your own: pushing it again changes nothing
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// What happens when a waiting job holds the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum OnConflict {
    /// The job that waits stays.
    Keep,
    /// The new job takes its place.
    Replace,
    /// The push is refused.
    Reject,
}

impl From<OnConflict> for job::OnConflict {
    fn from(typed: OnConflict) -> Self {
        match typed {
            OnConflict::Keep => Self::Keep,
            OnConflict::Replace => Self::Replace,
            OnConflict::Reject => Self::Reject,
        }
    }
}

/// A guard, as it is typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GuardArg(pub(crate) Guard);

impl FromStr for GuardArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix("exec:").filter(|name| !name.is_empty()) {
            return Ok(Self(Guard::Exec(name.to_owned())));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self(Guard::Http(text.to_owned())));
        }
        Err("give an address that starts with `http://` or `https://`, or `exec:` and the name of a declared guard")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_an_address_or_a_declared_name() {
        let read = |text: &str| text.parse::<GuardArg>().map(|guard| guard.0);
        assert_eq!(read("http://127.0.0.1/wanted"), Ok(Guard::Http("http://127.0.0.1/wanted".to_owned())));
        assert_eq!(read("exec:still-wanted"), Ok(Guard::Exec("still-wanted".to_owned())));
        for bad in ["", "exec:", "still-wanted", "/bin/true", "ftp://x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
