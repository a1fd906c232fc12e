//! Who waits for jobs, and whose turn it is.
//!
//! Every place that jobs come from has a line of takers, the one that has waited
//! longest first. A taker may stand in several lines; it is claimed for only
//! where it is the first. A line is *hot* while there may be something in it:
//! it becomes so when its bell was rung, or when somebody joins without knowing
//! better; it becomes cold when a claim that was made after the last ring found
//! nothing. So nobody asks a cold line, and a taker that waits costs nothing.
//!
//! For a hot line one taker is tried first, and twice as many with each success:
//! a hundred takers do not storm the store for one job, and do not wait for each
//! other when there are a hundred.
//!
//! Pure bookkeeping under one lock: it never waits and never calls a store.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::mem;

use job::{KindName, QueueName, Span};
use store::jobs::{Claimed, From, Leased};
use store::{Error as StoreError, Rung};
use tokio::sync::oneshot;

use crate::Error;
use crate::lease::Wish;

/// The most takers that wait at once.
pub(crate) const MAX_PARKED: usize = 10_000;
/// The most claims that are under way for one line at once.
const MAX_WIDTH: usize = 64;
/// The most claims that are under way in all.
const MAX_ERRANDS: usize = 256;
/// The most single wishes to have guards asked that are kept until they are
/// heard. Those beyond are dropped: whoever claims next says it again.
const MAX_ONCE: usize = 64;

/// What a taker is answered.
pub(crate) type Answered = Result<Vec<Leased>, Error>;

/// One place that jobs come from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Source {
    Queue(QueueName),
    Kind(KindName),
}

impl Source {
    /// The places that make up `from`.
    pub(crate) fn all(from: &From) -> Vec<Self> {
        match from {
            From::Queues(queues) => queues.iter().cloned().map(Self::Queue).collect(),
            From::Kind(kind) => vec![Self::Kind(kind.clone())],
        }
    }

    /// This place alone, as a store is asked for it.
    pub(crate) fn alone(&self) -> From {
        match self {
            Self::Queue(queue) => From::Queues(vec![queue.clone()]),
            Self::Kind(kind) => From::Kind(kind.clone()),
        }
    }
}

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

#[derive(Debug, Default)]
struct Line {
    /// Those that wait here and are not being claimed for.
    waiting: BTreeSet<TakerId>,
    /// How many claims are under way here.
    claiming: usize,
    /// How many may be, less one.
    more: usize,
    /// When it was last rung, by [`Takers::heard`].
    rung: u64,
    hot: bool,
}

impl Line {
    fn is_deserted(&self) -> bool {
        self.waiting.is_empty() && self.claiming == 0
    }
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
    queues: HashMap<QueueName, Line>,
    kinds: HashMap<KindName, Line>,
    /// The lines that are hot, each once.
    hot: VecDeque<Source>,
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
        let free = |source: &Source| self.line(source).is_none_or(Line::is_deserted);
        Look { free: narrow(from, free), heard: self.heard }
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
            let line = self.line_mut(&source);
            let known = !line.is_deserted() || tried.contains(&source);
            line.waiting.insert(id);
            if !known {
                self.heat(&source);
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
        let queues = rung.queues.iter().filter(|queue| self.queues.contains_key(*queue)).cloned().map(Source::Queue);
        // The bell names queues; a job in any of them may be of a line's kind.
        let kinds = self.kinds.keys().cloned().map(Source::Kind);
        for source in queues.chain(kinds).collect::<Vec<_>>() {
            self.ring(&source);
        }
    }

    /// A guard was asked for those who wait at `source`: as if the bell had rung
    /// for it alone. Answers what was heard up to then, if anybody waits there.
    pub(crate) fn hear_of(&mut self, source: &Source) -> Option<u64> {
        self.line(source)?;
        self.heard += 1;
        self.ring(source);
        Some(self.heard)
    }

    fn ring(&mut self, source: &Source) {
        let heard = self.heard;
        self.line_mut(source).rung = heard;
        self.heat(source);
    }

