//! The loop that supervises.
//!
//! It hears commands, workers and the clock; after each of these it asks
//! [`plan`] for every pool what is to be done, and does it, until there is
//! nothing more to do. Everything it decides is decided there; everything it
//! knows of a worker comes from the worker's attendant.

mod begin;
mod guard;
mod handoff;
mod heard;
mod orphans;
mod pool;
mod show;
mod steps;
mod watch;

use std::collections::BTreeSet;
use std::fs::File;
use std::time::Duration;

use job::Span;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::attend::{Happened, Surroundings};
use crate::cgroup::Tree;
use crate::code::{Code, NoCode};
use crate::event::Event;
use crate::plan::{Action, plan, wake};
use crate::pool::Pool;
use crate::roll::Rolling;
use crate::supervisor::{Command, Failure, Options, Scope};
pub(crate) use begin::begin;
use guard::Guard;
use orphans::Orphans;
use pool::PoolLife;
use watch::Watch;

/// How often the current release is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often it is planned at most before others are heard again.
const ROUNDS: u32 = 100;

/// Everything that is supervised.
struct Life {
    options: Options,
    around: Surroundings,
    tree: Option<Tree>,
    pools: Vec<PoolLife>,
    /// Which release is current; not known before it was looked for.
    code: Option<Result<Code, NoCode>>,
    guard: Guard,
    orphans: Orphans,
    watches: Vec<Watch>,
    events: broadcast::Sender<Event>,
    /// Set once all are to end; whoever waits for it.
    stopping: Option<Vec<oneshot::Sender<()>>>,
    /// So that no other supervisor uses the folder.
    _alone: File,
}

/// What wakes the loop.
enum Woken {
    Command(Option<Command>),
    Happened(Happened),
    Tick,
    Time,
}

