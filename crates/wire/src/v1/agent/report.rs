//! What an agent says.

use job::{Observation, PoolName, Span, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

/// `POST /v1/agents/{host}`: how the host is, as its agent sees it.
///
/// It is the whole of what the agent knows, each time: what a report does not
/// say any more is not so any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentReport {
    /// This life of the agent: a random text, drawn when it started. By it two
    /// agents that report as one host are told apart.
    pub agent: String,
    /// Which `aloud` the agent is.
    pub version: String,
    /// Which boot of the machine it runs in, if the system says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot: String,
    /// When this was said, by the agent's clock. An observation that is older
    /// than [`Observation::FRESH_FOR`] then is taken for unknown.
    pub at: Timestamp,
    /// The worst of the observations.
    pub verdict: Verdict,
    /// What was seen; at most 200.
    #[serde(default)]
    pub observations: Vec<Observation>,
    /// The tree of releases, if there is one.
    #[serde(default)]
    pub tree: Option<TreeReport>,
    /// The workers that the agent looks after, those that drain among them; at
    /// most 500.
    #[serde(default)]
    pub workers: Vec<WorkerReport>,
    /// [`super::AgentAnswer::heard`] of the last answer that the agent got; 0 if it got
    /// none in this life.
    #[serde(default)]
    pub heard: u64,
    /// How long the answer may take if there is nothing new, at most 1 minute;
    /// not at all if left out. The server answers after 10 seconds at the
    /// latest, so that what it knows of the host stays fresh.
    #[serde(default)]
    pub wait: Span,
    /// Workers that are to get no more jobs; at most 500. One that is not named
    /// any more gets jobs again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quiet: Vec<String>,
    /// Guards that the agent can ask, by name; at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<String>,
    /// What guards answered; at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<GuardAnswer>,
}

/// The tree of releases, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeReport {
    /// Where it is.
    pub root: String,
    /// The release that `current` leads to.
    #[serde(default)]
    pub current: Option<String>,
    /// Those that are there, newest first; at most 100.
    #[serde(default)]
    pub releases: Vec<ReleaseReport>,
}

/// A release, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseReport {
    /// Its id: the name of its folder.
    pub id: String,
    /// When it was made, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Timestamp>,
    /// Whether a process is in it; nothing if that cannot be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<bool>,
    /// What else is to be said of it, such as `bad` or `sealing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A worker process that an agent looks after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerReport {
    /// What it calls itself: its `ALOUD_WORKER`.
    pub id: String,
    /// The pool that it belongs to.
    pub pool: PoolName,
    /// Its process, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The release that it was started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The generation that it belongs to.
    pub generation: u64,
    /// Where it stands.
    pub state: WorkerState,
    /// By what it was known to be ready, if it is.
    #[serde(default)]
    pub ready: Option<ReadyBy>,
    /// Since when it stands there.
    pub since: Timestamp,
    /// How often its place was filled anew since the agent started.
    #[serde(default)]
    pub restarts: u32,
    /// Whether its release is the one that `current` leads to.
    pub current: bool,
}

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It was started, and is not known to be ready.
    Starting,
    /// It works, or could.
    Ready,
    /// It is to end when its jobs have ended.
    Draining,
    /// It ended too soon, and is started again after a while.
    Backoff,
    /// It has ended.
    Ended,
}

impl WorkerState {
    /// As people and scripts read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Backoff => "backoff",
            Self::Ended => "ended",
        }
    }
}

/// By what a worker was known to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyBy {
    /// It spoke to the server, and said who it is.
    Spoke,
    /// A socket between it and the server was seen.
    Connected,
    /// It sent `READY=1`.
    Notify,
    /// It finished a job.
    Job,
    /// It lived for long enough, and nothing else is expected of it.
    Alive,
}

/// What a guard that an agent asked has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardAnswer {
    /// The question's id.
    pub id: u64,
    /// What the guard answered.
    pub answer: Answered,
    /// Why, if anything was said with a no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// `"yes"`, `"no"`, or `{"error":"what came instead"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answered {
    /// Run it.
    Yes,
    /// Don't.
    No,
    /// No answer. Says what came instead.
    Error(String),
}

impl From<GuardAnswer> for job::Answer {
    fn from(said: GuardAnswer) -> Self {
        match said.answer {
            Answered::Yes => Self::Yes,
            Answered::No => Self::No(said.why),
            Answered::Error(what) => Self::Error(what),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const REPORT: &str = r#"{"agent":"x1","version":"0.1.0","at":"2026-12-01T09:00:00.000Z","verdict":"ok","observations":[
        {"subject":{"host":"web1"},"at":"2026-12-01T09:00:00.000Z","verdict":"ok","what":"it is up"}],
        "tree":{"root":"/srv/notice","current":"66","releases":[{"id":"66","in_use":true}]},
        "workers":[{"id":"mail.2.g7.x3f9","pool":"mail","pid":7,"release":"66","generation":7,"state":"ready",
        "ready":"spoke","since":"2026-12-01T09:00:00.000Z","restarts":0,"current":true}],
        "heard":41,"wait":"20s","quiet":["mail.1.g6.a0b1"],"guards":["still-wanted"],
        "answers":[{"id":9,"answer":"no","why":"off"},{"id":10,"answer":{"error":"exit 1"}},{"id":11,"answer":"yes"}]}"#;

    fn report() -> AgentReport {
        serde_json::from_str(REPORT).unwrap()
    }

    #[test]
    fn a_report_is_read_and_written_as_it_was() {
        let read = report();
        assert_eq!(read.check(), Ok(()));
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<AgentReport>(&text).unwrap(), read);
        let answers: Vec<job::Answer> = read.answers.into_iter().map(Into::into).collect();
        let no = job::Answer::No(Some("off".to_owned()));
        assert_eq!(answers, [no, job::Answer::Error("exit 1".to_owned()), job::Answer::Yes]);
    }
}
