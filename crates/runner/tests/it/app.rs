//! The application, right and wrong.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request};
use axum::response::{IntoResponse, Response};
use runner::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request that the application saw.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A web application on a free port of this machine.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl App {
    /// One that answers each request as told.
    pub(crate) async fn answering<R: IntoResponse>(answer: impl Fn(&Seen) -> R + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let answer = Arc::new(answer);
        let service = Router::new().fallback(move |request: Request<Body>| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move { see(request, &log, &*answer).await }
        });
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, seen }
    }

    /// One that answers each request right: with the header `Aloud-Job`.
    pub(crate) async fn right(status: u16, text: &'static str) -> Self {
        Self::answering(move |seen| answer(status, &[("aloud-job", seen.header("aloud-job"))], text)).await
    }

    /// Something on a port that does with a connection whatever it likes, once
    /// it has read some of what it was sent.
    pub(crate) async fn raw(bytes: &'static [u8], then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, bytes, then));
            }
        });
        Self { address, seen: Arc::default() }
    }

    /// A port that nobody listens on.
    pub(crate) async fn absent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), seen: Arc::default() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn at(&self, path: &str) -> Address {
        self.url(path).parse().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// What follows when everything was written.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// The connection is closed.
    Close,
    /// Nothing, for ever.
    Hang,
    /// The same bytes again, for ever.
    Repeat,
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], text: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(text.into()).unwrap()
}

async fn see<R: IntoResponse>(
    request: Request<Body>,
    log: &Mutex<Vec<Seen>>,
    answer: &(dyn Fn(&Seen) -> R + Send + Sync),
) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    let seen = Seen { method: head.method, path: head.uri.to_string(), headers: head.headers, body };
    log.lock().unwrap().push(seen.clone());
    answer(&seen).into_response()
}

async fn talk(mut stream: TcpStream, bytes: &[u8], then: Then) {
    let mut some = [0; 4_096];
    let Ok(1..) = stream.read(&mut some).await else { return };
    loop {
        if stream.write_all(bytes).await.is_err() {
            return;
        }
        match then {
            Then::Close => return,
            Then::Hang => std::future::pending::<()>().await,
            Then::Repeat => {}
        }
    }
}
