//! The worker's loop: what is asked for, what runs, what is told.
//!
//! At any moment there is at most one request for jobs, which asks for as many
//! as there are free places and is parked at the server until there are some,
//! and at most one request that tells ends. Ends that are there when jobs are
//! asked for go with it; a moment is waited for more of them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::v1::{LeaseWish, LeasedJob};

use super::Worked;
use super::ends::{self, AT_ONCE, End, Next, Told};
use super::lease::{self, Left, Taken};
use crate::handler::Handlers;
use crate::pace::Pace;
use crate::{Api, Error};

/// The most jobs of one request: with the longest payloads the answer stays
/// below what the client reads.
const MOST_AT_ONCE: usize = 100;
/// How long a request for jobs may still be answered when the worker is to
/// stop. One that is older is parked, and no job is on its way to it.
const ON_ITS_WAY: Duration = Duration::from_millis(250);
/// How long one end, or one free place, waits for others to share its request.
const LINGER: Duration = Duration::from_millis(1);
/// How many heartbeats are under way at once.
const HEARTBEATS_AT_ONCE: usize = 16;
/// How long the last ends may take to be told, after the worker has waited for
/// its runs.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(super) struct Rules {
    pub(super) wish: LeaseWish,
    pub(super) concurrency: usize,
    pub(super) drain_within: Duration,
}

/// What can happen to a worker.
enum Event {
    /// It is to stop.
    Stop,
    /// No job is on its way any more.
    Quiet,
    /// It has waited long enough for what runs.
    Deadline,
    /// A run left.
    Left(Left),
    /// A request for jobs was answered, or was not.
    Asked(Vec<(End, Told)>, Result<Next, Error>),
    /// Ends were told, or were not.
    Told(Vec<(End, Told)>),
    /// It is time for what was put off.
    Again,
}

type Asking = BoxFuture<'static, (Vec<(End, Told)>, Result<Next, Error>)>;
type Telling = BoxFuture<'static, Vec<(End, Told)>>;

pub(super) struct Shift {
    api: Api,
    handlers: Arc<Handlers>,
    rules: Rules,
    runs: JoinSet<Left>,
    heartbeats: Arc<Semaphore>,
    ends: Vec<End>,
    /// Told one by one: the server refused them together.
    alone: bool,
    asking: Option<Asking>,
    /// The ends that went with the request for jobs.
    asked_with: Vec<End>,
    asked_at: Instant,
    /// When what is wanted is asked for, or told.
    ripe: Option<Instant>,
    telling: Option<Telling>,
    ask: Pace,
    tell: Pace,
    /// Whether the server ever handed out jobs, or none.
    welcome: bool,
    /// Nothing more is taken on.
    stopping: CancellationToken,
    stop: CancellationToken,
    deadline: Option<Instant>,
    /// It was told to stop from here, and not by the server alone.
    told_to_stop: bool,
    worked: Worked,
}

impl Shift {
    pub(super) fn new(api: Api, handlers: Arc<Handlers>, rules: Rules) -> Self {
        Self {
            api,
            handlers,
            rules,
            runs: JoinSet::new(),
            heartbeats: Arc::new(Semaphore::new(HEARTBEATS_AT_ONCE)),
            ends: Vec::new(),
            alone: false,
            asking: None,
            asked_with: Vec::new(),
            asked_at: Instant::now(),
            ripe: None,
            telling: None,
            ask: Pace::new(),
            tell: Pace::new(),
            welcome: false,
            stopping: CancellationToken::new(),
            stop: CancellationToken::new(),
            deadline: None,
            told_to_stop: false,
            worked: Worked::default(),
        }
    }

