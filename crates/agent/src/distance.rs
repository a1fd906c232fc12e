//! Jobs that this host's agent runs for a server elsewhere: taken, kept and
//! ended over HTTP.
//!
//! One call here is one request. What the server refuses for one end is that
//! end's own trouble and is not told again; what does not come through at all
//! is, for as long as the lease may last.

use std::sync::Arc;

use aloud_client::{Api, Error, v1};
use job::{Again, Clock, Ending, HostName, JobRef, Lease, Now, Payload, Span};
use runner::jobs::{self, End, Stale, Taken, Wish};
use runner::{BoxFuture, GuardCommand, Jobs, Task};

/// The jobs of a server, as the agent of `host` gets them.
pub(crate) struct Distance {
    pub(crate) api: Api,
    pub(crate) host: HostName,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Jobs for Distance {
    fn take(&self, wish: Wish) -> BoxFuture<'_, Result<Vec<Taken>, jobs::Error>> {
        Box::pin(async move {
            let Wish { kind, worker, limit, wait, lease_for } = wish;
            let wish = v1::AgentLeaseWish { kind, worker, limit, wait, for_: lease_for };
            let leased = self.api.agent_lease(&self.host, &wish).await.map_err(cut)?;
            Ok(leased.jobs.into_iter().filter_map(taken).collect())
        })
    }

    fn extend(&self, id: JobRef, lease: Lease, length: Span) -> BoxFuture<'_, Result<Result<(), Stale>, jobs::Error>> {
        Box::pin(async move {
            let extend = v1::Extend { lease: lease.to_string(), for_: length };
            settle(self.api.extend(&id.to_string(), &extend).await)
        })
    }

    fn finish(&self, ends: Vec<End>) -> BoxFuture<'_, Result<Vec<Result<(), Stale>>, jobs::Error>> {
        Box::pin(async move {
            let mut settled = Vec::with_capacity(ends.len());
            for end in ends {
                settled.push(self.end(end).await?);
            }
            Ok(settled)
        })
    }

    fn store_id(&self) -> String {
        // Only letters need it, and the server sends those itself.
        String::new()
    }

    fn now(&self) -> Now {
        self.clock.now()
    }
}

impl Distance {
    async fn end(&self, End { id, lease, ending }: End) -> Result<Result<(), Stale>, jobs::Error> {
        let (id, lease) = (id.to_string(), lease.to_string());
        settle(match ending {
            Ending::Done { output } => self.api.ack(&id, &v1::Ack { lease, output, skipped: None }).await,
            Ending::Skipped { why } => {
                let skipped = Some(why.unwrap_or_else(|| "there was nothing to do".to_owned()));
                self.api.ack(&id, &v1::Ack { lease, output: None, skipped }).await
            }
            Ending::Failed { error, again } => {
                let (permanent, retry_after) = match again {
                    Again::ByPolicy => (false, None),
                    Again::NotBefore(wait) => (false, Some(wait)),
                    Again::Never => (true, None),
                };
                self.api.fail(&id, &v1::Fail { lease, error, permanent, retry_after }).await
            }
            Ending::Snoozed { after, why } => self.api.snooze(&id, &v1::Snooze { lease, in_: after, why }).await,
        })
    }
}

fn settle<T>(answer: Result<T, Error>) -> Result<Result<(), Stale>, jobs::Error> {
    match answer {
        Ok(_) => Ok(Ok(())),
        Err(error @ Error::Problem(_)) if !may_pass(&error) => Ok(Err(Stale(error.happened()))),
        Err(error) => Err(cut(error)),
    }
}

/// Whether the same request may be answered otherwise in a moment.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Problem(problem) => matches!(problem.status, 401 | 403 | 408 | 429 | 500..=599),
        Error::Unreachable { .. } | Error::Unknown { .. } => true,
        Error::Config { .. } | Error::Outbox { .. } => false,
    }
}

fn cut(error: Error) -> jobs::Error {
    jobs::Error::Cut(error.happened())
}

/// A job that cannot be read is left to its lease: another version may read it.
fn taken(job: v1::LeasedJob) -> Option<Taken> {
    let read = || {
        let id = job.id.parse().map_err(|error| format!("{error}"))?;
        let lease = job.lease.parse().map_err(|error| format!("{error}"))?;
        let payload = payload(&job.payload)?;
        let v1::LeasedJob { queue, kind, attempt, key, .. } = job.clone();
        Ok::<_, String>(Taken { lease, task: Task { id, kind, queue, key, attempt, payload } })
    };
    read().inspect_err(|why| tracing::error!(job = job.id, why, "a job from the server cannot be read")).ok()
}

fn payload(raw: &serde_json::value::RawValue) -> Result<Payload, String> {
    Payload::new(raw.get().as_bytes().to_vec()).map_err(|error| error.to_string())
}

/// Asks a guard that the server put a question to.
pub(crate) async fn ask(guards: &[GuardCommand], question: &v1::GuardQuestion) -> v1::GuardAnswer {
    let v1::GuardQuestion { id, guard, job } = question;
    let answered = |answer: v1::Answered, why: Option<String>| v1::GuardAnswer { id: *id, answer, why };
    let Some(guard) = guards.iter().find(|known| known.name == *guard) else {
        return answered(v1::Answered::Error(format!("this agent has no guard `{guard}`")), None);
    };
    let task = || {
        let id = job.id.parse().map_err(|error| format!("{error}"))?;
        let payload = payload(&job.payload)?;
        let v1::AskedJob { queue, kind, key, attempt, .. } = job.clone();
        Ok::<_, String>(Task { id, kind, queue, key, attempt, payload })
    };
    match task() {
        Err(why) => answered(v1::Answered::Error(format!("the job cannot be read: {why}")), None),
        Ok(task) => match guard.ask(&task).await {
            job::Answer::Yes => answered(v1::Answered::Yes, None),
            job::Answer::No(why) => answered(v1::Answered::No, why),
            job::Answer::Error(what) => answered(v1::Answered::Error(what), None),
        },
    }
}
