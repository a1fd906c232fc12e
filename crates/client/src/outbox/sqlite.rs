//! The outbox in the application's own SQLite file.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior, params};

use super::{Counts, Intent, Intents, Queued};
use crate::{Error, JobKind, Push};

/// Creates the outbox's tables unless they are there.
pub fn create_table(db: &Connection) -> Result<(), Error> {
    db.execute_batch(include_str!("../../sql/sqlite.sql")).map_err(|e| failed(&e))
}

/// A job to be pushed once the transaction is committed: say how it is to be
/// treated, then [`Push::write`].
pub fn push<'a, J: JobKind>(tx: &'a Connection, job: &J) -> Push<&'a Connection> {
    Push::to(tx, job)
}

/// Calls off the job that waits in a queue with a key, once the transaction is
/// committed. A job that runs by then is not stopped.
pub fn cancel_key(tx: &Connection, queue: &str, key: impl AsRef<str>) -> Result<(), Error> {
    insert(tx, &Intent::cancel_key(queue, key.as_ref())?)
}

impl Push<&Connection> {
    /// Writes the intent, and answers the id that the job will have.
    pub fn write(self) -> Result<String, Error> {
        let tx = self.to;
        let intent = Intent::push(self)?;
        insert(tx, &intent)?;
        Ok(intent.job_id.expect("the intent to push has an id"))
    }
}

fn insert(tx: &Connection, intent: &Intent) -> Result<(), Error> {
    let Intent { act, job_id, queue, key, body, written, boot, mono } = intent;
    tx.prepare_cached(
        "INSERT INTO aloud_outbox (act, job_id, queue, key, body, written, boot, mono)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .and_then(|mut insert| insert.execute(params![act, job_id, queue, key, body, written, boot, mono]))
    .map_err(|e| failed(&e))?;
    Ok(())
}

fn failed(error: &rusqlite::Error) -> Error {
    Error::Outbox { why: error.to_string() }
}

/// Where a relay reads the intents: the application's own SQLite file.
///
/// A lock on a file beside it (`notice.db-aloud-relay`) keeps a second relay
/// waiting until the first has ended, in this process or another.
#[derive(Debug)]
pub struct Sqlite {
    db: Arc<Mutex<Connection>>,
    lock_path: PathBuf,
    lock: Option<File>,
}

impl Sqlite {
    /// Opens a connection of the relay's own. The file must be there; the
    /// outbox's tables are created unless they are.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let db = Connection::open_with_flags(path, flags)?;
            db.busy_timeout(Duration::from_secs(5))?;
            db.pragma_update(None, "synchronous", "full")?;
            Ok(db)
        };
        let db = open().map_err(|e: rusqlite::Error| Error::Outbox { why: format!("`{}`: {e}", path.display()) })?;
        create_table(&db)?;
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push("-aloud-relay");
        Ok(Self { db: Arc::new(Mutex::new(db)), lock_path: lock_path.into(), lock: None })
    }

    fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Error>> {
        let db = Arc::clone(&self.db);
        let done = tokio::task::spawn_blocking(move || {
            // A statement that panicked was rolled back by SQLite.
            act(&mut db.lock().unwrap_or_else(PoisonError::into_inner))
        });
        async move {
            match done.await {
                Ok(done) => done.map_err(|e| failed(&e)),
                Err(e) => Err(Error::Outbox { why: e.to_string() }),
            }
        }
        .boxed()
    }
}

impl Intents for Sqlite {
    fn acquire(&mut self) -> BoxFuture<'_, Result<bool, Error>> {
        async {
            if self.lock.is_none() {
                let path = self.lock_path.clone();
                let why = |e: std::io::Error| Error::Outbox { why: format!("the lock `{}`: {e}", path.display()) };
                let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(why)?;
                match file.try_lock() {
                    Ok(()) => self.lock = Some(file),
                    Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(e)) => return Err(why(e)),
                }
            }
            Ok(self.lock.is_some())
        }
        .boxed()
    }

    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Queued>, Error>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with(move |db| {
            let mut select = db.prepare_cached(
                "SELECT seq, act, job_id, queue, key, body, written, boot, mono
                 FROM aloud_outbox ORDER BY seq LIMIT ?1",
            )?;
            select.query_map([limit], queued)?.collect()
        })
    }

    fn settle(&mut self, seqs: Vec<i64>) -> BoxFuture<'_, Result<(), Error>> {
        self.with(move |db| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut delete = tx.prepare_cached("DELETE FROM aloud_outbox WHERE seq = ?1")?;
                for seq in seqs {
                    delete.execute([seq])?;
                }
            }
            tx.commit()
        })
    }

    fn set_aside(&mut self, seq: i64, why: String) -> BoxFuture<'_, Result<(), Error>> {
        self.with(move |db| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute(
                "INSERT INTO aloud_outbox_aside (seq, act, job_id, queue, key, body, written, boot, mono, why)
                 SELECT seq, act, job_id, queue, key, body, written, boot, mono, ?2
                 FROM aloud_outbox WHERE seq = ?1",
                params![seq, why],
            )?;
            tx.execute("DELETE FROM aloud_outbox WHERE seq = ?1", [seq])?;
            tx.commit()
        })
    }

    fn counts(&mut self) -> BoxFuture<'_, Result<Counts, Error>> {
        self.with(|db| {
            let sql = "SELECT (SELECT count(*) FROM aloud_outbox), (SELECT count(*) FROM aloud_outbox_aside)";
            let count = |row: &Row<'_>, column| row.get(column).map(|n: i64| n.unsigned_abs());
            let read = |row: &Row<'_>| Ok(Counts { waiting: count(row, 0)?, set_aside: count(row, 1)? });
            db.prepare_cached(sql)?.query_row([], read)
        })
    }
}

fn queued(row: &Row<'_>) -> rusqlite::Result<Queued> {
    let intent = Intent {
        act: row.get(1)?,
        job_id: row.get(2)?,
        queue: row.get(3)?,
        key: row.get(4)?,
        body: row.get(5)?,
        written: row.get(6)?,
        boot: row.get(7)?,
        mono: row.get(8)?,
    };
    Ok(Queued { seq: row.get(0)?, intent })
}
