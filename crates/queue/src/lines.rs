//! The lines that takers stand in, one for each place that jobs come from.
//!
//! A line is *hot* while there may be something in its place: it becomes so when
//! its bell was rung, or when somebody joins without knowing better; it becomes
//! cold when a claim that was made after the last ring found nothing. A line in
//! which nobody stands is forgotten, and so is whether it was hot.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::mem;

use job::{KindName, QueueName};
use store::Rung;
use store::jobs::From;

use crate::takers::TakerId;

/// The most claims that are under way for one line at once.
const MAX_WIDTH: usize = 256;

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

    /// The part of `from` that fits, if any does.
    pub(crate) fn narrow(from: &From, fits: impl Fn(&Self) -> bool) -> Option<From> {
        match from {
            From::Queues(queues) => {
                let fits = |queue: &QueueName| fits(&Self::Queue(queue.clone()));
                let queues: Vec<_> = queues.iter().filter(|queue| fits(queue)).cloned().collect();
                (!queues.is_empty()).then_some(From::Queues(queues))
            }
            From::Kind(kind) => fits(&Self::Kind(kind.clone())).then(|| from.clone()),
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

/// One line, the one who came first at its head.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Those who wait here and are not being claimed for.
    pub(crate) waiting: BTreeSet<TakerId>,
    /// How many claims are under way here.
    pub(crate) claiming: usize,
    /// How many may be, less one.
    more: usize,
    /// What had been heard when it was last rung.
    pub(crate) rung: u64,
    hot: bool,
}

impl Line {
    /// Whether nobody stands here.
    pub(crate) fn is_deserted(&self) -> bool {
        self.waiting.is_empty() && self.claiming == 0
    }

    /// A claim found something: in its place two are tried at once.
    pub(crate) fn widen(&mut self) {
        self.more = (self.more + 1).min(MAX_WIDTH - 1);
    }

    /// A claim found nothing: one at a time.
    pub(crate) fn narrow(&mut self) {
        self.more = 0;
    }
}

/// All lines in which somebody stands.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    queues: HashMap<QueueName, Line>,
    kinds: HashMap<KindName, Line>,
    /// Those that are hot, each once.
    hot: VecDeque<Source>,
}

impl Lines {
    pub(crate) fn get(&self, source: &Source) -> Option<&Line> {
        match source {
            Source::Queue(queue) => self.queues.get(queue),
            Source::Kind(kind) => self.kinds.get(kind),
        }
    }

    pub(crate) fn get_mut(&mut self, source: &Source) -> Option<&mut Line> {
        match source {
            Source::Queue(queue) => self.queues.get_mut(queue),
            Source::Kind(kind) => self.kinds.get_mut(kind),
        }
    }

    /// The line, begun if there is none.
    pub(crate) fn begin(&mut self, source: &Source) -> &mut Line {
        match source {
            Source::Queue(queue) => self.queues.entry(queue.clone()).or_default(),
            Source::Kind(kind) => self.kinds.entry(kind.clone()).or_default(),
        }
    }

    /// The places with a line that a ring concerns. The bell names queues, and a
    /// job in any of them may be of a kind that somebody waits for.
    pub(crate) fn concerned(&self, rung: &Rung) -> Vec<Source> {
        let queues = rung.queues.iter().filter(|queue| self.queues.contains_key(*queue)).cloned();
        queues.map(Source::Queue).chain(self.kinds.keys().cloned().map(Source::Kind)).collect()
    }

    /// There may be something.
    pub(crate) fn heat(&mut self, source: &Source) {
        if !mem::replace(&mut self.begin(source).hot, true) {
            self.hot.push_back(source.clone());
        }
    }

    /// There is nothing.
    pub(crate) fn cool(&mut self, source: &Source) {
        if self.get_mut(source).is_some_and(|line| mem::take(&mut line.hot)) {
            self.hot.retain(|hot| hot != source);
        }
    }

    /// Forgets the line if nobody stands in it.
    pub(crate) fn tidy(&mut self, source: &Source) {
        if self.get(source).is_some_and(Line::is_deserted) {
            self.cool(source);
            match source {
                Source::Queue(queue) => drop(self.queues.remove(queue)),
                Source::Kind(kind) => drop(self.kinds.remove(kind)),
            }
        }
    }

    /// Whose turn it is: the head of the next line that is hot and may have one
    /// more claim. The lines take turns, so that none keeps another waiting.
    pub(crate) fn turn(&mut self) -> Option<TakerId> {
        for _ in 0..self.hot.len() {
            self.hot.rotate_left(1);
            let line = self.hot.back().and_then(|source| self.get(source))?;
            if let Some(first) = line.waiting.first().filter(|_| line.claiming <= line.more) {
                return Some(*first);
            }
        }
        None
    }

    /// Nobody waits anywhere any more; claims that are under way are.
    pub(crate) fn dissolve(&mut self) {
        for line in self.queues.values_mut().chain(self.kinds.values_mut()) {
            line.waiting.clear();
        }
    }
}
