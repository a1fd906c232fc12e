//! The pages of the mailbox, and the same as JSON.
//!
//! A mail is a stranger's text. Its HTML part is shown in a frame that may run
//! nothing, load nothing, and reach nothing; everything else is escaped.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use minijinja::{Environment, context};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Mailbox;
use super::letter::Letter;
use crate::demo::site::COLOURS;

const OWN: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; frame-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
const STRANGERS: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'",
);

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    for (name, source) in [("list.html", include_str!("list.html")), ("mail.html", include_str!("mail.html"))] {
        pages.add_template(name, source).expect("a page that is part of the program is a template");
    }
    pages
});

/// How many mails are listed: the newest.
const SHOWN: usize = 200;
/// How many pages may be kept up to date at once.
const MAX_OPEN: usize = 100;

#[derive(Clone)]
struct Pages {
    mailbox: Mailbox,
    stop: CancellationToken,
    /// Whether there is a page of the host beside.
    has_host: bool,
    /// A seat for each page that is kept up to date.
    seats: Arc<Semaphore>,
}

/// Shows the mailbox until it is stopped.
pub(super) async fn serve(listener: TcpListener, mailbox: Mailbox, host: Option<Router>, stop: CancellationToken) {
    let stopped = stop.clone().cancelled_owned();
    let has_host = host.is_some();
    let pages = Pages { mailbox, stop, has_host, seats: Arc::new(Semaphore::new(MAX_OPEN)) };
    let router = router(pages, host.unwrap_or_default());
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::warn!(%error, "the mailbox's pages ended");
    }
}

fn router(pages: Pages, host: Router) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/mails/{number}", get(mail))
        .route("/mails/{number}/html", get(html))
        .route("/mails/{number}/raw", get(raw))
        .route("/mails.json", get(json))
        .route("/live", get(live))
        .route("/style.css", get(|| async { ([(header::CONTENT_TYPE, "text/css")], include_str!("style.css")) }))
        .route("/live.js", get(|| async { ([(header::CONTENT_TYPE, "text/javascript")], include_str!("live.js")) }))
        .with_state(pages)
        .merge(host)
        .layer(from_fn(guard))
}

/// Answers only what comes from here, so that no page from elsewhere can read
/// mails by renaming itself, or do something to the host; and tells browsers
/// what may happen here.
async fn guard(request: Request, next: Next) -> Response {
    if let Err(why) = notice::same_site::judge(request.method(), request.headers()) {
        return (StatusCode::FORBIDDEN, format!("{why}\n")).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(OWN);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: browsers would then not say where a form comes from.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn list(State(pages): State<Pages>) -> Html<String> {
    let all = pages.mailbox.mails();
    let mails: Vec<_> = all.iter().rev().take(SHOWN).map(|mail| shown(Letter::of(mail))).collect();
    Html(render("list.html", context! { mails, count => all.len(), has_host => pages.has_host }))
}

async fn mail(State(pages): State<Pages>, Path(number): Path<u64>) -> Response {
    let Some(mail) = pages.mailbox.mail(number) else { return gone() };
    Html(render("mail.html", context! { mail => shown(Letter::of(&mail)) })).into_response()
}

async fn html(State(pages): State<Pages>, Path(number): Path<u64>) -> Response {
    let Some(html) = pages.mailbox.mail(number).and_then(|mail| Letter::of(&mail).html) else { return gone() };
    ([(header::CONTENT_SECURITY_POLICY, STRANGERS)], Html(html)).into_response()
}

async fn raw(State(pages): State<Pages>, Path(number): Path<u64>) -> Response {
    let Some(mail) = pages.mailbox.mail(number) else { return gone() };
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], mail.raw.clone()).into_response()
}

async fn json(State(pages): State<Pages>) -> Json<Vec<Letter>> {
    Json(pages.mailbox.mails().iter().map(|mail| Letter::of(mail)).collect())
}

