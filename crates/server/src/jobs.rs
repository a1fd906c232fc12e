//! Jobs, looked at and called off: `/v1/jobs/{id}`, `GET /v1/jobs`, keys.

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::StatusCode;
use http::header::USER_AGENT;
use http::request::Parts;
use job::{JobId, JobRef, Outcome};
use queue::{Cancel, Cancelled, Cursor, Discarded, Found, Revived, Search};
use wire::v1::{CancelledJob, JobList, JobQuery, JobView};

use crate::body::{Nothing, answer};
use crate::path::{JobPath, KeyPath, SearchQuery};
use crate::problem::Problem;
use crate::routes::App;

pub(crate) async fn show(State(app): State<App>, JobPath(id): JobPath) -> Result<Response, Problem> {
    match app.queue.get(id.clone()).await? {
        Some(Found { job, phase }) => Ok(answer(StatusCode::OK, &JobView::of(job, phase))),
        None => Err(Problem::no_such_job(&id)),
    }
}

pub(crate) async fn list(State(app): State<App>, SearchQuery(query): SearchQuery) -> Result<Response, Problem> {
    let JobQuery { state, outcome, queue, kind, key, after, limit } = query;
    let after = after.as_deref().map(cursor).transpose()?;
    let page = app.queue.search(Search { phases: state, outcome, queue, kind, key, after, limit }).await?;
    let list = JobList {
        jobs: page.jobs.into_iter().map(|Found { job, phase }| JobView::of(job, phase)).collect(),
        next: page.next.map(|Cursor { part, id }| format!("{part}.{}", id.0)),
        searched: page.searched,
        of: page.of,
    };
    Ok(answer(StatusCode::OK, &list))
}

fn cursor(text: &str) -> Result<Cursor, Problem> {
    let parts = text.split_once('.').and_then(|(part, id)| Some((part.parse().ok()?, id.parse().ok()?)));
    match parts {
        Some((part @ 0..=2, id)) if i64::try_from(id).is_ok() => Ok(Cursor { part, id: JobId(id) }),
        Some(_) | None => Err(Problem::refused("after", "give the `next` of the page before, as it is")),
    }
}

/// Calls off a job that waits, or deletes a dead one.
pub(crate) async fn delete(
    State(app): State<App>,
    JobPath(id): JobPath,
    Caller(by): Caller,
) -> Result<Response, Problem> {
    match app.queue.cancel(Cancel::Job(id.clone()), &by).await? {
        Cancelled::Dead(_) => match app.queue.discard(id.clone(), &by).await? {
            Discarded::Yes(_) => Ok(gone(&id, Outcome::Discarded)),
            Discarded::NotDead(_, phase) => Err(Problem::came_back(&id, phase)),
            Discarded::Unknown => Err(Problem::no_such_job(&id)),
        },
        Cancelled::Yes(_) => Ok(gone(&id, Outcome::Cancelled)),
        // What is to be so is so: the request may have come twice.
        Cancelled::Ended(_, outcome @ (Outcome::Cancelled | Outcome::Discarded)) => Ok(gone(&id, outcome)),
        Cancelled::Ended(_, outcome) => Err(Problem::ended(&id, outcome)),
        Cancelled::Running(_) => Err(Problem::running(&id)),
        Cancelled::Unknown => Err(Problem::no_such_job(&id)),
    }
}

/// Calls off the job that waits with a key.
pub(crate) async fn delete_key(
    State(app): State<App>,
    KeyPath(queue, key): KeyPath,
    Caller(by): Caller,
) -> Result<Response, Problem> {
    match app.queue.cancel(Cancel::Key(queue.clone(), key.clone()), &by).await? {
        Cancelled::Yes(id) => Ok(gone(&id, Outcome::Cancelled)),
        Cancelled::Running(id) => Err(Problem::running(&id)),
        Cancelled::Ended(id, outcome) => Err(Problem::ended(&id, outcome)),
        Cancelled::Dead(_) | Cancelled::Unknown => Err(Problem::no_such_key(&queue, &key)),
    }
}

fn gone(id: &impl ToString, outcome: Outcome) -> Response {
    answer(StatusCode::OK, &CancelledJob { id: id.to_string(), outcome })
}

/// Makes a dead job wait again, or a waiting one due now.
pub(crate) async fn retry(State(app): State<App>, JobPath(id): JobPath, Nothing: Nothing) -> Result<Response, Problem> {
    match app.queue.revive(id.clone()).await? {
        Revived::Yes(internal) => show(State(app), JobPath(JobRef::Id(internal))).await,
        Revived::KeyHeld(_, holder) => Err(Problem::retry_meets_key(&id, &holder)),
        Revived::Not(_, phase) => Err(Problem::cannot_retry(&id, phase)),
        Revived::Unknown => Err(Problem::no_such_job(&id)),
    }
}

/// Who asks, as far as HTTP tells: what a job that was called off says of its
/// end.
pub(crate) struct Caller(String);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        Ok(Self(match agent {
            Some(agent) => job::attempt::bounded(format!("API ({agent})"), 200),
            None => "API".to_owned(),
        }))
    }
}
