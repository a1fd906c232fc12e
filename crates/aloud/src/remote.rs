//! The server, as the commands reach it.

use std::future::Future;
use std::io::{self, Write};

use aloud_client::Api;
use job::time::SystemClock;
use job::{Clock, Now};
use serde::Serialize;

use crate::args::Reach;
use crate::report::Report;
use crate::settings::Found;
use crate::settings::target::Target;

/// The server that was typed, or else configured.
pub(crate) fn connect(found: Found, reach: &Reach) -> Result<Api, Report> {
    let mut file = found.file;
    reach.overlay(&mut file);
    Ok(Api::new(Target::decide(file)?.settings()?)?)
}

/// Runs a command that talks to the server.
pub(crate) fn talk<T>(command: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Report::config(format!("cannot start: {error}"), "Nothing was sent.", "see what limits this process has")
    })?;
    runtime.block_on(command)
}

/// Writes one line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> io::Result<()> {
    let line = serde_json::to_string(value).map_err(io::Error::other)?;
    writeln!(io::stdout().lock(), "{line}")
}

/// What this machine's clocks say, to tell people how far off a time is.
pub(crate) fn now() -> Now {
    SystemClock::resume(None).now()
}
