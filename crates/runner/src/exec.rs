//! Jobs that are done by a command.
//!
//! The command and its folder are declared; a job only brings its payload, on
//! the standard input. What the exit status says is decided here, how the
//! processes are started and ended in `group`.

use job::{Again, Ending, Job, JobError, Span};

pub use command::Command;
pub(crate) use command::{Ran, told};
pub(crate) use group::Exit;

use crate::patience::{Over, Patience};

mod command;
mod group;

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
    pub(crate) async fn run(&self, job: &Job, patience: &Patience) -> Ending {
        match self.command.run(&told(job, job.attempt), job.spec.payload.as_bytes(), patience).await {
            Ok(ran) => ending(&self.command, &ran),
            Err(error) => failed("exec.not_started", error),
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

fn failed(class: &str, message: String) -> Ending {
    Ending::Failed { error: JobError::new(class, message), again: Again::ByPolicy }
}
