//! The one loop: it hears the bell and serves those who wait.
//!
//! Everything that happens reaches it as one [`Event`]. It never waits for a
//! store or a guard: their answers are events, too. It never ends but when it is
//! told to.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use job::Now;
use store::jobs::{Advanced, Claim, Claimed, Question};
use store::{Bell, Error as StoreError, Rung};
use tokio::time::Instant;

use crate::asking::{self, Asked, Asking, Call, Inquiry};
use crate::backoff::Backoff;
use crate::findings::Verb;
use crate::takers::{After, Errand};
use crate::timers::Timers;
use crate::{BoxFuture, Guards, Shared};

/// The most that is done in the store at once when time passes, or when old
/// ended jobs are removed, so that others get their turn in between.
const SLICE: usize = 500;
/// How often old ended jobs are removed.
const RETAIN_EVERY: Duration = Duration::from_secs(60);
/// How long others have their turn between two slices of that.
const RETAIN_PAUSE: Duration = Duration::from_millis(10);
/// How often the clocks are remembered, if anything changed.
const REMEMBER_EVERY: Duration = Duration::from_secs(10);
/// How long stopping waits for the answers to claims that are under way.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// The most ids that are named in one line of the log.
const MAX_NAMED: usize = 10;

/// Everything that can happen.
#[derive(Debug)]
enum Event {
    /// The store rang.
    Heard(Rung),
    /// Somebody joined those who wait, or came by.
    Poked,
    /// It may be time for something.
    Tick,
    /// A claim for somebody who waits was answered.
    Claimed(Errand, Result<Claimed, StoreError>),
    /// Time passed in the store.
    Advanced(Result<Advanced, StoreError>),
    /// The store was asked for guards to be asked.
    Called(Call, Result<Vec<Question>, StoreError>),
    /// A guard was asked.
    Asked(Asked),
    /// Old ended jobs were removed.
    Retained(Result<usize, StoreError>),
    /// The clocks were remembered.
    Remembered(Result<(), StoreError>),
    /// It is to end.
    Stop,
}

/// The loop, and what it alone knows.
pub(crate) struct Dispatch {
    shared: Arc<Shared>,
    guards: Arc<dyn Guards>,
    bell: Arc<Bell>,
    timers: Timers,
    asking: Asking,
    under_way: FuturesUnordered<BoxFuture<'static, Event>>,
    /// The store was busy: no claims and no questions before then.
    hold: Option<Instant>,
    backoff: Backoff,
    /// When old jobs are removed next, and when the clocks are remembered next;
    /// nothing while that is under way.
    retain: Option<Instant>,
    remember: Option<Instant>,
}

impl Dispatch {
    pub(crate) fn new(shared: Arc<Shared>, guards: Arc<dyn Guards>) -> Self {
        let at = Instant::now();
        Self {
            bell: shared.store.bell(),
            shared,
            guards,
            timers: Timers::new(at),
            asking: Asking::default(),
            under_way: FuturesUnordered::new(),
            hold: None,
            backoff: Backoff::default(),
            retain: Some(at + RETAIN_EVERY),
            remember: Some(at),
        }
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self) {
        loop {
            self.look_at_the_clocks();
            self.serve();
            match self.next().await {
                Event::Heard(rung) => {
                    if rung.timers {
                        self.timers.rung();
                    }
                    self.shared.takers().hear(&rung);
                }
                // What there is to do then is done before the next event.
                Event::Poked | Event::Tick => {}
                Event::Claimed(errand, answer) => self.claimed(&errand, answer),
                Event::Advanced(answer) => self.advanced(answer),
                Event::Called(call, answer) => self.called(&call, answer),
                Event::Asked(asked) => self.asked(asked),
                Event::Retained(answer) => self.retained(&answer),
                Event::Remembered(answer) => self.remembered(&answer),
                Event::Stop => return self.wind_up().await,
            }
        }
    }

    async fn next(&mut self) -> Event {
        let tick = [self.hold, self.timers.wake(), self.retain, self.remember].into_iter().flatten().min();
        let tick = tick.unwrap_or_else(|| Instant::now() + REMEMBER_EVERY);
        tokio::select! {
            () = self.shared.stopping.cancelled() => Event::Stop,
            Some(event) = self.under_way.next() => event,
            rung = self.bell.heard() => Event::Heard(rung),
            () = self.shared.poke.notified() => Event::Poked,
            () = tokio::time::sleep_until(tick) => Event::Tick,
        }
    }

    /// Does what is due.
    fn look_at_the_clocks(&mut self) {
        let (now, at) = (self.shared.now(), Instant::now());
        let store = &self.shared.store;
        if self.timers.due(now, at) {
            let reply = store.advance(SLICE, now);
            self.under_way.push(Box::pin(async move { Event::Advanced(reply.await) }));
        }
        if self.retain.is_some_and(|due| at >= due) {
            self.retain = None;
            let reply = store.retain(SLICE, now);
            self.under_way.push(Box::pin(async move { Event::Retained(reply.await) }));
        }
        if self.remember.is_some_and(|due| at >= due) {
            self.remember = Some(at + REMEMBER_EVERY);
            if self.shared.changed() {
                self.remember = None;
                let reply = store.remember(self.shared.clock.remember());
                self.under_way.push(Box::pin(async move { Event::Remembered(reply.await) }));
            }
        }
        if self.hold.is_some_and(|hold| at >= hold) {
            self.hold = None;
        }
    }

