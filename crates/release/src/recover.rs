//! What is put in order after something was cut short.
//!
//! What `current` says counts, then the journal, then what was written down about each release. Nobody else is at work
//! in the tree meanwhile, so whatever looks as if it were being done was cut short.

use std::collections::HashMap;

use job::Timestamp;

use crate::current;
use crate::deploy::{Options, Step};
use crate::error::{Error, Trouble};
use crate::hands::Hands;
use crate::id::ReleaseId;
use crate::journal::{Act, Mark, Record};
use crate::meta::{Meta, State};
use crate::prune::{self, Fate};
use crate::transaction::Transaction;
use crate::tree::Tree;

/// What was found cut short, and what was done about it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovery {
    /// Each thing that was put in order.
    pub mended: Vec<Mended>,
}

/// One thing that was put in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mended {
    /// A release that was not whole, or that a newer one has overtaken, is marked as aborted. It never was the current
    /// one.
    Aborted(ReleaseId),
    /// A release is whole and was not switched to: `resume` makes it current.
    Resumable(ReleaseId),
    /// The switch to it had happened, and nobody has confirmed that it works: roll and verify it.
    Unverified(ReleaseId),
    /// It was current, and was left before anybody confirmed that it works: it is marked as failed, or as healthy if it
    /// once was.
    Left(ReleaseId),
    /// A link of a switch that did not happen was removed.
    StrayLink(String),
    /// A hook may have run, and nobody knows whether to its end.
    HookMayHaveRun {
        /// The release that it ran for.
        release: ReleaseId,
        /// The hook.
        hook: String,
    },
    /// What was half removed is gone.
    Trash(ReleaseId),
    /// What was half removed is still there, for this reason.
    TrashStays(ReleaseId, Fate),
}

impl std::fmt::Display for Mended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Aborted(id) => write!(f, "release {id} was not finished and never became current; it is marked so"),
            Self::Resumable(id) => {
                write!(f, "release {id} is whole and was not switched to; resume it, or deploy anew")
            }
            Self::Unverified(id) => write!(f, "release {id} is current, and nobody has confirmed that it works"),
            Self::Left(id) => write!(f, "release {id} was left before anybody confirmed that it works"),
            Self::StrayLink(name) => write!(f, "the link `{name}` of a switch that did not happen was removed"),
            Self::HookMayHaveRun { release, hook } => {
                write!(f, "the hook `{hook}` for release {release} was cut short; it may have run, in part or whole")
            }
            Self::Trash(id) => write!(f, "release {id} was half removed; now it is gone"),
            Self::TrashStays(id, fate) => write!(f, "release {id} was half removed, and stays: {fate}"),
        }
    }
}

/// Puts in order what was cut short by a kill, a crash or a power cut.
///
/// Every deploy begins with it; an agent calls it at its start. It waits for nobody: somebody at work in the tree is
/// [`Error::Locked`].
pub fn recover(tree: &Tree, options: &Options, hands: &dyn Hands) -> Result<Recovery, Error> {
    let now = Options { wait: job::Span::ZERO, ..options.clone() };
    let mut tx = Transaction::begin(tree, Act::Prune, "recovery".into(), &now)?;
    put_in_order(&mut tx, options, hands)
        .map_err(|trouble| trouble.unsure("Not everything that was cut short is in order. `current` is as it was."))
}

/// What there is to see.
struct Seen {
    current: Option<ReleaseId>,
    /// What was written down about each release, newest first.
    metas: Vec<Meta>,
    /// What was begun last and is not over, oldest record first.
    unfinished: Vec<Record>,
    drafts: Vec<String>,
    now: Timestamp,
}

/// What is to be done, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Deed {
    RemoveDraft(String),
    Set(ReleaseId, State, Mended),
    Say(Mended),
    /// Writes down that what was begun is over.
    Close(Record),
}

fn plan(seen: &Seen) -> Vec<Deed> {
    let mut deeds: Vec<Deed> = seen.drafts.iter().cloned().map(Deed::RemoveDraft).collect();
    let mut passed_current = seen.current.is_none();
    for meta in &seen.metas {
        if seen.current.as_ref() == Some(&meta.id) {
            passed_current = true;
            deeds.extend(of_current(&meta.id, &meta.state, seen));
        } else {
            // Whole and older than the current one: it has been overtaken.
            let overtaken = passed_current && seen.current.is_some();
            deeds.extend(of_other(meta, overtaken, seen.now));
        }
    }
    let known = |id: &ReleaseId| seen.metas.iter().any(|meta| meta.id == *id);
    if let Some(last) = seen.unfinished.last() {
        deeds.extend(hooks(&seen.unfinished).into_iter().map(Deed::Say));
        // One that another tool had made, or that was made before anything was written down.
        let switched = seen.unfinished.iter().any(|record| record.step >= Step::Switch && record.step < Step::Prune);
        if let (Some(id), true) = (&last.release, switched)
            && seen.current.as_ref() == Some(id)
            && !known(id)
        {
            deeds.push(unverified(id, seen.now));
        }
        deeds.push(Deed::Close(last.clone()));
    }
    deeds
}

