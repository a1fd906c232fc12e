//! The signals that ask the demo to end: Ctrl-C, SIGTERM, and the terminal's
//! end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::report::Report;

/// Hears them from now on.
pub(crate) struct End {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl End {
    /// Takes them over from the system, which would end this process at once
    /// and leave everything behind.
    pub(crate) fn listen() -> Result<Self, Report> {
        let take = |kind| {
            signal(kind).map_err(|error| {
                Report::config(
                    format!("cannot take signals: {error}"),
                    "Nothing was started.",
                    "see what limits this process has",
                )
            })
        };
        Ok(Self {
            int: take(SignalKind::interrupt())?,
            term: take(SignalKind::terminate())?,
            hup: take(SignalKind::hangup())?,
        })
    }

    /// Returns when one comes.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            _ = self.hup.recv() => {}
        }
    }
}
