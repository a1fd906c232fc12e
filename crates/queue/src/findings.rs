//! What is not as it should be, in sentences for a person.
//!
//! Nothing here decides anything: it is told what happened, and says what of it
//! still holds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use job::time::Remembered;
use job::{Answer, KindName, Now, Span, Timestamp};
use store::Error as StoreError;
use store::records::Health;

/// How long something must have failed before it is said.
const LASTS: Span = Span::from_secs(2);
/// How far behind the newest record the wall clock may be: small corrections
/// are everyday.
const SET_BACK: Span = Span::from_secs(1);
/// The most kinds whose guards are remembered to have failed.
const MAX_KINDS: usize = 100;

/// What the queue asks of the store on its own account.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Verb {
    Advance,
    Claim,
    Ask,
    Answer,
    GiveBack,
    Retain,
    Remember,
}

impl Verb {
    /// What does not happen while it fails.
    fn without(self) -> &'static str {
        match self {
            Self::Advance => "nothing falls due and no lost worker's job is rescued",
            Self::Claim => "who waits for jobs gets none",
            Self::Ask => "jobs with a guard are not asked about",
            Self::Answer => "what guards answer is not stored",
            Self::GiveBack => "jobs of takers that went away do not go back before their leases run out",
            Self::Retain => "old ended jobs are not removed",
            Self::Remember => "the clocks are not remembered for the next start",
        }
    }
}

#[derive(Debug)]
struct Failing {
    since: Now,
    times: u64,
    last: String,
}

/// What was noticed.
#[derive(Debug)]
pub(crate) struct Findings {
    /// The wall clock when the store was last written to, as the store knew when
    /// it was opened.
    written: Option<Timestamp>,
    failing: Mutex<HashMap<Verb, Failing>>,
    guards: Mutex<HashMap<KindName, Failing>>,
    /// How the loop ended, if it did so without being told to.
    ended: OnceLock<String>,
}

impl Findings {
    pub(crate) fn new(remembered: Option<&Remembered>) -> Self {
        Self {
            written: remembered.map(|remembered| remembered.newest.wall),
            failing: Mutex::default(),
            guards: Mutex::default(),
            ended: OnceLock::new(),
        }
    }

    /// The store did not do something.
    pub(crate) fn failed(&self, verb: Verb, error: &StoreError, now: Now) {
        let mut failing = lock(&self.failing);
        let is_new = !failing.contains_key(&verb);
        again(failing.entry(verb).or_insert_with(|| Failing::since(now)), error.to_string());
        drop(failing);
        match error {
            StoreError::Damaged(_) => tracing::error!(?verb, %error, "the store does not serve"),
            StoreError::Busy(_) | StoreError::Full(_) | StoreError::Lost(_) | StoreError::Closed if is_new => {
                tracing::warn!(?verb, %error, "the store did not answer; trying again");
            }
            StoreError::Busy(_) | StoreError::Full(_) | StoreError::Lost(_) | StoreError::Closed => {}
        }
    }

    /// The store did something.
    pub(crate) fn worked(&self, verb: Verb) {
        let ended = lock(&self.failing).remove(&verb);
        if let Some(Failing { times, .. }) = ended {
            tracing::info!(?verb, times, "the store answers again");
        }
    }

    /// A guard was asked.
    pub(crate) fn answered(&self, kind: &KindName, answer: &Answer, now: Now) {
        let mut guards = lock(&self.guards);
        match answer {
            Answer::Yes | Answer::No(_) => drop(guards.remove(kind)),
            Answer::Error(error) => {
                if guards.len() < MAX_KINDS || guards.contains_key(kind) {
                    let failing = guards.entry(kind.clone()).or_insert_with(|| Failing::since(now));
                    again(failing, error.clone());
                }
            }
        }
    }

    /// The loop ended by itself.
    pub(crate) fn ended(&self, why: String) {
        tracing::error!(why, "the queue's loop ended; nothing is handed out any more");
        // Only the first end is of interest.
        self.ended.get_or_init(|| why);
    }

