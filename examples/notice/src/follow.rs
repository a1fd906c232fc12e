//! Asks aloud what became of each notice, and rings when there is news.
//!
//! While nothing is under way it asks nothing. An application that needs to
//! hear of many jobs would be told by a handler instead; for a page with a
//! handful of rows, asking is simpler, and it shows when aloud is silent.

use std::sync::Arc;
use std::time::Duration;

use aloud_client::{Api, CancellationToken};
use tokio::sync::{Notify, watch};

use crate::book::{self, Book, Notice};
use crate::clock::Millis;
use crate::fate::{Fate, Known};

/// How often to ask when a mail is about to go out.
const SOON: Duration = Duration::from_millis(250);
/// How often to ask otherwise.
const LATER: Duration = Duration::from_secs(2);
/// How many notices are asked for in one round, at most.
const AT_ONCE: usize = 100;
/// How long aloud may be silent before the page says so, in milliseconds.
const PATIENCE: i64 = 1_000;

/// Rings when the page is not as it was.
#[derive(Debug, Clone)]
pub(crate) struct Bell {
    rings: watch::Sender<Link>,
    turned: Arc<Notify>,
}

/// Whether aloud answers.
#[derive(Debug, Clone, Copy, Default)]
struct Link {
    silent_since: Option<Millis>,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self { rings: watch::Sender::new(Link::default()), turned: Arc::new(Notify::new()) }
    }

    /// A switch was turned: there is something to show, and to follow.
    pub(crate) fn turned(&self) {
        self.ring();
        self.turned.notify_one();
    }

    /// Hears every ring from now on; several may be heard as one.
    pub(crate) fn listen(&self) -> watch::Receiver<impl Sized + use<>> {
        self.rings.subscribe()
    }

    /// Since when aloud does not answer, if that is long enough to be said.
    pub(crate) fn silent_since(&self) -> Option<Millis> {
        self.silent().filter(|since| Millis::now().0 - since.0 >= PATIENCE)
    }

    fn silent(&self) -> Option<Millis> {
        self.rings.borrow().silent_since
    }

    fn ring(&self) {
        self.rings.send_modify(|_| {});
    }

    /// Remembers whether aloud answers. While it does not, this rings each
    /// time, so that an open page says so when it is long enough.
    fn hear(&self, answered: bool) {
        self.rings.send_if_modified(|link| match (answered, link.silent_since) {
            (true, None) => false,
            (true, Some(_)) => {
                link.silent_since = None;
                true
            }
            (false, since) => {
                link.silent_since = since.or(Some(Millis::now()));
                true
            }
        });
    }
}

/// Follows every notice until it has come to an end.
pub(crate) struct Follower {
    pub(crate) book: Arc<Book>,
    pub(crate) api: Api,
    pub(crate) bell: Bell,
}

impl Follower {
    /// Follows until it is stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while let Some(pause) = stop.run_until_cancelled(self.round()).await {
            let pause = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.bell.turned.notified() => {}
                () = pause => {}
            }
        }
    }

    /// Asks once for everything that is open, and says when to ask again; if
    /// nothing is open, not before a switch is turned.
    async fn round(&self) -> Option<Duration> {
        let book = self.book.clone();
        let open = match blocking(move || book.open_notices()).await {
            Ok(open) => open,
            Err(error) => {
                tracing::error!(%error, "cannot read which notices are under way");
                return Some(LATER);
            }
        };
        if open.is_empty() {
            self.bell.hear(true);
            return None;
        }
        for notice in open.iter().take(AT_ONCE) {
            match self.ask(notice).await {
                Ok(()) => self.bell.hear(true),
                Err(error) => {
                    if self.bell.silent().is_none() {
                        tracing::warn!(%error, "aloud does not say what became of the notices; it is asked again");
                    }
                    self.bell.hear(false);
                    break;
                }
            }
        }
        Some(pause(&open, Millis::now()))
    }

    async fn ask(&self, notice: &Notice) -> Result<(), book::Error> {
        let (book, job) = (self.book.clone(), notice.job.clone());
        // Looked up before aloud is asked: what leaves the outbox in between is known there.
        let kept_here = blocking(move || book.kept_here(&job)).await.map_err(book::Error::from)?;
        let known = match self.api.job(&notice.job).await {
            Ok(job) => Known::of(&job),
            Err(error) if error.status() == Some(404) => kept_here.unwrap_or_else(Known::unknown),
            Err(error) => return Err(error.into()),
        };
        let (book, job) = (self.book.clone(), notice.job.clone());
        if blocking(move || book.learn(&job, &known)).await.map_err(book::Error::from)? {
            self.bell.ring();
        }
        Ok(())
    }
}

/// How long to wait before asking again.
fn pause(open: &[Notice], now: Millis) -> Duration {
    let soon = open.iter().any(|notice| match notice.fate {
        Fate::Noted | Fate::Sending => true,
        Fate::Waiting | Fate::Retrying => notice.due <= now.after(LATER),
        Fate::GivenUp | Fate::Unknown => false,
        Fate::Sent | Fate::CalledOff | Fate::Skipped | Fate::Replaced | Fate::Expired | Fate::Deleted => false,
    });
    if soon { SOON } else { LATER }
}

/// Runs what waits for the disk where that holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(f).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
