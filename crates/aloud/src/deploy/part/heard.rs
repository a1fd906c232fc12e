//! What a host has heard from the one who deploys, and what it takes from that.

use std::fs::File;
use std::io::BufReader;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use release::Go;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};

use crate::deploy::words::{self, Word};

/// Somebody who is not heard of for this long is lost.
const SILENCE: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_secs(1);

/// Hears, and lets others wait for what it hears.
pub(super) struct Heard {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether what is being built is to be ended.
    cancelled: AtomicBool,
}

struct State {
    /// Whether what must run once may.
    once: bool,
    /// Whether it switches. Once decided, it stays.
    go: Option<Go>,
    /// What it does when it was seen to work.
    last: Option<Last>,
    look: bool,
    /// Nobody is there any more.
    lost: bool,
    heard: Instant,
}

/// What is to be done with a release that works here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Last {
    Commit,
    Back(String),
}

impl Heard {
    /// Listens from now on.
    pub(super) fn listen(mut from: BufReader<File>, runtime: &Runtime) -> Arc<Self> {
        let heard = Arc::new(Self::new());
        let listener = heard.clone();
        std::thread::spawn(move || {
            while let Ok(Some(word)) = words::read(&mut from) {
                listener.hear(word);
            }
            listener.lose();
        });
        let watch = heard.clone();
        runtime.spawn(async move {
            loop {
                sleep(BETWEEN).await;
                if watch.state().heard.elapsed() > SILENCE {
                    return watch.lose();
                }
            }
        });
        heard
    }

    fn new() -> Self {
        let state = State { once: false, go: None, last: None, look: false, lost: false, heard: Instant::now() };
        Self { state: Mutex::new(state), changed: Condvar::new(), cancelled: AtomicBool::new(false) }
    }

    /// Whether what is being built is to be ended.
    pub(super) const fn cancelled(&self) -> &AtomicBool {
        &self.cancelled
    }

    /// Waits until what must run once may run.
    pub(super) fn once(&self) -> Result<(), String> {
        self.wait(|state| match &state.go {
            Some(Go::Abort(why)) => Some(Err(why.clone())),
            Some(Go::Switch) | None => state.once.then_some(Ok(())),
        })
    }

    /// Waits until it is decided whether to switch.
    pub(super) fn go(&self) -> Go {
        self.wait(|state| state.go.clone())
    }

    /// Waits for the last word. Who is lost has said to stay.
    pub(super) fn last(&self) -> Last {
        self.wait(|state| state.last.clone().or(state.lost.then_some(Last::Commit)))
    }

    /// Waits until it is over everywhere.
    pub(super) fn look(&self) {
        self.wait(|state| (state.look || state.lost).then_some(()));
    }

    /// Gives it up, if it is not too late.
    pub(super) fn give_up(&self, why: String) {
        let mut state = self.state();
        if state.go.is_none() {
            state.go = Some(Go::Abort(why));
            self.cancelled.store(true, Ordering::SeqCst);
        }
        drop(state);
        self.changed.notify_all();
    }

    fn lose(&self) {
        self.state().lost = true;
        self.give_up("the connection to the one who deploys was lost".to_owned());
    }

    fn hear(&self, word: Word) {
        let mut state = self.state();
        state.heard = Instant::now();
        match word {
            Word::Once => state.once = true,
            Word::Switch => {
                state.go.get_or_insert(Go::Switch);
            }
            Word::Abort { why } => {
                drop(state);
                return self.give_up(why);
            }
            Word::Commit => {
                state.last.get_or_insert(Last::Commit);
            }
            Word::Back { why } => {
                state.last.get_or_insert(Last::Back(why));
            }
            Word::Look => state.look = true,
            Word::Alive | Word::Chunk { .. } => {}
        }
        drop(state);
        self.changed.notify_all();
    }

    fn wait<T>(&self, for_what: impl Fn(&State) -> Option<T>) -> T {
        let mut state = self.state();
        loop {
            if let Some(answer) = for_what(&state) {
                return answer;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_gives_up_before_the_switch_and_means_to_stay_after_it() {
        let heard = Heard::new();
        heard.lose();
        assert!(matches!(heard.go(), Go::Abort(why) if why.contains("lost")));
        assert!(heard.once().is_err() && heard.cancelled().load(Ordering::SeqCst));
        heard.hear(Word::Switch);
        assert!(matches!(heard.go(), Go::Abort(_)), "it is too late");

        let heard = Heard::new();
        heard.hear(Word::Once);
        assert_eq!(heard.once(), Ok(()));
        heard.hear(Word::Switch);
        heard.lose();
        assert_eq!((heard.go(), heard.last()), (Go::Switch, Last::Commit));
        assert!(!heard.cancelled().load(Ordering::SeqCst));
        heard.hear(Word::Back { why: "web2".into() });
        assert_eq!(heard.last(), Last::Back("web2".into()));
    }
}
