//! The steps of a deploy, each on its own.

use job::Timestamp;
use rustix::fs::syncfs;
use rustix::io::Errno;

use super::{Problem, Run};
use crate::current;
use crate::deploy::{Hook, Progress, Step, room, shared};
use crate::dir::Dir;
use crate::error::Trouble;
use crate::foreign::{self, Kind};
use crate::hands::{Go, Purpose, Rolled, Target, Task};
use crate::id::ReleaseId;
use crate::journal::{Act, Mark};
use crate::meta::{Meta, State};
use crate::prune::{self, Fate};
use crate::source;
use crate::tree::{RELEASES, REVISION};

impl Run<'_, '_> {
    /// Does what a step is about. Answers what there is to say about it.
    pub(super) fn perform(&mut self, step: Step) -> Result<String, Problem> {
        let done = match step {
            Step::Create => self.create(),
            Step::Fill => self.fill(),
            Step::Shared => self.shared(),
            Step::Build => return self.hooks(),
            Step::BootCheck => return self.boot_check(),
            Step::Seal => self.seal(),
            Step::Barrier => return self.barrier(),
            Step::Switch => self.switch(),
            Step::Roll => return self.roll(),
            Step::Verify => return self.verify(),
            Step::Commit => self.commit(),
            Step::Prune => self.prune(),
            Step::Abort => self.abort(),
            Step::Hold => self.hold(),
            Step::SwitchBack => self.switch_back(),
            Step::RollBack => self.roll_back(),
        };
        done.map_err(|trouble| self.trouble(step, &trouble))
    }

    fn create(&mut self) -> Result<String, Trouble> {
        let mut meta = Meta::new(self.release.clone(), State::Building, self.now());
        meta.by = Some(self.tx.who.clone());
        meta.source = self.build.map(|build| build.source.to_string());
        // Before the directory: one of which nothing is known would be taken for another tool's, and for good.
        self.tx.remember(&meta)?;
        foreign::take_number(self.tx.tree.root_dir(), &self.release)?;
        let releases = self.releases()?;
        releases.make_new_dir(self.release.as_str())?;
        releases.sync()?;
        Ok(format!("`{}`", self.tx.tree.path_of(&self.release).display()))
    }

    fn fill(&mut self) -> Result<String, Trouble> {
        let Some(build) = self.build else { return Ok(String::new()) };
        let dir = self.dir()?;
        let revision = source::fill(self.tx.tree, &dir, build)?;
        if let Some(revision) = &revision {
            dir.write(REVISION, &format!("{revision}\n"))?;
            self.tx.change(&self.release, |meta| meta.revision = Some(revision.clone()))?;
        }
        let made = foreign::Made {
            id: &self.release,
            at: self.now(),
            by: &self.tx.who,
            target: &build.source.target(),
            revision: revision.as_deref(),
        };
        foreign::note(self.tx.tree.root_dir(), self.kind()?, &made)?;
        Ok(revision.map_or_else(|| "without a revision".into(), |revision| format!("revision {revision}")))
    }

    fn shared(&mut self) -> Result<String, Trouble> {
        let Some(build) = self.build else { return Ok(String::new()) };
        let count = shared::link(self.tx.tree, &self.release, &self.dir()?, &build.shared)?;
        Ok(format!("{count} shared"))
    }

    fn hooks(&mut self) -> Result<String, Problem> {
        let hooks = self.build.map(|build| build.hooks.as_slice()).unwrap_or_default();
        for hook in hooks {
            let written = self.record(Step::Build, Mark::Intent, Some(hook.name.clone()));
            written.map_err(|trouble| self.trouble(Step::Build, &trouble))?;
            let ran = self.run(Step::Build, Purpose::Build, hook);
            let mark = if ran.is_ok() { Mark::Done } else { Mark::Failed };
            let written = self.record(Step::Build, mark, Some(hook.name.clone()));
            self.warn_of("written down", written);
            ran?;
        }
        Ok(format!("{} hooks ran", hooks.len()))
    }

    fn boot_check(&mut self) -> Result<String, Problem> {
        match self.build.and_then(|build| build.boot_check.as_ref()) {
            Some(check) => self.run(Step::BootCheck, Purpose::BootCheck, check).map(|()| "it starts".into()),
            None => Ok("none is declared".into()),
        }
    }

