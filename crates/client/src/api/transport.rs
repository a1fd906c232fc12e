//! One request, one answer.
//!
//! Follows no redirect, uses no proxy, and takes nothing for an answer that is
//! not one: whatever is not JSON of the expected shape, or a problem document,
//! is [`Error::Unknown`].

use std::sync::{Arc, Once};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::v1::Problem;

use crate::{Error, Settings};

/// The most bytes of an answer that are read. An answer to a lease holds at
/// most a payload of 1 MiB for each job that was asked for.
const MAX_ANSWER_BYTES: usize = 256 << 20;

#[derive(Debug, Clone)]
pub(super) struct Transport {
    shared: Arc<Shared>,
    /// What each request says besides.
    also: HeaderMap,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    base: Url,
    answer_within: Duration,
}

impl Transport {
    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        let base = base_url(&settings.url)?;
        install_tls();
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(settings.connect_within)
            .tcp_nodelay(true)
            .user_agent(concat!("aloud-client/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(&settings)?);
        if base.scheme() == "http" {
            // No certificates are looked for where none is needed.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|e| {
            Error::config(
                format!("cannot set up the connection to {base}: {}", chain(&e)),
                "see that this machine has its root certificates (Debian: `ca-certificates`)",
            )
        })?;
        let shared = Arc::new(Shared { client, base, answer_within: settings.answer_within });
        Ok(Self { shared, also: HeaderMap::new() })
    }

    /// The same connections, over which each request says these headers, too.
    pub(super) fn also_saying(self, also: HeaderMap) -> Self {
        Self { also, ..self }
    }

    pub(super) fn url(&self) -> &str {
        self.shared.base.as_str()
    }

    /// Sends a request without a body, with a query.
    pub(super) async fn get<A: DeserializeOwned>(&self, path: &[&str], query: &[(String, String)]) -> Result<A, Error> {
        let mut url = self.address(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.exchange(Method::GET, url, None, Duration::ZERO).await
    }

    /// Sends a request.
    pub(super) async fn send<B: Serialize + ?Sized, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&B>,
    ) -> Result<A, Error> {
        self.send_and_wait(method, path, body, Duration::ZERO).await
    }

    /// Sends a request that asks the server to wait before it answers.
    pub(super) async fn send_and_wait<B: Serialize + ?Sized, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&B>,
        wait: Duration,
    ) -> Result<A, Error> {
        let url = self.address(path)?;
        let body = body.map(serde_json::to_vec).transpose().map_err(|e| {
            Error::config(format!("the request cannot be written as JSON: {e}"), "push what serializes as JSON")
        })?;
        self.exchange(method, url, body, wait).await
    }

    async fn exchange<A: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<Vec<u8>>,
        wait: Duration,
    ) -> Result<A, Error> {
        let mut request = self.shared.client.request(method, url).timeout(self.shared.answer_within + wait);
        if !self.also.is_empty() {
            request = request.headers(self.also.clone());
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|e| self.no_answer(&e))?;
        let status = response.status();
        let problem = is_problem(&response);
        let bytes = self.read(response).await?;
        let unknown = |why: String| Error::Unknown { url: self.url().to_owned(), why };
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|e| unknown(format!("what came with status {status} is not aloud's answer: {e}")));
        }
        if !problem {
            return Err(unknown(format!("status {status} without a problem document: this is not aloud's answer")));
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(Error::Problem(Box::new(problem))),
            Err(e) => Err(unknown(format!("status {status} with a problem document that cannot be read: {e}"))),
        }
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.no_answer(&e))? {
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                let why = format!("the answer has more than {MAX_ANSWER_BYTES} bytes");
                return Err(Error::Unknown { url: self.url().to_owned(), why });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn no_answer(&self, error: &reqwest::Error) -> Error {
        let (url, why) = (self.url().to_owned(), chain(error));
        if error.is_connect() || error.is_builder() {
            Error::Unreachable { url, why }
        } else {
            Error::Unknown { url, why }
        }
    }

    fn address(&self, path: &[&str]) -> Result<Url, Error> {
        // `.` and `..` have a meaning of their own in an address, however they
        // are written there.
        if let Some(part) = path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            return Err(Error::config(
                format!("{part:?} cannot be part of an address"),
                "name the job, queue or key that you mean",
            ));
        }
        let mut url = self.shared.base.clone();
        url.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(path);
        Ok(url)
    }
}

/// TLS comes from ring, unless the application chose before.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("the application brought its own TLS provider");
        }
    });
}

fn base_url(text: &str) -> Result<Url, Error> {
    let hint = "give the server's address, such as `http://127.0.0.1:7420`";
    let url = Url::parse(text).map_err(|e| Error::config(format!("{text:?} is not an address: {e}"), hint))?;
    let plain = url.username().is_empty() && url.password().is_none();
    if !plain {
        // The address may hold a secret: it is not repeated.
        return Err(Error::config("the server's address holds a name or a password", hint));
    }
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(Error::config(format!("{text:?} is not the address of a server"), hint));
    }
    Ok(url)
}

fn headers(settings: &Settings) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(token) = &settings.token {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.as_str()))
            .expect("a token holds only visible ASCII characters");
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(app) = &settings.app {
        let value = HeaderValue::from_str(app.as_str()).expect("an app's name holds only visible ASCII characters");
        headers.insert(HeaderName::from_static("aloud-app"), value);
    }
    Ok(headers)
}

fn is_problem(response: &Response) -> bool {
    let type_ = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    type_.split(';').next().is_some_and(|type_| type_.trim().eq_ignore_ascii_case("application/problem+json"))
}

/// An error and its causes in one line, without the address, which every
/// message of ours names already.
fn chain(error: &dyn std::error::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_a_servers_is_refused_and_no_secret_repeated() {
        let refused = |url: &str| Transport::new(Settings::new(url, None)).unwrap_err().to_string();
        for url in ["", "127.0.0.1:7420", "ftp://127.0.0.1", "http://127.0.0.1/?a=b", "http://127.0.0.1/#a"] {
            assert!(refused(url).contains("address"), "{url}");
        }
        let secret = refused("http://ute:s3cret@127.0.0.1");
        assert!(secret.contains("a name or a password") && !secret.contains("s3cret"), "{secret}");
    }

    #[test]
    fn whatever_a_name_holds_is_one_part_of_the_address() {
        let at = |base: &str, part: &str| {
            let transport = Transport::new(Settings::new(base, None)).unwrap();
            transport.address(&["v1", "jobs", part]).map(|url| url.to_string()).map_err(|e| e.happened())
        };
        assert_eq!(at("http://h:1", "a/b?c#d%e ü"), Ok("http://h:1/v1/jobs/a%2Fb%3Fc%23d%25e%20%C3%BC".to_owned()));
        assert_eq!(at("http://h:1/aloud/", "a"), Ok("http://h:1/aloud/v1/jobs/a".to_owned()));
        assert_eq!(at("http://h:1", ".."), Err("\"..\" cannot be part of an address".to_owned()));
    }

    #[test]
    fn the_token_is_not_part_of_what_is_printed() {
        let token = crate::Token::new("s3cret").unwrap();
        let transport = Transport::new(Settings::new("http://h:1", Some(token))).unwrap();
        assert!(!format!("{transport:?}").contains("s3cret"));
    }
}
