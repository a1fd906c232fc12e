//! How a store says that there may be something to claim.
//!
//! Rung after a commit, by the store and not by the caller, so that a job whose
//! pusher has gone away meanwhile is heard of like any other. Rings that nobody
//! has heard yet add up to one.

use std::collections::HashSet;
use std::mem;
use std::sync::{Mutex, PoisonError};

use job::QueueName;
use tokio::sync::Notify;

/// What was rung since it was last heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rung {
    /// Queues in which a job became claimable, or may be asked about.
    pub queues: HashSet<QueueName>,
    /// Whether something may now be due earlier than [`crate::Jobs::advance`]
    /// last said.
    pub timers: bool,
}

/// A bell: rung by a store, heard by the one loop that serves those who wait.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<Rung>,
    notify: Notify,
}

impl Bell {
    /// Rings for these queues, and for the timers if `timers`.
    pub fn ring<'a>(&self, queues: impl IntoIterator<Item = &'a QueueName>, timers: bool) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        for queue in queues {
            if !rung.queues.contains(queue) {
                rung.queues.insert(queue.clone());
            }
        }
        rung.timers |= timers;
        let silent = rung.queues.is_empty() && !rung.timers;
        drop(rung);
        if !silent {
            self.notify.notify_one();
        }
    }

    /// Waits until something was rung, and takes it.
    pub async fn heard(&self) -> Rung {
        loop {
            let rung = mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner));
            if rung != Rung::default() {
                return rung;
            }
            self.notify.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rings_add_up_until_they_are_heard() {
        let bell = Bell::default();
        let (mail, maps): (QueueName, QueueName) = ("mail".parse().unwrap(), "maps".parse().unwrap());
        bell.ring([&mail, &maps], false);
        bell.ring([&mail], true);
        assert_eq!(bell.heard().await, Rung { queues: [mail, maps].into(), timers: true });
        bell.ring([], false);
        let silence = tokio::time::timeout(std::time::Duration::from_millis(1), bell.heard()).await;
        assert!(silence.is_err());
    }
}
