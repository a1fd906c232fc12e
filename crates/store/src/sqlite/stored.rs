//! How the parts of a job that have no column of their own are written.
//!
//! These forms are on people's disks. They are kept apart from the words of
//! `job`, so that a word can change without them: a new field is added here as
//! an `Option` at the end, a form that must change gets a migration.

use std::borrow::Cow;

use job::{Attempt, Guard, Happened, History, JobError, Policy, Span, Timestamp};
use serde::{Deserialize, Serialize};

/// `[dropped, [attempt, …]]`.
#[derive(Serialize, Deserialize)]
struct StoredHistory<'a>(u32, #[serde(borrow)] Vec<StoredAttempt<'a>>);

/// `[number, worker, started, ended, happened]`; times in microseconds.
#[derive(Serialize, Deserialize)]
struct StoredAttempt<'a>(u32, #[serde(borrow)] Cow<'a, str>, i64, i64, #[serde(borrow)] StoredHappened<'a>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredHappened<'a> {
    Done(#[serde(borrow)] Option<Cow<'a, str>>),
    Skipped(#[serde(borrow)] Option<Cow<'a, str>>),
    /// Class, message, frames.
    Failed(#[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Vec<Cow<'a, str>>),
    Rescued,
    Snoozed(#[serde(borrow)] Option<Cow<'a, str>>),
    /// What came instead of an answer, and how many times in a row.
    Guard(#[serde(borrow)] Cow<'a, str>, u32),
}

/// A stored form that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("its {what} cannot be read: {why}")]
pub(super) struct Unreadable {
    what: &'static str,
    why: String,
}

impl Unreadable {
    pub(super) fn new(what: &'static str, why: impl ToString) -> Self {
        Self { what, why: why.to_string() }
    }
}

/// Writes a history; an empty one is nothing. `into` is written over.
pub(super) fn write_history<'a>(history: &History, into: &'a mut Vec<u8>) -> Option<&'a str> {
    into.clear();
    if history.attempts().is_empty() {
        return None;
    }
    let stored = StoredHistory(history.dropped(), history.attempts().iter().map(StoredAttempt::of).collect());
    serde_json::to_writer(&mut *into, &stored).expect("numbers and texts are always written");
    Some(str::from_utf8(into).expect("JSON is text"))
}

/// Reads a history.
pub(super) fn read_history(text: Option<&str>) -> Result<History, Unreadable> {
    let Some(text) = text else { return Ok(History::default()) };
    let StoredHistory(dropped, attempts) =
        serde_json::from_str(text).map_err(|error| Unreadable::new("history", error))?;
    Ok(History::restore(attempts.into_iter().map(StoredAttempt::read).collect(), dropped))
}

impl<'a> StoredAttempt<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        fn may(text: &Option<String>) -> Option<Cow<'_, str>> {
            text.as_deref().map(Cow::Borrowed)
        }
        let happened = match &attempt.happened {
            Happened::Done { output } => StoredHappened::Done(may(output)),
            Happened::Skipped { why } => StoredHappened::Skipped(may(why)),
            Happened::Failed { error: JobError { class, message, backtrace } } => StoredHappened::Failed(
                class.into(),
                message.into(),
                backtrace.iter().map(|frame| Cow::Borrowed(frame.as_str())).collect(),
            ),
            Happened::Rescued => StoredHappened::Rescued,
            Happened::Snoozed { why } => StoredHappened::Snoozed(may(why)),
            Happened::GuardFailed { error, times } => StoredHappened::Guard(error.into(), *times),
        };
        Self(attempt.number, (&attempt.worker).into(), attempt.started.0, attempt.ended.0, happened)
    }

    fn read(self) -> Attempt {
        let Self(number, worker, started, ended, happened) = self;
        let may = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let happened = match happened {
            StoredHappened::Done(output) => Happened::Done { output: may(output) },
            StoredHappened::Skipped(why) => Happened::Skipped { why: may(why) },
            StoredHappened::Failed(class, message, backtrace) => Happened::Failed {
                error: JobError {
                    class: class.into_owned(),
                    message: message.into_owned(),
                    backtrace: backtrace.into_iter().map(Cow::into_owned).collect(),
                },
            },
            StoredHappened::Rescued => Happened::Rescued,
            StoredHappened::Snoozed(why) => Happened::Snoozed { why: may(why) },
            StoredHappened::Guard(error, times) => Happened::GuardFailed { error: error.into_owned(), times },
        };
        Attempt { number, worker: worker.into_owned(), started: Timestamp(started), ended: Timestamp(ended), happened }
    }
}

