//! What a deploy needs of this host: commands run as the right user, workers
//! moved, the release looked at from outside, and who sits in which folder.
//!
//! It runs in the command that deploys. The agent is asked for what only it can
//! do: to move the workers, and to look at processes that the one who deploys
//! may not see.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::FileId;
use job::{Clock, KindName, QueueName, Span, Subject, Verdict};
use release::{Done, Failure, Go, Hands, InUse, Place, Progress, Purpose, Rolled, Target, Task};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::code::word;
use crate::config::WorkerConfig;
use crate::control::{self, Answer, Ask, Folder};
use crate::hook::{self, Hook};
use crate::look::{self, Accepted, Users};
use crate::verify;

/// Beyond what workers may take to get ready and to end: for the agent itself.
const MARGIN: Span = Span::from_secs(30);
/// How long the agent may take to look at all processes.
const LOOK_WITHIN: Duration = Duration::from_secs(30);

/// What is to be known of this host.
#[derive(Clone, Debug)]
pub struct Site {
    /// The agent's folder.
    pub dir: PathBuf,
    /// How commands are run as another user: the launcher of this program.
    pub launcher: Vec<std::ffi::OsString>,
    /// The workers that are declared.
    pub workers: Vec<WorkerConfig>,
    /// Whether any processes of others are declared.
    pub watches: bool,
    /// The user that builds; the one who deploys if it is not said.
    pub builder: Option<String>,
    /// What hooks and workers find in their environment.
    pub env: Vec<(String, String)>,
    /// What is verified after the switch.
    pub verify: Verify,
    /// Programs that cannot be looked at and are known to be in no release.
    pub accepted: Accepted,
}

/// What is verified after the switch.
#[derive(Clone, Debug)]
pub struct Verify {
    /// Addresses that must answer with 2xx.
    pub http: Vec<String>,
    /// A kind of job that a worker of the new release must do, and its queue.
    pub job: Option<(KindName, QueueName)>,
    /// How long that may take.
    pub within: Span,
    /// How long everything must stay well after that.
    pub settle: Span,
    /// How the server is reached, if it is.
    pub server: Option<aloud_client::Settings>,
}

/// Does for a deploy what is not the tree's business. Blocks; must not be used
/// on a thread of the runtime.
pub struct OnHost<'a> {
    /// This host.
    pub site: &'a Site,
    /// The runtime that waiting is done in.
    pub runtime: Handle,
    /// Where the clocks are read.
    pub clock: Arc<dyn Clock>,
    /// Whether the commands that build are to be ended: somebody gave it up.
    pub cancelled: &'a AtomicBool,
    /// Hears how it goes.
    pub say: &'a (dyn Fn(&str) + Sync),
    /// Hears each step.
    pub progress: &'a (dyn Fn(Progress) + Sync),
    /// Waits until every host has sealed its release.
    pub barrier: &'a (dyn Fn(&Target) -> Go + Sync),
}

