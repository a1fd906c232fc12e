//! `POST /v1/jobs`.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use job::{ClientId, NewJob, Now, Phase};
use queue::Pushed;
use wire::v1::{Push, PushJob, PushedJob};

use crate::body::{Json, answer};
use crate::problem::{self, Problem};
use crate::routes::App;

pub(crate) async fn push(
    State(app): State<App>,
    headers: HeaderMap,
    Json(push): Json<Push>,
) -> Result<Response, Problem> {
    let idempotency = Idempotency::read(&headers)?;
    match push {
        Push::One(job) => one(&app, idempotency.name(*job, None)).await,
        Push::Many(jobs) => {
            let named = jobs.into_iter().enumerate().map(|(place, job)| idempotency.name(job, Some(place)));
            many(&app, named.collect()).await
        }
    }
}

async fn one(app: &App, job: PushJob) -> Result<Response, Problem> {
    let now = app.queue.now();
    let job = job.into_new_job(now)?;
    let sent = Sent::of(&job, now);
    let pushed = app.queue.push(vec![job]).await?.pop().expect("one job, one answer");
    let pushed = sent.shown(pushed);
    match pushed.rejected {
        Some(_) => Err(Problem::push_rejected(&pushed.id)),
        None => Ok(answer(status(pushed.is_new()), &pushed)),
    }
}

async fn many(app: &App, jobs: Vec<PushJob>) -> Result<Response, Problem> {
    let now = app.queue.now();
    let mut new = Vec::with_capacity(jobs.len());
    for (place, job) in jobs.into_iter().enumerate() {
        new.push(job.into_new_job(now).map_err(|e| Problem::refused(format!("[{place}].{}", e.field), e.why))?);
    }
    let sent: Vec<_> = new.iter().map(|job| Sent::of(job, now)).collect();
    let pushed = app.queue.push(new).await?;
    let pushed: Vec<_> = sent.into_iter().zip(pushed).map(|(sent, pushed)| sent.shown(pushed)).collect();
    Ok(answer(status(pushed.iter().any(PushedJob::is_new)), &pushed))
}

fn status(is_new: bool) -> StatusCode {
    if is_new { StatusCode::CREATED } else { StatusCode::OK }
}

/// What is remembered of a job that is pushed, for its answer.
struct Sent {
    client_id: Option<ClientId>,
    phase: Phase,
}

impl Sent {
    fn of(job: &NewJob, now: Now) -> Self {
        let phase = if job.due.reached(now) { Phase::Ready } else { Phase::Scheduled };
        Self { client_id: job.client_id.clone(), phase }
    }

    fn shown(self, pushed: Pushed) -> PushedJob {
        let public = |client_id: Option<ClientId>, id: job::JobId| match client_id {
            Some(client_id) => client_id.to_string(),
            None => id.to_string(),
        };
        match pushed {
            Pushed::New { id, replaced } => PushedJob {
                state: Some(self.phase),
                replaced: replaced.map(|id| id.to_string()),
                ..PushedJob::of(public(self.client_id, id))
            },
            Pushed::Kept { id, client_id } => PushedJob { kept: true, ..PushedJob::of(public(client_id, id)) },
            Pushed::Rejected { id, client_id } => {
                let holder = public(client_id, id);
                PushedJob { rejected: Some(problem::rejected(&holder)), ..PushedJob::of(holder) }
            }
            Pushed::Known { id, outcome } => PushedJob {
                known: true,
                state: outcome.map(|_| Phase::Ended),
                outcome,
                ..PushedJob::of(public(self.client_id, id))
            },
        }
    }
}

/// The header `Idempotency-Key`: jobs without an id get one made of it, so that
/// a push that is sent again is known.
///
/// `K` becomes the id `idem:K`, and in an array `idem:K:0`, `idem:K:1` and so
/// on by the job's place. Quotation marks around it, as the IETF's draft has
/// them, are not part of it.
struct Idempotency(Option<String>);

impl Idempotency {
    const HEADER: &str = "idempotency-key";
    const NAME: &str = "Idempotency-Key";
    const MAX_BYTES: usize = 100;

    fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(value) = headers.get(Self::HEADER) else { return Ok(Self(None)) };
        let refuse = |why: &str| Problem::refused(Self::NAME, why);
        let text = value.to_str().map_err(|_| refuse("only visible ASCII characters are allowed"))?;
        let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        if key.len() > Self::MAX_BYTES {
            return Err(refuse(&format!("it has {} bytes, and at most {} are allowed", key.len(), Self::MAX_BYTES)));
        }
        if key.is_empty() {
            return Err(refuse("it is empty"));
        }
        let id = format!("idem:{key}");
        ClientId::choose(&id).map_err(|_| refuse("spaces, `/` and `?` are not allowed"))?;
        Ok(Self(Some(id)))
    }

    /// Gives the job an id, if it has none.
    fn name(&self, mut job: PushJob, place: Option<usize>) -> PushJob {
        if let (None, Some(id)) = (&job.id, &self.0) {
            job.id = Some(match place {
                Some(place) => format!("{id}:{place}"),
                None => id.clone(),
            });
        }
        job
    }
}
