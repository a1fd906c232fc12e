//! A thread that writes a pool's lines away, so that a slow or full disk holds
//! nobody up: what it cannot take is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::Line;
use super::file::LogFile;
use super::journal::Journal;
use crate::pool::Log;

/// How many lines may wait to be written.
const WAITING: usize = 1_024;

/// The way to the thread; it ends when the last of these is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    lines: Option<SyncSender<Line>>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Begins to write; a pool without a file and without the journal needs no thread.
    pub(crate) fn begin(log: &Log, dropped: Arc<AtomicU64>) -> (Self, Option<JoinHandle<()>>) {
        if log.file.is_none() && !log.journal {
            return (Self::nowhere(dropped), None);
        }
        let (lines, inbox) = sync_channel(WAITING);
        let file = log.file.clone().map(|path| LogFile::new(path, log.rotate_bytes, log.keep));
        let journal = if log.journal { Journal::open().ok() } else { None };
        let counter = Arc::clone(&dropped);
        let thread = std::thread::Builder::new().name("aloud-log".into());
        match thread.spawn(move || write(&inbox, file, journal.as_ref(), &counter)) {
            Ok(thread) => (Self { lines: Some(lines), dropped }, Some(thread)),
            Err(_) => (Self::nowhere(dropped), None),
        }
    }

    /// Writes nothing.
    pub(crate) fn nowhere(dropped: Arc<AtomicU64>) -> Self {
        Self { lines: None, dropped }
    }

    pub(crate) fn write(&self, line: Line) {
        if let Some(lines) = &self.lines
            && lines.try_send(line).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(inbox: &Receiver<Line>, mut file: Option<LogFile>, journal: Option<&Journal>, dropped: &AtomicU64) {
    for line in inbox {
        let filed = file.as_mut().is_none_or(|file| file.write(&line).is_ok());
        let sent = journal.is_none_or(|journal| journal.send(&line).is_ok());
        if !(filed && sent) {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
