//! One signed request to the application, and its answer, read within bounds.

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::StreamExt;
use job::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode};

use super::Address;
use crate::secret::Secret;
use crate::task::Task;

/// What is sent.
pub(crate) struct Request<'a> {
    pub(crate) address: &'a Address,
    pub(crate) secret: &'a Secret,
    pub(crate) task: &'a Task,
    pub(crate) now: Timestamp,
    pub(crate) body: Vec<u8>,
    /// Whether it does the job, so that a second one with its id must not do it
    /// again.
    pub(crate) idempotent: bool,
}

/// What was answered, whole.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// That there was no answer, or none that could be read.
pub(crate) struct Broken {
    pub(crate) class: String,
    pub(crate) message: String,
}

/// The longest answer that is read, in bytes.
pub(crate) const MAX_REPLY_BYTES: usize = 64 << 10;
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an idle connection is used again. Many servers close theirs after
/// five seconds, and a request that crosses that is lost.
const IDLE_FOR: Duration = Duration::from_secs(2);

/// Sends the request and reads the whole answer. The caller bounds the time.
pub(crate) async fn post(request: Request<'_>) -> Result<Reply, Broken> {
    let Request { address, .. } = request;
    let client = client().map_err(|why| Broken { class: "http.client".to_owned(), message: why.to_owned() })?;
    let sent = client.post(address.url().clone()).headers(headers(&request)).body(request.body).send().await;
    let reply = sent.map_err(|error| broken(address, error))?;
    let (status, headers) = (reply.status(), reply.headers().clone());
    let too_large = || Broken {
        class: "http.too_large".to_owned(),
        message: format!(
            "{address} answered {status} with more than {MAX_REPLY_BYTES} bytes; whether the job was done there is \
             unknown: answer with less"
        ),
    };
    if reply.content_length().is_some_and(|bytes| bytes > MAX_REPLY_BYTES as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    let mut pieces = reply.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Broken {
            class: "http.broken".to_owned(),
            message: format!("the answer {status} of {address} broke off after {} bytes: {}", body.len(), root(&error)),
        })?;
        if body.len() + piece.len() > MAX_REPLY_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
    }
    Ok(Reply { status, headers, body })
}

fn headers(request: &Request<'_>) -> HeaderMap {
    let Request { secret, task, now, body, idempotent, .. } = request;
    let id = header_text(&task.id.to_string());
    let timestamp = (now.0 / 1_000_000).to_string();
    let signature = secret.sign(&timestamp, &id, body);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut set = |name: &'static str, text: &str| {
        let value = HeaderValue::from_str(text).expect("`header_text` leaves only visible ASCII");
        headers.insert(HeaderName::from_static(name), value);
    };
    set("aloud-kind", &header_text(task.kind.as_str()));
    set("aloud-queue", &header_text(task.queue.as_str()));
    set("aloud-attempt", &task.attempt.to_string());
    if let Some(key) = &task.key {
        set("aloud-key", &header_text(key.as_str()));
    }
    set("aloud-timestamp", &timestamp);
    set("aloud-signature", &format!("v1={signature}"));
    if *idempotent {
        set("idempotency-key", &id);
    }
    set("aloud-job", &id);
    headers
}

/// Text as it stands in a header: visible ASCII as it is, everything else and
/// `%` as `%` and two hexadecimal digits for each byte.
pub(crate) fn header_text(text: &str) -> String {
    let mut header = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => header.push_str("%25"),
            b'!'..=b'~' => header.push(char::from(byte)),
            _ => header.push_str(&format!("%{byte:02X}")),
        }
    }
    header
}

fn broken(address: &Address, error: reqwest::Error) -> Broken {
    let error = error.without_url();
    let root = root(&error);
    let (class, message) = if error.is_connect() && error.is_timeout() {
        ("http.unreachable", format!("cannot reach {address}: no connection within {CONNECT_WITHIN:?}"))
    } else if error.is_connect() && crate::tls::is_behind(&error) {
        ("http.tls", format!("{address} is not trusted: {root}"))
    } else if error.is_connect() {
        ("http.unreachable", format!("cannot reach {address}: {root}"))
    } else {
        ("http.broken", format!("{address} did not answer in HTTP: {root}; whether the job was done there is unknown"))
    };
    Broken { class: class.to_owned(), message }
}

/// The last cause, which says most.
fn root(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// The one client of this process: it holds the certificates that are trusted,
/// and the idle connections.
fn client() -> Result<&'static Client, &'static str> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    CLIENT.get_or_init(build).as_ref().map_err(String::as_str)
}

fn build() -> Result<Client, String> {
    crate::tls::install();
    let plain = || {
        Client::builder()
            .user_agent(concat!("aloud/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_WITHIN)
            .pool_idle_timeout(IDLE_FOR)
    };
    plain().build().or_else(|error| {
        // A machine without any certificate still has http, and what it calls
        // over https is then not trusted.
        tracing::warn!(error = %root(&error), "no certificates are trusted; install `ca-certificates` to use https");
        plain().tls_certs_only([]).build().map_err(|error| format!("no HTTP client could be made: {}", root(&error)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_holds_any_text_and_only_visible_characters() {
        assert_eq!(header_text("notice:42"), "notice:42");
        assert_eq!(header_text("für Ute"), "f%C3%BCr%20Ute");
        assert_eq!(header_text("100%"), "100%25");
        assert_eq!(header_text("a\r\nSet-Cookie: x"), "a%0D%0ASet-Cookie:%20x");
    }
}
