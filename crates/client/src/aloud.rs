//! What an application holds: somewhere to push to.

use std::sync::Arc;
use std::time::Duration;

use job::{Key, Outcome, QueueName, Span};
use tokio::time::{Instant, timeout_at};
use wire::v1;

use crate::backoff::Backoff;
use crate::desk::Desk;
use crate::handler::Handlers;
use crate::push::{Push, Pushed};
use crate::{Api, Error, JobKind, Recorded, Settings, Token};

/// Where jobs are pushed to: a server, or this process in the tests of an
/// application. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Aloud {
    to: To,
    push_within: Duration,
}

#[derive(Debug, Clone)]
enum To {
    Server(Api),
    Desk(Arc<Desk>),
}

impl Aloud {
    /// How long a push is tried if nothing else is said.
    const PUSH_WITHIN: Duration = Duration::from_secs(10);

    /// The server that the environment names: `ALOUD_URL`, `ALOUD_TOKEN_FILE`,
    /// `ALOUD_APP`. Nothing is sent yet.
    pub fn from_env() -> Result<Self, Error> {
        Self::with(Settings::from_env()?)
    }

    /// The server at this address, with this token. Nothing is sent yet.
    pub fn new(url: impl Into<String>, token: Token) -> Result<Self, Error> {
        Self::with(Settings::new(url, Some(token)))
    }

    /// The server that the settings name. Nothing is sent yet.
    pub fn with(settings: Settings) -> Result<Self, Error> {
        Ok(Self::over(Api::new(settings)?))
    }

    /// The server behind these routes.
    pub fn over(api: Api) -> Self {
        Self { to: To::Server(api), push_within: Self::PUSH_WITHIN }
    }

    /// For tests: nothing leaves this process. What is pushed is remembered,
    /// and stays waiting.
    ///
    /// ```
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct SendNotice { notice: u64 }
    /// # impl aloud_client::JobKind for SendNotice { const KIND: &'static str = "notice.send"; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), aloud_client::Error> {
    /// let (aloud, recorded) = aloud_client::Aloud::recorded();
    /// aloud.push(&SendNotice { notice: 42 }).key("notice:42").send().await?;
    ///
    /// let pushed = recorded.pushed::<SendNotice>();
    /// assert_eq!(pushed[0].job.notice, 42);
    /// assert_eq!(pushed[0].view.key.as_ref().unwrap().as_str(), "notice:42");
    /// # Ok(())
    /// # }
    /// ```
    pub fn recorded() -> (Self, Recorded) {
        Self::at_desk(None)
    }

    /// For tests: nothing leaves this process. What is pushed is run at once,
    /// whenever it is due, before the push answers; a run that fails is an
    /// error of the push, so that the test hears of it.
    ///
    /// ```
    /// # use aloud_client::{Aloud, Ctx, Failure, Handlers, JobKind, Outcome};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct SendNotice { notice: u64 }
    /// # impl JobKind for SendNotice { const KIND: &'static str = "notice.send"; }
    /// # async fn send_notice(_: SendNotice, _: Ctx) -> Result<(), Failure> { Ok(()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), aloud_client::Error> {
    /// let (aloud, recorded) = Aloud::inline(Handlers::new().register(send_notice));
    /// aloud.push(&SendNotice { notice: 42 }).send().await?;
    ///
    /// assert_eq!(recorded.pushed::<SendNotice>()[0].view.outcome, Some(Outcome::Done));
    /// # Ok(())
    /// # }
    /// ```
    pub fn inline(handlers: Handlers) -> (Self, Recorded) {
        Self::at_desk(Some(handlers))
    }

    fn at_desk(handlers: Option<Handlers>) -> (Self, Recorded) {
        let desk = Arc::new(Desk::new(handlers));
        (Self { to: To::Desk(Arc::clone(&desk)), push_within: Self::PUSH_WITHIN }, Recorded::of(desk))
    }

    /// Tries a push for so long before it is an error; 10 seconds if nothing is
    /// said.
    #[must_use]
    pub fn push_within(self, limit: Duration) -> Self {
        Self { push_within: limit, ..self }
    }

    /// The server's routes, one method each; `None` if there is no server.
    pub fn api(&self) -> Option<&Api> {
        match &self.to {
            To::Server(api) => Some(api),
            To::Desk(_) => None,
        }
    }

    /// A job to be pushed: say how it is to be treated, then [`Push::send`].
    pub fn push<J: JobKind>(&self, job: &J) -> Push<&Self> {
        Push::to(self, job)
    }

    /// Pushes several, all in one commit, and answers one for each in their
    /// order. A lost answer is handled as [`Push::send`] does it.
    pub async fn push_many(&self, pushes: impl IntoIterator<Item = Push>) -> Result<Vec<Pushed>, Error> {
        let parts = pushes.into_iter().map(Push::into_parts).collect::<Result<Vec<_>, _>>()?;
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let (jobs, drawn): (Vec<_>, Vec<_>) = parts.into_iter().map(|((), job, drawn)| (job, drawn)).unzip();
        let answers = self.repeat(|| self.push_once(&jobs)).await?;
        Ok(answers.into_iter().zip(drawn).map(|(answer, drawn)| Pushed::read(answer, drawn)).collect())
    }

