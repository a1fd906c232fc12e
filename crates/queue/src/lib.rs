//! What may happen to a job, and when.
//!
//! A [`store::Store`] keeps jobs and knows each legal step. This crate brings
//! what a store has not: somebody who waits, a loop that hears, and the passing
//! of time.
//!
//! # The life of a job through this crate
//!
//! 1. [`Queue::push`] hands it to the store. After the commit the store rings its
//!    bell; the one who pushed has no part in that and may be gone.
//! 2. If it is not due yet, the loop (`dispatch`) naps until the store said to
//!    come back (`timers`), and then has the store let time pass. The store
//!    rings again for what fell due.
//! 3. Somebody wants it ([`Queue::lease`]): now, and claims it straight away; or
//!    has been waiting in a line (`takers`, `lines`), and the loop claims for the one
//!    whose turn it is.
//! 4. If it has a guard, the store says that it must be asked first. The loop
//!    takes the question, has it asked by [`Guards`] while the taker waits on and
//!    other jobs flow past, and brings the answer (`asking`). A yes rings the
//!    bell, and 3. follows.
//! 5. Whoever shows the lease ends the run ([`Queue::finish`]); a taker that went
//!    away before it got the job has it ended by the queue, which gives it back.
//!    A failure waits with jitter from here (`draw`), and 2. follows.
//!
//! A store that is busy is asked again, ever more slowly, and no ring is lost
//! meanwhile: a line stays hot until a claim has found nothing in it. What fails
//! for long is said in [`Queue::findings`].
//!
//! It never sees bytes, HTTP or SQL, never decides what follows what (that is
//! `job`), and keeps nothing that a restart could lose.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use job::{Clock, Now};
use store::Store;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod asking;
mod backoff;
mod dispatch;
mod draw;
mod error;
mod findings;
mod finish;
mod guards;
mod lease;
mod lines;
mod look;
mod pause;
mod push;
mod takers;
mod timers;

pub use error::Error;
pub use finish::End;
pub use guards::{Guards, NoGuards};
pub use lease::Wish;
pub use store::jobs::{
    Cancel, Cancelled, Claimed, Cursor, Discarded, Found, From, Leased, Page, Pushed, QueueState, Recount, Revived,
    Search, Settled, Stale,
};
pub use store::records::{Health, Identity};

use dispatch::Dispatch;
use draw::Draw;
use findings::Findings;
use takers::Takers;

/// A future on the heap, as the methods of a trait object answer it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long stopping waits for jobs to be given back.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A handle to the queue; cheap to clone.
///
/// The queue runs until [`Queue::stop`], whether or not anybody holds a handle.
/// Calls then answer [`Error::Closing`].
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

/// What the calls and the loop have in common.
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    draw: Draw,
    findings: Findings,
    takers: Mutex<Takers>,
    /// Tells the loop that somebody joined those who wait.
    poke: Notify,
    /// Whether anything may have changed since the clocks were remembered.
    changed: AtomicBool,
    runtime: Handle,
    /// Jobs on their way back.
    tasks: TaskTracker,
    stopping: CancellationToken,
    stopped: CancellationToken,
}

impl Queue {
    /// Starts the queue over `store`.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its time enabled.
    pub fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, guards: Arc<dyn Guards>) -> Self {
        let findings = Findings::new(store.identity().remembered.as_ref());
        let shared = Arc::new(Shared {
            store,
            clock,
            draw: Draw::new(),
            findings,
            takers: Mutex::default(),
            poke: Notify::new(),
            changed: AtomicBool::new(true),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            stopped: CancellationToken::new(),
        });
        for finding in shared.findings.all(&shared.store.health(), shared.now()) {
            tracing::warn!("{finding}");
        }
        tokio::spawn(Arc::clone(&shared).run(guards));
        Self { shared }
    }

    /// Ends the queue: who waits for jobs gets none, calls that are under way are
    /// answered, guards are not asked any further, the clocks are remembered and
    /// the store is closed. Returns when all that is done; may be called twice.
    pub async fn stop(&self) {
        self.shared.stopping.cancel();
        self.shared.stopped.cancelled().await;
    }

    /// What the clocks say.
    pub fn now(&self) -> Now {
        self.shared.now()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Shared {
    /// From start to stop. Should the loop end by itself, nobody waits for it in
    /// vain: calls are refused from then on, and a finding says why.
    async fn run(self: Arc<Self>, guards: Arc<dyn Guards>) {
        let dispatch = Dispatch::new(Arc::clone(&self), guards);
        if let Err(panic) = AssertUnwindSafe(dispatch.run()).catch_unwind().await {
            self.findings.ended(format!("its loop panicked: {}", panic_text(&*panic)));
            self.takers().abandon();
            self.stopping.cancelled().await;
        }
        self.tasks.close();
        if tokio::time::timeout(STOP_PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::warn!("some jobs could not be given back; they return when their leases run out");
        }
        if let Err(error) = self.store.remember(self.clock.remember()).await {
            tracing::warn!(%error, "the clocks could not be remembered");
        }
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "the store did not close as it should");
        }
        self.stopped.cancel();
    }

    fn open(&self) -> Result<(), Error> {
        if self.stopping.is_cancelled() || self.findings.has_ended() { Err(Error::Closing) } else { Ok(()) }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn takers(&self) -> MutexGuard<'_, Takers> {
        self.takers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is about to change.
    fn changing(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Whether anything may have changed since this was last asked.
    fn changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// Does something that outlives the call it came from; stopping waits for it.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it said nothing")
}
