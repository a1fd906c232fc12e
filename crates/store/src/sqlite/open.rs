//! Opening: from a folder to a connection that may be trusted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use job::time::Remembered;
use job::{AppName, Now, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::folder::{self, Lock, NotOwned};
use super::index::build::{Unbuilt, build};
use super::refusal::OpenError;
use super::session::Known;
use super::trouble::{Failure, failure};
use super::{Options, schema};
use crate::records::Identity;

/// How long SQLite waits for another process, such as a person's `sqlite3`.
const BUSY: Duration = Duration::from_secs(2);

/// The folder of a store, and what is in it.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new(data: PathBuf) -> Self {
        Self(data)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("aloud.db")
    }

    /// Where a store is made before it gets its name.
    fn unfinished(&self) -> PathBuf {
        self.0.join("aloud.db.new")
    }

    /// SQLite's log.
    pub(super) fn log(&self) -> PathBuf {
        self.0.join("aloud.db-wal")
    }
}

/// What was opened.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) known: Known,
    pub(super) lock: Lock,
    pub(super) identity: Identity,
}

/// Opens the store in a folder, or creates it there.
pub(super) fn open(options: &Options, now: Timestamp) -> Result<Opened, OpenError> {
    let place = Place::new(options.data.clone());
    let data = || options.data.clone();
    let unusable = |error| OpenError::Folder { data: data(), error };
    let there = fs::exists(place.file()).map_err(unusable)?;
    if !there {
        if !options.create {
            return Err(OpenError::Missing { data: data() });
        }
        folder::make(place.folder()).map_err(unusable)?;
    }
    let lock = folder::own(place.folder()).map_err(|not| match not {
        NotOwned::Held(pid) => OpenError::Held { data: data(), pid },
        NotOwned::Io(error) => unusable(error),
    })?;
    // Looked at again: whoever held the folder may have made one.
    if !fs::exists(place.file()).map_err(unusable)? {
        if !options.create {
            return Err(OpenError::Missing { data: data() });
        }
        create(&place, &options.app, now)?;
    }
    let broken = |error: rusqlite::Error| refusal(&options.data, &error);
    let conn = writer(&place.file()).map_err(broken)?;
    let identity = identify(&conn, options)?;
    let (index, tally) = build(&conn, &options.rules).map_err(|unbuilt| match unbuilt {
        Unbuilt::Sqlite(error) => broken(error),
        Unbuilt::Unreadable(why) => OpenError::Damaged { data: data(), why: why.to_string() },
    })?;
    let remembered = identity.remembered.map(|remembered| Remembered { newest: tally.newest, ..remembered });
    let identity = Identity { remembered, ..identity };
    Ok(Opened { conn, known: Known { index, tally }, lock, identity })
}

/// Makes a store, all of it or none.
fn create(place: &Place, app: &AppName, now: Timestamp) -> Result<(), OpenError> {
    let data = place.folder();
    let unusable = |error| OpenError::Folder { data: data.to_owned(), error };
    let broken = |error: rusqlite::Error| refusal(data, &error);
    if fs::exists(place.log()).map_err(unusable)? {
        let why = "its log `aloud.db-wal` is there, and `aloud.db` itself is not".to_owned();
        return Err(OpenError::Damaged { data: data.to_owned(), why });
    }
    let unfinished = place.unfinished();
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut left_over = unfinished.clone().into_os_string();
        left_over.push(suffix);
        match fs::remove_file(left_over) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error)),
        }
    }
    folder::create(&unfinished).map_err(unusable)?;
    let conn = connect(&unfinished).map_err(broken)?;
    schema::create(&conn).map_err(broken)?;
    conn.execute(
        "INSERT INTO store (one, id, app, created) VALUES (1, lower(hex(randomblob(16))), ?1, ?2)",
        params![app.as_str(), now.0],
    )
    .map_err(broken)?;
    conn.close().map_err(|(_, error)| broken(error))?;
    fs::rename(&unfinished, place.file()).map_err(unusable)?;
    folder::sync(data).map_err(unusable)
}

/// Who the store is; refuses one that is not to be served by this app.
fn identify(conn: &Connection, options: &Options) -> Result<Identity, OpenError> {
    let data = || options.data.clone();
    let damaged = |why: &str| OpenError::Damaged { data: data(), why: why.to_owned() };
    let broken = |error: rusqlite::Error| refusal(&options.data, &error);
    let (application, found) = schema::read(conn).map_err(broken)?;
    if application != schema::APPLICATION {
        return Err(damaged("`aloud.db` is a database, but not one that aloud made"));
    }
    if found > schema::NEWEST {
        return Err(OpenError::Newer { data: data(), found, known: schema::NEWEST });
    }
    let row = conn.query_row("SELECT id, app, created, boot, offset FROM store", [], |row| {
        let remembered = match (row.get(3)?, row.get(4)?) {
            (Some(boot), Some(offset)) => Some(Remembered { boot, offset, newest: Now::default() }),
            _ => None,
        };
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, Timestamp(row.get(2)?), remembered))
    });
    let (id, owner, created, remembered) =
        row.optional().map_err(broken)?.ok_or_else(|| damaged("it does not say whose it is"))?;
    if owner != options.app.as_str() {
        return Err(OpenError::OtherApp { data: data(), owner, app: options.app.clone() });
    }
    let schema = schema::upgrade(conn, found).map_err(broken)?;
    Ok(Identity { id, app: options.app.clone(), created, schema, remembered })
}

/// A connection for the writer.
pub(super) fn writer(file: &Path) -> rusqlite::Result<Connection> {
    let conn = connect(file)?;
    // Not a mapping: there an I/O error would be a signal that ends the process.
    conn.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 0; PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 0;
         PRAGMA temp_store = MEMORY;",
    )?;
    Ok(conn)
}

/// A connection for searches.
pub(super) fn reader(file: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY)?;
    conn.execute_batch("PRAGMA mmap_size = 0; PRAGMA cache_size = -4096; PRAGMA query_only = ON;")?;
    Ok(conn)
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    // Never SQLITE_OPEN_CREATE: a store that is gone must not come back empty.
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY)?;
    Ok(conn)
}

fn refusal(data: &Path, error: &rusqlite::Error) -> OpenError {
    let (data, why) = (data.to_owned(), error.to_string());
    match failure(error) {
        Failure::Corrupt => OpenError::Damaged { data, why },
        Failure::Full | Failure::Busy | Failure::Other => OpenError::Failed { data, why },
    }
}