    /// Claims for those who wait where there may be something, and has guards
    /// asked for them.
    fn serve(&mut self) {
        if self.hold.is_some() {
            return;
        }
        loop {
            let Some(errand) = self.shared.takers().errand() else { break };
            self.claim(errand);
        }
        let (unasked, once) = self.shared.takers().unasked();
        unasked.into_iter().for_each(|(place, heard)| self.asking.unasked(place, heard));
        for (from, limit) in once {
            if let Some(call) = self.asking.once(from, limit) {
                self.call(call);
            }
        }
        loop {
            let takers = self.shared.takers();
            let Some(call) = self.asking.next(|place, cap| takers.wanted(place, cap)) else { break };
            drop(takers);
            self.call(call);
        }
    }

    fn claim(&mut self, errand: Errand) {
        let claim = Claim {
            from: errand.from.clone(),
            limit: errand.limit,
            worker: errand.worker.clone(),
            lease_for: errand.lease_for,
            seed: self.shared.draw.seed(),
        };
        self.shared.changing();
        let reply = self.shared.store.claim(claim, self.shared.now());
        self.under_way.push(Box::pin(async move { Event::Claimed(errand, reply.await) }));
    }

    fn claimed(&mut self, errand: &Errand, answer: Result<Claimed, StoreError>) {
        self.note(Verb::Claim, answer.as_ref().err());
        let after = self.shared.takers().settle(errand, answer);
        match after {
            After::Nothing => {}
            After::GiveBack(jobs) => self.shared.give_back(jobs),
        }
    }

    fn call(&mut self, call: Call) {
        let give_up = asking::give_up(&*self.guards);
        let reply = self.shared.store.ask(call.from.clone(), call.limit, give_up, self.shared.now());
        self.under_way.push(Box::pin(async move { Event::Called(call, reply.await) }));
    }

    fn called(&mut self, call: &Call, answer: Result<Vec<Question>, StoreError>) {
        self.note(Verb::Ask, answer.as_ref().err());
        self.asking.called(call, answer.as_deref().ok());
        for question in answer.unwrap_or_default() {
            let (shared, guards) = (Arc::clone(&self.shared), Arc::clone(&self.guards));
            self.inquire(Inquiry::new(shared, guards, &call.from, question));
        }
    }

    fn inquire(&mut self, inquiry: Inquiry) {
        self.under_way.push(Box::pin(async move { Event::Asked(inquiry.go_on().await) }));
    }

    fn asked(&mut self, asked: Asked) {
        match asked {
            Asked::Done { place, slow } => {
                let heard = self.shared.takers().hear_of(&place);
                self.asking.done(&place, slow, heard);
            }
            Asked::Slow(inquiry) => {
                self.asking.slow(&inquiry);
                self.inquire(inquiry);
            }
        }
    }

    fn advanced(&mut self, answer: Result<Advanced, StoreError>) {
        self.note_only(Verb::Advance, answer.as_ref().err());
        match answer {
            Ok(advanced) => {
                self.timers.advanced(&advanced, Instant::now());
                report(&advanced, self.shared.now());
            }
            Err(_) => self.timers.failed(Instant::now()),
        }
    }

    fn retained(&mut self, answer: &Result<usize, StoreError>) {
        self.note_only(Verb::Retain, answer.as_ref().err());
        let pause = match answer {
            Ok(1..) => RETAIN_PAUSE,
            Ok(0) | Err(_) => RETAIN_EVERY,
        };
        self.retain = Some(Instant::now() + pause);
    }

    fn remembered(&mut self, answer: &Result<(), StoreError>) {
        self.note_only(Verb::Remember, answer.as_ref().err());
        if answer.is_err() {
            self.shared.changing();
        }
        self.remember = Some(Instant::now() + REMEMBER_EVERY);
    }

    /// Notes how a call for somebody who waits went: after a failure the next
    /// wait a little.
    fn note(&mut self, verb: Verb, error: Option<&StoreError>) {
        self.note_only(verb, error);
        match error {
            None => self.backoff.worked(),
            // Those that were under way together fail together, which is once.
            Some(_) if self.hold.is_none() => self.hold = Some(Instant::now() + self.backoff.failed()),
            Some(_) => {}
        }
    }

    fn note_only(&self, verb: Verb, error: Option<&StoreError>) {
        match error {
            None => self.shared.findings.worked(verb),
            Some(error) => self.shared.findings.failed(verb, error, self.shared.now()),
        }
    }

    /// Answers everybody who waits.
    async fn wind_up(mut self) {
        self.shared.takers().close();
        let until = Instant::now() + STOP_PATIENCE;
        while self.shared.takers().errands() > 0 {
            match tokio::time::timeout_at(until, self.under_way.next()).await {
                Ok(Some(Event::Claimed(errand, answer))) => self.claimed(&errand, answer),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.shared.takers().abandon();
    }
}

/// Says what happened by the passing of time alone.
fn report(advanced: &Advanced, now: Now) {
    if !advanced.rescued.is_empty() {
        let named: Vec<_> = advanced.rescued.iter().take(MAX_NAMED).map(ToString::to_string).collect();
        let (count, jobs) = (advanced.rescued.len(), named.join(", "));
        tracing::warn!(count, jobs, "workers were lost, or too slow to say that they live; their jobs were taken back");
    }
    for (queue, pause) in &advanced.resumed {
        let held = now.wall.since(pause.since);
        tracing::info!(%queue, by = pause.by, reason = pause.reason, %held, "a pause ended by itself");
    }
}
