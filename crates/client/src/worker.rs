//! What takes jobs from the server and runs them.
//!
//! ```text
//! lease ──▶ decode ──▶ run ──▶ ending ──▶ ack, fail or snooze
//!   ▲        time limit, panics, heartbeat       │
//!   └────────────── in one round trip ◀──────────┘
//! ```

mod ends;
mod lease;
mod shift;

use std::sync::Arc;
use std::time::Duration;

use job::{QueueName, Span};
use wire::v1::LeaseWish;

use crate::handler::{Handler, Handlers};
use crate::identity::Identity;
use crate::{Aloud, Error, JobKind, id};

/// Takes jobs from queues and runs them with the handlers for their kinds.
///
/// ```no_run
/// # use aloud_client::{Aloud, Ctx, Ending, Failure, JobKind, Worker};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct SendNotice { notice: u64 }
/// # impl JobKind for SendNotice { const KIND: &'static str = "notice.send"; }
/// async fn send_notice(job: SendNotice, ctx: Ctx) -> Result<Ending, Failure> {
///     if ctx.attempt > 3 {
///         return Ok(Ending::skipped("nobody waits for it any more"));
///     }
///     std::fs::write(format!("notice-{}", job.notice), "sent")?; // an error is tried again
///     Ok(Ending::done())
/// }
///
/// # async fn example() -> Result<(), aloud_client::Error> {
/// let worker = Worker::new(Aloud::from_env()?)
///     .queues(["mail", "default"])
///     .concurrency(20)
///     .register::<SendNotice, _>(send_notice);
/// worker.run_until(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await?;
/// # Ok(()) }
/// ```
///
/// - A panic, a run beyond [`JobKind::TIME_LIMIT`] and an error are failed
///   attempts, recorded with the job and tried again by its policy.
/// - A payload that the handler's type cannot hold makes the job dead at once.
/// - A kind without a handler is a failed attempt, tried again by policy: in a
///   rolling deploy the next worker may know it.
/// - While a job runs, its lease is extended at a third of its length. If it is
///   lost all the same, [`crate::Ctx::cancelled`] is cancelled and the handler
///   stopped: another worker may run the job now.
/// - If the server is away the worker goes on, asks again ever more slowly, and
///   tells what ended meanwhile for as long as the lease may last.
/// - A process that aloud started says which one it is (`ALOUD_WORKER` and
///   `ALOUD_RELEASE`), and is told when it is to get no more jobs, because
///   another takes its place: it then ends what runs, and stops.
#[derive(Debug, Clone)]
#[must_use = "a worker works while `run_until` is awaited"]
pub struct Worker {
    aloud: Aloud,
    handlers: Handlers,
    queues: Vec<String>,
    name: Option<String>,
    identity: Option<Identity>,
    concurrency: usize,
    lease_for: Duration,
    drain_within: Duration,
}

/// What a worker did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Worked {
    /// Runs whose end the server has.
    pub ended: u64,
    /// Runs that were stopped and given back when the worker stopped.
    pub given_back: u64,
    /// Runs whose lease was lost, or whose end could not be told in time.
    pub lost: u64,
}

impl Worker {
    /// A worker for the queue `default`, ten jobs at a time.
    pub fn new(aloud: Aloud) -> Self {
        Self {
            aloud,
            handlers: Handlers::new(),
            queues: vec!["default".to_owned()],
            name: None,
            identity: Identity::from_env(),
            concurrency: 10,
            lease_for: Duration::from_secs(60),
            drain_within: Duration::from_secs(30),
        }
    }

    /// Takes from these queues, the first first; at most 100.
    pub fn queues<Q: Into<String>>(self, queues: impl IntoIterator<Item = Q>) -> Self {
        Self { queues: queues.into_iter().map(Into::into).collect(), ..self }
    }

    /// Runs so many jobs at a time; at least one.
    pub fn concurrency(self, jobs: usize) -> Self {
        Self { concurrency: jobs.max(1), ..self }
    }

    /// Runs jobs of `J` with this function.
    pub fn register<J: JobKind, H: Handler<J>>(self, handler: H) -> Self {
        Self { handlers: self.handlers.register(handler), ..self }
    }

    /// Runs jobs with these functions, and forgets those that were registered.
    pub fn handlers(self, handlers: Handlers) -> Self {
        Self { handlers, ..self }
    }

