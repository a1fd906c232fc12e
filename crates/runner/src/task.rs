//! What is known of a job where it is done.

use job::{Job, JobRef, Key, KindName, Payload, QueueName};

/// One start of a job, as those who do it, or are asked about it, know it.
///
/// It holds nothing that only the store knows, so that it can be made from what
/// comes over a wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// How the job is referred to outside.
    pub id: JobRef,
    /// What it is.
    pub kind: KindName,
    /// The line it came from.
    pub queue: QueueName,
    /// What it is about.
    pub key: Option<Key>,
    /// Which start this is, or would be, from 1.
    pub attempt: u32,
    /// What it carries, byte for byte.
    pub payload: Payload,
}

impl Task {
    /// The start with this number of a job that is at hand whole.
    pub fn of(job: Job, attempt: u32) -> Self {
        let id = job.public_id();
        let job::Spec { kind, queue, key, payload, .. } = job.spec;
        Self { id, kind, queue, key, attempt, payload }
    }
}
