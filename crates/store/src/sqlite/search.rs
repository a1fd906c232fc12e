//! Searches: on a connection and a thread of their own, in slices so short that
//! the log can begin anew between them.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use hashbrown::{HashMap, HashSet};
use job::{Job, JobId, KindName, NewJob, Now, Outcome, Payload, Phase, QueueName, Spec, State};
use rusqlite::{Connection, OptionalExtension};
use tokio::time::Instant;

use super::index::QueueNo;
use super::op::{To, give};
use super::open;
use super::rows::read::{self, Columns};
use super::stored::Unreadable;
use super::trouble::{Stopped, Trouble};
use crate::error::Error;
use crate::jobs::{Cursor, Found, MAX_ANSWER_BYTES, Page, Search};

/// So many searches wait at most.
const MAX_WAITING: usize = 64;
/// After so long a search lets go of what it reads, and reads on.
const SLICE: Duration = Duration::from_millis(3);
/// After so long a page ends, full or not.
const LONGEST_PAGE: Duration = Duration::from_millis(200);
/// How many rows are looked at between two looks at the clock.
const STRIDE: u64 = 64;

/// A search that is wanted, with what only the writer knew.
pub(super) struct Wanted {
    pub(super) search: Search,
    pub(super) now: Now,
    /// The jobs whose guards are being asked.
    pub(super) asked: HashSet<u64>,
    /// How many jobs are kept in all.
    pub(super) of: u64,
    pub(super) to: To<Page>,
}

impl Wanted {
    pub(super) fn refuse(self, error: &Error) {
        give(self.to, Err(error.clone()));
    }
}

/// The thread that searches.
pub(super) struct Reader {
    wanted: Mutex<Option<SyncSender<Wanted>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Reader {
    pub(super) fn start(file: PathBuf) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let thread = thread::Builder::new().name("store-search".to_owned()).spawn(move || run(&file, &receiver))?;
        Ok(Self { wanted: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Has a search done, in turn.
    pub(super) fn search(&self, wanted: Wanted) {
        let sender = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*sender else { return wanted.refuse(&Error::Closed) };
        match sender.try_send(wanted) {
            Ok(()) => {}
            Err(TrySendError::Full(wanted)) => {
                wanted.refuse(&Error::Busy(format!("{MAX_WAITING} searches are waiting")));
            }
            Err(TrySendError::Disconnected(wanted)) => wanted.refuse(&Error::Closed),
        }
    }

    /// Ends it, after the searches that wait, and lets go of the database.
    pub(super) fn stop(&self) {
        drop(mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner)));
        let thread = mem::take(&mut *self.thread.lock().unwrap_or_else(PoisonError::into_inner));
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that searches has panicked");
        }
    }
}

fn run(file: &Path, wanted: &Receiver<Wanted>) {
    let mut desk = None;
    while let Ok(next) = wanted.recv() {
        let page = search(file, &mut desk, &next);
        if page.is_err() {
            desk = None;
        }
        give(next.to, page);
    }
}

fn search(file: &Path, desk: &mut Option<Desk>, wanted: &Wanted) -> Result<Page, Error> {
    let found = (|| {
        let desk = match desk {
            Some(desk) => desk,
            None => desk.insert(Desk::new(open::reader(file)?)),
        };
        desk.search(wanted)
    })();
    found.map_err(|trouble| match trouble {
        Trouble::Refused(error) => error,
        Trouble::Unreadable(id, why) => Error::Damaged(format!("the job {id} cannot be read: {why}")),
        Trouble::Failed(error) => Stopped::from(error).refusal(),
    })
}

/// A connection to read on, and what was learned on it.
struct Desk {
    conn: Connection,
    /// Names of queues that jobs were met in; such a name never changes.
    queues: HashMap<QueueNo, QueueName>,
    kinds: HashSet<KindName>,
    /// Takes on one state after the other, to say how it shows itself.
    model: Job,
}

