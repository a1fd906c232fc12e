//! Those who wait for what comes of a roll.

use job::PoolName;
use tokio::sync::{mpsc, oneshot};

use super::Life;
use super::pool::PoolLife;
use crate::event::{Event, LastLines};
use crate::roll::{Held, Rolled, Rolling, Step};

/// One who waits.
pub(super) struct Watch {
    steps: mpsc::Sender<Step>,
    end: oneshot::Sender<Rolled>,
    pools: Vec<PoolName>,
}

/// How a pool stands to what is asked for.
enum Standing {
    Arrived,
    OnItsWay,
    Held(Box<Held>),
}

impl Watch {
    pub(super) fn begin(pools: Vec<PoolName>) -> (Self, Rolling) {
        let (steps, told) = mpsc::channel(Rolling::STEPS);
        let (end, ended) = oneshot::channel();
        (Self { steps, end, pools }, Rolling { steps: told, end: Some(ended) })
    }

    /// Tells of it, if it belongs to the roll. Whoever does not read misses it.
    pub(super) fn hear(&mut self, event: &Event) {
        let step = match event {
            Event::Started { worker, .. } => Step::Started(worker.clone()),
            Event::Ready { worker, .. } => Step::Ready(worker.clone()),
            Event::Draining { worker } => Step::Draining(worker.clone()),
            Event::Ended { worker, .. } => Step::Ended(worker.clone()),
            Event::Rolled { pool, .. } => Step::Pool(pool.clone()),
            Event::NotReady { .. }
            | Event::Killed { .. }
            | Event::Alarm { .. }
            | Event::Rolling { .. }
            | Event::Held { .. }
            | Event::ReleaseGone { .. }
            | Event::NoRelease { .. }
            | Event::ReleaseBack { .. }
            | Event::GuardianRestarted
            | Event::NoGuardian { .. }
            | Event::LeftoversEnded { .. }
            | Event::Degraded { .. }
            | Event::OutputDropped { .. } => return,
        };
        let pool = match &step {
            Step::Started(id) | Step::Ready(id) | Step::Draining(id) | Step::Ended(id) => id.pool(),
            Step::Pool(pool) => pool,
            Step::End(_) => return,
        };
        if self.pools.contains(pool) {
            self.steps.try_send(step).ok();
        }
    }
}

impl Life {
    /// Tells those whose roll has come to an end.
    pub(super) fn watch(&mut self) {
        for watch in std::mem::take(&mut self.watches) {
            match self.outcome(&watch.pools) {
                // If nobody waits any more, it is not needed.
                Some(rolled) => drop(watch.end.send(rolled)),
                None => self.watches.push(watch),
            }
        }
    }

    fn outcome(&self, names: &[PoolName]) -> Option<Rolled> {
        let meant = self.pools.iter().filter(|pool| pool.declared && names.contains(&pool.pool.name));
        let (mut confirmed, mut held) = (Vec::new(), Vec::new());
        let mut found = 0;
        for pool in meant {
            found += 1;
            match self.standing(pool) {
                Standing::Arrived => confirmed.extend(pool.confirmed()),
                Standing::OnItsWay => return None,
                Standing::Held(why) => held.push(*why),
            }
        }
        if self.stopping.is_some() || found < names.len() {
            return Some(Rolled::Overtaken);
        }
        Some(if held.is_empty() { Rolled::Confirmed(confirmed) } else { Rolled::Held(held) })
    }

    fn standing(&self, pool: &PoolLife) -> Standing {
        let code = match &self.code {
            None => return Standing::OnItsWay,
            Some(Ok(code)) => code,
            Some(Err(none)) => return Standing::Held(Box::new(self.without(pool, &none.why))),
        };
        let failing = pool.failing.as_ref().or(pool.held.as_ref().map(|(_, held)| held));
        if let Some(held) = failing {
            return Standing::Held(Box::new(held.clone()));
        }
        let there = pool.target_team().is_some_and(|team| team.key.same(&pool.wanted(code)));
        if there && !pool.on_trial { Standing::Arrived } else { Standing::OnItsWay }
    }

    fn without(&self, pool: &PoolLife, why: &str) -> Held {
        Held {
            pool: pool.pool.name.clone(),
            since: self.around.clock.now().wall,
            wanted: None,
            generation: None,
            serving: pool.target_team().map(|team| team.key.code.id.clone()),
            why: format!("there is no release to start workers from: {why}"),
            last: LastLines::default(),
            any_ready: false,
            rollback: false,
        }
    }
}
