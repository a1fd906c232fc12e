//! The reference: a store that keeps everything in memory, and nothing longer.
//!
//! It is written to be read. What a verb promises is what is written here, in
//! the fewest words: nearly every question is answered by looking through all
//! jobs, and nothing is counted along but the ledger. Tests compare the other
//! stores to it. It serves tests, and never an application.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use job::time::Remembered;
use job::{
    Answer, AppName, Clock, JobId, JobRef, Lease, Ledger, NewJob, Now, Pause, QueueName, Rules, Span, Timestamp,
};

use crate::bell::Bell;
use crate::error::Error;
use crate::jobs::{
    Advanced, AskId, Cancel, Cancelled, Claim, Claimed, Discarded, Finish, Found, From, Jobs, Page, Pushed, Question,
    QueueState, Recount, Revived, Search, Settled, Stale,
};
use crate::records::{Health, Identity, Records};
use crate::reply::Reply;

mod look;
mod passing;
mod tables;
mod take;
mod turn;

use tables::Tables;

/// A store in memory.
#[derive(Debug)]
pub struct Memory {
    identity: Identity,
    bell: Arc<Bell>,
    tables: Mutex<Tables>,
}

impl Memory {
    /// An empty store.
    pub fn new(app: AppName, rules: Rules, clock: &dyn Clock) -> Self {
        let draw = || RandomState::new().hash_one(0_u8);
        let identity = Identity {
            id: format!("{:016x}{:016x}", draw(), draw()),
            app,
            created: clock.now().wall,
            schema: 1,
            remembered: None,
        };
        Self { identity, bell: Arc::default(), tables: Mutex::new(Tables::new(rules)) }
    }

    /// What a store that keeps everything is after a restart: the same jobs and
    /// records under these rules, without what lasts only as long as a process.
    pub fn reopened(&self, rules: Rules) -> Self {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner).reopened(rules);
        let identity = Identity { remembered: tables.remembered.clone(), ..self.identity.clone() };
        Self { identity, bell: Arc::default(), tables: Mutex::new(tables) }
    }

    /// One whole transition, and then the bell.
    fn verb<T>(&self, act: impl FnOnce(&mut Tables) -> Result<T, Error>) -> Reply<T> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables.closed {
            return Reply::here(Err(Error::Closed));
        }
        let answer = act(&mut tables);
        let rung = mem::take(&mut tables.rung);
        drop(tables);
        self.bell.ring(&rung.queues, rung.timers);
        Reply::here(answer)
    }
}

impl Jobs for Memory {
    fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    fn push(&self, jobs: Vec<NewJob>, now: Now) -> Reply<Vec<Pushed>> {
        self.verb(|tables| tables.push(jobs, now))
    }

    fn claim(&self, claim: Claim, now: Now) -> Reply<Claimed> {
        self.verb(|tables| Ok(tables.claim(&claim, now)))
    }

    fn extend(&self, id: JobRef, lease: Lease, for_: Span, now: Now) -> Reply<Result<Timestamp, Stale>> {
        self.verb(|tables| Ok(tables.extend(&id, lease, for_, now)))
    }

    fn finish(&self, ends: Vec<Finish>, now: Now) -> Reply<Vec<Result<Settled, Stale>>> {
        self.verb(|tables| Ok(ends.into_iter().map(|end| tables.finish(end, now)).collect()))
    }

    fn cancel(&self, what: Cancel, by: String, now: Now) -> Reply<Cancelled> {
        self.verb(|tables| Ok(tables.cancel(&what, by, now)))
    }

    fn discard(&self, id: JobRef, by: String, now: Now) -> Reply<Discarded> {
        self.verb(|tables| Ok(tables.discard(&id, by, now)))
    }

    fn revive(&self, id: JobRef, now: Now) -> Reply<Revived> {
        self.verb(|tables| Ok(tables.revive(&id, now)))
    }

    fn ask(&self, from: From, limit: usize, give_up: Span, now: Now) -> Reply<Vec<Question>> {
        self.verb(|tables| Ok(tables.ask(&from, limit, give_up, now)))
    }