impl Hands for OnHost<'_> {
    fn run(&self, task: &Task) -> Result<Done, Failure> {
        let as_builder = Hook { user: self.site.builder.clone(), ..Hook::default() };
        let hooks = match task.purpose {
            Purpose::Build => vec![as_builder],
            // The release must start for every kind of worker, as whoever it runs.
            Purpose::BootCheck if self.site.workers.is_empty() => vec![as_builder],
            Purpose::BootCheck => self.site.workers.iter().map(Hook::of).collect::<BTreeSet<_>>().into_iter().collect(),
        };
        let mut done = Done::default();
        for hook in hooks {
            let mut env = self.site.env.clone();
            env.push(("ALOUD_RELEASE".to_owned(), task.release.as_str().to_owned()));
            env.push(("ALOUD_DEPLOY_KEY".to_owned(), task.key.clone()));
            let around =
                hook::Around { env: &env, launcher: &self.site.launcher, cancelled: self.cancelled, say: self.say };
            done = hook::run(&hook, task, &around)?;
        }
        Ok(done)
    }

    fn barrier(&self, sealed: &Target) -> Go {
        if self.cancelled.load(Ordering::SeqCst) {
            return Go::Abort("it was given up".to_owned());
        }
        (self.barrier)(sealed)
    }

    fn roll(&self, target: &Target) -> Rolled {
        if self.site.workers.is_empty() && !self.site.watches {
            return Rolled::NobodyToRoll;
        }
        let others = if self.site.watches { Span::from(crate::remedy::WITHIN) } else { Span::ZERO };
        let within = self.site.workers.iter().map(patience).max().unwrap_or(Span::ZERO).max(others) + MARGIN;
        let follow = Ask::Follow { within };
        let answer = self.runtime.block_on(async {
            let limit = within.as_duration() + MARGIN.as_duration();
            timeout(limit, control::ask(&self.site.dir, &follow, |line| (self.say)(line))).await
        });
        let held = |why: String| Rolled::Held { why, any_new_ready: false };
        match answer {
            Ok(Ok(Answer::Rolled(rolled))) => confirmed(rolled, target),
            Ok(Ok(Answer::Refused(why))) => held(why),
            Ok(Ok(Answer::Say(_) | Answer::Report(_) | Answer::InUse(_))) => {
                held("the agent answered something else than what it was asked".to_owned())
            }
            Ok(Err(error)) if error.nobody_is_there() => {
                (self.say)("no agent runs on this host: the workers that are declared were not moved");
                Rolled::NobodyToRoll
            }
            Ok(Err(error)) => held(error.to_string()),
            Err(_) => held(format!("the agent did not answer within {within}")),
        }
    }

    fn verify(&self, target: &Target) -> Result<Vec<String>, String> {
        let verify = &self.site.verify;
        self.runtime.block_on(async {
            let deadline = Instant::now() + verify.within.as_duration();
            let mut seen = Vec::new();
            for address in &verify.http {
                seen.push(verify::answers(address, deadline).await?);
            }
            if let Some((kind, queue)) = &verify.job {
                let server = verify.server.clone().ok_or("the server is not known, so no job could be pushed")?;
                seen.push(verify::does(server, kind, queue, &word(&target.release), deadline).await?);
            }
            sleep(verify.settle.as_duration()).await;
            self.stays_well(&mut seen).await?;
            Ok(seen)
        })
    }

    fn in_use(&self, places: &[Place]) -> Vec<InUse> {
        let folders: Vec<_> = places
            .iter()
            .map(|one| (FileId { dev: one.file_id.dev, ino: one.file_id.ino }, one.path.clone()))
            .collect();
        let own = look::users(&folders, std::process::id(), &self.site.accepted, &*self.clock);
        let asked: Vec<_> =
            folders.iter().map(|(id, path)| Folder { dev: id.dev, ino: id.ino, path: path.clone() }).collect();
        let answer = self.runtime.block_on(async {
            timeout(
                LOOK_WITHIN,
                control::ask(&self.site.dir, &Ask::InUse { folders: asked, asker: std::process::id() }, |_| ()),
            )
            .await
        });
        let agents = match answer {
            Ok(Ok(Answer::InUse(users))) if users.len() == own.len() => Some(Ok(users)),
            Ok(Err(error)) if error.nobody_is_there() => None,
            Ok(Ok(_)) | Ok(Err(_)) | Err(_) => Some(Err("the agent did not say who is in the releases")),
        };
        own.into_iter()
            .enumerate()
            .map(|(place, own)| both(own, agents.as_ref().map(|all| all.as_ref().map(|all| &all[place]))))
            .collect()
    }

    fn tell(&self, progress: Progress) {
        (self.progress)(progress);
    }
}

impl OnHost<'_> {
    /// What the agent sees once the dust has settled.
    async fn stays_well(&self, seen: &mut Vec<String>) -> Result<(), String> {
        let report = match control::ask(&self.site.dir, &Ask::Report, |_| ()).await {
            Ok(Answer::Report(report)) => report,
            Ok(_) => return Err("the agent does not say how it is".to_owned()),
            Err(error) if error.nobody_is_there() => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        for one in report.observations.iter().filter(|one| matches!(one.subject, Subject::Workers { .. })) {
            if one.verdict > Verdict::Warning {
                return Err(format!("{}: {}", one.subject, one.what));
            }
            seen.push(format!("{}: {}", one.subject, one.what));
        }
        Ok(())
    }
}

/// How long the workers of a pool may take to be replaced, one after the other.
fn patience(worker: &WorkerConfig) -> Span {
    let each = worker.ready_within.unwrap_or(Span::from_secs(60)) + worker.stop.within.unwrap_or(Span::from_secs(60));
    let rounds = worker.count.unwrap_or(1).div_ceil(worker.max_surge.unwrap_or(1).max(1));
    each.times(u32::from(rounds)).min(Span::from_secs(6 * 3_600))
}

