//! How a job is written.

use job::time::Remembered;
use job::{Happened, Job, JobId, Moment, QueueName, Run, Spec, State};
use rusqlite::params;

use super::Rows;
use crate::sqlite::counting::Table;
use crate::sqlite::index::{Index, QueueNo};
use crate::sqlite::retention;
use crate::sqlite::stored;

type Sql<T = ()> = rusqlite::Result<T>;

/// The second column of a moment.
fn mono(moment: Moment) -> Option<i64> {
    moment.mono.map(|mono| mono.0)
}

/// Both columns of a moment that need not be.
fn may(moment: Option<Moment>) -> (Option<i64>, Option<i64>) {
    (moment.map(|moment| moment.wall.0), moment.and_then(mono))
}

impl Rows<'_> {
    /// Writes a new job that waits, and what it carries.
    pub(in crate::sqlite) fn push(&mut self, job: &Job, queue: QueueNo) -> Sql {
        self.begin_to_last()?;
        let State::Waiting { due, .. } = job.state else { return Ok(()) };
        let id = id(job.id);
        let Spec { kind, payload, priority, key, guard, expires, retry, .. } = &job.spec;
        let (expires, expires_mono) = may(*expires);
        self.statements.push.execute(params![
            id,
            queue,
            priority,
            due.wall.0,
            mono(due),
            expires,
            expires_mono,
            job.pushed.0,
            kind.as_str(),
            key.as_ref().map(|key| key.as_str()),
            job.client_id.as_ref().map(|id| id.as_str()),
            guard.as_ref().map(stored::write_guard),
            stored::write_policy(*retry),
        ])?;
        self.statements.carry.execute(params![id, payload.as_bytes()])?;
        self.counted(Table::Jobs, id, 1);
        Ok(())
    }

    /// Keeps a job in hand that is about to be claimed, as it was pushed.
    pub(in crate::sqlite) fn keep_fresh(&mut self, job: Job) {
        self.fresh.keep(job);
    }

    /// Writes a dead job that waits again.
    pub(in crate::sqlite) fn revive(&mut self, job: &Job, queue: QueueNo) -> Sql {
        self.begin_to_last()?;
        let State::Waiting { due, .. } = job.state else { return Ok(()) };
        let id = id(job.id);
        let Spec { kind, priority, key, guard, expires, retry, .. } = &job.spec;
        let (expires, expires_mono) = may(*expires);
        self.statements.revive.execute(params![
            id,
            queue,
            priority,
            due.wall.0,
            mono(due),
            expires,
            expires_mono,
            job.pushed.0,
            kind.as_str(),
            key.as_ref().map(|key| key.as_str()),
            job.client_id.as_ref().map(|id| id.as_str()),
            guard.as_ref().map(stored::write_guard),
            stored::write_policy(*retry),
            job.attempt,
            job.failures,
            job.rescues,
            job.snoozes,
            stored::write_history(&job.history, &mut self.scratch),
        ])?;
        self.counted(Table::Jobs, id, 1);
        Ok(())
    }

    /// Writes a live job that waits anew.
    pub(in crate::sqlite) fn wait(&mut self, job: &Job) -> Sql {
        self.begin_to_last()?;
        self.fresh.take(job.id.0);
        let State::Waiting { due, ask_at, .. } = job.state else { return Ok(()) };
        let (ask_at, ask_at_mono) = may(ask_at);
        self.statements.wait.execute(params![
            id(job.id),
            due.wall.0,
            mono(due),
            ask_at,
            ask_at_mono,
            job.attempt,
            job.failures,
            job.rescues,
            job.snoozes,
            stored::write_history(&job.history, &mut self.scratch),
        ])?;
        Ok(())
    }

    /// Writes a job that rests.
    pub(in crate::sqlite) fn die(&mut self, job: &Job, queue: QueueNo) -> Sql {
        self.begin_to_last()?;
        let State::Dead { since, cause } = job.state else { return Ok(()) };
        let id = id(job.id);
        let Spec { kind, priority, key, guard, expires, retry, .. } = &job.spec;
        let (expires, expires_mono) = may(*expires);
        self.statements.die.execute(params![
            id,
            queue,
            since.0,
            cause.index() as i64,
            priority,
            expires,
            expires_mono,
            job.attempt,
            job.failures,
            job.rescues,
            job.snoozes,
            job.pushed.0,
            kind.as_str(),
            last_error(job),
            key.as_ref().map(|key| key.as_str()),
            job.client_id.as_ref().map(|id| id.as_str()),
            guard.as_ref().map(stored::write_guard),
            stored::write_policy(*retry),
            stored::write_history(&job.history, &mut self.scratch),
        ])?;
        self.counted(Table::Dead, id, 1);
        Ok(())
    }

    /// Writes a job that is over.
    pub(in crate::sqlite) fn end(&mut self, job: &Job, queue: QueueNo, index: &mut Index) -> Sql {
        self.begin_to_last()?;
        let State::Ended { outcome, at, ref detail } = job.state else { return Ok(()) };
        let id = id(job.id);
        let Spec { kind, priority, key, guard, expires, retry, .. } = &job.spec;
        let (expires, expires_mono) = may(*expires);
        self.statements.end.execute(params![
            id,
            queue,
            at.0,
            outcome.index() as i64,
            detail.as_deref(),
            priority,
            expires,
            expires_mono,
            job.attempt,
            job.failures,
            job.rescues,
            job.snoozes,
            job.pushed.0,
            kind.as_str(),
            key.as_ref().map(|key| key.as_str()),
            job.client_id.as_ref().map(|id| id.as_str()),
            guard.as_ref().map(stored::write_guard),
            stored::write_policy(*retry),
            stored::write_history(&job.history, &mut self.scratch),
        ])?;
        self.counted(Table::Ended, id, 1);
        let block = retention::block(id);
        if index.blocks.get(&block).is_none_or(|oldest| at.0 < *oldest) {
            self.set_block(block, Some(at.0), index)?;
        }
        Ok(())
    }

    /// Writes when the oldest end in a block was, if there is one.
    pub(in crate::sqlite) fn set_block(&mut self, block: i64, oldest: Option<i64>, index: &mut Index) -> Sql {
        self.begin()?;
        match oldest {
            Some(oldest) => {
                self.statements.block.execute([block, oldest])?;
                index.blocks.insert(block, oldest);
            }
            None => {
                self.statements.remove_block.execute([block])?;
                index.blocks.remove(&block);
            }
        }
        Ok(())
    }

    /// Writes a lease. It must last if the job has a key or a guard.
    pub(in crate::sqlite) fn lease(&mut self, job: &Job, run: &Run) -> Sql {
        self.begin_lease(&job.spec)?;
        let id = id(job.id);
        let Run { lease, until, worker, started } = run;
        self.statements.lease.execute(params![
            id,
            lease.0.cast_signed(),
            until.wall.0,
            mono(*until),
            worker,
            started.0
        ])?;
        self.counted(Table::Leases, id, 1);
        Ok(())
    }

    pub(in crate::sqlite) fn extend(&mut self, id: JobId, spec: &Spec, until: Moment) -> Sql {
        self.begin_lease(spec)?;
        self.statements.extend.execute(params![self::id(id), until.wall.0, mono(until)])?;
        Ok(())
    }

    fn begin_lease(&mut self, spec: &Spec) -> Sql {
        if spec.key.is_some() || spec.guard.is_some() { self.begin_to_last() } else { self.begin() }
    }

    pub(in crate::sqlite) fn remove_lease(&mut self, id: JobId) -> Sql {
        self.begin_to_last()?;
        let id = self::id(id);
        self.statements.remove_lease.execute([id])?;
        self.counted(Table::Leases, id, -1);
        Ok(())
    }

    pub(in crate::sqlite) fn remove_live(&mut self, id: JobId) -> Sql {
        self.begin_to_last()?;
        self.fresh.take(id.0);
        let id = self::id(id);
        self.statements.remove_live.execute([id])?;
        self.counted(Table::Jobs, id, -1);
        Ok(())
    }

    pub(in crate::sqlite) fn remove_dead(&mut self, id: JobId) -> Sql {
        self.begin_to_last()?;
        let id = self::id(id);
        self.statements.remove_dead.execute([id])?;
        self.counted(Table::Dead, id, -1);
        Ok(())
    }

    /// Removes an ended job, and what it carried.
    pub(in crate::sqlite) fn remove_ended(&mut self, id: i64) -> Sql {
        self.begin_to_last()?;
        self.statements.remove_ended.execute([id])?;
        self.statements.remove_payload.execute([id])?;
        self.counted(Table::Ended, id, -1);
        Ok(())
    }

    pub(in crate::sqlite) fn add_queue(&mut self, number: QueueNo, name: &QueueName, pushed: bool) -> Sql {
        self.begin_to_last()?;
        self.statements.add_queue.execute(params![number, name.as_str(), pushed])?;
        Ok(())
    }

    /// A job was pushed to a queue for the first time.
    pub(in crate::sqlite) fn push_queue(&mut self, number: QueueNo) -> Sql {
        self.begin_to_last()?;
        self.statements.push_queue.execute([number])?;
        Ok(())
    }

    pub(in crate::sqlite) fn remove_queue(&mut self, number: QueueNo) -> Sql {
        self.begin_to_last()?;
        self.statements.remove_queue.execute([number])?;
        Ok(())
    }

    pub(in crate::sqlite) fn pause(&mut self, number: QueueNo, pause: Option<&job::Pause>) -> Sql {
        self.begin_to_last()?;
        let (until, until_mono) = may(pause.and_then(|pause| pause.until));
        self.statements.pause.execute(params![
            number,
            pause.map(|pause| &pause.by),
            pause.map(|pause| &pause.reason),
            pause.map(|pause| pause.since.0),
            until,
            until_mono
        ])?;
        Ok(())
    }

    pub(in crate::sqlite) fn remember(&mut self, clocks: &Remembered) -> Sql {
        self.begin_to_last()?;
        self.statements.remember.execute(params![clocks.boot, clocks.offset])?;
        Ok(())
    }

    /// A row came or went: a count that is under way must know, if it has been
    /// there.
    fn counted(&mut self, table: Table, id: i64, by: i64) {
        if let Some(counting) = &mut self.counting {
            counting.changed(table, id, by);
        }
    }
}

/// The integer as SQLite has it; ids are given up to its largest.
pub(super) fn id(id: JobId) -> i64 {
    id.0.cast_signed()
}

/// The class of the last error, for the index.
fn last_error(job: &Job) -> &str {
    let errors = job.history.attempts().iter().rev().filter_map(|attempt| match &attempt.happened {
        Happened::Failed { error } => Some(error.class.as_str()),
        Happened::Done { .. }
        | Happened::Skipped { .. }
        | Happened::Rescued
        | Happened::Snoozed { .. }
        | Happened::GuardFailed { .. } => None,
    });
    errors.into_iter().next().unwrap_or_default()
}