fn of_current(id: &ReleaseId, state: &State, seen: &Seen) -> Option<Deed> {
    // A rollback leads to one that was healthy long ago.
    let in_doubt = seen
        .unfinished
        .iter()
        .any(|record| record.release.as_ref() == Some(id) && record.step >= Step::Switch && record.step < Step::Commit);
    let began = seen.unfinished.first().map(|record| record.at);
    let settled = matches!(state, State::Healthy { since } if began.is_some_and(|began| *since >= began));
    match state {
        State::Building | State::Sealed { .. } | State::Live { why: None, .. } | State::Aborted { .. } => {
            Some(unverified(id, seen.now))
        }
        State::Healthy { .. } | State::RolledBack { .. } | State::Failed { .. } if in_doubt && !settled => {
            Some(unverified(id, seen.now))
        }
        // It was said when it came about, and is shown for as long as it lasts.
        State::Live { .. } | State::Held { .. } => None,
        State::Healthy { .. } | State::RolledBack { .. } | State::Failed { .. } | State::Found | State::Bad { .. } => {
            None
        }
    }
}

fn of_other(meta: &Meta, overtaken: bool, at: Timestamp) -> Option<Deed> {
    let set = |state, what: fn(ReleaseId) -> Mended| Some(Deed::Set(meta.id.clone(), state, what(meta.id.clone())));
    let aborted = |why: &str| set(State::Aborted { at, why: why.into() }, Mended::Aborted);
    match meta.state {
        State::Building => aborted("it was cut short"),
        State::Sealed { .. } if overtaken => aborted("a newer release has taken its place"),
        State::Sealed { .. } => Some(Deed::Say(Mended::Resumable(meta.id.clone()))),
        State::Live { .. } | State::Held { .. } => meta.once_left(at).and_then(|state| set(state, Mended::Left)),
        State::Healthy { .. }
        | State::Failed { .. }
        | State::Aborted { .. }
        | State::RolledBack { .. }
        | State::Found
        | State::Bad { .. } => None,
    }
}

fn unverified(id: &ReleaseId, since: Timestamp) -> Deed {
    let why = Some("it was cut short after the switch".into());
    Deed::Set(id.clone(), State::Live { since, why }, Mended::Unverified(id.clone()))
}

/// The hooks that began and of whose end nothing is known.
fn hooks(records: &[Record]) -> Vec<Mended> {
    let mut open: HashMap<&str, &ReleaseId> = HashMap::new();
    for record in records.iter().filter(|record| record.step == Step::Build) {
        let (Some(hook), Some(release)) = (&record.note, &record.release) else { continue };
        match record.mark {
            Mark::Intent => open.insert(hook, release),
            Mark::Done | Mark::Failed | Mark::Over => open.remove(hook.as_str()),
        };
    }
    let mut hooks: Vec<_> = open.into_iter().collect();
    hooks.sort();
    hooks
        .into_iter()
        .map(|(hook, release)| Mended::HookMayHaveRun { release: release.clone(), hook: hook.into() })
        .collect()
}

/// Looks, decides, applies. What was half removed is finished, if nobody is in it.
pub(crate) fn put_in_order(
    tx: &mut Transaction<'_>,
    options: &Options,
    hands: &dyn Hands,
) -> Result<Recovery, Trouble> {
    let mut mended = Vec::new();
    for deed in plan(&look(tx)?) {
        match deed {
            Deed::RemoveDraft(name) => {
                current::remove_draft(tx.tree, name.as_ref())?;
                mended.push(Mended::StrayLink(name));
            }
            Deed::Set(id, state, what) => {
                tx.set_state(&id, state)?;
                mended.push(what);
            }
            Deed::Say(what) => mended.push(what),
            Deed::Close(record) => {
                let note = Some("it was cut short".to_owned());
                tx.journal.add(Record { mark: Mark::Over, note, at: tx.tree.now(), ..record })?;
            }
        }
    }
    for (id, fate) in prune::finish_trash(tx, options, hands)? {
        let gone = matches!(fate, Fate::Removed { .. });
        mended.push(if gone { Mended::Trash(id) } else { Mended::TrashStays(id, fate) });
    }
    tx.forget_gone()?;
    Ok(Recovery { mended })
}

