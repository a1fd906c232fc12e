//! A pool while it lives: its generations, their workers, and its places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use job::{Mono, Now, Span};
use serde::{Deserialize, Serialize};

use crate::attend::Charge;
use crate::code::{Code, Dir};
use crate::event::LastLines;
use crate::exit::Ended;
use crate::fingerprint::Fingerprint;
use crate::output::writer::Writer;
use crate::plan::{self, Member, Phase};
use crate::pool::Pool;
use crate::restart::{Alarmed, Streak};
use crate::roll::{Confirmed, Held};
use crate::sign::Sign;
use crate::worker::{Generation, WorkerId};

/// What a generation is made from; another of these makes another generation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) code: Code,
    pub(super) pool: Pool,
    /// How often the pool was restarted on purpose.
    pub(super) restarts: u64,
}

/// A pool.
pub(super) struct PoolLife {
    pub(super) pool: Pool,
    /// Whether it is still wanted.
    pub(super) declared: bool,
    pub(super) restarts_asked: u64,
    pub(super) last_generation: u64,
    pub(super) target: Option<Generation>,
    pub(super) on_trial: bool,
    pub(super) teams: Vec<Team>,
    /// What was given up, and why.
    pub(super) held: Option<(Key, Held)>,
    /// Why the target does not serve, although nothing else does.
    pub(super) failing: Option<Held>,
    pub(super) alarmed: Option<Alarmed>,
    pub(super) restarts: u64,
    pub(super) writer: Writer,
    pub(super) written_by: Vec<JoinHandle<()>>,
    pub(super) dropped: Arc<AtomicU64>,
    pub(super) dropped_told: u64,
}

/// A generation.
pub(super) struct Team {
    pub(super) generation: Generation,
    pub(super) key: Key,
    pub(super) since: Now,
    pub(super) progress: Mono,
    /// Its release was removed or renamed.
    pub(super) gone: bool,
    /// No worker is to be started in it again.
    pub(super) given_up: bool,
    /// It has served.
    pub(super) proven: bool,
    pub(super) any_ready: bool,
    pub(super) alike: Option<(Fingerprint, u32)>,
    pub(super) last: LastLines,
    pub(super) workers: Vec<Worker>,
    pub(super) places: BTreeMap<u16, Place>,
}

/// A worker.
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) charge: Charge,
    pub(super) since: Now,
    pub(super) phase: Phase,
    pub(super) ready: Option<IsReady>,
    pub(super) jobs: u64,
    pub(super) not_ready_told: bool,
}

/// By what a worker is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct IsReady {
    pub(super) how: Sign,
    pub(super) wall: i64,
    pub(super) mono: i64,
    pub(super) verified: bool,
}

/// A place in a generation, and what happened to those who had it.
#[derive(Default)]
pub(super) struct Place {
    pub(super) streak: Streak,
    pub(super) not_before: Mono,
    pub(super) last: LastLines,
    pub(super) before: Option<(WorkerId, Ended)>,
}

impl Key {
    pub(super) fn same(&self, other: &Self) -> bool {
        let Code { is, logical, env, id: _, dir: _ } = &self.code;
        *is == other.code.is
            && *logical == other.code.logical
            && *env == other.code.env
            && self.restarts == other.restarts
            && self.pool.starts_the_same(&other.pool)
    }
}

impl PoolLife {
    pub(super) fn new(pool: Pool) -> Self {
        let dropped = Arc::new(AtomicU64::new(0));
        let (writer, thread) = Writer::begin(&pool.log, Arc::clone(&dropped));
        Self {
            pool,
            declared: true,
            restarts_asked: 0,
            last_generation: 0,
            target: None,
            on_trial: false,
            teams: Vec::new(),
            held: None,
            failing: None,
            alarmed: None,
            restarts: 0,
            writer,
            written_by: thread.into_iter().collect(),
            dropped,
            dropped_told: 0,
        }
    }

