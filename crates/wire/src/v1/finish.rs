//! Ending runs: `ack`, `fail`, `snooze`, `extend`, and many at once.

use job::{Again, Ending, JobError, Lease, Outcome, Phase, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::lease::{a_minute, check_lease_for};
use super::{LeaseWish, LeasedJob, Refused, is_false};

/// `POST /v1/jobs/{id}/ack`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// The lease that came with the job.
    pub lease: String,
    /// What the work answered; at most 4096 bytes are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// There was nothing to do any more: the job ends as skipped, for this
    /// reason, and the output is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl Ack {
    /// What it means: with what right, and how the run ends.
    pub fn into_ending(self) -> Result<(Lease, Ending), Refused> {
        let ending = match self.skipped {
            Some(why) => Ending::Skipped { why: Some(why) },
            None => Ending::Done { output: self.output },
        };
        Ok((lease(&self.lease)?, ending))
    }
}

/// `POST /v1/jobs/{id}/fail`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// The lease that came with the job.
    pub lease: String,
    /// How it failed.
    pub error: JobError,
    /// Trying again is of no use: the job is dead at once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub permanent: bool,
    /// If it is tried again, not before so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
}

impl Fail {
    /// What it means: with what right, and how the run ends.
    pub fn into_ending(self) -> Result<(Lease, Ending), Refused> {
        let again = match (self.permanent, self.retry_after) {
            (true, _) => Again::Never,
            (false, Some(wait)) => Again::NotBefore(wait),
            (false, None) => Again::ByPolicy,
        };
        Ok((lease(&self.lease)?, Ending::Failed { error: self.error, again }))
    }
}

/// `POST /v1/jobs/{id}/extend`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// The lease that came with the job.
    pub lease: String,
    /// For how long from now, 1 second to 1 day; 1 minute if left out.
    #[serde(default = "a_minute", rename = "for")]
    pub for_: Span,
}

impl Extend {
    /// Whether what it asks for lies within its bounds.
    pub fn check(&self) -> Result<(), Refused> {
        check_lease_for(self.for_)
    }

    /// What it means: with what right, and for how long.
    pub fn into_words(self) -> Result<(Lease, Span), Refused> {
        self.check()?;
        Ok((lease(&self.lease)?, self.for_))
    }
}

/// The answer to [`Extend`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extended {
    /// Until when the lease lasts now.
    pub until: Timestamp,
}

/// `POST /v1/jobs/{id}/snooze`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snooze {
    /// The lease that came with the job.
    pub lease: String,
    /// Run it again so much later, without that being a failure.
    #[serde(rename = "in")]
    pub in_: Span,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Snooze {
    /// What it means: with what right, and how the run ends.
    pub fn into_ending(self) -> Result<(Lease, Ending), Refused> {
        Ok((lease(&self.lease)?, Ending::Snoozed { after: self.in_, why: self.why }))
    }
}

fn lease(text: &str) -> Result<Lease, Refused> {
    text.parse().map_err(|e: job::lease::NotALease| Refused::new("lease", e.to_string()))
}

/// What became of a job whose run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Where it stands now.
    pub state: Phase,
    /// How it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it is due again, if it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
}

/// `POST /v1/finish`: many ends, and the next jobs, in one round trip.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishMany {
    /// Runs that did their work; at most 1000 ends in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acks: Vec<FinishAck>,
    /// Runs that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fails: Vec<FinishFail>,
    /// The next jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseWish>,
}

impl FinishMany {
    /// The most ends of one request.
    pub const MAX_ENDS: usize = 1_000;

    /// Whether what it asks for lies within its bounds.
    pub fn check(&self) -> Result<(), Refused> {
        let ends = self.acks.len() + self.fails.len();
        if ends > Self::MAX_ENDS {
            let why = format!("there are {ends} ends with the `fails`, and at most {} are allowed", Self::MAX_ENDS);
            return Err(Refused::new("acks", why));
        }
        self.lease.as_ref().map_or(Ok(()), LeaseWish::check)
    }
}

