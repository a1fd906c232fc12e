//! The writer at work: takes what waits, does it, commits once, has it told.
//!
//! A session lasts as long as its connection. It ends when the store is closed,
//! or when SQLite or the disk fails; what then becomes of the store is decided
//! in [`super::thread`].

use std::collections::VecDeque;
use std::fs::File;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use std::vec::Drain;

use job::Now;
use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;
use tokio::time::Instant;

use super::Durability;
use super::herald::Log;
use super::index::Index;
use super::news::News;
use super::op::{Op, Reply, To, give};
use super::rows::Rows;
use super::search::Wanted;
use super::shared::Shared;
use super::tally::Tally;
use super::trouble::{Failure, Stopped, Trouble};
use super::writer::Writer;
use crate::error::Error;
use crate::jobs::Recount;

/// A batch ends after so many calls,
const MAX_BATCH: usize = 4_096;
/// or when they have taken so long: then the disk is given it to write, and the
/// next is done meanwhile.
const LONGEST_BATCH: Duration = Duration::from_micros(500);
/// After how many calls that is looked at.
const LOOK_AT_CLOCK: usize = 8;
/// Where answers do not wait for the disk: after so long it is waited for.
const LONGEST_UNSYNCED: Duration = Duration::from_millis(900);
/// How often the reserve is tried for while it is not there.
const RESERVE_AGAIN: Duration = Duration::from_secs(1);
/// By how many pages the log grows before it is brought into the database.
const CHECKPOINT_PAGES: i32 = 2_000;
/// So many ended jobs are removed before others have their turn.
const RETAIN_SLICE: usize = 512;

/// How many pages SQLite's log has.
pub(super) type LogPages = Arc<AtomicI32>;

/// What a session starts with: the rows, as they are in memory.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) index: Index,
    pub(super) tally: Tally,
}

/// How a session ended.
pub(super) enum End {
    /// Somebody closed the store, and is to be told when that is done, and
    /// whether everything is on the disk.
    Closed(To<()>, Result<(), Error>),
    /// SQLite or the disk failed, and everything that was asked was answered.
    Failed(Stopped),
}

/// Work that is done in slices, between what others ask.
enum Chore {
    Retain { left: usize, removed: usize, now: Now, to: To<usize> },
    Recount { to: To<Recount> },
}

struct Session<'c> {
    shared: &'c Shared,
    writer: Writer<'c>,
    /// What is to be told after the commit.
    news: News,
    chores: VecDeque<Chore>,
    /// Since when something is committed that the disk was not waited for.
    unsynced: Option<Instant>,
    log: LogPages,
    /// How many it had when it was last brought into the database.
    checkpointed: i32,
    has_reserve: bool,
    closing: Option<To<()>>,
}

/// Makes a connection ready to be written to. Answers where it will say how many
/// pages its log has.
pub(super) fn begin(conn: &mut Connection, shared: &Shared) -> Result<LogPages, Stopped> {
    let pages = LogPages::default();
    let told = Arc::clone(&pages);
    conn.wal_hook(Some(move |_: &mut _, pages| {
        told.store(pages, Ordering::Relaxed);
        Ok(())
    }))?;
    #[cfg(test)]
    {
        let fail = Arc::clone(&shared.fail_commits);
        conn.commit_hook(Some(move || super::shared::fails(&fail)))?;
    }
    // The log is there from the first commit on.
    conn.execute_batch("UPDATE counters SET last_id = last_id")?;
    let log = File::open(shared.place.log())
        .map_err(|error| Stopped { why: format!("its log cannot be opened: {error}"), failure: Failure::Other })?;
    shared.herald.begin(Log::new(log, shared));
    Ok(pages)
}

/// Serves until the store is closed, or SQLite or the disk fails.
pub(super) fn serve(conn: &Connection, log: LogPages, known: Known, shared: &Shared) -> End {
    let rows = match Rows::new(conn) {
        Ok(rows) => rows,
        Err(error) => return End::Failed(error.into()),
    };
    let Known { index, tally } = known;
    let writer = Writer { rows, index, tally, rules: Arc::clone(&shared.rules) };
    let mut session = Session {
        shared,
        writer,
        news: News::default(),
        chores: VecDeque::new(),
        unsynced: None,
        log,
        checkpointed: 0,
        has_reserve: shared.space.has_reserve(),
        closing: None,
    };
    session.serve()
}

