//! A mailbox to look into: an SMTP listener, and pages to read what it was
//! given.
//!
//! It is part of the demo and takes mail to any address. It never sends mail
//! on, speaks no TLS, and listens on loopback only. Its pages have a neighbour,
//! the host's.

mod letter;
mod pages;
mod smtp;

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use job::Timestamp;
use job::time::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use letter::Letter;
pub(crate) use pages::colour;

use crate::demo::operator::Operator;
use crate::demo::panel;

/// How many mails are kept; the oldest make room.
pub(crate) const MAX_MAILS: usize = 5_000;
/// The largest mail, in bytes.
pub(crate) const MAX_MAIL_BYTES: usize = 1 << 20;

/// Where mails are kept. Cheap to clone; clones share the mails.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    mails: Mutex<VecDeque<Arc<Mail>>>,
    folder: PathBuf,
    /// How many have arrived; whoever shows mails waits on it.
    arrived: watch::Sender<u64>,
    clock: SystemClock,
}

/// One mail, as it came.
#[derive(Debug)]
pub(crate) struct Mail {
    /// Counts from 1, in the order of arrival.
    pub(crate) number: u64,
    /// When it came; for a mail of an earlier day, when its file was written.
    pub(crate) arrived: Timestamp,
    /// From and to whom, as the envelope has it.
    pub(crate) envelope: Envelope,
    /// Its headers and its body.
    pub(crate) raw: Vec<u8>,
}

/// From and to whom the sender said a mail is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
}

/// A mailbox that is being served.
pub(crate) struct Open {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Mailbox {
    /// A mailbox that keeps each mail as a file, and begins with those that
    /// the folder holds.
    pub(crate) fn in_folder(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mails = read_folder(folder)?;
        let newest = mails.back().map_or(0, |mail| mail.number);
        let shelf = Shelf {
            mails: Mutex::new(mails),
            folder: folder.to_owned(),
            arrived: watch::Sender::new(newest),
            clock: SystemClock::resume(None),
        };
        Ok(Self { shelf: Arc::new(shelf) })
    }

    /// Takes mail on the one listener, and shows it on the other; there also the
    /// host, if there is somebody who acts on it.
    pub(crate) fn open(&self, smtp: TcpListener, pages: TcpListener, operator: Option<Arc<Operator>>) -> Open {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(smtp::serve(smtp, self.clone(), tasks.clone(), stop.clone()));
        let host = operator.map(|operator| panel::router(operator, tasks.clone(), stop.clone()));
        tasks.spawn(pages::serve(pages, self.clone(), host, stop.clone()));
        tasks.close();
        Open { stop, tasks }
    }

    /// The mails that are kept, the oldest first.
    pub(crate) fn mails(&self) -> Vec<Arc<Mail>> {
        self.lock().iter().cloned().collect()
    }

    fn mail(&self, number: u64) -> Option<Arc<Mail>> {
        self.lock().iter().find(|mail| mail.number == number).cloned()
    }

    /// Keeps a mail. When this returns without an error, it is kept.
    fn take(&self, envelope: Envelope, raw: Vec<u8>) -> io::Result<()> {
        let mut mails = self.lock();
        let number = *self.shelf.arrived.borrow() + 1;
        let mail = Mail { number, arrived: self.shelf.clock.now().wall, envelope, raw };
        write_file(&self.shelf.folder, &mail)?;
        mails.push_back(Arc::new(mail));
        if mails.len() > MAX_MAILS
            && let Some(oldest) = mails.pop_front()
            && let Err(error) = fs::remove_file(file_of(&self.shelf.folder, oldest.number))
        {
            tracing::warn!(%error, "the oldest mail could not make room on the disk");
        }
        drop(mails);
        self.shelf.arrived.send_replace(number);
        Ok(())
    }

    fn arrivals(&self) -> watch::Receiver<u64> {
        self.shelf.arrived.subscribe()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Mail>>> {
        // A list of whole mails is whole even if its holder panicked.
        self.shelf.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Ends every connection and returns when nothing runs any more.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

fn file_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:06}.eml"))
}

/// The envelope goes into a header of its own, where other readers of `.eml`
/// files leave it alone.
const ENVELOPE: &str = "X-Envelope: ";

fn write_file(folder: &Path, mail: &Mail) -> io::Result<()> {
    let (path, draft) = (file_of(folder, mail.number), folder.join("incoming"));
    let mut file = fs::File::create(&draft)?;
    write!(file, "{ENVELOPE}{} {}\r\n", mail.envelope.from, mail.envelope.to.join(" "))?;
    file.write_all(&mail.raw)?;
    drop(file);
    fs::rename(&draft, &path)
}

fn read_folder(folder: &Path) -> io::Result<VecDeque<Arc<Mail>>> {
    let mut mails = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(number) = name.strip_suffix(".eml").and_then(|number| number.parse().ok()) else { continue };
        mails.push((number, path));
    }
    mails.sort();
    let newest = mails.len().saturating_sub(MAX_MAILS);
    mails.drain(newest..).map(|(number, path)| read_file(number, &path).map(Arc::new)).collect()
}

fn read_file(number: u64, path: &Path) -> io::Result<Mail> {
    let written = fs::metadata(path)?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let arrived = Timestamp(i64::try_from(written.as_micros()).unwrap_or(i64::MAX));
    let file = fs::read(path)?;
    let (mut envelope, mut raw) = (Envelope::default(), file.as_slice());
    if let Some(line) = file.strip_prefix(ENVELOPE.as_bytes())
        && let Some(end) = line.windows(2).position(|pair| pair == b"\r\n")
    {
        let text = String::from_utf8_lossy(&line[..end]).into_owned();
        let mut words = text.split(' ').map(str::to_owned);
        envelope.from = words.next().unwrap_or_default();
        envelope.to = words.collect();
        raw = &line[end + 2..];
    }
    Ok(Mail { number, arrived, envelope, raw: raw.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope { from: "a@example.org".into(), to: vec!["b@example.org".into(), "c@example.org".into()] }
    }

    #[test]
    fn what_a_folder_holds_is_there_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mailbox = Mailbox::in_folder(folder.path()).unwrap();
        mailbox.take(envelope(), b"Subject: one\r\n\r\nfirst\r\n".to_vec()).unwrap();
        mailbox.take(envelope(), b"Subject: two\r\n\r\nsecond\r\n".to_vec()).unwrap();
        let again = Mailbox::in_folder(folder.path()).unwrap();
        let (before, after) = (mailbox.mails(), again.mails());
        assert_eq!(after.len(), 2);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((before.number, &before.envelope, &before.raw), (after.number, &after.envelope, &after.raw));
        }
        again.take(envelope(), b"Subject: three\r\n\r\n".to_vec()).unwrap();
        assert_eq!(again.mails().last().unwrap().number, 3, "numbers go on where they ended");
    }

    #[test]
    fn the_oldest_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let mailbox = Mailbox::in_folder(folder.path()).unwrap();
        for _ in 0..MAX_MAILS + 3 {
            mailbox.take(Envelope::default(), Vec::new()).unwrap();
        }
        assert_eq!(mailbox.mails().len(), MAX_MAILS);
        assert_eq!(mailbox.mails()[0].number, 4);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MAX_MAILS);
    }
}