/// A search that is under way.
struct Hunt<'w> {
    wanted: &'w Wanted,
    page: Page,
    /// How many bytes of payload are on the page.
    bytes: usize,
    began: Instant,
}

/// What became of a slice.
enum Slice {
    /// The page is done.
    Done,
    /// There is more behind this job, in the same part.
    More(i64),
    /// The part was read to its end.
    End,
}

impl Desk {
    fn new(conn: Connection) -> Self {
        let spec = Spec::new(
            "model".parse().expect("a queue's name"),
            "model".parse().expect("a kind's name"),
            Payload::default(),
        );
        let model = Job::new(JobId(0), NewJob::now(spec, Now::default()), Now::default());
        Self { conn, queues: HashMap::new(), kinds: HashSet::new(), model }
    }

    fn search(&mut self, wanted: &Wanted) -> Result<Page, Trouble> {
        let page = Page { of: wanted.of, ..Page::default() };
        let mut hunt = Hunt { wanted, page, bytes: 0, began: Instant::now() };
        let first = wanted.search.after.map_or(0, |after| after.part);
        for part in first..3 {
            let mut before = match wanted.search.after {
                Some(after) if after.part == part => after.id.0.try_into().unwrap_or(i64::MAX),
                Some(_) | None => i64::MAX,
            };
            loop {
                match self.slice(part, before, &mut hunt)? {
                    Slice::Done => return Ok(hunt.page),
                    Slice::More(last) => before = last,
                    Slice::End => break,
                }
            }
        }
        Ok(hunt.page)
    }

    /// Looks at the jobs of a part that are older than `before`, for as long as
    /// a slice may take.
    fn slice(&mut self, part: u8, before: i64, hunt: &mut Hunt<'_>) -> Result<Slice, Trouble> {
        let Self { conn, queues, kinds, model } = self;
        let began = Instant::now();
        let mut scan = conn.prepare_cached(match part {
            0 => include_str!("sql/scan_live.sql"),
            1 => include_str!("sql/scan_dead.sql"),
            _ => include_str!("sql/scan_ended.sql"),
        })?;
        let mut rows = scan.query([before])?;
        while let Some(row) = rows.next()? {
            let row = Columns(row);
            let id = row.int(0).map_err(|why| Trouble::Unreadable(JobId(0), why))?;
            hunt.page.searched += 1;
            let place = Cursor { part, id: JobId(id.cast_unsigned()) };
            let found = fits(&row, part, hunt.wanted, conn, queues, model).and_then(|fits| {
                if fits { whole(conn, part, id, hunt.wanted, queues, kinds).map(Some) } else { Ok(None) }
            });
            match found {
                Ok(Some(found)) => {
                    hunt.bytes += found.job.spec.payload.as_bytes().len();
                    hunt.page.jobs.push(found);
                }
                Ok(None) => {}
                Err(Trouble::Unreadable(id, why)) => {
                    tracing::error!(%id, %why, "a job that is searched for cannot be read")
                }
                Err(trouble) => return Err(trouble),
            }
            if hunt.page.jobs.len() == hunt.wanted.search.limit.max(1) || hunt.bytes >= MAX_ANSWER_BYTES {
                hunt.page.next = Some(place);
                return Ok(Slice::Done);
            }
            if hunt.page.searched.is_multiple_of(STRIDE) {
                if hunt.began.elapsed() > LONGEST_PAGE {
                    hunt.page.next = Some(place);
                    return Ok(Slice::Done);
                }
                if began.elapsed() > SLICE {
                    return Ok(Slice::More(id));
                }
            }
        }
        Ok(Slice::End)
    }
}

