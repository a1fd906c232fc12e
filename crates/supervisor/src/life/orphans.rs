//! Processes whose parents have ended, and that became our children by that.
//!
//! Somebody has to collect them when they end. Other parts of this program
//! have children of their own and wait for them, and to collect one of those
//! would make them wait for ever. So those are collected at once of which it
//! is known that somebody else started them, and the rest only when nobody has
//! come for them in a long time.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::process::{self, Stat};
use crate::reach;

/// For how many looks, one a second, one that may be another's is left to it.
const PATIENCE: u32 = 120;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Children of ours that were seen alive with a worker's id in their environment.
    strays: BTreeSet<u32>,
    /// Those that have ended and may be another's, and for how many looks.
    left: BTreeMap<u32, u32>,
    said: HashSet<String>,
}

impl Orphans {
    /// Collects those that have ended. `leaders` are the workers that run; they
    /// are left to their attendants.
    pub(super) fn sweep(&mut self, leaders: &BTreeSet<u32>) {
        let Ok(own) = Stat::read(std::process::id()) else { return };
        let children = process::children();
        self.strays.retain(|pid| children.contains(pid));
        self.left.retain(|pid, _| children.contains(pid));
        let mut ended = BTreeSet::new();
        for pid in children.into_iter().filter(|pid| !leaders.contains(pid)) {
            let Ok(stat) = Stat::read(pid) else { continue };
            if !stat.ended {
                if process::was_given_any(pid, "ALOUD_WORKER") {
                    self.strays.insert(pid);
                }
                continue;
            }
            let looks = self.left.entry(pid).or_default();
            *looks += 1;
            if self.strays.contains(&pid) || cannot_be_ours(&stat, &own) || *looks > PATIENCE {
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

/// Whether a child was started by another than this process: one that we start
/// is in our session or has begun its own, and in our group or leads its own.
fn cannot_be_ours(child: &Stat, own: &Stat) -> bool {
    let session_of_others = child.session != own.session && child.session != child.pid;
    let group_of_others = child.group != own.group && child.group != child.pid;
    session_of_others || group_of_others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Start;

    #[test]
    fn whoever_is_in_the_group_or_session_of_another_was_started_by_it() {
        let stat = |pid, group, session| Stat { pid, ended: true, parent: 10, group, session, start: Start(0) };
        let own = stat(10, 10, 9);
        let check = |child, expect| assert_eq!(cannot_be_ours(&child, &own), expect, "{child:?}");
        check(stat(20, 10, 9), false);
        check(stat(20, 20, 9), false);
        check(stat(20, 20, 20), false);
        check(stat(20, 15, 9), true);
        check(stat(20, 15, 15), true);
        check(stat(20, 20, 15), true);
    }
}
