//! What the application keeps: requests with their switches, and the notices
//! that became of them. One SQLite file, with the client's outbox beside it.
//!
//! A switch and what it asks of aloud are written in one transaction. So there
//! is never a switch that is on without a job on its way, nor the other way
//! round, whatever crashes and whether aloud runs or not.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloud_client::{JobKind, outbox};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::fate::{Fate, Known};

/// How many notices of a request are shown: the newest, and these before it.
const SHOWN: i64 = 4;
/// How many notices of a request are kept.
const KEPT: i64 = 50;

/// Somebody wants to be told about something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: i64,
    /// What there is to tell.
    pub title: String,
    /// Who wants to know.
    pub recipient: String,
    /// Where the mail goes.
    pub address: String,
    /// Whether the switch is on.
    pub wanted: bool,
    /// What became of it so far, the newest first.
    pub notices: Vec<Notice>,
}

/// What followed when a switch was turned on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The id of its job in aloud.
    pub job: String,
    /// When the switch was turned on.
    pub asked: Millis,
    /// When its mail is due.
    pub due: Millis,
    /// Where it stands.
    pub fate: Fate,
    /// When it ended.
    pub at: Option<Millis>,
    /// What aloud said of it.
    pub why: Option<String>,
}

/// The job that aloud runs: its fields fill in the mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendNotice {
    /// Which request it is about.
    pub request: i64,
    /// What there is to tell.
    pub title: String,
    /// Who is told.
    pub recipient: String,
    /// Where the mail goes.
    pub to: String,
}

impl JobKind for SendNotice {
    const KIND: &'static str = "notice.send";
    const QUEUE: &'static str = "mail";
}

/// How a notice is asked for.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How long its mail waits.
    pub delay: Duration,
    /// Where aloud asks, just before the mail goes out.
    pub guard: String,
}

/// What turning a switch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turned {
    /// It was turned; if on, this is the job that was asked for.
    Now(Option<String>),
    /// It stood like that already.
    Already,
    /// There is no such request.
    Nothing,
}

/// What the application says when aloud asks whether a job is still wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The switch is on, and this is the job that it asked for last.
    Yes,
    /// The switch is off.
    Off,
    /// The switch asked for another job since.
    Outdated,
    /// This application never asked for that job. That is no answer: whoever
    /// asks has the wrong application.
    Foreign,
}

/// Requests, notices, and the outbox.
#[derive(Debug)]
pub struct Book {
    db: Mutex<Connection>,
}

