//! A job as `aloud job ID` shows it to a person: what it is, where it stands,
//! and what became of each attempt.

use aloud_client::v1::JobView;
use job::{Attempt, Cause, Guard, Happened, Timestamp};

use crate::age::{relative, rough};
use crate::jobs::state;

/// The page; `now` is what times are told against.
pub(crate) fn of(job: &JobView, now: Timestamp) -> String {
    let mut page = Page(String::new());
    let time = |at: Timestamp| format!("{at}  ({})", relative(at, now));
    page.line("job", &job.id);
    page.line("state", &with(state(job), job.detail.as_deref()));
    page.some("cause", job.cause.map(|cause| cause_text(cause).to_owned()));
    page.line("kind", job.kind.as_str());
    page.line("queue", job.queue.as_str());
    page.some("key", job.key.as_ref().map(ToString::to_string));
    page.some("guard", job.guard.as_ref().map(guard));
    page.line("priority", &job.priority.to_string());
    page.line("pushed", &time(job.pushed));
    page.some("due", job.due.map(time));
    page.some("expires", job.expires.map(time));
    page.some("worker", job.worker.clone());
    page.some("lease ends", job.leased_until.map(time));
    page.some("since", job.since.map(time));
    page.line("payload", job.payload.get());
    page.line("attempts", &counts(job));
    for (nth, attempt) in job.attempts.iter().enumerate() {
        page.attempt(attempt);
        if nth == 0 && job.attempts_dropped > 0 {
            page.text("", &format!("… {} more, not kept", job.attempts_dropped));
        }
    }
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, name: &str, value: &str) {
        self.text(&format!("{name}:"), value);
    }

    fn some(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.line(name, &value);
        }
    }

    /// A name and what follows it; further lines stand below the first.
    fn text(&mut self, name: &str, value: &str) {
        let mut name = name;
        for line in value.lines() {
            let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            self.0.push_str(format!("{name:<12}{shown}").trim_end());
            self.0.push('\n');
            name = "";
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let took = rough(attempt.ended.since(attempt.started));
        let name = format!("  #{}", attempt.number);
        let by = format!("{} by {}, {took}", attempt.started, attempt.worker);
        match &attempt.happened {
            Happened::Done { output } => self.text(&name, &told("done", &by, output.as_deref())),
            Happened::Skipped { why } => self.text(&name, &told("skipped", &by, why.as_deref())),
            Happened::Failed { error } => {
                let class = if error.class.is_empty() { "" } else { ": " };
                let what = format!("{}{class}{}", error.class, error.message);
                self.text(&name, &told("failed", &by, Some(&what)));
                for frame in &error.backtrace {
                    self.text("", &format!("  at {frame}"));
                }
            }
            Happened::Rescued => self.text(&name, &told("lost its worker", &by, None)),
            Happened::Snoozed { why } => self.text(&name, &told("asked to run later", &by, why.as_deref())),
            Happened::GuardFailed { error, times } => {
                let what = format!("the guard gave no answer ({times} in a row)");
                self.text(&name, &told(&what, &attempt.ended.to_string(), Some(error)));
            }
        }
    }
}

fn told(what: &str, by: &str, more: Option<&str>) -> String {
    match more {
        Some(more) if !more.is_empty() => format!("{what}, {by}\n{more}"),
        _ => format!("{what}, {by}"),
    }
}

fn with(word: &str, detail: Option<&str>) -> String {
    detail.map_or_else(|| word.to_owned(), |detail| format!("{word}: {detail}"))
}

fn counts(job: &JobView) -> String {
    let mut text = format!("{} of at most {} failures, {} started", job.failures, job.retry.max_attempts, job.attempt);
    for (count, what) in [(job.rescues, "lost their worker"), (job.snoozes, "asked to run later")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

fn guard(guard: &Guard) -> String {
    match guard {
        Guard::Http(url) => url.clone(),
        Guard::Exec(name) => format!("exec:{name}"),
    }
}

fn cause_text(cause: Cause) -> &'static str {
    match cause {
        Cause::Exhausted => "it failed as often as it may",
        Cause::Permanent => "its worker said that trying again is of no use",
        Cause::Rescued => "it lost its worker too often",
        Cause::Late => "it was found late, and its queue holds late jobs",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(json: &str) -> String {
        of(&serde_json::from_str(json).unwrap(), "2026-11-23T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_job_that_waits_is_shown() {
        insta::assert_snapshot!(
            view(
                r#"{"id":"notice-42","queue":"mail","kind":"notice.send","state":"scheduled","payload":{"to":"ute"},
                "priority":1024,"key":"notice:42","guard":{"http":"http://127.0.0.1:8080/wanted"},
                "retry":{"max_attempts":20,"first":"10s","cap":"6h"},"pushed":"2026-11-23T11:50:00Z",
                "due":"2026-11-23T12:20:00Z","attempt":0,"failures":0,"rescues":0,"snoozes":0,"attempts":[]}"#
            ),
            @r#"
        job:        notice-42
        state:      scheduled
        kind:       notice.send
        queue:      mail
        key:        notice:42
        guard:      http://127.0.0.1:8080/wanted
        priority:   1024
        pushed:     2026-11-23T11:50:00.000Z  (10m ago)
        due:        2026-11-23T12:20:00.000Z  (in 20m)
        payload:    {"to":"ute"}
        attempts:   0 of at most 20 failures, 0 started
        "#
        );
    }

    #[test]
    fn a_dead_job_is_shown_with_what_became_of_its_attempts() {
        insta::assert_snapshot!(
            view(
                r#"{"id":"j7","queue":"default","kind":"k","state":"dead","cause":"exhausted","payload":null,
                "priority":1,"retry":{"max_attempts":2,"first":"10s","cap":"6h"},"pushed":"2026-11-23T11:00:00Z",
                "since":"2026-11-23T11:30:00Z","attempt":3,"failures":2,"rescues":1,"snoozes":0,"attempts":[
                {"number":1,"worker":"w1","started":"2026-11-23T11:00:00Z","ended":"2026-11-23T11:00:02Z",
                 "happened":{"happened":"failed","error":{"class":"IOError","message":"two\nlines\u001b[31m",
                 "backtrace":["a.rb:1","b.rb:2"]}}},
                {"number":2,"worker":"w2","started":"2026-11-23T11:10:00Z","ended":"2026-11-23T11:11:00Z",
                 "happened":{"happened":"rescued"}},
                {"number":3,"worker":"guard","started":"2026-11-23T11:12:00Z","ended":"2026-11-23T11:12:00Z",
                 "happened":{"happened":"guard_failed","error":"connection refused","times":4}}],
                "attempts_dropped":5}"#
            ),
            @r"
        job:        j7
        state:      dead
        cause:      it failed as often as it may
        kind:       k
        queue:      default
        priority:   1
        pushed:     2026-11-23T11:00:00.000Z  (1h ago)
        since:      2026-11-23T11:30:00.000Z  (30m ago)
        payload:    null
        attempts:   2 of at most 2 failures, 3 started, 1 lost their worker
          #1        failed, 2026-11-23T11:00:00.000Z by w1, 2s
                    IOError: two
                    lines [31m
                      at a.rb:1
                      at b.rb:2
                    … 5 more, not kept
          #2        lost its worker, 2026-11-23T11:10:00.000Z by w2, 1m
          #3        the guard gave no answer (4 in a row), 2026-11-23T11:12:00.000Z
                    connection refused
        "
        );
    }
}
