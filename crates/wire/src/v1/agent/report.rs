//! What an agent says.

use job::{Observation, PoolName, Span, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

use super::{few, text};
use crate::v1::Refused;

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

impl AgentReport {
    /// The most observations of one report.
    pub const MAX_OBSERVATIONS: usize = 200;
    /// The longest sentence or line of evidence of an observation, in bytes.
    pub const MAX_LINE_BYTES: usize = 1_000;
    /// The most workers of one report.
    pub const MAX_WORKERS: usize = 500;
    /// The most releases of one report.
    pub const MAX_RELEASES: usize = 100;
    /// The most guards of one report.
    pub const MAX_GUARDS: usize = 100;
    /// The most answers of one report.
    pub const MAX_ANSWERS: usize = 200;
    /// The longest wait.
    pub const MAX_WAIT: Span = Span::from_secs(60);
    /// The longest id of a worker, an agent or a release, in bytes.
    pub const MAX_ID_BYTES: usize = 100;

    /// Whether what it says lies within its bounds.
    pub fn check(&self) -> Result<(), Refused> {
        text("agent", &self.agent, Self::MAX_ID_BYTES)?;
        text("version", &self.version, Self::MAX_ID_BYTES)?;
        if self.boot.len() > Self::MAX_ID_BYTES {
            return Err(Refused::new("boot", format!("at most {} bytes", Self::MAX_ID_BYTES)));
        }
        if self.wait > Self::MAX_WAIT {
            return Err(Refused::new("wait", format!("at most {}", Self::MAX_WAIT)));
        }
        self.check_observations()?;
        self.check_workers()?;
        self.check_tree()?;
        few("guards", &self.guards, Self::MAX_GUARDS)?;
        self.guards.iter().try_for_each(|guard| text("guards", guard, job::Guard::MAX_BYTES))?;
        few("answers", &self.answers, Self::MAX_ANSWERS)
    }

    fn check_observations(&self) -> Result<(), Refused> {
        few("observations", &self.observations, Self::MAX_OBSERVATIONS)?;
        for seen in &self.observations {
            if seen.what.is_empty() || seen.what.len() > Self::MAX_LINE_BYTES {
                let why = format!("`what` has 1 to {} bytes", Self::MAX_LINE_BYTES);
                return Err(Refused::new("observations", why));
            }
            let long = seen.evidence.iter().any(|line| line.len() > Self::MAX_LINE_BYTES);
            if seen.evidence.len() > Observation::MAX_EVIDENCE || long {
                let (lines, bytes) = (Observation::MAX_EVIDENCE, Self::MAX_LINE_BYTES);
                let why = format!("`evidence` has at most {lines} lines of at most {bytes} bytes");
                return Err(Refused::new("observations", why));
            }
        }
        Ok(())
    }

    fn check_workers(&self) -> Result<(), Refused> {
        few("workers", &self.workers, Self::MAX_WORKERS)?;
        for worker in &self.workers {
            text("workers", &worker.id, Self::MAX_ID_BYTES)?;
            worker.release.iter().try_for_each(|release| text("workers", release, Self::MAX_ID_BYTES))?;
        }
        few("quiet", &self.quiet, Self::MAX_WORKERS)?;
        self.quiet.iter().try_for_each(|id| text("quiet", id, Self::MAX_ID_BYTES))
    }

    fn check_tree(&self) -> Result<(), Refused> {
        let Some(tree) = &self.tree else { return Ok(()) };
        text("tree", &tree.root, 4_096)?;
        tree.current.iter().try_for_each(|id| text("tree", id, 255))?;
        few("tree", &tree.releases, Self::MAX_RELEASES)?;
        for release in &tree.releases {
            text("tree", &release.id, 255)?;
            release.note.iter().try_for_each(|note| text("tree", note, Self::MAX_LINE_BYTES))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"agent":"x1","version":"0.1.0","at":"2026-12-01T09:00:00.000Z","verdict":"ok","observations":[
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

    #[test]
    fn a_report_beyond_its_bounds_is_refused_by_field() {
        let check = |change: fn(&mut AgentReport), expected: &str| {
            let mut report = report();
            change(&mut report);
            assert_eq!(report.check().unwrap_err().to_string(), expected);
        };
        check(
            |r| r.observations = vec![r.observations[0].clone(); 201],
            "`observations`: there are 201, and at most 200 are allowed",
        );
        check(
            |r| r.observations[0].evidence = vec![String::new(); 41],
            "`observations`: `evidence` has at most 40 lines of at most 1000 bytes",
        );
        check(|r| r.observations[0].what.clear(), "`observations`: `what` has 1 to 1000 bytes");
        check(|r| r.workers = vec![r.workers[0].clone(); 501], "`workers`: there are 501, and at most 500 are allowed");
        check(|r| r.wait = Span::from_secs(61), "`wait`: at most 1m");
        check(|r| r.agent.clear(), "`agent`: give a text of 1 to 100 bytes without control characters");
        check(
            |r| r.quiet = vec!["a\u{7}".to_owned()],
            "`quiet`: give a text of 1 to 100 bytes without control characters",
        );
        check(|r| r.guards = vec!["g".to_owned(); 101], "`guards`: there are 101, and at most 100 are allowed");
    }
}
