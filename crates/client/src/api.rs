//! The HTTP API, one method for each route, with the shapes of [`v1`].
//!
//! Nothing here is repeated, queued or remembered: one call, one request, one
//! answer. [`crate::Aloud`] and [`crate::Worker`] are built on it.

mod transport;

use std::time::Duration;

use job::{HostName, Key, QueueName};
use reqwest::Method;
use wire::v1;

use crate::identity::Identity;
use crate::{Error, Settings};
use transport::Transport;

/// A server, as its routes. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Api {
    transport: Transport,
}

impl Api {
    /// A server. Nothing is sent yet.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self { transport: Transport::new(settings)? })
    }

    /// The same server, told with each request which worker process asks, and
    /// from which release it runs: the headers `Aloud-Worker` and
    /// `Aloud-Release`. Each is 1 to 100 visible ASCII characters without
    /// spaces. [`crate::Worker`] does this by itself.
    pub fn as_worker(&self, worker: impl Into<String>, release: Option<String>) -> Result<Self, Error> {
        Ok(self.identified(&Identity::new(worker.into(), release)?))
    }

    pub(crate) fn identified(&self, identity: &Identity) -> Self {
        Self { transport: self.transport.clone().also_saying(identity.headers()) }
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
    pub async fn jobs(&self, query: &v1::JobQuery) -> Result<v1::JobList, Error> {
        self.transport.get(&["v1", "jobs"], &pairs(query)).await
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

    /// Says how a host is, as its agent, and waits for what is new:
    /// `POST /v1/agents/{host}`.
    pub async fn agent(&self, host: &HostName, report: &v1::AgentReport) -> Result<v1::AgentAnswer, Error> {
        let path = ["v1", "agents", host.as_str()];
        self.transport.send_and_wait(Method::POST, &path, Some(report), report.wait.as_duration()).await
    }

    /// Takes jobs that an agent runs itself, waiting for the first:
    /// `POST /v1/agents/{host}/lease`.
    pub async fn agent_lease(&self, host: &HostName, wish: &v1::AgentLeaseWish) -> Result<v1::LeasedJobs, Error> {
        let path = ["v1", "agents", host.as_str(), "lease"];
        self.transport.send_and_wait(Method::POST, &path, Some(wish), wish.wait.as_duration()).await
    }

    /// Has an agent do something: `POST /v1/agents/{host}/orders`.
    pub async fn order(&self, host: &HostName, order: &v1::GiveOrder) -> Result<v1::GivenOrder, Error> {
        self.transport.send(Method::POST, &["v1", "agents", host.as_str(), "orders"], Some(order)).await
    }

    /// All hosts: `GET /v1/agents`.
    pub async fn agents(&self) -> Result<v1::AgentList, Error> {
        self.transport.send(Method::GET, &["v1", "agents"], NOTHING).await
    }

    /// How everything is: `GET /v1/status`.
    pub async fn status(&self) -> Result<v1::Status, Error> {
        self.transport.send(Method::GET, &["v1", "status"], NOTHING).await
    }
}

const NOTHING: Option<&()> = None;

/// A search as the query of an address.
fn pairs(query: &v1::JobQuery) -> Vec<(String, String)> {
    let json = serde_json::to_value(query).expect("a search is JSON");
    let fields = json.as_object().cloned().unwrap_or_default();
    let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    fields.into_iter().map(|(name, value)| (name, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use job::{Outcome, Phase};

    use super::*;

    #[test]
    fn a_search_is_written_as_a_query() {
        let query = v1::JobQuery {
            state: vec![Phase::Ready, Phase::Running],
            outcome: Some(Outcome::Done),
            queue: Some("mail".parse().unwrap()),
            ..v1::JobQuery::default()
        };
        let pairs: Vec<_> = pairs(&query).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["limit=50", "outcome=done", "queue=mail", "state=ready,running"]);
    }
}