/// Says how many mails have arrived, now and whenever that changes.
async fn live(State(pages): State<Pages>) -> Response {
    let Ok(seat) = pages.seats.try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    let mut arrivals = pages.mailbox.arrivals();
    arrivals.mark_changed();
    let events = futures_util::stream::unfold((arrivals, pages.stop, seat), |(mut arrivals, stop, seat)| async move {
        tokio::select! {
            () = stop.cancelled() => None,
            changed = arrivals.changed() => {
                changed.ok()?;
                let count = arrivals.borrow_and_update().to_string();
                Some((Ok::<_, Infallible>(Event::default().data(count)), (arrivals, stop, seat)))
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

fn gone() -> Response {
    (StatusCode::NOT_FOUND, "there is no such mail, or it made room for newer ones\n").into_response()
}

fn shown(letter: Letter) -> minijinja::Value {
    let time = job::Timestamp(letter.arrived);
    let preview = letter.text.as_deref().unwrap_or_default().split_whitespace().take(24).collect::<Vec<_>>().join(" ");
    context! {
        number => letter.number,
        at => letter.arrived / 1_000,
        time => time.to_string(),
        from => letter.from,
        to => letter.to,
        envelope => letter.envelope_to.join(", "),
        release => letter.release,
        version => letter.version,
        colour => letter.version.map(colour),
        subject => letter.subject,
        message_id => letter.message_id,
        text => letter.text,
        html => letter.html.is_some(),
        preview,
    }
}

/// The class that shows a version in its colour.
pub(crate) fn colour(version: u32) -> String {
    format!("v{}", version as usize % COLOURS.len())
}

fn render(name: &str, what: minijinja::Value) -> String {
    let page = PAGES.get_template(name).expect("the page is part of the program");
    page.render(what).unwrap_or_else(|error| format!("this page cannot be shown: {error}"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::demo::mailbox::{Envelope, Open};

    const EVIL: &[u8] = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: <script>alert(1)</script>\r\n\
        Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\
        <img src=x onerror=alert(2)>\r\n--b\r\nContent-Type: text/html\r\n\r\n<script>alert(3)</script>\r\n--b--\r\n";

    async fn open() -> (tempfile::TempDir, Open, String) {
        let folder = tempfile::tempdir().unwrap();
        let mailbox = Mailbox::in_folder(folder.path()).unwrap();
        let envelope = Envelope { from: "a@example.org".into(), to: vec!["b@example.org".into()] };
        mailbox.take(envelope, EVIL.to_vec()).unwrap();
        let smtp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pages = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = pages.local_addr().unwrap().to_string();
        (folder, mailbox.open(smtp, pages, None), address)
    }

    async fn get(address: &str, host: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn what_a_mail_brings_is_text_and_its_html_may_do_nothing() {
        let (_folder, open, address) = open().await;
        for path in ["/", "/mails/1"] {
            let page = get(&address, &address, path).await;
            assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
            assert!(!page.contains("<script>alert"), "{page}");
            assert!(!page.contains("<img"), "{page}");
        }
        let html = get(&address, &address, "/mails/1/html").await;
        assert!(html.contains("<script>alert(3)"), "as it came: {html}");
        assert!(html.contains("content-security-policy: sandbox; default-src 'none'"), "{html}");
        assert!(!html.contains("allow-scripts"), "{html}");
        open.close().await;
    }

    #[tokio::test]
    async fn a_script_and_the_check_read_the_same_as_a_person() {
        let (_folder, open, address) = open().await;
        let json = get(&address, &address, "/mails.json").await;
        let letters: Vec<Letter> = serde_json::from_str(json.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(letters[0].subject, "<script>alert(1)</script>");
        assert_eq!(letters[0].envelope_to, ["b@example.org"]);
        let raw = get(&address, &address, "/mails/1/raw").await;
        assert!(raw.as_bytes().ends_with(EVIL), "{raw}");
        assert!(get(&address, &address, "/mails/2").await.starts_with("HTTP/1.1 404"));
        open.close().await;
    }

    #[tokio::test]
    async fn a_page_from_elsewhere_cannot_read_mails_by_another_name() {
        let (_folder, open, address) = open().await;
        let answer = get(&address, "evil.example", "/mails.json").await;
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("subject"), "{answer}");
        open.close().await;
    }
}
