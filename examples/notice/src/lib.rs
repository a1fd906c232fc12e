//! A page of requests with a switch each. Turned on, a switch has a mail sent
//! after a while; turned off in time, none is sent.
//!
//! It shows how an application uses aloud:
//!
//! - A switch and the job it asks for are one commit ([`book`]), so neither is
//!   ever there without the other.
//! - The mail is sent by a worker ([`worker`]), with the letter of the release
//!   that it was started in ([`letter`]). aloud starts the workers, and moves
//!   them when another release is deployed: `aloud.toml` beside this example
//!   says how.
//! - Just before a mail goes out, aloud asks again ([`web`], `/guard/notice`).
//! - What became of each job is asked of aloud and shown ([`follow`]).

pub mod book;
pub mod clock;
pub mod fate;
mod follow;
pub mod letter;
pub mod page;
pub mod program;
pub mod same_site;
pub mod signature;
mod web;
pub mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aloud_client::outbox::{self, Relay};
use aloud_client::{Aloud, CancellationToken};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use book::{Book, Terms};
use follow::{Bell, Follower};
use signature::Secret;
use web::App;

/// How long a mail waits if nothing else is said.
pub const DELAY: Duration = Duration::from_secs(30 * 60);

/// What aloud needs to know of the application: its `aloud.toml`, by which the
/// workers expect the mail server at 127.0.0.1, port 2525.
pub const ALOUD_TOML: &str = include_str!("../aloud.toml");

/// What the application is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder in which it keeps `notice.db`.
    pub data: PathBuf,
    /// Where aloud is, and how to be let in.
    pub aloud: aloud_client::Settings,
    /// The file with the secret that aloud signs with.
    pub secret_file: PathBuf,
    /// How long a mail waits.
    pub delay: Duration,
    /// Where the mails can be read, for a link on the page.
    pub mailbox: Option<String>,
    /// Offers to turn a switch off behind the queue's back.
    pub tamper: bool,
    /// Whether to hand over to aloud what the switches ask for. Without that
    /// it is kept until the application is started with it.
    pub relay: bool,
}

/// Why the application does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its file cannot be used.
    #[error("cannot use the file `notice.db`: {0}")]
    File(#[from] book::Error),
    /// It cannot talk to aloud, or keep what is meant for it.
    #[error(transparent)]
    Aloud(#[from] aloud_client::Error),
    /// It cannot listen.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// The application while it runs.
pub struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    relay: Arc<Option<Relay>>,
}

/// Starts the application on a listener.
pub async fn start(listener: TcpListener, settings: Settings) -> Result<Running, Error> {
    let address = listener.local_addr()?;
    std::fs::create_dir_all(&settings.data)?;
    let path = settings.data.join("notice.db");
    let book = Arc::new(Book::open(&path)?);
    let api = aloud_client::Api::new(settings.aloud)?;
    let bell = Bell::new();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();

    let relay = match settings.relay {
        true => Some(Relay::start(outbox::Sqlite::open(&path)?, Aloud::over(api.clone()))),
        false => None,
    };
    let relay = Arc::new(relay);
    tasks.spawn(Follower { book: book.clone(), api, bell: bell.clone() }.run(stop.clone()));

    let app = App {
        book,
        terms: Arc::new(Terms { delay: settings.delay, guard: format!("http://{address}/guard/notice") }),
        frame: Arc::new(page::Frame { delay: settings.delay, mailbox: settings.mailbox, tamper: settings.tamper }),
        secret: Secret::in_file(settings.secret_file),
        bell,
        relay: relay.clone(),
        stop: stop.clone(),
        seats: Arc::new(Semaphore::new(web::MAX_OPEN)),
    };
    let stopped = stop.clone().cancelled_owned();
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, web::router(app)).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "the page is not served any more");
        }
    });
    Ok(Running { address, stop, tasks, relay })
}

impl Running {
    /// Where the page is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends everything, and returns when it has ended.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of the application did not end well");
            }
        }
        if let Some(relay) = self.relay.as_ref() {
            relay.stop().await;
        }
    }
}
