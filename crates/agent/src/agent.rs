//! The agent while it runs: one loop that looks, judges, records and tells.

use std::sync::Arc;
use std::time::Duration;

use aloud_client::Api;
use job::observe::worst;
use job::{Clock, Observation, Span, Verdict};
use release::{Layout, Tree};
use runner::Runner;
use supervisor::{Event, Supervisor};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use wire::v1::AgentReport;

use crate::answers::Desk;
use crate::code::FromTree;
use crate::control;
use crate::distance::Distance;
use crate::events::tell;
use crate::link::{ByServer, Link, Shared};
use crate::look::{Eyes, Looked};
use crate::notify::{Feed, Notifier, Outside, Progress, may_feed, status_line};
use crate::proof::Proofs;
use crate::record::Record;
use crate::refusals::{self, Alone};
use crate::remedy::{Remedies, Remedy};
use crate::settings::Settings;
use crate::stale::Origin;
use crate::trouble::Trouble;
use crate::truth::{self, Remark, Runs, judge};

/// How often everything is looked at, besides when something happens.
const TICK: Duration = Duration::from_secs(2);
/// How soon after one look another may follow because something happened.
const SOONEST: Duration = Duration::from_millis(150);
/// How long the supervisor may take to say how things stand.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A running agent.
pub struct Agent {
    settings: Settings,
    clock: Arc<dyn Clock>,
    supervisor: Supervisor,
    eyes: Arc<Eyes>,
    events: broadcast::Receiver<Event>,
    pokes: mpsc::Receiver<Poke>,
    reports: watch::Sender<Arc<AgentReport>>,
    shared: Arc<Shared>,
    record: Record,
    origin: Origin,
    notifier: Notifier,
    proofs: Proofs,
    remedies: Remedies,
    blank: AgentReport,
    tasks: JoinSet<()>,
    /// Runs commands for the server.
    runner: Option<Runner>,
    _alone: Alone,
}

/// Somebody wants a fresh look, and hears of it.
pub(crate) type Poke = oneshot::Sender<Arc<AgentReport>>;

/// Why an agent ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was asked to; its workers have ended.
    Stopped,
    /// Its program or its configuration was changed: the caller becomes the new
    /// program now, with the same arguments. The workers go on.
    Replace,
}

/// What the loop hears.
enum Heard {
    Stop,
    Tick,
    Event(Event),
    Poke(Poke),
    /// Events were missed: the next look tells all that counts.
    Behind,
    /// The commands that ran for the server have ended.
    Drained,
}

