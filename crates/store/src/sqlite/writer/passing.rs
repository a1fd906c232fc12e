//! What only the passing of time brings about.

use job::{JobId, Mono, Now, QueueName, Timestamp};

use super::{Writer, aside};
use crate::jobs::Advanced;
use crate::sqlite::retention;
use crate::sqlite::stored::Unreadable;
use crate::sqlite::trouble::Trouble;

/// So many jobs fall due at once before others have their turn: some three
/// milliseconds.
const SLICE: usize = 2_048;

impl Writer<'_> {
    pub(in crate::sqlite) fn advance(&mut self, limit: usize, now: Now) -> Result<Advanced, Trouble> {
        let mut advanced = Advanced::default();
        let mut left = limit.max(1);
        let over = |(name, _, pause): (&QueueName, u32, &job::Pause)| pause.is_over(now).then(|| name.clone());
        let over: Vec<_> = self.index.paused().filter_map(over).take(left).collect();
        for queue in over {
            advanced.resumed.extend(self.resume(&queue)?.map(|pause| (queue, pause)));
            left -= 1;
        }
        while left > 0
            && let Some((moment, id)) = self.index.expired(now)
        {
            left -= 1;
            let unreadable = match self.rows.waiting(id, &self.index) {
                Ok(Some(job)) => match job.before_run(&self.rules, now) {
                    Some(step) => {
                        self.lead(job, step, now)?;
                        continue;
                    }
                    None => Unreadable::new("expiry", "it is not the one in memory"),
                },
                Ok(None) => Unreadable::new("row", "it is not there"),
                Err(Trouble::Unreadable(_, why)) => why,
                Err(trouble) => return Err(trouble),
            };
            aside(JobId(id), &unreadable);
            self.index.forget_expiry(moment, id);
        }
        while left > 0
            && let Some(id) = self.index.lost(now)
        {
            left -= 1;
            let mut job = self.index.running(id).expect("a lease in memory is of a running job").clone();
            let step = job.rescue(&self.rules, now);
            self.lead_back(job, step, now)?;
            advanced.rescued.push(JobId(id));
        }
        let slice = limit.max(SLICE);
        // Beyond the limit, or since: a rescued job may find that it expired meanwhile.
        advanced.more = self.pass(slice, now)? == slice
            || self.index.paused().any(|(_, _, pause)| pause.is_over(now))
            || self.index.expired(now).is_some()
            || self.index.lost(now).is_some();
        let next = self.index.next(now);
        advanced.next_mono = next.mono.map(Mono);
        advanced.next_wall = next.wall.map(Timestamp);
        Ok(advanced)
    }

    /// Removes at most `limit` ended jobs that are kept no longer.
    pub(in crate::sqlite) fn retain(&mut self, limit: usize, now: Now) -> Result<usize, Trouble> {
        // Kept are those that ended at this time or later.
        let since = Timestamp(now.wall.0.saturating_sub(self.rules.keep_ended.as_micros()));
        let blocks = self.index.blocks.iter().filter(|(_, oldest)| **oldest < since.0);
        let blocks: Vec<i64> = blocks.map(|(block, _)| *block).collect();
        let mut removed = 0;
        for block in blocks {
            if removed == limit {
                break;
            }
            let ids = retention::ids(block);
            let old = self.rows.ended_before(ids, since, limit - removed)?;
            removed += old.len();
            for id in old {
                self.rows.remove_ended(id)?;
                self.tally.kept -= 1;
            }
            let oldest = self.rows.oldest_end(ids)?;
            self.rows.set_block(block, oldest, &mut self.index)?;
        }
        Ok(removed)
    }
}
