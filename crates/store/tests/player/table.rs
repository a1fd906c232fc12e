//! Two stores under one clock, and everything that must be the same.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use job::time::ManualClock;
use job::{
    Again, Answer, Clock, Jitter, JobId, JobRef, Lease, LeaseSeed, NewJob, Now, Outcome, Pause, Phase, Span, State,
};
use store::bell::Rung;
use store::jobs::{AskId, Cancel, Cancelled, Claim, Finish, Found, Pushed, Recount, Search};
use store::laws::Maker;
use store::laws::bench::{MAIL, OWN, fail, queue, rules};
use store::laws::makers::InMemory;
use store::{Reply, Store};

use crate::ops::{KEYS, NAMES, Op, Place, QUEUES, Said, Which};

/// A store under test, and what must be kept of it to go on asking.
struct Side {
    maker: Box<dyn Maker>,
    store: Arc<dyn Store>,
    /// The questions that it gave, in its own numbers.
    asked: Vec<(JobId, AskId)>,
}

impl Side {
    fn new(mut maker: Box<dyn Maker>, clock: &ManualClock) -> Self {
        let store = maker.open(rules(), clock);
        Self { maker, store, asked: Vec::new() }
    }

    /// What was rung, without waiting for more.
    async fn rung(&self) -> Rung {
        let bell = self.store.bell();
        tokio::time::timeout(Duration::ZERO, bell.heard()).await.unwrap_or_default()
    }
}

/// The reference, and perhaps another store, under one clock.
pub(crate) struct Table {
    clock: ManualClock,
    reference: Side,
    other: Option<Side>,
    /// Every lease that was handed out.
    leases: Vec<(JobId, Lease)>,
    /// Ids that were seen, to be chosen from.
    last_id: u64,
    cancelled: HashSet<JobId>,
    /// How many operations were played.
    played: usize,
}

