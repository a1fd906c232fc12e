//! Takes jobs from the queue and has them run, until it is stopped.

use std::sync::Arc;
use std::time::Duration;

use job::Span;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::finisher::{self, Finisher};
use crate::handler::{Handler, Run};
use crate::jobs::{Error, Jobs, Taken, Wish};
use crate::running;

/// Runs the jobs of its handlers' kinds.
///
/// There is one loop for each handler. It asks for as many jobs as it has free
/// places, waits there without polling, and holds at most
/// [`Handler::concurrency`] jobs. Dropped, it ends everything at once, and
/// every process that it started; their jobs come back by their leases.
#[derive(Debug)]
pub struct Runner {
    loops: JoinSet<()>,
    stop: CancellationToken,
    cut: CancellationToken,
    grace: Span,
}

/// What all loops and runs share.
pub(crate) struct Shared {
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) finisher: Finisher,
    pub(crate) pace: Pace,
    /// No more jobs are taken.
    pub(crate) stop: CancellationToken,
    /// What still runs is ended.
    pub(crate) cut: CancellationToken,
}

/// How long a job is leased, and how often that is renewed while it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) lease: Span,
    pub(crate) renew: Span,
}

impl Pace {
    /// After a crash, a job comes back within a minute.
    const USUAL: Self = Self { lease: Span::from_secs(60), renew: Span::from_secs(20) };
}

/// How long a wish may wait.
const WAIT: Span = Span::from_secs(60);
/// How long to wait after a wish was refused, or not heard.
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);

impl Runner {
    /// How long [`Runner::stop`] lets running jobs go on.
    pub const DRAIN: Span = Span::from_secs(20);

    /// Starts one loop for each handler. Must be called inside a tokio runtime,
    /// with the handlers' kinds among the own kinds of the store's rules.
    pub fn start(jobs: impl Jobs, handlers: Vec<Handler>) -> Self {
        Self::start_at(Pace::USUAL, Arc::new(jobs), handlers)
    }

    pub(crate) fn start_at(pace: Pace, jobs: Arc<dyn Jobs>, handlers: Vec<Handler>) -> Self {
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let mut loops = JoinSet::new();
        let (finisher, ends) = finisher::channel();
        loops.spawn(finisher::finish_all(Arc::clone(&jobs), ends));
        let shared = Arc::new(Shared { jobs, finisher, pace, stop: stop.clone(), cut: cut.clone() });
        let grace = handlers.iter().map(grace).max().unwrap_or(Span::ZERO);
        for handler in handlers {
            loops.spawn(serve(Arc::clone(&shared), Arc::new(handler)));
        }
        Self { loops, stop, cut, grace }
    }

    /// Takes no more jobs, lets those that run go on for [`Runner::DRAIN`],
    /// then cuts them: they are put off without spending an attempt. Returns
    /// when all have ended.
    pub async fn stop(self) {
        self.stop_within(Self::DRAIN).await;
    }

    /// The same with another length.
    pub async fn stop_within(mut self, drain: Span) {
        /// Beyond the commands' own grace, for what is left to be written down.
        const WRITING: Duration = Duration::from_secs(10);
        self.stop.cancel();
        if timeout(drain.as_duration(), ended(&mut self.loops)).await.is_ok() {
            return;
        }
        self.cut.cancel();
        if timeout(self.grace.as_duration() + WRITING, ended(&mut self.loops)).await.is_err() {
            tracing::warn!("some jobs could not be ended in order; they come back when their leases run out");
        }
    }
}

async fn ended(loops: &mut JoinSet<()>) {
    while loops.join_next().await.is_some() {}
}

fn grace(handler: &Handler) -> Span {
    match handler.run() {
        Run::Exec(exec) => exec.command.grace(),
        Run::Http(_) | Run::Mail(_) => Span::ZERO,
    }
}

/// The loop of one handler.
async fn serve(shared: Arc<Shared>, handler: Arc<Handler>) {
    let mut runs = JoinSet::new();
    let mut wish = None;
    loop {
        let free = handler.concurrency() - runs.len();
        if wish.is_none() && free > 0 {
            wish = Some(Box::pin(take(Arc::clone(&shared), Arc::clone(&handler), free)));
        }
        // A wish that waits is never dropped for another: what it was granted
        // would have to be given back. While it waits, places only get free.
        let granted = async {
            match &mut wish {
                Some(wish) => wish.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            Some(_) = runs.join_next(), if !runs.is_empty() => {}
            granted = granted => {
                wish = None;
                match granted {
                    Ok(jobs) => for taken in jobs {
                        runs.spawn(running::run(Arc::clone(&shared), Arc::clone(&handler), taken));
                    },
                    Err(Error::Closing) => break,
                    Err(error @ (Error::Busy(_) | Error::Cut(_))) => {
                        tracing::warn!(kind = %handler.kind(), %error, "no jobs could be taken; trying again");
                    }
                }
            }
        }
    }
    drop(wish);
    while runs.join_next().await.is_some() {}
}

async fn take(shared: Arc<Shared>, handler: Arc<Handler>, free: usize) -> Result<Vec<Taken>, Error> {
    let wish = Wish {
        kind: handler.kind().clone(),
        worker: format!("aloud:{}", handler.run().name()),
        limit: free,
        wait: WAIT,
        lease_for: shared.pace.lease,
    };
    let granted = shared.jobs.take(wish).await;
    if granted.is_err() {
        sleep(AFTER_AN_ERROR).await;
    }
    granted
}
