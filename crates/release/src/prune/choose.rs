//! Which releases are not needed any more.
//!
//! Pure: what was found comes in, and for each release that stays, the reason. Whether anybody is in the others is
//! asked afterwards.

use std::collections::HashMap;

use job::{Span, Timestamp};

use crate::current::Current;
use crate::deploy::Keep;
use crate::id::ReleaseId;
use crate::meta::State;
use crate::tree::Found;

/// What the choice depends on.
pub(super) struct Facts<'a> {
    pub(super) current: &'a Current,
    pub(super) keep: Keep,
    pub(super) grace: Span,
    pub(super) now: Timestamp,
    /// The device that `releases/` lies on.
    pub(super) device: Option<u64>,
}

/// The releases that stay, each with the reason. `found` is sorted, newest first.
pub(super) fn choose(found: &[Found], facts: &Facts<'_>) -> HashMap<ReleaseId, String> {
    let mut kept = HashMap::new();
    let current = found.iter().position(|release| release.current);
    // What is in use cannot be told from what is not.
    let Some(current) = current else {
        let why = format!("nothing is removed while {}", facts.current);
        return found.iter().map(|release| (release.id.clone(), why.clone())).collect();
    };
    let mut keep = |release: &Found, why: &str| {
        kept.entry(release.id.clone()).or_insert_with(|| why.to_owned());
    };
    keep(&found[current], "it is the current release");
    // The newest that worked, besides the current one, and the one that a rollback would lead to.
    let good = |release: &&Found| !release.current && release.state.is_good();
    if let Some(release) = found[current..].iter().find(good) {
        keep(release, "a rollback leads to it");
    }
    if let Some(release) = found.iter().find(good) {
        keep(release, "it is the last that was healthy before");
    } else if let Some(release) = found.iter().filter(|release| !release.current).max_by_key(|r| worked(r)) {
        keep(release, "there is no better one to go back to");
    }
    // The current one counts among those that worked, whether it does or not: the others do not get fewer by it.
    let mut healthy = facts.keep.healthy.saturating_sub(usize::from(found[current].state.is_good()));
    let mut failed = facts.keep.failed;
    for (at, release) in found.iter().enumerate().filter(|(_, release)| !release.current) {
        if facts.device.is_some_and(|device| device != release.file_id.dev) {
            keep(release, "it is a mount of its own");
        }
        if let Some(link) = release.links.first() {
            keep(release, &format!("the link `{link}` leads to it"));
        }
        match &release.state {
            State::Healthy { .. } | State::Found if healthy > 0 => {
                healthy -= 1;
                keep(release, &format!("it is among the newest {} that worked", facts.keep.healthy));
            }
            State::Healthy { .. } | State::Found => {}
            State::Building => keep(release, "it is being made"),
            State::Sealed { .. } if at < current => keep(release, "it is whole and waits to become current"),
            State::Live { .. } | State::Held { .. } => keep(release, "it is not settled whether it works"),
            State::Sealed { .. }
            | State::Failed { .. }
            | State::Aborted { .. }
            | State::RolledBack { .. }
            | State::Bad { .. } => {
                if failed > 0 {
                    failed -= 1;
                    keep(release, &format!("it is among the newest {} that failed", facts.keep.failed));
                }
                if ended(&release.state).is_some_and(|at| facts.now.since(at) < facts.grace) {
                    keep(release, "it failed only a short time ago");
                }
            }
        }
    }
    kept
}

/// How well a release did that is not known to work: one that once did is better than one that never did, and of those
/// the newer.
fn worked(release: &Found) -> (Option<Timestamp>, bool, Option<u64>) {
    let whole = !matches!(release.state, State::Building | State::Aborted { .. });
    (release.healthy_since, whole, release.id.number())
}

