//! Who waits for jobs, and whose turn it is.
//!
//! A taker stands in the line of every place that it wants jobs from, and is
//! claimed for where it is the first. It is claimed for only while the line is
//! hot ([`crate::lines`]), so that a taker that waits costs nothing.
//!
//! For a hot line one taker is tried first, and two more for each success: a
//! hundred takers do not storm the store for one job, and do not wait for each
//! other when there are a hundred.
//!
//! Pure bookkeeping under one lock: it never waits and never calls a store.

use std::collections::HashMap;
use std::mem;

use job::Span;
use store::jobs::{Claimed, From, Leased};
use store::{Error as StoreError, Rung};
use tokio::sync::oneshot;

use crate::Error;
use crate::lease::Wish;
use crate::lines::{Line, Lines, Source};

/// The most takers that wait at once.
pub(crate) const MAX_PARKED: usize = 10_000;
/// The most claims that are under way at once.
const MAX_ERRANDS: usize = 512;
/// The most single wishes to have guards asked that are kept until they are
/// heard. Those beyond are dropped: whoever claims next says it again.
const MAX_ONCE: usize = 64;

/// What a taker is answered.
pub(crate) type Answered = Result<Vec<Leased>, Error>;

/// A taker's number; smaller came earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct TakerId(u64);

#[derive(Debug)]
struct Taker {
    wish: Wish,
    to: oneshot::Sender<Answered>,
    /// A claim for it is under way.
    claiming: bool,
    /// Its time is up: the claim that is under way is its last.
    leaving: bool,
}

/// What somebody saw of the lines before claiming without waiting.
#[derive(Debug)]
pub(crate) struct Look {
    /// The part of what is wished for where nobody waits already.
    pub(crate) free: Option<From>,
    heard: u64,
}

/// A claim to be made for a taker.
#[derive(Debug)]
pub(crate) struct Errand {
    taker: TakerId,
    pub(crate) from: From,
    pub(crate) limit: usize,
    pub(crate) worker: String,
    pub(crate) lease_for: Span,
    heard: u64,
}

/// What is to be done after an errand.
#[derive(Debug)]
pub(crate) enum After {
    /// Nothing: the taker waits on, or is gone.
    Nothing,
    /// These jobs were claimed for a taker that is gone.
    GiveBack(Vec<Leased>),
}

/// What became of a taker whose time is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimeUp {
    /// It does not wait any more.
    Left,
    /// A claim for it is under way; its answer comes when that is done.
    Soon,
}

/// Everybody who waits.
#[derive(Debug, Default)]
pub(crate) struct Takers {
    closed: bool,
    last: u64,
    /// Counts what was heard, so that "since" has a meaning.
    heard: u64,
    takers: HashMap<TakerId, Taker>,
    lines: Lines,
    errands: usize,
    /// Where a claim found nothing, takers wait, and guards could be asked; and
    /// what had been heard when the claim was made.
    unasked: HashMap<Source, u64>,
    /// Where somebody came by without waiting, and how many guards could be
    /// asked for it.
    once: Vec<(From, usize)>,
}

impl Takers {
    /// Looks where nobody waits already, so that a claim there is nobody's turn.
    pub(crate) fn look(&self, from: &From) -> Look {
        let free = |source: &Source| self.lines.get(source).is_none_or(Line::is_deserted);
        Look { free: Source::narrow(from, free), heard: self.heard }
    }

    /// Lets a taker wait that looked, and found nothing where nobody waits.
    /// `unasked` says that guards could be asked there.
    pub(crate) fn park(
        &mut self,
        wish: Wish,
        look: &Look,
        unasked: bool,
    ) -> Result<(TakerId, oneshot::Receiver<Answered>), Error> {
        let (to, answer) = oneshot::channel();
        self.last += 1;
        let id = TakerId(self.last);
        if self.closed {
            to.send(Ok(Vec::new())).ok();
            return Ok((id, answer));
        }
        if self.takers.len() >= MAX_PARKED {
            return Err(Error::Busy(format!(
                "{MAX_PARKED} takers wait already, which is the most that may; ask again later, or with fewer workers"
            )));
        }
        let tried = look.free.as_ref().filter(|_| look.heard == self.heard).map(Source::all).unwrap_or_default();
        for source in Source::all(&wish.from) {
            let line = self.lines.begin(&source);
            let known = !line.is_deserted() || tried.contains(&source);
            line.waiting.insert(id);
            if !known {
                self.lines.heat(&source);
            }
        }
        if unasked {
            let sources = look.free.as_ref().map(Source::all).unwrap_or_default();
            self.unasked.extend(sources.into_iter().map(|source| (source, look.heard)));
        }
        self.takers.insert(id, Taker { wish, to, claiming: false, leaving: false });
        Ok((id, answer))
    }

