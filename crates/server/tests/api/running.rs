//! A server for a test: its own store, its own clock, its own port.

use std::sync::Arc;

use job::time::ManualClock;
use job::{Clock, Rules, Span};
use queue::{NoGuards, Queue};
use server::{Handle, Options, Token};
use store::Store;
use store::memory::Memory;
use tokio::net::TcpListener;

use crate::client::{Client, Response};

/// A server of the app `notice`, at nine in the morning of 1 December 2026.
pub(crate) struct Running {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) queue: Queue,
    pub(crate) handle: Handle,
    pub(crate) client: Client,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}, |store| store).await
    }

    /// One with other options.
    pub(crate) async fn under(change: impl FnOnce(&mut Options)) -> Self {
        Self::with(change, |store| store).await
    }

    /// One over a store that is not as it should be.
    pub(crate) async fn over(wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Self {
        Self::with(|_| {}, wrap).await
    }

    pub(crate) async fn with(
        change: impl FnOnce(&mut Options),
        wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
    ) -> Self {
        let clock = Arc::new(ManualClock::at("2026-12-01T09:00:00Z".parse().unwrap()));
        let store = Arc::new(Memory::new("notice".parse().unwrap(), Rules::default(), &*clock));
        let queue = Queue::start(wrap(store), Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(NoGuards));
        let folder = tempfile::tempdir().unwrap();
        let token = Token::create(&folder.path().join("token")).unwrap();
        let mut options = Options::new("notice".parse().unwrap(), token.clone(), "0.0.0-test");
        change(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let handle = server::start(listener, queue.clone(), options);
        let client = Client::new(handle.address().unwrap(), token.reveal());
        Self { clock, queue, handle, client }
    }

    /// Time passes.
    pub(crate) fn advance(&self, seconds: u32) {
        self.clock.advance(Span::from_secs(seconds));
    }

    pub(crate) async fn push(&self, json: &str) -> Response {
        self.client.post("/v1/jobs", json).await
    }

    /// Takes one job from `default`, and answers its lease.
    pub(crate) async fn take(&self) -> String {
        let leased = self.client.post("/v1/lease", r#"{"queues":["default"],"worker":"w1","for":"1h"}"#).await;
        leased.at("/jobs/0/lease").as_str().expect("there should be a job to take").to_owned()
    }

    pub(crate) async fn stop(self) {
        self.handle.stop().await;
        self.queue.stop().await;
    }
}
