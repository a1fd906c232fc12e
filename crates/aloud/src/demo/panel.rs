//! The page of the host: what its agent sees, live, and buttons to do things to
//! it.
//!
//! Every button is a plain form. An act goes on by itself; the page shows what
//! it says. It shows only what the agent says, and guesses nothing.

mod view;

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::{Environment, context};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::demo::operator::{Operator, is_busy};
use crate::demo::site::Sort;
use crate::report::Report;
use view::View;

/// How often an open page is brought up to date.
const LOOK: Duration = Duration::from_millis(300);
/// How many pages may be kept up to date at once.
const MAX_OPEN: usize = 20;

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    for (name, source) in [("host.html", include_str!("panel/host.html")), ("now.html", include_str!("panel/now.html"))]
    {
        pages.add_template(name, source).expect("a page that is part of the program is a template");
    }
    pages
});

#[derive(Clone)]
struct Panel {
    operator: Arc<Operator>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// A seat for each page that is kept up to date.
    seats: Arc<Semaphore>,
}

/// The page's routes. What its buttons begin is among `tasks`, and ends at `stop`.
pub(crate) fn router(operator: Arc<Operator>, tasks: TaskTracker, stop: CancellationToken) -> Router {
    Router::new()
        .route("/host", get(show))
        .route("/host/live", get(live))
        .route("/host/{act}", post(act))
        .route(
            "/host.js",
            get(|| async { ([(header::CONTENT_TYPE, "text/javascript")], include_str!("panel/host.js")) }),
        )
        .with_state(Panel { operator, tasks, stop, seats: Arc::new(Semaphore::new(MAX_OPEN)) })
}

async fn show(State(panel): State<Panel>) -> Html<String> {
    let view = View::look(&panel.operator).await;
    Html(render("host.html", context! { now => now(&view) }))
}

fn now(view: &View) -> String {
    render("now.html", view.context())
}

/// Begins what a button says.
async fn act(State(panel): State<Panel>, Path(act): Path<String>) -> Response {
    let operator = panel.operator.clone();
    let began = match act.as_str() {
        "pause" => operator.pause().await,
        "resume" => operator.resume().await,
        _ if is_busy(&operator.acts().borrow()) => {
            return (StatusCode::CONFLICT, "Something is being done; wait for its end.\n").into_response();
        }
        "deploy" => panel.begin(async move { operator.deploy(Sort::Sound).await.map(drop) }),
        "deploy-broken" => panel.begin(async move { operator.deploy(Sort::Broken).await.map(drop) }),
        "switch-and-delete" => panel.begin(async move { operator.switch_and_delete().await.map(drop) }),
        "rollback" => panel.begin(async move { operator.roll_back().await.map(drop) }),
        _ => return (StatusCode::NOT_FOUND, "there is no such button\n").into_response(),
    };
    match began {
        Ok(()) => Redirect::to("/host").into_response(),
        Err(report) => (StatusCode::BAD_GATEWAY, format!("{}\n", report.happened)).into_response(),
    }
}

impl Panel {
    #[expect(clippy::unnecessary_wraps, reason = "as the acts that end at once")]
    fn begin(&self, act: impl Future<Output = Result<(), Report>> + Send + 'static) -> Result<(), Report> {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if let Some(Err(report)) = stop.run_until_cancelled(act).await {
                tracing::warn!("{}", report.happened);
            }
        });
        Ok(())
    }
}

/// What there is to see, now and whenever it changes.
async fn live(State(panel): State<Panel>) -> Response {
    let Ok(seat) = panel.seats.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    let events = futures_util::stream::unfold((panel, String::new(), seat), |(panel, last, seat)| async move {
        loop {
            let view = panel.stop.run_until_cancelled(View::look(&panel.operator)).await?;
            let html = now(&view);
            if html != last {
                let event = json!({ "html": html, "say": view.in_a_word() }).to_string();
                return Some((Ok::<_, Infallible>(Event::default().data(event)), (panel, html, seat)));
            }
            panel.stop.run_until_cancelled(tokio::time::sleep(LOOK)).await?;
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

fn render(name: &str, what: minijinja::Value) -> String {
    let page = PAGES.get_template(name).expect("the page is part of the program");
    page.render(what).unwrap_or_else(|error| format!("this page cannot be shown: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::demo::operator::{Act, Ended};

    fn view(report: Result<aloud_client::v1::AgentReport, String>) -> View {
        View { report, act: None, paused: None, versions: BTreeMap::from([("66".to_owned(), 7)]) }
    }

    fn report() -> aloud_client::v1::AgentReport {
        serde_json::from_value(json!({
            "agent": "a", "version": "1", "at": "2026-12-01T09:00:00Z", "verdict": "critical",
            "observations": [
                {"subject": {"host": "demo"}, "at": "2026-12-01T09:00:00Z", "verdict": "ok", "what": "fine", "evidence": ["left out"]},
                {"subject": {"workers": {"host": "demo", "pool": "mail"}}, "at": "2026-12-01T09:00:00Z", "verdict": "critical",
                 "what": "1 worker is in a release that was removed", "evidence": ["it said <script>alert(1)</script>"]},
            ],
            "tree": {"root": "/srv", "current": "66", "releases": [{"id": "66", "note": "healthy"}, {"id": "65"}]},
            "workers": [
                {"id": "mail.1", "pool": "mail", "pid": 4711, "release": "65", "generation": 1, "state": "ready",
                 "since": "2026-12-01T09:00:00Z", "current": false},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn the_worst_comes_first_with_what_shows_it_and_nothing_is_markup() {
        let html = now(&view(Ok(report())));
        let (worst, fine) = (html.find("was removed"), html.find("fine"));
        assert!(worst.unwrap() < fine.unwrap(), "{html}");
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>") && !html.contains("left out"), "{html}");
        assert!(
            html.contains("4711") && html.contains("not current") && html.contains("version 7 <b>current</b>"),
            "{html}"
        );
        assert!(html.contains("1 worker in it"), "{html}");
    }

    #[test]
    fn an_agent_that_says_nothing_is_unknown_and_never_well() {
        let silent = view(Err("no agent runs on this host".to_owned()));
        let html = now(&silent);
        assert!(html.contains("verdict unknown") && html.contains("no agent runs on this host"), "{html}");
        assert!(html.contains("None runs.") && !html.contains("verdict ok"), "{html}");
        assert_eq!(silent.in_a_word(), "How the host is is not known: no agent runs on this host.");
    }

    #[test]
    fn an_act_is_under_way_until_it_has_ended() {
        let mut view = view(Ok(report()));
        view.act = Some(Act { what: "aloud deploy site".to_owned(), lines: vec!["fill".to_owned()], ended: None });
        assert!(now(&view).contains("Under way") && view.in_a_word().starts_with("aloud deploy site: under way. "));
        view.act = view.act.map(|act| Act { ended: Some(Ended::With(2)), ..act });
        assert!(now(&view).contains("exit code 2") && now(&view).contains("verdict critical"));
    }
}