fn look(tx: &Transaction<'_>) -> Result<Seen, Trouble> {
    let found = tx.tree.found()?;
    let mut metas = Vec::new();
    for release in &found {
        metas.extend(tx.meta(&release.id)?);
    }
    Ok(Seen {
        current: found.iter().find(|release| release.current).map(|release| release.id.clone()),
        metas,
        unfinished: tx.journal.unfinished(),
        drafts: current::drafts(tx.tree)?.iter().map(|name| name.to_string_lossy().into_owned()).collect(),
        now: tx.tree.now(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TxId;

    const AT: Timestamp = Timestamp(5);

    fn id(text: &str) -> ReleaseId {
        text.parse().unwrap()
    }

    fn seen(current: &str, states: &[(&str, State)], unfinished: Vec<Record>) -> Seen {
        let metas = states.iter().map(|(name, state)| Meta::new(id(name), state.clone(), AT)).collect();
        Seen { current: Some(id(current)), metas, unfinished, drafts: Vec::new(), now: AT }
    }

    fn record(step: Step, mark: Mark, release: &str, note: Option<&str>) -> Record {
        Record {
            tx: TxId::new(AT, 1),
            act: Act::Deploy,
            step,
            mark,
            release: Some(id(release)),
            was: None,
            at: AT,
            who: "alice".into(),
            note: note.map(str::to_owned),
        }
    }

    fn said(seen: &Seen) -> Vec<Mended> {
        let said = plan(seen).into_iter().filter_map(|deed| match deed {
            Deed::Set(_, _, what) | Deed::Say(what) => Some(what),
            Deed::RemoveDraft(_) | Deed::Close(_) => None,
        });
        said.collect()
    }

    #[test]
    fn what_was_cut_short_is_judged_by_what_current_says() {
        let healthy = || State::Healthy { since: AT };
        let sealed = || State::Sealed { at: AT };
        let live = || State::Live { since: AT, why: None };
        let check = |current: &str, newest: State, expect: &[Mended]| {
            let seen = seen(current, &[("7", newest.clone()), ("6", healthy())], Vec::new());
            assert_eq!(said(&seen), expect, "{current} {newest:?}");
        };
        check("6", State::Building, &[Mended::Aborted(id("7"))]);
        check("6", sealed(), &[Mended::Resumable(id("7"))]);
        check("7", sealed(), &[Mended::Unverified(id("7"))]);
        check("7", live(), &[Mended::Unverified(id("7"))]);
        check("6", live(), &[Mended::Left(id("7"))]);
        check("7", healthy(), &[]);
        check("6", healthy(), &[]);
        check("7", State::Live { since: AT, why: Some("x".into()) }, &[]);
        let overtaken = seen("7", &[("7", healthy()), ("6", sealed())], Vec::new());
        assert_eq!(said(&overtaken), [Mended::Aborted(id("6"))]);
    }

    #[test]
    fn a_rollback_that_was_cut_short_leaves_its_target_unverified() {
        let before = Timestamp(1);
        let states = [("7", State::Healthy { since: before }), ("6", State::Healthy { since: before })];
        let cut = vec![record(Step::Switch, Mark::Intent, "6", None)];
        assert_eq!(said(&seen("6", &states, cut.clone())), [Mended::Unverified(id("6"))]);
        assert_eq!(said(&seen("7", &states, cut)), []);
        let done = vec![record(Step::Switch, Mark::Done, "6", None), record(Step::Commit, Mark::Intent, "6", None)];
        let since = AT + job::Span::from_secs(1);
        let states = [("7", State::Healthy { since: AT }), ("6", State::Healthy { since })];
        assert_eq!(said(&seen("6", &states, done)), [], "it had been confirmed");
    }

    #[test]
    fn a_hook_of_whose_end_nothing_is_known_is_named() {
        let records = vec![
            record(Step::Build, Mark::Intent, "7", None),
            record(Step::Build, Mark::Intent, "7", Some("install")),
            record(Step::Build, Mark::Done, "7", Some("install")),
            record(Step::Build, Mark::Intent, "7", Some("migrate")),
        ];
        let said = said(&seen("6", &[("7", State::Building)], records));
        assert!(said.contains(&Mended::HookMayHaveRun { release: id("7"), hook: "migrate".into() }), "{said:?}");
        assert_eq!(said.len(), 2);
    }
}
