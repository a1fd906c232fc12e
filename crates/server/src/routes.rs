//! Which address leads where.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use queue::Queue;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::gate::gate;
use crate::journal::journal;
use crate::options::Options;
use crate::problem::Problem;
use crate::{finish, hosts, jobs, lease, push, queues, status};

/// What every handler may use.
pub(crate) type App = Arc<Shared>;

/// What every handler may use.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) options: Options,
    /// The server was told to stop.
    pub(crate) closing: CancellationToken,
    /// Places for requests that wait for a job.
    pub(crate) waiting: Semaphore,
}

/// All routes, over `queue`.
pub(crate) fn router(queue: Queue, options: Options, closing: CancellationToken) -> Router {
    let waiting = Semaphore::new(options.limits.max_waiting);
    let app = Arc::new(Shared { queue, options, closing, waiting });
    let v1 = Router::new()
        .route("/jobs", post(push::push).get(jobs::list))
        .route("/jobs/{id}", get(jobs::show).delete(jobs::delete))
        .route("/jobs/{id}/retry", post(jobs::retry))
        .route("/jobs/{id}/ack", post(finish::ack))
        .route("/jobs/{id}/fail", post(finish::fail))
        .route("/jobs/{id}/extend", post(finish::extend))
        .route("/jobs/{id}/snooze", post(finish::snooze))
        .route("/finish", post(finish::many))
        .route("/lease", post(lease::lease))
        .route("/queues", get(queues::list))
        .route("/queues/{queue}/pause", post(queues::pause))
        .route("/queues/{queue}/resume", post(queues::resume))
        .route("/queues/{queue}/keys/{key}", delete(jobs::delete_key))
        .route("/agents", get(hosts::list))
        .route("/agents/{host}", post(hosts::report))
        .route("/agents/{host}/lease", post(hosts::lease))
        .route("/agents/{host}/orders", post(hosts::order))
        .route("/status", get(status::status))
        .fallback(nothing_there)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn_with_state(Arc::clone(&app), gate));
    Router::new()
        .nest("/v1", v1)
        .route("/livez", get(status::livez))
        .route("/readyz", get(status::readyz))
        .fallback(nothing_there)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn(journal))
        .with_state(app)
}

async fn nothing_there() -> Problem {
    Problem::no_such_address()
}

async fn not_so(request: Request) -> Problem {
    Problem::wrong_method(request.method())
}
