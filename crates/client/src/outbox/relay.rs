//! What sends the intents, in their order, for as long as it takes.
//!
//! It never skips an intent that may still be accepted, never sends a later one
//! first, and never gives up on a server that is away. An intent that aloud
//! refuses for good is set aside with the reason, so that it holds up no other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use job::{Key, QueueName, Span};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::v1::PushJob;

use super::{Act, Intent, Queued};
use crate::pace::Pace;
use crate::{Aloud, CalledOff, Error};

/// How many intents are read at once.
const BATCH: usize = 100;
/// How many bytes of bodies are sent in one request, unless one alone has more.
const BATCH_BYTES: usize = 256 << 10;
/// How often the table is looked at when nobody says that it has changed.
const POLL: Duration = Duration::from_secs(1);

/// How long a request that is under way may still be answered when the relay is
/// to stop.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where a relay reads the intents: the verbs that a database must offer.
///
/// `outbox::Sqlite` is one; `sql/postgres.sql` and `sql/mysql.sql` hold the
/// statements for others. Each verb is one transaction. An error is tried again
/// later: every verb may be repeated.
pub trait Intents: Send + 'static {
    /// Takes, or keeps, the right to be the only relay of this table; `false`
    /// if another relay has it. The right ends with the process that has it,
    /// and with nothing less: two relays could send a cancel after a later
    /// push.
    fn acquire(&mut self) -> BoxFuture<'_, Result<bool, Error>>;

    /// The intents with the smallest numbers, in the order of their numbers.
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Queued>, Error>>;

    /// Deletes intents that were answered. One that is not there is no error.
    fn settle(&mut self, seqs: Vec<i64>) -> BoxFuture<'_, Result<(), Error>>;

    /// Moves an intent that was refused for good out of the way, with the
    /// reason. One that is not there is no error.
    fn set_aside(&mut self, seq: i64, why: String) -> BoxFuture<'_, Result<(), Error>>;

    /// How many intents there are.
    fn counts(&mut self) -> BoxFuture<'_, Result<Counts, Error>>;
}

/// How many intents there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Not sent yet.
    pub waiting: u64,
    /// Refused for good.
    pub set_aside: u64,
}

/// How a relay is, as far as it looked: at most a second ago while it is well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// How many intents there are.
    pub counts: Counts,
    /// How long ago the oldest intent that is not sent was written.
    pub oldest: Option<Span>,
    /// What keeps the relay from sending, if anything does.
    pub trouble: Option<String>,
    /// Another relay of this table is at work; this one waits for its end.
    pub standing_by: bool,
}

/// Sends intents until it is stopped. One that is dropped stops too.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    wake: Notify,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    counts: Counts,
    oldest: Option<Intent>,
    trouble: Option<String>,
    standing_by: bool,
}

impl Relay {
    /// Starts to send. It looks once a second, and at once after
    /// [`Relay::wake`]. Must be called inside a tokio runtime.
    pub fn start(intents: impl Intents, aloud: Aloud) -> Self {
        Self::start_polling(intents, aloud, POLL)
    }

    /// As [`Relay::start`], and looks every `poll` if nobody wakes it.
    pub fn start_polling(intents: impl Intents, aloud: Aloud, poll: Duration) -> Self {
        let (shared, stop) = (Arc::new(Shared::default()), CancellationToken::new());
        let sender = Sender { intents, aloud, shared: Arc::clone(&shared), stop: stop.clone() };
        let task = tokio::spawn(sender.work(poll));
        Self { shared, stop, task: Mutex::new(Some(task)) }
    }

    /// Says that there are new intents, after the commit that wrote them.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// How it is.
    pub fn health(&self) -> Health {
        let ended = self.task().as_ref().is_none_or(JoinHandle::is_finished);
        let seen = self.shared.seen();
        Health {
            counts: seen.counts,
            oldest: seen.oldest.as_ref().map(Intent::age),
            trouble: if ended { Some("the relay has ended".to_owned()) } else { seen.trouble.clone() },
            standing_by: seen.standing_by,
        }
    }

