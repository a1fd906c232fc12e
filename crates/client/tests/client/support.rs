//! What the tests share: a job, patience, and a server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aloud_client::{Aloud, Api, JobKind, Settings, Token};
use job::time::SystemClock;
use job::{Clock, Rules};
use queue::{NoGuards, Queue};
use serde::{Deserialize, Serialize};
use store::memory::Memory;
use tokio::net::TcpListener;

/// The job of most tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SendNotice {
    pub(crate) notice: u64,
}

impl JobKind for SendNotice {
    const KIND: &'static str = "notice.send";
    const QUEUE: &'static str = "mail";
}

pub(crate) fn notice(notice: u64) -> SendNotice {
    SendNotice { notice }
}

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must come.
pub(crate) async fn within<T>(what: &str, come: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, come).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// Looks until it is so. For what announces itself nowhere.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// A server of the app `notice` in this process, over a store that stays when
/// the server ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    token: server::Token,
    token_dir: tempfile::TempDir,
    store: Arc<Memory>,
    running: Option<(server::Handle, Queue)>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let token_dir = tempfile::tempdir().unwrap();
        let token = server::Token::create(&token_dir.path().join("token")).unwrap();
        let clock = SystemClock::resume(None);
        let store = Arc::new(Memory::new("notice".parse().unwrap(), Rules::default(), &clock));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Self { address, token, token_dir, store, running: None };
        server.serve(listener);
        server
    }

    fn serve(&mut self, listener: TcpListener) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::resume(None));
        let store: Arc<Memory> = Arc::clone(&self.store);
        let queue = Queue::start(store, clock, Arc::new(NoGuards));
        let mut options = server::Options::new("notice".parse().unwrap(), self.token.clone(), "test");
        options.limits.stop_within = Duration::from_millis(100);
        self.running = Some((server::start(listener, queue.clone(), options), queue));
    }

    /// Ends the server; what it kept stays.
    pub(crate) async fn stop(&mut self) {
        let (handle, queue) = self.running.take().expect("the server runs");
        handle.stop().await;
        queue.stop().await;
    }

    /// Starts it again, at the same address, with what it kept.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.running.is_none(), "it runs");
        self.store = Arc::new(self.store.reopened(Rules::default()));
        let address = self.address;
        let listener = until("the address is free", async || TcpListener::bind(address).await.ok()).await;
        self.serve(listener);
    }

    /// A client of this server, through `address`.
    pub(crate) fn settings_through(&self, address: SocketAddr) -> Settings {
        let token = Token::from_file(self.token_dir.path().join("token")).unwrap();
        Settings::new(format!("http://{address}"), Some(token))
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings_through(self.address)
    }

    pub(crate) fn aloud(&self) -> Aloud {
        Aloud::with(self.settings()).unwrap()
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(self.settings()).unwrap()
    }

    /// The lease of a job that runs.
    pub(crate) async fn lease_of(&self, id: &str) -> String {
        let (_, queue) = self.running.as_ref().expect("the server runs");
        let job = queue.get(id.parse().unwrap()).await.unwrap().unwrap().job;
        let job::State::Running(run) = job.state else { panic!("it does not run: {job:?}") };
        run.lease.to_string()
    }

    /// How many jobs were accepted as new.
    pub(crate) async fn pushed(&self) -> u64 {
        let ledger = self.api().status().await.unwrap().ledger;
        assert!(ledger.adds_up, "{ledger:?}");
        ledger.pushed
    }
}
