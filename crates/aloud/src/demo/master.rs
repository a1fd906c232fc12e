//! `aloud demo-master`: what kept the workers running in the story, for
//! comparison.
//!
//! It resolves `current` once, when it starts, and stays in that folder. It
//! starts its worker by a relative path, starts it again whenever it ends, and
//! replaces it when it is told to, which is SIGHUP. It says that it runs for as
//! long as it runs. None of that is a caricature: it is what a queue's master
//! of that kind does.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

/// The variable with the path of `current`.
pub(crate) const CURRENT: &str = "NOTICE_CURRENT";
/// The variable with the file that its status is written to.
pub(crate) const STATUS: &str = "NOTICE_STATUS";
/// What its status says.
pub(crate) const RUNNING: &str = "running";

/// How long it rests when a worker has ended; longer in earnest.
const COOL_DOWN: Duration = Duration::from_millis(500);
/// How long a worker may take to end.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Runs until SIGTERM.
pub(crate) async fn run() -> io::Result<()> {
    let var = |name: &str| {
        std::env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(format!("{name} is not set")))
    };
    let (current, status) = (var(CURRENT)?, var(STATUS)?);
    let (mut term, mut hup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    // Here it happens: from now on it is in this release, wherever the link leads.
    std::env::set_current_dir(current.canonicalize()?)?;
    fs::write(&status, RUNNING)?;
    writeln!(io::stdout(), "ready")?;
    loop {
        let mut command = Command::new("./worker");
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let mut worker = match command.spawn() {
            Ok(worker) => worker,
            Err(error) => {
                tracing::error!("cannot start ./worker: {error}");
                tokio::select! {
                    () = sleep(COOL_DOWN) => continue,
                    _ = term.recv() => break,
                }
            }
        };
        tokio::select! {
            ended = worker.wait() => {
                tracing::error!("./worker ended: {}", ended.map_or_else(|error| error.to_string(), |how| how.to_string()));
                sleep(COOL_DOWN).await;
            }
            _ = hup.recv() => {
                tracing::warn!("told to restart: the worker is replaced");
                end(&mut worker).await?;
            }
            _ = term.recv() => {
                end(&mut worker).await?;
                break;
            }
        }
    }
    fs::remove_file(&status)
}

async fn end(worker: &mut Child) -> io::Result<ExitStatus> {
    if let Some(pid) = worker.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM)?;
    }
    match timeout(END_WITHIN, worker.wait()).await {
        Ok(ended) => ended,
        Err(_) => {
            worker.kill().await?;
            worker.wait().await
        }
    }
}
