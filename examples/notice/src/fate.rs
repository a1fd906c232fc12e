//! What becomes of a notice after its switch was turned on.
//!
//! Pure: it reads what aloud says of a job, and keeps no state of its own.

use aloud_client::v1::JobView;
use aloud_client::{Happened, Outcome, Phase};

use crate::clock::Millis;

/// Where a notice stands, as far as this application knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is kept here, together with its switch; aloud has not taken it yet.
    Noted,
    /// aloud has it, and its time has not come.
    Waiting,
    /// Its mail is on its way.
    Sending,
    /// Its mail did not go through, and is tried again.
    Retrying,
    /// Its mail did not go through, and is not tried any more until a person
    /// says so.
    GivenUp,
    /// aloud does not know it.
    Unknown,
    /// Its mail went out.
    Sent,
    /// It was switched off in time.
    CalledOff,
    /// Just before its mail would have gone out, it was not wanted any more.
    Skipped,
    /// A newer one took its place.
    Replaced,
    /// It was not sent while it was still of use.
    Expired,
    /// A person deleted it.
    Deleted,
}

/// What is known of a notice: its fate, since when, and what is to be said of
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Where it stands.
    pub fate: Fate,
    /// When it ended.
    pub at: Option<Millis>,
    /// When its mail is due.
    pub due: Option<Millis>,
    /// Why, in aloud's words.
    pub why: Option<String>,
}

impl Fate {
    const ALL: [Self; 12] = [
        Self::Noted,
        Self::Waiting,
        Self::Sending,
        Self::Retrying,
        Self::GivenUp,
        Self::Unknown,
        Self::Sent,
        Self::CalledOff,
        Self::Skipped,
        Self::Replaced,
        Self::Expired,
        Self::Deleted,
    ];

    /// Whether nothing follows any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Noted | Self::Waiting | Self::Sending | Self::Retrying | Self::GivenUp | Self::Unknown => false,
            Self::Sent | Self::CalledOff | Self::Skipped | Self::Replaced | Self::Expired | Self::Deleted => true,
        }
    }

    /// The word it is kept under.
    pub fn word(self) -> &'static str {
        match self {
            Self::Noted => "noted",
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Retrying => "retrying",
            Self::GivenUp => "given up",
            Self::Unknown => "unknown",
            Self::Sent => "sent",
            Self::CalledOff => "called off",
            Self::Skipped => "skipped",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the word it is kept under.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fate| fate.word() == word)
    }
}

impl Known {
    /// What aloud's word on a job means here.
    pub fn of(job: &JobView) -> Self {
        let fate = match (job.state, job.outcome) {
            (Phase::Scheduled | Phase::Checking | Phase::Ready, _) => Fate::Waiting,
            (Phase::Running, _) => Fate::Sending,
            (Phase::Retrying, _) => Fate::Retrying,
            (Phase::Dead, _) => Fate::GivenUp,
            (Phase::Ended, Some(Outcome::Done)) => Fate::Sent,
            (Phase::Ended, Some(Outcome::Skipped)) => Fate::Skipped,
            (Phase::Ended, Some(Outcome::Cancelled)) => Fate::CalledOff,
            (Phase::Ended, Some(Outcome::Superseded)) => Fate::Replaced,
            (Phase::Ended, Some(Outcome::Expired)) => Fate::Expired,
            (Phase::Ended, Some(Outcome::Discarded)) => Fate::Deleted,
            (Phase::Ended, None) => Fate::Unknown,
        };
        let why = match fate {
            Fate::Waiting | Fate::Retrying | Fate::GivenUp => last_trouble(job),
            Fate::Skipped => job.detail.clone(),
            Fate::Noted | Fate::Sending | Fate::Unknown => None,
            Fate::Sent | Fate::CalledOff | Fate::Replaced | Fate::Expired | Fate::Deleted => None,
        };
        Self {
            fate,
            at: job.since.filter(|_| fate.is_final() || fate == Fate::GivenUp).map(Millis::from),
            due: job.due.map(Millis::from),
            why,
        }
    }

    /// aloud has not heard of it.
    pub fn unknown() -> Self {
        Self { fate: Fate::Unknown, at: None, due: None, why: None }
    }
}

/// What went wrong the last time, if anything did.
fn last_trouble(job: &JobView) -> Option<String> {
    match &job.attempts.last()?.happened {
        Happened::Failed { error } => Some(error.message.clone()),
        Happened::Rescued => Some("whoever sent it did not say in time what became of it".to_owned()),
        Happened::GuardFailed { error, .. } => Some(format!("this page could not be asked: {error}")),
        Happened::Done { .. } | Happened::Skipped { .. } | Happened::Snoozed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(json: &str) -> Known {
        let mut job: serde_json::Value = serde_json::from_str(
            r#"{"id":"a","queue":"default","kind":"notice.send","payload":{},"priority":1024,
                "retry":{},"pushed":"2026-12-01T09:00:00Z","attempt":0,"failures":0,"rescues":0,"snoozes":0,"attempts":[]}"#,
        )
        .unwrap();
        let more: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
        job.as_object_mut().unwrap().extend(more);
        Known::of(&serde_json::from_value(job).unwrap())
    }

    #[test]
    fn every_word_of_alouds_has_one_here() {
        let check = |json: &str, fate: Fate| assert_eq!(seen(json).fate, fate, "{json}");
        check(r#"{"state":"scheduled"}"#, Fate::Waiting);
        check(r#"{"state":"checking"}"#, Fate::Waiting);
        check(r#"{"state":"ready"}"#, Fate::Waiting);
        check(r#"{"state":"running"}"#, Fate::Sending);
        check(r#"{"state":"retrying"}"#, Fate::Retrying);
        check(r#"{"state":"dead"}"#, Fate::GivenUp);
        check(r#"{"state":"ended","outcome":"done"}"#, Fate::Sent);
        check(r#"{"state":"ended","outcome":"skipped"}"#, Fate::Skipped);
        check(r#"{"state":"ended","outcome":"cancelled"}"#, Fate::CalledOff);
        check(r#"{"state":"ended","outcome":"superseded"}"#, Fate::Replaced);
        check(r#"{"state":"ended","outcome":"expired"}"#, Fate::Expired);
        check(r#"{"state":"ended","outcome":"discarded"}"#, Fate::Deleted);
    }

    #[test]
    fn a_failed_attempt_says_why() {
        let known = seen(
            r#"{"state":"retrying","due":"2026-12-01T09:00:10Z","attempts":[{"number":1,"worker":"aloud",
                "started":"2026-12-01T09:00:00Z","ended":"2026-12-01T09:00:01Z",
                "happened":{"happened":"failed","error":{"class":"Smtp","message":"450 busy"}}}]}"#,
        );
        assert_eq!(known.fate, Fate::Retrying);
        assert_eq!(known.why.as_deref(), Some("450 busy"));
        assert!(known.due.is_some());
    }

    #[test]
    fn words_are_read_as_they_were_written() {
        for fate in Fate::ALL {
            assert_eq!(Fate::from_word(fate.word()), Some(fate));
        }
        assert_eq!(Fate::from_word("lost"), None);
    }
}