    /// Calls off a job that waits, or deletes a dead one. Whoever is told
    /// [`CalledOff::Yes`] can rely on it never starting.
    pub async fn cancel(&self, id: &str) -> Result<CalledOff, Error> {
        CalledOff::read(match &self.to {
            To::Server(api) => api.cancel(id).await,
            To::Desk(desk) => desk.cancel(id),
        })
    }

    /// Calls off the job that waits in the queue with this key.
    pub async fn cancel_key(&self, queue: &str, key: &str) -> Result<CalledOff, Error> {
        let invalid = |e: job::Invalid| Error::config(e.to_string(), "name the queue and the key as they were pushed");
        self.cancel_parsed(&queue.parse().map_err(invalid)?, &key.parse().map_err(invalid)?).await
    }

    pub(crate) async fn cancel_parsed(&self, queue: &QueueName, key: &Key) -> Result<CalledOff, Error> {
        CalledOff::read(match &self.to {
            To::Server(api) => api.cancel_key(queue, key).await,
            To::Desk(desk) => desk.cancel_key(queue, key),
        })
    }

    /// One job, and what became of it; `None` if there is none, or if it ended
    /// so long ago that it is no longer kept.
    pub async fn job(&self, id: &str) -> Result<Option<v1::JobView>, Error> {
        match &self.to {
            To::Desk(desk) => Ok(desk.job(id)),
            To::Server(api) => match api.job(id).await {
                Ok(view) => Ok(Some(view)),
                Err(error) if error.is_no_such_job() => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// Pushes once, without repeating anything.
    pub(crate) async fn push_once(&self, jobs: &[v1::PushJob]) -> Result<Vec<v1::PushedJob>, Error> {
        match &self.to {
            To::Server(api) => {
                let answers = api.push_many(jobs).await?;
                if answers.len() != jobs.len() {
                    let why = format!("{} jobs were pushed, and the answer names {}", jobs.len(), answers.len());
                    return Err(Error::Unknown { url: api.url().to_owned(), why });
                }
                Ok(answers)
            }
            To::Desk(desk) => {
                let mut answers = Vec::with_capacity(jobs.len());
                for job in jobs {
                    answers.push(desk.push(job).await?);
                }
                Ok(answers)
            }
        }
    }

    /// Tries until it works, until the answer is no, or until the time for a
    /// push is over.
    async fn repeat<T, F: Future<Output = Result<T, Error>>>(&self, once: impl Fn() -> F) -> Result<T, Error> {
        let deadline = Instant::now() + self.push_within;
        let mut backoff = Backoff::new(Span::from_millis(50), Span::from_secs(2));
        let mut before = None;
        loop {
            let error = match timeout_at(deadline, once()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => return Err(before.unwrap_or_else(|| self.no_answer())),
            };
            let wait = backoff.next();
            if !error.may_pass() || Instant::now() + wait >= deadline {
                // Once something may have happened, it still may.
                return Err(match (error, before) {
                    (Error::Unreachable { .. }, Some(unknown @ Error::Unknown { .. })) => unknown,
                    (error, _) => error,
                });
            }
            tracing::debug!(%error, ?wait, "a push is tried again");
            before = match before {
                Some(unknown @ Error::Unknown { .. }) => Some(unknown),
                _ => Some(error),
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn no_answer(&self) -> Error {
        let url = self.api().map_or_else(String::new, |api| api.url().to_owned());
        Error::Unknown { url, why: format!("no answer within {:?}", self.push_within) }
    }
}

impl Push<&Aloud> {
    /// Pushes it, and answers once it is on the server's disk.
    ///
    /// If the server is away or an answer is lost, it is tried again for up to
    /// [`Aloud::push_within`]; the job's id makes sure that this never makes a
    /// second job. After an error of the sort [`Error::Unknown`] the job may
    /// have been pushed all the same; an outbox knows no such doubt.
    pub async fn send(self) -> Result<Pushed, Error> {
        let (aloud, job, drawn) = self.into_parts()?;
        let answer = aloud
            .repeat(async || match &aloud.to {
                To::Server(api) => api.push(&job).await,
                To::Desk(desk) => desk.push_alone(&job).await,
            })
            .await?;
        Ok(Pushed::read(answer, drawn))
    }
}

/// What became of calling off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalledOff {
    /// It will not start.
    Yes {
        /// The job.
        id: String,
        /// [`Outcome::Cancelled`] if it waited, [`Outcome::Discarded`] if it
        /// was dead.
        outcome: Outcome,
    },
    /// It runs, or has ended: too late.
    TooLate {
        /// What the server said.
        why: String,
    },
    /// There is no such job, or none waits with that key.
    NoSuchJob,
}

impl CalledOff {
    fn read(answer: Result<v1::CancelledJob, Error>) -> Result<Self, Error> {
        match answer {
            Ok(v1::CancelledJob { id, outcome }) => Ok(Self::Yes { id, outcome }),
            Err(error) if error.is_no_such_job() => Ok(Self::NoSuchJob),
            Err(error) if error.is_conflict() => Ok(Self::TooLate { why: error.happened() }),
            Err(error) => Err(error),
        }
    }
}
