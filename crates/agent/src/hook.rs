//! One command of a deploy, run as the right user to its end.
//!
//! It leads a process group of its own, so that nothing of it is left behind
//! when its time is up. It is started by the launcher that workers are started
//! by, so a boot check sees the user, the groups and the environment that the
//! worker will see.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use release::{Done, Failure, Task};
use rustix::process::{Pid, Signal, kill_process_group};
use supervisor::launch::Once;

use crate::config::WorkerConfig;

/// How many of the last lines of its output are kept.
const LINES: usize = 40;
/// The longest line, in bytes.
const MAX_LINE: usize = 2_000;
/// How long a command has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// As whom, and in what, a command is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hook {
    pub(crate) user: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) env_files: Vec<PathBuf>,
    pub(crate) dir: Option<PathBuf>,
}

impl Hook {
    /// What a worker is run in.
    pub(crate) fn of(worker: &WorkerConfig) -> Self {
        Self {
            user: worker.user.clone(),
            group: worker.group.clone(),
            env: worker.env.clone(),
            env_files: worker.env_files.clone(),
            dir: worker.dir.clone(),
        }
    }
}

/// What every command of a deploy is run in.
pub(crate) struct Around<'a> {
    pub(crate) env: &'a [(String, String)],
    /// The program and its arguments that become a command, as another user.
    pub(crate) launcher: &'a [OsString],
    /// It is to be ended, because the deploy was given up.
    pub(crate) cancelled: &'a AtomicBool,
    /// Hears what it says.
    pub(crate) say: &'a (dyn Fn(&str) + Sync),
}

/// Runs it to its end, or to the end of its time.
pub(crate) fn run(hook: &Hook, task: &Task, around: &Around<'_>) -> Result<Done, Failure> {
    let failed = |why: String| Failure { why, output: Vec::new() };
    let once = Once {
        argv: task.argv.clone(),
        dir: hook.dir.as_ref().map_or_else(|| task.dir.clone(), |dir| task.dir.join(dir)),
        user: hook.user.clone(),
        group: hook.group.clone(),
        env: around.env.iter().cloned().chain(hook.env.clone()).collect(),
        env_files: hook.env_files.clone(),
    };
    let order = once.order().map_err(|error| failed(format!("cannot be started: {error}")))?;
    let Some((program, args)) = around.launcher.split_first() else {
        return Err(failed("there is no launcher".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(args).arg("--once").arg(&*order).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
    let (lines, heard) = mpsc::sync_channel(1_000);
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
    ];
    for stream in streams.into_iter().flatten() {
        let lines = lines.clone();
        std::thread::spawn(move || listen(stream, &lines));
    }
    drop(lines);
    let (status, output) = accompany(&mut child, &heard, task.within.as_duration(), around).map_err(failed)?;
    let why = match status {
        Some(status) if status.success() => return Ok(Done { output }),
        Some(status) => ended(status),
        None if around.cancelled.load(Ordering::SeqCst) => "the deploy, which was given up".to_owned(),
        None => format!("its time: it was still running after {}", task.within),
    };
    Err(Failure { why, output })
}

/// Hears what it says until it has ended, or its time is up.
fn accompany(
    child: &mut Child,
    heard: &mpsc::Receiver<String>,
    within: Duration,
    around: &Around<'_>,
) -> Result<(Option<ExitStatus>, Vec<String>), String> {
    const LOOK: Duration = Duration::from_millis(50);
    let group = Pid::from_child(child);
    let mut output = VecDeque::new();
    let mut keep = |line: String| {
        (around.say)(&line);
        if output.len() == LINES {
            output.pop_front();
        }
        output.push_back(line);
    };
    let mut spent = Duration::ZERO;
    let mut asked: Option<Duration> = None;
    let status = loop {
        match heard.recv_timeout(LOOK) {
            Ok(line) => keep(line),
            Err(mpsc::RecvTimeoutError::Timeout) => spent += LOOK,
            // Both streams are closed: it is about to end, or has become a daemon.
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                std::thread::sleep(LOOK);
                spent += LOOK;
            }
        }
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break if asked.is_some() { None } else { Some(status) };
        }
        if asked.is_none() && (spent >= within || around.cancelled.load(Ordering::SeqCst)) {
            asked = Some(spent);
            kill_process_group(group, Signal::TERM).ok();
        }
        if asked.is_some_and(|asked| spent >= asked + GRACE) {
            kill_process_group(group, Signal::KILL).ok();
        }
    };
    // What it left behind must not work on in a release that is being made.
    kill_process_group(group, Signal::KILL).ok();
    while let Ok(line) = heard.recv_timeout(LOOK) {
        keep(line);
    }
    Ok((status, output.into()))
}

fn listen(stream: impl Read, lines: &mpsc::SyncSender<String>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        match stream.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if !text.is_empty() && lines.send(text).is_err() {
                    return;
                }
            }
        }
    }
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => supervisor::Exit::Code(code).to_string(),
        (None, Some(signal)) => supervisor::Exit::Signal(signal).to_string(),
        (None, None) => status.to_string(),
    }
}
