//! Somebody wants jobs: at once if there are any, or by waiting.
//!
//! Who comes to where nobody waits claims straight away; only who finds nothing,
//! or finds others waiting, is parked until [`crate::dispatch`] has something
//! for it. Jobs that were claimed for somebody who went away before it got them
//! are given back at once, at every point where that can happen.

use std::sync::Arc;

use job::Span;
use store::Reply;
use store::jobs::{Claim, Claimed, From, Leased};
use tokio::sync::oneshot;

use crate::takers::{Answered, Look, TakerId, TimeUp};
use crate::{Error, Queue, Shared};

/// A wish to run jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// Where from.
    pub from: From,
    /// Who asks, as that worker calls itself.
    pub worker: String,
    /// How many at most; no more than [`Wish::MAX_LIMIT`] are handed out.
    pub limit: usize,
    /// How long to wait for the first; no longer than [`Wish::MAX_WAIT`].
    pub wait: Span,
    /// For how long each is leased.
    pub lease_for: Span,
}

impl Wish {
    /// The most jobs that are handed out at once.
    pub const MAX_LIMIT: usize = 1_000;
    /// The longest wait: a day.
    pub const MAX_WAIT: Span = Span::from_secs(86_400);
}

impl Queue {
    /// Hands out jobs; if there are none, waits for the first. None when the
    /// wait is over.
    ///
    /// Those who wait for the same queue get jobs in the order in which they
    /// came. Waiting costs nothing. Dropping the future ends the wait; a job that
    /// was claimed for it already goes back and is there for the next.
    ///
    /// # Errors
    /// Beside those of the store, [`Error::Busy`] if 10,000 wait already.
    pub async fn lease(&self, mut wish: Wish) -> Result<Vec<Leased>, Error> {
        let shared = &self.shared;
        shared.open()?;
        wish.limit = wish.limit.min(Wish::MAX_LIMIT);
        if wish.limit == 0 {
            return Ok(Vec::new());
        }
        let look = shared.takers().look(&wish.from);
        let mut claimed = Claimed::default();
        if let Some(from) = look.free.clone() {
            claimed = Hand::claim(shared, from, &wish).await?;
        }
        if !claimed.jobs.is_empty() || wish.wait == Span::ZERO {
            if claimed.unasked {
                // The guards of jobs that are due are asked for those who come
                // by, too, or a busy or impatient worker would never get them.
                shared.takers().ask_once(wish.from, wish.limit);
                shared.poke.notify_one();
            }
            return Ok(claimed.jobs);
        }
        let wait = wish.wait.min(Wish::MAX_WAIT).as_duration();
        let mut parked = Parked::new(shared, wish, &look, claimed.unasked)?;
        tokio::select! {
            biased;
            answer = &mut parked.answer => answer.unwrap_or(Err(Error::Closing)),
            () = tokio::time::sleep(wait) => parked.time_is_up().await,
        }
    }
}

/// A claim on the way to the one who made it.
struct Hand<'a> {
    shared: &'a Arc<Shared>,
    reply: Option<Reply<Claimed>>,
}

impl<'a> Hand<'a> {
    async fn claim(shared: &'a Arc<Shared>, from: From, wish: &Wish) -> Result<Claimed, Error> {
        let claim = Claim {
            from,
            limit: wish.limit,
            worker: wish.worker.clone(),
            lease_for: wish.lease_for,
            seed: shared.draw.seed(),
        };
        shared.changing();
        let mut hand = Self { shared, reply: Some(shared.store.claim(claim, shared.now())) };
        let claimed = match &mut hand.reply {
            Some(reply) => reply.await,
            None => Ok(Claimed::default()),
        };
        hand.reply = None;
        Ok(claimed?)
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        let Some(reply) = self.reply.take() else { return };
        let shared = Arc::clone(self.shared);
        self.shared.spawn(async move {
            if let Ok(claimed) = reply.await {
                shared.give_back(claimed.jobs);
            }
        });
    }
}

/// A taker that waits.
struct Parked<'a> {
    shared: &'a Arc<Shared>,
    id: TakerId,
    answer: oneshot::Receiver<Answered>,
}

impl<'a> Parked<'a> {
    fn new(shared: &'a Arc<Shared>, wish: Wish, look: &Look, unasked: bool) -> Result<Self, Error> {
        let (id, answer) = shared.takers().park(wish, look, unasked)?;
        shared.poke.notify_one();
        Ok(Self { shared, id, answer })
    }

    async fn time_is_up(&mut self) -> Answered {
        let time_up = self.shared.takers().time_up(self.id);
        match time_up {
            TimeUp::Left => Ok(Vec::new()),
            TimeUp::Soon => (&mut self.answer).await.unwrap_or(Err(Error::Closing)),
        }
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.shared.takers().leave(self.id);
        self.answer.close();
        if let Ok(Ok(jobs)) = self.answer.try_recv() {
            self.shared.give_back(jobs);
        }
    }
}