    /// Whether the loop ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    /// All of it, worst first.
    pub(crate) fn all(&self, health: &Health, now: Now) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(why) = self.ended.get() {
            all.push(format!("the queue does not run: {why}; restart the server"));
        }
        match health {
            Health::Serving => {}
            Health::Damaged { why } => all.push(format!("the store is damaged: {why}")),
            Health::Recovering { since, why } => {
                all.push(format!("the store refuses writes since {since}, until it was opened again: {why}"));
            }
            Health::Full { free, floor } => {
                all.push(format!("the store takes no pushes: {free} bytes are free, and at least {floor} must be"))
            }
        }
        if let Some(written) = self.written
            && written.since(now.wall) > SET_BACK
        {
            all.push(format!(
                "the wall clock was set back: it was {written} when the store was last written, and is {} now",
                now.wall
            ));
        }
        let failing = lock(&self.failing);
        let mut lasting: Vec<_> = failing.iter().filter(|(_, failing)| failing.lasts(now)).collect();
        lasting.sort_unstable_by_key(|(verb, _)| **verb);
        for (verb, Failing { since, times, last }) in lasting {
            all.push(format!("{}: the store failed {times} times since {}: {last}", verb.without(), since.wall));
        }
        drop(failing);
        let guards = lock(&self.guards);
        let mut lasting: Vec<_> = guards.iter().filter(|(_, failing)| failing.lasts(now)).collect();
        lasting.sort_unstable_by_key(|(kind, _)| (*kind).clone());
        for (kind, Failing { since, times, last }) in lasting {
            all.push(format!(
                "jobs of the kind `{kind}` are held up: their guard gave no answer {times} times since {}: {last}",
                since.wall
            ));
        }
        all
    }
}

impl Failing {
    fn since(now: Now) -> Self {
        Self { since: now, times: 0, last: String::new() }
    }

    fn lasts(&self, now: Now) -> bool {
        now.mono.since(self.since.mono) >= LASTS
    }
}

fn again(failing: &mut Failing, error: String) {
    failing.times += 1;
    failing.last = job::attempt::bounded(error, 500);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use job::{Clock, time::ManualClock};

    use super::*;

    #[test]
    fn what_lasts_is_said_and_what_is_mended_is_not() {
        let clock = ManualClock::at("2026-12-01T09:00:00Z".parse().unwrap());
        let findings = Findings::new(None);
        let all = || findings.all(&Health::Serving, clock.now());
        let kind: KindName = "notice.send".parse().unwrap();
        findings.failed(Verb::Advance, &StoreError::Busy("it reopens".into()), clock.now());
        findings.answered(&kind, &Answer::Error("no route".into()), clock.now());
        assert_eq!(all(), [""; 0], "not yet");
        clock.advance(Span::from_secs(3));
        findings.failed(Verb::Advance, &StoreError::Busy("it reopens still".into()), clock.now());
        assert_eq!(
            all(),
            [
                "nothing falls due and no lost worker's job is rescued: the store failed 2 times since \
                 2026-12-01T09:00:00.000Z: the store is busy: it reopens still",
                "jobs of the kind `notice.send` are held up: their guard gave no answer 1 times since \
                 2026-12-01T09:00:00.000Z: no route",
            ]
        );
        findings.worked(Verb::Advance);
        findings.answered(&kind, &Answer::No(None), clock.now());
        assert_eq!(all(), [""; 0]);
    }

    #[test]
    fn a_wall_clock_behind_the_newest_record_is_said_for_as_long_as_it_is_behind() {
        let clock = ManualClock::at("2026-12-01T09:00:00Z".parse().unwrap());
        let newest = Now { wall: "2026-12-01T10:00:00Z".parse().unwrap(), ..clock.now() };
        let findings = Findings::new(Some(&Remembered { boot: String::new(), offset: 0, newest }));
        let all = || findings.all(&Health::Serving, clock.now());
        assert_eq!(
            all(),
            ["the wall clock was set back: it was 2026-12-01T10:00:00.000Z when the store was last written, and is \
              2026-12-01T09:00:00.000Z now"]
        );
        clock.step(3_600_000_000);
        assert_eq!(all(), [""; 0]);
    }

    #[test]
    fn a_store_that_does_not_serve_is_said_at_once() {
        let findings = Findings::new(None);
        let say = |health| findings.all(&health, Now::default());
        assert_eq!(
            say(Health::Full { free: 5, floor: 10 }),
            ["the store takes no pushes: 5 bytes are free, and at least 10 must be"]
        );
        assert_eq!(say(Health::Damaged { why: "page 7".into() }), ["the store is damaged: page 7"]);
        findings.ended("it panicked: boom".into());
        assert_eq!(say(Health::Serving), ["the queue does not run: it panicked: boom; restart the server"]);
    }
}
