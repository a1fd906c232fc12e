//! The signals that ask a server to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::report::Report;

/// SIGTERM and SIGINT, from now on.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Takes both over from the system, which would end the process at once.
    pub(crate) fn listen() -> Result<Self, Report> {
        let take = |kind| {
            signal(kind).map_err(|error| {
                Report::config(
                    format!("cannot take signals: {error}"),
                    "It could not be stopped in order, and so did not start.",
                    "see what limits this process has",
                )
            })
        };
        Ok(Self { term: take(SignalKind::terminate())?, int: take(SignalKind::interrupt())? })
    }

    /// Waits for the next one, and answers its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
