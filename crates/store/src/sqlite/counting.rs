//! Counting again what is there, while it goes on changing.
//!
//! The writer counts a range of ids at a time, between batches. A row that comes
//! or goes where the count has been already corrects it; one further on will be
//! met. So the sum is exact at the moment when the last range was counted,
//! whatever happened meanwhile, and nobody had to hold still for it.

use rusqlite::Connection;

/// A table that is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Table {
    Jobs,
    Leases,
    Dead,
    Ended,
}

impl Table {
    const ALL: [Self; 4] = [Self::Jobs, Self::Leases, Self::Dead, Self::Ended];

    fn range(self) -> &'static str {
        match self {
            Self::Jobs => "SELECT count(*), max(id) FROM (SELECT id FROM jobs WHERE id > ?1 ORDER BY id LIMIT ?2)",
            Self::Leases => "SELECT count(*), max(id) FROM (SELECT id FROM leases WHERE id > ?1 ORDER BY id LIMIT ?2)",
            Self::Dead => "SELECT count(*), max(id) FROM (SELECT id FROM dead WHERE id > ?1 ORDER BY id LIMIT ?2)",
            Self::Ended => "SELECT count(*), max(id) FROM (SELECT id FROM ended WHERE id > ?1 ORDER BY id LIMIT ?2)",
        }
    }
}

/// So many rows are counted before others have their turn: about a millisecond.
const RANGE: u64 = 10_000;

/// A count that is under way.
#[derive(Debug, Default)]
pub(super) struct Counting {
    counts: [i64; Table::ALL.len()],
    /// Which table is being counted, and up to which id it was.
    at: usize,
    counted_to: i64,
}

impl Counting {
    /// A row came or went.
    pub(super) fn changed(&mut self, table: Table, id: i64, by: i64) {
        let place = table as usize;
        if place < self.at || (place == self.at && id <= self.counted_to) {
            self.counts[place] += by;
        }
    }

    /// Counts the next range. Answers whether there is another.
    pub(super) fn go_on(&mut self, conn: &Connection) -> rusqlite::Result<bool> {
        let Some(table) = Table::ALL.get(self.at) else { return Ok(false) };
        let mut statement = conn.prepare_cached(table.range())?;
        let (count, last): (i64, Option<i64>) =
            statement.query_row((self.counted_to, RANGE.cast_signed()), |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.counts[self.at] += count;
        match last.filter(|_| count == RANGE.cast_signed()) {
            Some(last) => self.counted_to = last,
            None => (self.at, self.counted_to) = (self.at + 1, 0),
        }
        Ok(self.at < Table::ALL.len())
    }

    /// How many there are of each, once there is no further range.
    pub(super) fn count(&self, table: Table) -> u64 {
        self.counts[table as usize].max(0).cast_unsigned()
    }
}