    /// The next claim to be made, if there is anything to claim for anybody.
    pub(crate) fn errand(&mut self) -> Option<Errand> {
        if self.errands >= MAX_ERRANDS {
            return None;
        }
        for _ in 0..self.hot.len() {
            // In turn, so that no line keeps another from being served.
            self.hot.rotate_left(1);
            let line = self.hot.back().and_then(|source| self.line(source))?;
            if let Some(first) = line.waiting.first().filter(|_| line.claiming <= line.more) {
                return self.send(*first);
            }
        }
        None
    }

    /// The claim for a taker: from where it is the first.
    fn send(&mut self, id: TakerId) -> Option<Errand> {
        let Wish { from, worker, limit, lease_for, wait: _ } = self.takers.get(&id)?.wish.clone();
        let first = |source: &Source| self.line(source).is_some_and(|line| line.waiting.first() == Some(&id));
        let narrowed = narrow(&from, first)?;
        self.takers.get_mut(&id)?.claiming = true;
        for source in Source::all(&from) {
            self.line_mut(&source).waiting.remove(&id);
        }
        for source in Source::all(&narrowed) {
            self.line_mut(&source).claiming += 1;
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
            let line = self.line_mut(source);
            line.claiming -= 1;
            line.more = if found { (line.more * 2 + 1).min(MAX_WIDTH - 1) } else { 0 };
            if nothing && line.rung <= errand.heard {
                self.cool(source);
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
            self.forget_if_deserted(source);
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
            let unknown = self.line(&source).is_none();
            self.line_mut(&source).waiting.insert(id);
            if unknown {
                self.heat(&source);
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
            if let Some(line) = self.existing(&source) {
                line.waiting.remove(&id);
            }
            self.forget_if_deserted(&source);
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
        let Some(line) = self.line(source) else { return 0 };
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
        for line in self.queues.values_mut().chain(self.kinds.values_mut()) {
            line.waiting.clear();
        }
    }

    /// Forgets everybody: whoever still waits learns that nobody will answer.
    pub(crate) fn abandon(&mut self) {
        *self = Self { closed: true, last: self.last, ..Self::default() };
    }

    fn heat(&mut self, source: &Source) {
        if !mem::replace(&mut self.line_mut(source).hot, true) {
            self.hot.push_back(source.clone());
        }
    }

    fn cool(&mut self, source: &Source) {
        if mem::take(&mut self.line_mut(source).hot) {
            self.hot.retain(|hot| hot != source);
        }
    }

    fn forget_if_deserted(&mut self, source: &Source) {
        if self.line(source).is_some_and(Line::is_deserted) {
            self.cool(source);
            match source {
                Source::Queue(queue) => drop(self.queues.remove(queue)),
                Source::Kind(kind) => drop(self.kinds.remove(kind)),
            }
        }
    }

    fn line(&self, source: &Source) -> Option<&Line> {
        match source {
            Source::Queue(queue) => self.queues.get(queue),
            Source::Kind(kind) => self.kinds.get(kind),
        }
    }

    fn existing(&mut self, source: &Source) -> Option<&mut Line> {
        match source {
            Source::Queue(queue) => self.queues.get_mut(queue),
            Source::Kind(kind) => self.kinds.get_mut(kind),
        }
    }

    fn line_mut(&mut self, source: &Source) -> &mut Line {
        match source {
            Source::Queue(queue) => entry(&mut self.queues, queue),
            Source::Kind(kind) => entry(&mut self.kinds, kind),
        }
    }
}

fn entry<'a, N: Clone + Eq + Hash>(lines: &'a mut HashMap<N, Line>, name: &N) -> &'a mut Line {
    lines.entry(name.clone()).or_default()
}

/// The part of `from` that fits, if any does.
fn narrow(from: &From, fits: impl Fn(&Source) -> bool) -> Option<From> {
    match from {
        From::Queues(queues) => {
            let queues: Vec<_> =
                queues.iter().filter(|queue| fits(&Source::Queue((*queue).clone()))).cloned().collect();
            (!queues.is_empty()).then_some(From::Queues(queues))
        }
        From::Kind(kind) => fits(&Source::Kind(kind.clone())).then(|| from.clone()),
    }
}
