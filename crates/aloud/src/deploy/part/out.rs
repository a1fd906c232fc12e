//! What a host says to the one who deploys.
//!
//! Nobody waits for it to be heard: a connection that takes nothing any more
//! must not hold a deploy up.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::deploy::words::{self, Said};

/// How much may wait to be heard; what comes beyond that is lost.
const WAITING: usize = 10_000;
/// So often it is said that this host is still there.
const ALIVE: Duration = Duration::from_secs(10);
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Says what it is given, in its own time.
#[derive(Clone)]
pub(super) struct Out(SyncSender<Item>);

enum Item {
    Said(Box<Said>),
    /// That was all: somebody waits to hear that it was said.
    End(SyncSender<()>),
}

impl Out {
    pub(super) fn start() -> Self {
        let (items, given) = sync_channel(WAITING);
        std::thread::spawn(move || speak(&given));
        Self(items)
    }

    pub(super) fn say(&self, said: &Said) {
        // If nobody listens any more, the deploy goes on all the same.
        drop(self.0.try_send(Item::Said(Box::new(said.clone()))));
    }

    /// Waits a moment until all of it was said.
    pub(super) fn end(self) {
        let (done, ended) = sync_channel(1);
        if self.0.try_send(Item::End(done)).is_ok() {
            ended.recv_timeout(LAST_WORDS).ok();
        }
    }
}

fn speak(given: &Receiver<Item>) {
    let mut stdout = io::stdout();
    let mut heard = words::greet(&mut stdout);
    loop {
        let said = match given.recv_timeout(ALIVE) {
            Ok(Item::Said(said)) => *said,
            Ok(Item::End(done)) => {
                drop(stdout.flush());
                done.try_send(()).ok();
                return;
            }
            Err(RecvTimeoutError::Timeout) => Said::Alive,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if heard.is_ok() {
            heard = words::write(&mut stdout, &said);
        }
    }
}
