//! What the agent answers commands on its socket.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use host::FileId;
use job::{Clock, Observation, PoolName, Span, Subject, Verdict};
use supervisor::{Failure, Held, Rolling, Scope, Snapshot, Step, Supervisor};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use wire::v1::{AgentReport, WorkerState};

use crate::agent::Poke;
use crate::control::{Answer, Answers, Ask, Confirmed, Folder, Rolled, Teller};
use crate::look::{self, Accepted};

/// How long a fresh look may take.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether watched processes have followed.
const AGAIN: Duration = Duration::from_millis(500);
/// How long processes of others that no declared command moves may take to
/// follow by themselves.
const UNAIDED: Duration = Duration::from_secs(10);

/// Who answers.
pub(crate) struct Desk {
    pub(crate) supervisor: Supervisor,
    pub(crate) poke: mpsc::Sender<Poke>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) accepted: Accepted,
    /// The processes of others that a declared command moves.
    pub(crate) aided: BTreeSet<PoolName>,
}

impl Answers for Desk {
    async fn answer(&self, ask: Ask, teller: Teller) -> Answer {
        match ask {
            Ask::Report => match self.look().await {
                Some(report) => Answer::Report(Box::new((*report).clone())),
                None => Answer::Refused("the agent's loop does not come round".to_owned()),
            },
            Ask::Follow { within } => {
                self.moved(self.supervisor.roll("a command asked for it").await, within, &teller).await
            }
            Ask::Restart { pool, within } => {
                let scope = pool.map_or(Scope::All, Scope::Pool);
                self.moved(self.supervisor.restart(scope).await, within, &teller).await
            }
            Ask::InUse { folders, asker } => self.in_use(&folders, asker).await,
        }
    }
}

impl Desk {
    async fn look(&self) -> Option<Arc<AgentReport>> {
        let (poke, looked) = oneshot::channel();
        self.poke.send(poke).await.ok()?;
        timeout(LOOK_WITHIN, looked).await.ok()?.ok()
    }

    /// Who is in each folder: as the kernel shows it, and as the supervisor has
    /// it. A worker that left no trace in its release is one of a generation all
    /// the same, and so is one that is just being started.
    async fn in_use(&self, folders: &[Folder], asker: u32) -> Answer {
        // Asked first: whoever starts meanwhile is seen by the kernel.
        let snapshot = match self.supervisor.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        let (clock, accepted) = (self.clock.clone(), self.accepted.clone());
        let looked: Vec<(FileId, PathBuf)> =
            folders.iter().map(|one| (FileId { dev: one.dev, ino: one.ino }, one.path.clone())).collect();
        let seen = tokio::task::spawn_blocking(move || look::users(&looked, asker, &accepted, &*clock)).await;
        let mut users = match seen {
            Ok(users) => users,
            Err(error) => return Answer::Refused(format!("the processes could not be looked at: {error}")),
        };
        for (folder, users) in folders.iter().zip(&mut users) {
            users.certain.extend(generations(&snapshot, folder));
        }
        Answer::InUse(users)
    }