    /// How the worker calls itself, at most 200 bytes; if nothing is said, its
    /// `ALOUD_WORKER`, or host and process.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Which process this is to the one who started it, and from which release;
    /// by default what `ALOUD_WORKER` and `ALOUD_RELEASE` say. Each is 1 to 100
    /// visible ASCII characters without spaces.
    pub fn identity(self, worker: impl Into<String>, release: Option<String>) -> Result<Self, Error> {
        Ok(Self { identity: Some(Identity::new(worker.into(), release)?), ..self })
    }

    /// Leases jobs for so long, 1 second to 1 day; 1 minute if nothing is said.
    /// So long it takes to notice that this process has died.
    pub fn lease_for(self, length: Duration) -> Self {
        Self { lease_for: length, ..self }
    }

    /// When it is to stop, waits so long for what runs; 30 seconds if nothing
    /// is said. What runs longer is stopped and given back.
    pub fn drain_within(self, limit: Duration) -> Self {
        Self { drain_within: limit, ..self }
    }

    /// Works until `shutdown` comes, then takes no more, waits for what runs,
    /// and gives back what does not end in time. If the server says that this
    /// worker is to get no more jobs, it waits for what runs, however long that
    /// takes unless `shutdown` comes, and is done.
    ///
    /// It is an error if it cannot work at all: a setting that makes no sense,
    /// or a server that refuses it at first contact. Later refusals are logged,
    /// and the worker goes on.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<Worked, Error> {
        let Some(api) = self.aloud.api().cloned() else {
            return Err(Error::config(
                "a worker takes jobs from a server, and this `Aloud` has none",
                "use `Aloud::inline` to run jobs in a test",
            ));
        };
        let wish = self.wish()?;
        let api = self.identity.as_ref().map_or(api.clone(), |identity| api.identified(identity));
        tracing::info!(
            worker = wish.worker,
            url = api.url(),
            queues = ?self.queues,
            kinds = ?self.handlers,
            concurrency = self.concurrency,
            "working"
        );
        let rules = shift::Rules { wish, concurrency: self.concurrency, drain_within: self.drain_within };
        shift::Shift::new(api, Arc::new(self.handlers), rules).work(shutdown).await
    }

    fn wish(&self) -> Result<LeaseWish, Error> {
        let hint = "correct the worker's settings";
        let queues = self.queues.iter().map(|queue| queue.parse()).collect::<Result<Vec<QueueName>, _>>();
        let wish = LeaseWish {
            queues: queues.map_err(|e| Error::config(e.to_string(), hint))?,
            worker: self.name.clone().unwrap_or_else(|| default_name(self.identity.as_ref())),
            limit: 1,
            // Ends may go with it: they are heard of well before their leases
            // are over.
            wait: Span::from_secs(20).min((self.lease_for / 3).into()),
            for_: self.lease_for.into(),
        };
        wish.check().map_err(|why| Error::config(format!("this worker cannot work: {why}"), hint))?;
        Ok(wish)
    }
}

fn default_name(identity: Option<&Identity>) -> String {
    if let Some(identity) = identity {
        return identity.worker().to_owned();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{}-{}-{:04x}", job::attempt::bounded(host.to_owned(), 100), std::process::id(), id::draw_u32() & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_cannot_work_says_why() {
        let aloud = Aloud::new("http://127.0.0.1:1", crate::Token::new("t").unwrap()).unwrap();
        let why = async |worker: Worker| worker.run_until(async {}).await.unwrap_err().happened();
        assert!(why(Worker::new(aloud.clone()).queues(["ma il"])).await.contains("the character ' '"));
        assert!(why(Worker::new(aloud.clone()).queues(Vec::<String>::new())).await.contains("`queues`"));
        assert!(why(Worker::new(aloud.clone()).lease_for(Duration::from_millis(1))).await.contains("`for`"));
        assert!(why(Worker::new(aloud).name("")).await.contains("`worker`"));
        assert!(why(Worker::new(Aloud::recorded().0)).await.contains("has none"));
    }

    #[test]
    fn two_workers_of_one_process_have_two_names() {
        assert!(LeaseWish::MAX_WORKER_BYTES >= default_name(None).len());
        assert_ne!(default_name(None), default_name(None));
    }
}
