//! The supervisor, as others hold it.

use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use job::{Clock, Span};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::cgroup;
use crate::code::Source;
use crate::event::Event;
use crate::output::Line;
use crate::pool::Pool;
use crate::roll::Rolling;
use crate::snapshot::Snapshot;
use crate::worker::{Which, WorkerId};

/// Keeps workers on the current release. Cheap to clone; the processes are
/// ended by [`Supervisor::stop`], and by the guardian if this process dies.
#[derive(Clone)]
pub struct Supervisor {
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Event>,
    /// From before anything happened; taken by whoever asks first.
    first: Arc<Mutex<Option<broadcast::Receiver<Event>>>>,
    lines: broadcast::Sender<Line>,
}

/// What a supervisor needs.
pub struct Options {
    /// A folder of its own for sockets, pipes and records. Its path must be
    /// short (at most 80 bytes), for it becomes part of the path of a socket.
    pub run_dir: PathBuf,
    /// How the launcher is started: a program and its arguments, to which the
    /// path of an order is added. See [`crate::launch`].
    pub launcher: Vec<OsString>,
    /// How the guardian is started: a program and its arguments, to which
    /// three are added. See [`crate::guardian`].
    pub guardian: Vec<OsString>,
    /// Where both clocks are read.
    pub clock: Arc<dyn Clock>,
    /// Says which release is current.
    pub source: Arc<dyn Source>,
    /// Makes workers stop taking work before they are asked to end.
    pub quiet: Arc<dyn Quiet>,
    /// How long [`Quiet::quiet`] may take.
    pub quiet_within: Span,
    /// Whether workers get control groups of their own.
    pub cgroups: cgroup::Choice,
    /// What workers find in their environment whatever their pool says, such
    /// as `PATH`. Nothing else is taken over from the supervisor's own.
    pub env: Vec<(String, String)>,
}

/// A future that is waited for elsewhere.
pub type Quieting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a worker stop taking work, by whatever means there are.
pub trait Quiet: Send + Sync + 'static {
    /// Ends when the worker takes no more work, or when nothing can be done
    /// about it. It is not waited for longer than [`Options::quiet_within`].
    fn quiet(&self, worker: &WorkerId) -> Quieting;
}

/// Nothing is done before a worker is asked to end.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl Quiet for NoHooks {
    fn quiet(&self, _worker: &WorkerId) -> Quieting {
        Box::pin(std::future::ready(()))
    }
}

/// What somebody outside has seen a worker do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// It said to the queue who it is.
    Spoke,
    /// A connection of its waits for work.
    Connected,
    /// It has finished so many jobs more.
    Finished {
        /// How many.
        jobs: u64,
    },
}

/// Which pools are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All of them.
    All,
    /// One.
    Pool(job::PoolName),
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The folder, the guardian or something else that is needed is not to be had.
    #[error("cannot supervise workers: {what}: {source}\n  No worker was started.\nhint: {hint}")]
    NotStarted {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
        /// What to do.
        hint: String,
    },
    /// A pool cannot be run as it is written.
    #[error("the workers `{pool}` cannot be run: {what}\n  Nothing was changed.\nhint: {hint}")]
    Unfit {
        /// Which.
        pool: String,
        /// What is wrong with it.
        what: String,
        /// What to do.
        hint: String,
    },
    /// What the next program would need cannot be written down.
    #[error(
        "cannot hand the workers over: {source}\n  This program is not replaced.\nhint: see that there is room where \
         the supervisor runs"
    )]
    NotHandedOver {
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no pool of that name.
    #[error("there are no workers `{0}`\n  Nothing was changed.\nhint: the configuration says which there are")]
    NoSuchPool(String),
    /// The supervisor has stopped.
    #[error("the supervisor has stopped\n  Nothing was changed.\nhint: start it again")]
    Stopped,
}

/// What the loop is asked to do.
pub(crate) enum Command {
    Snapshot(oneshot::Sender<Snapshot>),
    Roll { reason: String, answer: oneshot::Sender<Rolling> },
    Restart { scope: Scope, answer: oneshot::Sender<Result<Rolling, Failure>> },
    Told(Which, Told),
    Reconfigure(Vec<Pool>, oneshot::Sender<Result<(), Failure>>),
    Stop(oneshot::Sender<()>),
    Handoff(oneshot::Sender<Result<(), Failure>>),
}

impl Supervisor {
    /// Starts to supervise, within a tokio runtime.
    ///
    /// If this process handed its workers to itself ([`Supervisor::handoff`])
    /// and became another program, they are taken over as they are. What
    /// else is left of an earlier life is ended first.
    pub async fn start(options: Options, pools: Vec<Pool>) -> Result<Self, Failure> {
        let (commands, inbox) = mpsc::channel(256);
        let (events, first) = broadcast::channel(Self::EVENTS);
        let lines = broadcast::Sender::new(Self::LINES);
        crate::life::begin(options, pools, inbox, events.clone(), lines.clone()).await?;
        Ok(Self { commands, events, first: Arc::new(Mutex::new(Some(first))), lines })
    }

    /// How many events a listener may be behind.
    pub const EVENTS: usize = 1_024;
    /// How many lines of output a listener may be behind.
    pub const LINES: usize = 4_096;

    /// How things stand.
    pub async fn snapshot(&self) -> Result<Snapshot, Failure> {
        self.ask(Command::Snapshot).await
    }

    /// What happens from now on. Who asks first also hears what has happened
    /// since the start.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| self.events.subscribe())
    }

    /// What workers write from now on.
    pub fn lines(&self) -> broadcast::Receiver<Line> {
        self.lines.subscribe()
    }

    /// Resolves the current release now, and moves all workers to it that are
    /// not on it. What was held is tried again. If all are there already, that is the answer.
    pub async fn roll(&self, reason: impl Into<String>) -> Result<Rolling, Failure> {
        let reason = reason.into();
        self.ask(|answer| Command::Roll { reason, answer }).await
    }

    /// Replaces workers by new ones of the current release, as a roll does.
    pub async fn restart(&self, scope: Scope) -> Result<Rolling, Failure> {
        self.ask(|answer| Command::Restart { scope, answer }).await?
    }

    /// Takes note of what a worker was seen to do. One that is not known, or
    /// has ended, is ignored.
    pub async fn told(&self, worker: Which, what: Told) {
        self.commands.send(Command::Told(worker, what)).await.ok();
    }

    /// Takes over a changed configuration: what a process would notice makes a
    /// new generation, pools that are gone are drained. If one is unfit,
    /// nothing is changed.
    pub async fn reconfigure(&self, pools: Vec<Pool>) -> Result<(), Failure> {
        self.ask(|answer| Command::Reconfigure(pools, answer)).await?
    }

    /// Drains all workers, and returns when none is left.
    pub async fn stop(&self) {
        self.ask(Command::Stop).await.ok();
    }

    /// Lets go of the workers without ending them, and writes down what the
    /// next program of this process needs to take them over. After this the
    /// caller has to `exec`; if that fails, [`Supervisor::start`] takes them
    /// back. After [`Failure::NotHandedOver`] they are supervised as before.
    pub async fn handoff(&self) -> Result<(), Failure> {
        self.ask(Command::Handoff).await?
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Failure::Stopped)?;
        answered.await.map_err(|_| Failure::Stopped)
    }
}
