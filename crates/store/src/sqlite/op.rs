//! What is asked of the writer, and its answers.

use std::collections::BTreeMap;

use job::time::Remembered;
use job::{Answer, JobId, JobRef, Lease, Ledger, NewJob, Now, Pause, QueueName, Span, Timestamp};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::jobs::{
    Advanced, AskId, Cancel, Cancelled, Claim, Claimed, Discarded, Finish, Found, From, Page, Pushed, Question,
    QueueState, Recount, Revived, Search, Settled, Stale,
};

/// Where an answer goes.
pub(super) type To<T> = oneshot::Sender<Result<T, Error>>;

/// A call, and where its answer goes.
pub(super) enum Op {
    Push { jobs: Vec<NewJob>, now: Now, to: To<Vec<Pushed>> },
    Claim { claim: Claim, now: Now, to: To<Claimed> },
    Extend { id: JobRef, lease: Lease, for_: Span, now: Now, to: To<Result<Timestamp, Stale>> },
    Finish { ends: Vec<Finish>, now: Now, to: To<Vec<Result<Settled, Stale>>> },
    Cancel { what: Cancel, by: String, now: Now, to: To<Cancelled> },
    Discard { id: JobRef, by: String, now: Now, to: To<Discarded> },
    Revive { id: JobRef, now: Now, to: To<Revived> },
    Ask { from: From, limit: usize, give_up: Span, now: Now, to: To<Vec<Question>> },
    Answer { id: JobId, ask: AskId, answer: Answer, now: Now, to: To<Result<(), Stale>> },
    Advance { limit: usize, now: Now, to: To<Advanced> },
    Retain { limit: usize, now: Now, to: To<usize> },
    Get { id: JobRef, now: Now, to: To<Option<Found>> },
    Search { search: Search, now: Now, to: To<Page> },
    Queues { now: Now, to: To<Vec<QueueState>> },
    Ledger { to: To<Ledger> },
    Recount { to: To<Recount> },
    Pause { queue: QueueName, pause: Pause, now: Now, to: To<()> },
    Resume { queue: QueueName, now: Now, to: To<Option<Pause>> },
    Pauses { to: To<BTreeMap<QueueName, Pause>> },
    Remember { clocks: Remembered, to: To<()> },
    Close { to: To<()> },
}

impl Op {
    /// Whether it most likely writes: others only do when they find something.
    pub(super) fn writes(&self) -> bool {
        match self {
            Self::Push { .. }
            | Self::Finish { .. }
            | Self::Cancel { .. }
            | Self::Discard { .. }
            | Self::Revive { .. }
            | Self::Retain { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Remember { .. }
            | Self::Answer { answer: Answer::No(_) | Answer::Error(_), .. } => true,
            Self::Claim { .. }
            | Self::Extend { .. }
            | Self::Ask { .. }
            | Self::Answer { answer: Answer::Yes, .. }
            | Self::Advance { .. }
            | Self::Get { .. }
            | Self::Search { .. }
            | Self::Queues { .. }
            | Self::Ledger { .. }
            | Self::Recount { .. }
            | Self::Pauses { .. }
            | Self::Close { .. } => false,
        }
    }

    /// How many bytes it brings, roughly.
    pub(super) fn weight(&self) -> usize {
        const USUAL: usize = 500;
        if let Self::Push { jobs, .. } = self {
            jobs.iter().map(|new| USUAL + new.spec.payload.as_bytes().len()).sum()
        } else if let Self::Finish { ends, .. } = self {
            USUAL * ends.len()
        } else {
            USUAL
        }
    }

    /// Answers that it did not happen.
    pub(super) fn refuse(self, error: Error) {
        match self {
            Self::Push { to, .. } => give(to, Err(error)),
            Self::Claim { to, .. } => give(to, Err(error)),
            Self::Extend { to, .. } => give(to, Err(error)),
            Self::Finish { to, .. } => give(to, Err(error)),
            Self::Cancel { to, .. } => give(to, Err(error)),
            Self::Discard { to, .. } => give(to, Err(error)),
            Self::Revive { to, .. } => give(to, Err(error)),
            Self::Ask { to, .. } => give(to, Err(error)),
            Self::Answer { to, .. } => give(to, Err(error)),
            Self::Advance { to, .. } => give(to, Err(error)),
            Self::Retain { to, .. } => give(to, Err(error)),
            Self::Get { to, .. } => give(to, Err(error)),
            Self::Search { to, .. } => give(to, Err(error)),
            Self::Queues { to, .. } => give(to, Err(error)),
            Self::Ledger { to } => give(to, Err(error)),
            Self::Recount { to } => give(to, Err(error)),
            Self::Pause { to, .. } | Self::Remember { to, .. } | Self::Close { to } => give(to, Err(error)),
            Self::Resume { to, .. } => give(to, Err(error)),
            Self::Pauses { to } => give(to, Err(error)),
        }
    }
}

/// Gives an answer; whoever asked may have gone away.
pub(super) fn give<T>(to: To<T>, answer: Result<T, Error>) {
    drop(to.send(answer));
}

macro_rules! answers {
    ($($name:ident: $type:ty;)*) => {
        /// An answer that is given once what it says is committed.
        pub(super) enum Reply {
            $($name(To<$type>, Result<$type, Error>),)*
        }

        impl Reply {
            /// It is committed.
            pub(super) fn give(self) {
                match self {
                    $(Self::$name(to, answer) => give(to, answer),)*
                }
            }

            /// It could not be committed; what was refused stays refused.
            pub(super) fn fail(self, error: &Error) {
                match self {
                    $(Self::$name(to, answer) => give(to, answer.and_then(|_| Err(error.clone()))),)*
                }
            }
        }
    };
}

answers! {
    Push: Vec<Pushed>;
    Claim: Claimed;
    Extend: Result<Timestamp, Stale>;
    Finish: Vec<Result<Settled, Stale>>;
    Cancel: Cancelled;
    Discard: Discarded;
    Revive: Revived;
    Ask: Vec<Question>;
    Answer: Result<(), Stale>;
    Advance: Advanced;
    Retain: usize;
    Get: Option<Found>;
    Queues: Vec<QueueState>;
    Ledger: Ledger;
    Recount: Recount;
    Done: ();
    Resume: Option<Pause>;
    Pauses: BTreeMap<QueueName, Pause>;
}

impl Reply {
    /// Whether it only told how things are, so that nothing of it can have
    /// happened.
    pub(super) fn only_looked(&self) -> bool {
        matches!(self, Self::Get(..) | Self::Queues(..) | Self::Ledger(..) | Self::Recount(..) | Self::Pauses(..))
    }
}
