//! Memory, made from the rows.

use job::{Ledger, Mono, Now, Outcome, Pause, QueueName, Rules, Timestamp};
use rusqlite::Connection;

use super::{Index, Queue, QueueNo};
use crate::jobs::MAX_QUEUES;
use crate::sqlite::rows::read::{Columns, run, waiter};
use crate::sqlite::stored::Unreadable;
use crate::sqlite::tally::Tally;

/// Why memory cannot be made.
#[derive(Debug, thiserror::Error)]
pub(in crate::sqlite) enum Unbuilt {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
}

/// Reads everything that is known by heart.
///
/// A live job whose row cannot be read is left out, and said in the log: it is
/// still counted and can still be looked at, but nobody is given it.
pub(in crate::sqlite) fn build(conn: &Connection, rules: &Rules) -> Result<(Index, Tally), Unbuilt> {
    let tally = tally(conn)?;
    let mut index = Index::new(rules, tally.newest);
    queues(conn, &mut index)?;
    runs(conn, &mut index)?;
    waiters(conn, &mut index)?;
    blocks(conn, &mut index)?;
    index.ring_all();
    Ok((index, tally))
}

fn tally(conn: &Connection) -> Result<Tally, Unbuilt> {
    let mut statement = conn.prepare(
        "SELECT last_id, pushed, waiting, running, dead, done, skipped, cancelled, superseded, expired, discarded, kept,
                newest_wall, newest_mono FROM counters",
    )?;
    let mut rows = statement.query([])?;
    let row = rows.next()?.ok_or_else(|| Unreadable::new("counters", "their row is missing"))?;
    let row = Columns(row);
    let mut ended = [0; Outcome::ALL.len()];
    for (place, count) in ended.iter_mut().enumerate() {
        *count = row.number(5 + place)?;
    }
    Ok(Tally {
        ledger: Ledger {
            pushed: row.number(1)?,
            waiting: row.number(2)?,
            running: row.number(3)?,
            dead: row.number(4)?,
            ended,
        },
        last_id: row.number(0)?,
        kept: row.number(11)?,
        newest: Now {
            wall: Timestamp(row.may_int(12)?.unwrap_or(i64::MIN)),
            mono: Mono(row.may_int(13)?.unwrap_or(i64::MIN)),
        },
    })
}

fn queues(conn: &Connection, index: &mut Index) -> Result<(), Unbuilt> {
    let mut statement = conn.prepare(
        "SELECT number, name, pushed, paused_by, paused_reason, paused_since, paused_until, paused_until_mono
         FROM queues ORDER BY number",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = Columns(row);
        let name: QueueName = row.text(1)?.parse().map_err(|error| Unreadable::new("queue", error))?;
        let number: QueueNo = row.number(0)?;
        if number as usize >= 2 * MAX_QUEUES {
            return Err(Unreadable::new("queue", format!("its number is {number}")).into());
        }
        let pause = match row.may_text(3)? {
            Some(by) => Some(Pause {
                by: by.to_owned(),
                reason: row.text(4)?.to_owned(),
                since: Timestamp(row.int(5)?),
                until: row.may_moment(6)?,
            }),
            None => None,
        };
        while index.queues.len() <= number as usize {
            index.vacant.push(QueueNo::try_from(index.queues.len()).unwrap_or(QueueNo::MAX));
            index.queues.push(Queue::new(name.clone()));
        }
        index.vacant.retain(|vacant| *vacant != number);
        let queue = &mut index.queues[number as usize];
        queue.name = name.clone();
        queue.pushed = row.int(2)? != 0;
        index.numbers.insert(name, number);
        if pause.is_some() {
            index.set_pause(number, pause);
        }
    }
    let mut statement = conn.prepare("SELECT queue, count(*) FROM dead GROUP BY queue")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = Columns(row);
        let number: QueueNo = row.number(0)?;
        if let Some(queue) = index.queues.get_mut(number as usize) {
            queue.dead = row.number(1)?;
        }
    }
    Ok(())
}

fn runs(conn: &Connection, index: &mut Index) -> Result<(), Unbuilt> {
    let mut statement = conn.prepare(include_str!("../sql/runs.sql"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match run(&Columns(row), index) {
            Ok(job) => {
                if let Some(id) = &job.client_id {
                    index.add_client(id.as_str(), job.id.0);
                }
                let queue =
                    index.number(&job.spec.queue).ok_or_else(|| Unreadable::new("queue", "it has no number"))?;
                index.start(queue, Box::new(job));
            }
            Err(why) => tracing::error!(%why, "a running job cannot be read and is left out"),
        }
    }
    Ok(())
}

fn waiters(conn: &Connection, index: &mut Index) -> Result<(), Unbuilt> {
    let mut statement = conn.prepare(include_str!("../sql/waiters.sql"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = Columns(row);
        let waiter = match waiter(&row, index) {
            Ok(waiter) => waiter,
            Err(why) => {
                tracing::error!(id = row.int(0)?, %why, "a waiting job cannot be read and is left out");
                continue;
            }
        };
        if !index.running.is_empty() && index.running.contains_key(&waiter.id) {
            continue;
        }
        index.seat(&waiter);
        if let Some(id) = row.may_text(12)? {
            index.add_client(id, waiter.id);
        }
    }
    Ok(())
}

fn blocks(conn: &Connection, index: &mut Index) -> Result<(), Unbuilt> {
    let mut statement = conn.prepare("SELECT block, oldest FROM ended_blocks")?;
    for block in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (block, oldest) = block?;
        index.blocks.insert(block, oldest);
    }
    Ok(())
}
