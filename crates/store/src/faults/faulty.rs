//! A store that passes every call on, through its fault.

use std::collections::BTreeMap;
use std::sync::Arc;

use job::time::Remembered;
use job::{Answer, JobId, JobRef, Lease, Ledger, NewJob, Now, Pause, QueueName, Span, Timestamp};

use super::{Fault, Verb};
use crate::Store;
use crate::bell::Bell;
use crate::jobs::{
    Advanced, AskId, Cancel, Cancelled, Claim, Claimed, Discarded, Finish, Found, From, Jobs, Page, Pushed, Question,
    QueueState, Recount, Revived, Search, Settled, Stale,
};
use crate::records::{Health, Identity, Records};
use crate::reply::Reply;

/// A store with a fault.
#[derive(Debug)]
pub struct Faulty<F, S: ?Sized = dyn Store> {
    /// What goes wrong.
    pub fault: F,
    store: Arc<S>,
}

impl<F: Fault, S: Store + ?Sized> Faulty<F, S> {
    /// Puts a fault around a store.
    pub fn new(fault: F, store: Arc<S>) -> Self {
        Self { fault, store }
    }

    fn call<T>(&self, verb: Verb, call: impl FnOnce(&S) -> Reply<T>) -> Reply<T> {
        if let Some(error) = self.fault.instead(verb) {
            return Reply::here(Err(error));
        }
        // The call is under way even if its answer is dropped here.
        let reply = call(&self.store);
        match self.fault.afterwards(verb) {
            Some(error) => Reply::here(Err(error)),
            None => reply,
        }
    }
}

impl<F: Fault, S: Store + ?Sized> Jobs for Faulty<F, S> {
    fn bell(&self) -> Arc<Bell> {
        self.store.bell()
    }

    fn push(&self, jobs: Vec<NewJob>, now: Now) -> Reply<Vec<Pushed>> {
        let named = jobs.iter().all(|job| job.client_id.is_some());
        self.call(Verb::Push { named }, |store| store.push(jobs, now))
    }

    fn claim(&self, claim: Claim, now: Now) -> Reply<Claimed> {
        self.call(Verb::Claim, |store| store.claim(claim, now))
    }

    fn extend(&self, id: JobRef, lease: Lease, for_: Span, now: Now) -> Reply<Result<Timestamp, Stale>> {
        self.call(Verb::Extend, |store| store.extend(id, lease, for_, now))
    }

    fn finish(&self, ends: Vec<Finish>, now: Now) -> Reply<Vec<Result<Settled, Stale>>> {
        self.call(Verb::Finish, |store| store.finish(ends, now))
    }

    fn cancel(&self, what: Cancel, by: String, now: Now) -> Reply<Cancelled> {
        let by_key = matches!(what, Cancel::Key(..));
        self.call(Verb::Cancel { by_key }, |store| store.cancel(what, by, now))
    }

    fn discard(&self, id: JobRef, by: String, now: Now) -> Reply<Discarded> {
        self.call(Verb::Discard, |store| store.discard(id, by, now))
    }

    fn revive(&self, id: JobRef, now: Now) -> Reply<Revived> {
        self.call(Verb::Revive, |store| store.revive(id, now))
    }

    fn ask(&self, from: From, limit: usize, give_up: Span, now: Now) -> Reply<Vec<Question>> {
        self.call(Verb::Ask, |store| store.ask(from, limit, give_up, now))
    }

    fn answer(&self, id: JobId, ask: AskId, answer: Answer, now: Now) -> Reply<Result<(), Stale>> {
        self.call(Verb::Answer, |store| store.answer(id, ask, answer, now))
    }

    fn advance(&self, limit: usize, now: Now) -> Reply<Advanced> {
        self.call(Verb::Advance, |store| store.advance(limit, now))
    }

    fn retain(&self, limit: usize, now: Now) -> Reply<usize> {
        self.call(Verb::Retain, |store| store.retain(limit, now))
    }

    fn get(&self, id: JobRef, now: Now) -> Reply<Option<Found>> {
        self.call(Verb::Look, |store| store.get(id, now))
    }

    fn search(&self, search: Search, now: Now) -> Reply<Page> {
        self.call(Verb::Look, |store| store.search(search, now))
    }

    fn queues(&self, now: Now) -> Reply<Vec<QueueState>> {
        self.call(Verb::Look, |store| store.queues(now))
    }

    fn ledger(&self) -> Reply<Ledger> {
        self.call(Verb::Look, |store| store.ledger())
    }

    fn recount(&self) -> Reply<Recount> {
        self.call(Verb::Look, |store| store.recount())
    }
}

impl<F: Fault, S: Store + ?Sized> Records for Faulty<F, S> {
    fn identity(&self) -> Identity {
        self.store.identity()
    }

    fn health(&self) -> Health {
        self.fault.health().unwrap_or_else(|| self.store.health())
    }

    fn pause(&self, queue: QueueName, pause: Pause, now: Now) -> Reply<()> {
        self.call(Verb::Pause, |store| store.pause(queue, pause, now))
    }

    fn resume(&self, queue: QueueName, now: Now) -> Reply<Option<Pause>> {
        self.call(Verb::Resume, |store| store.resume(queue, now))
    }

    fn pauses(&self) -> Reply<BTreeMap<QueueName, Pause>> {
        self.call(Verb::Look, |store| store.pauses())
    }

    fn remember(&self, clocks: Remembered) -> Reply<()> {
        self.call(Verb::Remember, |store| store.remember(clocks))
    }

    fn close(&self) -> Reply<()> {
        self.call(Verb::Close, |store| store.close())
    }
}
