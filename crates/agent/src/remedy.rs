//! Runs the declared command that makes processes of others run the current
//! release.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use job::PoolName;
use tokio::process::Command;
use tokio::time::timeout;

/// How long it may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Runs it in the current release, if there is one, and logs what came of it.
/// Whether it helped is seen by the next looks, not by its exit status.
pub(crate) async fn run(name: &PoolName, command: &[String], dir: &Path) {
    let Some((program, args)) = command.split_first() else { return };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if dir.is_dir() {
        command.current_dir(dir);
    }
    match timeout(WITHIN, command.output()).await {
        Ok(Ok(output)) if output.status.success() => tracing::info!(%name, "the declared command has ended well"),
        Ok(Ok(output)) => {
            let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
            let said = String::from_utf8_lossy(&said[said.len().saturating_sub(1_000)..]).into_owned();
            tracing::error!(%name, status = %output.status, said, "the declared command has failed");
        }
        Ok(Err(error)) => tracing::error!(%name, %error, "the declared command could not be started"),
        Err(_) => tracing::error!(%name, "the declared command did not end within {WITHIN:?}, and was killed"),
    }
}