/// One of [`FinishMany::acks`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishAck {
    /// Of which job.
    pub id: String,
    /// The lease that came with it.
    pub lease: String,
    /// What the work answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// There was nothing to do any more, for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl FinishAck {
    /// Of which job, and the end as [`Ack`] has it.
    pub fn split(self) -> (String, Ack) {
        let Self { id, lease, output, skipped } = self;
        (id, Ack { lease, output, skipped })
    }
}

/// One of [`FinishMany::fails`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishFail {
    /// Of which job.
    pub id: String,
    /// The lease that came with it.
    pub lease: String,
    /// How it failed.
    pub error: JobError,
    /// Trying again is of no use.
    #[serde(default, skip_serializing_if = "is_false")]
    pub permanent: bool,
    /// If it is tried again, not before so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
}

impl FinishFail {
    /// Of which job, and the end as [`Fail`] has it.
    pub fn split(self) -> (String, Fail) {
        let Self { id, lease, error, permanent, retry_after } = self;
        (id, Fail { lease, error, permanent, retry_after })
    }
}

/// The answer to [`FinishMany`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinishedMany {
    /// One for each of the acks, then one for each of the fails.
    pub ends: Vec<FinishedOne>,
    /// The next jobs.
    pub jobs: Vec<LeasedJob>,
    /// As in [`super::LeasedJobs::quiet`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub quiet: bool,
}

/// One of [`FinishedMany::ends`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedOne {
    /// Of which job.
    pub id: String,
    /// What became of it; `None` if the lease is no longer the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
    /// Why nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: &str = "00000000000000ff";

    #[test]
    fn an_end_means_what_its_fields_say() {
        let ack = |json: &str| serde_json::from_str::<Ack>(json).unwrap().into_ending().unwrap();
        let fail = |json: &str| serde_json::from_str::<Fail>(json).unwrap().into_ending().unwrap().1;
        assert_eq!(ack(&format!(r#"{{"lease":"{LEASE}"}}"#)), (Lease(255), Ending::Done { output: None }));
        assert_eq!(
            ack(&format!(r#"{{"lease":"{LEASE}","output":"o","skipped":"called off"}}"#)).1,
            Ending::Skipped { why: Some("called off".into()) }
        );
        for (fields, again) in [
            ("", Again::ByPolicy),
            (r#","retry_after":"5s""#, Again::NotBefore(Span::from_secs(5))),
            (r#","permanent":true,"retry_after":"5s""#, Again::Never),
        ] {
            let json = format!(r#"{{"lease":"{LEASE}","error":{{"message":"m"}}{fields}}}"#);
            let error = JobError::new("", "m");
            assert_eq!(fail(&json), Ending::Failed { error, again });
        }
        let snooze: Snooze = serde_json::from_str(&format!(r#"{{"lease":"{LEASE}","in":"1m"}}"#)).unwrap();
        assert_eq!(snooze.into_ending(), Ok((Lease(255), Ending::Snoozed { after: Span::from_secs(60), why: None })));
    }

    #[test]
    fn a_text_that_is_no_lease_is_refused() {
        let extend: Extend = serde_json::from_str(r#"{"lease":"1"}"#).unwrap();
        assert_eq!(
            extend.into_words().unwrap_err().to_string(),
            "`lease`: not a lease; it has 16 digits of 0-9 and a-f, and comes with the leased job"
        );
    }

    #[test]
    fn at_most_a_thousand_runs_end_at_once() {
        let ack = FinishAck { id: "a".into(), lease: LEASE.into(), output: None, skipped: None };
        let many = |n| FinishMany { acks: vec![ack.clone(); n], ..FinishMany::default() };
        assert_eq!(many(1_000).check(), Ok(()));
        assert_eq!(
            many(1_001).check().unwrap_err().to_string(),
            "`acks`: there are 1001 ends with the `fails`, and at most 1000 are allowed"
        );
    }
}
