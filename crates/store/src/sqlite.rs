//! The embedded store: one SQLite file, one writer.
//!
//! ```text
//!  callers ──▶ line (bounded) ──▶ writer ──▶ one commit ──▶ herald ──▶ answers, bell
//!                                 rows + memory   │     waits for the disk
//!                                                 └─ failed ─┴──▶ open again, read again
//!  searches ─────────────────────▶ reader, in slices
//! ```
//!
//! - [`line`]: calls wait here, in the order in which they were made. A full line
//!   is [`Error::Busy`](crate::Error::Busy).
//! - [`session`]: the writer takes what waits, does it within one transaction and
//!   commits once. [`writer`] holds the verbs, [`rows`] the statements, [`index`]
//!   what is known by heart.
//! - [`herald`]: waits until what was committed is on the disk, and only then
//!   answers; the writer does the next batch meanwhile.
//! - [`thread`]: what happens when a commit, or the disk, fails.
//! - [`search`]: reads that take long.
//! - [`open`], [`folder`], [`schema`], [`refusal`]: from a folder to a store that
//!   may be trusted, or a refusal that says why not. [`space`]: room on the disk.
//!
//! # What is durable when
//!
//! What a batch did is told when it is on the disk, if anything in it must last:
//! everything but a lease of a job with neither key nor guard, and its extension.
//! Such leases are told once they are committed, and survive the end of the
//! process; a power cut may take those after the last batch that was waited for.
//! [`Durability::Relaxed`] tells everything so, and waits for the disk once a
//! second. No news overtakes earlier news: what anybody hears never rests on
//! something that a power cut could still take from someone who was told it.
//!
//! This is `synchronous = FULL` with the waiting taken out of SQLite, so that it
//! need not stand still; see [`herald`].
//!
//! # What lies on the disk
//!
//! `aloud.db` with its log `aloud.db-wal` (and `aloud.db-shm`), `lock`, and
//! `reserve`, some megabytes to be given up when the disk is full. The form is
//! described in `sql/schema_1.sql`; the rules for changing it are in [`schema`],
//! and those for what is written within a column in [`stored`]. It can be looked
//! at with `sqlite3 -readonly aloud.db` at any time; nobody else may write to it
//! while it is served. It does not reckon with a network file system.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use job::time::Remembered;
use job::{Answer, AppName, JobId, JobRef, Lease, Ledger, NewJob, Now, Pause, QueueName, Rules, Span, Timestamp};
use tokio::sync::oneshot;

use self::herald::Herald;
use self::line::Line;
use self::op::Op;
use self::open::{Opened, Place};
use self::search::Reader;
use self::shared::Shared;
use self::space::Space;
use self::thread::Ready;
use self::trouble::Stopped;
use crate::bell::Bell;
use crate::jobs::{
    Advanced, AskId, Cancel, Cancelled, Claim, Claimed, Discarded, Finish, Found, From, Jobs, Page, Pushed, Question,
    QueueState, Recount, Revived, Search, Settled, Stale,
};
use crate::records::{Health, Identity, Records};
use crate::reply::Reply;

mod counting;
mod folder;
mod herald;
mod index;
mod line;
mod news;
mod op;
mod open;
mod refusal;
mod retention;
mod rows;
mod schema;
mod search;
mod session;
mod shared;
mod space;
mod stored;
mod tally;
#[cfg(test)]
mod tests;
mod thread;
mod trouble;
mod writer;

pub use refusal::OpenError;

/// When an answer may be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// When the change is on the disk.
    #[default]
    Full,
    /// When the change is committed; it is on the disk within a second. A power
    /// cut loses at most that second, the end of the process nothing.
    Relaxed,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that it keeps everything in.
    pub data: PathBuf,
    /// The app that it belongs to.
    pub app: AppName,
    /// What the operator decided.
    pub rules: Rules,
    /// Whether it is created if it is not there.
    pub create: bool,
    /// When an answer may be given.
    pub durability: Durability,
    /// Below so many free bytes no pushes are accepted.
    pub free_floor: u64,
    /// How many bytes are set aside for what frees room, when there is none
    /// left.
    pub reserve: u64,
}

impl Options {
    /// The least room that must be free for pushes, if nothing else is said:
    /// 64 MiB.
    pub const FREE_FLOOR: u64 = 64 << 20;
    /// The reserve, if nothing else is said: 8 MiB.
    pub const RESERVE: u64 = 8 << 20;

    /// The store of an app in a folder, with everything else as it is by
    /// default: it must be there already.
    pub fn new(data: impl Into<PathBuf>, app: AppName) -> Self {
        Self {
            data: data.into(),
            app,
            rules: Rules::default(),
            create: false,
            durability: Durability::Full,
            free_floor: Self::FREE_FLOOR,
            reserve: Self::RESERVE,
        }
    }
}