fn ended(state: &State) -> Option<Timestamp> {
    match state {
        State::Failed { at, .. } | State::Aborted { at, .. } | State::RolledBack { at, .. } => Some(*at),
        State::Building
        | State::Sealed { .. }
        | State::Live { .. }
        | State::Healthy { .. }
        | State::Held { .. }
        | State::Found
        | State::Bad { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::FileId;

    fn found(n: u64, state: State, current: bool) -> Found {
        Found {
            id: n.to_string().parse().unwrap(),
            file_id: FileId { dev: 1, ino: n },
            path: format!("/srv/app/releases/{n}").into(),
            state,
            current,
            created: None,
            healthy_since: None,
            by: None,
            revision: None,
            source: None,
            dirty: false,
            links: Vec::new(),
        }
    }

    fn gone(found: &[Found], healthy: usize, failed: usize) -> Vec<String> {
        let current = Current::Missing;
        let keep = Keep { healthy, failed };
        let facts = Facts { current: &current, keep, grace: Span::ZERO, now: Timestamp(9), device: Some(1) };
        let kept = choose(found, &facts);
        found.iter().filter(|f| !kept.contains_key(&f.id)).map(|f| f.id.to_string()).collect()
    }

    fn healthy() -> State {
        State::Healthy { since: Timestamp(1) }
    }

    fn failed() -> State {
        State::Failed { at: Timestamp(1), why: "x".into() }
    }

    #[test]
    fn failed_releases_do_not_use_up_what_is_kept_of_the_healthy_ones() {
        let mut all = vec![found(9, healthy(), true)];
        all.extend((5..9).rev().map(|n| found(n, failed(), false)));
        all.extend((1..5).rev().map(|n| found(n, healthy(), false)));
        assert_eq!(gone(&all, 3, 1), ["7", "6", "5", "2", "1"]);
        assert_eq!(gone(&all, 0, 0), ["8", "7", "6", "5", "3", "2", "1"], "one that worked stays in any case");
    }

    #[test]
    fn after_a_rollback_the_current_release_and_the_one_before_it_stay() {
        let left = State::RolledBack { at: Timestamp(1), to: "5".parse().unwrap(), why: None };
        let mut all = vec![found(9, left, false), found(8, healthy(), false), found(7, healthy(), false)];
        all.extend([found(6, healthy(), false), found(5, healthy(), true), found(4, healthy(), false)]);
        all.push(found(3, healthy(), false));
        assert_eq!(gone(&all, 1, 0), ["9", "7", "6", "3"]);
    }

    #[test]
    fn nothing_goes_while_current_is_no_release() {
        let all: Vec<Found> = (1..9).rev().map(|n| found(n, healthy(), false)).collect();
        assert_eq!(gone(&all, 1, 1), Vec::<String>::new());
    }

    #[test]
    fn mounts_and_what_other_links_lead_to_stay() {
        let mut all: Vec<Found> = (1..9).rev().map(|n| found(n, healthy(), n == 8)).collect();
        all[6].file_id.dev = 2;
        all[5].links.push("staging".into());
        assert_eq!(gone(&all, 2, 1), ["6", "5", "4", "1"]);
    }

    proptest! {
        #[test]
        fn what_is_current_unsettled_or_the_way_back_never_goes(
            kinds in proptest::collection::vec(0_u8..6, 1..30),
            current in 0_usize..30,
            keep in (0_usize..7, 0_usize..7),
        ) {
            let count = kinds.len();
            let all: Vec<Found> = kinds.iter().enumerate().map(|(at, kind)| {
                let state = match kind {
                    0 => State::Building,
                    1 => State::Held { at: Timestamp(1), why: "x".into() },
                    2 => failed(),
                    3 => State::Live { since: Timestamp(1), why: None },
                    _ => healthy(),
                };
                found((count - at) as u64, state, at == current % count)
            }).collect();
            let gone = gone(&all, keep.0, keep.1);
            for release in &all {
                let settled = !matches!(release.state, State::Building | State::Held { .. } | State::Live { .. });
                let goes = gone.contains(&release.id.to_string());
                prop_assert!(!goes || (!release.current && settled), "{release:?}");
            }
            let others = all.iter().filter(|r| !r.current && r.state.is_good()).count();
            let left = all.iter().filter(|r| !r.current && r.state.is_good() && !gone.contains(&r.id.to_string()));
            prop_assert!(left.count() >= others.min(1));
        }
    }
}
