//! Jobs that are done by sending a letter.
//!
//! `letter` makes the letter from templates and the job's payload, `smtp`
//! hands it to a mail `server`. What the end means is decided here.

use job::{Again, Ending, JobError};

pub use letter::{Parts, Templates};
pub use server::{Described, Login, Server, Tls};
pub use template::Template;

use crate::jobs::Jobs;
use crate::patience::{Over, Patience};
use crate::task::Task;
use letter::Unwritable;
use smtp::{Stage, Undelivered, Why};

mod letter;
mod server;
mod smtp;
mod template;

/// Sends a letter for each job.
#[derive(Clone, Debug)]
pub struct MailHandler {
    /// Who takes the letters.
    pub server: Server,
    /// What they say.
    pub templates: Templates,
}

impl MailHandler {
    pub(crate) async fn run(&self, task: &Task, jobs: &dyn Jobs, patience: &Patience) -> Ending {
        let letter = match self.templates.write(task, &jobs.store_id(), jobs.now().wall).await {
            Ok(letter) => letter,
            Err(Unwritable { class, message, again }) => return failed(class, message, again),
        };
        match self.server.deliver(&letter, patience).await {
            Ok(answer) => Ending::Done { output: Some(answer) },
            Err(undelivered) => self.ending(&undelivered),
        }
    }

    /// What it means that the letter was not taken.
    fn ending(&self, Undelivered { stage, why }: &Undelivered) -> Ending {
        let server = &self.server;
        match why {
            Why::Over(Over::Cut) => Ending::Snoozed {
                after: crate::running::AFTER_A_CUT,
                why: Some(format!("aloud stopped while {stage} {server}{}", stage.doubt())),
            },
            Why::Over(Over::TimedOut) => failed(
                "mail.timeout",
                format!("{server} did not answer in time while {stage} it{}", stage.doubt()),
                Again::ByPolicy,
            ),
            Why::Refused { code, text } => {
                let again = if stage.is_about_the_letter() && is_final(*code) { Again::Never } else { Again::ByPolicy };
                let class = match (stage, again) {
                    (Stage::SigningIn, _) => "mail.auth",
                    (_, Again::Never) => "mail.rejected",
                    (_, Again::ByPolicy | Again::NotBefore(_)) => "mail.deferred",
                };
                failed(class, format!("{server} refused while {stage} it: {text}"), again)
            }
            Why::Unreachable(what) => {
                failed("mail.unreachable", format!("cannot reach {server}: {what}"), Again::ByPolicy)
            }
            Why::Untrusted(what) => failed(
                "mail.tls",
                format!("the connection to {server} could not be secured: {what}. Nothing was sent"),
                Again::ByPolicy,
            ),
            Why::Garbage(what) => failed(
                "mail.broken",
                format!("{server} did not answer in SMTP while {stage} it: {what}{}", stage.doubt()),
                Again::ByPolicy,
            ),
            Why::Incapable(what) => failed("mail.rejected", format!("{server} cannot take it: {what}"), Again::Never),
        }
    }
}

/// Whether a refusal will be the same next time: RFC 5321 says so of 5xx. The
/// 53x are about who we are and not about the letter, and end when a person
/// mends the settings.
fn is_final(code: u16) -> bool {
    (500..600).contains(&code) && !(530..540).contains(&code)
}

fn failed(class: &str, message: String, again: Again) -> Ending {
    Ending::Failed { error: JobError::new(class, message), again }
}
