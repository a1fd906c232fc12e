//! Waits for the disk, and tells callers what was committed.
//!
//! SQLite's own commits only write (`synchronous = NORMAL`); that what they wrote
//! is on the disk is waited for here, on the same log, by a thread of its own
//! when more calls are waiting: so the next batch is done meanwhile, and batches
//! that were committed meanwhile share the next wait. When nobody waits the
//! writer does it itself, which spares a single caller two changes of thread.
//!
//! News is told in the order of the commits, whether or not it had to last: what
//! anybody hears rests only on what is on the disk, as far as it must be.
//!
//! The log is opened a second time for this. Unlike the database itself it
//! carries no locks of SQLite's that closing it would drop; it is the same file
//! for as long as SQLite's connection is open.

use std::collections::VecDeque;
use std::fs::File;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::news::News;
use super::shared::Shared;
use super::trouble::{Failure, Stopped};

/// So many batches wait for the disk before the writer waits, too.
const MAX_WAITING: usize = 16;

/// What is between the writer and those who wait for its answers.
#[derive(Default)]
pub(super) struct Herald {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<News>,
    /// Whether some are under way that no longer wait.
    busy: bool,
    /// What is to be on the disk.
    log: Option<Arc<Log>>,
    /// Why nothing more is told: it is unknown what is on the disk.
    failed: Option<Stopped>,
    ended: bool,
}

/// SQLite's log, as far as waiting for it goes.
pub(super) struct Log {
    file: File,
    /// So many of the next waits fail.
    #[cfg(test)]
    pub(super) fail: Arc<std::sync::atomic::AtomicU32>,
}

impl Log {
    pub(super) fn new(file: File, shared: &Shared) -> Self {
        #[cfg(not(test))]
        let _ = shared;
        Self {
            file,
            #[cfg(test)]
            fail: Arc::clone(&shared.fail_syncs),
        }
    }

    /// Returns when everything that was written to it is on the disk.
    fn sync(&self) -> Result<(), Stopped> {
        #[cfg(test)]
        if super::shared::fails(&self.fail) {
            return Err(Stopped { why: "the disk failed, for a test".to_owned(), failure: Failure::Other });
        }
        self.file.sync_data().map_err(|error| Stopped { why: error.to_string(), failure: Failure::Other })
    }
}

impl Herald {
    /// A session begins, on this log.
    pub(super) fn begin(&self, log: Log) {
        let mut state = self.lock();
        state.log = Some(Arc::new(log));
        state.failed = None;
    }

    /// Has news told once it may be. It is told at once, by this thread, if
    /// nobody else would be kept waiting and nothing else is to be told before.
    pub(super) fn tell(&self, news: News, nobody_waits: bool, shared: &Shared) -> Result<(), Stopped> {
        let mut state = self.lock();
        if state.failed.is_none() && nobody_waits && state.waiting.is_empty() && !state.busy {
            let log = state.log.clone();
            drop(state);
            return deliver([news].into(), log.as_deref(), shared).inspect_err(|stopped| {
                self.lock().failed = Some(stopped.clone());
            });
        }
        state = self.wait(state, |state| state.failed.is_none() && state.waiting.len() >= MAX_WAITING);
        if let Some(stopped) = state.failed.clone() {
            drop(state);
            news.fail(&stopped, true);
            return Err(stopped);
        }
        state.waiting.push_back(news);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until everything was told, and answers whether it could be.
    pub(super) fn settle(&self) -> Result<(), Stopped> {
        let state = self.wait(self.lock(), |state| state.busy || !state.waiting.is_empty());
        state.failed.clone().map_or(Ok(()), Err)
    }

    /// Whether the disk has failed since the session began.
    pub(super) fn check(&self) -> Result<(), Stopped> {
        self.lock().failed.clone().map_or(Ok(()), Err)
    }

    /// Ends the thread, once everything was told.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Tells what is to be told, until it is ended.
    pub(super) fn run(&self, shared: &Shared) {
        loop {
            let mut state = self.wait(self.lock(), |state| state.waiting.is_empty() && !state.ended);
            if state.waiting.is_empty() {
                return;
            }
            let news = mem::take(&mut state.waiting);
            state.busy = true;
            let log = state.log.clone();
            let told = match state.failed.clone() {
                None => {
                    drop(state);
                    deliver(news, log.as_deref(), shared)
                }
                Some(stopped) => {
                    drop(state);
                    news.into_iter().for_each(|news| news.fail(&stopped, true));
                    Err(stopped)
                }
            };
            let mut state = self.lock();
            state.busy = false;
            if let Err(stopped) = told {
                state.failed = Some(stopped);
                shared.line.wake();
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>, until_not: impl Fn(&State) -> bool) -> MutexGuard<'s, State> {
        self.changed.wait_while(state, |state| until_not(state)).unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the disk if any of it must last, and tells all of it; if the disk
/// fails, tells that.
fn deliver(news: VecDeque<News>, log: Option<&Log>, shared: &Shared) -> Result<(), Stopped> {
    if news.iter().any(|news| news.must_last)
        && let Some(log) = log
        && let Err(stopped) = log.sync()
    {
        news.into_iter().for_each(|news| news.fail(&stopped, true));
        return Err(stopped);
    }
    news.into_iter().for_each(|news| news.tell(shared));
    Ok(())
}
