//! The jobs that were pushed last, whole: most are claimed at once, and then need
//! not be read again.

use std::collections::VecDeque;

use hashbrown::HashMap;
use job::Job;

/// So many are kept,
const MAX_JOBS: usize = 2_048;
/// of those that carry no more bytes than this.
const MAX_PAYLOAD: usize = 1_024;

/// Jobs that wait as they were pushed.
#[derive(Default)]
pub(super) struct Fresh {
    jobs: HashMap<u64, Job>,
    /// In the order in which they came; some may have left.
    order: VecDeque<u64>,
}

impl Fresh {
    pub(super) fn keep(&mut self, job: Job) {
        if job.spec.payload.as_bytes().len() > MAX_PAYLOAD {
            return;
        }
        if self.order.len() == MAX_JOBS
            && let Some(oldest) = self.order.pop_front()
        {
            self.jobs.remove(&oldest);
        }
        self.order.push_back(job.id.0);
        self.jobs.insert(job.id.0, job);
    }

    /// Takes a job; it is kept no longer.
    pub(super) fn take(&mut self, id: u64) -> Option<Job> {
        self.jobs.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use job::{JobId, NewJob, Now, Payload, Spec};

    use super::*;

    #[test]
    fn the_last_ones_are_kept_and_each_is_taken_once() {
        let mut fresh = Fresh::default();
        let job = |id, bytes| {
            let payload = Payload::new(vec![0; bytes]).unwrap();
            let spec = Spec::new("mail".parse().unwrap(), "send".parse().unwrap(), payload);
            Job::new(JobId(id), NewJob::now(spec, Now::default()), Now::default())
        };
        for id in 1..=3_000 {
            fresh.keep(job(id, 10));
        }
        assert!(fresh.take(900).is_none());
        assert_eq!(fresh.take(1_000).unwrap().id, JobId(1_000));
        assert!(fresh.take(1_000).is_none());
        fresh.keep(job(4_000, MAX_PAYLOAD + 1));
        assert!(fresh.take(4_000).is_none());
        assert!(fresh.jobs.len() <= MAX_JOBS && fresh.order.len() <= MAX_JOBS);
    }
}
