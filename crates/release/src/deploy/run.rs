//! Applies a deploy's steps: the one place that does. What each does stands in `run::steps`.
//!
//! Each step is written down before it happens and after. Before the switch, whatever goes wrong ends the deploy and
//! leaves `current` alone; after it, only what is said about the workers can.

mod steps;

use job::Timestamp;
use rustix::io::Errno;

use super::decide::{Facts, Went, next};
use super::{Build, Ended, Options, Outcome, Progress, Step};
use crate::current;
use crate::error::{Error, Message, Trouble, Why};
use crate::hands::{Hands, Rolled};
use crate::id::{FileId, ReleaseId};
use crate::journal::{Act, Mark};
use crate::prune::Pruning;
use crate::transaction::Transaction;

pub(super) struct Run<'r, 't> {
    tx: Transaction<'t>,
    options: &'r Options,
    hands: &'r dyn Hands,
    build: Option<&'r Build>,
    release: ReleaseId,
    was: Option<(ReleaseId, FileId)>,
    /// Why a person goes back, if that was said.
    reason: Option<String>,
    problem: Option<Problem>,
    confirmed: Vec<String>,
    rolled_back: Option<Rolled>,
    pruning: Option<Pruning>,
    warnings: Vec<String>,
}

/// What went wrong in a step.
struct Problem {
    step: Step,
    /// As a clause without a full stop.
    what: String,
    hint: String,
    /// What a command wrote last.
    output: Vec<String>,
    /// The system had no room or no right to go on: what was made is of no use to anybody.
    by_system: bool,
    any_new_ready: bool,
}

impl<'r, 't> Run<'r, 't> {
    pub(super) fn new(
        tx: Transaction<'t>,
        build: Option<&'r Build>,
        release: ReleaseId,
        was: Option<(ReleaseId, FileId)>,
        options: &'r Options,
        hands: &'r dyn Hands,
    ) -> Self {
        Self {
            tx,
            options,
            hands,
            build,
            release,
            was,
            reason: None,
            problem: None,
            confirmed: Vec::new(),
            rolled_back: None,
            pruning: None,
            warnings: Vec::new(),
        }
    }

    pub(super) fn because(self, reason: Option<&str>) -> Self {
        Self { reason: reason.map(str::to_owned), ..self }
    }

    pub(super) fn finish(mut self) -> Result<Outcome, Error> {
        let mut facts = Facts {
            act: self.tx.act,
            last: None,
            on_failure: self.options.on_failure,
            way_back: self.was.is_some(),
            prune: self.options.prune,
        };
        while let Some(step) = next(&facts) {
            facts.last = Some((step, self.step(step)));
        }
        self.conclude(facts.last)
    }

    fn step(&mut self, step: Step) -> Went {
        self.hands.tell(Progress::Begins(step, self.sentence(step)));
        let result = match self.record(step, Mark::Intent, None) {
            // What cannot be written down is not begun; but what was begun with the switch is brought to its end.
            Err(trouble) if step <= Step::Switch => Err(self.trouble(step, &trouble)),
            written => {
                self.warn_of("written down", written);
                self.perform(step)
            }
        };
        match result {
            Ok(said) => {
                let written = self.record(step, Mark::Done, None);
                self.warn_of("written down", written);
                self.hands.tell(Progress::Ended(step, said));
                Went::Well
            }
            Err(problem) => {
                let written = self.record(step, Mark::Failed, Some(problem.what.clone()));
                self.warn_of("written down", written);
                let any_new_ready = problem.any_new_ready;
                match step {
                    Step::Prune | Step::Abort | Step::Hold | Step::Commit | Step::RollBack | Step::SwitchBack => {
                        self.warn(format!("{}: {}", name(step), problem.what));
                    }
                    Step::Create
                    | Step::Fill
                    | Step::Shared
                    | Step::Build
                    | Step::BootCheck
                    | Step::Seal
                    | Step::Barrier
                    | Step::Switch
                    | Step::Roll
                    | Step::Verify => self.problem = Some(problem),
                }
                Went::Badly { any_new_ready }
            }
        }
    }

    fn conclude(mut self, last: Option<(Step, Went)>) -> Result<Outcome, Error> {
        let step = last.map_or(Step::Create, |(step, _)| step);
        let (at, why) = (self.now(), self.why());
        let over = self.record(step, Mark::Over, self.problem.as_ref().map(|problem| problem.what.clone()));
        self.warn_of("written down", over);
        let ended = match step {
            Step::Abort | Step::Barrier | Step::Switch => return Err(self.not_switched()),
            Step::Hold => Ended::Held { why },
            Step::SwitchBack | Step::RollBack => {
                Ended::WentBack { why, rolled: self.rolled_back.take().unwrap_or(Rolled::NobodyToRoll) }
            }
            Step::Create
            | Step::Fill
            | Step::Shared
            | Step::Build
            | Step::BootCheck
            | Step::Seal
            | Step::Roll
            | Step::Verify
            | Step::Commit
            | Step::Prune => Ended::Healthy(self.confirmed),
        };
        let was = self.was.map(|(was, _)| was);
        Ok(Outcome { release: self.release, was, at, ended, pruning: self.pruning, warnings: self.warnings })
    }