impl Agent {
    /// Starts an agent: takes its tree, puts in order what was cut short,
    /// starts the workers. Must be called inside a tokio runtime.
    pub async fn start(settings: Settings, clock: Arc<dyn Clock>, notifier: Notifier) -> Result<Self, Trouble> {
        let alone = claim(&settings)?;
        let tree = Tree::create(Layout::new(&settings.root), clock.clone()).map_err(Trouble::from)?;
        let tree = Arc::new(tree);
        recover(&tree, &settings, &clock).await;
        let pools = settings.pools()?;
        let watched = settings.watched.iter().map(|watched| watched.build()).collect::<Result<Vec<_>, _>>()?;
        let api = Api::new(settings.server.clone())
            .map_err(|error| Trouble::new(error.happened(), "The agent did not start.", error.hint()))?;
        let shared = Arc::new(Shared::default());
        let supervisor = supervisor::Options {
            run_dir: settings.run_dir(),
            launcher: Settings::own("launch"),
            guardian: Settings::own("guardian"),
            clock: clock.clone(),
            source: Arc::new(FromTree { tree: tree.clone(), env: settings.env.clone() }),
            quiet: Arc::new(ByServer(shared.clone())),
            quiet_within: Span::from_secs(2),
            cgroups: supervisor::cgroup::Choice::default(),
            env: usual_env(),
        };
        let supervisor = Supervisor::start(supervisor, pools).await.map_err(Trouble::from)?;
        let blank = blank(&settings, &clock);
        let (reports, _) = watch::channel(Arc::new(blank.clone()));
        let (poke, pokes) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        let socket = settings.dir.join(control::SOCKET);
        let listener = control::listen(&socket, &settings.root).map_err(|error| {
            Trouble::new(
                format!("cannot open the socket `{}`: {error}", socket.display()),
                "Commands could not reach the agent. It did not start.",
                "see that its folder may be written to, and that its path is not longer than 100 bytes",
            )
        })?;
        let accepted = settings.accepted.clone();
        let aided = watched.iter().filter(|one| !one.restart.is_empty()).map(|one| one.name.clone()).collect();
        let desk = Desk { supervisor: supervisor.clone(), poke, clock: clock.clone(), accepted, aided };
        tasks.spawn(control::serve(listener, Arc::new(desk)));
        let link = Link {
            api,
            host: settings.host.clone(),
            server: settings.server_at(),
            supervisor: supervisor.clone(),
            reports: reports.subscribe(),
            shared: shared.clone(),
            guards: Arc::new(settings.exec.guards.clone()),
        };
        let distance = Distance { api: link.api.clone(), host: settings.host.clone(), clock: clock.clone() };
        let runner = Runner::start(distance, settings.exec.handlers.clone());
        tasks.spawn(link.run());
        let eyes = Eyes { host: settings.host.clone(), tree: tree.clone(), clock: clock.clone(), watched };
        Ok(Self {
            events: supervisor.events(),
            record: Record::open(&settings.dir),
            origin: Origin::now(settings.program.clone(), settings.config.clone()),
            proofs: Proofs::new(tree, settings.releases.clone(), clock.clone(), settings.accepted.clone()),
            eyes: Arc::new(eyes),
            remedies: Remedies::default(),
            settings,
            clock,
            supervisor,
            pokes,
            reports,
            shared,
            notifier,
            blank,
            tasks,
            runner: Some(runner),
            _alone: alone,
        })
    }