/// The policy that is written as nothing. It is part of the form: it stays what
/// it is when the default of `job` changes.
const UNWRITTEN: Policy = Policy { max_attempts: 20, first: Span::from_secs(10), cap: Span::from_secs(6 * 3_600) };

/// Writes a retry policy.
pub(super) fn write_policy(policy: Policy) -> Option<String> {
    let Policy { max_attempts, first, cap } = policy;
    (policy != UNWRITTEN).then(|| format!("[{max_attempts},{},{}]", first.as_micros(), cap.as_micros()))
}

/// Reads a retry policy.
pub(super) fn read_policy(text: Option<&str>) -> Result<Policy, Unreadable> {
    let Some(text) = text else { return Ok(UNWRITTEN) };
    let (max_attempts, first, cap) =
        serde_json::from_str(text).map_err(|error| Unreadable::new("retry policy", error))?;
    Ok(Policy { max_attempts, first: Span::from_micros(first), cap: Span::from_micros(cap) })
}

/// Writes a guard.
pub(super) fn write_guard(guard: &Guard) -> String {
    match guard {
        Guard::Http(address) => format!("http:{address}"),
        Guard::Exec(name) => format!("exec:{name}"),
    }
}

/// Reads a guard.
pub(super) fn read_guard(text: &str) -> Result<Guard, Unreadable> {
    match text.split_once(':') {
        Some(("http", address)) => Ok(Guard::Http(address.to_owned())),
        Some(("exec", name)) => Ok(Guard::Exec(name.to_owned())),
        Some(_) | None => Err(Unreadable::new("guard", "it begins with neither `http:` nor `exec:`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let attempt = |number, happened| Attempt {
            number,
            worker: "w \"1\" \u{1F4EC}".into(),
            started: Timestamp(1_234_567),
            ended: Timestamp(2_345_678),
            happened,
        };
        let error =
            JobError { class: "E".into(), message: "line\nline".into(), backtrace: vec!["a".into(), "b".into()] };
        let happened = [
            Happened::Done { output: None },
            Happened::Done { output: Some("ok".into()) },
            Happened::Skipped { why: Some("gone".into()) },
            Happened::Failed { error },
            Happened::Rescued,
            Happened::Snoozed { why: None },
            Happened::GuardFailed { error: "no route".into(), times: 7 },
        ];
        let mut history = History::default();
        for n in 0..30_u32 {
            history.add(attempt(n + 1, happened[n as usize % happened.len()].clone()));
        }
        let mut text = Vec::new();
        let written = write_history(&history, &mut text);
        assert_eq!(read_history(written).unwrap(), history);
        assert!(history.dropped() > 0);
        assert_eq!(write_history(&History::default(), &mut text), None);
    }

    #[test]
    fn the_stored_forms_are_what_they_were() {
        let mut history = History::default();
        let happened = Happened::Done { output: None };
        let (started, ended) = (Timestamp(5), Timestamp(6));
        history.add(Attempt { number: 1, worker: "w1".into(), started, ended, happened });
        assert_eq!(write_history(&history, &mut Vec::new()), Some(r#"[0,[[1,"w1",5,6,{"done":null}]]]"#));
        assert_eq!(write_policy(UNWRITTEN), None);
        assert_eq!(write_policy(Policy { max_attempts: 3, ..UNWRITTEN }).as_deref(), Some("[3,10000000,21600000000]"));
        assert_eq!(write_guard(&Guard::Exec("still-wanted".into())), "exec:still-wanted");
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        assert!(read_history(Some("[0")).unwrap_err().to_string().starts_with("its history cannot be read: "));
        assert!(read_policy(Some("{}")).unwrap_err().to_string().starts_with("its retry policy cannot be read: "));
        assert!(read_guard("ftp:x").unwrap_err().to_string().starts_with("its guard cannot be read: "));
        let guard = Guard::Http("http://[::1]:8080/?a:b".into());
        assert_eq!(read_guard(&write_guard(&guard)).unwrap(), guard);
    }
}
