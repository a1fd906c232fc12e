//! Which step comes next.
//!
//! ```text
//!  create ─ fill ─ shared ─ build ─ boot check ─ seal ─ barrier ─ switch ─ roll ─ verify ─ commit ─ prune
//!    │                                                     │         │       │       │
//!    └───────────────── anything badly ────────────────────┴─ abort ─┘       └───┬───┘
//!                                                                       hold, or switch back ─ roll back
//! ```
//! A resumed release and a rollback enter at the barrier, a confirmation at the roll. Pure: what happened comes in, the
//! next step goes out.

use super::{OnFailure, Step};
use crate::journal::Act;

/// What is known when the next step is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) act: Act,
    /// The last step, and how it went; none at the start.
    pub(super) last: Option<(Step, Went)>,
    pub(super) on_failure: OnFailure,
    /// Whether there is a release to go back to.
    pub(super) way_back: bool,
    /// Whether old releases are to be removed at the end.
    pub(super) prune: bool,
}

/// How a step went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Went {
    Well,
    Badly {
        /// Whether any worker of the new release was ever ready.
        any_new_ready: bool,
    },
}

/// The next step; none when it is over.
pub(super) fn next(facts: &Facts) -> Option<Step> {
    let Some((step, went)) = facts.last else {
        return match facts.act {
            Act::Deploy => Some(Step::Create),
            Act::Resume | Act::Rollback => Some(Step::Barrier),
            Act::Confirm => Some(Step::Roll),
            Act::Prune => Some(Step::Prune),
        };
    };
    match went {
        Went::Well => after(step, facts),
        Went::Badly { any_new_ready } => instead(step, any_new_ready, facts),
    }
}

fn after(step: Step, facts: &Facts) -> Option<Step> {
    match step {
        Step::Create => Some(Step::Fill),
        Step::Fill => Some(Step::Shared),
        Step::Shared => Some(Step::Build),
        Step::Build => Some(Step::BootCheck),
        Step::BootCheck => Some(Step::Seal),
        Step::Seal => Some(Step::Barrier),
        Step::Barrier => Some(Step::Switch),
        Step::Switch => Some(Step::Roll),
        Step::Roll => Some(Step::Verify),
        Step::Verify => Some(Step::Commit),
        Step::Commit => facts.prune.then_some(Step::Prune),
        Step::SwitchBack => Some(Step::RollBack),
        Step::Prune | Step::Abort | Step::Hold | Step::RollBack => None,
    }
}

fn instead(step: Step, any_new_ready: bool, facts: &Facts) -> Option<Step> {
    match step {
        Step::Create
        | Step::Fill
        | Step::Shared
        | Step::Build
        | Step::BootCheck
        | Step::Seal
        | Step::Barrier
        | Step::Switch => (facts.act != Act::Rollback).then_some(Step::Abort),
        Step::Roll | Step::Verify => {
            let back = match facts.on_failure {
                OnFailure::Decide => !any_new_ready,
                OnFailure::Hold => false,
                OnFailure::Rollback => true,
            };
            Some(if back && facts.way_back { Step::SwitchBack } else { Step::Hold })
        }
        // The link could not be turned: the new release stays the current one.
        Step::SwitchBack => Some(Step::Hold),
        // It works, and could not be written down: that is said, and nothing is removed.
        Step::Commit | Step::Prune | Step::Abort | Step::Hold | Step::RollBack => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BADLY: Went = Went::Badly { any_new_ready: false };
    const BADLY_WITH_NEW: Went = Went::Badly { any_new_ready: true };

    fn facts(act: Act, last: Option<(Step, Went)>) -> Facts {
        Facts { act, last, on_failure: OnFailure::Decide, way_back: true, prune: true }
    }

    /// All the steps of an act in which everything goes well, but for what `bad` says.
    fn course(act: Act, bad: &[(Step, Went)]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut now = facts(act, None);
        while let Some(step) = next(&now) {
            steps.push(step);
            let went = bad.iter().find(|(at, _)| *at == step).map_or(Went::Well, |(_, went)| *went);
            now.last = Some((step, went));
            assert!(steps.len() < 20, "it never ends: {steps:?}");
        }
        steps
    }

    #[test]
    fn prune_is_last_and_comes_only_after_what_was_verified() {
        use Step::*;
        let whole = [Create, Fill, Shared, Build, BootCheck, Seal, Barrier, Switch, Roll, Verify, Commit, Prune];
        assert_eq!(course(Act::Deploy, &[]), whole);
        assert_eq!(course(Act::Resume, &[]), whole[6..]);
        assert_eq!(course(Act::Rollback, &[]), whole[6..]);
        assert_eq!(course(Act::Confirm, &[]), whole[8..]);
    }

    #[test]
    fn what_fails_before_the_switch_ends_there() {
        use Step::*;
        for step in [Create, Fill, Shared, Build, BootCheck, Seal, Barrier, Switch] {
            let steps = course(Act::Deploy, &[(step, BADLY)]);
            assert_eq!(steps[steps.len() - 2..], [step, Abort], "{step:?}");
            assert!(!steps.contains(&Roll) && !steps.contains(&Prune), "{step:?}");
        }
        assert_eq!(course(Act::Rollback, &[(Barrier, BADLY)]), [Barrier]);
        assert_eq!(course(Act::Rollback, &[(Switch, BADLY)]), [Barrier, Switch]);
    }

    #[test]
    fn what_fails_after_the_switch_goes_back_or_is_held_and_removes_nothing() {
        use Step::*;
        let end = |bad: &[(Step, Went)]| course(Act::Deploy, bad)[8..].to_vec();
        assert_eq!(end(&[(Roll, BADLY)]), [Roll, SwitchBack, RollBack]);
        assert_eq!(end(&[(Roll, BADLY_WITH_NEW)]), [Roll, Hold]);
        assert_eq!(end(&[(Verify, BADLY_WITH_NEW)]), [Roll, Verify, Hold]);
        assert_eq!(end(&[(Roll, BADLY), (SwitchBack, BADLY)]), [Roll, SwitchBack, Hold]);
        let first = Facts { way_back: false, ..facts(Act::Deploy, Some((Roll, BADLY))) };
        assert_eq!(next(&first), Some(Hold), "there is nothing to go back to");
        for (on_failure, went, expect) in [
            (OnFailure::Hold, BADLY, Hold),
            (OnFailure::Rollback, BADLY_WITH_NEW, SwitchBack),
            (OnFailure::Rollback, BADLY, SwitchBack),
        ] {
            let facts = Facts { on_failure, ..facts(Act::Deploy, Some((Roll, went))) };
            assert_eq!(next(&facts), Some(expect), "{on_failure:?}");
        }
    }
}
