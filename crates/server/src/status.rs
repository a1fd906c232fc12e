//! How everything is: `/v1/status`, `/livez`, `/readyz`.
//!
//! The probes are about this process alone: a job that is late must not make an
//! orchestrator restart a server that works. They need no token and tell
//! nothing.

use std::cmp::{Reverse, max};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use job::{Span, Timestamp, Verdict};
use queue::{Health, QueueState};
use wire::v1::{LateQueue, LedgerView, PauseView, PausedQueue, Status, sentence};

use crate::agents::Judged;
use crate::body::answer;
use crate::options::Options;
use crate::problem::Problem;
use crate::routes::App;

pub(crate) async fn status(State(app): State<App>) -> Result<Response, Problem> {
    let ledger = LedgerView::from(app.queue.ledger().await?);
    let queues = app.queue.queues().await?;
    let now = app.queue.now();
    let serving = app.queue.is_open() && app.queue.health() == Health::Serving;
    let hosts = app.options.agents.hosts(now);
    let late = late(&queues, now.wall, app.options.max_latency);
    let findings = findings(&app, &hosts, &late);
    let worst = if serving && ledger.adds_up { Verdict::Ok } else { Verdict::Critical };
    let worst =
        hosts.iter().map(|host| host.view.verdict).chain(findings.iter().map(|(verdict, _)| *verdict)).fold(worst, max);
    let status = Status {
        app: app.options.app.to_string(),
        store: app.queue.identity().id,
        version: app.options.version.clone(),
        judged: now.wall,
        verdict: worst,
        serving,
        relaxed: app.options.relaxed,
        findings: findings.into_iter().map(|(_, finding)| finding).collect(),
        hosts: hosts.into_iter().map(|host| host.view).collect(),
        late,
        paused: queues.into_iter().filter_map(paused).collect(),
        ledger,
    };
    Ok(answer(StatusCode::OK, &status))
}

/// What is not as it should be, worst first.
fn findings(app: &App, hosts: &[Judged], late: &[LateQueue]) -> Vec<(Verdict, String)> {
    let Options { findings, agents, .. } = &app.options;
    let own = app.queue.findings().into_iter().chain(findings.iter().cloned()).chain(agents.troubles());
    let own = own.map(|finding| (Verdict::Warning, finding));
    let seen = hosts.iter().flat_map(|host| &host.findings).map(|seen| (seen.verdict, sentence(seen)));
    let late = late.iter().map(|late| (Verdict::Warning, late.to_string()));
    let mut all: Vec<_> = own.chain(seen).chain(late).collect();
    all.sort_by_key(|(verdict, _)| Reverse(*verdict));
    all
}

fn late(queues: &[QueueState], now: Timestamp, max_latency: Span) -> Vec<LateQueue> {
    let late = |state: &QueueState| {
        let oldest_due = state.oldest_due?;
        let late = now.since(oldest_due);
        (late > max_latency).then(|| LateQueue { queue: state.name.clone(), oldest_due, late, ready: state.ready })
    };
    let mut late: Vec<_> = queues.iter().filter_map(late).collect();
    late.sort_by_key(|late| Reverse(late.late));
    late
}

fn paused(state: QueueState) -> Option<PausedQueue> {
    Some(PausedQueue { queue: state.name, pause: PauseView::from(state.pause?) })
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
