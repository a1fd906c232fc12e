//! `POST /v1/lease`: a long poll that costs a place and nothing else.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use job::Span;
use queue::{From, Leased, Wish};
use wire::v1::{LeaseWish, LeasedJob, LeasedJobs, Object, public_id, raw};

use crate::body::{Json, answer};
use crate::problem::Problem;
use crate::routes::App;

pub(crate) async fn lease(
    State(app): State<App>,
    Json(Object(wish)): Json<Object<LeaseWish>>,
) -> Result<Response, Problem> {
    wish.check()?;
    let jobs = take(&app, meant(wish)).await?;
    Ok(answer(StatusCode::OK, &LeasedJobs { jobs: shown(jobs), quiet: false }))
}

/// Takes jobs, or waits for the first, until the server is told to stop.
pub(crate) async fn take(app: &App, wish: Wish) -> Result<Vec<Leased>, Problem> {
    let _place = match wish.wait {
        Span::ZERO => None,
        _ => Some(app.waiting.try_acquire().map_err(|_| Problem::too_many_waiting(app.options.limits.max_waiting))?),
    };
    tokio::select! {
        biased;
        jobs = app.queue.lease(wish) => Ok(jobs?),
        () = app.closing.cancelled() => Ok(Vec::new()),
    }
}

/// A wish in the queue's words.
pub(crate) fn meant(wish: LeaseWish) -> Wish {
    let LeaseWish { queues, worker, limit, wait, for_ } = wish;
    Wish { from: From::Queues(queues), worker, limit, wait, lease_for: for_ }
}

/// Jobs that were handed out, as JSON has them.
pub(crate) fn shown(jobs: Vec<Leased>) -> Vec<LeasedJob> {
    let show = |Leased { lease, until, job }: Leased| LeasedJob {
        id: public_id(&job),
        lease: lease.to_string(),
        until,
        payload: raw(&job.spec.payload),
        queue: job.spec.queue,
        kind: job.spec.kind,
        attempt: job.attempt,
        key: job.spec.key,
        pushed: job.pushed,
    };
    jobs.into_iter().map(show).collect()
}
