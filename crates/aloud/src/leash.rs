//! Ends this process when whoever started it is gone, however that came about.
//!
//! Whoever starts a process as a part of something else holds the other end of
//! its stdin. Nothing is ever written there; when it ends, the process is asked
//! to end as by SIGTERM.

use std::io;

use rustix::process::{Signal, getpid, kill_process};

/// Watches stdin from now on.
pub(crate) fn hold() -> io::Result<()> {
    let watch = || {
        let ended = io::copy(&mut io::stdin().lock(), &mut io::sink());
        tracing::info!(?ended, "stdin has ended: whoever started this is gone");
        if let Err(error) = kill_process(getpid(), Signal::TERM) {
            tracing::error!(%error, "cannot ask this process to end");
        }
    };
    std::thread::Builder::new().name("leash".to_owned()).spawn(watch).map(drop)
}
