//! How things stand, as it is shown.

use job::{Now, Timestamp};

use super::Life;
use super::pool::{Place, PoolLife, Team, Worker};
use crate::plan::Phase;
use crate::snapshot::{GenerationView, PoolView, Role, Snapshot, State, WorkerView};

impl Life {
    pub(super) fn show(&self) -> Snapshot {
        let now = self.around.clock.now();
        Snapshot {
            at: now.wall,
            pools: self.pools.iter().map(|pool| show_pool(pool, now)).collect(),
            no_release: self.code.as_ref().and_then(|code| code.as_ref().err()).map(|none| none.why.clone()),
            guarded: self.guard.alive.is_some(),
            guardian_restarts: self.guard.restarts,
            cgroups: self.tree.is_some(),
        }
    }
}

fn show_pool(pool: &PoolLife, now: Now) -> PoolView {
    let held = pool.failing.clone().or(pool.held.as_ref().map(|(_, held)| held.clone()));
    PoolView {
        name: pool.pool.name.clone(),
        count: if pool.declared { pool.pool.count } else { 0 },
        ready: pool.ready(),
        generations: pool.teams.iter().map(|team| show_team(pool, team, now)).collect(),
        held,
        restarts: pool.restarts,
        dropped_lines: pool.dropped.load(std::sync::atomic::Ordering::Relaxed),
    }
}

fn show_team(pool: &PoolLife, team: &Team, now: Now) -> GenerationView {
    let is_target = pool.target == Some(team.generation);
    let role = match (is_target, pool.on_trial) {
        (true, true) => Role::Coming,
        (true, false) => Role::Serving,
        (false, _) if team.given_up => Role::Leaving,
        (false, _) => Role::Serving,
    };
    let mut workers: Vec<_> = team.workers.iter().map(|worker| show_worker(team, worker, now)).collect();
    let is_empty = |slot: u16| !team.workers.iter().any(|worker| worker.id.slot() == slot && worker.is_active());
    if pool.declared && !team.given_up {
        let waiting =
            team.places.iter().filter(|(slot, place)| **slot <= pool.pool.count && place.not_before > now.mono);
        workers.extend(waiting.filter(|(slot, _)| is_empty(**slot)).map(|(slot, place)| show_place(*slot, place, now)));
    }
    workers.sort_by_key(|worker| (worker.slot, worker.since));
    GenerationView {
        generation: team.generation,
        role,
        release: team.key.code.id.clone(),
        dir: team.key.code.is,
        gone: team.gone,
        since: team.since.wall,
        workers,
    }
}

fn show_worker(team: &Team, worker: &Worker, now: Now) -> WorkerView {
    let wall = |mono: job::Mono| now.wall - now.mono.since(mono);
    let state = match (worker.phase, &worker.ready) {
        (Phase::Starting, _) | (Phase::Ready { .. }, None) => State::Starting,
        (Phase::Ready { .. }, Some(ready)) => {
            State::Ready { how: ready.how, since: Timestamp(ready.wall), verified: ready.verified }
        }
        (Phase::Quieting { since, .. } | Phase::Stopping { since }, _) => State::Draining { since: wall(since) },
        (Phase::Killed, _) => State::Draining { since: now.wall },
        (Phase::Ended, _) => State::Ended,
    };
    let leader = worker.charge.reach.leader;
    let before = team.places.get(&worker.id.slot()).and_then(|place| place.before.as_ref());
    let runs = worker.phase != Phase::Ended;
    WorkerView {
        slot: worker.id.slot(),
        id: Some(worker.id.clone()),
        pid: runs.then_some(leader.pid),
        start: runs.then_some(leader.start.0),
        since: Some(worker.since.wall),
        state,
        jobs: worker.jobs,
        memory: worker.charge.reach.cgroup.as_ref().and_then(crate::cgroup::Leaf::memory),
        last: worker.charge.last(),
        before: before.map(|(_, ended)| ended.clone()),
    }
}

fn show_place(slot: u16, place: &Place, now: Now) -> WorkerView {
    let until = now.wall + place.not_before.since(now.mono);
    WorkerView {
        slot,
        id: place.before.as_ref().map(|(id, _)| id.clone()),
        pid: None,
        start: None,
        since: None,
        state: State::Backoff { until, failures: place.streak.failures },
        jobs: 0,
        memory: None,
        last: place.last.clone(),
        before: place.before.as_ref().map(|(_, ended)| ended.clone()),
    }
}
