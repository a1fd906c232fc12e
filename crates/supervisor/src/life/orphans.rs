//! Processes whose parents have ended, and that became our children by that.
//!
//! Somebody has to collect them when they end. Other parts of this program
//! have children of their own and wait for them, so only those are collected
//! of which it is known that a worker started them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::process::{self, Stat};
use crate::reach;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Children of ours that were seen alive with a worker's id in their environment.
    strays: BTreeSet<u32>,
    said: HashSet<String>,
}

impl Orphans {
    /// Collects those that have ended. `leaders` are the workers that run; they
    /// are left to their attendants.
    pub(super) fn sweep(&mut self, leaders: &BTreeMap<u32, String>) {
        let children = process::children();
        self.strays.retain(|pid| children.contains(pid));
        let mut ended = BTreeSet::new();
        for pid in children.into_iter().filter(|pid| !leaders.contains_key(pid)) {
            let Ok(stat) = Stat::read(pid) else { continue };
            let of_a_worker = leaders.contains_key(&stat.session);
            if !stat.ended {
                if of_a_worker || leaders.values().any(|id| process::was_given(pid, "ALOUD_WORKER", id)) {
                    self.strays.insert(pid);
                }
            } else if of_a_worker || self.strays.contains(&pid) {
                ended.insert(pid);
            }
        }
        reach::collect(&mut ended);
    }

    /// Whether this was not said before.
    pub(super) fn is_news(&mut self, what: &str) -> bool {
        self.said.insert(what.to_owned())
    }
}