    fn not_switched(&self) -> Error {
        let (release, tree) = (&self.release, self.tx.tree);
        let Some(problem) = &self.problem else {
            return Error::Unsure(Message::new("it ended without a reason", "See `aloud releases`.", "deploy again"));
        };
        let step = name(problem.step);
        let mut happened = if problem.step == Step::Switch || self.tx.act == Act::Rollback {
            problem.what.clone()
        } else {
            format!("release {release} was not finished, at the step {step}: {}", problem.what)
        };
        if !problem.output.is_empty() {
            happened.push_str(". The last it wrote:");
            for line in &problem.output {
                happened.push_str("\n    ");
                happened.push_str(line);
            }
        }
        let now = current::resolve(tree);
        if now.as_ref().is_ok_and(|now| now.release() == Some(release)) {
            let means = format!("`current` leads to release {release} all the same. Its workers were not moved.");
            return Error::Unsure(Message::new(happened, means, format!("{}, then deploy again", problem.hint)));
        }
        let mut means = match now {
            Ok(now) => format!("Nothing was switched: {now}."),
            Err(_) => "Nothing was switched.".into(),
        };
        let there = tree.path_of(release);
        if self.tx.act != Act::Rollback && there.exists() {
            means.push_str(&format!(" What was made stays at `{}` until it is pruned.", there.display()));
        }
        Error::Aborted(Message::new(happened, means, problem.hint.clone()))
    }

    fn now(&self) -> Timestamp {
        self.tx.tree.now()
    }

    fn why(&self) -> String {
        self.problem.as_ref().map(|problem| problem.what.clone()).unwrap_or_default()
    }

    fn record(&mut self, step: Step, mark: Mark, note: Option<String>) -> Result<(), Trouble> {
        let was = self.was.as_ref().map(|(was, _)| was.clone());
        self.tx.record(step, mark, Some(&self.release.clone()), was.as_ref(), note)
    }

    fn trouble(&self, step: Step, trouble: &Trouble) -> Problem {
        let by_system = match &trouble.why {
            Why::System(errno) => [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::ACCESS, Errno::PERM].contains(errno),
            Why::Ours { .. } => false,
        };
        let (what, hint) = (trouble.happened(), trouble.hint());
        // What we cannot do after the switch says nothing about the workers.
        Problem { step, what, hint, output: Vec::new(), by_system, any_new_ready: step > Step::Switch }
    }

    fn warn_of(&mut self, what: &str, result: Result<(), Trouble>) {
        if let Err(trouble) = result {
            self.warn(format!("release {} was not {what}: {trouble}", self.release));
        }
    }

    fn warn(&mut self, warning: String) {
        self.hands.tell(Progress::Warning(warning.clone()));
        self.warnings.push(warning);
    }

    fn sentence(&self, step: Step) -> String {
        let release = &self.release;
        match step {
            Step::Create => format!("release {release} is begun"),
            Step::Fill => match self.build {
                Some(build) => format!("`{}` is copied", build.source),
                None => "the source is copied".into(),
            },
            Step::Shared => "what is shared is linked".into(),
            Step::Build => "the hooks run".into(),
            Step::BootCheck => "it is seen whether it starts".into(),
            Step::Seal => "everything is written to the disk".into(),
            Step::Barrier => "the other hosts are waited for".into(),
            Step::Switch => format!("`current` is switched to release {release}"),
            Step::Roll => format!("the workers are moved to release {release}"),
            Step::Verify => "it is seen whether it works".into(),
            Step::Commit => "it is written down as healthy".into(),
            Step::Prune => "old releases are removed".into(),
            Step::Abort => format!("release {release} is given up"),
            Step::Hold => format!("release {release} is held"),
            Step::SwitchBack => "`current` is switched back".into(),
            Step::RollBack => "the workers are moved back".into(),
        }
    }
}

/// A step as people read it.
fn name(step: Step) -> &'static str {
    match step {
        Step::Create => "create",
        Step::Fill => "fill",
        Step::Shared => "shared",
        Step::Build => "build",
        Step::BootCheck => "boot check",
        Step::Seal => "seal",
        Step::Barrier => "barrier",
        Step::Switch => "switch",
        Step::Roll => "roll",
        Step::Verify => "verify",
        Step::Commit => "commit",
        Step::Prune => "prune",
        Step::Abort => "abort",
        Step::Hold => "hold",
        Step::SwitchBack => "switch back",
        Step::RollBack => "roll back",
    }
}