    /// Takes over a changed configuration.
    pub(super) fn change(&mut self, pool: Pool) {
        if pool.log != self.pool.log {
            // Those that run go on writing where they began to.
            let (writer, thread) = Writer::begin(&pool.log, Arc::clone(&self.dropped));
            self.writer = writer;
            self.written_by.extend(thread);
        }
        self.pool = pool;
    }

    /// Waits until everything is written, once no worker writes any more.
    pub(super) fn close(&mut self) {
        self.writer = Writer::nowhere(Arc::clone(&self.dropped));
        for thread in self.written_by.drain(..) {
            // A thread that panicked writes nothing more either.
            thread.join().ok();
        }
    }

    /// What it should be made from now.
    pub(super) fn wanted(&self, code: &Code) -> Key {
        Key { code: code.clone(), pool: self.pool.clone(), restarts: self.restarts_asked }
    }

    /// Chooses what is to serve, now that `code` is current. Says whether
    /// another generation than before sets out to.
    pub(super) fn steer(&mut self, code: &Code, now: Now) -> bool {
        if !self.declared {
            return false;
        }
        let wanted = self.wanted(code);
        if self.target_team().is_some_and(|team| team.key.same(&wanted)) {
            if let Some(team) = self.target_team_mut() {
                // The folder may have another name now, and people another word for it.
                team.key.code = wanted.code;
            }
            if self.held.take().is_some() {
                // What was given up is not asked for any more.
                self.on_trial = true;
                self.try_anew(now.mono);
            }
            return false;
        }
        let serves = self.target_team().is_some_and(|team| !team.gone);
        if serves && self.held.as_ref().is_some_and(|(key, _)| key.same(&wanted)) {
            return false;
        }
        self.held = None;
        self.failing = None;
        self.on_trial = true;
        let back = self.teams.iter().find(|team| !team.given_up && team.key.same(&wanted)).map(|team| team.generation);
        self.choose_stand_in();
        let target = back.unwrap_or_else(|| {
            self.last_generation += 1;
            let generation = Generation(self.last_generation);
            self.teams.push(Team::new(generation, wanted, now));
            generation
        });
        if let Some(team) = self.team_mut(target) {
            team.given_up = false;
            team.try_anew(now.mono);
        }
        self.target = Some(target);
        true
    }

    /// Gives the target as much time as it had in the beginning.
    pub(super) fn try_anew(&mut self, now: Mono) {
        if let Some(team) = self.target_team_mut() {
            team.try_anew(now);
        }
    }

    /// Of what is there, only one may go on starting workers while another
    /// takes over: one that has served, the newest of them; or else the one
    /// that was to, if any of its workers is ready.
    fn choose_stand_in(&mut self) {
        let useful =
            |team: &&Team| !team.given_up && !team.gone && (team.proven || team.workers.iter().any(Worker::is_ready));
        let chosen = self.teams.iter().filter(useful).max_by_key(|team| (team.proven, team.generation));
        let chosen = chosen.map(|team| team.generation);
        for team in &mut self.teams {
            team.given_up |= Some(team.generation) != chosen;
        }
    }

    pub(super) fn view(&self, quiet_within: Span) -> plan::Standing {
        let count = if self.declared { self.pool.count } else { 0 };
        let policy = plan::Policy {
            count,
            surge: self.pool.surge(),
            min_ready: self.pool.min_ready,
            ready_within: self.pool.ready_within,
            quiet_within,
            stop_within: self.pool.stop.within,
        };
        let teams = self.teams.iter().map(Team::view).collect();
        plan::Standing { policy, target: self.target, on_trial: self.on_trial, teams }
    }

    pub(super) fn team(&self, generation: Generation) -> Option<&Team> {
        self.teams.iter().find(|team| team.generation == generation)
    }

    pub(super) fn team_mut(&mut self, generation: Generation) -> Option<&mut Team> {
        self.teams.iter_mut().find(|team| team.generation == generation)
    }

