//! The form in which jobs lie on the disk, and the steps from one to the next.
//!
//! # To change it
//!
//! Add `sql/schema_N.sql` and name it in [`STEPS`]. A step that was released is
//! never changed again, and there are only steps forward: an older aloud refuses
//! a newer form. A step runs in one transaction, before anything is served, so
//! it must not rewrite what may be millions of rows; give a new column a default
//! instead. What is written within a column has its own rules, in
//! [`super::stored`].

use rusqlite::Connection;

/// What SQLite's header says of a database that aloud made: `alou`.
pub(super) const APPLICATION: i64 = 0x616c_6f75;

/// The steps; the first makes form 1 of nothing.
const STEPS: [&str; 1] = [include_str!("sql/schema_1.sql")];

/// The newest form.
pub(super) const NEWEST: u32 = STEPS.len() as u32;

/// What the header says: whose database it is, and in which form.
pub(super) fn read(conn: &Connection) -> rusqlite::Result<(i64, u32)> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get(0));
    Ok((pragma("application_id")?, u32::try_from(pragma("user_version")?).unwrap_or(u32::MAX)))
}

/// Makes the newest form of an empty database.
pub(super) fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    conn.pragma_update(None, "application_id", APPLICATION)?;
    upgrade(conn, 0).map(|_| ())
}

/// Takes each step from the form `found` to the newest, and answers that.
pub(super) fn upgrade(conn: &Connection, found: u32) -> rusqlite::Result<u32> {
    for (form, step) in (1..).zip(STEPS).skip(found as usize) {
        tracing::info!(form, "the store is brought into a newer form");
        let step = format!("BEGIN EXCLUSIVE; {step} PRAGMA user_version = {form}; COMMIT;");
        conn.execute_batch(&step)?;
    }
    Ok(NEWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_database_gets_the_newest_form_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let conn = Connection::open(folder.path().join("x.db")).unwrap();
        create(&conn).unwrap();
        assert_eq!(read(&conn).unwrap(), (APPLICATION, NEWEST));
        assert_eq!(upgrade(&conn, NEWEST).unwrap(), NEWEST);
        let tables: Vec<String> = conn
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(
            tables,
            ["counters", "dead", "ended", "ended_blocks", "jobs", "leases", "payloads", "queues", "store"]
        );
    }
}
