//! Jobs for the laws, drafted in few words.

use job::{Guard, Moment, NewJob, Now, OnConflict, Policy, Span};

/// A job for a law, as it stood when it was drafted; what is not said is as it
/// is by default. Names are given as text, and must be valid.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The job.
    pub job: NewJob,
    now: Now,
}

impl Draft {
    /// A job that is due now, in the queue `mail`.
    pub fn new(kind: &str, now: Now) -> Self {
        let spec = job::Spec::new("mail".parse().unwrap(), kind.parse().unwrap(), job::Payload::default());
        Self { job: NewJob::now(spec, now), now }
    }

    /// In this queue.
    #[must_use]
    pub fn queue(mut self, name: &str) -> Self {
        self.job.spec.queue = name.parse().unwrap();
        self
    }

    /// With this client id.
    #[must_use]
    pub fn named(mut self, id: &str) -> Self {
        self.job.client_id = Some(id.parse().unwrap());
        self
    }

    /// With this key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.job.spec.key = Some(key.parse().unwrap());
        self
    }

    /// Taking the place of the job that holds its key.
    #[must_use]
    pub fn replacing(mut self) -> Self {
        self.job.on_conflict = OnConflict::Replace;
        self
    }

    /// Refused if its key is held.
    #[must_use]
    pub fn or_rejected(mut self) -> Self {
        self.job.on_conflict = OnConflict::Reject;
        self
    }

    /// With this priority.
    #[must_use]
    pub fn priority(mut self, priority: u32) -> Self {
        self.job.spec.priority = priority;
        self
    }

    /// Due so many seconds later.
    #[must_use]
    pub fn due_in(mut self, secs: u32) -> Self {
        self.job.due = Moment::after(self.now, Span::from_secs(secs));
        self
    }

    /// Due when the wall clock shows so many seconds more.
    #[must_use]
    pub fn due_at(mut self, secs: u32) -> Self {
        self.job.due = Moment::at(self.now.wall + Span::from_secs(secs), self.now);
        self
    }

    /// With a guard.
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.job.spec.guard = Some(Guard::Exec("still-wanted".to_owned()));
        self
    }

    /// No longer wanted so many seconds later.
    #[must_use]
    pub fn expiring_in(mut self, secs: u32) -> Self {
        self.job.spec.expires = Some(Moment::after(self.now, Span::from_secs(secs)));
        self
    }

    /// No longer wanted when the wall clock shows so many seconds more.
    #[must_use]
    pub fn expiring_at(mut self, secs: u32) -> Self {
        self.job.spec.expires = Some(Moment::at(self.now.wall + Span::from_secs(secs), self.now));
        self
    }

    /// Tried so often; the waits are 10 s, 20 s, then 30 s, and without jitter
    /// half of that.
    #[must_use]
    pub fn tries(mut self, max_attempts: u32) -> Self {
        self.job.spec.retry = Policy { max_attempts, first: Span::from_secs(10), cap: Span::from_secs(30) };
        self
    }
}
