//! Which guards are being asked, and on whose behalf.
//!
//! A guard is asked when somebody waits for jobs where one is due, and never
//! more than can be used: for those who wait at a place, as many as they would
//! take. A guard that has answered counts until a claim that was made after it
//! found nothing, for until then its yes is still to be claimed. A guard that
//! does not answer soon stops counting, so that the next job is asked about; it
//! still counts against [`MAX_OPEN`].

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use job::{Answer, Job, Span};
use store::Error as StoreError;
use store::jobs::{From, Question};
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::Backoff;
use crate::findings::Verb;
use crate::lines::Source;
use crate::{Guards, Shared};

/// The most guards that are asked at once.
pub(crate) const MAX_OPEN: usize = 64;
/// How long a guard may take before somebody else's job is asked about, too.
const SOON: Duration = Duration::from_millis(500);
/// How much longer than the guard's patience a question stays open in the store,
/// so that an answer at the last moment still counts.
const GRACE: Span = Span::from_secs(5);

/// A call of the store for questions.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) from: From,
    pub(crate) limit: usize,
    /// The one place it is for, and how often that was said when it was made.
    place: Option<(Source, u64)>,
}

/// A guard that is being asked. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Inquiry {
    place: Source,
    slow: bool,
    task: AbortOnDropHandle<()>,
}

/// What became of an inquiry.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Its answer was brought to the store, or could not be.
    Done { place: Source, slow: bool },
    /// It takes long.
    Slow(Inquiry),
}

/// The guards of one place that are asked, or were.
#[derive(Debug, Default)]
struct Soon {
    /// How many are being asked, and have not taken long yet.
    asked: usize,
    /// When those were heard of that have answered since a claim found nothing.
    answered: Vec<u64>,
}

/// What is being asked.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    /// Where takers wait and guards could be asked, and how often that was said.
    unasked: HashMap<Source, u64>,
    said: u64,
    /// Where a call of the store for questions is under way.
    calls: HashSet<Source>,
    /// The guards that count against those who wait.
    soon: HashMap<Source, Soon>,
    /// How many guards are being asked, or may be by the calls under way.
    open: usize,
}

impl Asking {
    /// A claim at `place` found nothing for those who wait, and guards could be
    /// asked there; `heard` is what had been heard when the claim was made.
    pub(crate) fn unasked(&mut self, place: Source, heard: u64) {
        if let Some(soon) = self.soon.get_mut(&place) {
            soon.answered.retain(|at| *at > heard);
        }
        self.said += 1;
        self.unasked.insert(place, self.said);
    }

    /// The call for one who came by, unless too many guards are being asked.
    pub(crate) fn once(&mut self, from: From, limit: usize) -> Option<Call> {
        let limit = limit.min(MAX_OPEN - self.open);
        self.open += limit;
        (limit > 0).then_some(Call { from, limit, place: None })
    }

    /// The next call for those who wait; `wanted` says how many jobs they would
    /// take at a place, up to a limit.
    pub(crate) fn next(&mut self, wanted: impl Fn(&Source, usize) -> usize) -> Option<Call> {
        self.unasked.retain(|place, _| wanted(place, 1) > 0);
        for (place, said) in &self.unasked {
            let free = MAX_OPEN - self.open;
            let soon = self.soon.get(place).map_or(0, |soon| soon.asked + soon.answered.len());
            let limit = wanted(place, MAX_OPEN).saturating_sub(soon).min(free);
            if limit > 0 && !self.calls.contains(place) {
                self.open += limit;
                self.calls.insert(place.clone());
                return Some(Call { from: place.alone(), limit, place: Some((place.clone(), *said)) });
            }
        }
        None
    }

    /// A call was answered with questions; with none if it failed.
    pub(crate) fn called(&mut self, call: &Call, questions: Option<&[Question]>) {
        let found = questions.map_or(0, <[_]>::len);
        self.open -= call.limit.saturating_sub(found);
        if let Some((place, said)) = &call.place {
            self.calls.remove(place);
            // All were taken, unless it was said again since the call was made.
            if questions.is_some() && found < call.limit && self.unasked.get(place) == Some(said) {
                self.unasked.remove(place);
            }
        }
        for question in questions.unwrap_or_default() {
            self.soon.entry(place_of(&call.from, &question.job)).or_default().asked += 1;
        }
    }