    /// Somebody who does not wait came by, and guards could be asked there.
    pub(crate) fn ask_once(&mut self, from: From, limit: usize) {
        if self.once.len() < MAX_ONCE {
            self.once.push((from, limit));
        }
    }

    /// Takes what was said about guards that could be asked: where takers wait,
    /// and for those who came by.
    pub(crate) fn unasked(&mut self) -> (HashMap<Source, u64>, Vec<(From, usize)>) {
        (mem::take(&mut self.unasked), mem::take(&mut self.once))
    }

    /// The bell was heard.
    pub(crate) fn hear(&mut self, rung: &Rung) {
        if rung.queues.is_empty() {
            return;
        }
        self.heard += 1;
        for source in self.lines.concerned(rung) {
            self.ring(&source);
        }
    }

    /// A guard was asked for those who wait at `source`: as if the bell had rung
    /// for it alone. Answers what was heard up to then, if anybody waits there.
    pub(crate) fn hear_of(&mut self, source: &Source) -> Option<u64> {
        self.lines.get(source)?;
        self.heard += 1;
        self.ring(source);
        Some(self.heard)
    }

    fn ring(&mut self, source: &Source) {
        let heard = self.heard;
        self.lines.begin(source).rung = heard;
        self.lines.heat(source);
    }

    /// The next claim to be made, if there is anything to claim for anybody.
    pub(crate) fn errand(&mut self) -> Option<Errand> {
        if self.errands >= MAX_ERRANDS {
            return None;
        }
        let first = self.lines.turn()?;
        self.send(first)
    }

    /// The claim for a taker: from where it is the first.
    fn send(&mut self, id: TakerId) -> Option<Errand> {
        let Wish { from, worker, limit, lease_for, wait: _ } = self.takers.get(&id)?.wish.clone();
        let first = |source: &Source| self.lines.get(source).is_some_and(|line| line.waiting.first() == Some(&id));
        let narrowed = Source::narrow(&from, first)?;
        self.takers.get_mut(&id)?.claiming = true;
        for source in Source::all(&from) {
            self.lines.begin(&source).waiting.remove(&id);
        }
        for source in Source::all(&narrowed) {
            self.lines.begin(&source).claiming += 1;
        }
        self.errands += 1;
        Some(Errand { taker: id, from: narrowed, limit, worker, lease_for, heard: self.heard })
    }

    /// How many claims are under way.
    pub(crate) fn errands(&self) -> usize {
        self.errands
    }

    /// The claim was answered.
    pub(crate) fn settle(&mut self, errand: &Errand, answer: Result<Claimed, StoreError>) -> After {
        self.errands -= 1;
        let sources = Source::all(&errand.from);
        let found = answer.as_ref().is_ok_and(|claimed| !claimed.jobs.is_empty());
        let nothing = answer.as_ref().is_ok_and(|claimed| claimed.jobs.is_empty());
        for source in &sources {
            let line = self.lines.begin(source);
            line.claiming -= 1;
            if found {
                line.widen()
            } else {
                line.narrow()
            }
            if nothing && line.rung <= errand.heard {
                self.lines.cool(source);
            }
        }
        let unasked = nothing && answer.as_ref().is_ok_and(|claimed| claimed.unasked);
        let after = match answer {
            Ok(claimed) if claimed.jobs.is_empty() => self.wait_on(errand.taker),
            Ok(claimed) => self.hand_over(errand.taker, Ok(claimed.jobs)),
            // Nothing is known of the line, so it stays as hot as it was.
            Err(StoreError::Busy(_) | StoreError::Full(_) | StoreError::Lost(_)) => self.wait_on(errand.taker),
            Err(error @ (StoreError::Damaged(_) | StoreError::Closed)) => {
                self.hand_over(errand.taker, Err(error.into()))
            }
        };
        if unasked {
            self.unasked.extend(sources.iter().map(|source| (source.clone(), errand.heard)));
        }
        for source in &sources {
            self.lines.tidy(source);
        }
        after
    }