impl Life {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut happened: mpsc::Receiver<Happened>) {
        let mut tick = interval_at(Instant::now() + TICK, TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listening = true;
        self.refresh();
        loop {
            self.settle();
            if self.stopping.is_some() && self.pools.iter().all(PoolLife::is_over) {
                self.end();
                return;
            }
            let woken = tokio::select! {
                command = commands.recv(), if listening => Woken::Command(command),
                Some(what) = happened.recv() => Woken::Happened(what),
                _ = tick.tick() => Woken::Tick,
                () = sleep(self.time_to_wake().as_duration()) => Woken::Time,
            };
            match woken {
                Woken::Command(Some(Command::Handoff(answer))) => {
                    let done = match self.has_room() {
                        Ok(()) => self.hand_off(&mut happened).await,
                        Err(failure) => Err(failure),
                    };
                    if done.is_ok() {
                        // Whoever hears of it may begin anew at once.
                        drop(self);
                        answer.send(done).ok();
                        return;
                    }
                    answer.send(done).ok();
                }
                Woken::Command(Some(command)) => self.obey(command),
                // Nobody can ask for anything any more.
                Woken::Command(None) => {
                    listening = false;
                    self.wind_down(None);
                }
                Woken::Happened(what) => self.hear(what),
                Woken::Tick => self.tick(),
                Woken::Time => {}
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Snapshot(answer) => {
                answer.send(self.show()).ok();
            }
            Command::Roll { reason, answer } => {
                let rolling = self.roll(&reason, None);
                answer.send(rolling).ok();
            }
            Command::Restart { scope, answer } => {
                answer.send(self.restart(&scope)).ok();
            }
            Command::Told(which, told) => self.told(&which, told),
            Command::Reconfigure(pools, answer) => {
                answer.send(self.reconfigure(pools)).ok();
            }
            Command::Stop(answer) => self.wind_down(Some(answer)),
            Command::Handoff(_) => unreachable!("it ends the loop"),
        }
    }

    /// Asks which release is current, and lets every pool set out for it.
    fn refresh(&mut self) {
        self.resolve();
        self.steer("another release is current");
    }

    fn resolve(&mut self) {
        let found = self.options.source.resolve();
        let news = match (&self.code, &found) {
            (Some(Err(before)), Err(none)) if before == none => None,
            (_, Err(none)) => Some(Event::NoRelease { why: none.why.clone() }),
            (Some(Err(_)), Ok(code)) => Some(Event::ReleaseBack { release: code.id.clone() }),
            (Some(Ok(_)) | None, Ok(_)) => None,
        };
        self.code = Some(found);
        if let Some(news) = news {
            self.say(news);
        }
    }

    fn steer(&mut self, reason: &str) {
        let Some(Ok(code)) = self.code.clone() else { return };
        let now = self.around.clock.now();
        for at in 0..self.pools.len() {
            let pool = &mut self.pools[at];
            if pool.steer(&code, now)
                && let Some(generation) = pool.target
            {
                let (name, release) = (pool.pool.name.clone(), code.id.clone());
                self.say(Event::Rolling { pool: name, generation, release, reason: reason.to_owned() });
            }
        }
    }

    /// Does what there is to do, until there is nothing more.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let mut changed = self.heed_time();
            for at in 0..self.pools.len() {
                changed |= self.step(at);
            }
            for pool in &mut self.pools {
                pool.forget();
            }
            if !changed {
                break;
            }
        }
        if self.stopping.is_none() {
            self.pools.retain(|pool| !pool.is_over());
        }
        self.watch();
    }

    fn step(&mut self, at: usize) -> bool {
        let now = self.around.clock.now();
        let steps = plan(&self.pools[at].view(self.options.quiet_within), now.mono);
        if steps.iter().any(|step| matches!(step, Action::Start { .. })) && self.has_moved(at) {
            return true;
        }
        let mut changed = false;
        for step in steps {
            changed |= self.apply(at, step, now);
        }
        changed
    }

    /// Looks once more before workers are started: whether another release is
    /// current, and whether those that are known are where they were.
    fn has_moved(&mut self, at: usize) -> bool {
        let before = self.pools[at].target;
        self.refresh();
        let gone = self.look(at);
        gone || self.pools[at].target != before
    }

    /// Looks whether the releases of a pool are still there.
    fn look(&mut self, at: usize) -> bool {
        let pool = &mut self.pools[at];
        let news = pool.teams.iter_mut().filter_map(|team| team.look().then(|| team.key.code.id.clone()));
        let news: Vec<String> = news.collect();
        let name = pool.pool.name.clone();
        for release in &news {
            self.say(Event::ReleaseGone { pool: name.clone(), release: release.clone() });
        }
        !news.is_empty()
    }

    fn tick(&mut self) {
        self.refresh();
        for at in 0..self.pools.len() {
            self.look(at);
            let lines = self.pools[at].newly_dropped();
            if lines > 0 {
                let pool = self.pools[at].pool.name.clone();
                self.say(Event::OutputDropped { pool, lines });
            }
        }
        let guardian = self.guard.alive.map(|ident| ident.pid);
        let leaders: BTreeSet<u32> = self.workers().map(|w| w.charge.reach.leader.pid).chain(guardian).collect();
        self.orphans.sweep(&leaders);
        self.keep_guardian();
    }

    fn time_to_wake(&self) -> Span {
        let now = self.around.clock.now().mono;
        let planned = self.pools.iter().filter_map(|pool| wake(&pool.view(self.options.quiet_within), now));
        let next = planned.chain(self.times()).filter(|at| *at > now).min();
        next.map_or(Span::from(TICK), |at| at.since(now)).min(Span::from(TICK))
    }

    fn roll(&mut self, reason: &str, only: Option<&job::PoolName>) -> Rolling {
        let now = self.around.clock.now().mono;
        let meant = |pool: &&mut PoolLife| pool.declared && only.is_none_or(|name| pool.pool.name == *name);
        let mut names = Vec::new();
        for pool in self.pools.iter_mut().filter(meant) {
            pool.held = None;
            pool.failing = None;
            pool.on_trial = true;
            pool.try_anew(now);
            names.push(pool.pool.name.clone());
        }
        self.resolve();
        self.steer(reason);
        let (watch, rolling) = Watch::begin(names);
        self.watches.push(watch);
        rolling
    }

    fn restart(&mut self, scope: &Scope) -> Result<Rolling, Failure> {
        let only = match scope {
            Scope::All => None,
            Scope::Pool(name) => Some(name),
        };
        let meant = |pool: &&mut PoolLife| pool.declared && only.is_none_or(|name| pool.pool.name == *name);
        let mut found = false;
        for pool in self.pools.iter_mut().filter(meant) {
            pool.restarts_asked += 1;
            found = true;
        }
        match only {
            Some(name) if !found => Err(Failure::NoSuchPool(name.to_string())),
            Some(_) | None => Ok(self.roll("a restart was asked for", only)),
        }
    }

    fn reconfigure(&mut self, pools: Vec<Pool>) -> Result<(), Failure> {
        begin::check(&pools)?;
        for life in &mut self.pools {
            life.declared = false;
        }
        for (at, pool) in pools.into_iter().enumerate() {
            let known = self.pools.iter().position(|life| life.pool.name == pool.name);
            let life = match known {
                Some(found) => {
                    let mut life = self.pools.remove(found);
                    life.declared = true;
                    life.change(pool);
                    life
                }
                None => PoolLife::new(pool),
            };
            self.pools.insert(at.min(self.pools.len()), life);
        }
        for life in self.pools.iter_mut().filter(|life| !life.declared) {
            life.on_trial = false;
        }
        self.resolve();
        self.steer("the configuration has changed");
        Ok(())
    }

    fn wind_down(&mut self, answer: Option<oneshot::Sender<()>>) {
        self.stopping.get_or_insert_default().extend(answer);
        for pool in &mut self.pools {
            pool.declared = false;
            pool.on_trial = false;
        }
    }

    /// Nothing is left to supervise.
    fn end(mut self) {
        self.guard.end();
        self.around.dir.sweep();
        std::fs::remove_file(self.around.dir.ask_guardian()).ok();
        for pool in &mut self.pools {
            pool.close();
        }
        let waiting = self.stopping.take();
        // Whoever hears of it may begin anew at once.
        drop(self);
        for answer in waiting.into_iter().flatten() {
            answer.send(()).ok();
        }
    }

    fn say(&mut self, event: Event) {
        tracing::debug!(?event, "supervisor");
        for watch in &mut self.watches {
            watch.hear(&event);
        }
        // Nobody has to listen.
        self.events.send(event).ok();
    }
}
