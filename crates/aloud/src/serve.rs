//! `aloud server`: store, queue, runner and listeners, put together.
//!
//! What is wrong is found before anything is served, in this order: the
//! settings, the address, the store, its token, the declared commands.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent::notify::Notifier;
use job::time::SystemClock;
use job::{AppName, Span};
use queue::{Guards, Queue};
use runner::config::Around;
use runner::{Code, HttpAndExecGuards, Runner};
use server::{Agents, Forwarded, Handle, Options};
use store::Store;
use tokio::net::TcpListener;

use crate::agents;
use crate::args::ServerArgs;
use crate::exit::Exit;
use crate::report::Report;
use crate::settings::file::Durability;
use crate::settings::listen::{self, Listen};
use crate::settings::{Found, Settings};

mod guards;
mod opening;

use crate::signals::Signals;
use guards::ByAgents;
pub(crate) use opening::create;

/// What a question and its answer take between server and agent.
const FORWARDING: Span = Span::from_secs(2);

/// Runs the command in the folder `here`.
pub(crate) fn run(args: &ServerArgs, found: Found, here: &Path) -> Result<Exit, Report> {
    if args.end_with_stdin {
        crate::leash::hold().map_err(|error| {
            Report::config(
                format!("cannot watch stdin: {error}"),
                "The server did not start.",
                "see what limits this process has",
            )
        })?;
    }
    let folder = found.folder(here);
    let mut file = found.file;
    args.overlay(&mut file);
    // Where there is a tree of releases, commands run from it, and that is the
    // agent's: the server may be on another machine.
    let exec = if file.release.root.is_some() { Exec::AtAgent } else { Exec::Here(None) };
    serve(&Plan { settings: Settings::decide(file)?, folder, create: args.init, exec })
}

/// What is to be served.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What the configuration means.
    pub(crate) settings: Settings,
    /// Where relative paths of handlers and guards start.
    pub(crate) folder: PathBuf,
    /// Whether a store that is not there is created.
    pub(crate) create: bool,
    /// Where commands are run: the jobs of `exec` handlers, and guards.
    pub(crate) exec: Exec,
}

/// Where commands are run.
#[derive(Debug, Clone)]
pub(crate) enum Exec {
    /// In this process; from this code, if there is any.
    Here(Option<Arc<dyn Code>>),
    /// By the agents of the hosts.
    AtAgent,
}

/// Serves until a signal asks it to end.
pub(crate) fn serve(plan: &Plan) -> Result<Exit, Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Report::config(
            format!("cannot start: {error}"),
            "The server did not start.",
            "see what limits this process has",
        )
    })?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let serving = Serving::start(plan).await?;
        serving.announce();
        let systemd = Notifier::from_env(|name| std::env::var_os(name));
        systemd.ready();
        let signal = tokio::select! {
            signal = signals.asked() => signal,
            never = feed(&systemd, &serving.queue) => match never {},
        };
        systemd.stopping();
        tracing::info!("{signal} asks the server to stop; again, and it stops at once");
        tokio::select! {
            () = serving.stop() => {
                tracing::info!("stopped");
                Ok(Exit::Ok)
            }
            signal = signals.asked() => Err(Report::new(
                Exit::No,
                format!("{signal} came again: the server stopped at once"),
                "What was answered stays as it was answered. Jobs that ran here run again when their leases end.",
                "",
            )),
        }
    })
}

/// Feeds systemd's watchdog for as long as the store answers. That it answers
/// with an error feeds it too: a full disk is not mended by a restart.
async fn feed(systemd: &Notifier, queue: &Queue) -> Infallible {
    let Some(every) = systemd.watchdog_every() else { return std::future::pending().await };
    loop {
        tokio::time::sleep(every.as_duration() / 3).await;
        if let Err(error) = queue.ledger().await {
            systemd.status(&format!("the store does not count its jobs: {error}"));
        }
        systemd.watchdog();
    }
}

/// A server that runs.
pub(crate) struct Serving {
    queue: Queue,
    runner: Runner,
    http: Option<Handle>,
}

impl Serving {
    /// Starts everything. Must be called inside a tokio runtime.
    pub(crate) async fn start(plan: &Plan) -> Result<Self, Report> {
        let listener = bind(plan.settings.http).await?;
        if plan.create {
            opening::folder(&plan.settings.data)?;
        }
        let store = opening::store(&plan.settings, plan.create).await;
        let store = store.map_err(|report| report.also_means("The server did not start."))?;
        let started = Self::over(Arc::clone(&store), listener, plan);
        if started.is_err() {
            // Nothing was changed, so there is nothing to lose.
            drop(store.close().await);
        }
        started
    }