impl Book {
    /// Opens the file, and creates it with its sample requests if it is not
    /// there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let db = Connection::open(path)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "full")?;
        db.execute_batch(&format!("BEGIN IMMEDIATE; {} COMMIT", include_str!("book/schema.sql")))?;
        outbox::create_table(&db)?;
        Ok(Self { db: Mutex::new(db) })
    }

    /// All requests with their newest notices.
    pub fn requests(&self) -> rusqlite::Result<Vec<Request>> {
        let db = self.lock();
        let mut requests =
            db.prepare_cached("SELECT id, title, recipient, address, wanted FROM request ORDER BY id")?;
        let mut notices = db.prepare_cached(
            "SELECT job, asked, due, fate, at, why FROM notice WHERE request = ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        let rows = requests.query_map([], |row| {
            let id = row.get("id")?;
            Ok(Request {
                id,
                title: row.get("title")?,
                recipient: row.get("recipient")?,
                address: row.get("address")?,
                wanted: row.get("wanted")?,
                notices: notices.query_map(params![id, SHOWN], notice)?.collect::<Result<_, _>>()?,
            })
        })?;
        rows.collect()
    }

    /// Turns a switch on, and asks for the mail, in one commit.
    pub fn switch_on(&self, id: i64, terms: &Terms, now: Millis) -> Result<Turned, Error> {
        let mut db = self.lock();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !turn(&tx, id, true)? {
            return still(&tx, id);
        }
        let job = tx.query_row("SELECT title, recipient, address FROM request WHERE id = ?1", [id], |row| {
            Ok(SendNotice { request: id, title: row.get(0)?, recipient: row.get(1)?, to: row.get(2)? })
        })?;
        let push = outbox::push(&tx, &job).in_(terms.delay).key(key(id)).replace().guard_http(&terms.guard);
        let job = push.write()?;
        tx.execute(
            "INSERT INTO notice (job, request, asked, due, fate) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![job, id, now.0, now.after(terms.delay).0, Fate::Noted.word()],
        )?;
        tx.execute("UPDATE request SET job = ?2 WHERE id = ?1", params![id, job])?;
        tx.execute(
            "DELETE FROM notice WHERE request = ?1
             AND id <= (SELECT id FROM notice WHERE request = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![id, KEPT],
        )?;
        tx.commit()?;
        Ok(Turned::Now(Some(job)))
    }

    /// Turns a switch off, and calls the mail off, in one commit.
    pub fn switch_off(&self, id: i64) -> Result<Turned, Error> {
        let mut db = self.lock();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !turn(&tx, id, false)? {
            return still(&tx, id);
        }
        outbox::cancel_key(&tx, SendNotice::QUEUE, key(id))?;
        tx.commit()?;
        Ok(Turned::Now(None))
    }

    /// Turns a switch off and tells nobody: what an administrator at the
    /// database does, or a part of the application that knows nothing of jobs.
    pub fn tamper(&self, id: i64) -> Result<Turned, Error> {
        let mut db = self.lock();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !turn(&tx, id, false)? {
            return still(&tx, id);
        }
        tx.commit()?;
        Ok(Turned::Now(None))
    }

    /// Whether a job is still wanted.
    pub fn wanted(&self, job: &str) -> rusqlite::Result<Wanted> {
        let found = self
            .lock()
            .prepare_cached(
                "SELECT request.wanted, request.job = notice.job FROM notice
                 JOIN request ON request.id = notice.request WHERE notice.job = ?1",
            )?
            .query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(match found {
            None => Wanted::Foreign,
            Some((true, true)) => Wanted::Yes,
            Some((true, false)) => Wanted::Outdated,
            Some((false, _)) => Wanted::Off,
        })
    }

    /// The notices that something may still become of.
    pub fn open_notices(&self) -> rusqlite::Result<Vec<Notice>> {
        let db = self.lock();
        let mut rows = db.prepare_cached("SELECT job, asked, due, fate, at, why FROM notice ORDER BY id DESC")?;
        let mut notices = rows.query_map([], notice)?.collect::<Result<Vec<_>, _>>()?;
        notices.retain(|notice| !notice.fate.is_final());
        Ok(notices)
    }

    /// What the outbox has of a job, if aloud has not taken it.
    pub fn kept_here(&self, job: &str) -> rusqlite::Result<Option<Known>> {
        let db = self.lock();
        let mut kept = db.prepare_cached(
            "SELECT NULL FROM aloud_outbox WHERE job_id = ?1
             UNION ALL SELECT why FROM aloud_outbox_aside WHERE job_id = ?1",
        )?;
        let refused = kept.query_row([job], |row| row.get::<_, Option<String>>(0)).optional()?;
        Ok(refused.map(|refused| Known {
            fate: if refused.is_some() { Fate::GivenUp } else { Fate::Noted },
            why: refused,
            ..Known::unknown()
        }))
    }

    /// Writes down what became of a notice; says whether that is news.
    pub fn learn(&self, job: &str, known: &Known) -> rusqlite::Result<bool> {
        let fate = known.fate.word();
        let changed = self
            .lock()
            .prepare_cached(
                "UPDATE notice SET fate = ?2, at = ?3, due = coalesce(?4, due), why = ?5 WHERE job = ?1
                 AND (fate, at, due, why) IS NOT (?2, ?3, coalesce(?4, due), ?5)",
            )?
            .execute(params![job, fate, known.at.map(|at| at.0), known.due.map(|due| due.0), known.why])?;
        Ok(changed > 0)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that its holder's panic cut off was rolled back.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read or written.
    #[error("the application's file: {0}")]
    File(#[from] rusqlite::Error),
    /// The outbox, or aloud itself.
    #[error(transparent)]
    Aloud(#[from] aloud_client::Error),
}

/// What all jobs of a request have in common: at most one of them waits.
pub fn key(request: i64) -> String {
    format!("notice:{request}")
}

fn turn(tx: &Transaction<'_>, id: i64, to: bool) -> rusqlite::Result<bool> {
    Ok(tx.execute("UPDATE request SET wanted = ?2 WHERE id = ?1 AND wanted <> ?2", params![id, to])? > 0)
}

fn still(tx: &Transaction<'_>, id: i64) -> Result<Turned, Error> {
    let there = tx.query_row("SELECT 1 FROM request WHERE id = ?1", [id], |_| Ok(())).optional()?;
    Ok(if there.is_some() { Turned::Already } else { Turned::Nothing })
}

fn notice(row: &Row<'_>) -> rusqlite::Result<Notice> {
    let fate: String = row.get("fate")?;
    Ok(Notice {
        job: row.get("job")?,
        asked: Millis(row.get("asked")?),
        due: Millis(row.get("due")?),
        // A word that a newer version wrote.
        fate: Fate::from_word(&fate).unwrap_or(Fate::Unknown),
        at: row.get::<_, Option<i64>>("at")?.map(Millis),
        why: row.get("why")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);

    fn terms() -> Terms {
        Terms { delay: Duration::from_secs(1_800), guard: "http://127.0.0.1:8080/guard/notice".to_owned() }
    }

    fn book() -> (tempfile::TempDir, Book) {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(&folder.path().join("notice.db")).unwrap();
        (folder, book)
    }

    /// What another connection sees: switches that are on, notices, intents.
    fn seen(folder: &tempfile::TempDir) -> (i64, i64, Vec<(String, Option<String>)>) {
        let db = Connection::open(folder.path().join("notice.db")).unwrap();
        let one = |sql: &str| db.query_row(sql, [], |row| row.get(0)).unwrap();
        let mut intents = db.prepare("SELECT act, job_id FROM aloud_outbox ORDER BY seq").unwrap();
        let intents = intents.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let on = one("SELECT count(*) FROM request WHERE wanted = 1");
        (on, one("SELECT count(*) FROM notice"), intents.collect::<Result<_, _>>().unwrap())
    }

    fn on(book: &Book, id: i64) -> String {
        match book.switch_on(id, &terms(), NOW).unwrap() {
            Turned::Now(Some(job)) => job,
            other @ (Turned::Now(None) | Turned::Already | Turned::Nothing) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_switch_and_what_it_asks_for_are_written_together() {
        let (folder, book) = book();
        let job = on(&book, 2);
        assert_eq!(seen(&folder), (1, 1, vec![("push".to_owned(), Some(job.clone()))]));
        assert_eq!(book.switch_off(2).unwrap(), Turned::Now(None));
        assert_eq!(seen(&folder), (0, 1, vec![("push".to_owned(), Some(job)), ("cancel".to_owned(), None)]));
    }

    #[test]
    fn a_switch_does_not_turn_if_what_it_asks_for_cannot_be_written() {
        let (folder, book) = book();
        let db = Connection::open(folder.path().join("notice.db")).unwrap();
        db.execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON aloud_outbox BEGIN SELECT raise(ABORT, 'disk full'); END",
        )
        .unwrap();
        assert!(matches!(book.switch_on(2, &terms(), NOW), Err(Error::Aloud(_))));
        assert_eq!(seen(&folder), (0, 0, vec![]));
        db.execute_batch("DROP TRIGGER full").unwrap();
        let job = on(&book, 2);
        db.execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON aloud_outbox BEGIN SELECT raise(ABORT, 'disk full'); END",
        )
        .unwrap();
        assert!(book.switch_off(2).is_err());
        assert_eq!(seen(&folder), (1, 1, vec![("push".to_owned(), Some(job))]));
    }

    #[test]
    fn the_same_turn_twice_asks_once() {
        let (folder, book) = book();
        let job = on(&book, 2);
        assert_eq!(book.switch_on(2, &terms(), NOW).unwrap(), Turned::Already);
        assert_eq!(seen(&folder).2, [("push".to_owned(), Some(job))]);
        assert_eq!(book.switch_off(1).unwrap(), Turned::Already);
        assert_eq!(book.switch_off(99).unwrap(), Turned::Nothing);
        assert_eq!(book.switch_on(99, &terms(), NOW).unwrap(), Turned::Nothing);
        assert_eq!(seen(&folder).2.len(), 1);
    }

    #[test]
    fn on_again_starts_anew() {
        let (_folder, book) = book();
        let first = on(&book, 2);
        book.switch_off(2).unwrap();
        let second = on(&book, 2);
        assert_ne!(first, second);
        let notices: Vec<_> = book.requests().unwrap()[1].notices.iter().map(|notice| notice.job.clone()).collect();
        assert_eq!(notices, [second, first]);
    }

    #[test]
    fn a_job_is_wanted_while_its_switch_is_on_and_asked_for_no_other() {
        let (_folder, book) = book();
        let first = on(&book, 2);
        assert_eq!(book.wanted(&first).unwrap(), Wanted::Yes);
        book.tamper(2).unwrap();
        assert_eq!(book.wanted(&first).unwrap(), Wanted::Off);
        let second = on(&book, 2);
        assert_eq!(book.wanted(&first).unwrap(), Wanted::Outdated);
        assert_eq!(book.wanted(&second).unwrap(), Wanted::Yes);
        assert_eq!(book.wanted("somebody-elses").unwrap(), Wanted::Foreign);
    }

    #[test]
    fn going_behind_the_queues_back_asks_for_nothing() {
        let (folder, book) = book();
        let job = on(&book, 2);
        assert_eq!(book.tamper(2).unwrap(), Turned::Now(None));
        assert_eq!(seen(&folder), (0, 1, vec![("push".to_owned(), Some(job))]));
    }

    #[test]
    fn what_is_learned_is_news_once() {
        let (_folder, book) = book();
        let job = on(&book, 2);
        let sent = Known { fate: Fate::Sent, at: Some(Millis(5)), due: None, why: None };
        assert_eq!(book.open_notices().unwrap().len(), 1);
        assert!(book.learn(&job, &sent).unwrap());
        assert!(!book.learn(&job, &sent).unwrap());
        assert!(book.open_notices().unwrap().is_empty());
        let notice = &book.requests().unwrap()[1].notices[0];
        assert_eq!((notice.fate, notice.at, notice.due), (Fate::Sent, Some(Millis(5)), NOW.after(terms().delay)));
    }

    #[test]
    fn what_aloud_has_not_taken_is_kept_here_and_what_it_refuses_says_why() {
        let (folder, book) = book();
        let job = on(&book, 2);
        assert_eq!(book.kept_here(&job).unwrap().map(|known| known.fate), Some(Fate::Noted));
        let db = Connection::open(folder.path().join("notice.db")).unwrap();
        db.execute_batch(
            "INSERT INTO aloud_outbox_aside (seq, act, job_id, queue, key, body, written, boot, mono, why)
             SELECT seq, act, job_id, queue, key, body, written, boot, mono, 'refused' FROM aloud_outbox;
             DELETE FROM aloud_outbox",
        )
        .unwrap();
        let known = book.kept_here(&job).unwrap().unwrap();
        assert_eq!((known.fate, known.why.as_deref()), (Fate::GivenUp, Some("refused")));
        db.execute_batch("DELETE FROM aloud_outbox_aside").unwrap();
        assert_eq!(book.kept_here(&job).unwrap(), None);
    }

    #[test]
    fn a_request_keeps_no_more_than_its_last_notices() {
        let (folder, book) = book();
        for _ in 0..KEPT + 5 {
            on(&book, 2);
            book.switch_off(2).unwrap();
        }
        assert_eq!(seen(&folder).1, KEPT);
        assert_eq!(book.requests().unwrap()[1].notices.len(), usize::try_from(SHOWN).unwrap());
    }

    #[test]
    fn opening_again_changes_nothing() {
        let (folder, book) = book();
        on(&book, 2);
        let before = book.requests().unwrap();
        drop(book);
        assert_eq!(Book::open(&folder.path().join("notice.db")).unwrap().requests().unwrap(), before);
    }
}
