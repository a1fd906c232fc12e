//! What is to be done next in a pool.
//!
//! Pure: a pool as it is goes in, the next steps come out, and [`wake`] says
//! when to look again if nothing happens before. One rule does it all: the
//! generation that is to serve fills up, and the others together keep as many
//! workers as it has not ready yet. So a roll, a roll back and a hold are the
//! same movement with another target, and never are fewer ready than before.

use job::{Mono, Span};

use crate::worker::{Generation, WorkerId};

/// At how many equal ends in a row a new generation is given up.
pub const ALIKE: u32 = 3;

/// What the configuration asks of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// How many workers there are to be.
    pub count: u16,
    /// How many may run beyond that during a roll.
    pub surge: u16,
    /// How long one must have been ready to count.
    pub min_ready: Span,
    /// How long a roll may go without another one becoming ready.
    pub ready_within: Span,
    /// How long one may take to stop taking work.
    pub quiet_within: Span,
    /// How long one may take to end once asked to.
    pub stop_within: Span,
}

/// A pool as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What is asked for.
    pub policy: Policy,
    /// The generation that is to serve; none if there never was a release.
    pub target: Option<Generation>,
    /// Whether the target still has to show that it can serve.
    pub on_trial: bool,
    /// The generations.
    pub teams: Vec<Team>,
}

/// A generation as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Team {
    /// Its number.
    pub generation: Generation,
    /// Whether workers may be started in it: its release is there, and it was
    /// not given up. Besides the target this is so for one at most, the one
    /// that serves while the target is on trial.
    pub can_start: bool,
    /// When it last came nearer to serving.
    pub progress: Mono,
    /// How many of its workers ended in a row for what seems one reason.
    pub alike: u32,
    /// Its workers.
    pub members: Vec<Member>,
    /// Places that have to wait, and until when.
    pub waiting: Vec<(u16, Mono)>,
}

/// A worker as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Which.
    pub id: WorkerId,
    /// How far it is.
    pub phase: Phase,
}

/// How far a worker is: `Starting → Ready → Quieting → Stopping → Killed → Ended`;
/// it may end from any of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It was started.
    Starting,
    /// It is ready.
    Ready {
        /// Since when.
        since: Mono,
    },
    /// It is to take no more work.
    Quieting {
        /// Since when.
        since: Mono,
        /// Whether that is so.
        quiet: bool,
    },
    /// It was asked to end.
    Stopping {
        /// When.
        since: Mono,
    },
    /// It was killed, and has not ended yet.
    Killed,
    /// It has ended; what it started has not.
    Ended,
}

/// A step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Start a worker.
    Start {
        /// In which generation.
        generation: Generation,
        /// In which place.
        slot: u16,
    },
    /// Let a worker take no more work.
    Quiet(WorkerId),
    /// Ask a worker to end.
    Stop(WorkerId),
    /// Kill a worker.
    Kill(WorkerId),
    /// Give the target up: another generation serves.
    Hold(Why),
    /// Say that the target does not become ready, and go on: nothing else serves.
    Fail(Why),
    /// The target serves, and nothing of another generation is left.
    Arrived,
}

/// Why a generation does not serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Its workers end, one like the other.
    EndAlike {
        /// How many did.
        times: u32,
    },
    /// They do not become ready.
    NotReady {
        /// In how long.
        within: Span,
    },
}