impl Table {
    pub(crate) fn new(other: Option<Box<dyn Maker>>) -> Self {
        let clock = ManualClock::at("2026-12-01T09:00:00.25Z".parse().unwrap());
        let reference = Side::new(Box::new(InMemory::default()), &clock);
        let other = other.map(|maker| Side::new(maker, &clock));
        Self { clock, reference, other, leases: Vec::new(), last_id: 0, cancelled: HashSet::new(), played: 0 }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    /// Makes a call on both sides, and answers what both answered.
    async fn both<T: PartialEq + Debug + Unpin>(&self, call: impl Fn(&dyn Store) -> Reply<T>) -> T {
        let answer = call(&*self.reference.store).await.unwrap();
        if let Some(other) = &self.other {
            assert_eq!(call(&*other.store).await.unwrap(), answer, "the other store answers the left");
        }
        answer
    }

    pub(crate) async fn play(&mut self, op: Op) {
        let now = self.now();
        match op {
            Op::Push(plans) => {
                let jobs: Vec<NewJob> = plans.into_iter().map(|plan| plan.draft(now).job).collect();
                let pushed = self.both(|store| store.push(jobs.clone(), now)).await;
                for pushed in pushed {
                    if let Pushed::New { id, .. } = pushed {
                        assert_eq!(id.0, self.last_id + 1, "ids count up");
                        self.last_id = id.0;
                    }
                }
            }
            Op::Claim { from, limit, secs, seed } => self.claim(&from, limit, secs, seed).await,
            Op::Finish(ends) => {
                let ends: Vec<_> = ends
                    .into_iter()
                    .filter_map(|(which, end)| {
                        let (id, lease) = *recent(&self.leases, which)?;
                        let (ending, jitter) = end.ending();
                        Some(Finish { id: JobRef::Id(id), lease, ending, jitter })
                    })
                    .collect();
                self.both(|store| store.finish(ends.clone(), now)).await;
            }
            Op::Extend { which, secs } => {
                let Some((id, lease)) = recent(&self.leases, which).copied() else { return };
                let _answer = self.both(|store| store.extend(JobRef::Id(id), lease, Span::from_secs(secs), now)).await;
            }
            Op::WrongLease { which, lease } => {
                let Some((_, lease)) = recent(&self.leases, lease).copied() else { return };
                let id = self.which(Which::Number(which));
                let end = Finish { id, lease, ending: fail(Again::ByPolicy), jitter: Jitter::ZERO };
                self.both(|store| store.finish(vec![end.clone()], now)).await;
            }
            Op::Cancel { which } => {
                let id = self.which(which);
                self.cancel(Cancel::Job(id)).await;
            }
            Op::CancelKey { queue: name, key } => {
                self.cancel(Cancel::Key(queue(QUEUES[name]), KEYS[key].parse().unwrap())).await;
            }
            Op::Discard { which } => {
                let id = self.which(which);
                self.both(|store| store.discard(id.clone(), "ute".to_owned(), now)).await;
            }
            Op::Revive { which } => {
                let id = self.which(which);
                self.both(|store| store.revive(id.clone(), now)).await;
            }
            Op::Ask { from, limit, secs } => self.ask(&from, limit, secs).await,
            Op::Answer { which, answer } => self.answer(which, answer).await,
            Op::Pause { queue: name, until } => {
                let until = until.map(|when| when.moment(now));
                let pause = Pause { by: "ute".to_owned(), reason: "a release".to_owned(), since: now.wall, until };
                self.both(|store| store.pause(queue(QUEUES[name]), pause.clone(), now)).await;
                self.advance(100).await;
            }
            Op::Resume { queue: name } => {
                self.both(|store| store.resume(queue(QUEUES[name]), now)).await;
            }
            Op::Pass { secs, limit } => {
                self.clock.advance(Span::from_secs(secs));
                self.advance(limit).await;
            }
            Op::Step { secs } => {
                self.clock.step(secs * 1_000_000);
                self.advance(100).await;
            }
            Op::Retain => {
                self.clock.advance(Span::from_secs(7 * 86_400));
                self.advance(100).await;
                self.retain().await;
            }
            Op::Search { filter, limit } => self.search(filter, limit).await,
            Op::Reopen => {
                for side in [Some(&mut self.reference), self.other.as_mut()].into_iter().flatten() {
                    side.store.close().await.unwrap();
                    side.store = side.maker.open(rules(), &self.clock);
                }
                self.advance(100).await;
            }
        }
        self.played += 1;
        self.compare().await;
    }

    async fn claim(&mut self, from: &Place, limit: usize, secs: u32, seed: u64) {
        let now = self.now();
        let lease_for = Span::from_secs(secs);
        let claim = Claim { from: from.from(), limit, worker: "w1".to_owned(), lease_for, seed: LeaseSeed(seed) };
        let before = self.everything(&*self.reference.store).await;
        let pauses = self.both(|store| store.pauses()).await;
        let claimed = self.both(|store| store.claim(claim.clone(), now)).await;
        assert!(claimed.jobs.len() <= limit);
        for leased in &claimed.jobs {
            let job = &leased.job;
            let was = &before.iter().find(|found| found.job.id == job.id).expect("a job that was there").job;
            assert!(matches!(was.state, State::Waiting { due, .. } if due.reached(now)), "it was due: {was:?}");
            assert!(!was.has_expired(now));
            assert!(pauses.get(&job.spec.queue).is_none_or(|pause| pause.is_over(now)), "its queue is held");
            assert_eq!(job.spec.kind.as_str() == OWN, matches!(from, Place::Own));
            assert!(!self.cancelled.contains(&job.id), "it was called off");
            self.leases.push((job.id, leased.lease));
        }
    }

    async fn cancel(&mut self, what: Cancel) {
        let now = self.now();
        let answer = self.both(|store| store.cancel(what.clone(), "ute".to_owned(), now)).await;
        if let Cancelled::Yes(id) = answer {
            self.cancelled.insert(id);
        }
    }

    async fn ask(&mut self, from: &Place, limit: usize, secs: u32) {
        let now = self.now();
        let mut jobs = Vec::new();
        for side in [Some(&mut self.reference), self.other.as_mut()].into_iter().flatten() {
            let questions = side.store.ask(from.from(), limit, Span::from_secs(secs), now).await.unwrap();
            side.asked.extend(questions.iter().map(|question| (question.job.id, question.ask)));
            jobs.push(questions.into_iter().map(|question| question.job).collect::<Vec<_>>());
        }
        if let [reference, other] = &jobs[..] {
            assert_eq!(other, reference, "the other store asks about the left");
        }
    }

    async fn answer(&mut self, which: usize, said: Said) {
        let now = self.now();
        let answer = match said {
            Said::Yes => Answer::Yes,
            Said::No => Answer::No(Some("switched off".to_owned())),
            Said::Error => Answer::Error("no route".to_owned()),
        };
        let mut answers = Vec::new();
        for side in [Some(&self.reference), self.other.as_ref()].into_iter().flatten() {
            let Some((id, ask)) = recent(&side.asked, which).copied() else { return };
            answers.push(side.store.answer(id, ask, answer.clone(), now).await.unwrap());
        }
        if let [reference, other] = &answers[..] {
            assert_eq!(other, reference, "the other store answers the left");
        }
    }

    /// Lets everything follow that follows from the time as it is.
    async fn advance(&self, limit: usize) {
        let now = self.now();
        let mut seen = Vec::new();
        for side in [Some(&self.reference), self.other.as_ref()].into_iter().flatten() {
            let (mut rescued, mut resumed) = (Vec::new(), Vec::new());
            for slices in 0.. {
                assert!(slices < 1_000, "there is always more to do");
                let part = side.store.advance(limit, now).await.unwrap();
                assert!(part.rescued.len() + part.resumed.len() <= limit);
                rescued.extend(part.rescued);
                resumed.extend(part.resumed);
                if !part.more {
                    assert!(part.next_mono.is_none_or(|next| next > now.mono), "comes back for what has come");
                    assert!(part.next_wall.is_none_or(|next| next > now.wall), "comes back for what has come");
                    resumed.sort_by(|(a, _), (b, _)| a.cmp(b));
                    seen.push((rescued, resumed, part.next_mono, part.next_wall));
                    break;
                }
            }
        }
        if let [reference, other] = &seen[..] {
            assert_eq!((&other.0, &other.1), (&reference.0, &reference.1), "the other store did the left");
            let too_late =
                |other: Option<i64>, next: Option<i64>| next.is_some_and(|next| other.is_none_or(|o| o > next));
            assert!(!too_late(other.2.map(|m| m.0), reference.2.map(|m| m.0)), "{:?} > {:?}", other.2, reference.2);
            assert!(!too_late(other.3.map(|w| w.0), reference.3.map(|w| w.0)), "{:?} > {:?}", other.3, reference.3);
        }
    }

    async fn retain(&self) {
        let now = self.now();
        let mut removed = Vec::new();
        for side in [Some(&self.reference), self.other.as_ref()].into_iter().flatten() {
            let mut sum = 0;
            loop {
                match side.store.retain(3, now).await.unwrap() {
                    0 => break,
                    some => sum += some,
                }
            }
            removed.push(sum);
        }
        assert!(removed.windows(2).all(|both| both[0] == both[1]), "{removed:?} were removed");
    }

    async fn search(&self, filter: usize, limit: usize) {
        let now = self.now();
        let mut search = Search { limit, ..Search::default() };
        match filter {
            0 => search.phases = vec![Phase::Ready, Phase::Checking],
            1 => search.phases = vec![Phase::Running, Phase::Dead, Phase::Ended],
            2 => search.phases = vec![Phase::Scheduled, Phase::Retrying],
            3 => search.outcome = Some(Outcome::Superseded),
            4 => search.queue = Some(queue(MAIL)),
            5 => search.kind = Some(OWN.parse().unwrap()),
            6 => search.key = Some(KEYS[0].parse().unwrap()),
            _ => {}
        }
        loop {
            let page = self.both(|store| store.search(search.clone(), now)).await;
            match page.next {
                Some(next) => search.after = Some(next),
                None => break,
            }
        }
    }

    /// Everything that is kept, on both sides, and what must be true of it.
    async fn compare(&self) {
        let now = self.now();
        let jobs = self.everything(&*self.reference.store).await;
        let rung = self.reference.rung().await;
        if let Some(other) = &self.other {
            assert_eq!(self.everything(&*other.store).await, jobs, "the other store keeps the left");
            let mut missing = rung.queues;
            let bell = other.store.bell();
            let heard = async {
                while !missing.is_empty() {
                    for name in bell.heard().await.queues {
                        missing.remove(&name);
                    }
                }
            };
            let heard = tokio::time::timeout(Duration::from_secs(1), heard).await;
            heard.unwrap_or_else(|_| panic!("the other store did not ring for {missing:?}"));
        }
        // One of them a turn is looked up alone; in the end each was, many times.
        if let Some(found) = jobs.get(self.played % jobs.len().max(1)) {
            let id = JobRef::Id(found.job.id);
            assert_eq!(self.both(|store| store.get(id.clone(), now)).await.as_ref(), Some(found));
        }
        self.both(|store| store.queues(now)).await;
        self.both(|store| store.pauses()).await;
        let recount: Recount = self.both(|store| store.recount()).await;
        assert!(recount.agrees(), "{recount:?}");
        assert_eq!(self.both(|store| store.ledger()).await, recount.ledger);
        check(&jobs);
    }

    async fn everything(&self, store: &dyn Store) -> Vec<Found> {
        let search = Search { limit: usize::MAX, ..Search::default() };
        let page = store.search(search, self.now()).await.unwrap();
        assert_eq!(page.next, None);
        page.jobs
    }

    fn which(&self, which: Which) -> JobRef {
        match which {
            Which::Number(n) => JobRef::Id(JobId(n as u64 % (self.last_id + 1) + 1)),
            Which::Name(n) => NAMES[n].parse().unwrap(),
        }
    }
}

/// What is true of all jobs that are kept, at every moment.
fn check(jobs: &[Found]) {
    let (mut keys, mut names, mut leases) = (HashSet::new(), HashSet::new(), HashSet::new());
    for Found { job, phase } in jobs {
        if let (State::Waiting { .. }, Some(key)) = (&job.state, &job.spec.key) {
            assert!(keys.insert((&job.spec.queue, key)), "two jobs wait with {key}");
        }
        if let Some(name) = &job.client_id {
            assert!(names.insert(name), "two jobs are called {name}");
        }
        if let State::Running(run) = &job.state {
            assert!(leases.insert(run.lease), "two jobs run under {}", run.lease);
        }
        assert!(job.failures <= job.spec.retry.max_attempts && job.attempt <= 1_000);
        assert_eq!(matches!(job.state, State::Ended { .. }), *phase == Phase::Ended);
    }
}

/// Chooses among the newest six: most of those before are over.
fn recent<T>(all: &[T], which: usize) -> Option<&T> {
    let newest = &all[all.len().saturating_sub(6)..];
    (!newest.is_empty()).then(|| &newest[which % newest.len()])
}