    /// Runs until `stop` comes, or until the agent is to be replaced.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Ended, Trouble> {
        let mut stop = std::pin::pin!(stop);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked: Option<Instant> = None;
        let mut is_ready = false;
        // It becomes another as soon as this has ended; until then it does what
        // it always does.
        let mut drains: Option<JoinHandle<()>> = None;
        loop {
            let heard = tokio::select! {
                biased;
                () = &mut stop => Heard::Stop,
                Some(poke) = self.pokes.recv() => Heard::Poke(poke),
                () = ended(&mut drains) => Heard::Drained,
                event = self.events.recv() => event.map_or(Heard::Behind, Heard::Event),
                _ = ticks.tick() => Heard::Tick,
            };
            let mut waits = None;
            match heard {
                Heard::Stop => {
                    let drained = async {
                        if drains.is_some() {
                            ended(&mut drains).await;
                        }
                    };
                    let (how, ()) = tokio::join!(self.stop(), drained);
                    return Ok(how);
                }
                Heard::Drained => {
                    self.notifier.reloading(crate::notify::monotonic_usec());
                    self.tasks.shutdown().await;
                    self.supervisor.handoff().await.map_err(Trouble::from)?;
                    return Ok(Ended::Replace);
                }
                Heard::Event(event) => {
                    tell(&event);
                    // Others may follow; they are seen together.
                    if looked.is_some_and(|at| at.elapsed() < SOONEST) {
                        continue;
                    }
                }
                Heard::Poke(poke) => waits = Some(poke),
                Heard::Tick | Heard::Behind => {}
            }
            let report = self.look().await;
            looked = Some(Instant::now());
            if let Some(poke) = waits {
                // It may have gone.
                drop(poke.send(report));
            }
            if !is_ready {
                is_ready = true;
                self.notifier.ready();
            }
            if drains.is_none()
                && let Some(change) = self.origin.look()
            {
                match crate::handover::fits(&self.settings).await {
                    Ok(()) => {
                        tracing::info!("{}: the agent goes on as the new one", change.what());
                        let runner = self.runner.take();
                        drains = Some(tokio::spawn(async move {
                            if let Some(runner) = runner {
                                runner.stop().await;
                            }
                        }));
                    }
                    Err(why) => {
                        tracing::error!("{}, and cannot be used: {why}", change.what());
                        self.proofs.unfit = Some(format!("{}, and cannot be used: {why}", change.what()));
                        self.origin.refuse(change);
                    }
                }
            }
        }
    }

    async fn stop(mut self) -> Ended {
        self.notifier.stopping();
        let runner = self.runner.take();
        tokio::join!(self.supervisor.stop(), async {
            if let Some(runner) = runner {
                runner.stop().await;
            }
        });
        self.tasks.shutdown().await;
        Ended::Stopped
    }

    /// Looks at everything once, and tells whoever should hear of it.
    async fn look(&mut self) -> Arc<AgentReport> {
        let snapshot = timeout(ANSWER_WITHIN, self.supervisor.snapshot()).await.ok().and_then(Result::ok);
        let answered = snapshot.is_some();
        let guarded = snapshot.as_ref().is_some_and(|snapshot| snapshot.guarded);
        let remarks = self.remarks(answered, guarded);
        let eyes = self.eyes.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let snapshot = snapshot?;
            Some((eyes.look(&snapshot, remarks), snapshot))
        });
        let report = match looked.await.ok().flatten() {
            Some((Looked { seen, tree, workers }, _)) => {
                let observations = judge(&seen);
                self.record.keep(&observations);
                self.remedy(&seen).await;
                self.proofs.settle(&seen, &observations).await;
                AgentReport {
                    at: seen.at,
                    verdict: worst(observations.iter().map(|one| one.verdict)),
                    observations,
                    tree: Some(tree),
                    workers,
                    ..self.blank.clone()
                }
            }
            None => self.wedged(),
        };
        self.feed(&report, answered, guarded);
        let report = Arc::new(report);
        self.reports.send_replace(report.clone());
        report
    }

    /// What is known of the host and the agent besides what is looked at.
    fn remarks(&self, answered: bool, guarded: bool) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let mut say = |verdict, what: String| remarks.push(Remark { verdict, what });
        if answered && !guarded {
            say(Verdict::Warning, "the guardian of the workers does not run: they would outlive the agent".to_owned());
        }
        if let Some(why) = self.record.trouble() {
            say(Verdict::Critical, why.to_owned());
        }
        if let Some(why) = &self.proofs.unfit {
            say(Verdict::Warning, why.clone());
        }
        remarks
    }

    fn wedged(&self) -> AgentReport {
        let now = self.clock.now().wall;
        let observation = Observation {
            subject: job::Subject::Host(self.settings.host.clone()),
            at: now,
            verdict: Verdict::Unknown,
            what: "the supervisor of the workers does not answer".to_owned(),
            evidence: Vec::new(),
        };
        AgentReport { at: now, verdict: Verdict::Unknown, observations: vec![observation], ..self.blank.clone() }
    }

    /// Runs the declared command of watched processes that do not run what
    /// `current` leads to.
    async fn remedy(&mut self, seen: &crate::truth::Seen) {
        for pool in &seen.pools {
            let Some(watched) = self.eyes.watched.iter().find(|watched| watched.name == pool.name) else { continue };
            let astray = pool.processes.iter().any(|one| matches!(one.runs, Runs::Other(_) | Runs::Gone(_)));
            let release = match &seen.current {
                truth::Current::Release(id) => Some(id.clone()),
                truth::Current::Not(_) => None,
            };
            if !astray
                || watched.restart.is_empty()
                || !self.remedies.may_run(&pool.name, release.as_deref(), Instant::now())
            {
                continue;
            }
            let (name, command) = (pool.name.clone(), watched.restart.clone());
            tracing::warn!(%name, ?command, "these processes do not run the current release; the declared command is run");
            let log = self.settings.dir.join("logs").join(format!("{name}.restart.log"));
            let remedy = Remedy { name: name.clone(), command, dir: self.eyes.tree.current_path(), log };
            let task = self.tasks.spawn(remedy.run());
            self.remedies.runs(name, release, task, Instant::now());
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Tells systemd that the agent lives, if what it did shows that.
    fn feed(&self, report: &AgentReport, answered: bool, guarded: bool) {
        let mut outside = Vec::new();
        if self.shared.trouble().is_some() {
            outside.push(Outside::ServerAway(self.shared.away_for()));
        }
        let held = report.observations.iter().any(|one| one.what.contains("were given up"));
        if let (true, Some(release)) = (held, report.tree.as_ref().and_then(|tree| tree.current.clone())) {
            outside.push(Outside::CannotBoot { release });
        }
        let progress = Progress {
            loop_turned: true,
            last_scan_age: self.clock.now().wall.since(report.at),
            supervisor_answered: answered,
            guardian_alive: guarded || !answered,
            outside,
        };
        let feed = may_feed(&progress);
        self.notifier.status(&status_line(feed, &progress.outside));
        if feed == Feed::Yes {
            self.notifier.watchdog();
        }
    }
}

/// Returns when a task has ended; never, if there is none.
async fn ended(task: &mut Option<JoinHandle<()>>) {
    match task {
        // One that panicked has ended, too.
        Some(task) => drop(task.await),
        None => std::future::pending().await,
    }
}

/// Refuses what an agent must not be started with, and claims the tree.
fn claim(settings: &Settings) -> Result<Alone, Trouble> {
    settings.check()?;
    let run = settings.run_dir();
    std::fs::create_dir_all(&run).and_then(|()| std::fs::create_dir_all(settings.dir.join("logs"))).map_err(|error| {
        Trouble::new(
            format!("cannot use the agent's folder `{}`: {error}", settings.dir.display()),
            "The agent did not start.",
            "see that it may be created and written to by the user that the agent runs as, or name another with `dir` \
             in [agent]",
        )
    })?;
    refusals::alone(&settings.root)
}

/// Puts in order what a crash cut short; trouble with it does not keep workers
/// from being started.
async fn recover(tree: &Arc<Tree>, settings: &Settings, clock: &Arc<dyn Clock>) {
    let (tree, options, clock) = (tree.clone(), settings.releases.clone(), clock.clone());
    let accepted = settings.accepted.clone();
    let recovered = tokio::task::spawn_blocking(move || {
        release::recover(&tree, &options, &crate::deploy::OnlyEyes { clock: &*clock, accepted: &accepted })
    });
    match recovered.await {
        Ok(Ok(recovery)) => {
            for mended in &recovery.mended {
                tracing::warn!("something was cut short earlier: {mended}");
            }
        }
        Ok(Err(release::Error::Locked { message, .. })) => tracing::info!("{}", message.happened),
        Ok(Err(error)) => tracing::error!("{}", error.message().happened),
        Err(error) => tracing::error!(%error, "what was cut short earlier could not be looked at"),
    }
}

/// What workers find in their environment of the agent's own.
fn usual_env() -> Vec<(String, String)> {
    const USUAL: [&str; 5] = ["PATH", "LANG", "LC_ALL", "TZ", "TMPDIR"];
    USUAL.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

fn blank(settings: &Settings, clock: &Arc<dyn Clock>) -> AgentReport {
    let now = clock.now();
    let life = format!("{:x}-{:x}", std::process::id(), now.mono.0);
    AgentReport {
        agent: life,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot: host::machine::boot_id().known().unwrap_or_default(),
        at: now.wall,
        verdict: Verdict::Unknown,
        observations: vec![Observation {
            subject: job::Subject::Host(settings.host.clone()),
            at: now.wall,
            verdict: Verdict::Unknown,
            what: "the agent has started, and has not looked yet".to_owned(),
            evidence: Vec::new(),
        }],
        tree: None,
        workers: Vec::new(),
        heard: 0,
        wait: Span::ZERO,
        quiet: Vec::new(),
        guards: Vec::new(),
        answers: Vec::new(),
    }
}
