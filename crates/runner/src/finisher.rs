//! Tells the queue how runs ended, many at once where many ended at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::jobs::{End, Error, Jobs, Stale};

/// Where runs bring their ends.
#[derive(Clone)]
pub(crate) struct Finisher(mpsc::Sender<Ended>);

/// The other side of it.
pub(crate) struct Ends(mpsc::Receiver<Ended>);

struct Ended {
    end: End,
    told: oneshot::Sender<()>,
}

/// How many ends may wait, and the most that are told at once. Each belongs to
/// a place of a handler that stays taken, so that a queue that does not answer
/// also gets no more to do.
const BOUND: usize = 256;
/// How long an end is told again while the queue cannot take it: as long as a
/// lease, which is not renewed any more. After that the job comes back by it.
const GIVE_UP: Duration = Duration::from_secs(60);
/// How long to wait before it is told again.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

pub(crate) fn channel() -> (Finisher, Ends) {
    let (to, from) = mpsc::channel(BOUND);
    (Finisher(to), Ends(from))
}

impl Finisher {
    /// Returns once the queue knows, or nothing more can be done.
    pub(crate) async fn finish(&self, end: End) {
        let (told, heard) = oneshot::channel();
        if self.0.send(Ended { end, told }).await.is_ok() {
            // An error here means the same: there is nobody left to tell.
            heard.await.ok();
        }
    }
}

/// Tells the queue of every end, until there is nobody left to bring one.
pub(crate) async fn finish_all(jobs: Arc<dyn Jobs>, Ends(mut from): Ends) {
    let mut batch = Vec::new();
    while from.recv_many(&mut batch, BOUND).await > 0 {
        let (ends, told): (Vec<_>, Vec<_>) = batch.drain(..).map(|Ended { end, told }| (end, told)).unzip();
        finish(&*jobs, ends).await;
        for told in told {
            told.send(()).ok();
        }
    }
}

async fn finish(jobs: &dyn Jobs, ends: Vec<End>) {
    let until = Instant::now() + GIVE_UP;
    loop {
        match jobs.finish(ends.clone()).await {
            Ok(settled) => {
                for (end, settled) in ends.iter().zip(settled) {
                    if let Err(Stale(why)) = settled {
                        tracing::warn!(job = %end.id, why, "a run ended too late to count");
                    }
                }
                return;
            }
            Err(error @ Error::Closing) => return gave_up(&ends, &error),
            Err(error) if Instant::now() >= until => return gave_up(&ends, &error),
            // It may have happened. Telling it twice does no harm: the lease
            // is not the job's any more then.
            Err(Error::Busy(_) | Error::Cut(_)) => sleep(AGAIN_AFTER).await,
        }
    }
}

fn gave_up(ends: &[End], error: &Error) {
    for end in ends {
        tracing::warn!(job = %end.id, %error, "how a run ended could not be stored; the job comes back by its lease");
    }
}
