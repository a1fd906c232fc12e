//! What became of each run of a job.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One run of a job, or one failed question of its guard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// Counts from 1: which start of the job this was. A guard that failed
    /// carries the number of the start it held up.
    pub number: u32,
    /// Who ran it, as that worker called itself.
    pub worker: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What became of it.
    pub happened: Happened,
}

/// What became of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "happened")]
pub enum Happened {
    /// It did its work.
    Done {
        /// What the work answered, if it said anything: a response, an output.
        output: Option<String>,
    },
    /// It found that there was nothing to do.
    Skipped {
        /// Why.
        why: Option<String>,
    },
    /// It failed.
    Failed {
        /// How.
        error: JobError,
    },
    /// Its lease ran out: the worker was lost, or too slow to say that it
    /// lived.
    Rescued,
    /// It asked to be run later, without that being a failure.
    Snoozed {
        /// Why.
        why: Option<String>,
    },
    /// The guard gave no answer.
    GuardFailed {
        /// What came instead, the last time.
        error: String,
        /// How many times in a row.
        times: u32,
    },
}

/// How a run failed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobError {
    /// What sort of error, such as the exception's class.
    pub class: String,
    /// What it says.
    pub message: String,
    /// Where it happened, one frame an entry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
}

/// The longest text that is kept of an output, an error or a reason, in bytes.
pub const MAX_TEXT_BYTES: usize = 4_096;
/// The most frames that are kept of a backtrace.
pub const MAX_FRAMES: usize = 50;
/// The longest frame that is kept, in bytes.
pub const MAX_FRAME_BYTES: usize = 500;

impl JobError {
    /// An error with a class and a message.
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: class.into(), message: message.into(), backtrace: Vec::new() }
    }

    /// The error cut down to what is kept.
    pub fn bounded(self) -> Self {
        Self {
            class: bounded(self.class, 200),
            message: bounded(self.message, MAX_TEXT_BYTES),
            backtrace: self
                .backtrace
                .into_iter()
                .take(MAX_FRAMES)
                .map(|frame| bounded(frame, MAX_FRAME_BYTES))
                .collect(),
        }
    }
}

/// `text`, cut to at most `limit` bytes at the end of a character; what was cut
/// is marked by `…`.
pub fn bounded(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit.saturating_sub('…'.len_utf8())));
        text.push('…');
    }
    text
}

/// The attempts of a job: the first, and the last ones.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct History {
    attempts: Vec<Attempt>,
    dropped: u32,
}

impl History {
    /// The most attempts that are kept of one job.
    pub const MAX: usize = 20;

    /// A history as it was kept elsewhere: what [`History::attempts`] and
    /// [`History::dropped`] said.
    pub fn restore(attempts: Vec<Attempt>, dropped: u32) -> Self {
        Self { attempts, dropped }
    }

    /// Adds the newest. Questions that failed one after the other count as one
    /// entry. Beyond [`History::MAX`] the second oldest goes.
    pub fn add(&mut self, attempt: Attempt) {
        if let Happened::GuardFailed { times: more, .. } = attempt.happened
            && let Some(last) = self.attempts.last_mut()
            && let Happened::GuardFailed { times, .. } = last.happened
            && last.number == attempt.number
        {
            let Attempt { mut happened, .. } = attempt;
            if let Happened::GuardFailed { times: sum, .. } = &mut happened {
                *sum = times.saturating_add(more);
            }
            last.happened = happened;
            last.ended = attempt.ended;
            return;
        }
        if self.attempts.len() == Self::MAX {
            self.attempts.remove(1);
            self.dropped += 1;
        }
        self.attempts.push(attempt);
    }

    /// Those that are kept, oldest first.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// How many were dropped, between the first and the second that is kept.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// How many questions of the guard failed in a row, up to now.
    pub fn guard_errors(&self) -> u32 {
        match self.attempts.last() {
            Some(Attempt { happened: Happened::GuardFailed { times, .. }, .. }) => *times,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32, happened: Happened) -> Attempt {
        Attempt { number, worker: "w".into(), started: Timestamp(0), ended: Timestamp(i64::from(number)), happened }
    }

    #[test]
    fn the_first_and_the_last_attempts_are_kept() {
        let mut history = History::default();
        for n in 1..=50 {
            history.add(attempt(n, Happened::Rescued));
        }
        let numbers: Vec<_> = history.attempts().iter().map(|a| a.number).collect();
        assert_eq!(numbers[0], 1);
        assert_eq!(numbers[1..], (32..=50).collect::<Vec<_>>()[..]);
        assert_eq!(history.dropped(), 30);
    }

    #[test]
    fn a_guard_that_fails_all_night_is_one_entry() {
        let mut history = History::default();
        for n in 0..1_000 {
            history.add(attempt(1, Happened::GuardFailed { error: format!("no route {n}"), times: 1 }));
        }
        assert_eq!(history.attempts().len(), 1);
        assert_eq!(history.guard_errors(), 1_000);
        history.add(attempt(1, Happened::Rescued));
        assert_eq!(history.guard_errors(), 0);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(bounded("ééééé".into(), 7), "éé…");
        assert_eq!(bounded("short".into(), 7), "short");
    }
}