    /// Stops, and returns when it has: when the request that is under way was
    /// answered, or after 2 seconds. What is not sent stays in the table.
    pub async fn stop(&self) {
        self.stop.cancel();
        let task = self.task().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the relay of the outbox did not end well");
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What follows a look at the table.
#[derive(Clone, Copy)]
enum Next {
    /// Look again at once.
    Again,
    /// Look again when woken, or after a while.
    Rest,
}

struct Sender<I> {
    intents: I,
    aloud: Aloud,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl<I: Intents> Sender<I> {
    async fn work(mut self, poll: Duration) {
        let mut pace = Pace::new();
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            let too_late = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST_WORDS).await;
            };
            // Wherever this is cut off, what was sent and not deleted is sent
            // again, and is known to the server.
            let pass = tokio::select! {
                biased;
                pass = self.pass() => pass,
                () = too_late => return,
            };
            let next = match pass {
                Ok(next) => next,
                Err(error) => {
                    self.shared.seen().trouble = Some(error.to_string());
                    let wait = pace.failed(&error, "the outbox cannot be sent; it is kept, and tried again");
                    // No wake here: the server is not asked more often because
                    // the application is busy.
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                    continue;
                }
            };
            self.shared.seen().trouble = None;
            pace.worked("the outbox is sent again");
            if let Next::Rest = next {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.shared.wake.notified() => {}
                    () = tokio::time::sleep(poll) => {}
                }
            }
        }
    }

    async fn pass(&mut self) -> Result<Next, Error> {
        let ours = self.intents.acquire().await?;
        let queued = self.intents.next(BATCH).await?;
        let counts = self.intents.counts().await?;
        {
            let mut seen = self.shared.seen();
            seen.counts = counts;
            seen.oldest = queued.first().map(|first| Intent { body: None, ..first.intent.clone() });
            seen.standing_by = !ours;
        }
        if queued.is_empty() || !ours {
            return Ok(Next::Rest);
        }
        self.send(queued).await?;
        Ok(Next::Again)
    }

    /// Sends intents in their order: pushes that follow each other together,
    /// a cancel alone. Begins no request after it was told to stop.
    async fn send(&mut self, queued: Vec<Queued>) -> Result<(), Error> {
        let mut pushes = Batch::default();
        for Queued { seq, intent } in queued {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            let bytes = intent.body.as_ref().map_or(0, String::len);
            if pushes.bytes + bytes > BATCH_BYTES {
                self.push(std::mem::take(&mut pushes)).await?;
            }
            match intent.act(intent.age()) {
                Ok(Act::Push(job)) => pushes.add(seq, *job, bytes),
                Ok(Act::Cancel(queue, key)) => {
                    self.push(std::mem::take(&mut pushes)).await?;
                    self.cancel(seq, &queue, &key).await?;
                }
                Err(why) => {
                    self.push(std::mem::take(&mut pushes)).await?;
                    self.set_aside(seq, why).await?;
                }
            }
        }
        self.push(pushes).await
    }

    async fn push(&mut self, Batch { seqs, jobs, .. }: Batch) -> Result<(), Error> {
        if jobs.is_empty() {
            return Ok(());
        }
        match self.aloud.push_once(&jobs).await {
            Ok(answers) => {
                let mut settled = Vec::with_capacity(seqs.len());
                for (seq, answer) in seqs.into_iter().zip(answers) {
                    match answer.rejected {
                        None => settled.push(seq),
                        Some(why) => self.set_aside(seq, why).await?,
                    }
                }
                self.intents.settle(settled).await
            }
            Err(error) if error.is_for_good() && jobs.len() == 1 => self.set_aside(seqs[0], error.to_string()).await,
            // One of them holds up the others: each alone, in the same order.
            Err(error) if error.is_for_good() => {
                for (seq, job) in seqs.into_iter().zip(jobs) {
                    Box::pin(self.push(Batch { seqs: vec![seq], jobs: vec![job], bytes: 0 })).await?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn cancel(&mut self, seq: i64, queue: &QueueName, key: &Key) -> Result<(), Error> {
        match self.aloud.cancel_parsed(queue, key).await {
            Ok(became) => {
                if let CalledOff::TooLate { why } = became {
                    tracing::info!(%queue, %key, why, "a job could not be called off any more");
                }
                self.intents.settle(vec![seq]).await
            }
            Err(error) if error.is_for_good() => self.set_aside(seq, error.to_string()).await,
            Err(error) => Err(error),
        }
    }

    async fn set_aside(&mut self, seq: i64, why: String) -> Result<(), Error> {
        tracing::error!(
            seq,
            why,
            "an intent of the outbox was refused for good, and is set aside in `aloud_outbox_aside`"
        );
        self.intents.set_aside(seq, why).await
    }
}

/// Pushes that are sent together.
#[derive(Default)]
struct Batch {
    seqs: Vec<i64>,
    jobs: Vec<PushJob>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, seq: i64, job: PushJob, bytes: usize) {
        self.seqs.push(seq);
        self.jobs.push(job);
        self.bytes += bytes;
    }
}