/// Decides what is to be done now.
pub fn plan(pool: &Standing, now: Mono) -> Vec<Action> {
    let mut steps = leave(pool, now);
    let Some(target) = pool.target.and_then(|target| pool.teams.iter().find(|team| team.generation == target)) else {
        return steps;
    };
    let policy = pool.policy;
    let others: Vec<&Team> = pool.teams.iter().filter(|team| team.generation != target.generation).collect();
    let available = target.members.iter().filter(|m| is_available(m, policy, now)).count().min(policy.count.into());

    // The others.
    let active: Vec<(&Team, &Member)> =
        others.iter().flat_map(|team| team.members.iter().filter(|m| is_active(m)).map(move |m| (*team, m))).collect();
    let wanted = usize::from(policy.count) - available;
    let stand_in = others.iter().find(|team| team.can_start && pool.on_trial);
    let missing = wanted.saturating_sub(active.len());
    let running: Vec<&Member> = target.members.iter().filter(|m| is_active(m)).collect();
    if let Some(team) = stand_in {
        let room = usize::from(policy.count) + usize::from(policy.surge);
        let room = room.saturating_sub(active.len() + running.len());
        steps.extend(start(team, missing.min(room), policy.count, now));
    }
    let mut leaving: Vec<_> = active.iter().map(|(team, m)| (is_ready(m), team.can_start, m.id.slot(), m)).collect();
    leaving.sort_by_key(|(ready, stays, slot, _)| (*ready, *stays, u16::MAX - slot));
    let too_many = active.len().saturating_sub(wanted);
    steps.extend(leaving.iter().take(too_many).map(|(.., m)| Action::Quiet(m.id.clone())));

    // The target.
    let nobody_stands_in = if stand_in.is_none() { missing } else { 0 };
    let allowed = (available + usize::from(policy.surge) + nobody_stands_in).min(policy.count.into());
    if target.can_start {
        steps.extend(start(target, allowed.saturating_sub(running.len()), policy.count, now));
    }
    let mut surplus: Vec<_> = running.iter().map(|m| (is_ready(m), u16::MAX - m.id.slot(), m)).collect();
    surplus.sort_by_key(|(ready, slot, _)| (*ready && u16::MAX - slot <= policy.count, *slot));
    let too_many = running.len().saturating_sub(policy.count.into());
    steps.extend(surplus.iter().take(too_many).map(|(.., m)| Action::Quiet(m.id.clone())));

    // The trial.
    if pool.on_trial {
        if available >= usize::from(policy.count) && others.iter().all(|team| team.members.is_empty()) {
            steps.push(Action::Arrived);
        } else if let Some(why) = failure(target, policy, available, now) {
            let serves = stand_in.is_some_and(|team| team.members.iter().any(is_ready));
            steps.push(if serves { Action::Hold(why) } else { Action::Fail(why) });
        }
    }
    steps
}

/// When to look again if nothing happens before.
pub fn wake(pool: &Standing, now: Mono) -> Option<Mono> {
    let policy = pool.policy;
    let members = pool.teams.iter().flat_map(|team| &team.members).filter_map(|member| match member.phase {
        Phase::Ready { since } => Some(since + policy.min_ready),
        Phase::Quieting { since, .. } => Some(since + policy.quiet_within),
        Phase::Stopping { since } => Some(since + policy.stop_within),
        Phase::Starting | Phase::Killed | Phase::Ended => None,
    });
    let waiting = pool.teams.iter().flat_map(|team| team.waiting.iter().map(|(_, until)| *until));
    let trial = pool.teams.iter().filter(|team| Some(team.generation) == pool.target && pool.on_trial);
    let trial = trial.map(|team| team.progress + policy.ready_within + policy.min_ready);
    members.chain(waiting).chain(trial).filter(|at| *at > now).min()
}

/// What those have to do that are on their way out.
fn leave(pool: &Standing, now: Mono) -> Vec<Action> {
    let policy = pool.policy;
    let members = pool.teams.iter().flat_map(|team| &team.members);
    members
        .filter_map(|member| match member.phase {
            Phase::Quieting { since, quiet } => {
                (quiet || now >= since + policy.quiet_within).then(|| Action::Stop(member.id.clone()))
            }
            Phase::Stopping { since } => (now >= since + policy.stop_within).then(|| Action::Kill(member.id.clone())),
            Phase::Starting | Phase::Ready { .. } | Phase::Killed | Phase::Ended => None,
        })
        .collect()
}

/// Starts up to `most` in the lowest places that are free.
fn start(team: &Team, most: usize, count: u16, now: Mono) -> Vec<Action> {
    let taken = |slot: u16| team.members.iter().any(|m| m.id.slot() == slot && is_active(m));
    let waits = |slot: u16| team.waiting.iter().any(|(place, until)| *place == slot && *until > now);
    let free = (1..=count).filter(|slot| !taken(*slot));
    // A place that waits is one of those that may run, so it counts as one.
    free.take(most)
        .filter(|slot| !waits(*slot))
        .map(|slot| Action::Start { generation: team.generation, slot })
        .collect()
}

fn failure(target: &Team, policy: Policy, available: usize, now: Mono) -> Option<Why> {
    if available >= usize::from(policy.count) {
        return None;
    }
    if target.alike >= ALIKE {
        return Some(Why::EndAlike { times: target.alike });
    }
    let within = policy.ready_within;
    (now >= target.progress + within + policy.min_ready).then_some(Why::NotReady { within })
}

fn is_ready(member: &Member) -> bool {
    matches!(member.phase, Phase::Ready { .. })
}

fn is_active(member: &Member) -> bool {
    matches!(member.phase, Phase::Starting | Phase::Ready { .. })
}

fn is_available(member: &Member, policy: Policy, now: Mono) -> bool {
    matches!(member.phase, Phase::Ready { since } if now >= since + policy.min_ready)
}

#[cfg(test)]
mod tests;
