//! Hosts and their agents: `/v1/agents`.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use queue::{From, Wish};
use tokio::time::Instant;
use wire::v1::{AgentLeaseWish, AgentList, AgentReport, GiveOrder, GivenOrder, LeasedJobs, Object};

use crate::agents::{Agents, Asking, NotGiven, When};
use crate::body::{Json, answer};
use crate::lease::{Taken, shown, take};
use crate::path::HostPath;
use crate::problem::Problem;
use crate::routes::App;
use crate::speaker::{Address, Speaker};
use crate::workers::Near;

/// The longest that a report waits for its answer, whatever it asks for: the
/// next report must come before this one is old.
const HOLD: Duration = Duration::from_secs(10);
/// How long small news are collected.
const COLLECT: Duration = Duration::from_secs(1);

/// An agent reports, and waits for what is new.
pub(crate) async fn report(
    State(app): State<App>,
    HostPath(host): HostPath,
    Address(address): Address,
    Json(Object(report)): Json<Object<AgentReport>>,
) -> Result<Response, Problem> {
    report.check()?;
    report.speaks_of(&host)?;
    let (agents, ip) = (&app.options.agents, address.map(|address| address.ip()));
    let mut news = agents.news();
    agents
        .report(&host, &report, ip, app.queue.now())
        .map_err(|_| Problem::refused("host", format!("there are {} hosts already", Agents::MOST_HOSTS)))?;
    let wait = report.wait.as_duration().min(HOLD);
    let named = report.workers.into_iter().map(|worker| worker.id).collect();
    let asking = Asking { host, heard: report.heard, named, near: Near(ip) };
    let (mut ripe, over) = (Instant::now() + COLLECT, Instant::now() + wait);
    let mut when = if wait.is_zero() { When::Anyway } else { When::New };
    loop {
        if let Some(said) = agents.answer(&asking, app.queue.now(), when) {
            return Ok(answer(StatusCode::OK, &said));
        }
        tokio::select! {
            changed = news.changed() => if changed.is_err() { when = When::Anyway },
            () = tokio::time::sleep_until(over) => when = When::Anyway,
            () = tokio::time::sleep_until(ripe) => (when, ripe) = (When::Ripe, ripe + COLLECT),
            () = app.closing.cancelled() => when = When::Anyway,
        }
    }
}

/// Hands an agent jobs that it runs itself.
pub(crate) async fn lease(
    State(app): State<App>,
    HostPath(_): HostPath,
    Json(Object(wish)): Json<Object<AgentLeaseWish>>,
) -> Result<Response, Problem> {
    wish.check()?;
    let AgentLeaseWish { kind, worker, limit, wait, for_ } = wish;
    let wish = Wish { from: From::Kind(kind), worker, limit, wait, lease_for: for_ };
    let jobs = match take(&app, &Speaker::Agent, wish).await? {
        Taken::Jobs(jobs) => jobs,
        Taken::Quiet => Vec::new(),
    };
    Ok(answer(StatusCode::OK, &LeasedJobs { jobs: shown(jobs), quiet: false }))
}

/// Has an agent do something.
pub(crate) async fn order(
    State(app): State<App>,
    HostPath(host): HostPath,
    Json(Object(order)): Json<Object<GiveOrder>>,
) -> Result<Response, Problem> {
    match app.options.agents.order(&host, &order, app.queue.now()) {
        Ok(id) => Ok(answer(StatusCode::ACCEPTED, &GivenOrder { id })),
        Err(NotGiven::Away(why)) => Err(Problem::agent_away(&why)),
        Err(NotGiven::TooMany) => {
            let why = format!("{} orders wait for this agent already", Agents::MOST_ORDERS);
            Err(Problem::refused("order", why))
        }
    }
}

/// All hosts.
pub(crate) async fn list(State(app): State<App>) -> Response {
    let agents = app.options.agents.hosts(app.queue.now()).into_iter().map(|host| host.view).collect();
    answer(StatusCode::OK, &AgentList { agents })
}
