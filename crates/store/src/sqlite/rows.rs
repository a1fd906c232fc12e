//! The rows: every statement that the writer makes, and the transaction that
//! they are made in.
//!
//! The SQL of more than a line lies beside this file, in `sql/`. Nothing here
//! decides anything.

use hashbrown::HashSet;
use job::{KindName, Now, Outcome, Payload};
use rusqlite::{Connection, Statement, params};

use self::fresh::Fresh;
use super::counting::Counting;
use super::tally::Tally;

mod fresh;
pub(super) mod read;
mod write;

/// A connection's statements, and whether a transaction is open.
pub(super) struct Rows<'c> {
    conn: &'c Connection,
    statements: Statements<'c>,
    open: bool,
    /// Whether what the open transaction does must be durable before it is
    /// answered.
    must_last: bool,
    /// How many rows were written since the start, and by then.
    written: u64,
    written_before: u64,
    fresh: Fresh,
    /// Kinds that were read lately.
    kinds: HashSet<KindName>,
    /// Stands for what a job carries where that was not read.
    blank: Payload,
    scratch: Vec<u8>,
    /// A count of rows that is under way.
    pub(super) counting: Option<Counting>,
}

macro_rules! statements {
    ($($name:ident: $sql:expr;)*) => {
        struct Statements<'c> {
            $($name: Statement<'c>,)*
        }

        impl<'c> Statements<'c> {
            fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
                Ok(Self { $($name: conn.prepare($sql)?,)* })
            }
        }
    };
}

statements! {
    begin: "BEGIN IMMEDIATE";
    commit: "COMMIT";
    counters: include_str!("sql/counters.sql");
    push: include_str!("sql/push.sql");
    carry: "INSERT INTO payloads (id, payload) VALUES (?1, ?2)";
    revive: include_str!("sql/revive.sql");
    wait: include_str!("sql/wait.sql");
    die: include_str!("sql/die.sql");
    end: include_str!("sql/end.sql");
    lease: "INSERT INTO leases (id, lease, until, until_mono, worker, started) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    extend: "UPDATE leases SET until = ?2, until_mono = ?3 WHERE id = ?1";
    remove_lease: "DELETE FROM leases WHERE id = ?1";
    remove_live: "DELETE FROM jobs WHERE id = ?1";
    remove_dead: "DELETE FROM dead WHERE id = ?1";
    remove_ended: "DELETE FROM ended WHERE id = ?1";
    remove_payload: "DELETE FROM payloads WHERE id = ?1";
    claim: include_str!("sql/claim.sql");
    live: include_str!("sql/live.sql");
    waiter: include_str!("sql/waiter.sql");
    dead: include_str!("sql/dead.sql");
    ended: include_str!("sql/ended.sql");
    payload: "SELECT payload FROM payloads WHERE id = ?1";
    has_client: "SELECT 1 FROM jobs WHERE id = ?1 AND client_id = ?2";
    dead_client: "SELECT id FROM dead WHERE client_id = ?1";
    ended_client: "SELECT id FROM ended WHERE client_id = ?1";
    outcome: "SELECT outcome FROM ended WHERE id = ?1";
    block: "INSERT INTO ended_blocks (block, oldest) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET oldest = excluded.oldest";
    remove_block: "DELETE FROM ended_blocks WHERE block = ?1";
    ended_before: "SELECT id FROM ended WHERE id BETWEEN ?1 AND ?2 AND at < ?3 ORDER BY id LIMIT ?4";
    oldest_end: "SELECT min(at) FROM ended WHERE id BETWEEN ?1 AND ?2";
    add_queue: "INSERT INTO queues (number, name, pushed) VALUES (?1, ?2, ?3)";
    push_queue: "UPDATE queues SET pushed = 1 WHERE number = ?1";
    remove_queue: "DELETE FROM queues WHERE number = ?1";
    pause: include_str!("sql/pause.sql");
    remember: "UPDATE store SET boot = ?1, offset = ?2";
}

impl<'c> Rows<'c> {
    /// Prepares every statement. Nothing is written yet.
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            conn,
            statements: Statements::prepare(conn)?,
            open: false,
            must_last: false,
            written: 0,
            written_before: 0,
            fresh: Fresh::default(),
            kinds: HashSet::new(),
            blank: Payload::default(),
            scratch: Vec::new(),
            counting: None,
        })
    }

    /// The connection, to look.
    pub(super) fn conn(&self) -> &'c Connection {
        self.conn
    }

    /// How many rows were written since the start.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether a transaction is open.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Opens a transaction unless one is open.
    pub(super) fn open(&mut self) -> rusqlite::Result<()> {
        if !self.open {
            self.statements.begin.execute([])?;
            self.open = true;
            self.written_before = self.written;
        }
        Ok(())
    }

    /// Before a row is written. What is written may be lost in a power cut after
    /// it was answered.
    fn begin(&mut self) -> rusqlite::Result<()> {
        self.open()?;
        self.written += 1;
        Ok(())
    }

    /// The same, for what must be durable before it is answered.
    pub(super) fn begin_to_last(&mut self) -> rusqlite::Result<()> {
        self.begin()?;
        self.must_last = true;
        Ok(())
    }

    /// Writes the numbers, before the commit, if anything else was written.
    pub(super) fn count(&mut self, tally: &Tally) -> rusqlite::Result<()> {
        if self.written == self.written_before {
            return Ok(());
        }
        let Tally { ledger, last_id, kept, newest: Now { wall, mono } } = tally;
        let ended = |outcome: Outcome| ledger.ended_as(outcome).cast_signed();
        self.statements.counters.execute(params![
            last_id.cast_signed(),
            ledger.pushed.cast_signed(),
            ledger.waiting.cast_signed(),
            ledger.running.cast_signed(),
            ledger.dead.cast_signed(),
            ended(Outcome::Done),
            ended(Outcome::Skipped),
            ended(Outcome::Cancelled),
            ended(Outcome::Superseded),
            ended(Outcome::Expired),
            ended(Outcome::Discarded),
            kept.cast_signed(),
            wall.0,
            mono.0,
        ])?;
        Ok(())
    }

    /// Commits. Answers whether what it did must be on the disk before it is
    /// told. If it fails, it is unknown whether it happened.
    pub(super) fn commit(&mut self) -> rusqlite::Result<bool> {
        self.statements.commit.execute([])?;
        self.open = false;
        Ok(std::mem::take(&mut self.must_last))
    }
}
