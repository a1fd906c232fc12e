//! The signals that ask a process to end.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::report::Report;

/// Signals that come this soon after one another are one wish: a terminal, a
/// `timeout` or an init system may send them to the process and to its group.
const ONE_WISH: Duration = Duration::from_millis(500);

/// SIGINT and SIGTERM, and SIGHUP if that was asked for, from now on.
pub(crate) struct Signals {
    taken: Vec<(&'static str, Signal)>,
    last: Option<Instant>,
}

impl Signals {
    /// Takes SIGINT and SIGTERM over from the system, which would end the
    /// process at once. SIGHUP stays as it is, so that `nohup` works.
    pub(crate) fn listen() -> Result<Self, Report> {
        Self::take(&[("SIGINT", SignalKind::interrupt()), ("SIGTERM", SignalKind::terminate())])
    }

    /// The same, and the end of the terminal too.
    pub(crate) fn listen_on_a_terminal() -> Result<Self, Report> {
        let mut signals = Self::listen()?;
        signals.taken.extend(Self::take(&[("SIGHUP", SignalKind::hangup())])?.taken);
        Ok(signals)
    }

    fn take(kinds: &[(&'static str, SignalKind)]) -> Result<Self, Report> {
        let taken = kinds.iter().map(|&(name, kind)| Ok((name, signal(kind)?)));
        let taken = taken.collect::<std::io::Result<_>>().map_err(|error| {
            Report::config(
                format!("cannot take signals: {error}"),
                "It could not be stopped in order, and so did not start.",
                "see what limits this process has",
            )
        })?;
        Ok(Self { taken, last: None })
    }

    /// Waits for the next wish to end, and answers the name of its signal.
    pub(crate) async fn asked(&mut self) -> &'static str {
        loop {
            let name = self.any().await;
            let at = Instant::now();
            if self.last.is_none_or(|last| at.duration_since(last) >= ONE_WISH) {
                self.last = Some(at);
                return name;
            }
        }
    }

    async fn any(&mut self) -> &'static str {
        poll_fn(|cx| {
            let mut taken = self.taken.iter_mut();
            let come = taken.find_map(|(name, signal)| signal.poll_recv(cx).is_ready().then_some(*name));
            come.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
