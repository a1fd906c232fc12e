//! How things stand.

use job::{PoolName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::code::Dir;
use crate::event::LastLines;
use crate::exit::Ended;
use crate::roll::Held;
use crate::sign::Sign;
use crate::worker::{Generation, WorkerId};

/// How things stand, at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// When this was so.
    pub at: Timestamp,
    /// The pools, in the order in which they were declared; then those that
    /// are no longer declared and still have workers.
    pub pools: Vec<PoolView>,
    /// Why there is no release, if there is none.
    pub no_release: Option<String>,
    /// Whether the guardian lives.
    pub guarded: bool,
    /// How often the guardian had to be started again.
    pub guardian_restarts: u32,
    /// Whether workers run in control groups of their own.
    pub cgroups: bool,
}

/// A pool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PoolView {
    /// Its name.
    pub name: PoolName,
    /// How many workers it should have.
    pub count: u16,
    /// How many are ready, of whatever generation.
    pub ready: u16,
    /// Its generations, the oldest first.
    pub generations: Vec<GenerationView>,
    /// Why it does not run what it should, if so.
    pub held: Option<Held>,
    /// How many workers had to be started again since the supervisor's start.
    pub restarts: u64,
    /// How many lines of output were dropped.
    pub dropped_lines: u64,
}

/// What a generation is to its pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It does the work.
    Serving,
    /// It takes over.
    Coming,
    /// It ends.
    Leaving,
}

/// A generation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GenerationView {
    /// Its number.
    pub generation: Generation,
    /// What it is to its pool.
    pub role: Role,
    /// Its release, as people call it.
    pub release: String,
    /// The folder of its release.
    pub dir: Dir,
    /// Whether the folder of its release was removed or renamed.
    pub gone: bool,
    /// Since when it is there.
    pub since: Timestamp,
    /// Its workers, and the places that wait for one.
    pub workers: Vec<WorkerView>,
}

/// A worker, or a place that waits for its next one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkerView {
    /// The place in the pool.
    pub slot: u16,
    /// The worker's id; the last one's if none runs.
    pub id: Option<WorkerId>,
    /// The number of its process, if one runs.
    pub pid: Option<u32>,
    /// When that process was started, in the clock ticks of the system.
    pub start: Option<u64>,
    /// When it was started.
    pub since: Option<Timestamp>,
    /// How it is with it.
    pub state: State,
    /// How many jobs it has finished.
    pub jobs: u64,
    /// How much memory it and what it started use, in bytes, where that is known.
    pub memory: Option<u64>,
    /// What it wrote last; what the last one wrote if none runs.
    pub last: LastLines,
    /// How the one before it in this place ended, if there was one.
    pub before: Option<Ended>,
}

/// How it is with a worker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs and is not ready yet.
    Starting,
    /// It is ready.
    Ready {
        /// By what.
        how: Sign,
        /// Since when.
        since: Timestamp,
        /// Whether something was proven by that.
        verified: bool,
    },
    /// It finishes what it has.
    Draining {
        /// Since when.
        since: Timestamp,
    },
    /// None runs: the last one ended too soon, and the next one waits.
    Backoff {
        /// When it is started.
        until: Timestamp,
        /// How many ended in a row without finishing a job.
        failures: u32,
    },
    /// Its first process has ended; what it started is being ended.
    Ended,
}

impl Snapshot {
    /// All workers that run.
    pub fn workers(&self) -> impl Iterator<Item = (&PoolView, &GenerationView, &WorkerView)> {
        self.pools.iter().flat_map(|pool| {
            pool.generations.iter().flat_map(move |generation| {
                generation.workers.iter().filter(|worker| worker.pid.is_some()).map(move |w| (pool, generation, w))
            })
        })
    }
}
