//! What a deploy on several hosts does on each: the same as on one, and it
//! waits for the others where that matters.

use agent::deploy::OnHost;
use release::{Done, Failure, Go, Hands, InUse, Place, Progress, Purpose, Rolled, Target, Task};

use super::heard::{Heard, Last};
use super::out::Out;
use crate::deploy::words::Said;

/// A host among others.
pub(super) struct Together<'a> {
    pub(super) here: OnHost<'a>,
    pub(super) heard: &'a Heard,
    pub(super) out: &'a Out,
    /// The commands that must run once: when all other hosts are ready.
    pub(super) once: &'a [Vec<String>],
    /// Whether it stays only if it works on all.
    pub(super) all_or_none: bool,
}

impl Hands for Together<'_> {
    fn run(&self, task: &Task) -> Result<Done, Failure> {
        if task.purpose == Purpose::Build && self.once.contains(&task.argv) {
            let failure = |why| Failure { why: format!("nothing done: {why}"), output: Vec::new() };
            self.heard.once().map_err(failure)?;
        }
        self.here.run(task)
    }

    fn barrier(&self, sealed: &Target) -> Go {
        let release = sealed.release.as_str().to_owned();
        self.out.say(&Said::Sealed { release, revision: sealed.revision.clone() });
        let go = self.heard.go();
        if go == Go::Switch {
            self.out.say(&Said::Switching);
        }
        go
    }

    fn roll(&self, target: &Target) -> Rolled {
        self.here.roll(target)
    }

    fn verify(&self, target: &Target) -> Result<Vec<String>, String> {
        let seen = self.here.verify(target)?;
        if !self.all_or_none {
            return Ok(seen);
        }
        self.out.say(&Said::Verified);
        match self.heard.last() {
            Last::Commit => Ok(seen),
            Last::Back(why) => Err(why),
        }
    }

    fn in_use(&self, places: &[Place]) -> Vec<InUse> {
        self.here.in_use(places)
    }

    fn tell(&self, progress: Progress) {
        self.here.tell(progress);
    }
}
