//! What workers do, what is told of them, and what time brings.

use job::{Jitter, Mono, Now, Span};

use super::Life;
use super::pool::{IsReady, Place, PoolLife, Worker};
use super::steps::ready_for;
use crate::attend::Happened;
use crate::code::Dir;
use crate::event::{Event, LastLines};
use crate::exit::{Class, Ended, Exit};
use crate::fingerprint::Fingerprint;
use crate::launch;
use crate::plan::Phase;
use crate::process::{Stat, was_given};
use crate::record::Refusal;
use crate::restart::{after_end, is_fruitless};
use crate::sign::Sign;
use crate::supervisor::Told;
use crate::worker::{Which, WorkerId};

impl Life {
    pub(super) fn hear(&mut self, what: Happened) {
        let now = self.around.clock.now();
        match what {
            Happened::Notified(id) => self.sign(&id, Sign::Notified, now),
            Happened::Ended { worker, exit, refusal, last } => self.ended(&worker, exit, refusal, last, now),
            Happened::Gone(id) => {
                if let Some(team) = self.pool_of(&id).and_then(|at| self.pools[at].team_mut(id.generation())) {
                    team.workers.retain(|worker| worker.id != id);
                }
            }
            Happened::Quiet(id) => {
                if let Some(worker) = self.worker_mut(&id)
                    && let Phase::Quieting { since, .. } = worker.phase
                {
                    worker.phase = Phase::Quieting { since, quiet: true };
                }
            }
            Happened::GuardianEnded(ident) => {
                self.guard.ended(ident);
                self.keep_guardian();
            }
        }
    }

    pub(super) fn told(&mut self, which: &Which, told: Told) {
        let now = self.around.clock.now();
        let id = match which {
            Which::Id(id) => Some(id.clone()),
            Which::Pid(pid) => {
                let session = Stat::read(*pid).ok().map(|stat| stat.session);
                let is_meant = |worker: &&Worker| {
                    let leader = worker.charge.reach.leader.pid;
                    leader == *pid || Some(leader) == session
                };
                let carries = |worker: &&Worker| was_given(*pid, "ALOUD_WORKER", &worker.id.to_string());
                self.workers().find(is_meant).or_else(|| self.workers().find(carries)).map(|worker| worker.id.clone())
            }
        };
        let Some(id) = id else { return };
        match told {
            Told::Spoke => self.sign(&id, Sign::Spoke, now),
            Told::Connected => self.sign(&id, Sign::Connected, now),
            Told::Finished { jobs } => {
                let Some(at) = self.pool_of(&id) else { return };
                let pool = &mut self.pools[at];
                pool.alarmed = None;
                if let Some(worker) = pool.worker_mut(&id) {
                    worker.jobs += jobs;
                }
                if let Some(team) = pool.team_mut(id.generation()) {
                    team.alike = None;
                    team.places.entry(id.slot()).or_default().streak = crate::restart::Streak::default();
                }
                self.sign(&id, Sign::Finished, now);
            }
        }
    }

    fn sign(&mut self, id: &WorkerId, sign: Sign, now: Now) {
        let Some(at) = self.pool_of(id) else { return };
        let pool = &mut self.pools[at];
        if !sign.counts(pool.pool.ready) {
            return;
        }
        let verified = sign.is_proof();
        let Some(worker) = pool.worker_mut(id) else { return };
        match &mut worker.ready {
            Some(ready) if ready.verified || !verified => return,
            Some(ready) => {
                // What was only believed is proven now.
                ready.verified = true;
                ready.how = sign;
            }
            None => {
                worker.ready = Some(IsReady { how: sign, wall: now.wall.0, mono: now.mono.0, verified });
                if worker.phase == Phase::Starting {
                    worker.phase = Phase::Ready { since: now.mono };
                }
                if let Some(team) = pool.team_mut(id.generation()) {
                    team.progress = now.mono;
                    team.any_ready = true;
                }
            }
        }
        self.say(Event::Ready { worker: id.clone(), how: sign, verified });
    }

    fn ended(&mut self, id: &WorkerId, exit: Exit, refusal: Option<Refusal>, last: LastLines, now: Now) {
        let Some(at) = self.pool_of(id) else { return };
        let Some(team) = self.pools[at].team_mut(id.generation()) else { return };
        let code = &team.key.code;
        let is_there = Dir::at(&code.dir).is_ok_and(|dir| dir == code.is);
        let Some(worker) = team.workers.iter_mut().find(|worker| worker.id == *id) else { return };
        let class = match refusal {
            Some(_) if worker.was_asked() => Class::Asked,
            None if worker.was_asked() => Class::Asked,
            Some(refusal) if refusal.code == launch::RELEASE_GONE => Class::ReleaseGone,
            Some(refusal) => Class::NotStarted(refusal.message),
            None if exit == Exit::Code(0) => Class::Finished,
            None if !is_there => Class::ReleaseGone,
            None => Class::Failed,
        };
        worker.phase = Phase::Ended;
        let gone = class == Class::ReleaseGone;
        let known = Known {
            since: worker.since,
            jobs: worker.jobs,
            ready_for: ready_for(worker, now),
            was_ready: worker.ready.is_some(),
        };
        self.account(at, id, exit, class, Some(known), last, now);
        if gone {
            self.look(at);
            self.refresh();
        }
    }

