//! One line in the log for each request, and an answer even to a defect.
//!
//! What is logged of a request is its method, its route (`/v1/jobs/{id}`, not
//! the id), its status and how long it took: never a header, a path or a body.

use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::Instant;

use crate::problem::Problem;

pub(crate) async fn journal(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(no such address)", MatchedPath::as_str);
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = answered.unwrap_or_else(|_| {
        tracing::error!(%method, route, "a defect: the request's handler panicked");
        Problem::broken().into_response()
    });
    let (status, took) = (response.status().as_u16(), began.elapsed());
    if response.status().is_server_error() {
        tracing::warn!(%method, route, status, ?took, "answered");
    } else {
        tracing::debug!(%method, route, status, ?took, "answered");
    }
    response
}
