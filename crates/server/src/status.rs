//! How the server is: `/v1/status`, `/livez`, `/readyz`.
//!
//! The probes are about this process alone: a job that is late must not make an
//! orchestrator restart a server that works. They need no token and tell
//! nothing.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use queue::Health;
use wire::v1::Status;

use crate::body::answer;
use crate::problem::Problem;
use crate::routes::App;

pub(crate) async fn status(State(app): State<App>) -> Result<Response, Problem> {
    let ledger = app.queue.ledger().await?;
    let health = app.queue.health();
    let findings = app.queue.findings().into_iter().chain(app.options.findings.iter().cloned());
    let status = Status {
        app: app.options.app.to_string(),
        store: app.queue.identity().id,
        version: app.options.version.clone(),
        judged: app.queue.now().wall,
        verdict: job::Verdict::Unknown,
        hosts: Vec::new(),
        late: Vec::new(),
        paused: Vec::new(),
        serving: app.queue.is_open() && health == Health::Serving,
        relaxed: app.options.relaxed,
        findings: findings.collect(),
        ledger: ledger.into(),
    };
    Ok(answer(StatusCode::OK, &status))
}

/// The process lives and answers.
pub(crate) async fn livez() -> &'static str {
    "live\n"
}

/// The process takes requests, its queue runs, and its store serves.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let not_yet = |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    if app.closing.is_cancelled() || !app.queue.is_open() {
        return not_yet("stopping, or stopped\n");
    }
    match app.queue.health() {
        Health::Serving | Health::Full { .. } => "ready\n".into_response(),
        Health::Recovering { .. } => not_yet("the store is recovering\n"),
        Health::Damaged { .. } => not_yet("the store does not serve\n"),
    }
}
