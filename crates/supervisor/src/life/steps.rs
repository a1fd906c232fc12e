//! The steps of the plan, done.

use std::io;

use job::{Now, Span};
use tokio::time::{Instant, timeout};

use super::Life;
use super::pool::Worker;
use crate::attend::{self, Charge, Happened};
use crate::cgroup::Leaf;
use crate::event::{Event, LastLines};
use crate::exit::{Class, Exit};
use crate::launch::Order;
use crate::plan::{Action, Phase, Why};
use crate::pool::OnFailure;
use crate::roll::Held;
use crate::worker::{Generation, WorkerId};

impl Life {
    /// Does one step; says whether that changed anything.
    pub(super) fn apply(&mut self, at: usize, step: Action, now: Now) -> bool {
        match step {
            Action::Start { generation, slot } => self.start(at, generation, slot, now),
            Action::Quiet(id) => self.quiet(at, &id, now),
            Action::Stop(id) => self.stop(at, &id, now),
            Action::Kill(id) => self.kill(at, &id),
            Action::Hold(why) => self.hold(at, why, now),
            Action::Fail(why) => self.fail(at, why, now),
            Action::Arrived => self.arrive(at),
        }
    }

    fn start(&mut self, at: usize, generation: Generation, slot: u16, now: Now) -> bool {
        let pool = &self.pools[at];
        let Some(team) = pool.team(generation) else { return false };
        let id = WorkerId::new(pool.pool.name.clone(), slot, generation, getrandom::u32().unwrap_or(now.mono.0 as u32));
        let release = team.key.code.id.clone();
        match self.launch(at, &id) {
            Ok(charge) => {
                let pid = charge.reach.leader.pid;
                let worker = Worker {
                    id: id.clone(),
                    charge,
                    since: now,
                    phase: Phase::Starting,
                    ready: None,
                    jobs: 0,
                    not_ready_told: false,
                };
                if let Some(team) = self.pools[at].team_mut(generation) {
                    team.workers.push(worker);
                }
                self.say(Event::Started { worker: id, pid, release });
            }
            Err(error) => {
                self.around.dir.forget(&id);
                let class = Class::NotStarted(format!(
                    "cannot start the worker `{id}`: {error}\n  The program was not run.\nhint: see that \
                     there is room and that the launcher can be run"
                ));
                self.account(at, &id, Exit::Unseen, class, None, LastLines::default(), now);
            }
        }
        true
    }

    fn launch(&mut self, at: usize, id: &WorkerId) -> io::Result<Charge> {
        let cgroup = self.leaf(at, id);
        let pool = &self.pools[at];
        let team = pool.team(id.generation()).ok_or(io::ErrorKind::NotFound)?;
        let dir = &self.around.dir;
        let order = Order {
            worker: id.clone(),
            code: team.key.code.clone(),
            pool: team.key.pool.clone(),
            env: self.options.env.clone(),
            agent: std::process::id(),
            record: dir.record(id),
            cgroup: cgroup.map(|leaf| leaf.path().to_owned()),
            stdout: dir.stdout(id),
            stderr: dir.stderr(id),
            notify: dir.socket(id),
        };
        attend::start(&self.options, &self.around, &order, pool.writer.clone())
    }

    fn leaf(&mut self, at: usize, id: &WorkerId) -> Option<Leaf> {
        let leaf = match self.tree.as_ref()?.leaf(&id.to_string()) {
            Ok(leaf) => leaf,
            Err(error) => {
                self.tree = None;
                self.degraded(&format!("no control group can be made: {error}"));
                return None;
            }
        };
        if let Some(bytes) = self.pools[at].pool.limits.memory_max
            && let Err(error) = leaf.limit_memory(bytes)
        {
            self.degraded(&format!("`memory_max` cannot be set: {error}"));
        }
        Some(leaf)
    }

    /// Says once what cannot be had.
    pub(super) fn degraded(&mut self, what: &str) {
        let what = format!(
            "{what}\n  Workers are ended by their sessions and process groups, and their memory is neither counted \
             nor bounded.\nhint: run the agent as a service with `Delegate=yes`"
        );
        if self.orphans.is_news(&what) {
            self.say(Event::Degraded { what });
        }
    }