    fn run(&mut self, step: Step, purpose: Purpose, hook: &Hook) -> Result<(), Problem> {
        let task = Task {
            purpose,
            name: hook.name.clone(),
            argv: hook.argv.clone(),
            dir: self.tx.tree.path_of(&self.release),
            release: self.release.clone(),
            key: format!("{}:{}:{}", self.release.as_str(), self.tx.id, hook.name),
            within: hook.within,
        };
        match self.hands.run(&task) {
            Ok(done) => {
                self.hands.tell(Progress::Ran { hook: hook.name.clone(), output: done.output });
                Ok(())
            }
            Err(failure) => Err(Problem {
                step,
                what: format!("`{}` ended with {}", hook.name, failure.why),
                hint: format!("run it by hand in `{}`: `{}`", task.dir.display(), task.argv.join(" ")),
                output: failure.output,
                by_system: false,
                any_new_ready: false,
            }),
        }
    }

    fn seal(&mut self) -> Result<String, Trouble> {
        let dir = self.dir()?;
        dir.point("syncfs");
        syncfs(dir.fd()).map_err(|error| dir.trouble("write to the disk", ".".as_ref(), error))?;
        dir.point("syncfs done");
        let (contents, at) = (room::measure(&dir), self.now());
        self.tx.change(&self.release, |meta| {
            meta.state = State::Sealed { at };
            meta.sealed_at = Some(at);
            meta.contents = Some(contents);
        })?;
        Ok(format!("{} files, {} KiB, digest {:08x}", contents.inodes, contents.bytes >> 10, contents.digest))
    }

    fn barrier(&mut self) -> Result<String, Problem> {
        let target = self.target(&self.release).map_err(|trouble| self.trouble(Step::Barrier, &trouble))?;
        match self.hands.barrier(&target) {
            Go::Switch => Ok("every host has it".into()),
            Go::Abort(why) => Err(Problem {
                step: Step::Barrier,
                what: why,
                hint: "see why, and try again".into(),
                output: Vec::new(),
                by_system: false,
                any_new_ready: false,
            }),
        }
    }

    fn switch(&mut self) -> Result<String, Trouble> {
        let file_id = self.dir()?.file_id()?;
        current::switch(self.tx.tree, &self.release, file_id, &self.tx.id)?;
        // `current` is the truth; what is written down beside it may come later.
        let since = self.now();
        let written = self.tx.set_state(&self.release, State::Live { since, why: None });
        self.warn_of("written down", written);
        Ok(format!("`{}` is release {}", self.tx.tree.current_path().display(), self.release))
    }

    fn roll(&mut self) -> Result<String, Problem> {
        let target = self.target(&self.release).map_err(|trouble| self.trouble(Step::Roll, &trouble))?;
        match self.hands.roll(&target) {
            Rolled::Confirmed(lines) => {
                let count = lines.len();
                self.confirmed.extend(lines);
                Ok(format!("{count} workers are in it"))
            }
            Rolled::NobodyToRoll => {
                self.warn("there are no workers, so nobody could confirm that it works".into());
                Ok("there are no workers".into())
            }
            Rolled::Held { why, any_new_ready } => Err(after_switch(Step::Roll, why, any_new_ready)),
        }
    }

    fn verify(&mut self) -> Result<String, Problem> {
        let target = self.target(&self.release).map_err(|trouble| self.trouble(Step::Verify, &trouble))?;
        match self.hands.verify(&target) {
            Ok(lines) => {
                self.confirmed.extend(lines);
                Ok("it works".into())
            }
            Err(why) => Err(after_switch(Step::Verify, why, true)),
        }
    }

    fn commit(&mut self) -> Result<String, Trouble> {
        let at = self.now();
        self.tx.change(&self.release, |meta| {
            meta.state = State::Healthy { since: at };
            meta.healthy_since = Some(at);
        })?;
        self.dir()?.unlink_if_there(foreign::BAD)?;
        if let Some((was, _)) = self.was.clone().filter(|(was, _)| *was != self.release) {
            self.settle(&was, at)?;
        }
        Ok("it is healthy".into())
    }

    /// Writes down how the release fared that was left for this one.
    fn settle(&self, was: &ReleaseId, at: Timestamp) -> Result<(), Trouble> {
        if self.tx.act == Act::Rollback {
            let state = State::RolledBack { at, to: self.release.clone(), why: self.reason.clone() };
            self.tx.set_state(was, state)?;
            return self.mark_bad(was, at);
        }
        match self.tx.meta(was)?.and_then(|meta| meta.once_left(at)) {
            Some(state) => self.tx.set_state(was, state),
            None => Ok(()),
        }
    }