    /// A guard takes long: it does not count any more.
    pub(crate) fn slow(&mut self, inquiry: &Inquiry) {
        self.soon.entry(inquiry.place.clone()).or_default().asked -= 1;
    }

    /// A guard was asked. `heard` says when, and is nothing if nobody waits there.
    pub(crate) fn done(&mut self, place: &Source, slow: bool, heard: Option<u64>) {
        self.open -= 1;
        let soon = self.soon.entry(place.clone()).or_default();
        soon.asked -= usize::from(!slow);
        match heard {
            Some(heard) if soon.answered.len() < MAX_OPEN => soon.answered.push(heard),
            Some(_) => {}
            None => soon.answered.clear(),
        }
        if soon.asked == 0 && soon.answered.is_empty() {
            self.soon.remove(place);
        }
    }
}

fn place_of(from: &From, job: &Job) -> Source {
    match from {
        From::Queues(_) => Source::Queue(job.spec.queue.clone()),
        From::Kind(kind) => Source::Kind(kind.clone()),
    }
}

impl Inquiry {
    /// Starts asking.
    pub(crate) fn new(shared: Arc<Shared>, guards: Arc<dyn Guards>, from: &From, question: Question) -> Self {
        let place = place_of(from, &question.job);
        let task = AbortOnDropHandle::new(tokio::spawn(inquire(shared, guards, question)));
        Self { place, slow: false, task }
    }

    /// Waits until it is done or takes long; once it takes long, until it is
    /// done.
    pub(crate) async fn go_on(mut self) -> Asked {
        if self.slow {
            // If the task panicked, the question stays open until its time is up.
            self.task.await.ok();
            return Asked::Done { place: self.place, slow: true };
        }
        match tokio::time::timeout(SOON, &mut self.task).await {
            Ok(_) => Asked::Done { place: self.place, slow: false },
            Err(_) => Asked::Slow(Self { slow: true, ..self }),
        }
    }
}

/// How long a question stays open in the store.
pub(crate) fn give_up(guards: &dyn Guards) -> Span {
    Span::from_micros(guards.patience().as_micros().saturating_add(GRACE.as_micros()))
}

/// Asks a guard, and brings its answer to the store.
async fn inquire(shared: Arc<Shared>, guards: Arc<dyn Guards>, Question { ask, job }: Question) {
    let (id, kind) = (job.id, job.spec.kind.clone());
    let until = shared.now().mono + give_up(&*guards);
    let answer = ask_in_time(&*guards, job).await;
    shared.findings.answered(&kind, &answer, shared.now());
    let mut backoff = Backoff::default();
    loop {
        shared.changing();
        match shared.store.answer(id, ask, answer.clone(), shared.now()).await {
            // A stale answer came too late: the job is asked about anew, or gone.
            Ok(_) => return shared.findings.worked(Verb::Answer),
            Err(error @ (StoreError::Busy(_) | StoreError::Full(_) | StoreError::Lost(_)))
                if shared.now().mono < until =>
            {
                shared.findings.failed(Verb::Answer, &error, shared.now());
                tokio::time::sleep(backoff.failed()).await;
            }
            Err(error) => return shared.findings.failed(Verb::Answer, &error, shared.now()),
        }
    }
}

/// Asks a guard for as long as its patience lasts. Whatever happens, it is an
/// answer.
async fn ask_in_time(guards: &dyn Guards, job: Job) -> Answer {
    let patience = guards.patience();
    let asked = AssertUnwindSafe(async { guards.ask(job).await }).catch_unwind();
    match tokio::time::timeout(patience.as_duration(), asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Answer::Error(format!("asking the guard panicked: {}", crate::panic_text(&*panic))),
        Err(_) => Answer::Error(format!("the guard gave no answer within {patience}")),
    }
}