    /// Puts a taker back into its lines, at its old place.
    fn wait_on(&mut self, id: TakerId) -> After {
        let Some(taker) = self.takers.get_mut(&id) else { return After::Nothing };
        if taker.leaving {
            return self.hand_over(id, Ok(Vec::new()));
        }
        taker.claiming = false;
        for source in Source::all(&taker.wish.from.clone()) {
            // A line that was deserted meanwhile has forgotten whether it was hot.
            let unknown = self.lines.get(&source).is_none();
            self.lines.begin(&source).waiting.insert(id);
            if unknown {
                self.lines.heat(&source);
            }
        }
        After::Nothing
    }

    fn hand_over(&mut self, id: TakerId, answer: Answered) -> After {
        let unwanted = match self.takers.remove(&id) {
            Some(taker) => taker.to.send(answer).err(),
            None => Some(answer),
        };
        match unwanted {
            Some(Ok(jobs)) if !jobs.is_empty() => After::GiveBack(jobs),
            Some(_) | None => After::Nothing,
        }
    }

    /// A taker went away.
    pub(crate) fn leave(&mut self, id: TakerId) {
        let Some(taker) = self.takers.remove(&id) else { return };
        for source in Source::all(&taker.wish.from) {
            if let Some(line) = self.lines.get_mut(&source) {
                line.waiting.remove(&id);
            }
            self.lines.tidy(&source);
        }
    }

    /// A taker has waited as long as it wished.
    pub(crate) fn time_up(&mut self, id: TakerId) -> TimeUp {
        match self.takers.get_mut(&id) {
            Some(taker) if taker.claiming => {
                taker.leaving = true;
                TimeUp::Soon
            }
            Some(_) => {
                self.leave(id);
                TimeUp::Left
            }
            // Its answer is on the way.
            None => TimeUp::Soon,
        }
    }

    /// How many jobs those who wait at `source` would take, up to `cap`.
    pub(crate) fn wanted(&self, source: &Source, cap: usize) -> usize {
        let Some(line) = self.lines.get(source) else { return 0 };
        let mut wanted = 0;
        for taker in line.waiting.iter().filter_map(|id| self.takers.get(id)) {
            wanted += taker.wish.limit;
            if wanted >= cap {
                return cap;
            }
        }
        wanted
    }

