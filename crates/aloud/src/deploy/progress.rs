//! How a deploy goes, for people who wait: one line for each step that has
//! something to say.
//!
//! That a step has begun is said only if it takes a while, or if a command in
//! it speaks; how long it took, if that was more than a second.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use job::{Clock, Mono, Span};
use release::{Progress, Step};
use tokio::runtime::Handle;

use super::words::Line;

/// After so long it is said that a step has begun.
const A_WHILE: Duration = Duration::from_secs(3);
/// A step that took this long is told with its time.
const LONG: Span = Span::from_secs(1);

/// Where the lines go.
type Sink = Box<dyn Fn(&Line) + Send + Sync>;

/// Turns what a deploy tells into lines.
#[derive(Clone)]
pub(super) struct Teller(Arc<Inner>);

struct Inner {
    sink: Sink,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    /// Steps in which there is nothing to do.
    idle: BTreeSet<Step>,
    now: Mutex<Option<Now>>,
}

/// The step that is being done.
struct Now {
    step: Step,
    text: String,
    began: Mono,
    /// Whether it was said that it has begun.
    said: bool,
}

impl Teller {
    /// Tells `sink`; of the steps in `idle` only if they take long.
    pub(super) fn new(sink: Sink, clock: Arc<dyn Clock>, runtime: Handle, idle: BTreeSet<Step>) -> Self {
        Self(Arc::new(Inner { sink, clock, runtime, idle, now: Mutex::new(None) }))
    }

    /// Hears of a step.
    pub(super) fn tell(&self, progress: &Progress) {
        match progress {
            Progress::Begins(step, text) => self.begins(*step, text),
            Progress::Ended(step, text) => self.ended(*step, text),
            Progress::Ran { .. } => {}
            Progress::Recovered(recovery) => {
                for mended in &recovery.mended {
                    self.line("mended", &mended.to_string());
                }
            }
            Progress::Warning(text) => self.0.put("warning", text, true),
        }
    }

    /// Hears what a command says.
    pub(super) fn say(&self, text: &str) {
        self.0.announce(None);
        self.line("", text);
    }

    /// Says something that is no step.
    pub(super) fn line(&self, word: &str, text: &str) {
        self.0.put(word, text, false);
    }

    fn begins(&self, step: Step, text: &str) {
        let began = self.0.clock.now().mono;
        *self.0.now() = Some(Now { step, text: text.to_owned(), began, said: false });
        match step {
            Step::Abort | Step::Hold | Step::SwitchBack | Step::RollBack => self.0.announce(Some((step, began))),
            Step::Create
            | Step::Fill
            | Step::Shared
            | Step::Build
            | Step::BootCheck
            | Step::Seal
            | Step::Barrier
            | Step::Switch
            | Step::Roll
            | Step::Verify
            | Step::Commit
            | Step::Prune => {
                let inner = self.0.clone();
                self.0.runtime.spawn(async move {
                    tokio::time::sleep(A_WHILE).await;
                    inner.announce(Some((step, began)));
                });
            }
        }
    }

    fn ended(&self, step: Step, said: &str) {
        let Some(now) = self.0.now().take().filter(|now| now.step == step) else { return };
        let took = self.0.clock.now().mono.since(now.began);
        let text = match (said.is_empty() || self.0.idle.contains(&step), took >= LONG) {
            (true, false) => return,
            (true, true) if now.said => "done",
            (true, true) => &now.text,
            (false, _) => said,
        };
        if took >= LONG {
            self.line(word(step), &format!("{text} ({:.1} s)", took.as_secs_f64()));
        } else {
            self.line(word(step), text);
        }
    }
}

impl Inner {
    fn now(&self) -> std::sync::MutexGuard<'_, Option<Now>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the step has begun, if it is still this one.
    fn announce(&self, which: Option<(Step, Mono)>) {
        let text = match self.now().as_mut() {
            Some(now) if !now.said && which.is_none_or(|which| which == (now.step, now.began)) => {
                now.said = true;
                Some((now.step, now.text.clone()))
            }
            Some(_) | None => None,
        };
        if let Some((step, text)) = text {
            self.put(word(step), &text, false);
        }
    }

    fn put(&self, word: &str, text: &str, loud: bool) {
        (self.sink)(&Line { word: word.to_owned(), text: text.to_owned(), loud });
    }
}

/// Writes lines to stderr, each with its host if there are several.
#[derive(Clone, Copy)]
pub(super) struct Stderr {
    /// Only what is loud.
    pub(super) quiet: bool,
    /// How wide the longest host's name is.
    pub(super) width: usize,
}

impl Stderr {
    pub(super) fn put(self, host: Option<&str>, line: &Line) {
        if self.quiet && !line.loud {
            return;
        }
        let mut stderr = io::stderr().lock();
        let dim = stderr.is_terminal() && line.word.is_empty();
        let host = host.map(|host| format!("{host:<width$}  ", width = self.width)).unwrap_or_default();
        for (place, text) in line.text.lines().enumerate() {
            let word: String = if place == 0 { shown(&line.word) } else { String::new() };
            let text = shown(text);
            // If nobody listens any more, the deploy goes on all the same.
            drop(match dim {
                true => writeln!(stderr, "{host}{word:<11}\u{1b}[2m{text}\u{1b}[0m"),
                false => writeln!(stderr, "{host}{word:<11}{text}"),
            });
        }
    }
}

/// Nothing that would move a terminal's cursor.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

const fn word(step: Step) -> &'static str {
    match step {
        Step::Create => "create",
        Step::Fill => "fill",
        Step::Shared => "shared",
        Step::Build => "build",
        Step::BootCheck => "boot check",
        Step::Seal => "seal",
        Step::Barrier => "wait",
        Step::Switch => "switch",
        Step::Roll => "roll",
        Step::Verify => "verify",
        Step::Commit => "commit",
        Step::Prune => "prune",
        Step::Abort => "ABORT",
        Step::Hold => "HOLD",
        Step::SwitchBack => "GO BACK",
        Step::RollBack => "roll back",
    }
}

#[cfg(test)]
mod tests {
    use job::time::ManualClock;

    use super::*;

    #[test]
    fn a_step_without_anything_to_say_is_told_only_if_it_was_long() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let clock = Arc::new(ManualClock::at(job::Timestamp(0)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let heard = lines.clone();
        let sink = move |line: &Line| heard.lock().unwrap().push(format!("{} | {}", line.word, line.text));
        let idle = [Step::Shared, Step::Verify].into();
        let teller = Teller::new(Box::new(sink), clock.clone(), runtime.handle().clone(), idle);
        let step = |step, millis, said: &str| {
            teller.tell(&Progress::Begins(step, "it begins".into()));
            clock.advance(Span::from_millis(millis));
            if step == Step::Build {
                teller.say("installing");
            }
            teller.tell(&Progress::Ended(step, said.into()));
        };
        step(Step::Create, 5, "`/srv/releases/5`");
        step(Step::Shared, 5, "0 shared");
        step(Step::Build, 2_340, "1 hooks ran");
        step(Step::Verify, 2_000, "it works");
        assert_eq!(
            *lines.lock().unwrap(),
            [
                "create | `/srv/releases/5`",
                "build | it begins",
                " | installing",
                "build | 1 hooks ran (2.3 s)",
                "verify | it begins (2.0 s)"
            ]
        );
    }
}
