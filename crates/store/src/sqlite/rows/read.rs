//! How a job is read. A row that is not what it should be is
//! [`Trouble::Unreadable`], whoever wrote it.

use std::str::FromStr;

use hashbrown::{HashMap, HashSet};
use job::{
    Cause, ClientId, Job, JobId, Key, KindName, Lease, Moment, Mono, Outcome, Payload, QueueName, Run, Spec, State,
    Timestamp, Wait,
};
use rusqlite::{OptionalExtension, Row, Statement};

use super::Rows;
use super::write::id;
use crate::sqlite::index::{Index, QueueNo, Waiter};
use crate::sqlite::stored::{self, Unreadable};
use crate::sqlite::trouble::Trouble;

/// The columns of a row, by place.
pub(in crate::sqlite) struct Columns<'r>(pub(in crate::sqlite) &'r Row<'r>);

type Read<T> = Result<T, Unreadable>;

impl<'r> Columns<'r> {
    fn get<T>(&self, place: usize, read: impl FnOnce(rusqlite::types::ValueRef<'r>) -> Option<T>) -> Read<T> {
        let value = self.0.get_ref(place).map_err(|error| Unreadable::new("row", error))?;
        read(value).ok_or_else(|| {
            let name = self.0.as_ref().column_name(place).unwrap_or("?");
            Unreadable::new("row", format!("the column `{name}` is a {}", value.data_type()))
        })
    }

    pub(in crate::sqlite) fn int(&self, place: usize) -> Read<i64> {
        self.get(place, |value| value.as_i64().ok())
    }

    pub(in crate::sqlite) fn number<T: TryFrom<i64>>(&self, place: usize) -> Read<T> {
        self.get(place, |value| value.as_i64().ok().and_then(|value| value.try_into().ok()))
    }

    pub(in crate::sqlite) fn may_int(&self, place: usize) -> Read<Option<i64>> {
        self.get(place, |value| value.as_i64_or_null().ok())
    }

    pub(in crate::sqlite) fn text(&self, place: usize) -> Read<&'r str> {
        self.get(place, |value| value.as_str().ok())
    }

    pub(in crate::sqlite) fn may_text(&self, place: usize) -> Read<Option<&'r str>> {
        self.get(place, |value| value.as_str_or_null().ok())
    }

    fn name<T: FromStr<Err: ToString>>(&self, place: usize, what: &'static str) -> Read<Option<T>> {
        self.may_text(place)?.map(str::parse).transpose().map_err(|error: T::Err| Unreadable::new(what, error))
    }

    /// A moment, in two columns.
    pub(in crate::sqlite) fn moment(&self, place: usize) -> Read<Moment> {
        Ok(Moment { wall: Timestamp(self.int(place)?), mono: self.may_int(place + 1)?.map(Mono) })
    }

    pub(in crate::sqlite) fn may_moment(&self, place: usize) -> Read<Option<Moment>> {
        match self.may_int(place)? {
            Some(wall) => Ok(Some(Moment { wall: Timestamp(wall), mono: self.may_int(place + 1)?.map(Mono) })),
            None => Ok(None),
        }
    }

    pub(in crate::sqlite) fn payload(&self, place: usize) -> Read<Payload> {
        let bytes = self.get(place, |value| value.as_blob().ok())?;
        Payload::new(bytes).map_err(|error| Unreadable::new("payload", error))
    }
}

/// Names of queues, by the numbers that stand for them.
pub(in crate::sqlite) trait Queues {
    fn name(&self, queue: QueueNo) -> Option<&QueueName>;
}

impl Queues for Index {
    fn name(&self, queue: QueueNo) -> Option<&QueueName> {
        self.queue(queue).map(|queue| &queue.name)
    }
}

impl Queues for HashMap<QueueNo, QueueName> {
    fn name(&self, queue: QueueNo) -> Option<&QueueName> {
        self.get(&queue)
    }
}

/// What comes behind the columns that all jobs have.
const STATE: usize = 15;

