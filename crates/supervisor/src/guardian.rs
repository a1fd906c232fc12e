//! The guardian: a process that outlives the supervisor, to end its workers.
//!
//! It holds on to the supervisor's process, which stays the same when that
//! becomes another program. When the process has died, by whatever cause, it
//! ends what is recorded in the folder, and then itself. While the supervisor
//! becomes another program it holds the pipes open, so that what workers write
//! meanwhile is not lost with them.
//!
//! It is started with three arguments: the number of the supervisor's process,
//! its start, and the folder.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::process::{self, Ident, Start, Stat};
use crate::reach::{self, Reach};
use crate::record::{Record, RunDir};

/// How long workers have between SIGTERM and SIGKILL when their supervisor has died.
pub const GRACE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

/// Hold the pipes open.
pub(crate) const HOLD: u8 = b'h';
/// Let go of them.
pub(crate) const RELEASE: u8 = b'r';

/// What the guardian is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ward {
    /// Whose end it waits for.
    pub agent: Ident,
    /// Where the workers are recorded.
    pub run_dir: PathBuf,
}

impl Ward {
    /// Reads the three arguments.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut args = args.into_iter();
        let mut number = || args.next()?.to_str()?.parse::<u64>().ok();
        let (pid, start) = (u32::try_from(number()?).ok()?, Start(number()?));
        let run_dir = PathBuf::from(args.next()?);
        args.next().is_none().then_some(Self { agent: Ident { pid, start }, run_dir })
    }

    pub(crate) fn args(&self) -> [OsString; 3] {
        let Ident { pid, start } = self.agent;
        [pid.to_string().into(), start.0.to_string().into(), self.run_dir.clone().into()]
    }
}

/// A variable for a process that is started beside the workers and must not
/// outlive their supervisor: by it the guardian of the folder `run_dir` finds
/// it, and all that it started. There is nobody behind the socket.
pub fn mark(run_dir: &Path) -> (String, String) {
    let socket = RunDir::new(run_dir.to_owned()).sockets().join("command");
    ("NOTIFY_SOCKET".to_owned(), socket.display().to_string())
}

/// Waits until the agent has died, then ends the workers that are recorded,
/// and returns. Must run in a process with one thread.
pub fn run(ward: &Ward) -> io::Result<()> {
    // Away from the terminal and from the group that it would be ended with.
    rustix::process::setsid().ok();
    std::env::set_current_dir("/")?;
    let dir = RunDir::new(ward.run_dir.clone());
    wait(ward.agent, &dir)?;
    end_recorded(&dir);
    fs::remove_file(dir.ask_guardian()).ok();
    Ok(())
}

fn wait(agent: Ident, dir: &RunDir) -> io::Result<()> {
    let Some(pid) = i32::try_from(agent.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // The number may have gone to another before it was held on to.
    if !agent.is_there() {
        return Ok(());
    }
    let mut ask = open_both_ways(&dir.ask_guardian())?;
    let mut pipes: Vec<File> = Vec::new();
    loop {
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(&ask, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !fds[0].revents().is_empty() {
            return Ok(());
        }
        let mut asked = [0; 16];
        let Ok(bytes) = ask.read(&mut asked) else { continue };
        match asked[..bytes].last() {
            Some(&HOLD) => {
                pipes = dir.pipes().iter().filter_map(|path| open_both_ways(path).ok()).collect();
                fs::write(dir.held(), "").ok();
            }
            Some(&RELEASE) => {
                pipes.clear();
                fs::remove_file(dir.held()).ok();
            }
            Some(_) | None => {}
        }
    }
}

fn open_both_ways(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

/// Ends all workers of a folder, and says how many there were: those that are
/// recorded, and whoever was given one of its sockets and went astray.
pub(crate) fn end_recorded(dir: &RunDir) -> usize {
    let records = dir.records();
    let sockets = format!("{}/", dir.sockets().display());
    let found = end(records.iter(), &|| process::given("NOTIFY_SOCKET", &sockets));
    dir.sweep();
    found
}

/// Ends the workers of these records, and the strays; says how many workers still lived.
pub(crate) fn end<'a>(records: impl Iterator<Item = &'a Record>, strays: &dyn Fn() -> Vec<Ident>) -> usize {
    let workers: Vec<Reach> = records.filter(|record| record.is_of_this_boot()).map(Reach::of).collect();
    let alive = |reach: &Reach| is_alive(reach.leader) || !reach.is_empty();
    let any_alive = || workers.iter().any(alive) || !strays().is_empty();
    let found = workers.iter().filter(|reach| alive(reach)).count();
    let mut ended = BTreeSet::new();
    for reach in &workers {
        process::signal(reach.leader, Signal::TERM);
        ended.extend(reach.terminate().iter().map(|process| process.pid));
    }
    for stray in strays() {
        process::signal(stray, Signal::TERM);
        ended.insert(stray.pid);
    }
    let mut waited = Duration::ZERO;
    while waited < GRACE && any_alive() {
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
    // One may start others while it is being killed.
    let mut rounds = 0;
    while rounds < 50 && any_alive() {
        for reach in &workers {
            ended.extend(reach.kill().iter().map(|process| process.pid));
        }
        for stray in strays() {
            process::signal(stray, Signal::KILL);
            ended.insert(stray.pid);
        }
        std::thread::sleep(LOOK);
        rounds += 1;
    }
    ended.extend(workers.iter().map(|reach| reach.leader.pid));
    reach::collect(&mut ended);
    for reach in &workers {
        if let Some(cgroup) = &reach.cgroup {
            cgroup.remove();
        }
    }
    found
}

fn is_alive(process: Ident) -> bool {
    Stat::read(process.pid).is_ok_and(|stat| stat.start == process.start && !stat.ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_read_as_they_were_written() {
        let ward = Ward { agent: Ident { pid: 7, start: Start(99) }, run_dir: "/run/x".into() };
        assert_eq!(Ward::from_args(ward.args()), Some(ward));
        assert_eq!(Ward::from_args(["7".into(), "x".into(), "/run/x".into()]), None);
        assert_eq!(Ward::from_args(["7".into(), "9".into()]), None);
    }
}
