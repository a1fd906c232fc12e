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
