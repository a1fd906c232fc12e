//! Whether the program and the configuration that are there now would do: asked
//! of the new program itself, before this one gives way to it.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::settings::Settings;

/// How long it may take to answer.
const WITHIN: Duration = Duration::from_secs(20);

/// Asks it; or says what it said.
pub(crate) async fn fits(settings: &Settings) -> Result<(), String> {
    let mut command = Command::new(&settings.program);
    command.arg("agent").arg("--check");
    if let Some(config) = &settings.config {
        command.arg("--config").arg(config);
    }
    for name in crate::notify::Notifier::VARIABLES {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    match timeout(WITHIN, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            Err(job::attempt::bounded(first.trim().to_owned(), 500))
        }
        Ok(Err(error)) => Err(format!("`{}` cannot be started: {error}", settings.program.display())),
        Err(_) => Err(format!("it did not answer within {WITHIN:?}")),
    }
}