/// The embedded store.
///
/// [`Records::close`] ends it and says how that went; dropping it ends it as
/// well, and waits until it has ended.
pub struct Sqlite {
    identity: Identity,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Sqlite {
    /// Opens a store, or creates it if the options say so. Needs no clock but
    /// for a new store's date: [`Identity::remembered`] is what a clock goes on
    /// from.
    pub fn open(options: Options, now: Timestamp) -> Result<Self, OpenError> {
        let Opened { mut conn, known, lock, identity } = open::open(&options, now)?;
        let place = Place::new(options.data);
        let failed = |error| OpenError::Folder { data: place.folder().to_owned(), error };
        let space = Space::new(place.folder().to_owned(), options.free_floor, options.reserve);
        space.restore_reserve();
        let shared = Arc::new(Shared {
            line: Line::default(),
            bell: Arc::default(),
            rules: Arc::new(options.rules),
            durability: options.durability,
            place: place.clone(),
            space,
            herald: Herald::default(),
            reader: Reader::start(place.file()).map_err(failed)?,
            latest: AtomicI64::new(now.0),
            health: Mutex::new(None),
            #[cfg(test)]
            fail_commits: Arc::default(),
            #[cfg(test)]
            fail_syncs: Arc::default(),
        });
        let start = |name: &str, run: Box<dyn FnOnce(&Shared) + Send>| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared)).map_err(failed)
        };
        let unready = |stopped: Stopped| OpenError::Failed { data: place.folder().to_owned(), why: stopped.why };
        let log = session::begin(&mut conn, &shared).map_err(unready)?;
        let ready = Ready { conn, log, known };
        let herald = start("store-herald", Box::new(|shared| shared.herald.run(shared)))?;
        let writer = start("store", Box::new(|shared| thread::run(ready, lock, shared)));
        let writer = writer.inspect_err(|_| shared.herald.end())?;
        Ok(Self { identity, shared, threads: Mutex::new(vec![writer, herald]) })
    }

    fn call<T>(&self, op: impl FnOnce(op::To<T>) -> Op) -> Reply<T> {
        let (to, reply) = Reply::coming();
        self.shared.line.push(op(to));
        reply
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let (to, _) = oneshot::channel();
        self.shared.line.push(Op::Close { to });
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.drain(..).any(|thread| thread.join().is_err()) {
            tracing::error!("a thread of the store has panicked");
        }
    }
}

impl Jobs for Sqlite {
    fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.shared.bell)
    }

    fn push(&self, jobs: Vec<NewJob>, now: Now) -> Reply<Vec<Pushed>> {
        self.call(|to| Op::Push { jobs, now, to })
    }

    fn claim(&self, claim: Claim, now: Now) -> Reply<Claimed> {
        self.call(|to| Op::Claim { claim, now, to })
    }

    fn extend(&self, id: JobRef, lease: Lease, for_: Span, now: Now) -> Reply<Result<Timestamp, Stale>> {
        self.call(|to| Op::Extend { id, lease, for_, now, to })
    }

    fn finish(&self, ends: Vec<Finish>, now: Now) -> Reply<Vec<Result<Settled, Stale>>> {
        self.call(|to| Op::Finish { ends, now, to })
    }

    fn cancel(&self, what: Cancel, by: String, now: Now) -> Reply<Cancelled> {
        self.call(|to| Op::Cancel { what, by, now, to })
    }

    fn discard(&self, id: JobRef, by: String, now: Now) -> Reply<Discarded> {
        self.call(|to| Op::Discard { id, by, now, to })
    }

    fn revive(&self, id: JobRef, now: Now) -> Reply<Revived> {
        self.call(|to| Op::Revive { id, now, to })
    }

    fn ask(&self, from: From, limit: usize, give_up: Span, now: Now) -> Reply<Vec<Question>> {
        self.call(|to| Op::Ask { from, limit, give_up, now, to })
    }

    fn answer(&self, id: JobId, ask: AskId, answer: Answer, now: Now) -> Reply<Result<(), Stale>> {
        self.call(|to| Op::Answer { id, ask, answer, now, to })
    }

    fn advance(&self, limit: usize, now: Now) -> Reply<Advanced> {
        self.call(|to| Op::Advance { limit, now, to })
    }

    fn retain(&self, limit: usize, now: Now) -> Reply<usize> {
        self.call(|to| Op::Retain { limit, now, to })
    }

    fn get(&self, id: JobRef, now: Now) -> Reply<Option<Found>> {
        self.call(|to| Op::Get { id, now, to })
    }

    fn search(&self, search: Search, now: Now) -> Reply<Page> {
        self.call(|to| Op::Search { search, now, to })
    }

    fn queues(&self, now: Now) -> Reply<Vec<QueueState>> {
        self.call(|to| Op::Queues { now, to })
    }

    fn ledger(&self) -> Reply<Ledger> {
        self.call(|to| Op::Ledger { to })
    }

    fn recount(&self) -> Reply<Recount> {
        self.call(|to| Op::Recount { to })
    }
}

impl Records for Sqlite {
    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn pause(&self, queue: QueueName, pause: Pause, now: Now) -> Reply<()> {
        self.call(|to| Op::Pause { queue, pause, now, to })
    }

    fn resume(&self, queue: QueueName, now: Now) -> Reply<Option<Pause>> {
        self.call(|to| Op::Resume { queue, now, to })
    }

    fn pauses(&self) -> Reply<BTreeMap<QueueName, Pause>> {
        self.call(|to| Op::Pauses { to })
    }

    fn remember(&self, clocks: Remembered) -> Reply<()> {
        self.call(|to| Op::Remember { clocks, to })
    }

    fn close(&self) -> Reply<()> {
        self.call(|to| Op::Close { to })
    }
}
