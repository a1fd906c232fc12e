//! A child that is held on to by a descriptor, however this process changes.
//!
//! It works the same for a child that an earlier program of this process
//! started. Nothing here waits for children in general: other parts of the
//! program have their own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use rustix::process::{pidfd_open, pidfd_send_signal, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::exit::Exit;
use crate::process::Ident;

/// A child, as one task watches it.
#[derive(Debug)]
pub(crate) struct Child {
    fd: AsyncFd<Arc<OwnedFd>>,
}

/// The same child, for others to send it signals.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<OwnedFd>);

impl Child {
    /// Holds on to a child that was not collected yet.
    pub(crate) fn hold(ident: Ident) -> io::Result<Self> {
        let pid = i32::try_from(ident.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let fd = Arc::new(pidfd_open(pid, PidfdFlags::empty())?);
        if !ident.is_there() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self { fd: watched(fd)? })
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(Arc::clone(self.fd.get_ref()))
    }

    /// Returns when it has ended, and leaves it uncollected.
    pub(crate) async fn ended(&self) {
        while let Ok(mut ready) = self.fd.readable().await {
            // An error means that it is gone.
            if !matches!(self.look(WaitIdOptions::NOWAIT), Ok(None)) {
                return;
            }
            ready.clear_ready();
        }
    }

    /// How it ended. It stays uncollected.
    pub(crate) fn exit(&self) -> Exit {
        let Ok(Some(status)) = self.look(WaitIdOptions::NOWAIT) else { return Exit::Unseen };
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unseen,
        }
    }

    /// Collects it: from now on its number may be another's.
    pub(crate) fn collect(&self) {
        // It fails if somebody did already.
        self.look(WaitIdOptions::empty()).ok();
    }

    fn look(&self, how: WaitIdOptions) -> rustix::io::Result<Option<WaitIdStatus>> {
        waitid(WaitId::PidFd(self.fd.get_ref().as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | how)
    }
}

impl Handle {
    /// Sends it a signal. If it has ended, nothing is left that could be done.
    pub(crate) fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.0, signal).ok();
    }
}

#[expect(
    deprecated,
    reason = "unsound only for what may change its descriptor; an `OwnedFd` keeps it until it is dropped"
)]
fn watched(fd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}
