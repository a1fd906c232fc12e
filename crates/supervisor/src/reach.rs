//! All that a worker started, found and ended.
//!
//! Its control group if it has one; its session and its process group; and
//! those of our children that carry its id in their environment, which is
//! where one that left the session ends up when its parent has ended.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use crate::cgroup::Leaf;
use crate::process::{self, Ident, Stat};
use crate::record::Record;
use crate::worker::WorkerId;

/// What is known of a worker's processes.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) worker: WorkerId,
    pub(crate) leader: Ident,
    pub(crate) cgroup: Option<Leaf>,
}

impl Reach {
    pub(crate) fn of(record: &Record) -> Self {
        let cgroup = record.cgroup.clone().map(|path: PathBuf| Leaf::at(path));
        Self { worker: record.worker.clone(), leader: record.ident, cgroup }
    }

    /// Those that live, the leader left out.
    pub(crate) fn followers(&self) -> Vec<Ident> {
        let mut found: Vec<Ident> = process::followers(self.leader);
        let id = self.worker.to_string();
        let strays = process::children().into_iter().filter(|pid| process::was_given(*pid, "ALOUD_WORKER", &id));
        let grouped = self.cgroup.iter().flat_map(Leaf::members);
        for pid in strays.chain(grouped).filter(|pid| *pid != self.leader.pid).collect::<BTreeSet<_>>() {
            if found.iter().all(|known| known.pid != pid) {
                found.extend(Stat::read(pid).ok().filter(|s| !s.ended).map(|s| Ident { pid, start: s.start }));
            }
        }
        found
    }

    /// Whether nothing of it lives, the leader left out.
    pub(crate) fn is_empty(&self) -> bool {
        !self.cgroup.as_ref().is_some_and(Leaf::is_populated) && self.followers().is_empty()
    }

    /// Asks all to end, the leader left out.
    pub(crate) fn terminate(&self) -> Vec<Ident> {
        let found = self.followers();
        for process in &found {
            process::signal(*process, Signal::TERM);
            // One that is stopped would not hear of it.
            process::signal(*process, Signal::CONT);
        }
        found
    }

    /// Kills all, the leader too.
    pub(crate) fn kill(&self) -> Vec<Ident> {
        if let Some(cgroup) = &self.cgroup {
            // Kernels before 5.14 do not have it; the signals below do the rest.
            cgroup.kill().ok();
        }
        let found = self.followers();
        for process in found.iter().chain([&self.leader]) {
            process::signal(*process, Signal::KILL);
        }
        found
    }
}

/// Collects those of `ended` that were ours to collect and have ended; the
/// others, and those still alive, stay in the list.
pub(crate) fn collect(ended: &mut BTreeSet<u32>) {
    let ours = process::children();
    ended.retain(|pid| {
        let Some(number) = i32::try_from(*pid).ok().and_then(Pid::from_raw) else { return false };
        if !ours.contains(pid) {
            return Stat::read(*pid).is_ok();
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(number), options), Ok(None))
    });
}
