//! Which process: its number and when it started.
//!
//! The number alone is given to another process after the end of the first, so
//! it is never enough to decide on.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use job::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::machine;
use crate::proc::{Folder, Proc};
use crate::seen::{Blind, Lack, Look, Seen};
use crate::text;
use crate::veil;

/// One process, which is never mistaken for a later one of the same number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number, in the pid namespace of `/proc`.
    pub pid: i32,
    /// When it started: in clock ticks since the machine did.
    pub start: u64,
}

/// The most generations that are followed upwards.
const MAX_ANCESTORS: usize = 256;

/// This process.
pub fn this() -> Seen<ProcessId> {
    let look = || -> Look<ProcessId> { Ok(stat(&Proc::open()?.enter("self")?)?.id()) };
    look().into()
}

/// Who has the number `pid` now, also if it has ended and was not collected yet.
pub fn of(pid: i32) -> Seen<ProcessId> {
    look_at(pid).map(|stat| stat.id()).into()
}

/// Whether it is still running: known, or gone. One that has ended and was not
/// collected yet is gone.
pub fn still_runs(id: ProcessId) -> Seen<()> {
    match look_at(id.pid) {
        Ok(stat) if stat.id() == id && !stat.has_ended() => Seen::Known(()),
        Ok(_) => Seen::Gone,
        Err(lack) => Err(lack).into(),
    }
}

/// Its parent, that one's parent and so on, at most 256.
pub fn ancestors(id: ProcessId) -> Seen<Vec<ProcessId>> {
    let look = || -> Look<Vec<ProcessId>> {
        let mut line: Vec<ProcessId> = Vec::new();
        let mut child = identified(id)?;
        while line.len() < MAX_ANCESTORS && child.parent != 0 {
            let parent = match look_at(child.parent) {
                Ok(parent) if parent.start <= child.start => parent,
                // It ended meanwhile: the child has another parent now.
                Ok(_) | Err(Lack::Gone) => {
                    let again = identified(child.id())?;
                    if again.parent == child.parent {
                        return Err(Lack::Blind(Blind::Raced));
                    }
                    child = again;
                    continue;
                }
                Err(lack) => return Err(lack),
            };
            line.push(parent.id());
            child = parent;
        }
        Ok(line)
    };
    look().into()
}

/// Those whose parent it is, also if they have ended and were not collected yet.
pub fn children(id: ProcessId) -> Seen<Vec<ProcessId>> {
    let look = || -> Look<Vec<ProcessId>> {
        identified(id)?;
        let proc = Proc::open()?;
        match veil::over(&proc) {
            // Children are always in this pid namespace, or in one below it.
            None | Some(Blind::Outside) => {}
            Some(why) => return Err(Lack::Blind(why)),
        }
        let mut children = Vec::new();
        for pid in proc.pids()? {
            match look_at(pid) {
                Ok(stat) if stat.parent == id.pid => children.push(stat.id()),
                Ok(_) | Err(Lack::Gone) => {}
                Err(lack) => return Err(lack),
            }
        }
        identified(id)?;
        Ok(children)
    };
    look().into()
}

/// When it started by the wall clock, to the second, for people: it moves when
/// somebody sets the clock.
pub fn started(id: ProcessId) -> Seen<Timestamp> {
    machine::booted().map(|boot| boot + since_boot(id))
}

/// One variable of the environment that it was started with, and no other: who
/// asks for one name is shown no secret. `None` inside if it has none such.
pub fn variable(id: ProcessId, name: &str) -> Seen<Option<OsString>> {
    let look = || -> Look<Option<OsString>> {
        let texts = text::texts(&folder_of(id)?.read("environ", text::START_BYTES)?);
        let value = |text: &OsString| {
            let rest = text.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(OsStr::from_bytes(rest).to_owned())
        };
        Ok(texts.iter().find_map(value))
    };
    look().into()
}

/// Whether a person's terminal is what it hangs on.
pub fn has_terminal(id: ProcessId) -> Seen<bool> {
    identified(id).map(|stat| stat.terminal != 0).into()
}

/// When the folder that it is in was changed last; if that is deleted, when it
/// was.
pub fn folder_changed(id: ProcessId) -> Seen<Timestamp> {
    let look = || -> Look<Timestamp> {
        let stat = folder_of(id)?.stat("cwd")?;
        Ok(Timestamp(stat.st_ctime.saturating_mul(1_000_000)))
    };
    look().into()
}

/// Its folder in `/proc`, which is no other process's as long as it is held.
fn folder_of(id: ProcessId) -> Look<Folder> {
    let folder = Proc::open()?.enter(id.pid.to_string())?;
    if stat(&folder)?.id() == id { Ok(folder) } else { Err(Lack::Gone) }
}

/// How long after the start of the machine it started.
fn since_boot(id: ProcessId) -> Span {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let micros = u128::from(id.start) * 1_000_000 / u128::from(per_second);
    Span::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

fn identified(id: ProcessId) -> Look<text::Stat> {
    let stat = look_at(id.pid)?;
    if stat.id() == id { Ok(stat) } else { Err(Lack::Gone) }
}

fn look_at(pid: i32) -> Look<text::Stat> {
    stat(&Proc::open()?.enter(pid.to_string())?)
}

/// What the kernel says of the process whose folder this is.
pub(crate) fn stat(process: &Folder) -> Look<text::Stat> {
    text::stat(&process.read("stat", text::STAT_BYTES)?).ok_or_else(|| Lack::unreadable("/proc/PID/stat"))
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)
    }
}
