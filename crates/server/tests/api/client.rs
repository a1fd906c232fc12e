//! A small HTTP client that sends what it is told, right or wrong.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No answer of these tests takes longer, unless something is broken.
const AT_MOST: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

/// A request in the making.
pub(crate) struct Request<'a> {
    client: &'a Client,
    method: &'a str,
    path: &'a str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned() }
    }

    /// A request as a well-behaved client sends it, until it is changed.
    pub(crate) fn request<'a>(&'a self, method: &'a str, path: &'a str) -> Request<'a> {
        let headers = [
            ("Host", self.address.to_string()),
            ("Authorization", format!("Bearer {}", self.token)),
            ("Connection", "close".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Request { client: self, method, path, headers, body: Vec::new() }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request("GET", path).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.request("DELETE", path).send().await
    }

    /// Sends JSON; nothing at all if it is empty.
    pub(crate) async fn post(&self, path: &str, json: &str) -> Response {
        let request = self.request("POST", path);
        if json.is_empty() { request.send().await } else { request.json(json).send().await }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

impl Request<'_> {
    /// Sets a header; without a value it is not sent.
    pub(crate) fn header(mut self, name: &str, value: impl Into<Option<&'static str>>) -> Self {
        self.headers.retain(|(sent, _)| !sent.eq_ignore_ascii_case(name));
        self.headers.extend(value.into().map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    pub(crate) fn json(self, json: &str) -> Self {
        self.header("Content-Type", "application/json").body(json.as_bytes())
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.headers.push(("Content-Length".to_owned(), body.len().to_string()));
        self
    }

    /// The bytes that are sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }

    pub(crate) async fn send(self) -> Response {
        let mut stream = self.client.connect().await;
        stream.write_all(&self.bytes()).await.unwrap();
        last_answer(&mut stream).await
    }
}

/// Everything that comes until the connection is closed, as one answer.
pub(crate) async fn last_answer(stream: &mut TcpStream) -> Response {
    let mut bytes = Vec::new();
    let reading = tokio::time::timeout(AT_MOST, stream.read_to_end(&mut bytes));
    reading.await.expect("an answer in time, and the connection closed").unwrap();
    parse(&bytes)
}

/// One answer of several on a connection.
pub(crate) async fn next_answer(stream: &mut TcpStream) -> Response {
    let mut bytes = Vec::new();
    let reading = async {
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(stream.read_u8().await.unwrap());
        }
        let head = parse(&bytes);
        let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        Response { body: String::from_utf8(body).unwrap(), ..head }
    };
    tokio::time::timeout(AT_MOST, reading).await.expect("an answer in time")
}

fn parse(bytes: &[u8]) -> Response {
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned()));
    Response { status: status.expect("an answer has a status"), headers: headers.collect(), body: body.to_owned() }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(sent, _)| sent == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn value(&self) -> Value {
        let value = serde_json::from_str(&self.body);
        assert!(value.is_ok(), "not JSON: {}", self.body);
        value.unwrap()
    }

    /// What stands at a JSON pointer.
    pub(crate) fn at(&self, pointer: &str) -> Value {
        self.value().pointer(pointer).cloned().unwrap_or_default()
    }

    /// Status and body, when it is not a problem.
    pub(crate) fn said(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.body);
        format!("{} {}", self.status, self.body)
    }

    /// A problem document as a person reads it. That it is one is checked.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        let problem: wire::v1::Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        for part in [&problem.title, &problem.detail, &problem.hint] {
            assert!(!part.is_empty(), "a part is missing: {}", self.body);
        }
        let (status, word) = (self.status, problem.word());
        format!("{status} {word}\n{}\n  {}\nhint: {}", problem.title, problem.detail, problem.hint)
    }
}