    fn over(store: Arc<dyn Store>, listener: Option<TcpListener>, plan: &Plan) -> Result<Self, Report> {
        let Plan { settings, folder, create, exec } = plan;
        let secrets = opening::secrets(settings, *create)?;
        let identity = store.identity();
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());

        // What every command that is run here is told.
        let mut env = BTreeMap::from([
            ("ALOUD_APP".to_owned(), identity.app.to_string()),
            ("ALOUD_TOKEN_FILE".to_owned(), absolute(&settings.token_file)?),
        ]);
        env.extend(address.map(|address| ("ALOUD_URL".to_owned(), listen::url(address))));
        let code = match exec {
            Exec::Here(code) => code.as_ref(),
            Exec::AtAgent => None,
        };
        let around = Around { folder, secret: &secrets.signing, env: &env, code };
        let mut handlers = runner::config::handlers(&settings.handlers, around)?;
        if let Exec::AtAgent = exec {
            handlers.retain(|handler| handler.run().name() != "exec");
        }
        let commands = runner::config::guards(&settings.guards, around)?;

        let clock = Arc::new(SystemClock::resume(identity.remembered.as_ref()));
        let agents = Agents::kept_in(agents::folder(&settings.data));
        let guards: Arc<dyn Guards> = match exec {
            Exec::Here(_) => Arc::new(HttpAndExecGuards::new(clock.clone(), secrets.signing.clone(), commands)?),
            Exec::AtAgent => {
                let patience = HttpAndExecGuards::MAX_TIMEOUT + FORWARDING;
                let http = HttpAndExecGuards::new(clock.clone(), secrets.signing.clone(), Vec::new())?;
                ByAgents::shared(http, Forwarded::new(agents.clone(), clock.clone(), patience))
            }
        };
        let queue = Queue::start(store, clock, guards);
        let runner = Runner::start(queue.clone(), handlers);
        if settings.durability == Durability::Relaxed {
            tracing::warn!("durability is relaxed: a power cut may take the last second of what was answered");
        }
        tracing::info!(app = %identity.app, store = %identity.id, data = %settings.data.display(), "the store is open");

        let http = listener.map(|listener| {
            let mut options = Options::new(identity.app, secrets.token, env!("CARGO_PKG_VERSION"));
            options.allowed_hosts.clone_from(&settings.allowed_hosts);
            options.agents = agents.clone();
            options.relaxed = settings.durability == Durability::Relaxed;
            // Who listens at one address is called by it.
            let own = address.map(|address| address.ip()).filter(|ip| !ip.is_unspecified());
            options.allowed_hosts.extend(own.map(|ip| ip.to_string()));
            server::start(listener, queue.clone(), options)
        });
        Ok(Self { queue, runner, http })
    }

    /// How this machine reaches it, if it listens.
    pub(crate) fn url(&self) -> Option<String> {
        self.http.as_ref().and_then(Handle::address).map(listen::url)
    }

    /// The app that it belongs to.
    pub(crate) fn app(&self) -> AppName {
        self.queue.identity().app
    }

    /// Says on stdout where it listens, and that it serves.
    pub(crate) fn announce(&self) {
        let address = self.http.as_ref().and_then(Handle::address);
        let say = || -> io::Result<()> {
            let mut stdout = io::stdout().lock();
            if let Some(address) = address {
                writeln!(stdout, "listening http {address}")?;
            }
            writeln!(stdout, "ready")?;
            stdout.flush()
        };
        if let Err(error) = say() {
            tracing::warn!(%error, "cannot say on stdout where the server listens; it serves all the same");
        }
    }

    /// Ends everything in order: the jobs that run here, then the requests, then
    /// the store. Dropped instead, it ends at once.
    pub(crate) async fn stop(self) {
        // The application's jobs may need the API until they are done.
        self.runner.stop().await;
        if let Some(http) = &self.http {
            http.stop().await;
        }
        self.queue.stop().await;
    }
}

async fn bind(http: Listen) -> Result<Option<TcpListener>, Report> {
    let Listen::At(address) = http else { return Ok(None) };
    TcpListener::bind(address).await.map(Some).map_err(|error| {
        let hint = if error.kind() == io::ErrorKind::AddrInUse {
            "see who listens there (`ss -ltnp`); if it is another aloud, stop it first, or give this one another address \
             with --http, where port 0 takes a free one"
        } else {
            "give an address of this machine with --http, and a port from 1024 upwards"
        };
        Report::config(format!("cannot listen on {address}: {error}"), "The server did not start.", hint)
    })
}

fn absolute(path: &Path) -> Result<String, Report> {
    let absolute = std::path::absolute(path).ok().and_then(|path| path.into_os_string().into_string().ok());
    absolute.ok_or_else(|| {
        Report::config(
            format!("the path `{}` is not UTF-8", path.display()),
            "Processes that aloud starts are told it in a variable. The server did not start.",
            "name the file differently",
        )
    })
}
