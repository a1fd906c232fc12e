//! The line in front of the writer: bounded, first come, first served.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::op::Op;
use crate::error::Error;

/// The most calls that wait.
pub(super) const MAX_CALLS: usize = 65_536;
/// The most bytes that waiting calls bring, roughly.
pub(super) const MAX_BYTES: usize = 128 << 20;

/// Calls that wait for the writer.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    calls: Vec<Op>,
    bytes: usize,
    /// Whether the writer sleeps until something comes.
    asleep: bool,
    /// Whether it is to wake up although nothing came.
    woken: bool,
    shut: Option<Error>,
}

impl Line {
    /// Puts a call at the end of the line, unless the line is full or shut.
    pub(super) fn push(&self, op: Op) {
        let weight = op.weight();
        let mut state = self.lock();
        let refusal = match &state.shut {
            Some(error) if !matches!(op, Op::Close { .. }) || *error == Error::Closed => Some(error.clone()),
            _ if state.calls.len() >= MAX_CALLS => Some(Error::Busy(format!("{MAX_CALLS} calls are waiting"))),
            _ if state.bytes.saturating_add(weight) > MAX_BYTES && !state.calls.is_empty() => {
                Some(Error::Busy(format!("calls that bring {} MiB are waiting", state.bytes >> 20)))
            }
            _ => None,
        };
        if let Some(error) = refusal {
            drop(state);
            op.refuse(error);
            return;
        }
        state.calls.push(op);
        state.bytes += weight;
        let asleep = mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.filled.notify_one();
        }
    }

    /// Takes all that wait, into an empty list; waits for something if there is
    /// nothing, at most so long if a time is given.
    pub(super) fn take(&self, into: &mut Vec<Op>, wait: Option<Duration>) {
        let mut state = self.lock();
        if state.calls.is_empty() {
            state.asleep = true;
            state = match wait {
                Some(wait) => {
                    let empty = |state: &mut State| state.calls.is_empty() && !state.woken;
                    self.filled.wait_timeout_while(state, wait, empty).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .filled
                    .wait_while(state, |state| state.calls.is_empty() && !state.woken)
                    .unwrap_or_else(PoisonError::into_inner),
            };
            state.asleep = false;
            state.woken = false;
        }
        mem::swap(&mut state.calls, into);
        state.bytes = 0;
    }

    /// Has the writer look up although nothing came.
    pub(super) fn wake(&self) {
        self.lock().woken = true;
        self.filled.notify_one();
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().calls.is_empty()
    }

    /// Refuses every further call but a close with this error; `None` lets them
    /// in again.
    pub(super) fn shut(&self, error: Option<Error>) {
        self.lock().shut = error;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