    pub(super) async fn work(mut self, shutdown: impl Future<Output = ()>) -> Result<Worked, Error> {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            self.begin();
            if self.is_over() {
                break;
            }
            match self.next(&mut shutdown).await {
                Event::Stop => self.drain(),
                Event::Deadline if self.stop.is_cancelled() => break,
                Event::Quiet => self.stop_asking(),
                Event::Deadline => {
                    // What is given back now must not come here again.
                    self.stop_asking();
                    self.stop.cancel();
                    self.deadline = Some(Instant::now() + LAST_WORDS);
                }
                Event::Left(left) => self.left(left),
                Event::Asked(told, next) => {
                    self.told(told);
                    self.asked(next)?;
                }
                Event::Told(told) => self.told(told),
                Event::Again => {}
            }
        }
        if !self.ends.is_empty() || self.telling.is_some() {
            tracing::error!("some ends could not be told before the worker stopped; their jobs run again");
        }
        tracing::info!(worked = ?self.worked, "stopped");
        Ok(self.worked)
    }

    /// Begins what can be begun: asking, if there is room, and telling.
    fn begin(&mut self) {
        let now = Instant::now();
        for pace in [&mut self.ask, &mut self.tell] {
            pace.go_on(now);
        }
        let free = self.rules.concurrency.saturating_sub(self.runs.len());
        // While ends pile up because they cannot be told, no more is taken on.
        let room = free > 0 && self.ends.len() <= self.rules.concurrency.max(AT_ONCE);
        let ask = self.asking.is_none() && room && !self.stopping.is_cancelled() && self.ask.may();
        let tell = self.telling.is_none() && !self.ends.is_empty() && self.tell.may();
        if !self.is_ripe(ask || tell, now) {
            return;
        }
        if ask {
            let wish = LeaseWish { limit: free.min(MOST_AT_ONCE), ..self.rules.wish.clone() };
            let with = self.telling.is_none() && !self.alone && ends::go_with_a_wish(&self.ends);
            let ends = if with { self.take_ends() } else { Vec::new() };
            let api = self.api.clone();
            self.asked_with.clone_from(&ends);
            self.asked_at = now;
            self.asking = Some(async move { ends::tell_and_ask(&api, ends, Some(wish)).await }.boxed());
        }
        if tell && !self.ends.is_empty() {
            let (ends, api) = (self.take_ends(), self.api.clone());
            self.telling = Some(async move { ends::tell(&api, ends).await }.boxed());
        }
    }

    /// Whether to begin now: at once if nothing runs, or else after a moment in
    /// which more runs may end, so that short ones share a request.
    fn is_ripe(&mut self, wanted: bool, now: Instant) -> bool {
        if !wanted {
            self.ripe = None;
            return false;
        }
        let ripe = *self.ripe.get_or_insert(now + LINGER);
        let is_ripe = self.runs.is_empty() || ripe <= now;
        if is_ripe {
            self.ripe = None;
        }
        is_ripe
    }

    fn take_ends(&mut self) -> Vec<End> {
        let limit = if self.alone { 1 } else { AT_ONCE };
        self.ends.drain(..self.ends.len().min(limit)).collect()
    }

    async fn next(&mut self, shutdown: &mut (impl Future<Output = ()> + Unpin)) -> Event {
        let again = [self.ask.not_before(), self.tell.not_before(), self.ripe].into_iter().flatten().min();
        let quiet = (self.stopping.is_cancelled() && self.asking.is_some()).then(|| self.asked_at + ON_ITS_WAY);
        let at = |time: Option<Instant>| OptionFuture::from(time.map(sleep_until));
        tokio::select! {
            () = shutdown, if !self.told_to_stop => Event::Stop,
            Some(left) = self.runs.join_next() => match left {
                Ok(left) => Event::Left(left),
                // Only if the runtime is shut down under us.
                Err(_) => Event::Left(Left::Lost),
            },
            Some((told, jobs)) = OptionFuture::from(self.asking.as_mut()) => {
                self.asking = None;
                self.asked_with.clear();
                Event::Asked(told, jobs)
            }
            Some(told) = OptionFuture::from(self.telling.as_mut()) => {
                self.telling = None;
                Event::Told(told)
            }
            Some(()) = at(quiet) => Event::Quiet,
            Some(()) = at(self.deadline) => Event::Deadline,
            Some(()) = at(again) => Event::Again,
        }
    }

    fn drain(&mut self) {
        tracing::info!(running = self.runs.len(), within = ?self.rules.drain_within, "stopping");
        self.told_to_stop = true;
        self.stopping.cancel();
        self.deadline = Some(Instant::now() + self.rules.drain_within);
    }

    /// The server hands this worker no more jobs: another takes its place. What
    /// runs may take its time.
    fn quieten(&mut self) {
        if !self.stopping.is_cancelled() {
            tracing::info!(
                running = self.runs.len(),
                "this worker is to get no more jobs; it ends when these have ended"
            );
            self.stopping.cancel();
        }
    }

    /// Whether everything that was begun has ended, after it was told to stop.
    fn is_over(&self) -> bool {
        let idle = self.asking.is_none() && self.telling.is_none();
        self.stopping.is_cancelled() && idle && self.runs.is_empty() && self.ends.is_empty()
    }

    /// Drops a request that is still parked, and the server notices. Jobs that
    /// came in the last moment are given back. Ends that went with it may not
    /// have been heard: they are told again.
    fn stop_asking(&mut self) {
        let Some(asking) = self.asking.take() else { return };
        let asked_with = std::mem::take(&mut self.asked_with);
        match asking.now_or_never() {
            Some((told, next)) => {
                self.told(told);
                self.give_back(next.unwrap_or_default().jobs);
            }
            None => self.ends.extend(asked_with.into_iter().map(|end| End { sent: true, ..end })),
        }
    }

    fn asked(&mut self, next: Result<Next, Error>) -> Result<(), Error> {
        match next {
            Ok(Next { jobs, quiet }) => {
                self.welcome = true;
                self.ask.worked("jobs are taken again");
                if quiet {
                    self.quieten();
                }
                if self.stopping.is_cancelled() {
                    self.give_back(jobs);
                } else {
                    self.start(jobs);
                }
            }
            // A mistake in the settings, seen at once: somebody is looking.
            Err(error) if !self.welcome && !error.may_pass() => return Err(error),
            Err(error) => {
                self.ask.failed(&error, "no jobs can be taken; the worker goes on asking");
            }
        }
        Ok(())
    }

    fn start(&mut self, jobs: Vec<LeasedJob>) {
        let (at, lease_for) = (Instant::now(), self.rules.wish.for_.as_duration());
        for job in jobs {
            let taken = Taken { job, at, lease_for, heartbeats: Arc::clone(&self.heartbeats) };
            let (stopping, stop) = (self.stopping.clone(), self.stop.clone());
            self.runs.spawn(lease::run(taken, self.api.clone(), Arc::clone(&self.handlers), stopping, stop));
        }
    }

    fn give_back(&mut self, jobs: Vec<LeasedJob>) {
        let over = Instant::now() + self.rules.wish.for_.as_duration();
        self.ends.extend(jobs.iter().map(|job| lease::given_back(job, over)));
    }

    fn left(&mut self, left: Left) {
        match left {
            Left::Ended(end) => self.ends.push(end),
            Left::Lost => self.worked.lost += 1,
        }
    }

    fn count(&mut self, end: &End) {
        if end.given_back {
            self.worked.given_back += 1;
        } else {
            self.worked.ended += 1;
        }
    }

    fn told(&mut self, told: Vec<(End, Told)>) {
        let now = Instant::now();
        let several = told.len() > 1;
        let mut failure = None;
        for (mut end, told) in told {
            match told {
                Told::Settled => {
                    self.tell.worked("ends are told again");
                    self.count(&end);
                }
                // Sent before without an answer: that was most likely heard.
                Told::Stale(why) if end.sent => {
                    tracing::info!(job = end.id, why, "the end of a run was told twice");
                    self.count(&end);
                }
                Told::Stale(why) => {
                    tracing::error!(job = end.id, why, "the lease was lost before the end of the run was told");
                    self.worked.lost += 1;
                }
                Told::Failed(error) if now >= end.over || (error.is_for_good() && !several) => {
                    tracing::error!(job = end.id, %error, "the end of a run could not be told; the job runs again");
                    self.worked.lost += 1;
                }
                Told::Failed(error) => {
                    end.sent |= !matches!(error, Error::Unreachable { .. });
                    failure = Some(error);
                    self.ends.push(end);
                }
            }
        }
        self.alone = match failure {
            Some(error) => {
                self.tell.failed(&error, "the ends of runs cannot be told yet; they are kept");
                self.alone || error.is_for_good()
            }
            None => self.alone && !self.ends.is_empty(),
        };
    }
}
