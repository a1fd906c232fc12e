//! Processes as `/proc` shows them.
//!
//! A number names a process only together with its start: numbers are given
//! again. A process that cannot be seen is not there, as far as this module
//! is asked; only our own children and what they started are asked for.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// When a process was started, in clock ticks since the machine was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Start(pub u64);

/// One process, and never another that got its number later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Ident {
    /// Its number.
    pub pid: u32,
    /// When it was started. It keeps that when it becomes another program.
    pub start: Start,
}

impl Ident {
    /// This process.
    pub fn own() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The process that has this number now.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, start: Stat::read(pid)?.start })
    }

    /// Whether this very process is there, be it that it has ended and was not
    /// collected yet.
    pub fn is_there(self) -> bool {
        Stat::read(self.pid).is_ok_and(|stat| stat.start == self.start)
    }
}

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    pub(crate) pid: u32,
    pub(crate) ended: bool,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
    pub(crate) start: Start,
}

impl Stat {
    pub(crate) fn read(pid: u32) -> io::Result<Self> {
        let text = fs::read(format!("/proc/{pid}/stat"))?;
        Self::parse(&String::from_utf8_lossy(&text)).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The name of the program, in parentheses, may hold anything, also
    /// parentheses and blanks.
    fn parse(text: &str) -> Option<Self> {
        let pid = text.split(' ').next()?.parse().ok()?;
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let small = |at: usize| u32::try_from(number(at)?).ok();
        Some(Self {
            pid,
            ended: matches!(*fields.first()?, "Z" | "X"),
            parent: small(1)?,
            group: small(2)?,
            session: small(3)?,
            start: Start(number(19)?),
        })
    }
}

/// All processes that can be seen.
pub(crate) fn all() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Stat::read(entry.file_name().to_str()?.parse().ok()?).ok())
}

/// The children of this process, of whichever of its threads.
pub(crate) fn children() -> BTreeSet<u32> {
    let own = std::process::id();
    let mut found = BTreeSet::new();
    for task in fs::read_dir(format!("/proc/{own}/task")).into_iter().flatten().flatten() {
        let Ok(text) = fs::read_to_string(task.path().join("children")) else {
            // Not every kernel has this file.
            return all().filter(|stat| stat.parent == own).map(|stat| stat.pid).collect();
        };
        found.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    found
}

/// The processes that run in the session of `leader`, or in its group, and
/// have not ended; `leader` itself left out.
///
/// The number of a session is not given to another process for as long as one
/// is in it, so if the leader has gone and its number with it, whoever is in
/// the session was started by it. If another process has the number now, the
/// session is another too.
pub(crate) fn followers(leader: Ident) -> Vec<Ident> {
    if Stat::read(leader.pid).is_ok_and(|stat| stat.start != leader.start) {
        return Vec::new();
    }
    all()
        .filter(|stat| stat.session == leader.pid || stat.group == leader.pid)
        .filter(|stat| stat.pid != leader.pid && !stat.ended && stat.start >= leader.start)
        .map(|stat| Ident { pid: stat.pid, start: stat.start })
        .collect()
}

/// Whether the process has `name=value` in the environment it was started with.
pub(crate) fn was_given(pid: u32, name: &str, value: &str) -> bool {
    environ(pid).split(|byte| *byte == 0).any(|entry| entry == format!("{name}={value}").as_bytes())
}

/// Whether it has `name` there, with whatever value.
pub(crate) fn was_given_any(pid: u32, name: &str) -> bool {
    environ(pid).split(|byte| *byte == 0).any(|entry| entry.starts_with(format!("{name}=").as_bytes()))
}

/// Empty where it may not be read.
fn environ(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

/// The processes that live and were started with a value of `name` in their
/// environment that begins so; this one left out.
pub(crate) fn given(name: &str, beginning: &str) -> Vec<Ident> {
    let wanted = format!("{name}={beginning}");
    let is_given =
        |stat: &Stat| environ(stat.pid).split(|byte| *byte == 0).any(|entry| entry.starts_with(wanted.as_bytes()));
    let own = std::process::id();
    let found = all().filter(|stat| stat.pid != own && !stat.ended).filter(is_given);
    found.map(|stat| Ident { pid: stat.pid, start: stat.start }).collect()
}

/// Signals a process, if it is still the same. One that is gone is no error:
/// nothing is left then that could be done.
pub(crate) fn signal(process: Ident, signal: Signal) {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid.filter(|_| process.is_there()) {
        kill_process(pid, signal).ok();
    }
}

/// Which boot of the machine this is; empty where that cannot be known.
pub(crate) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_does_not_confuse() {
        let text = "42 (a) S (b)) R 7 40 41 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.group, stat.session), (42, 7, 40, 41));
        assert_eq!(stat.start, Start(98765));
        assert!(!stat.ended);
        assert_eq!(Stat::parse("42 (x"), None);
    }

    #[test]
    fn we_are_there_and_one_with_another_start_is_not() {
        let own = Ident::own().unwrap();
        assert!(own.is_there());
        assert!(!Ident { start: Start(own.start.0 + 1), ..own }.is_there());
    }
}
