//! The workers, handed from one program of this process to the next.
//!
//! The process stays the same when it becomes another program, so its children
//! stay its children. What has to be remembered goes into a file that counts
//! only for this very process. Both programs may be of different versions: a
//! field that is added needs a default.

use std::collections::BTreeMap;

use job::{Mono, Now, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::guard::{Guard, let_guardian_release};
use super::pool::{IsReady, Key, Place, PoolLife, Team, Worker};
use super::{Life, begin};
use crate::attend::{self, Happened};
use crate::event::Event;
use crate::guardian;
use crate::plan::Phase;
use crate::process::{self, Ident};
use crate::record::{self, Record, RunDir};
use crate::restart::Streak;
use crate::roll::Held;
use crate::supervisor::Failure;
use crate::worker::{Generation, WorkerId};

/// What is left for the next program.
#[derive(Serialize, Deserialize)]
pub(super) struct Left {
    process: Ident,
    boot: String,
    guardian: Option<Ident>,
    pools: Vec<LeftPool>,
}

#[derive(Serialize, Deserialize)]
struct LeftPool {
    name: job::PoolName,
    restarts_asked: u64,
    last_generation: u64,
    target: Option<Generation>,
    on_trial: bool,
    held: Option<(Key, Held)>,
    failing: Option<Held>,
    restarts: u64,
    teams: Vec<LeftTeam>,
}

#[derive(Serialize, Deserialize)]
struct LeftTeam {
    generation: Generation,
    key: Key,
    wall: i64,
    given_up: bool,
    proven: bool,
    any_ready: bool,
    streaks: Vec<(u16, Streak)>,
    workers: Vec<LeftWorker>,
}

#[derive(Serialize, Deserialize)]
struct LeftWorker {
    id: WorkerId,
    ident: Ident,
    wall: i64,
    mono: i64,
    asked: bool,
    ready: Option<IsReady>,
    jobs: u64,
    /// The lines that had not ended.
    open: (Vec<u8>, Vec<u8>),
}

impl Left {
    /// What was left for this very process, if anything was.
    pub(super) fn read(dir: &RunDir) -> Option<Self> {
        let left = record::read::<Self>(&dir.state()).ok();
        begin::used(dir);
        left.filter(|left| Ident::own().is_ok_and(|own| own == left.process) && left.boot == process::boot())
    }
}

/// How much room one worker takes at most in what is left: twice a line, as
/// numbers, and what else is said of it.
const ROOM: usize = 80 * 1_024;

impl Life {
    /// Sees whether there will be room to write down what is left, before any
    /// worker is let go of.
    pub(super) fn has_room(&self) -> Result<(), Failure> {
        let path = self.around.dir.state().with_extension("room");
        let room = std::fs::write(&path, vec![b' '; ROOM * (1 + self.workers().count())]);
        std::fs::remove_file(&path).ok();
        room.map_err(|source| Failure::NotHandedOver { source })
    }

    /// Lets go of all workers, and writes down what the next program needs. If
    /// that fails, they are taken back.
    pub(super) async fn hand_off(&mut self, happened: &mut mpsc::Receiver<Happened>) -> Result<(), Failure> {
        self.let_guardian_hold().await;
        let own = Ident::own().map_err(|source| Failure::NotHandedOver { source })?;
        // First none is looked at any more, then what they told is taken note of.
        let mut open = BTreeMap::new();
        for pool in &mut self.pools {
            for team in &mut pool.teams {
                for worker in std::mem::take(&mut team.workers) {
                    let Worker { id, charge, since, phase, ready, jobs, not_ready_told: _ } = worker;
                    let ident = charge.reach.leader;
                    let lines = charge.let_go().await;
                    // One that has ended, and left something behind, is ended there.
                    if phase == Phase::Ended {
                        continue;
                    }
                    let asked = !matches!(phase, Phase::Starting | Phase::Ready { .. });
                    let (wall, mono) = (since.wall.0, since.mono.0);
                    open.insert(id.clone(), LeftWorker { id, ident, wall, mono, asked, ready, jobs, open: lines });
                }
            }
        }
        let now = self.around.clock.now();
        while let Ok(what) = happened.try_recv() {
            // An end is seen again by the next program; a word is not.
            if let Happened::Notified(id) = what
                && let Some(worker) = open.get_mut(&id)
            {
                worker.ready.get_or_insert(IsReady {
                    how: crate::sign::Sign::Notified,
                    wall: now.wall.0,
                    mono: now.mono.0,
                    verified: true,
                });
            }
        }
        let left = Left {
            process: own,
            boot: process::boot(),
            guardian: self.guard.alive,
            pools: self.pools.iter().map(|pool| leave(pool, &mut open)).collect(),
        };
        let mut pools = std::mem::take(&mut self.pools);
        let declared: Vec<_> = pools.iter().filter(|pool| pool.declared).map(|pool| pool.pool.clone()).collect();
        spawn_blocking(move || pools.iter_mut().for_each(PoolLife::close)).await.ok();
        match record::write(&self.around.dir.state(), &left) {
            Ok(()) => Ok(()),
            Err(source) => {
                self.pools = declared.into_iter().map(PoolLife::new).collect();
                self.take_over(left).await;
                Err(Failure::NotHandedOver { source })
            }
        }
    }

    /// Takes over what was left, and ends what cannot be.
    pub(super) async fn take_over(&mut self, left: Left) {
        let now = self.around.clock.now();
        let mut records: BTreeMap<WorkerId, Record> =
            self.around.dir.records().into_iter().map(|record| (record.worker.clone(), record)).collect();
        for pool in left.pools {
            let at = match self.pools.iter().position(|known| known.pool.name == pool.name) {
                Some(at) => at,
                None => {
                    // It is not declared any more: its workers are drained.
                    let Some(team) = pool.teams.first() else { continue };
                    let mut undeclared = PoolLife::new(team.key.pool.clone());
                    undeclared.declared = false;
                    self.pools.push(undeclared);
                    self.pools.len() - 1
                }
            };
            self.take_over_pool(at, pool, &mut records, now);
        }
        if let Some(guardian) = left.guardian.filter(|ident| ident.is_there()) {
            let happened = self.around.happened.clone();
            self.guard = Guard::adopt(guardian, happened).unwrap_or_else(|_| Guard::none());
        }
        // It may hold none; then there is nothing to let go of.
        let_guardian_release(&self.around.dir).ok();
        let (dir, others) = (self.around.dir.clone(), records);
        let ended = spawn_blocking(move || {
            let ended = guardian::end(others.values(), &Vec::new);
            for id in others.keys() {
                dir.forget(id);
            }
            ended
        });
        let ended = ended.await.unwrap_or(0);
        if ended > 0 {
            self.say(Event::LeftoversEnded { workers: ended });
        }
    }

    fn take_over_pool(&mut self, at: usize, left: LeftPool, records: &mut BTreeMap<WorkerId, Record>, now: Now) {
        let around = self.around.clone();
        let pool = &mut self.pools[at];
        pool.restarts_asked = left.restarts_asked;
        pool.last_generation = left.last_generation;
        pool.target = left.target;
        pool.on_trial = left.on_trial && pool.declared;
        pool.held = left.held;
        pool.failing = left.failing;
        pool.restarts = left.restarts;
        for LeftTeam { generation, key, wall, given_up, proven, any_ready, streaks, workers } in left.teams {
            let since = Now { wall: Timestamp(wall), mono: now.mono };
            let mut team = Team::new(generation, key, since);
            (team.given_up, team.proven, team.any_ready) = (given_up, proven, any_ready);
            team.places =
                streaks.into_iter().map(|(slot, streak)| (slot, Place { streak, ..Place::default() })).collect();
            for worker in workers {
                let Some(record) = records.get(&worker.id).filter(|record| record.ident == worker.ident) else {
                    continue;
                };
                let Ok(charge) = attend::adopt(record, &around, pool.writer.clone(), &worker.open) else { continue };
                records.remove(&worker.id);
                let phase = match &worker.ready {
                    _ if worker.asked => {
                        charge.leave_time(Instant::now() + pool.pool.stop.within.as_duration());
                        Phase::Stopping { since: now.mono }
                    }
                    Some(ready) => Phase::Ready { since: Mono(ready.mono) },
                    None => Phase::Starting,
                };
                team.workers.push(Worker {
                    id: worker.id,
                    charge,
                    since: Now { wall: Timestamp(worker.wall), mono: Mono(worker.mono) },
                    phase,
                    ready: worker.ready,
                    jobs: worker.jobs,
                    not_ready_told: false,
                });
            }
            pool.teams.push(team);
        }
    }
}

fn leave(pool: &PoolLife, open: &mut BTreeMap<WorkerId, LeftWorker>) -> LeftPool {
    let team = |team: &Team, open: &mut BTreeMap<WorkerId, LeftWorker>| {
        let mine: Vec<WorkerId> = open
            .keys()
            .filter(|id| *id.pool() == pool.pool.name && id.generation() == team.generation)
            .cloned()
            .collect();
        LeftTeam {
            generation: team.generation,
            key: team.key.clone(),
            wall: team.since.wall.0,
            given_up: team.given_up,
            proven: team.proven,
            any_ready: team.any_ready,
            streaks: team.places.iter().map(|(slot, place)| (*slot, place.streak)).collect(),
            workers: mine.iter().filter_map(|id| open.remove(id)).collect(),
        }
    };
    LeftPool {
        name: pool.pool.name.clone(),
        restarts_asked: pool.restarts_asked,
        last_generation: pool.last_generation,
        target: pool.target,
        on_trial: pool.on_trial,
        held: pool.held.clone(),
        failing: pool.failing.clone(),
        restarts: pool.restarts,
        teams: pool.teams.iter().map(|t| team(t, open)).collect(),
    }
}
