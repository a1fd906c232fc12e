//! What comes of a roll.

use job::{PoolName, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::event::LastLines;
use crate::sign::Sign;
use crate::worker::{Generation, WorkerId};

/// A roll on its way.
#[derive(Debug)]
pub struct Rolling {
    /// At most [`Rolling::STEPS`] wait to be read; what is more is left out.
    pub(crate) steps: mpsc::Receiver<Step>,
    pub(crate) end: Option<oneshot::Receiver<Rolled>>,
}

/// One step of a roll.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A new worker was started.
    Started(WorkerId),
    /// A new worker is ready.
    Ready(WorkerId),
    /// A worker is asked to end.
    Draining(WorkerId),
    /// A worker has ended.
    Ended(WorkerId),
    /// A pool has arrived.
    Pool(PoolName),
    /// All have arrived, or not all will.
    End(Rolled),
}

/// What came of a roll.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rolled {
    /// Every worker runs what was asked for and is ready, and no other is left.
    Confirmed(Vec<Confirmed>),
    /// At least one pool did not get there.
    Held(Vec<Held>),
    /// The supervisor stopped, let go of its workers, or was told to have other
    /// pools, before it could be told.
    Overtaken,
}

/// One worker that was found to run what was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Confirmed {
    /// Which.
    pub worker: WorkerId,
    /// The number of its process.
    pub pid: u32,
    /// Its release.
    pub release: String,
    /// By what it is ready.
    pub how: Sign,
    /// Whether something was proven by that.
    pub verified: bool,
}

/// A pool that does not run what it should.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Held {
    /// Which pool.
    pub pool: PoolName,
    /// Since when.
    pub since: Timestamp,
    /// Which release it should run, if there is one.
    pub wanted: Option<String>,
    /// The generation that was tried, if one was.
    pub generation: Option<Generation>,
    /// Which release still serves, if one does.
    pub serving: Option<String>,
    /// Why, as a sentence without a full stop.
    pub why: String,
    /// What the worker that ended last, or was waited for, wrote last.
    pub last: LastLines,
    /// Whether any worker of the generation that was tried had become ready.
    pub any_ready: bool,
    /// Whether the pool asks for the link to be turned back.
    pub rollback: bool,
}

impl Rolling {
    /// How many steps may wait to be read.
    pub const STEPS: usize = 1_024;

    /// The next step; none after [`Step::End`].
    pub async fn next(&mut self) -> Option<Step> {
        if let Some(step) = self.steps.recv().await {
            return Some(step);
        }
        let rolled = self.end.take()?.await.unwrap_or(Rolled::Overtaken);
        Some(Step::End(rolled))
    }

    /// Waits for what comes of it.
    pub async fn finish(mut self) -> Rolled {
        while let Some(step) = self.next().await {
            if let Step::End(rolled) = step {
                return rolled;
            }
        }
        Rolled::Overtaken
    }
}
