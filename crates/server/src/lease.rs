//! `POST /v1/lease`: a long poll that costs a place and nothing else.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use job::Span;
use queue::{From, Leased, Wish};
use wire::v1::{LeaseWish, LeasedJob, LeasedJobs, Object, public_id, raw};

use crate::body::{Json, answer};
use crate::problem::Problem;
use crate::routes::App;
use crate::speaker::Speaker;
use crate::workers::Act;

/// Says to a worker that it gets no more jobs; the body says it, too.
const ALOUD_QUIET: &str = "aloud-quiet";

/// What came of wanting jobs.
pub(crate) enum Taken {
    /// They were handed out; none if the wait ended first.
    Jobs(Vec<Leased>),
    /// Who asks is to get no more.
    Quiet,
}

pub(crate) async fn lease(
    State(app): State<App>,
    speaker: Speaker,
    Json(Object(wish)): Json<Object<LeaseWish>>,
) -> Result<Response, Problem> {
    wish.check()?;
    let taken = take(&app, &speaker, meant(wish, &speaker)).await?;
    Ok(said(taken, |jobs, quiet| answer(StatusCode::OK, &LeasedJobs { jobs, quiet })))
}

/// An answer that holds what was taken, and says in its head if there will be
/// no more.
pub(crate) fn said(taken: Taken, answer: impl FnOnce(Vec<LeasedJob>, bool) -> Response) -> Response {
    match taken {
        Taken::Jobs(jobs) => answer(shown(jobs), false),
        Taken::Quiet => {
            let mut response = answer(Vec::new(), true);
            response.headers_mut().insert(ALOUD_QUIET, HeaderValue::from_static("1"));
            response
        }
    }
}

/// Takes jobs, or waits for the first, until the server is told to stop, or the
/// one who waits is to be quiet.
pub(crate) async fn take(app: &App, speaker: &Speaker, wish: Wish) -> Result<Taken, Problem> {
    let mut visit = Visit::begin(app, speaker);
    if app.options.agents.is_quiet(speaker, app.queue.now()) {
        return Ok(Taken::Quiet);
    }
    let _place = match wish.wait {
        Span::ZERO => None,
        _ => Some(app.waiting.try_acquire().map_err(|_| Problem::too_many_waiting(app.options.limits.max_waiting))?),
    };
    tokio::select! {
        biased;
        jobs = app.queue.lease(wish) => {
            let jobs = jobs?;
            visit.jobs = jobs.len();
            Ok(Taken::Jobs(jobs))
        }
        () = app.options.agents.quieted(speaker, || app.queue.now()) => Ok(Taken::Quiet),
        () = app.closing.cancelled() => Ok(Taken::Jobs(Vec::new())),
    }
}

/// Somebody asks for jobs, and leaves with some, with none, or by hanging up.
struct Visit<'a> {
    app: &'a App,
    speaker: &'a Speaker,
    jobs: usize,
}

impl<'a> Visit<'a> {
    fn begin(app: &'a App, speaker: &'a Speaker) -> Self {
        app.options.agents.note(speaker, Act::Asks, app.queue.now());
        Self { app, speaker, jobs: 0 }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.app.options.agents.note(self.speaker, Act::Takes(self.jobs), self.app.queue.now());
    }
}

/// A wish in the queue's words.
pub(crate) fn meant(wish: LeaseWish, speaker: &Speaker) -> Wish {
    let LeaseWish { queues, worker, limit, wait, for_ } = wish;
    Wish { from: From::Queues(queues), worker: speaker.called(worker), limit, wait, lease_for: for_ }
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
