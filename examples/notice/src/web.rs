//! What the application answers over HTTP: the page, its switches, and aloud's
//! question whether a mail is still wanted.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aloud_client::CancellationToken;
use aloud_client::outbox::Relay;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::book::{Book, Request, Terms, Turned, Wanted};
use crate::clock::Millis;
use crate::follow::{Bell, blocking};
use crate::page::{self, For, Frame};
use crate::same_site;
use crate::signature::Secret;

/// How many pages may be kept up to date at once.
pub(crate) const MAX_OPEN: usize = 100;
/// The largest request that is read: aloud sends a job whole.
const MAX_BODY: usize = 2 << 20;

/// What the answers are made from.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) book: Arc<Book>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) frame: Arc<Frame>,
    pub(crate) secret: Secret,
    pub(crate) bell: Bell,
    pub(crate) relay: Arc<Option<Relay>>,
    pub(crate) stop: CancellationToken,
    /// A seat for each page that is kept up to date.
    pub(crate) seats: Arc<Semaphore>,
}

/// Every route.
pub(crate) fn router(app: App) -> Router {
    let asset =
        |kind: &'static str, text: &'static str| get(move || async move { ([(header::CONTENT_TYPE, kind)], text) });
    Router::new()
        .route("/", get(show))
        .route("/live", get(live))
        .route("/requests/{id}/switch", post(switch))
        .route("/requests/{id}/tamper", post(tamper))
        .route("/guard/notice", post(guard))
        .route("/style.css", asset("text/css", include_str!("../pages/style.css")))
        .route("/live.js", asset("text/javascript", include_str!("../pages/live.js")))
        .route("/icon.svg", asset("image/svg+xml", include_str!("../pages/icon.svg")))
        .layer(from_fn(same_site::check))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}

async fn show(State(app): State<App>) -> Result<Html<String>, Failed> {
    let requests = app.read(Book::requests).await?;
    Ok(Html(page::page(&app.frame, &requests, app.bell.silent_since(), Millis::now())))
}

#[derive(Deserialize)]
struct Switch {
    on: bool,
}

/// Says which way the switch goes, not that it goes the other way: sent twice,
/// it does the same as once.
async fn switch(
    State(app): State<App>,
    Path(id): Path<i64>,
    headers: HeaderMap,
    Form(switch): Form<Switch>,
) -> Result<Response, Failed> {
    let terms = app.terms.clone();
    let turned = app
        .read(move |book| match switch.on {
            true => book.switch_on(id, &terms, Millis::now()),
            false => book.switch_off(id),
        })
        .await?;
    Ok(app.turned(turned, &headers))
}

async fn tamper(State(app): State<App>, Path(id): Path<i64>, headers: HeaderMap) -> Result<Response, Failed> {
    if !app.frame.tamper {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    let turned = app.read(move |book| book.tamper(id)).await?;
    Ok(app.turned(turned, &headers))
}

/// Answers aloud's question just before a mail goes out.
///
/// A job that this application never asked for is an error and not a no:
/// somebody asks the wrong application, and a no would end the job without a
/// trace of that.
async fn guard(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Response, Failed> {
    let problem = |status: StatusCode, why: String| (status, why + "\n").into_response();
    let job = match app.secret.job_of(&headers, &body, Millis::now()) {
        Ok(job) => job,
        Err(unsigned) => return Ok(problem(StatusCode::UNAUTHORIZED, unsigned.to_string())),
    };
    let asked = job.clone();
    let why = match app.read(move |book| book.wanted(&asked)).await? {
        Wanted::Yes => return Ok(Json(json!({ "job": job, "run": true })).into_response()),
        Wanted::Off => "the switch is off",
        Wanted::Outdated => "the switch was turned on again since, and asked for another mail",
        Wanted::Foreign => return Ok(problem(StatusCode::NOT_FOUND, format!("no notice has the job {job}"))),
    };
    Ok(Json(json!({ "job": job, "run": false, "why": why })).into_response())
}

/// The rows, now and whenever something has become of one.
async fn live(State(app): State<App>) -> Response {
    let Ok(seat) = app.seats.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    let mut rings = app.bell.listen();
    rings.mark_changed();
    let events = futures_util::stream::unfold((app, rings, None, seat), |(app, mut rings, before, seat)| async move {
        app.stop.run_until_cancelled(rings.changed()).await?.ok()?;
        rings.mark_unchanged();
        let requests = match app.read(Book::requests).await {
            Ok(requests) => requests,
            Err(failed) => {
                tracing::error!(error = %failed.0, "an open page could not be brought up to date");
                return None; // the browser asks again
            }
        };
        let rows: Vec<_> = requests
            .iter()
            .map(|request| json!({ "id": request.id, "html": page::row(&app.frame, request, For::OpenPage) }))
            .collect();
        let said = before.as_deref().map(|before| news(before, &requests));
        let page = json!({
            "now": Millis::now().0,
            "link": page::link(app.bell.silent_since(), For::OpenPage),
            "rows": rows,
            "say": said,
        });
        let event = Event::default().data(page.to_string());
        Some((Ok::<_, Infallible>(event), (app, rings, Some(requests), seat)))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

/// What has become of notices since, in words.
fn news(before: &[Request], after: &[Request]) -> String {
    let newest = |request: &Request| request.notices.first().map(|notice| notice.fate);
    let changed = after.iter().filter(|request| {
        before.iter().find(|before| before.id == request.id).is_none_or(|before| newest(before) != newest(request))
    });
    let said = changed.filter_map(|request| Some(page::said(request, request.notices.first()?)));
    said.collect::<Vec<_>>().join(" ")
}

impl App {
    /// Uses the book where waiting for the disk holds up nobody.
    async fn read<T, E>(&self, f: impl FnOnce(&Book) -> Result<T, E> + Send + 'static) -> Result<T, Failed>
    where
        T: Send + 'static,
        E: Into<crate::book::Error> + Send + 'static,
    {
        let book = self.book.clone();
        blocking(move || f(&book)).await.map_err(|error| Failed(error.into()))
    }

    fn turned(&self, turned: Turned, headers: &HeaderMap) -> Response {
        let job = match turned {
            Turned::Nothing => return (StatusCode::NOT_FOUND, "there is no such request\n").into_response(),
            Turned::Already => None,
            Turned::Now(job) => {
                if let Some(relay) = self.relay.as_ref() {
                    relay.wake();
                }
                self.bell.turned();
                job
            }
        };
        match headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/json") {
            true => Json(json!({ "job": job })).into_response(),
            false => Redirect::to("/").into_response(),
        }
    }
}

struct Failed(crate::book::Error);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        tracing::error!(error = %self.0, "a request failed");
        let text = format!("This did not work, and nothing was changed: {}.\nPlease try again.\n", self.0);
        (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
    }
}