    pub(super) fn target_team(&self) -> Option<&Team> {
        self.target.and_then(|target| self.team(target))
    }

    pub(super) fn target_team_mut(&mut self) -> Option<&mut Team> {
        self.target.and_then(|target| self.team_mut(target))
    }

    /// The generation that serves while the target is on trial.
    pub(super) fn stand_in(&self) -> Option<&Team> {
        self.teams.iter().find(|team| Some(team.generation) != self.target && !team.given_up && !team.gone)
    }

    pub(super) fn worker_mut(&mut self, id: &WorkerId) -> Option<&mut Worker> {
        self.team_mut(id.generation())?.workers.iter_mut().find(|worker| worker.id == *id)
    }

    /// Forgets generations that are over.
    pub(super) fn forget(&mut self) {
        let target = self.target.filter(|_| self.declared);
        self.teams.retain(|team| {
            !team.workers.is_empty()
                || Some(team.generation) == target
                || !(team.given_up || team.gone || target.is_none())
        });
    }

    pub(super) fn is_over(&self) -> bool {
        !self.declared && self.teams.iter().all(|team| team.workers.is_empty())
    }

    /// How many workers are ready.
    pub(super) fn ready(&self) -> u16 {
        let ready = self.teams.iter().flat_map(|team| &team.workers).filter(|worker| worker.is_ready()).count();
        u16::try_from(ready).unwrap_or(u16::MAX)
    }

    /// The workers that run what is asked for and are ready.
    pub(super) fn confirmed(&self) -> Vec<Confirmed> {
        let Some(team) = self.target_team() else { return Vec::new() };
        let release = &team.key.code.id;
        let ready = team.workers.iter().filter_map(|worker| {
            let ready = worker.ready.as_ref().filter(|_| worker.is_ready())?;
            Some(Confirmed {
                worker: worker.id.clone(),
                pid: worker.charge.reach.leader.pid,
                release: release.clone(),
                how: ready.how,
                verified: ready.verified,
            })
        });
        ready.collect()
    }

    /// How many lines were dropped since this was last asked.
    pub(super) fn newly_dropped(&mut self) -> u64 {
        let dropped = self.dropped.load(Ordering::Relaxed);
        dropped - std::mem::replace(&mut self.dropped_told, dropped)
    }
}

impl Team {
    pub(super) fn new(generation: Generation, key: Key, now: Now) -> Self {
        Self {
            generation,
            key,
            since: now,
            progress: now.mono,
            gone: false,
            given_up: false,
            proven: false,
            any_ready: false,
            alike: None,
            last: LastLines::default(),
            workers: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Gives it as much time as it had in the beginning.
    pub(super) fn try_anew(&mut self, now: Mono) {
        self.progress = now;
        self.alike = None;
        for place in self.places.values_mut() {
            place.not_before = now;
        }
    }

    /// Looks whether its release is still where it was; says whether that is news.
    pub(super) fn look(&mut self) -> bool {
        let gone = Dir::at(&self.key.code.dir).ok() != Some(self.key.code.is);
        let news = gone && !self.gone;
        self.gone = gone;
        news
    }

    fn view(&self) -> plan::Team {
        plan::Team {
            generation: self.generation,
            can_start: !self.gone && !self.given_up,
            progress: self.progress,
            alike: self.alike.as_ref().map_or(0, |(_, times)| *times),
            members: self.workers.iter().map(|w| Member { id: w.id.clone(), phase: w.phase }).collect(),
            waiting: self.places.iter().map(|(slot, place)| (*slot, place.not_before)).collect(),
        }
    }
}

impl Worker {
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    /// Whether it runs and was not asked to end.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Ready { .. })
    }

    pub(super) fn was_asked(&self) -> bool {
        matches!(self.phase, Phase::Quieting { .. } | Phase::Stopping { .. } | Phase::Killed)
    }
}
