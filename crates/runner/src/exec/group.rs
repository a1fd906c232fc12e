//! A process and its children, ended together.
//!
//! The process leads a group of its own. While its end has been seen but not
//! collected, its number belongs to nobody else, so a signal to the group can
//! never reach a stranger; every signal is sent before it is collected.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// A running process and its children. Dropped, it kills them all.
pub(super) struct Group {
    child: Child,
    leader: Option<Pid>,
    deaths: Listener,
}

/// The process's three streams.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// With this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Group {
    /// Starts `command`, whose three streams are pipes.
    pub(super) fn start(mut command: Command) -> io::Result<(Self, Pipes)> {
        // Listened for from before there is a child, so that no end is missed.
        let deaths = signal(SignalKind::child())?;
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let pipes = Pipes {
            stdin: child.stdin.take().expect("the caller asked for a pipe"),
            stdout: child.stdout.take().expect("the caller asked for a pipe"),
            stderr: child.stderr.take().expect("the caller asked for a pipe"),
        };
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok((Self { child, leader, deaths }, pipes))
    }

    /// Returns once the leader has ended, and leaves it uncollected.
    pub(super) async fn exited(&mut self) {
        const LOOK: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::NOHANG).union(WaitIdOptions::NOWAIT);
        let Some(leader) = self.leader else { return };
        // An error means that it is gone.
        while let Ok(None) = waitid(WaitId::Pid(leader), LOOK) {
            if self.deaths.recv().await.is_none() {
                return;
            }
        }
    }

    /// Asks the whole group to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills what is left of the group, and collects the leader.
    pub(super) async fn end(&mut self) -> io::Result<Exit> {
        self.signal(Signal::KILL);
        let status = self.child.wait().await?;
        self.leader = None;
        Ok(status.into())
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // It fails if all have ended, or became another user's: nothing
            // is left then that could be done.
            kill_process_group(leader, signal).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Code(-1),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(126) => f.write_str("exit status 126 (often: found, but could not be run)"),
            Self::Code(127) => f.write_str("exit status 127 (often: a command was not found)"),
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(9) => f.write_str("signal 9 (KILL; often the system, when memory runs out)"),
            Self::Signal(signal) => match name(signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
        }
    }
}

fn name(signal: i32) -> Option<&'static str> {
    const NAMES: [(Signal, &str); 9] = [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::ILL, "ILL"),
        (Signal::ABORT, "ABRT"),
        (Signal::BUS, "BUS"),
        (Signal::FPE, "FPE"),
        (Signal::SEGV, "SEGV"),
        (Signal::PIPE, "PIPE"),
        (Signal::TERM, "TERM"),
    ];
    NAMES.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}