impl Session<'_> {
    fn serve(&mut self) -> End {
        let mut calls = Vec::new();
        loop {
            self.shared.line.take(&mut calls, self.patience());
            let mut calls = calls.drain(..);
            loop {
                let done = self.shared.herald.check();
                let done = done.and_then(|()| self.batch(&mut calls)).and_then(|()| self.checkpoint());
                // What is committed is told as what it is, before anything else happens to the file.
                let done = if self.closing.is_some() || done.is_err() {
                    let settled = self.shared.herald.settle();
                    done.and(settled)
                } else {
                    done
                };
                if let Some(to) = self.closing.take() {
                    calls.for_each(|op| op.refuse(Error::Closed));
                    self.refuse_chores(&Error::Closed);
                    return End::Closed(to, done.map_err(|stopped| Error::Lost(stopped.why)));
                }
                if let Err(stopped) = done {
                    let refusal = Error::Busy(format!("{}; the store recovers", stopped.why));
                    calls.for_each(|op| op.refuse(refusal.clone()));
                    self.refuse_chores(&refusal);
                    return End::Failed(stopped);
                }
                if calls.len() == 0 {
                    break;
                }
            }
            self.keep_reserve();
        }
    }

    /// How long to wait for a call when there is none.
    fn patience(&self) -> Option<Duration> {
        if !self.chores.is_empty() {
            return Some(Duration::ZERO);
        }
        let relaxed = self.shared.durability == Durability::Relaxed;
        let sync = self.unsynced.filter(|_| relaxed).map(|since| LONGEST_UNSYNCED.saturating_sub(since.elapsed()));
        let reserve = (!self.has_reserve).then_some(RESERVE_AGAIN);
        sync.into_iter().chain(reserve).min()
    }

    /// Does some of what waits, commits it and has it told.
    fn batch(&mut self, calls: &mut Drain<'_, Op>) -> Result<(), Stopped> {
        let coming = calls.as_slice();
        if coming[..coming.len().min(MAX_BATCH)].iter().any(Op::writes)
            && let Err(error) = self.writer.rows.open()
        {
            let stopped = Stopped::from(error);
            return match stopped.failure {
                Failure::Busy => {
                    let why = "another process is writing to the database";
                    calls.for_each(|op| op.refuse(Error::Busy(why.to_owned())));
                    Ok(())
                }
                Failure::Full | Failure::Corrupt | Failure::Other => Err(stopped),
            };
        }
        let started = Instant::now();
        for (n, op) in (1..=MAX_BATCH).zip(calls.by_ref()) {
            if let Err(stopped) = self.apply(op) {
                mem::take(&mut self.news).fail(&stopped, false);
                return Err(stopped);
            }
            if self.closing.is_some() || (n.is_multiple_of(LOOK_AT_CLOCK) && started.elapsed() > LONGEST_BATCH) {
                break;
            }
        }
        if let Err(stopped) = self.chore() {
            mem::take(&mut self.news).fail(&stopped, false);
            return Err(stopped);
        }
        match self.commit() {
            Ok(()) => {
                let nobody_waits = calls.len() == 0 && self.shared.line.is_empty();
                let mut news = mem::take(&mut self.news);
                (news.queues, news.timers) = self.writer.index.take_rung();
                self.shared.herald.tell(news, nobody_waits, self.shared)
            }
            Err(NotCommitted { stopped, unknown }) => {
                mem::take(&mut self.news).fail(&stopped, unknown);
                Err(stopped)
            }
        }
    }

    fn commit(&mut self) -> Result<(), NotCommitted> {
        let Writer { rows, tally, .. } = &mut self.writer;
        if rows.is_open() {
            rows.count(tally).map_err(|error| NotCommitted { stopped: error.into(), unknown: false })?;
            let must_last = rows.commit().map_err(|error| NotCommitted { stopped: error.into(), unknown: true })?;
            self.news.must_last = must_last && self.shared.durability == Durability::Full;
            self.unsynced.get_or_insert_with(Instant::now);
        }
        let late = self.unsynced.is_some_and(|since| since.elapsed() >= LONGEST_UNSYNCED);
        let relaxed = self.shared.durability == Durability::Relaxed;
        self.news.must_last |= (late && relaxed) || (self.unsynced.is_some() && self.closing.is_some());
        if self.news.must_last {
            self.unsynced = None;
        }
        Ok(())
    }

    fn refuse_chores(&mut self, error: &Error) {
        mem::take(&mut self.chores).into_iter().for_each(|chore| chore.refuse(error));
    }

    /// Brings the log into the database when it has grown, so that it can begin
    /// anew. Everything was told before, or is being told.
    fn checkpoint(&mut self) -> Result<(), Stopped> {
        let pages = self.log.load(Ordering::Relaxed);
        if pages < self.checkpointed {
            self.checkpointed = 0;
        }
        if pages - self.checkpointed < CHECKPOINT_PAGES {
            return Ok(());
        }
        self.checkpointed = pages;
        let done = self.writer.rows.conn().wal_checkpoint_v2(Some(rusqlite::MAIN_DB), CheckpointMode::PASSIVE);
        let Err(error) = done else {
            return Ok(());
        };
        let stopped = Stopped::from(error);
        match stopped.failure {
            Failure::Busy => Ok(()),
            Failure::Full => {
                // The log keeps what the database has no room for yet.
                self.shared.space.release_reserve();
                self.has_reserve = false;
                Ok(())
            }
            Failure::Corrupt | Failure::Other => Err(stopped),
        }
    }

    fn keep_reserve(&mut self) {
        if !self.has_reserve {
            self.has_reserve = self.shared.space.restore_reserve();
        }
    }

    fn apply(&mut self, op: Op) -> Result<(), Stopped> {
        match op {
            Op::Push { jobs, now, to } => {
                let (answer, failed) = match self.shared.space.short() {
                    Some(short) => (Err(short.into()), None),
                    None => self.verb(Some(now), |writer| writer.push(jobs, now)),
                };
                self.reply(Reply::Push(to, answer), failed)
            }
            Op::Claim { claim, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.claim(&claim, now));
                self.reply(Reply::Claim(to, answer), failed)
            }
            Op::Extend { id, lease, for_, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.extend(&id, lease, for_, now));
                self.reply(Reply::Extend(to, answer), failed)
            }
            Op::Finish { ends, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.finish(ends, now));
                self.reply(Reply::Finish(to, answer), failed)
            }
            Op::Cancel { what, by, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.cancel(&what, by, now));
                self.reply(Reply::Cancel(to, answer), failed)
            }
            Op::Discard { id, by, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.discard(&id, by, now));
                self.reply(Reply::Discard(to, answer), failed)
            }
            Op::Revive { id, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.revive(&id, now));
                self.reply(Reply::Revive(to, answer), failed)
            }
            Op::Ask { from, limit, give_up, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.ask(&from, limit, give_up, now));
                self.reply(Reply::Ask(to, answer), failed)
            }
            Op::Answer { id, ask, answer, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.answer(id, ask, answer, now));
                self.reply(Reply::Answer(to, answer), failed)
            }
            Op::Advance { limit, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.advance(limit, now));
                self.reply(Reply::Advance(to, answer), failed)
            }
            Op::Retain { limit, now, to } => {
                self.chores.push_back(Chore::Retain { left: limit, removed: 0, now, to });
                Ok(())
            }
            Op::Get { id, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.get(&id, now));
                self.reply(Reply::Get(to, answer), failed)
            }
            Op::Search { search, now, to } => {
                let (_, failed) = self.verb(Some(now), |_| Ok(()));
                let asked = self.writer.index.being_asked(now);
                self.news.searches.push(Wanted { search, now, asked, of: self.writer.tally.all(), to });
                failed.map_or(Ok(()), Err)
            }
            Op::Queues { now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| Ok(writer.queues()));
                self.reply(Reply::Queues(to, answer), failed)
            }
            Op::Ledger { to } => self.reply(Reply::Ledger(to, Ok(self.writer.tally.ledger)), None),
            Op::Recount { to } => {
                self.chores.push_back(Chore::Recount { to });
                Ok(())
            }
            Op::Pause { queue, pause, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.pause(&queue, pause));
                self.reply(Reply::Done(to, answer), failed)
            }
            Op::Resume { queue, now, to } => {
                let (answer, failed) = self.verb(Some(now), |writer| writer.resume(&queue));
                self.reply(Reply::Resume(to, answer), failed)
            }
            Op::Pauses { to } => {
                let held = self.writer.index.paused();
                let held = held.map(|(name, _, pause)| (name.clone(), pause.clone())).collect();
                self.reply(Reply::Pauses(to, Ok(held)), None)
            }
            Op::Remember { clocks, to } => {
                let (answer, failed) = self.verb(None, |writer| writer.remember(&clocks));
                self.reply(Reply::Done(to, answer), failed)
            }
            Op::Close { to } => {
                self.closing = Some(to);
                Ok(())
            }
        }
    }

    /// Does a verb. Answers what it said, and SQLite's error if the batch cannot
    /// go on.
    fn verb<T>(
        &mut self,
        now: Option<Now>,
        act: impl FnOnce(&mut Writer<'_>) -> Result<T, Trouble>,
    ) -> (Result<T, Error>, Option<Stopped>) {
        if let Some(now) = now {
            self.shared.latest.store(now.wall.0, Ordering::Relaxed);
        }
        let writer = &mut self.writer;
        let before = writer.rows.written();
        let done = now.map_or(Ok(()), |now| writer.catch_up(now)).and_then(|()| act(writer));
        let wrote = writer.rows.written() != before;
        if wrote {
            now.into_iter().for_each(|now| writer.tally.at(now));
        }
        match done {
            Ok(answer) => (Ok(answer), None),
            Err(Trouble::Refused(error)) => (Err(error), None),
            Err(Trouble::Unreadable(id, why)) => {
                tracing::error!(%id, %why, "a job cannot be read");
                let why = format!("the job {id} cannot be read: {why}");
                // What it did before it came to this job must not stand.
                let stopped = wrote.then(|| Stopped { why: why.clone(), failure: Failure::Other });
                (Err(Error::Damaged(why)), stopped)
            }
            Err(Trouble::Failed(error)) => {
                let stopped = Stopped::from(error);
                (Err(stopped.refusal()), Some(stopped))
            }
        }
    }

    fn reply(&mut self, reply: Reply, failed: Option<Stopped>) -> Result<(), Stopped> {
        self.news.replies.push(reply);
        failed.map_or(Ok(()), Err)
    }

    /// Does a slice of the first chore.
    fn chore(&mut self) -> Result<(), Stopped> {
        match self.chores.pop_front() {
            None => Ok(()),
            Some(Chore::Retain { left, removed, now, to }) => {
                let slice = left.min(RETAIN_SLICE);
                match self.verb(Some(now), |writer| writer.retain(slice, now)) {
                    (answer, Some(error)) => self.reply(Reply::Retain(to, answer), Some(error)),
                    (Ok(some), None) if some == slice && left > slice => {
                        self.chores.push_back(Chore::Retain { left: left - some, removed: removed + some, now, to });
                        Ok(())
                    }
                    (answer, None) => self.reply(Reply::Retain(to, answer.map(|some| removed + some)), None),
                }
            }
            Some(Chore::Recount { to }) => {
                let mut counting = self.writer.rows.counting.take().unwrap_or_default();
                if counting.go_on(self.writer.rows.conn())? {
                    self.writer.rows.counting = Some(counting);
                    self.chores.push_front(Chore::Recount { to });
                } else {
                    self.news.replies.push(Reply::Recount(to, Ok(self.writer.recounted(&counting))));
                }
                Ok(())
            }
        }
    }
}

struct NotCommitted {
    stopped: Stopped,
    /// Whether it may have happened all the same.
    unknown: bool,
}

impl Chore {
    fn refuse(self, error: &Error) {
        match self {
            Self::Retain { to, .. } => give(to, Err(error.clone())),
            Self::Recount { to } => give(to, Err(error.clone())),
        }
    }
}
