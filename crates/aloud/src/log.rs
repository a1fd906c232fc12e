//! What is logged, and what a panic says: all of it to stderr.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::report::Report;

/// Starts logging with the filter that was asked for, or `usual`.
pub(crate) fn start(asked: Option<&str>, usual: &str) -> Result<(), Report> {
    let filter: Targets = asked.unwrap_or(usual).parse().map_err(|error| {
        Report::usage(
            format!("the log filter `{}` cannot be read: {error}", asked.unwrap_or(usual)),
            "write a level (`error`, `warn`, `info`, `debug`, `trace`) or levels by part: `info,store=debug`",
        )
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    tracing_subscriber::registry().with(lines).with(filter).init();
    Ok(())
}

/// Makes a panic say plainly that it is a defect of aloud's.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let report = defect(panic);
        // If even stderr is gone, there is nobody left to tell.
        drop(writeln!(io::stderr(), "{report}"));
    }));
}

fn defect(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
    let what = panic.payload_as_str().unwrap_or("a panic without words");
    let backtrace = Backtrace::capture();
    let captured = backtrace.status() == BacktraceStatus::Captured;
    let trace = if captured { format!("\n{backtrace}") } else { String::new() };
    format!(
        "error: a defect in aloud{place}: {what}\n  \
         What was under way there did not finish. What was answered before stays as it was answered.\n\
         hint: please report this with what you did; RUST_BACKTRACE=1 shows more{trace}"
    )
}
