//! One at a time.
//!
//! What counts is the kernel's lock on `.aloud/lock`: it is gone with the process that holds it, however that ends. The
//! text in the file is for people. Beside it, in a tree that Deployer uses too, stands Deployer's own lock file, which
//! is honoured, and written while we are at work.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use job::{Span, Timestamp};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::dir::Dir;
use crate::error::{Error, Message, Trouble};
use crate::id::TxId;

/// Who is at work in a tree. For people only: that it is written down proves nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// Who, as they called themselves.
    pub who: String,
    /// What they are doing: `deploy of /srv/build`.
    pub what: String,
    /// Since when; zero if that is not known.
    pub since: Timestamp,
    /// Their process, on this machine; zero if that is not known.
    pub pid: u32,
}

/// The lock of a tree, held for as long as this lives.
pub(crate) struct Lock {
    file: File,
    deployers: Option<Deployers>,
}

/// Deployer's lock file, which we wrote.
struct Deployers {
    dep: Dir,
    text: String,
}

const NAME: &str = "lock";
const DEPLOYERS: &str = "deploy.lock";
/// By it our own text in Deployer's lock file is known.
const OURS: &str = "aloud ";
const BETWEEN: Duration = Duration::from_millis(20);
/// Who only looks whether the tree is locked holds the lock for a moment himself.
const PATIENCE: Duration = Duration::from_millis(200);
const MAX_TEXT: u64 = 4_096;

impl Lock {
    /// Takes the lock of the tree whose own folder is `own`, within `wait`.
    pub(crate) fn take(own: &Dir, dep: Option<Dir>, holder: &Holder, tx: &TxId, wait: Span) -> Result<Self, Error> {
        let file = own.open_file(NAME).map_err(Trouble::refused)?;
        let mut waited = Duration::ZERO;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if waited < wait.as_duration().max(PATIENCE) => {
                    std::thread::sleep(BETWEEN);
                    waited += BETWEEN;
                }
                Err(Errno::WOULDBLOCK) => return Err(locked(read(own).map_err(Trouble::refused)?, holder.since)),
                Err(Errno::INTR) => {}
                Err(error) => return Err(own.trouble("lock", Path::new(NAME), error).refused()),
            }
        }
        // Only for people: a disk that is full does not stop it.
        if let Err(error) = write(&file, holder) {
            tracing::debug!(%error, "who holds the lock could not be written down");
        }
        let deployers = dep.map(|dep| Deployers::take(dep, holder, tx)).transpose()?;
        Ok(Self { file, deployers })
    }

    /// Who holds the lock, if anybody does.
    pub(crate) fn holder(own: &Dir) -> Result<Option<Holder>, Trouble> {
        if own.stat(NAME)?.is_none() {
            return Ok(None);
        }
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        let file = rustix::fs::openat(own.fd(), NAME, flags, rustix::fs::Mode::empty())
            .map_err(|error| own.trouble("open", Path::new(NAME), error))?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => match flock(&file, FlockOperation::Unlock) {
                Ok(()) => Ok(None),
                Err(error) => Err(own.trouble("unlock", Path::new(NAME), error)),
            },
            Err(Errno::WOULDBLOCK) => read(own).map(Some),
            Err(error) => Err(own.trouble("lock", Path::new(NAME), error)),
        }
    }

    /// What stands in Deployer's lock file, and since when; it holds nothing, so this proves nothing.
    pub(crate) fn deployers(dep: &Dir) -> Result<Option<(String, Timestamp)>, Trouble> {
        let Some(stat) = dep.stat(DEPLOYERS)? else { return Ok(None) };
        let text = dep.read(DEPLOYERS, MAX_TEXT)?.unwrap_or_default();
        Ok(Some((text.trim().to_owned(), Timestamp(stat.st_mtime * 1_000_000))))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(deployers) = self.deployers.take() {
            deployers.leave();
        }
        // Not left to the closing of the file: a process that is being started at this moment has a copy of it.
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "the lock of the tree was not given back before its file was closed");
        }
    }
}

impl Deployers {
    fn take(dep: Dir, holder: &Holder, tx: &TxId) -> Result<Self, Error> {
        if let Some(found) = dep.read(DEPLOYERS, MAX_TEXT).map_err(Trouble::refused)? {
            if !found.starts_with(OURS) {
                let who = found.trim().to_owned();
                let happened = format!("Deployer has locked this tree for {who:?} (`.dep/{DEPLOYERS}`)");
                return Err(Error::Locked {
                    message: Message::new(
                        happened,
                        "Nothing was changed. Deployer's lock stays also when a deploy was killed.",
                        "wait until that deploy has ended; if there is none, run `dep deploy:unlock`",
                    ),
                    holder: Box::new(Holder { who, what: "a deploy by Deployer".into(), since: Timestamp(0), pid: 0 }),
                });
            }
            // We hold the lock that counts, so the one who wrote this is gone.
            dep.unlink(DEPLOYERS).map_err(Trouble::refused)?;
        }
        let text = format!("{OURS}{tx} {}\n", holder.who);
        dep.point("deploy.lock");
        let mut file = dep.new_file(DEPLOYERS).map_err(Trouble::refused)?;
        std::io::Write::write_all(&mut file, text.as_bytes())
            .map_err(|error| Trouble::io(format!("write `.dep/{DEPLOYERS}`"), &error).refused())?;
        dep.point("deploy.lock done");
        Ok(Self { dep, text })
    }

    fn leave(self) {
        match self.dep.read(DEPLOYERS, MAX_TEXT) {
            Ok(Some(found)) if found == self.text => {
                if let Err(trouble) = self.dep.unlink(DEPLOYERS) {
                    tracing::warn!(%trouble, "Deployer's lock file stays");
                }
            }
            Ok(_) => {}
            Err(trouble) => tracing::warn!(%trouble, "Deployer's lock file stays"),
        }
    }
}

fn write(file: &File, holder: &Holder) -> std::io::Result<()> {
    let text = serde_json::to_string(holder).expect("it holds nothing that JSON cannot say");
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)
}

fn read(own: &Dir) -> Result<Holder, Trouble> {
    let text = own.read(NAME, MAX_TEXT)?.unwrap_or_default();
    Ok(serde_json::from_str(&text).unwrap_or(Holder {
        who: "somebody".into(),
        what: "something".into(),
        since: Timestamp(0),
        pid: 0,
    }))
}

fn locked(holder: Holder, now: Timestamp) -> Error {
    let mut happened = format!("{} is at work in this tree: {}", holder.who, holder.what);
    if holder.since.0 != 0 {
        let seconds = Span::from_micros(now.since(holder.since).as_micros() / 1_000_000 * 1_000_000);
        happened.push_str(&format!(", for {seconds} (process {})", holder.pid));
    }
    let message = Message::new(
        happened,
        "Nothing was changed. The lock ends by itself with the process that holds it.",
        "wait for it, or try again with `--wait 10m`",
    );
    Error::Locked { holder: Box::new(holder), message }
}