    fn answer(&self, id: JobId, ask: AskId, answer: Answer, now: Now) -> Reply<Result<(), Stale>> {
        self.verb(|tables| Ok(tables.answer(id, ask, answer, now)))
    }

    fn advance(&self, limit: usize, now: Now) -> Reply<Advanced> {
        self.verb(|tables| Ok(tables.advance(limit, now)))
    }

    fn retain(&self, limit: usize, now: Now) -> Reply<usize> {
        self.verb(|tables| Ok(tables.retain(limit, now)))
    }

    fn get(&self, id: JobRef, now: Now) -> Reply<Option<Found>> {
        self.verb(|tables| Ok(tables.get(&id, now)))
    }

    fn search(&self, search: Search, now: Now) -> Reply<Page> {
        self.verb(|tables| Ok(tables.search(&search, now)))
    }

    fn queues(&self, now: Now) -> Reply<Vec<QueueState>> {
        self.verb(|tables| Ok(tables.queues(now)))
    }

    fn ledger(&self) -> Reply<Ledger> {
        self.verb(|tables| Ok(tables.ledger))
    }

    fn recount(&self) -> Reply<Recount> {
        self.verb(|tables| Ok(tables.recount()))
    }
}

impl Records for Memory {
    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn health(&self) -> Health {
        Health::Serving
    }

    fn pause(&self, queue: QueueName, pause: Pause, _now: Now) -> Reply<()> {
        self.verb(|tables| tables.pause(queue, pause))
    }

    fn resume(&self, queue: QueueName, _now: Now) -> Reply<Option<Pause>> {
        self.verb(|tables| Ok(tables.resume(&queue)))
    }

    fn pauses(&self) -> Reply<BTreeMap<QueueName, Pause>> {
        self.verb(|tables| Ok(tables.pauses.clone()))
    }

    fn remember(&self, clocks: Remembered) -> Reply<()> {
        self.verb(|tables| {
            tables.remembered = Some(clocks);
            Ok(())
        })
    }

    fn close(&self) -> Reply<()> {
        self.verb(|tables| {
            tables.closed = true;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use job::time::ManualClock;
    use job::{Ending, Jitter, LeaseSeed, Outcome, Payload, Spec};

    use super::*;

    #[tokio::test]
    async fn a_job_goes_from_push_to_done_and_a_closed_store_answers_nothing() {
        let clock = ManualClock::at(Timestamp(0));
        let store = Memory::new("notice".parse().unwrap(), Rules::default(), &clock);
        let mail: QueueName = "mail".parse().unwrap();
        let spec = Spec::new(mail.clone(), "send".parse().unwrap(), Payload::default());
        let pushed = store.push(vec![NewJob::now(spec, clock.now())], clock.now()).await.unwrap();
        assert_eq!(pushed, [Pushed::New { id: JobId(1), replaced: None }]);
        assert_eq!(store.bell().heard().await.queues, [mail.clone()].into());
        let claim = Claim {
            from: From::Queues(vec![mail]),
            limit: 10,
            worker: "w1".into(),
            lease_for: Span::from_secs(60),
            seed: LeaseSeed(7),
        };
        let claimed = store.claim(claim, clock.now()).await.unwrap();
        let (id, lease) = (JobRef::Id(JobId(1)), claimed.jobs[0].lease);
        let end = Finish { id, lease, ending: Ending::Done { output: None }, jitter: Jitter::ZERO };
        let finished = store.finish(vec![end.clone(), end], clock.now()).await.unwrap();
        assert_eq!(finished, [Ok(Settled::Ended(Outcome::Done)), Err(Stale::NotRunning)]);
        assert!(store.recount().await.unwrap().agrees());
        store.close().await.unwrap();
        assert_eq!(store.ledger().await, Err(Error::Closed));
        assert_eq!(store.reopened(Rules::default()).ledger().await.unwrap().ended_as(Outcome::Done), 1);
    }
}
