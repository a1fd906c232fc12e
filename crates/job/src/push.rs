//! What is pushed.

use crate::guard::Guard;
use crate::key::OnConflict;
use crate::name::{ClientId, Key, KindName, QueueName};
use crate::payload::Payload;
use crate::retry::Policy;
use crate::time::{Moment, Now};

/// What a job is, as far as the one who pushes decides it; never changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spec {
    /// The line it waits in.
    pub queue: QueueName,
    /// What it is.
    pub kind: KindName,
    /// What it carries.
    pub payload: Payload,
    /// Lower first; among equals the older job.
    pub priority: u32,
    /// What it is about: no two jobs with one key wait in one queue.
    pub key: Option<Key>,
    /// Who is asked before it runs.
    pub guard: Option<Guard>,
    /// When it is no longer wanted. A job that has started is not stopped.
    pub expires: Option<Moment>,
    /// What follows a failure.
    pub retry: Policy,
}

impl Spec {
    /// The priority of a job for which none was asked.
    pub const DEFAULT_PRIORITY: u32 = 1_024;

    /// A job of `kind` in `queue`, with everything else as it is by default.
    pub fn new(queue: QueueName, kind: KindName, payload: Payload) -> Self {
        Self {
            queue,
            kind,
            payload,
            priority: Self::DEFAULT_PRIORITY,
            key: None,
            guard: None,
            expires: None,
            retry: Policy::default(),
        }
    }
}

/// A job to be pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewJob {
    /// The id that the one who pushes chose. A second push with it answers the
    /// first job, for as long as that job is kept.
    pub client_id: Option<ClientId>,
    /// What the job is.
    pub spec: Spec,
    /// When it is due.
    pub due: Moment,
    /// What happens when its key is held.
    pub on_conflict: OnConflict,
}

impl NewJob {
    /// A job that is due now.
    pub fn now(spec: Spec, now: Now) -> Self {
        Self {
            client_id: None,
            spec,
            due: Moment::after(now, crate::time::Span::ZERO),
            on_conflict: OnConflict::default(),
        }
    }
}
