//! Which releases go, and how it is made sure that nobody is in them.
//!
//! A release is removed only if every proof says that nobody is in it: nobody holds its kernel lock, and the caller,
//! who knows processes, says so twice: before it is moved aside and after. What cannot be known counts as in use.

mod choose;
mod erase;

use std::path::{Path, PathBuf};

use crate::current::{self, Current};
use crate::deploy::{Options, Step};
use crate::dir::{Dir, is_dir};
use crate::error::{Error, Trouble};
use crate::hands::{Hands, InUse, Place};
use crate::id::ReleaseId;
use crate::journal::{Act, Mark};
use crate::lease::{self, Alone};
use crate::transaction::Transaction;
use crate::tree::{Found, Tree};

pub(crate) use erase::{Erased, erase};

/// How the name of a release begins that is being removed.
pub(crate) const TRASH: &str = ".trash-";

/// What becomes, or became, of every release.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pruning {
    /// Each release that was there, newest first.
    pub releases: Vec<Fated>,
    /// How many bytes were freed, as far as could be seen.
    pub bytes: u64,
}

/// A release and its fate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fated {
    /// Which release.
    pub id: ReleaseId,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It stays, for this reason.
    Kept(String),
    /// Nobody is in it: it may go. This is what a dry run says.
    Free,
    /// It is gone.
    Removed {
        /// What it took on the disk.
        bytes: u64,
    },
    /// It should go, and these are in it.
    InUse(Vec<String>),
    /// It should go, and these may be in it: they could not be looked at.
    Unknown(Vec<String>),
    /// It should go, and something could not be removed: one line for each path.
    Stuck(Vec<String>),
}

impl Pruning {
    /// What should have gone and did not: for an alarm of its own.
    pub fn blocked(&self) -> impl Iterator<Item = &Fated> {
        self.releases.iter().filter(|fated| match fated.fate {
            Fate::InUse(_) | Fate::Unknown(_) | Fate::Stuck(_) => true,
            Fate::Kept(_) | Fate::Free | Fate::Removed { .. } => false,
        })
    }
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kept(why) => write!(f, "kept: {why}"),
            Self::Free => f.write_str("nobody is in it: it would be removed"),
            Self::Removed { bytes } => write!(f, "removed, {} KiB", bytes.div_ceil(1_024)),
            Self::InUse(by) => write!(f, "stays: in use by {}", by.join(", ")),
            Self::Unknown(by) => write!(f, "stays: it is not known whether in use by {}", by.join(", ")),
            Self::Stuck(what) => write!(f, "could not be removed: {}", what.join("; ")),
        }
    }
}

/// Removes what is not needed any more and what nobody is in.
///
/// A `dry_run` says what would happen, by the same decisions, and changes nothing.
pub fn prune(tree: &Tree, options: &Options, hands: &dyn Hands, dry_run: bool) -> Result<Pruning, Error> {
    if dry_run {
        let found = tree.found().map_err(Trouble::refused)?;
        return look(tree, &found, options, hands).map_err(Trouble::refused).map(|(pruning, _)| pruning);
    }
    let mut tx = Transaction::begin(tree, Act::Prune, "pruning".into(), options)?;
    crate::recover::put_in_order(&mut tx, options, hands).map_err(Trouble::refused)?;
    let pruning = run(&mut tx, options, hands);
    let over = tx.record(Step::Prune, Mark::Over, None, None, None);
    let means = "Some releases may have been removed. No release that is in use was.";
    let pruning = pruning.map_err(|trouble| trouble.unsure(means))?;
    over.map_err(|trouble| trouble.unsure(means))?;
    Ok(pruning)
}

/// The same, in the course of something larger.
pub(crate) fn run(tx: &mut Transaction<'_>, options: &Options, hands: &dyn Hands) -> Result<Pruning, Trouble> {
    let found = tx.tree.found()?;
    let (mut pruning, free) = look(tx.tree, &found, options, hands)?;
    for (release, lease) in free {
        let fate = remove(tx, release, lease, options, hands)?;
        if let Fate::Removed { bytes } = fate {
            pruning.bytes += bytes;
        }
        if let Some(fated) = pruning.releases.iter_mut().find(|fated| fated.id == release.id) {
            fated.fate = fate;
        }
    }
    Ok(pruning)
}