/// The columns that all jobs have, in the order in which every statement names
/// them; the state is the caller's to read.
pub(in crate::sqlite) fn job(
    row: &Columns<'_>,
    id: i64,
    state: State,
    queues: &impl Queues,
    kinds: &mut HashSet<KindName>,
    payload: Payload,
) -> Read<Job> {
    let queue: QueueNo = row.number(0)?;
    let queue = queues.name(queue).ok_or_else(|| Unreadable::new("queue", format!("there is no number {queue}")))?;
    let kind = row.text(1)?;
    let kind = match kinds.get(kind) {
        Some(kind) => kind.clone(),
        None => {
            let kind: KindName = kind.parse().map_err(|error| Unreadable::new("kind", error))?;
            if kinds.len() >= 1_024 {
                kinds.clear();
            }
            kinds.insert(kind.clone());
            kind
        }
    };
    Ok(Job {
        id: JobId(id.cast_unsigned()),
        client_id: row.name::<ClientId>(3, "client id")?,
        spec: Spec {
            queue: queue.clone(),
            kind,
            payload,
            priority: row.number(5)?,
            key: row.name::<Key>(2, "key")?,
            guard: row.may_text(4)?.map(stored::read_guard).transpose()?,
            expires: row.may_moment(6)?,
            retry: stored::read_policy(row.may_text(8)?)?,
        },
        pushed: Timestamp(row.int(9)?),
        state,
        attempt: row.number(10)?,
        failures: row.number(11)?,
        rescues: row.number(12)?,
        snoozes: row.number(13)?,
        history: stored::read_history(row.may_text(14)?)?,
    })
}

pub(in crate::sqlite) fn waiting(row: &Columns<'_>) -> Read<State> {
    Ok(State::Waiting { due: row.moment(STATE)?, wait: wait(row.int(10)?), ask_at: row.may_moment(STATE + 2)? })
}

/// What a job waits for that was started so often.
pub(in crate::sqlite) fn wait(attempt: i64) -> Wait {
    if attempt == 0 { Wait::First } else { Wait::Again }
}

pub(in crate::sqlite) fn dead(row: &Columns<'_>) -> Read<State> {
    let cause: usize = row.number(STATE + 1)?;
    let cause = Cause::ALL.get(cause).ok_or_else(|| Unreadable::new("cause", format!("there is no number {cause}")))?;
    Ok(State::Dead { since: Timestamp(row.int(STATE)?), cause: *cause })
}

pub(in crate::sqlite) fn outcome(row: &Columns<'_>, place: usize) -> Read<Outcome> {
    let outcome: usize = row.number(place)?;
    Outcome::ALL
        .get(outcome)
        .copied()
        .ok_or_else(|| Unreadable::new("outcome", format!("there is no number {outcome}")))
}

pub(in crate::sqlite) fn ended(row: &Columns<'_>) -> Read<State> {
    let detail = row.may_text(STATE + 2)?.map(str::to_owned);
    Ok(State::Ended { outcome: outcome(row, STATE + 1)?, at: Timestamp(row.int(STATE)?), detail })
}

/// What memory must know of a waiting job.
pub(in crate::sqlite) fn waiter(row: &Columns<'_>, index: &mut Index) -> Read<Waiter> {
    let queue: QueueNo = row.number(1)?;
    let name = index.queue(queue).ok_or_else(|| Unreadable::new("queue", format!("there is no number {queue}")))?;
    let key = row.may_text(11)?.map(|key| index.hash_of_key(name.name.as_str(), key));
    let guarded = row.int(10)? != 0;
    Ok(Waiter {
        id: row.int(0)?.cast_unsigned(),
        queue,
        lane: index.lane(queue, row.text(13)?),
        priority: row.number(2)?,
        due: row.moment(3)?,
        ask_at: if guarded { row.may_moment(5)?.filter(|at| at.mono.is_some()) } else { None },
        expires: row.may_moment(7)?,
        again: row.int(9)? > 0,
        guarded,
        key,
    })
}

/// The lease of a job that runs.
pub(in crate::sqlite) fn running(row: &Columns<'_>, place: usize) -> Read<State> {
    Ok(State::Running(Run {
        lease: Lease(row.int(place)?.cast_unsigned()),
        until: row.moment(place + 1)?,
        worker: row.text(place + 3)?.to_owned(),
        started: Timestamp(row.int(place + 4)?),
    }))
}

/// A job that runs, as it is read at the start.
pub(in crate::sqlite) fn run(row: &Columns<'_>, index: &Index) -> Read<Job> {
    let state = running(row, STATE + 1)?;
    let mut job = job(row, row.int(STATE)?, state, index, &mut HashSet::new(), Payload::default())?;
    job.attempt += 1;
    Ok(job)
}

