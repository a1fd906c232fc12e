//! A deploy: what is to be done, in which order, and what came of it.

mod decide;
mod room;
mod run;
mod shared;

use job::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::current::{self, Current};
use crate::dir::Dir;
use crate::error::{Error, Message, Trouble};
use crate::hands::{Hands, Rolled};
use crate::id::{FileId, ReleaseId};
use crate::journal::Act;
use crate::meta::{Contents, State};
use crate::prune::Pruning;
use crate::recover::{self, Recovery};
use crate::source::Source;
use crate::transaction::Transaction;
use crate::tree::{Found, Tree};
use run::Run;

/// A release that is to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Build {
    /// Where it comes from.
    pub source: Source,
    /// What it is made from, where the source does not say so itself.
    pub revision: Option<String>,
    /// Names that are left out when a folder is copied, besides `.git`: each is compared with the name of a file or
    /// folder, and with its path from the source's root.
    pub exclude: Vec<String>,
    /// Whether the one folder that a tarball holds is left away.
    pub strip: bool,
    /// What it shares with the other releases.
    pub shared: Shared,
    /// What is run to build it, in this order. At most 64.
    pub hooks: Vec<Hook>,
    /// What is run to see whether it starts at all.
    pub boot_check: Option<Hook>,
}

/// What all releases share: paths from a release's root onwards.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shared {
    /// Folders.
    pub folders: Vec<String>,
    /// Files.
    pub files: Vec<String>,
}

/// A command of a deploy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// What it is called.
    pub name: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// How long it may take.
    pub within: Span,
}

/// How the tree is to be treated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Who does this, as people should read it.
    pub who: String,
    /// How long to wait for somebody else who is at work in the tree.
    pub wait: Span,
    /// What follows a roll, or a verification, that failed.
    pub on_failure: OnFailure,
    /// How many releases stay.
    pub keep: Keep,
    /// What a deploy must leave free.
    pub reserve: Reserve,
    /// For how long a release that was cut short is left for people to look at.
    pub grace: Span,
    /// Whether releases go that may be in use by processes that could not be looked at.
    pub accept_unknown: bool,
    /// Whether releases are pruned at the end of a deploy.
    pub prune: bool,
}

/// What follows a roll that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Back to the release before if no worker of the new one ever got ready, else hold.
    #[default]
    Decide,
    /// `current` stays at the new release, the old workers go on, and it is said aloud.
    Hold,
    /// Back to the release before.
    Rollback,
}

/// How many releases stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Of those that worked, the newest so many, with the current one.
    pub healthy: usize,
    /// Of those that did not, the newest so many.
    pub failed: usize,
}

/// What a deploy must leave free on the file system of the releases, beyond one and a half times the last release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserve {
    /// Bytes.
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
}

/// The steps, in their order, and those that may come instead.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The directory is made.
    Create,
    /// The source is copied into it.
    Fill,
    /// What is shared is linked into it.
    Shared,
    /// The hooks are run.
    Build,
    /// The boot check is run.
    BootCheck,
    /// Everything is on the disk.
    Seal,
    /// The other hosts are waited for.
    Barrier,
    /// `current` is made to point at it.
    Switch,
    /// The workers are moved.
    Roll,
    /// It is seen whether it works.
    Verify,
    /// It is written down as healthy.
    Commit,
    /// What is not needed any more is removed.
    Prune,
    /// Instead: it never becomes current.
    Abort,
    /// Instead: it stays current, unconfirmed, and that is said aloud.
    Hold,
    /// Instead: `current` is made to point at the release before.
    SwitchBack,
    /// Instead: the workers are moved back.
    RollBack,
}

/// How far it is: for people who wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// What had been cut short earlier was put in order.
    Recovered(Recovery),
    /// A step begins; with a sentence about it.
    Begins(Step, String),
    /// A step has ended well; with what there is to say about it.
    Ended(Step, String),
    /// A hook has ended well; with its last lines.
    Ran {
        /// Which.
        hook: String,
        /// What it wrote last.
        output: Vec<String>,
    },
    /// Something that did not stop it, and that people should know.
    Warning(String),
}

/// What came of a deploy, a resumed one, or a rollback that reached the switch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The release that was to become the current one.
    pub release: ReleaseId,
    /// The one that was current before.
    pub was: Option<ReleaseId>,
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub ended: Ended,
    /// What became of the older releases, if that was looked at.
    pub pruning: Option<Pruning>,
    /// What people should know, as sentences.
    pub warnings: Vec<String>,
}

/// How a deploy ended. Only the first is well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It is current, and confirmed: one line for each thing that was seen. None if there are no workers.
    Healthy(Vec<String>),
    /// It is current and not confirmed; the old workers and their release stay.
    Held {
        /// Why.
        why: String,
    },
    /// It did not work: `current` points at the release before.
    WentBack {
        /// Why.
        why: String,
        /// What came of the roll back to it.
        rolled: Rolled,
    },
}

impl Outcome {
    /// Whether it is as it should be.
    pub fn is_ok(&self) -> bool {
        match self.ended {
            Ended::Healthy(_) => true,
            Ended::Held { .. } | Ended::WentBack { .. } => false,
        }
    }
}

impl Options {
    /// As it should be if nothing else is said: 5 and 2 releases stay, 256 MiB and 10,000 files are left free, nobody is
    /// waited for.
    pub fn new(who: impl Into<String>) -> Self {
        Self {
            who: who.into(),
            wait: Span::ZERO,
            on_failure: OnFailure::Decide,
            keep: Keep { healthy: 5, failed: 2 },
            reserve: Reserve { bytes: 256 << 20, inodes: 10_000 },
            grace: Span::from_secs(3_600),
            accept_unknown: false,
            prune: true,
        }
    }
}

impl Build {
    /// A release made from `source`, with nothing shared and nothing run.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            revision: None,
            exclude: Vec::new(),
            strip: false,
            shared: Shared::default(),
            hooks: Vec::new(),
            boot_check: None,
        }
    }
}

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