/// Removes one release whatever the numbers to be kept, if nobody is in it and it is not the current one.
pub(crate) fn remove_one(
    tx: &mut Transaction<'_>,
    id: &ReleaseId,
    options: &Options,
    hands: &dyn Hands,
) -> Result<Fate, Trouble> {
    let Some(found) = tx.tree.found()?.into_iter().find(|found| found.id == *id) else {
        return Ok(Fate::Removed { bytes: 0 });
    };
    if found.current {
        return Ok(Fate::Kept("it is the current release".into()));
    }
    let (fates, mut free) = proofs(&[&found], options, hands);
    match free.pop() {
        Some((release, lease)) => remove(tx, release, lease, options, hands),
        None => Ok(fates.into_iter().next().map_or(Fate::Free, |(_, fate)| fate)),
    }
}

/// Goes on with what was half removed when something was cut short.
pub(crate) fn finish_trash(
    tx: &mut Transaction<'_>,
    options: &Options,
    hands: &dyn Hands,
) -> Result<Vec<(ReleaseId, Fate)>, Trouble> {
    let Some(releases) = tx.tree.releases_dir()? else { return Ok(Vec::new()) };
    let mut done = Vec::new();
    for name in releases.names()? {
        let id = name.to_str().and_then(|text| text.strip_prefix(TRASH)).and_then(|text| text.parse().ok());
        let Some(id) = id else { continue };
        if !releases.stat(&name)?.is_some_and(|stat| is_dir(&stat)) {
            continue;
        }
        let path = releases.path().join(&name);
        let fate = match lease::take(&path) {
            Ok(Some(_lease)) => match ask(&id, &releases, &name, options, hands)? {
                Some(used) => used,
                None => erase_trash(tx, &releases, &name, &id)?,
            },
            Ok(None) => Fate::InUse(vec!["a process that holds its lock".into()]),
            Err(error) => Fate::Unknown(vec![format!("its lock cannot be looked at: {error}")]),
        };
        done.push((id, fate));
    }
    Ok(done)
}

type Free<'f> = Vec<(&'f Found, Alone)>;

/// What would become of each release; with those that may go, held for ourselves.
fn look<'f>(
    tree: &Tree,
    found: &'f [Found],
    options: &Options,
    hands: &dyn Hands,
) -> Result<(Pruning, Free<'f>), Trouble> {
    let current = current::resolve(tree)?;
    let device = tree.releases_dir()?.map(|dir| dir.file_id()).transpose()?.map(|id| id.dev);
    let facts = choose::Facts { current: &current, keep: options.keep, grace: options.grace, now: tree.now(), device };
    let reasons = choose::choose(found, &facts);
    let candidates: Vec<&Found> = found.iter().filter(|release| !reasons.contains_key(&release.id)).collect();
    let (fates, free) = proofs(&candidates, options, hands);
    let releases = found.iter().map(|release| {
        let blocked = fates.iter().find(|(id, _)| *id == release.id).map(|(_, fate)| fate.clone());
        let kept = reasons.get(&release.id).map(|why| Fate::Kept(why.clone()));
        Fated { id: release.id.clone(), fate: kept.or(blocked).unwrap_or(Fate::Free) }
    });
    Ok((Pruning { releases: releases.collect(), bytes: 0 }, free))
}

/// Which candidates somebody is in, or may be in; and those that nobody is in, held for ourselves.
fn proofs<'f>(candidates: &[&'f Found], options: &Options, hands: &dyn Hands) -> (Vec<(ReleaseId, Fate)>, Free<'f>) {
    let places: Vec<Place> = candidates.iter().map(|release| place(release)).collect();
    let mut answers = if places.is_empty() { Vec::new() } else { hands.in_use(&places) };
    answers.resize(places.len(), InUse::Unknown(vec!["nobody looked".into()]));
    let (mut fates, mut free) = (Vec::new(), Vec::new());
    for (release, answer) in candidates.iter().zip(answers) {
        let fate = match judge(answer, options) {
            Some(used) => Some(used),
            None => match lease::take(&release.path) {
                Ok(Some(lease)) => {
                    free.push((*release, lease));
                    None
                }
                Ok(None) => Some(Fate::InUse(vec!["a process that holds its lock".into()])),
                Err(error) => Some(Fate::Unknown(vec![format!("its lock cannot be looked at: {error}")])),
            },
        };
        fates.extend(fate.map(|fate| (release.id.clone(), fate)));
    }
    (fates, free)
}

