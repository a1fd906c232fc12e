//! A process that the demo starts from this very program.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};

use crate::exit::Exit;
use crate::report::Report;

/// How long one may take to serve.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long one may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(15);
/// How much of a log is shown when something went wrong.
const LOG_LINES: usize = 15;

/// A process that serves. It is killed if this is dropped, and ends by itself
/// if this process is.
pub(crate) struct Child {
    /// Where it listens, if it does.
    pub(crate) address: Option<SocketAddr>,
    /// Since when it serves.
    pub(crate) since: Instant,
    name: &'static str,
    process: tokio::process::Child,
    log: PathBuf,
    _leash: Option<ChildStdin>,
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts it, and returns when it serves. What it says on stderr goes to
    /// the end of `log`.
    pub(crate) async fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Self, Report> {
        let failed = |why: String| {
            let means = format!("The demo stopped. It last said, in `{}`:\n{}", log.display(), tail(log));
            Report::new(Exit::No, format!("{name} {why}"), means, "")
        };
        let stderr = OpenOptions::new().create(true).append(true).open(log);
        let stderr = stderr.map_err(|error| failed(format!("cannot be given a log: {error}")))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true);
        // Ctrl-C on a terminal goes to a whole group; these end in their turn.
        command.process_group(0);
        let mut process = command.spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
        let leash = process.stdin.take();
        let stdout = process.stdout.take().expect("stdout is piped");
        let mut stdout = BufReader::new(stdout).lines();
        let address = match timeout(READY_WITHIN, ready(&mut stdout)).await {
            Ok(Some(address)) => address,
            Ok(None) => {
                let ended = process.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
                return Err(failed(format!("did not come to serve ({ended})")));
            }
            Err(_) => return Err(failed(format!("did not serve within {READY_WITHIN:?}"))),
        };
        Ok(Self { address, since: Instant::now(), name, process, log: log.to_owned(), _leash: leash, _stdout: stdout })
    }

    /// Its number, as `kill` takes it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// Returns when it has ended.
    pub(crate) async fn ended(&mut self) -> String {
        self.process.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Kills it with SIGKILL, and returns when it is dead.
    pub(crate) async fn kill(mut self) -> Result<(), Report> {
        self.process.kill().await.map_err(|error| self.failed(&format!("cannot be killed: {error}")))
    }

    /// Asks it to end, and returns when it has.
    pub(crate) async fn stop(mut self) -> Result<(), Report> {
        self.signal(Signal::TERM)?;
        match timeout(END_WITHIN, self.process.wait()).await {
            Ok(Ok(status)) if ExitStatus::success(&status) => Ok(()),
            Ok(Ok(status)) => Err(self.failed(&format!("did not end well ({status})"))),
            Ok(Err(error)) => Err(self.failed(&format!("cannot be waited for: {error}"))),
            Err(_) => Err(self.failed(&format!("did not end within {END_WITHIN:?}, and was killed"))),
        }
    }

    /// Sends it a signal, if it lives.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Report> {
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { return Ok(()) };
        kill_process(pid, signal).map_err(|error| self.failed(&format!("cannot be sent a signal: {error}")))
    }

    fn failed(&self, why: &str) -> Report {
        let means = format!("It last said, in `{}`:\n{}", self.log.display(), tail(&self.log));
        Report::new(Exit::No, format!("{} {why}", self.name), means, "")
    }
}

/// This very program, with these arguments, in a folder, and with nothing in its
/// environment that speaks of another aloud.
pub(crate) fn ourselves(args: &[&str], folder: &Path) -> Result<Command, Report> {
    let mut command = Command::new(program()?);
    command.args(args).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| name.starts_with("ALOUD_") || name.starts_with("NOTICE_"));
        if ours {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// Where this very program is.
pub(crate) fn program() -> Result<PathBuf, Report> {
    std::env::current_exe().map_err(|error| {
        Report::config(format!("cannot tell which program this is: {error}"), "The demo did not start.", "")
    })
}

/// Reads until it serves, and where it listens if it does; nothing if it ends
/// before.
async fn ready(stdout: &mut Lines<BufReader<ChildStdout>>) -> Option<Option<SocketAddr>> {
    let mut address = None;
    while let Ok(Some(line)) = stdout.next_line().await {
        match line.strip_prefix("listening http ") {
            Some(text) => address = text.parse().ok(),
            None if line == "ready" => return Some(address),
            None => {}
        }
    }
    None
}

/// The end of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = match std::fs::read(log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("(it cannot be read: {error})"),
    };
    let mut lines = VecDeque::new();
    for line in text.lines() {
        if lines.len() == LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
    if lines.is_empty() { "(nothing)".to_owned() } else { lines.make_contiguous().join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn one_that_serves_is_known_by_what_it_prints_and_ends_when_asked() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let script = "trap 'exit 0' TERM; echo started >&2; echo listening http 127.0.0.1:7; echo ready; while :; do sleep 0.05; done";
        let child = Child::start("it", sh(script), log.path()).await.unwrap();
        assert_eq!(child.address, Some("127.0.0.1:7".parse().unwrap()));
        child.stop().await.unwrap();
        assert_eq!(tail(log.path()), "started");
    }

    #[tokio::test]
    async fn one_that_does_not_serve_says_why() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let failed = Child::start("it", sh("echo no room >&2; exit 3"), log.path()).await.err().unwrap();
        assert_eq!(failed.happened, "it did not come to serve (exit status: 3)");
        assert!(failed.means.ends_with("no room"), "{failed}");
    }

    #[tokio::test]
    async fn one_that_ends_badly_says_so() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let script = "trap 'echo oh >&2; exit 4' TERM; echo listening http 127.0.0.1:7; echo ready; while :; do sleep 0.05; done";
        let child = Child::start("it", sh(script), log.path()).await.unwrap();
        let failed = child.stop().await.unwrap_err();
        assert_eq!(failed.happened, "it did not end well (exit status: 4)");
        assert!(failed.means.ends_with("oh"), "{failed}");
    }
}
