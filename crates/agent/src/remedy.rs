//! Runs the declared command that makes processes of others run the current
//! release.
//!
//! It is run at most once a minute for one release, and never beside itself.
//! What it starts lives on in its own right, so its output is a file and no
//! pipe: a pipe would keep the command from being seen to end, and break under
//! what it has started.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use job::PoolName;
use tokio::process::Command;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// How long it may take.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);
/// How often it may be run for the same release.
const EVERY: Duration = Duration::from_secs(60);
/// How much of its output is logged if it fails, in bytes.
const SHOWN: usize = 1_000;

/// When the command of which processes was run last.
#[derive(Debug, Default)]
pub(crate) struct Remedies(HashMap<PoolName, Last>);

#[derive(Debug)]
struct Last {
    /// For the release that was current then, if there was one.
    release: Option<String>,
    at: Instant,
    /// The command, while it runs.
    task: AbortHandle,
}

impl Remedies {
    /// Whether the command may be run now, with `release` as the current one.
    pub(crate) fn may_run(&self, name: &PoolName, release: Option<&str>, now: Instant) -> bool {
        self.0.get(name).is_none_or(|last| {
            last.task.is_finished() && (last.release.as_deref() != release || now.duration_since(last.at) >= EVERY)
        })
    }

    /// It runs.
    pub(crate) fn runs(&mut self, name: PoolName, release: Option<String>, task: AbortHandle, now: Instant) {
        self.0.insert(name, Last { release, at: now, task });
    }
}

/// What is run.
#[derive(Debug)]
pub(crate) struct Remedy {
    pub(crate) name: PoolName,
    pub(crate) command: Vec<String>,
    /// Where, if it is there: the current release.
    pub(crate) dir: PathBuf,
    /// The file that its output goes to, emptied before.
    pub(crate) log: PathBuf,
}

impl Remedy {
    /// Runs it, and logs what came of it. Whether it helped is seen by the next
    /// looks, not by its exit status.
    pub(crate) async fn run(self) {
        let Self { name, log, .. } = &self;
        let mut child = match self.start() {
            Ok(Some(child)) => child,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%name, %error, "the declared command could not be started");
                return;
            }
        };
        match timeout(WITHIN, child.wait()).await {
            Ok(Ok(status)) if status.success() => tracing::info!(%name, "the declared command has ended well"),
            Ok(Ok(status)) => {
                let said = tail(log);
                tracing::error!(%name, %status, said, log = %log.display(), "the declared command has failed");
            }
            Ok(Err(error)) => tracing::error!(%name, %error, "it is not known how the declared command ended"),
            Err(_) => {
                child.kill().await.ok();
                let said = tail(log);
                tracing::error!(%name, said, "the declared command did not end within {WITHIN:?}, and was killed");
            }
        }
    }

    fn start(&self) -> io::Result<Option<tokio::process::Child>> {
        let Some((program, args)) = self.command.split_first() else { return Ok(None) };
        let output = File::create(&self.log)?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        for name in crate::notify::Notifier::VARIABLES {
            command.env_remove(name);
        }
        if self.dir.is_dir() {
            command.current_dir(&self.dir);
        }
        command.spawn().map(Some)
    }
}

/// The end of what was written to a file.
fn tail(path: &Path) -> String {
    let said = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN)..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_run_once_a_minute_for_one_release_and_never_beside_itself() {
        let name: PoolName = "horizon".parse().unwrap();
        let now = Instant::now();
        let mut remedies = Remedies::default();
        assert!(remedies.may_run(&name, Some("1"), now));
        let task = tokio::spawn(std::future::pending::<()>());
        remedies.runs(name.clone(), Some("1".to_owned()), task.abort_handle(), now);
        assert!(!remedies.may_run(&name, Some("2"), now + EVERY * 2), "it still runs");
        task.abort();
        task.await.unwrap_err();
        assert!(remedies.may_run(&name, Some("1"), now + EVERY * 2));
        let task = tokio::spawn(async {});
        remedies.runs(name.clone(), Some("1".to_owned()), task.abort_handle(), now);
        task.await.unwrap();
        assert!(!remedies.may_run(&name, Some("1"), now), "it was run just now");
        assert!(remedies.may_run(&name, Some("2"), now), "for another release");
        assert!(remedies.may_run(&name, Some("1"), now + EVERY));
    }
}