fn judge(answer: InUse, options: &Options) -> Option<Fate> {
    match answer {
        InUse::Free => None,
        InUse::Used(by) => Some(Fate::InUse(by)),
        InUse::Unknown(by) if options.accept_unknown => {
            tracing::warn!(?by, "a release is removed although it is not known whether they are in it");
            None
        }
        InUse::Unknown(by) => Some(Fate::Unknown(by)),
    }
}

fn place(release: &Found) -> Place {
    Place { release: release.id.clone(), file_id: release.file_id, path: release.path.clone() }
}

/// Moves a release aside, asks once more, and deletes it. `lease` keeps everybody out meanwhile.
fn remove(
    tx: &mut Transaction<'_>,
    release: &Found,
    lease: Alone,
    options: &Options,
    hands: &dyn Hands,
) -> Result<Fate, Trouble> {
    let Some(releases) = tx.tree.releases_dir()? else { return Ok(Fate::Removed { bytes: 0 }) };
    let trash = PathBuf::from(format!("{TRASH}{}", release.id.as_str()));
    if releases.stat(&trash)?.is_some() {
        return Ok(Fate::Stuck(vec![format!("`{}` is in the way", releases.path().join(trash).display())]));
    }
    // Anybody may have switched by hand meanwhile.
    if current::resolve(tx.tree)?.release() == Some(&release.id) {
        return Ok(Fate::Kept("it has become the current release".into()));
    }
    tx.record(Step::Prune, Mark::Intent, Some(&release.id), None, None)?;
    if let Err(trouble) = releases.rename(release.id.as_str(), &trash) {
        tx.record(Step::Prune, Mark::Failed, Some(&release.id), None, Some(trouble.happened()))?;
        return Ok(Fate::Stuck(vec![trouble.happened()]));
    }
    releases.sync()?;
    let switched = matches!(current::resolve(tx.tree)?, Current::Dangling(_));
    let used = match ask(&release.id, &releases, &trash, options, hands)? {
        None if switched => Some(Fate::Kept("`current` was made to lead to it".into())),
        used => used,
    };
    if let Some(used) = used {
        releases.rename(&trash, release.id.as_str())?;
        releases.sync()?;
        tx.record(Step::Prune, Mark::Failed, Some(&release.id), None, Some(used.to_string()))?;
        return Ok(used);
    }
    let fate = erase_trash(tx, &releases, &trash, &release.id)?;
    drop(lease);
    Ok(fate)
}

/// Whether anybody is in a directory, under the name that it has now.
fn ask(
    id: &ReleaseId,
    releases: &Dir,
    name: &Path,
    options: &Options,
    hands: &dyn Hands,
) -> Result<Option<Fate>, Trouble> {
    let Some(dir) = releases.stat(name)? else { return Ok(None) };
    let place = Place { release: id.clone(), file_id: crate::dir::file_id(&dir), path: releases.path().join(name) };
    let answer = hands.in_use(&[place]).into_iter().next();
    Ok(judge(answer.unwrap_or_else(|| InUse::Unknown(vec!["nobody looked".into()])), options))
}

fn erase_trash(tx: &mut Transaction<'_>, releases: &Dir, name: &Path, id: &ReleaseId) -> Result<Fate, Trouble> {
    let Erased { bytes, stuck } = erase(releases, name);
    if !stuck.is_empty() {
        let note = format!("{} paths, the first {}", stuck.len(), stuck[0]);
        tx.record(Step::Prune, Mark::Failed, Some(id), None, Some(note))?;
        return Ok(Fate::Stuck(stuck));
    }
    releases.sync()?;
    // One of that name may be there again.
    if releases.stat(id.as_str())?.is_none() {
        tx.forget(id)?;
        lease::forget(&tx.tree.own_dir()?, id)?;
    }
    tx.record(Step::Prune, Mark::Done, Some(id), None, None)?;
    Ok(Fate::Removed { bytes })
}