    fn quiet(&mut self, at: usize, id: &WorkerId, now: Now) -> bool {
        let Some(worker) = self.pools[at].worker_mut(id) else { return false };
        // One that was never ready has nothing to finish.
        let quiet = worker.ready.is_none();
        worker.phase = Phase::Quieting { since: now.mono, quiet };
        if !quiet {
            let (hook, happened) = (self.options.quiet.quiet(id), self.around.happened.clone());
            let (id, within) = (id.clone(), self.options.quiet_within.as_duration());
            tokio::spawn(async move {
                // That it took too long is no reason not to go on.
                timeout(within, hook).await.ok();
                happened.send(Happened::Quiet(id)).await.ok();
            });
        }
        self.say(Event::Draining { worker: id.clone() });
        true
    }

    fn stop(&mut self, at: usize, id: &WorkerId, now: Now) -> bool {
        let stop = self.pools[at].pool.stop;
        let Some(worker) = self.pools[at].worker_mut(id) else { return false };
        worker.phase = Phase::Stopping { since: now.mono };
        worker.charge.leave_time(Instant::now() + stop.within.as_duration());
        worker.charge.signal(stop.signal.signal());
        true
    }

    fn kill(&mut self, at: usize, id: &WorkerId) -> bool {
        let within = self.pools[at].pool.stop.within;
        let Some(worker) = self.pools[at].worker_mut(id) else { return false };
        worker.phase = Phase::Killed;
        worker.charge.kill();
        self.say(Event::Killed { worker: id.clone(), within });
        true
    }

    fn hold(&mut self, at: usize, why: Why, now: Now) -> bool {
        let held = self.verdict(at, why, now);
        let pool = &mut self.pools[at];
        let Some(serving) = pool.stand_in().map(|team| team.generation) else { return false };
        if let Some(team) = pool.target_team_mut() {
            team.given_up = true;
            let key = team.key.clone();
            pool.held = Some((key, held.clone()));
        }
        pool.failing = None;
        pool.target = Some(serving);
        pool.on_trial = false;
        let name = pool.pool.name.clone();
        self.say(Event::Held { pool: name, held });
        true
    }

    fn fail(&mut self, at: usize, why: Why, now: Now) -> bool {
        if self.pools[at].failing.is_some() {
            return false;
        }
        let held = self.verdict(at, why, now);
        let pool = &mut self.pools[at];
        pool.failing = Some(held.clone());
        let name = pool.pool.name.clone();
        self.say(Event::Held { pool: name, held });
        true
    }

    fn verdict(&self, at: usize, why: Why, now: Now) -> Held {
        let pool = &self.pools[at];
        let team = pool.target_team();
        let waiting = team.and_then(|team| team.workers.iter().find(|worker| worker.phase == Phase::Starting));
        let (why, last) = match why {
            Why::EndAlike { times } => {
                let how = team.and_then(|team| {
                    let ends = team.places.values().filter_map(|place| place.before.as_ref());
                    ends.max_by_key(|(_, ended)| ended.at).map(|(_, ended)| match &ended.class {
                        Class::NotStarted(why) => why.clone(),
                        Class::Asked | Class::Finished | Class::Failed | Class::ReleaseGone => ended.exit.to_string(),
                    })
                });
                let how = how.unwrap_or_else(|| "for the same reason".into());
                let last = team.map(|team| team.last.clone());
                (format!("{times} workers ended one like the other: {how}"), last)
            }
            Why::NotReady { within } => {
                let last = waiting.map(|worker| worker.charge.last()).or(team.map(|team| team.last.clone()));
                (format!("no further worker became ready within {within}"), last)
            }
        };
        Held {
            pool: pool.pool.name.clone(),
            since: now.wall,
            wanted: team.map(|team| team.key.code.id.clone()),
            generation: pool.target,
            serving: pool.stand_in().filter(|t| t.workers.iter().any(Worker::is_ready)).map(|t| t.key.code.id.clone()),
            why,
            last: last.unwrap_or_default(),
            any_ready: team.is_some_and(|team| team.any_ready),
            rollback: pool.pool.on_failure == OnFailure::Rollback,
        }
    }

    fn arrive(&mut self, at: usize) -> bool {
        let pool = &mut self.pools[at];
        let Some(target) = pool.target else { return false };
        pool.on_trial = false;
        pool.failing = None;
        let mut release = String::new();
        for team in &mut pool.teams {
            team.given_up = team.generation != target;
            if team.generation == target {
                team.proven = true;
                release.clone_from(&team.key.code.id);
            }
        }
        let name = pool.pool.name.clone();
        self.say(Event::Rolled { pool: name, generation: target, release });
        true
    }
}

/// How long a worker has been ready.
pub(super) fn ready_for(worker: &Worker, now: Now) -> Span {
    worker.ready.as_ref().map_or(Span::ZERO, |ready| now.mono.since(job::Mono(ready.mono)))
}
