//! A deploy: what is to be done, in which order, and what came of it.

mod build;
mod decide;
mod options;
mod outcome;
mod room;
mod run;
mod shared;

pub use build::{Build, Hook, Shared};
pub use options::{Keep, OnFailure, Options, Reserve};
pub use outcome::{Ended, Outcome, Progress, Step};

use crate::current::{self, Current};
use crate::dir::Dir;
use crate::error::{Error, Message, Trouble};
use crate::hands::Hands;
use crate::id::{FileId, ReleaseId};
use crate::journal::Act;
use crate::meta::{Contents, State};
use crate::recover;
use crate::transaction::Transaction;
use crate::tree::{Found, Tree};
use run::Run;

/// The most hooks of one deploy.
const MAX_HOOKS: usize = 64;

/// Makes a release and makes it the current one.
pub fn deploy(tree: &Tree, build: &Build, options: &Options, hands: &dyn Hands) -> Result<Outcome, Error> {
    check(build)?;
    let mut tx = Transaction::begin(tree, Act::Deploy, format!("deploy of {}", build.source), options)?;
    put_in_order(&mut tx, options, hands)?;
    let was = replaceable(tree)?;
    make_sure_of_room(&tx, was.as_ref(), options)?;
    let release = tx.new_release().map_err(Trouble::refused)?;
    Run::new(tx, Some(build), release, was, options, hands).finish()
}

/// Makes a sealed release that was left behind the current one: the newest, or the one that is named.
pub fn resume(
    tree: &Tree,
    release: Option<&ReleaseId>,
    options: &Options,
    hands: &dyn Hands,
) -> Result<Outcome, Error> {
    let mut tx = Transaction::begin(tree, Act::Resume, "resuming a deploy".into(), options)?;
    put_in_order(&mut tx, options, hands)?;
    let was = replaceable(tree)?;
    let found = tree.releases()?;
    let waits =
        |found: &&Found| matches!(found.state, State::Sealed { .. }) && release.is_none_or(|id| *id == found.id);
    let Some(release) = found.iter().find(waits) else {
        let which = release.map_or_else(|| "no release is".to_owned(), |id| format!("release {id} is not one that is"));
        return Err(refused(format!("{which} whole and waiting to become current"), "deploy again"));
    };
    Run::new(tx, None, release.id.clone(), was, options, hands).finish()
}

/// Makes an older release the current one: the last that was healthy before, or the one that is named. `why` is written
/// down with the one that is left.
pub fn rollback(
    tree: &Tree,
    to: Option<&ReleaseId>,
    why: Option<&str>,
    options: &Options,
    hands: &dyn Hands,
) -> Result<Outcome, Error> {
    let mut tx = Transaction::begin(tree, Act::Rollback, "rollback".into(), options)?;
    put_in_order(&mut tx, options, hands)?;
    let was = replaceable(tree)?;
    let target = way_back(&tree.releases()?, to)?;
    Run::new(tx, None, target, was, options, hands).because(why).finish()
}

/// Moves the workers to the release that is current and sees whether it works, as a deploy does after the switch.
///
/// For a release that is current and not confirmed: because a deploy was cut short, was held, or because somebody else
/// switched. If it does not work, it is held, or the last that was healthy before becomes current again; that one is the
/// `was` of the outcome.
pub fn confirm(tree: &Tree, options: &Options, hands: &dyn Hands) -> Result<Outcome, Error> {
    let mut tx = Transaction::begin(tree, Act::Confirm, "confirming the current release".into(), options)?;
    put_in_order(&mut tx, options, hands)?;
    let Some((current, _)) = replaceable(tree)? else {
        return Err(refused(format!("there is nothing to confirm: {}", tree.current()?), "deploy, or roll back"));
    };
    let found = tree.releases()?;
    let back = way_back(&found, None).ok();
    let back = back.and_then(|id| found.iter().find(|found| found.id == id));
    let back = back.map(|found| (found.id.clone(), found.file_id));
    Run::new(tx, None, current, back, options, hands).finish()
}