/// Makes the one row of a statement into something, if there is one.
pub(in crate::sqlite) fn one<T>(
    statement: &mut Statement<'_>,
    id: i64,
    read: impl FnOnce(&Columns<'_>) -> Read<T>,
) -> Result<Option<T>, Trouble> {
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let read = read(&Columns(row)).map_err(|why| Trouble::Unreadable(JobId(id.cast_unsigned()), why))?;
    Ok(Some(read))
}

impl Rows<'_> {
    /// A job that waits, with what it carries.
    pub(in crate::sqlite) fn waiting_whole(&mut self, id: u64, index: &Index) -> Result<Option<Job>, Trouble> {
        if let Some(job) = self.fresh.take(id) {
            return Ok(Some(job));
        }
        let (id, kinds) = (id.cast_signed(), &mut self.kinds);
        one(&mut self.statements.claim, id, |row| job(row, id, waiting(row)?, index, kinds, row.payload(STATE + 4)?))
    }

    /// A job that waits, without what it carries.
    pub(in crate::sqlite) fn waiting(&mut self, id: u64, index: &Index) -> Result<Option<Job>, Trouble> {
        let (id, kinds, blank) = (id.cast_signed(), &mut self.kinds, self.blank.clone());
        one(&mut self.statements.live, id, |row| job(row, id, waiting(row)?, index, kinds, blank))
    }

    /// What memory must know of a waiting job.
    pub(in crate::sqlite) fn waiter(&mut self, id: u64, index: &mut Index) -> Result<Option<Waiter>, Trouble> {
        one(&mut self.statements.waiter, id.cast_signed(), |row| waiter(row, index))
    }

    /// A dead job, without what it carries.
    pub(in crate::sqlite) fn dead(&mut self, id: u64, index: &Index) -> Result<Option<Job>, Trouble> {
        let (id, kinds, blank) = (id.cast_signed(), &mut self.kinds, self.blank.clone());
        one(&mut self.statements.dead, id, |row| job(row, id, dead(row)?, index, kinds, blank))
    }

    /// An ended job, without what it carried.
    pub(in crate::sqlite) fn ended(&mut self, id: u64, index: &Index) -> Result<Option<Job>, Trouble> {
        let (id, kinds, blank) = (id.cast_signed(), &mut self.kinds, self.blank.clone());
        one(&mut self.statements.ended, id, |row| job(row, id, ended(row)?, index, kinds, blank))
    }

    /// What a job carries.
    pub(in crate::sqlite) fn payload(&mut self, id: JobId) -> Result<Payload, Trouble> {
        one(&mut self.statements.payload, self::id(id), |row| row.payload(0))?
            .ok_or_else(|| Trouble::Unreadable(id, Unreadable::new("payload", "it is not there")))
    }

    /// A job as it is in memory, without what it carries.
    pub(in crate::sqlite) fn without_payload(&self, job: &Job) -> Job {
        let mut job = job.clone();
        job.spec.payload = self.blank.clone();
        job
    }

    /// How a job ended, if it has.
    pub(in crate::sqlite) fn outcome(&mut self, id: u64) -> Result<Option<Outcome>, Trouble> {
        one(&mut self.statements.outcome, id.cast_signed(), |row| outcome(row, 0))
    }

    /// Whether a live job has a client id.
    pub(in crate::sqlite) fn has_client(&mut self, id: u64, client_id: &str) -> Result<bool, Trouble> {
        Ok(self.statements.has_client.exists((id.cast_signed(), client_id))?)
    }

    /// The dead job, or else the ended one, that has a client id.
    pub(in crate::sqlite) fn resting_client(&mut self, client_id: &str) -> Result<Option<u64>, Trouble> {
        for statement in [&mut self.statements.dead_client, &mut self.statements.ended_client] {
            if let Some(id) = statement.query_row([client_id], |row| row.get::<_, i64>(0)).optional()? {
                return Ok(Some(id.cast_unsigned()));
            }
        }
        Ok(None)
    }

    /// The first ended jobs from `first` to `last` that ended before `at`.
    pub(in crate::sqlite) fn ended_before(
        &mut self,
        (first, last): (i64, i64),
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<i64>, Trouble> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let ids = self.statements.ended_before.query_map((first, last, at.0, limit), |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// When the first of the jobs from `first` to `last` ended.
    pub(in crate::sqlite) fn oldest_end(&mut self, (first, last): (i64, i64)) -> Result<Option<i64>, Trouble> {
        Ok(self.statements.oldest_end.query_row((first, last), |row| row.get(0))?)
    }
}
