//! Jobs that are done by a command.
//!
//! The command is declared, and its folder too, or it starts in whatever code is
//! current (`place`); a job only brings its payload, on the standard input. What
//! the exit status says is decided here, how the processes are started and ended
//! in `group`.

use job::{Again, Ending, JobError, Span};

pub use command::Command;
pub(crate) use command::{NotRun, Ran, told};
pub(crate) use group::Exit;

use crate::patience::{Over, Patience};
use crate::task::Task;

mod command;
mod group;
mod place;

/// Runs a command for each job.
#[derive(Clone, Debug)]
pub struct ExecHandler {
    /// What is run.
    pub command: Command,
}

/// The exit status that asks to be run again without that being a failure:
/// `EX_TEMPFAIL` of sysexits.h.
const AGAIN: i32 = 75;
/// How much later.
const AGAIN_AFTER: Span = Span::from_secs(10);

impl ExecHandler {
    pub(crate) async fn run(&self, task: &Task, patience: &Patience) -> Ending {
        match self.command.run(&told(task), task.payload.as_bytes(), patience).await {
            Ok(ran) => ending(&self.command, &ran),
            Err(NotRun::NotStarted(error)) => failed("exec.not_started", error),
            Err(NotRun::Over(over)) => never_started(&self.command, over),
        }
    }
}

/// What the end of the command means for the job.
fn ending(command: &Command, ran: &Ran) -> Ending {
    match (ran.cut_short, ran.exit) {
        (None, Exit::Code(0)) => Ending::Done { output: ran.stdout.text() },
        (None, Exit::Code(AGAIN)) => Ending::Snoozed {
            after: AGAIN_AFTER,
            why: Some(ran.last_words(format!("{command} ended with exit status {AGAIN}: again later"))),
        },
        (None, exit @ Exit::Code(code)) => {
            failed(&format!("exec.exit_{code}"), ran.last_words(format!("{command} ended with {exit}")))
        }
        (None, exit @ Exit::Signal(signal)) => {
            failed(&format!("exec.signal_{signal}"), ran.last_words(format!("{command} was ended by {exit}")))
        }
        (Some(Over::TimedOut), _) => failed(
            "exec.timeout",
            ran.last_words(format!("{command} was still running when its time was up, and was ended")),
        ),
        (Some(Over::Cut), _) => Ending::Snoozed {
            after: crate::running::AFTER_A_CUT,
            why: Some(ran.last_words(format!("aloud stopped while {command} ran, and ended it"))),
        },
    }
}

/// What it means that the run was over before it had begun.
fn never_started(command: &Command, over: Over) -> Ending {
    match over {
        Over::TimedOut => failed(
            "exec.timeout",
            format!("{command} was not started: its folder could not be entered before its time was up"),
        ),
        Over::Cut => Ending::Snoozed {
            after: crate::running::AFTER_A_CUT,
            why: Some(format!("aloud stopped before {command} was started")),
        },
    }
}

fn failed(class: &str, message: String) -> Ending {
    Ending::Failed { error: JobError::new(class, message), again: Again::ByPolicy }
}