    /// Takes an end into account, and says it.
    #[expect(clippy::too_many_arguments, reason = "an end is all of these, and is told in one place")]
    pub(super) fn account(
        &mut self,
        at: usize,
        id: &WorkerId,
        exit: Exit,
        class: Class,
        known: Option<Known>,
        last: LastLines,
        now: Now,
    ) {
        let known = known.unwrap_or(Known { since: now, jobs: 0, ready_for: Span::ZERO, was_ready: false });
        let lived = now.mono.since(known.since.mono);
        let asked = class == Class::Asked;
        let ended = Ended { at: now.wall, exit, class, lived, jobs: known.jobs, was_ready: known.was_ready };
        let pool = &mut self.pools[at];
        pool.restarts += u64::from(!asked);
        let alarmed = pool.alarmed;
        let Some(team) = pool.team_mut(id.generation()) else { return };
        let print = Fingerprint::of(exit, &ended.class, &last);
        team.alike = match team.alike.take() {
            unchanged if asked => unchanged,
            _ if !is_fruitless(&ended, known.ready_for) => None,
            Some((before, times)) if before == print => Some((print, times + 1)),
            Some(_) | None => Some((print, 1)),
        };
        let place: &mut Place = team.places.entry(id.slot()).or_default();
        let jitter = Jitter::from_bits(getrandom::u32().unwrap_or(0));
        let next = after_end(place.streak, alarmed, &ended, known.ready_for, now, jitter);
        place.last = last.clone();
        place.before = Some((id.clone(), ended.clone()));
        if !asked {
            place.streak = next.streak;
            place.not_before = now.mono + next.delay;
            team.last = last.clone();
        }
        let again = (!asked && !team.given_up && !team.gone).then_some(next.delay);
        let fruitful = next.streak.failures == 0;
        if fruitful && !asked {
            pool.alarmed = None;
        }
        let alarm = next.alarm.filter(|_| !asked && pool.declared);
        if alarm.is_some() {
            pool.alarmed = alarm;
        }
        let name = pool.pool.name.clone();
        self.say(Event::Ended { worker: id.clone(), ended: ended.clone(), last: last.clone(), again });
        if alarm.is_some() {
            let since = next.streak.since.unwrap_or(now.wall);
            let (worker, failures) = (id.clone(), next.streak.failures);
            self.say(Event::Alarm { pool: name, worker, failures, since, ended, last });
        }
    }

    /// What is so because time has passed; says whether anything is.
    pub(super) fn heed_time(&mut self) -> bool {
        let now = self.around.clock.now();
        let mut alive = Vec::new();
        let mut late = Vec::new();
        for pool in &mut self.pools {
            let policy = &pool.pool;
            for worker in pool.teams.iter_mut().flat_map(|team| &mut team.workers) {
                let lived = now.mono.since(worker.since.mono);
                if worker.phase != Phase::Starting {
                    continue;
                }
                if let Some(enough) = policy.ready.alive_for().filter(|enough| lived >= *enough) {
                    alive.push((worker.id.clone(), enough));
                } else if lived >= policy.ready_within && !worker.not_ready_told {
                    worker.not_ready_told = true;
                    late.push((worker.id.clone(), lived, worker.charge.last()));
                }
            }
        }
        let changed = !alive.is_empty();
        for (id, enough) in alive {
            self.sign(&id, Sign::Alive(enough), now);
        }
        for (worker, waited, last) in late {
            self.say(Event::NotReady { worker, waited, last });
        }
        changed
    }

    /// When time will bring something.
    pub(super) fn times(&self) -> impl Iterator<Item = Mono> {
        self.pools.iter().flat_map(|pool| {
            let policy = &pool.pool;
            let starting = pool.teams.iter().flat_map(|team| &team.workers).filter(|w| w.phase == Phase::Starting);
            starting.flat_map(move |worker| {
                let alive = policy.ready.alive_for().map(|enough| worker.since.mono + enough);
                alive.into_iter().chain([worker.since.mono + policy.ready_within])
            })
        })
    }

    pub(super) fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.pools.iter().flat_map(|pool| pool.teams.iter().flat_map(|team| &team.workers))
    }

    fn pool_of(&self, id: &WorkerId) -> Option<usize> {
        self.pools.iter().position(|pool: &PoolLife| pool.pool.name == *id.pool())
    }

    fn worker_mut(&mut self, id: &WorkerId) -> Option<&mut Worker> {
        let at = self.pool_of(id)?;
        self.pools[at].worker_mut(id)
    }
}

/// What was known of a worker that ended.
pub(super) struct Known {
    since: Now,
    jobs: u64,
    ready_for: Span,
    was_ready: bool,
}