/// The release that a rollback leads to. `found` is sorted, newest first.
fn way_back(found: &[Found], to: Option<&ReleaseId>) -> Result<ReleaseId, Error> {
    const HINT: &str = "see which there are with `aloud releases`";
    if let Some(id) = to {
        let Some(release) = found.iter().find(|found| found.id == *id) else {
            return Err(refused(format!("there is no release {id}"), HINT));
        };
        return match release.state {
            _ if release.current => Err(refused(format!("release {id} is the current one already"), HINT)),
            State::Building | State::Aborted { .. } => {
                Err(refused(format!("release {id} was never whole ({})", release.state.word()), HINT))
            }
            State::Sealed { .. }
            | State::Live { .. }
            | State::Healthy { .. }
            | State::Held { .. }
            | State::Failed { .. }
            | State::RolledBack { .. }
            | State::Found
            | State::Bad { .. } => Ok(id.clone()),
        };
    }
    // Without a current release, the newest that worked.
    let from = found.iter().position(|release| release.current).map_or(0, |at| at + 1);
    match found[from..].iter().find(|release| release.state.is_good()) {
        Some(release) => Ok(release.id.clone()),
        None => Err(refused("there is no older release that is known to work".into(), HINT)),
    }
}

fn check(build: &Build) -> Result<(), Error> {
    shared::check(&build.shared).map_err(Trouble::refused)?;
    if build.hooks.len() > MAX_HOOKS {
        return Err(refused(format!("more than {MAX_HOOKS} hooks are declared"), "put them into a script"));
    }
    let empty = |hook: &&Hook| hook.argv.first().is_none_or(String::is_empty);
    match build.hooks.iter().chain(&build.boot_check).find(empty) {
        Some(hook) => Err(refused(format!("the command of `{}` is empty", hook.name), "write it, or take it out")),
        None => Ok(()),
    }
}

fn put_in_order(tx: &mut Transaction<'_>, options: &Options, hands: &dyn Hands) -> Result<(), Error> {
    let recovery = recover::put_in_order(tx, options, hands).map_err(Trouble::refused)?;
    if !recovery.mended.is_empty() {
        hands.tell(Progress::Recovered(recovery));
    }
    Ok(())
}

/// What is current now, if it can be replaced.
fn replaceable(tree: &Tree) -> Result<Option<(ReleaseId, FileId)>, Error> {
    match current::resolve(tree).map_err(Trouble::refused)? {
        Current::Release { id, file_id, .. } => Ok(Some((id, file_id))),
        Current::Directory => {
            let path = tree.current_path();
            Err(refused(
                format!("`{}` is a real directory (or file), not a link", path.display()),
                &format!("move it away, for instance `mv {0} {0}.old`, and try again", path.display()),
            ))
        }
        Current::Missing | Current::Dangling(_) | Current::Loop | Current::Elsewhere(_) => Ok(None),
    }
}

fn make_sure_of_room(tx: &Transaction<'_>, last: Option<&(ReleaseId, FileId)>, options: &Options) -> Result<(), Error> {
    let look = || -> Result<Option<String>, Trouble> {
        let Some(releases) = tx.tree.releases_dir()? else { return Ok(None) };
        let known = last.map(|(id, _)| tx.meta(id)).transpose()?.flatten().and_then(|meta| meta.contents);
        let measured = || -> Result<Option<Contents>, Trouble> {
            let dir: Option<Dir> = last.map(|(id, _)| releases.dir(id.as_str())).transpose()?.flatten();
            Ok(dir.map(|dir| room::measure(&dir)))
        };
        let last = if known.is_some() { known } else { measured()? };
        Ok(room::missing(room::free(&releases)?, last, options.reserve))
    };
    match look().map_err(Trouble::refused)? {
        None => Ok(()),
        Some(missing) => Err(refused(
            format!("there is no room for another release: {missing}"),
            "see which releases could go with `aloud prune --dry-run`, or make room",
        )),
    }
}

fn refused(happened: String, hint: &str) -> Error {
    Error::Refused(Message::new(happened, "Nothing was changed.", hint))
}
