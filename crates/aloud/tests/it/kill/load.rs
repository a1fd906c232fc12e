//! Tasks that push, lease, finish and cancel without a pause, whatever happens
//! to the server, and write down what it answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aloud_client::v1::{Ack, Extend, Fail, FinishAck, FinishMany, LeaseWish, LeasedJob, PushJob, PushedJob, Snooze};
use aloud_client::{Api, Error};
use job::time::SystemClock;
use job::{Clock, JobError, OnConflict, Outcome, Policy, QueueName, Span, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::book::{Book, Sure};
use super::chance::Chance;

/// The most jobs that a canceller chooses from.
const RECENT: usize = 400;

/// Tasks that run.
pub(super) struct Load {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// Starts them; `server` tells where the server is, while it is there.
pub(super) fn start(chance: &mut Chance, book: &Arc<Mutex<Book>>, server: &watch::Receiver<Option<Api>>) -> Load {
    let stop = CancellationToken::new();
    let recent = Arc::new(Mutex::new(VecDeque::new()));
    let mut tasks = JoinSet::new();
    let mut hand = |name: String| Hand {
        name,
        chance: chance.fork(),
        book: Arc::clone(book),
        recent: Arc::clone(&recent),
        server: server.clone(),
        stop: stop.clone(),
        number: 0,
    };
    for n in 0..3 {
        tasks.spawn(hand(format!("p{n}")).push_on());
    }
    for n in 0..6 {
        tasks.spawn(hand(format!("w{n}")).work_on());
    }
    for n in 0..2 {
        tasks.spawn(hand(format!("c{n}")).cancel_on());
    }
    Load { tasks, stop }
}

impl Load {
    /// Ends the tasks; each first hears the answer that it waits for.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// One of those who use the server.
struct Hand {
    name: String,
    chance: Chance,
    book: Arc<Mutex<Book>>,
    /// Jobs that were pushed lately.
    recent: Arc<Mutex<VecDeque<String>>>,
    server: watch::Receiver<Option<Api>>,
    stop: CancellationToken,
    number: u64,
}

/// What became of a request.
enum Heard<T> {
    Answer(T),
    /// The server said no, and nothing changed.
    No(u16),
    /// It may have happened.
    Unknown,
    /// It has not happened.
    Unsent,
}

fn heard<T>(answer: Result<T, Error>) -> Heard<T> {
    match answer {
        Ok(answer) => Heard::Answer(answer),
        Err(Error::Problem(problem)) if problem.word() == "unknown" => Heard::Unknown,
        Err(Error::Problem(problem)) => Heard::No(problem.status),
        Err(Error::Unknown { .. }) => Heard::Unknown,
        Err(Error::Unreachable { .. }) => Heard::Unsent,
        Err(error @ (Error::Config { .. } | Error::Outbox { .. })) => panic!("{error}"),
    }
}

impl Hand {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    fn name_one(&mut self) -> String {
        self.number += 1;
        format!("{}-{}", self.name, self.number)
    }

    /// The server, once it is there; `None` when it is time to end.
    async fn server(&mut self) -> Option<Api> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            api = self.server.wait_for(Option::is_some) => api.unwrap().clone(),
        }
    }

    /// After a request that was not answered: until there is another server, or
    /// for a moment.
    async fn breathe(&mut self) {
        let changed = tokio::time::timeout(Duration::from_millis(20), self.server.changed()).await;
        drop(changed);
    }

    async fn push_on(mut self) {
        let mut again: Option<PushJob> = None;
        while let Some(api) = self.server().await {
            sleep(Duration::from_micros(self.chance.below(2_000))).await;
            if self.chance.percent(10) && again.is_none() {
                self.push_many(&api).await;
                continue;
            }
            let job = match again.take() {
                Some(job) => job,
                None => self.draw_job(),
            };
            if let Some(id) = &job.id {
                self.book().maybe_pushed(id);
            }
            match heard(api.push(&job).await) {
                Heard::Answer(pushed) => {
                    self.pushed(&job, &pushed);
                    // One who asks twice is told the same job.
                    again = Some(job).filter(|job| job.id.is_some() && self.chance.percent(20));
                }
                Heard::No(status) => assert!(matches!(status, 409 | 503), "{status}"),
                Heard::Unknown if job.id.is_some() => {
                    again = Some(job);
                    self.breathe().await;
                }
                Heard::Unknown => {
                    self.book().pushed_nameless();
                    self.breathe().await;
                }
                Heard::Unsent => self.breathe().await,
            }
        }
    }

    async fn push_many(&mut self, api: &Api) {
        let jobs: Vec<_> = (0..5).map(|_| PushJob { key: None, on_conflict: None, ..self.draw_job() }).collect();
        for id in jobs.iter().filter_map(|job| job.id.as_deref()) {
            self.book().maybe_pushed(id);
        }
        match heard(api.push_many(&jobs).await) {
            Heard::Answer(pushed) => {
                for (job, pushed) in jobs.iter().zip(&pushed) {
                    self.pushed(job, pushed);
                }
            }
            Heard::No(status) => assert_eq!(status, 503),
            Heard::Unknown => {
                for _ in jobs.iter().filter(|job| job.id.is_none()) {
                    self.book().pushed_nameless();
                }
                self.breathe().await;
            }
            Heard::Unsent => self.breathe().await,
        }
    }

    fn pushed(&self, job: &PushJob, pushed: &PushedJob) {
        if let Some(wanted) = job.id.as_ref().filter(|id| **id != pushed.id && !pushed.kept) {
            self.book().wrong(format!("{wanted} was pushed, and {} was answered", pushed.id));
        }
        if pushed.rejected.is_none() {
            self.book().pushed(pushed);
        }
        let mut recent = self.recent.lock().unwrap();
        recent.push_back(pushed.id.clone());
        if recent.len() > RECENT {
            recent.pop_front();
        }
    }

    fn draw_job(&mut self) -> PushJob {
        let mut job = PushJob::new("k".parse().unwrap());
        job.queue = queue(self.chance.below(2));
        job.retry = Some(Policy { max_attempts: 20, first: Span::from_millis(50), cap: Span::from_millis(500) });
        if self.chance.percent(30) {
            job.id = Some(self.name_one());
        }
        if self.chance.percent(25) {
            job.key = Some(format!("key-{}", self.chance.below(40)).parse().unwrap());
            job.on_conflict = Some(if self.chance.percent(50) { OnConflict::Replace } else { OnConflict::Keep });
        }
        if self.chance.percent(30) {
            job.in_ = Some(Span::from_millis(u32::try_from(self.chance.below(1_500)).unwrap()));
        }
        job
    }

    async fn work_on(mut self) {
        let mut ends: Vec<(FinishAck, String)> = Vec::new();
        while let Some(api) = self.server().await {
            let worker = self.name_one();
            let lease_for = Span::from_secs(if self.chance.percent(30) { 1 } else { 30 });
            let wish = LeaseWish {
                queues: vec![queue(0), queue(1)],
                worker: worker.clone(),
                limit: 1 + usize::try_from(self.chance.below(10)).unwrap(),
                wait: Span::from_millis(200),
                for_: lease_for,
            };
            let jobs = if ends.is_empty() {
                heard(api.lease(&wish).await.map(|leased| leased.jobs))
            } else {
                self.finish_and_lease(&api, std::mem::take(&mut ends), wish).await
            };
            match jobs {
                Heard::Answer(jobs) => {
                    for job in &jobs {
                        self.book().started(job, &worker, lease_for);
                    }
                    for job in jobs {
                        if let Some(end) = self.work(&api, job, &worker, lease_for).await {
                            ends.push((end, worker.clone()));
                        }
                    }
                }
                Heard::No(status) => assert_eq!(status, 503),
                Heard::Unknown | Heard::Unsent => self.breathe().await,
            }
        }
    }

    async fn finish_and_lease(
        &mut self,
        api: &Api,
        ends: Vec<(FinishAck, String)>,
        wish: LeaseWish,
    ) -> Heard<Vec<LeasedJob>> {
        let acks = ends.iter().map(|(ack, _)| ack.clone()).collect();
        for (ack, worker) in &ends {
            self.book().done(&ack.id, worker, now(), Sure::Maybe);
        }
        match heard(api.finish(&FinishMany { acks, fails: Vec::new(), lease: Some(wish) }).await) {
            Heard::Answer(finished) => {
                for ((ack, worker), end) in ends.iter().zip(&finished.ends) {
                    if end.settled.is_some() {
                        self.book().done(&ack.id, worker, now(), Sure::Yes);
                    }
                }
                Heard::Answer(finished.jobs)
            }
            Heard::No(status) => Heard::No(status),
            Heard::Unknown => Heard::Unknown,
            Heard::Unsent => Heard::Unsent,
        }
    }

    /// Works one job, in one of many ways; or leaves its end for the next round
    /// trip.
    async fn work(&mut self, api: &Api, job: LeasedJob, worker: &str, lease_for: Span) -> Option<FinishAck> {
        let LeasedJob { id, lease, .. } = job;
        match self.chance.below(100) {
            0..35 => return Some(FinishAck { id, lease, output: None, skipped: None }),
            35..60 => self.ack(api, &id, lease, worker).await,
            60..70 => {
                let error = JobError { message: "on purpose".to_owned(), ..JobError::default() };
                // What follows is the policy's; nothing is claimed of it here.
                drop(api.fail(&id, &Fail { lease, error, permanent: false, retry_after: None }).await);
            }
            70..75 => drop(api.snooze(&id, &Snooze { lease, in_: Span::from_millis(100), why: None }).await),
            75..82 => {
                drop(api.extend(&id, &Extend { lease: lease.clone(), for_: Span::from_secs(20) }).await);
                self.ack(api, &id, lease, worker).await;
            }
            82..90 => self.ack_twice_at_once(api, &id, lease, worker).await,
            90..95 if lease_for == Span::from_secs(1) => {
                // The lease ends meanwhile; somebody else may have the job by then.
                sleep(Duration::from_millis(1_200)).await;
                self.ack(api, &id, lease, worker).await;
            }
            _ => self.book().count("jobs left lying"),
        }
        None
    }

    async fn ack(&mut self, api: &Api, id: &str, lease: String, worker: &str) {
        self.book().done(id, worker, now(), Sure::Maybe);
        let ack = Ack { lease, output: None, skipped: None };
        let mut answer = heard(api.ack(id, &ack).await);
        if matches!(answer, Heard::Unknown) {
            // The next server says whether it happened; once at most, it did.
            if let Some(api) = self.server().await {
                answer = heard(api.ack(id, &ack).await);
            }
        }
        match answer {
            Heard::Answer(_) => self.book().done(id, worker, now(), Sure::Yes),
            Heard::No(status) => assert!(matches!(status, 409 | 503), "{status}"),
            Heard::Unknown | Heard::Unsent => self.breathe().await,
        }
    }

    async fn ack_twice_at_once(&mut self, api: &Api, id: &str, lease: String, worker: &str) {
        self.book().done(id, worker, now(), Sure::Maybe);
        let ack = Ack { lease, output: None, skipped: None };
        let (one, other) = tokio::join!(api.ack(id, &ack), api.ack(id, &ack));
        let heard = [heard(one), heard(other)];
        for _ in heard.iter().filter(|heard| matches!(heard, Heard::Answer(_))) {
            self.book().done(id, worker, now(), Sure::Yes);
        }
    }

    async fn cancel_on(mut self) {
        while let Some(api) = self.server().await {
            sleep(Duration::from_micros(self.chance.below(6_000))).await;
            let Some(id) = self.any() else { continue };
            if self.chance.percent(30) {
                if let Heard::No(404) = heard(api.job(&id).await) {
                    self.book().wrong(format!("{id} was pushed, and cannot be found"));
                }
                continue;
            }
            match heard(api.cancel(&id).await) {
                Heard::Answer(gone) if gone.outcome == Outcome::Cancelled => {
                    self.book().cancelled(&id, now(), Sure::Yes);
                }
                Heard::Answer(_) => self.book().deleted(&id),
                Heard::No(404) => self.book().wrong(format!("{id} was pushed, and cannot be found")),
                Heard::No(status) => assert!(matches!(status, 409 | 503), "{status}"),
                Heard::Unknown => {
                    self.book().cancelled(&id, now(), Sure::Maybe);
                    self.book().deleted(&id);
                    self.breathe().await;
                }
                Heard::Unsent => self.breathe().await,
            }
        }
    }

    fn any(&mut self) -> Option<String> {
        let recent = self.recent.lock().unwrap();
        let len = u64::try_from(recent.len()).unwrap();
        let place = (len > 0).then(|| self.chance.below(len))?;
        recent.get(usize::try_from(place).unwrap()).cloned()
    }
}

fn queue(number: u64) -> QueueName {
    format!("q{number}").parse().unwrap()
}

fn now() -> Timestamp {
    SystemClock::resume(None).now().wall
}