    /// Answers everybody who waits with nothing, and lets nobody wait any more.
    /// Those for whom a claim is under way are answered when it is.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        let waiting: Vec<_> = self.takers.iter().filter(|(_, taker)| !taker.claiming).map(|(id, _)| *id).collect();
        for id in waiting {
            self.hand_over(id, Ok(Vec::new()));
        }
        for taker in self.takers.values_mut() {
            taker.leaving = true;
        }
        self.lines.dissolve();
    }

    /// Forgets everybody: whoever still waits learns that nobody will answer.
    pub(crate) fn abandon(&mut self) {
        *self = Self { closed: true, last: self.last, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use job::{Job, JobId, Lease, NewJob, Now, Payload, QueueName, Spec, Timestamp};

    use super::*;

    fn queue(name: &str) -> QueueName {
        name.parse().unwrap()
    }

    fn from(queues: &[&str]) -> From {
        From::Queues(queues.iter().map(|name| queue(name)).collect())
    }

    fn wish(queues: &[&str]) -> Wish {
        Wish { from: from(queues), worker: "w".into(), limit: 1, wait: Span::MAX, lease_for: Span::MAX }
    }

    /// Waits, having found nothing where nobody waited.
    fn park(takers: &mut Takers, queues: &[&str]) -> (TakerId, oneshot::Receiver<Answered>) {
        let look = takers.look(&from(queues));
        takers.park(wish(queues), &look, false).unwrap()
    }

    fn ring(takers: &mut Takers, queues: &[&str]) {
        takers.hear(&Rung { queues: queues.iter().map(|name| queue(name)).collect(), timers: false });
    }

    fn errands(takers: &mut Takers) -> Vec<Errand> {
        std::iter::from_fn(|| takers.errand()).collect()
    }

    fn job() -> Claimed {
        let spec = Spec::new(queue("a"), "send".parse().unwrap(), Payload::default());
        let job = Job::new(JobId(1), NewJob::now(spec, Now::default()), Now::default());
        Claimed { jobs: vec![Leased { lease: Lease(1), until: Timestamp(0), job }], unasked: false }
    }

    #[test]
    fn one_is_tried_first_and_two_more_for_each_success() {
        let mut takers = Takers::default();
        let parked: Vec<_> = (0..20).map(|_| park(&mut takers, &["a"])).collect();
        assert_eq!(errands(&mut takers).len(), 0, "all know that there is nothing");
        ring(&mut takers, &["a"]);
        let mut tried = Vec::new();
        for _ in 0..4 {
            let errands = errands(&mut takers);
            tried.push(errands.len());
            for errand in &errands {
                takers.settle(errand, Ok(job()));
            }
        }
        assert_eq!(tried, [1, 2, 4, 8]);
        let errands = errands(&mut takers);
        assert_eq!(errands.len(), 5, "nobody else is left");
        takers.settle(&errands[0], Ok(Claimed::default()));
        assert!(takers.errand().is_none(), "there is nothing, and who asked is not asked for again");
        drop(parked);
    }

    #[test]
    fn a_taker_is_claimed_for_where_it_is_the_first_and_nowhere_else() {
        let mut takers = Takers::default();
        let _first = park(&mut takers, &["a"]);
        let _second = park(&mut takers, &["a", "b", "c"]);
        let _third = park(&mut takers, &["c"]);
        ring(&mut takers, &["b"]);
        let errands = errands(&mut takers);
        assert_eq!(errands.iter().map(|errand| errand.from.clone()).collect::<Vec<_>>(), [from(&["b", "c"])]);
        assert_eq!(takers.look(&from(&["a", "b", "c", "d"])).free, Some(from(&["d"])));
    }

    #[test]
    fn nobody_who_left_is_remembered() {
        let mut takers = Takers::default();
        let (first, _) = park(&mut takers, &["a", "b"]);
        let (second, _) = park(&mut takers, &["b"]);
        ring(&mut takers, &["a", "b"]);
        let errands = errands(&mut takers);
        assert_eq!(errands.len(), 1);
        takers.leave(first);
        takers.leave(second);
        assert!(matches!(takers.settle(&errands[0], Ok(job())), After::GiveBack(jobs) if jobs.len() == 1));
        let Takers { closed: false, heard: 1, errands: 0, takers, lines, .. } = takers else { panic!() };
        assert!(takers.is_empty());
        assert_eq!(format!("{lines:?}"), format!("{:?}", Lines::default()));
    }

    #[test]
    fn a_ring_for_a_line_that_was_deserted_during_a_claim_is_made_up_for() {
        let mut takers = Takers::default();
        let (first, _) = park(&mut takers, &["b"]);
        let _parked = park(&mut takers, &["a", "b"]);
        ring(&mut takers, &["a"]);
        let errand = takers.errand().unwrap();
        assert_eq!(errand.from, from(&["a"]));
        takers.leave(first);
        ring(&mut takers, &["b"]);
        takers.settle(&errand, Ok(Claimed::default()));
        assert_eq!(takers.errand().unwrap().from, from(&["a", "b"]));
    }

    #[test]
    fn who_stands_in_a_line_that_was_rung_during_its_claim_is_claimed_for_again() {
        let mut takers = Takers::default();
        let _parked = park(&mut takers, &["a", "b"]);
        ring(&mut takers, &["a"]);
        let errand = takers.errand().unwrap();
        ring(&mut takers, &["b"]);
        takers.settle(&errand, Ok(Claimed::default()));
        let errand = takers.errand().unwrap();
        takers.settle(&errand, Err(StoreError::Busy(String::new())));
        let errand = takers.errand().unwrap();
        takers.settle(&errand, Ok(Claimed::default()));
        assert!(takers.errand().is_none());
    }
}
