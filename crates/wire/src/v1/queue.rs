//! Queues, and holding them: `GET /v1/queues`, `pause`, `resume`.

use job::{Pause, QueueName, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::Refused;

/// `POST /v1/queues/{q}/pause`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseQueue {
    /// Who asks for it; at most 200 bytes.
    pub by: String,
    /// Why; at most 1000 bytes.
    pub reason: String,
    /// For how long; without it the pause lasts until somebody resumes.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_: Option<Span>,
}

impl PauseQueue {
    /// Whether what it asks for lies within its bounds.
    pub fn check(&self) -> Result<(), Refused> {
        text("by", &self.by, Pause::MAX_BY_BYTES)?;
        text("reason", &self.reason, Pause::MAX_REASON_BYTES)?;
        if self.for_ == Some(Span::ZERO) {
            return Err(Refused::new("for", "a pause of no time holds nothing"));
        }
        Ok(())
    }
}

fn text(field: &'static str, text: &str, limit: usize) -> Result<(), Refused> {
    if text.trim().is_empty() || text.len() > limit || text.chars().any(char::is_control) {
        return Err(Refused::new(field, format!("give a text of 1 to {limit} bytes without control characters")));
    }
    Ok(())
}

/// Who holds a queue, why, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseView {
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl From<Pause> for PauseView {
    fn from(pause: Pause) -> Self {
        let Pause { by, reason, since, until } = pause;
        Self { by, reason, since, until: until.map(|until| until.wall) }
    }
}

/// `GET /v1/queues`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueList {
    /// All queues, by name.
    pub queues: Vec<QueueView>,
}

/// How a queue stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// Its name.
    pub name: QueueName,
    /// Jobs that are not due yet and never ran.
    pub scheduled: u64,
    /// Jobs that are due.
    pub ready: u64,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that ran before and are not due again yet.
    pub retrying: u64,
    /// Dead jobs.
    pub dead: u64,
    /// When the oldest of those that are due fell due, to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_due: Option<Timestamp>,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseView>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_says_who_and_why() {
        let check = |by: &str, reason: &str, for_| {
            let pause = PauseQueue { by: by.to_owned(), reason: reason.to_owned(), for_ };
            pause.check().map_or_else(|refused| refused.field, |()| "fine")
        };
        assert_eq!(check("Ute", "the relay is down", None), "fine");
        assert_eq!(check(" ", "the relay is down", None), "by");
        assert_eq!(check(&"u".repeat(201), "the relay is down", None), "by");
        assert_eq!(check("Ute", "", None), "reason");
        assert_eq!(check("Ute", "a\nb", None), "reason");
        assert_eq!(check("Ute", "the relay is down", Some(Span::ZERO)), "for");
    }
}
