//! The life of the writer: one session after the other, and what lies between.
//!
//! After a failure nothing that was committed before may be built upon: SQLite's
//! log may hold frames that never reached the disk, and what is appended behind
//! them would be lost with them. So the file is opened again, all of the log is
//! brought into the database, and memory is made from the rows; until that has
//! worked, writes are refused, and it is tried for as long as it takes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use job::Timestamp;
use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;
use tokio::time::Instant;

use super::folder::Lock;
use super::index::build::{Unbuilt, build};
use super::op::{Op, To, give};
use super::open;
use super::session::{End, Known, LogPages, begin, serve};
use super::shared::Shared;
use super::trouble::{Failure, Stopped};
use crate::error::Error;
use crate::records::Health;

/// How long it waits before it tries to open the file again, at first and at
/// most.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A database that was read, and can be written to.
pub(super) struct Ready {
    pub(super) conn: Connection,
    pub(super) log: LogPages,
    pub(super) known: Known,
}

/// Lives until the store is closed.
pub(super) fn run(mut ready: Ready, lock: Lock, shared: &Shared) {
    let (to, conn, closed) = loop {
        let Ready { conn, log, known } = ready;
        let stopped = match serve(&conn, log, known, shared) {
            End::Closed(to, closed) => break (to, conn, closed),
            End::Failed(stopped) => stopped,
        };
        tracing::error!(why = stopped.why, "the database failed: the store recovers");
        let since = Timestamp(shared.latest.load(Ordering::Relaxed));
        shared.set_health(Some(Health::Recovering { since, why: stopped.why.clone() }));
        if let Err((_, error)) = conn.close() {
            tracing::error!(%error, "the database cannot be closed");
        }
        match recover(stopped, shared) {
            Recovered::Serving(again) => {
                ready = *again;
                shared.set_health(None);
                shared.line.shut(None);
                tracing::info!("the store has recovered");
            }
            Recovered::Closed(to) => return end(to, Ok(()), lock, shared),
        }
    };
    shared.reader.stop();
    // What is committed is durable; a shorter log only makes the next start shorter.
    if let Err(error) = conn.wal_checkpoint_v2(Some(rusqlite::MAIN_DB), CheckpointMode::TRUNCATE) {
        tracing::warn!(%error, "the log could not be brought into the database at the end");
    }
    if let Err((_, error)) = conn.close() {
        tracing::warn!(%error, "the database cannot be closed");
    }
    end(to, closed, lock, shared);
}

/// Nothing is open any more.
fn end(to: To<()>, closed: Result<(), Error>, lock: Lock, shared: &Shared) {
    shared.reader.stop();
    shared.herald.end();
    shared.line.shut(Some(Error::Closed));
    drop(lock);
    let mut late = Vec::new();
    shared.line.take(&mut late, Some(Duration::ZERO));
    late.into_iter().for_each(|op| op.refuse(Error::Closed));
    give(to, closed);
}

enum Recovered {
    Serving(Box<Ready>),
    Closed(To<()>),
}

/// Opens the file again, for as long as it takes.
fn recover(mut stopped: Stopped, shared: &Shared) -> Recovered {
    let mut wait = FIRST_WAIT;
    loop {
        let refusal = match stopped.failure {
            Failure::Corrupt => {
                shared.set_health(Some(Health::Damaged { why: stopped.why.clone() }));
                Error::Damaged(stopped.why.clone())
            }
            Failure::Full => {
                shared.space.release_reserve();
                Error::Busy(format!("{}; the store recovers", stopped.why))
            }
            Failure::Busy | Failure::Other => Error::Busy(format!("{}; the store recovers", stopped.why)),
        };
        shared.line.shut(Some(refusal.clone()));
        if let Some(to) = refuse_for(wait, &refusal, shared) {
            return Recovered::Closed(to);
        }
        match again(shared) {
            Ok(again) => return Recovered::Serving(Box::new(again)),
            Err(still) => {
                tracing::error!(why = still.why, "the store cannot recover yet");
                stopped = still;
            }
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Refuses what is asked for so long, unless it is to close.
fn refuse_for(wait: Duration, refusal: &Error, shared: &Shared) -> Option<To<()>> {
    let until = Instant::now() + wait;
    let mut close = None;
    let mut calls = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        shared.line.take(&mut calls, Some(left));
        for op in calls.drain(..) {
            if let Op::Close { to } = op {
                close = Some(to);
            } else {
                op.refuse(refusal.clone());
            }
        }
        if close.is_some() || left.is_zero() {
            return close;
        }
    }
}

/// Opens the file again, leaves nothing in its log, and makes memory anew.
fn again(shared: &Shared) -> Result<Ready, Stopped> {
    let mut conn = open::writer(&shared.place.file())?;
    let mut statement = conn.prepare("PRAGMA wal_checkpoint(TRUNCATE)")?;
    let busy: bool = statement.query_row([], |row| row.get(0))?;
    drop(statement);
    if busy {
        let why = "another process reads the database, and does not let go of its log".to_owned();
        return Err(Stopped { why, failure: Failure::Busy });
    }
    match build(&conn, &shared.rules) {
        Ok((index, tally)) => {
            let log = begin(&mut conn, shared)?;
            Ok(Ready { conn, log, known: Known { index, tally } })
        }
        Err(Unbuilt::Sqlite(error)) => Err(error.into()),
        Err(Unbuilt::Unreadable(why)) => Err(Stopped { why: why.to_string(), failure: Failure::Corrupt }),
    }
}