    /// Accompanies a roll to its end, and looks then whether it is so.
    async fn moved(&self, rolling: Result<Rolling, Failure>, within: Span, teller: &Teller) -> Answer {
        let mut rolling = match rolling {
            Ok(rolling) => rolling,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        let deadline = Instant::now() + within.as_duration();
        let mut rolled = Rolled::default();
        let mut told = BTreeSet::new();
        loop {
            match timeout_at(deadline, rolling.next()).await {
                Ok(Some(Step::End(end))) => {
                    told = ended(end, &mut rolled);
                    break;
                }
                Ok(Some(step)) => teller.say(step_line(&step)),
                Ok(None) => break,
                Err(_) => {
                    rolled.failed.push(format!("not all workers could be confirmed within {within}; they go on"));
                    break;
                }
            }
        }
        self.see(rolled, &told, deadline, teller).await
    }

    /// Looks whether all run what `current` leads to: also those of others,
    /// which may need a moment. Of the pools in `told` it was said already that
    /// they are not.
    async fn see(&self, mut rolled: Rolled, told: &BTreeSet<PoolName>, deadline: Instant, teller: &Teller) -> Answer {
        let mut waits = false;
        let unaided = deadline.min(Instant::now() + UNAIDED);
        loop {
            let Some(report) = self.look().await else {
                rolled.failed.push("the agent's loop does not come round".to_owned());
                return Answer::Rolled(rolled);
            };
            let owned: BTreeSet<_> = report.workers.iter().map(|worker| worker.pool.clone()).collect();
            let astray: Vec<_> = report
                .observations
                .iter()
                .filter(|one| matches!(one.subject, Subject::Workers { .. }) && one.verdict > Verdict::Warning)
                .collect();
            let now = Instant::now();
            let may_follow = |subject: &Subject| match subject {
                Subject::Workers { pool, .. } if owned.contains(pool) => false,
                Subject::Workers { pool, .. } => now < if self.aided.contains(pool) { deadline } else { unaided },
                Subject::Host(_) | Subject::Releases(_) | Subject::Queue(_) => false,
            };
            if astray.iter().any(|one| may_follow(&one.subject)) && rolled.failed.is_empty() {
                if !waits {
                    waits = true;
                    teller.say("waiting for processes that others start");
                }
                sleep(AGAIN).await;
                continue;
            }
            rolled.release = report.tree.as_ref().and_then(|tree| tree.current.clone());
            let is_told = |one: &&Observation| match &one.subject {
                Subject::Workers { pool, .. } => told.contains(pool),
                Subject::Host(_) | Subject::Releases(_) | Subject::Queue(_) => false,
            };
            for one in astray.into_iter().filter(|one| !is_told(one)) {
                rolled.failed.push(format!("{}: {}", one.subject, one.what));
                rolled.failed.extend(one.evidence.iter().map(|line| format!("  {line}")));
            }
            // What the supervisor confirmed and the kernel does not is not confirmed.
            let good = |pid: i32| {
                let mut workers = report.workers.iter();
                workers.any(|one| {
                    one.pid.is_some_and(|own| i64::from(own) == i64::from(pid))
                        && one.current
                        && one.state == WorkerState::Ready
                })
            };
            rolled.confirmed.retain(|one| good(one.pid));
            return Answer::Rolled(rolled);
        }
    }
}

/// The generations of workers whose release this folder is, and that have a
/// worker, or a place that waits for one.
fn generations(snapshot: &Snapshot, folder: &Folder) -> Vec<String> {
    let all = snapshot.pools.iter().flat_map(|pool| pool.generations.iter().map(move |one| (pool, one)));
    let here = all.filter(|(_, one)| (one.dir.dev, one.dir.ino) == (folder.dev, folder.ino) && !one.workers.is_empty());
    here.map(|(pool, one)| format!("generation {} of the workers {}", one.generation, pool.name)).collect()
}

fn step_line(step: &Step) -> String {
    match step {
        Step::Started(worker) => format!("{worker} was started"),
        Step::Ready(worker) => format!("{worker} is ready"),
        Step::Draining(worker) => format!("{worker} finishes what it does"),
        Step::Ended(worker) => format!("{worker} has ended"),
        Step::Pool(pool) => format!("all workers of {pool} are replaced"),
        Step::End(_) => String::new(),
    }
}

/// Tells how a roll has ended, and answers the pools that were given up.
fn ended(end: supervisor::Rolled, rolled: &mut Rolled) -> BTreeSet<PoolName> {
    let mut given_up = BTreeSet::new();
    match end {
        supervisor::Rolled::Confirmed(confirmed) => {
            rolled.any_ready = true;
            rolled.confirmed.extend(confirmed.into_iter().map(|one| Confirmed {
                pool: one.worker.pool().to_string(),
                pid: i32::try_from(one.pid).unwrap_or_default(),
                release: one.release,
                how: if one.verified { format!("ready: {}", one.how) } else { format!("unverified: {}", one.how) },
            }));
        }
        supervisor::Rolled::Held(held) => {
            rolled.any_ready = held.iter().any(|held| held.any_ready);
            rolled.old_serve = held.iter().any(|held| held.serving.is_some());
            for Held { pool, why, serving, last, .. } in held {
                let serves = serving.map_or("none serves".to_owned(), |id| format!("those of release {id} work on"));
                rolled.failed.push(format!("the new workers of {pool} were given up: {why}; {serves}"));
                let said = if last.stderr.is_empty() { last.stdout } else { last.stderr };
                rolled.failed.extend(said.into_iter().map(|line| format!("  {line}")));
                given_up.insert(pool);
            }
        }
        supervisor::Rolled::Overtaken => {
            rolled.failed.push("something else was asked for meanwhile; see `aloud workers`".to_owned());
        }
    }
    given_up
}
