//! The smallest supervisor: keeps workers on whatever `current` leads to.
//!
//! ```text
//! keep run ROOT RUN_DIR COUNT COMMAND…   runs the command in ROOT/current, COUNT times
//! keep launch ORDER                      is started by itself, once for each worker
//! keep guardian PID START RUN_DIR        is started by itself
//! keep ready                             tells the supervisor that a worker is ready
//! ```
//!
//! SIGTERM drains and ends it; at SIGUSR1 it becomes itself anew and keeps its
//! workers, as a program does that was replaced by a newer one. What happens is
//! written to `ROOT/events`.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use job::Span;
use job::time::SystemClock;
use supervisor::guardian::{self, Ward};
use supervisor::{Code, Dir, NoCode, NoHooks, Options, Pool, Source, Supervisor, launch};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let done = match args.first().and_then(|word| word.to_str()) {
        // These two must not have threads.
        Some("launch") if args.len() == 2 => return ExitCode::from(launch::run(Path::new(&args[1])).code),
        Some("guardian") => match Ward::from_args(args.into_iter().skip(1)) {
            Some(ward) => guardian::run(&ward),
            None => return ExitCode::from(64),
        },
        Some("ready") => ready(),
        Some("run") if args.len() > 4 => {
            tokio::runtime::Runtime::new().and_then(|runtime| runtime.block_on(run(&args)))
        }
        Some(_) | None => return ExitCode::from(64),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "error: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn ready() -> io::Result<()> {
    let socket = std::env::var_os("NOTIFY_SOCKET").ok_or(io::ErrorKind::NotFound)?;
    UnixDatagram::unbound()?.send_to(b"READY=1\n", socket).map(drop)
}

async fn run(args: &[OsString]) -> io::Result<()> {
    let root = PathBuf::from(&args[1]);
    let own = std::env::current_exe()?;
    let options = Options {
        run_dir: PathBuf::from(&args[2]),
        launcher: vec![own.clone().into(), "launch".into()],
        guardian: vec![own.clone().into(), "guardian".into()],
        clock: Arc::new(SystemClock::resume(None)),
        source: Arc::new(Link(root.join("current"))),
        quiet: Arc::new(NoHooks),
        quiet_within: Span::from_secs(1),
        cgroups: supervisor::cgroup::Choice::Auto,
        env: vec![("PATH".into(), std::env::var("PATH").unwrap_or_default())],
    };
    let count = args[3].to_str().and_then(|text| text.parse().ok()).unwrap_or(1);
    let command = args[4..].iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let name = "keep".parse().map_err(io::Error::other)?;
    let mut pool = Pool::new(name, command, count);
    pool.log.file = Some(root.join("log"));

    let (mut renew, mut end) = (signal(SignalKind::user_defined1())?, signal(SignalKind::terminate())?);
    let supervisor = Supervisor::start(options, vec![pool]).await.map_err(io::Error::other)?;
    let mut events = supervisor.events();
    let mut told = OpenOptions::new().create(true).append(true).open(root.join("events"))?;
    loop {
        tokio::select! {
            Ok(event) = events.recv() => writeln!(told, "{event:?}")?,
            _ = renew.recv() => {
                supervisor.handoff().await.map_err(io::Error::other)?;
                return Err(std::process::Command::new(own).args(args).exec());
            }
            _ = end.recv() => {
                supervisor.stop().await;
                return Ok(());
            }
        }
    }
}

/// A symbolic link that leads to the current release.
struct Link(PathBuf);

impl Source for Link {
    fn resolve(&self) -> Result<Code, NoCode> {
        let none = |error: io::Error| NoCode { why: format!("`{}` leads nowhere: {error}", self.0.display()) };
        let dir = self.0.canonicalize().map_err(none)?;
        let is = Dir::at(&dir).map_err(none)?;
        let id = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Code { id, dir, is, logical: self.0.clone(), env: Vec::new() })
    }
}