/// Whether a row fits, by the columns of a scan.
fn fits(
    row: &Columns<'_>,
    part: u8,
    Wanted { search, now, asked, .. }: &Wanted,
    conn: &Connection,
    queues: &mut HashMap<QueueNo, QueueName>,
    model: &mut Job,
) -> Result<bool, Trouble> {
    let mut fits = || -> Result<Option<QueueNo>, Unreadable> {
        let is = |place: usize, wanted: Option<&str>| {
            Ok::<_, Unreadable>(wanted.is_none() || row.may_text(place)? == wanted)
        };
        let outcome = |wanted: Outcome| Ok::<_, Unreadable>(part == 2 && read::outcome(row, 4)? == wanted);
        if !is(2, search.kind.as_ref().map(|kind| kind.as_str()))?
            || !is(3, search.key.as_ref().map(|key| key.as_str()))?
            || !search.outcome.map_or(Ok(true), outcome)?
        {
            return Ok(None);
        }
        if !search.phases.is_empty() {
            let phase = match part {
                0 if row.int(9)? != 0 => Phase::Running,
                0 => {
                    model.state = State::Waiting {
                        due: row.moment(4)?,
                        wait: read::wait(row.int(8)?),
                        ask_at: row.may_moment(6)?,
                    };
                    model.phase(*now, asked.contains(&row.int(0)?.cast_unsigned()))
                }
                1 => Phase::Dead,
                _ => Phase::Ended,
            };
            if !search.phases.contains(&phase) {
                return Ok(None);
            }
        }
        row.number(1).map(Some)
    };
    let id = JobId(row.int(0).unwrap_or_default().cast_unsigned());
    let Some(queue) = fits().map_err(|why| Trouble::Unreadable(id, why))? else { return Ok(false) };
    let name = match queues.get(&queue) {
        Some(name) => name,
        None => {
            let mut statement = conn.prepare_cached("SELECT name FROM queues WHERE number = ?1")?;
            let name = statement.query_row([queue], |row| row.get::<_, String>(0)).optional()?;
            let name = name.and_then(|name| name.parse().ok());
            let missing = || Trouble::Unreadable(id, Unreadable::new("queue", format!("there is no number {queue}")));
            queues.entry(queue).or_insert(name.ok_or_else(missing)?)
        }
    };
    Ok(search.queue.as_ref().is_none_or(|wanted| wanted == name))
}

/// The whole of a job that fits.
fn whole(
    conn: &Connection,
    part: u8,
    id: i64,
    Wanted { now, asked, .. }: &Wanted,
    queues: &HashMap<QueueNo, QueueName>,
    kinds: &mut HashSet<KindName>,
) -> Result<Found, Trouble> {
    let job_id = JobId(id.cast_unsigned());
    let missing = || Trouble::Unreadable(job_id, Unreadable::new("row", "it is not there"));
    let payload = one(conn, "SELECT payload FROM payloads WHERE id = ?1", id, |row| row.payload(0))?;
    let payload = payload.ok_or_else(missing)?;
    let running = match part {
        0 => one(conn, include_str!("sql/lease.sql"), id, |row| read::running(row, 0))?,
        _ => None,
    };
    let sql = match part {
        0 => include_str!("sql/live.sql"),
        1 => include_str!("sql/dead.sql"),
        _ => include_str!("sql/ended.sql"),
    };
    let state = |row: &Columns<'_>| match part {
        0 => read::waiting(row),
        1 => read::dead(row),
        _ => read::ended(row),
    };
    let job = one(conn, sql, id, |row| read::job(row, id, state(row)?, queues, kinds, payload))?;
    let mut job = job.ok_or_else(missing)?;
    if let Some(running) = running {
        job.state = running;
        job.attempt += 1;
    }
    let asking = asked.contains(&job.id.0);
    Ok(Found { phase: job.phase(*now, asking), job })
}

fn one<T>(
    conn: &Connection,
    sql: &str,
    id: i64,
    read: impl FnOnce(&Columns<'_>) -> Result<T, Unreadable>,
) -> Result<Option<T>, Trouble> {
    read::one(&mut *conn.prepare_cached(sql)?, id, read)
}
