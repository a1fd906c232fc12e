//! The HTTP API, one method for each route, with the shapes of [`v1`].
//!
//! Nothing here is repeated, queued or remembered: one call, one request, one
//! answer. [`crate::Aloud`] and [`crate::Worker`] are built on it.

mod transport;

use std::time::Duration;

use job::{Key, KindName, Outcome, Phase, QueueName};
use reqwest::Method;
use wire::v1;

use crate::{Error, Settings};
use transport::Transport;

/// A server, as its routes. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Api {
    transport: Transport,
}

/// What `GET /v1/jobs` looks for. Everything that is set must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobSearch {
    /// In one of these states; none means all.
    pub states: Vec<Phase>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// In this queue.
    pub queue: Option<QueueName>,
    /// Of this kind.
    pub kind: Option<KindName>,
    /// With this key.
    pub key: Option<Key>,
    /// Where the last page ended: its `next`.
    pub after: Option<String>,
    /// How many at most.
    pub limit: Option<usize>,
}

impl Api {
    /// A server. Nothing is sent yet.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self { transport: Transport::new(settings)? })
    }

    /// Where the server is.
    pub fn url(&self) -> &str {
        self.transport.url()
    }

    /// Pushes one job: `POST /v1/jobs`.
    pub async fn push(&self, job: &v1::PushJob) -> Result<v1::PushedJob, Error> {
        self.transport.send(Method::POST, &["v1", "jobs"], Some(job)).await
    }

    /// Pushes jobs in one commit: `POST /v1/jobs` with an array.
    pub async fn push_many(&self, jobs: &[v1::PushJob]) -> Result<Vec<v1::PushedJob>, Error> {
        self.transport.send(Method::POST, &["v1", "jobs"], Some(jobs)).await
    }

    /// Takes jobs to work on, waiting for the first: `POST /v1/lease`.
    pub async fn lease(&self, wish: &v1::LeaseWish) -> Result<v1::LeasedJobs, Error> {
        self.transport.send_and_wait(Method::POST, &["v1", "lease"], Some(wish), wish.wait.as_duration()).await
    }

    /// Ends a run that did its work: `POST /v1/jobs/{id}/ack`.
    pub async fn ack(&self, id: &str, ack: &v1::Ack) -> Result<v1::Settled, Error> {
        self.transport.send(Method::POST, &["v1", "jobs", id, "ack"], Some(ack)).await
    }

    /// Ends a run that failed: `POST /v1/jobs/{id}/fail`.
    pub async fn fail(&self, id: &str, fail: &v1::Fail) -> Result<v1::Settled, Error> {
        self.transport.send(Method::POST, &["v1", "jobs", id, "fail"], Some(fail)).await
    }

    /// Keeps a lease for longer: `POST /v1/jobs/{id}/extend`.
    pub async fn extend(&self, id: &str, extend: &v1::Extend) -> Result<v1::Extended, Error> {
        self.transport.send(Method::POST, &["v1", "jobs", id, "extend"], Some(extend)).await
    }

    /// Ends a run that wants to be run later: `POST /v1/jobs/{id}/snooze`.
    pub async fn snooze(&self, id: &str, snooze: &v1::Snooze) -> Result<v1::Settled, Error> {
        self.transport.send(Method::POST, &["v1", "jobs", id, "snooze"], Some(snooze)).await
    }

    /// Ends many runs, and takes the next jobs: `POST /v1/finish`.
    pub async fn finish(&self, ends: &v1::FinishMany) -> Result<v1::FinishedMany, Error> {
        let wait = ends.lease.as_ref().map_or(Duration::ZERO, |wish| wish.wait.as_duration());
        self.transport.send_and_wait(Method::POST, &["v1", "finish"], Some(ends), wait).await
    }

    /// One job: `GET /v1/jobs/{id}`.
    pub async fn job(&self, id: &str) -> Result<v1::JobView, Error> {
        self.transport.send(Method::GET, &["v1", "jobs", id], NOTHING).await
    }

    /// Jobs that fit: `GET /v1/jobs`.
    pub async fn jobs(&self, search: &JobSearch) -> Result<v1::JobList, Error> {
        self.transport.get(&["v1", "jobs"], &search.pairs()).await
    }

    /// Calls off a job that waits, or deletes a dead one:
    /// `DELETE /v1/jobs/{id}`.
    pub async fn cancel(&self, id: &str) -> Result<v1::CancelledJob, Error> {
        self.transport.send(Method::DELETE, &["v1", "jobs", id], NOTHING).await
    }

    /// Calls off the job that holds a key:
    /// `DELETE /v1/queues/{queue}/keys/{key}`.
    pub async fn cancel_key(&self, queue: &QueueName, key: &Key) -> Result<v1::CancelledJob, Error> {
        let path = ["v1", "queues", queue.as_str(), "keys", key.as_str()];
        self.transport.send(Method::DELETE, &path, NOTHING).await
    }

    /// Makes a dead job wait again, or a waiting one due now:
    /// `POST /v1/jobs/{id}/retry`.
    pub async fn retry(&self, id: &str) -> Result<v1::JobView, Error> {
        self.transport.send(Method::POST, &["v1", "jobs", id, "retry"], NOTHING).await
    }

    /// All queues: `GET /v1/queues`.
    pub async fn queues(&self) -> Result<v1::QueueList, Error> {
        self.transport.send(Method::GET, &["v1", "queues"], NOTHING).await
    }

    /// Holds a queue: `POST /v1/queues/{queue}/pause`.
    pub async fn pause(&self, queue: &QueueName, pause: &v1::PauseQueue) -> Result<v1::PauseView, Error> {
        self.transport.send(Method::POST, &["v1", "queues", queue.as_str(), "pause"], Some(pause)).await
    }

    /// Lets a queue go on: `POST /v1/queues/{queue}/resume`.
    pub async fn resume(&self, queue: &QueueName) -> Result<Option<v1::PauseView>, Error> {
        self.transport.send(Method::POST, &["v1", "queues", queue.as_str(), "resume"], NOTHING).await
    }

    /// How the server is: `GET /v1/status`.
    pub async fn status(&self) -> Result<v1::Status, Error> {
        self.transport.send(Method::GET, &["v1", "status"], NOTHING).await
    }
}

const NOTHING: Option<&()> = None;

impl JobSearch {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        if !self.states.is_empty() {
            let states: Vec<_> = self.states.iter().map(word).collect();
            pairs.push(("state", states.join(",")));
        }
        let rest = [
            ("outcome", self.outcome.as_ref().map(word)),
            ("queue", self.queue.as_ref().map(ToString::to_string)),
            ("kind", self.kind.as_ref().map(ToString::to_string)),
            ("key", self.key.as_ref().map(ToString::to_string)),
            ("after", self.after.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        pairs.extend(rest.into_iter().filter_map(|(name, value)| Some((name, value?))));
        pairs
    }
}

/// A word as JSON has it, without the quotes.
fn word(value: &impl serde::Serialize) -> String {
    let json = serde_json::to_value(value).expect("a state or an outcome is JSON");
    json.as_str().expect("a state or an outcome is one word").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_written_as_a_query() {
        let search = JobSearch {
            states: vec![Phase::Ready, Phase::Running],
            outcome: Some(Outcome::Done),
            queue: Some("mail".parse().unwrap()),
            limit: Some(5),
            ..JobSearch::default()
        };
        let pairs: Vec<_> = search.pairs().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["state=ready,running", "outcome=done", "queue=mail", "limit=5"]);
    }
}