fn confirmed(rolled: control::Rolled, target: &Target) -> Rolled {
    if rolled.release.as_deref() != Some(target.release.to_string().as_str()) && rolled.failed.is_empty() {
        let now = rolled.release.as_deref().unwrap_or("no release");
        return Rolled::Held { why: format!("`current` leads to {now} by now"), any_new_ready: rolled.any_ready };
    }
    if !rolled.failed.is_empty() {
        return Rolled::Held { why: rolled.failed.join("\n"), any_new_ready: rolled.any_ready };
    }
    Rolled::Confirmed(rolled.confirmed.iter().map(confirmed_line).collect())
}

/// A process that was confirmed, for people.
pub fn confirmed_line(one: &control::Confirmed) -> String {
    format!("{}: process {} runs release {} ({})", one.pool, one.pid, one.release, one.how)
}

/// Joins what was seen here and what the agent saw. Whoever was seen by one is
/// there; nobody is there only if the one who may look at everybody says so.
fn both(own: Users, agents: Option<Result<&Users, &&str>>) -> InUse {
    let mut certain: BTreeSet<String> = own.certain.into_iter().collect();
    let possible = match agents {
        None => own.possible,
        Some(Err(why)) => own.possible.into_iter().chain([(*why).to_owned()]).collect(),
        Some(Ok(users)) => {
            certain.extend(users.certain.iter().cloned());
            // Each sees what it may see: only whom neither could look at is unknown.
            if own.possible.is_empty() { Vec::new() } else { users.possible.clone() }
        }
    };
    match (certain.is_empty(), possible.is_empty()) {
        (false, _) => InUse::Used(certain.into_iter().collect()),
        (true, false) => InUse::Unknown(possible),
        (true, true) => InUse::Free,
    }
}

/// For putting in order what was cut short, where nothing is built or moved.
pub(crate) struct OnlyEyes<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) accepted: &'a Accepted,
}

impl Hands for OnlyEyes<'_> {
    fn run(&self, task: &Task) -> Result<Done, Failure> {
        let why = format!("`{}` is not run while something is put in order", task.name);
        Err(Failure { why, output: Vec::new() })
    }

    fn barrier(&self, _sealed: &Target) -> Go {
        Go::Abort("nothing is switched while something is put in order".to_owned())
    }

    fn roll(&self, _target: &Target) -> Rolled {
        Rolled::NobodyToRoll
    }

    fn verify(&self, _target: &Target) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn in_use(&self, places: &[Place]) -> Vec<InUse> {
        let folders: Vec<_> = places
            .iter()
            .map(|one| (FileId { dev: one.file_id.dev, ino: one.file_id.ino }, one.path.clone()))
            .collect();
        look::users(&folders, std::process::id(), self.accepted, self.clock)
            .into_iter()
            .map(|own| both(own, None))
            .collect()
    }

    fn tell(&self, _progress: Progress) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(certain: &[&str], possible: &[&str]) -> Users {
        let all = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        Users { certain: all(certain), possible: all(possible) }
    }

    #[test]
    fn a_folder_is_free_only_if_everybody_could_be_looked_at_by_one_of_the_two() {
        let agent = |users: &Users| both(self::users(&[], &["process 1 (nginx)"]), Some(Ok(users)));
        assert_eq!(both(users(&[], &[]), None), InUse::Free);
        assert_eq!(agent(&users(&[], &[])), InUse::Free, "the agent may look at everybody");
        assert_eq!(agent(&users(&["process 7 (php)"], &[])), InUse::Used(vec!["process 7 (php)".to_owned()]));
        assert_eq!(agent(&users(&[], &["process 1 (nginx)"])), InUse::Unknown(vec!["process 1 (nginx)".to_owned()]));
        assert_eq!(
            both(users(&[], &["process 1 (nginx)"]), None),
            InUse::Unknown(vec!["process 1 (nginx)".to_owned()])
        );
        assert_eq!(
            both(users(&[], &[]), Some(Err(&"the agent did not say"))),
            InUse::Unknown(vec!["the agent did not say".to_owned()])
        );
        assert_eq!(
            both(users(&["process 9 (sh)"], &["process 1"]), Some(Ok(&users(&[], &[])))),
            InUse::Used(vec!["process 9 (sh)".to_owned()])
        );
    }
}