    fn prune(&mut self) -> Result<String, Trouble> {
        let pruning = prune::run(&mut self.tx, self.options, self.hands)?;
        let blocked: Vec<String> =
            pruning.blocked().map(|fated| format!("release {} {}", fated.id, fated.fate)).collect();
        for blocked in blocked {
            self.warn(blocked);
        }
        let removed = pruning.releases.iter().filter(|fated| matches!(fated.fate, Fate::Removed { .. })).count();
        let said = format!("{removed} removed, {} KiB freed", pruning.bytes >> 10);
        self.pruning = Some(pruning);
        Ok(said)
    }

    fn abort(&mut self) -> Result<String, Trouble> {
        // The switch may have happened all the same: then nothing of it is touched.
        if current::resolve(self.tx.tree)?.release() == Some(&self.release) {
            return Ok("it has become current".into());
        }
        let (why, by_system) = match &self.problem {
            Some(problem) => (problem.what.clone(), problem.by_system),
            None => (String::new(), false),
        };
        let at = self.now();
        let written = self.tx.set_state(&self.release, State::Aborted { at, why });
        self.warn_of("written down as aborted", written);
        if !by_system {
            return Ok("`current` is as it was".into());
        }
        let fate = prune::remove_one(&mut self.tx, &self.release.clone(), self.options, self.hands)?;
        Ok(format!("`current` is as it was; what was made: {fate}"))
    }

    fn hold(&mut self) -> Result<String, Trouble> {
        let (at, why) = (self.now(), self.why());
        self.tx.set_state(&self.release, State::Held { at, why })?;
        Ok("it stays current, unconfirmed".into())
    }

    fn switch_back(&mut self) -> Result<String, Trouble> {
        let Some((was, file_id)) = self.was.clone() else { return Ok(String::new()) };
        current::switch(self.tx.tree, &was, file_id, &self.tx.id)?;
        let (at, why) = (self.now(), self.why());
        let written = self.tx.set_state(&self.release, State::Failed { at, why });
        self.warn_of("written down as failed", written);
        let marked = self.mark_bad(&self.release, at);
        self.warn_of("marked as bad", marked);
        Ok(format!("`{}` is release {was} again", self.tx.tree.current_path().display()))
    }

    fn roll_back(&mut self) -> Result<String, Trouble> {
        let Some((was, _)) = self.was.clone() else { return Ok(String::new()) };
        let rolled = self.hands.roll(&self.target(&was)?);
        let said = match &rolled {
            Rolled::Confirmed(lines) => format!("{} workers are in release {was}", lines.len()),
            Rolled::NobodyToRoll => "there are no workers".into(),
            Rolled::Held { why, .. } => {
                let said = format!("the workers are not all back in release {was}: {why}");
                self.warn(said.clone());
                said
            }
        };
        self.rolled_back = Some(rolled);
        Ok(said)
    }

    fn target(&self, release: &ReleaseId) -> Result<Target, Trouble> {
        let dir = self.dir_of(release)?;
        let revision = self.tx.meta(release)?.and_then(|meta| meta.revision);
        Ok(Target {
            tx: self.tx.id.clone(),
            release: release.clone(),
            file_id: dir.file_id()?,
            path: self.tx.tree.path_of(release),
            revision,
            was: self.left_for(release),
        })
    }

    /// The release that is left when this one becomes current: on the way back, the new one.
    fn left_for(&self, release: &ReleaseId) -> Option<ReleaseId> {
        match &self.was {
            Some((was, _)) if was == release => Some(self.release.clone()),
            was => was.as_ref().map(|(was, _)| was.clone()),
        }
    }

    /// Marks a release so that Deployer does not roll back to it.
    fn mark_bad(&self, release: &ReleaseId, at: Timestamp) -> Result<(), Trouble> {
        if self.kind()? != Kind::Deployer {
            return Ok(());
        }
        self.dir_of(release)?.write(foreign::BAD, &format!("{at},{}\n", self.tx.who))
    }

    fn dir(&self) -> Result<Dir, Trouble> {
        self.dir_of(&self.release)
    }

    fn dir_of(&self, release: &ReleaseId) -> Result<Dir, Trouble> {
        let dir = self.releases()?.dir(release.as_str())?;
        dir.ok_or_else(|| {
            let path = self.tx.tree.path_of(release);
            Trouble::system(format!("open `{}`", path.display()), Errno::NOENT)
        })
    }

    fn releases(&self) -> Result<Dir, Trouble> {
        self.tx.tree.root_dir().make_dir(RELEASES)
    }

    fn kind(&self) -> Result<Kind, Trouble> {
        self.tx.tree.kind_now()
    }
}

fn after_switch(step: Step, what: String, any_new_ready: bool) -> Problem {
    let hint = "see why with `aloud workers`; `aloud rollback` leads back".into();
    Problem { step, what, hint, output: Vec::new(), by_system: false, any_new_ready }
}
