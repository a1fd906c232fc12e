//! One deploy, rollback, prune or recovery at work in a tree: its lock, its journal, its id.
//!
//! One that ends without a record that says so was cut short, and the next one puts it in order.

use job::Timestamp;

use crate::deploy::{Options, Step};
use crate::dir::{DRAFT, Dir};
use crate::error::{Error, Trouble};
use crate::foreign::{self, DEP};
use crate::id::{ReleaseId, TxId};
use crate::journal::{Act, Journal, Mark, Record};
use crate::lock::{Holder, Lock};
use crate::meta::{Meta, State};
use crate::tree::Tree;

pub(crate) struct Transaction<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) id: TxId,
    pub(crate) act: Act,
    pub(crate) who: String,
    pub(crate) journal: Journal,
    metas: Dir,
    _lock: Lock,
}

/// Names that are larger numbers were not given by counting, nor by a clock.
const BEYOND: u64 = 1_000_000_000_000_000;

impl<'t> Transaction<'t> {
    /// Waits for its turn. `what` is for those who wait meanwhile.
    pub(crate) fn begin(tree: &'t Tree, act: Act, what: String, options: &Options) -> Result<Self, Error> {
        let at = tree.now();
        let pid = std::process::id();
        let id = TxId::new(at, pid);
        let own = tree.own_dir().map_err(Trouble::refused)?;
        let dep = tree.root_dir().dir_through_links(DEP).map_err(Trouble::refused)?;
        let holder = Holder { who: options.who.clone(), what, since: at, pid };
        let lock = Lock::take(&own, dep, &holder, &id, options.wait)?;
        let metas = tree.metas_dir().map_err(Trouble::refused)?;
        let journal = Journal::open(own).map_err(Trouble::refused)?;
        Ok(Self { tree, id, act, who: options.who.clone(), journal, metas, _lock: lock })
    }

    /// Writes down what is about to happen, or has happened, to `release`.
    pub(crate) fn record(
        &mut self,
        step: Step,
        mark: Mark,
        release: Option<&ReleaseId>,
        was: Option<&ReleaseId>,
        note: Option<String>,
    ) -> Result<(), Trouble> {
        self.journal.add(Record {
            tx: self.id.clone(),
            act: self.act,
            step,
            mark,
            release: release.cloned(),
            was: was.cloned(),
            at: self.tree.now(),
            who: self.who.clone(),
            note,
        })
    }

    pub(crate) fn meta(&self, id: &ReleaseId) -> Result<Option<Meta>, Trouble> {
        Meta::read(&self.metas, id)
    }

    pub(crate) fn remember(&self, meta: &Meta) -> Result<(), Trouble> {
        meta.write(&self.metas)
    }

    /// Writes down how a release fares. One of which nothing was known is known from now on.
    pub(crate) fn set_state(&self, id: &ReleaseId, state: State) -> Result<(), Trouble> {
        self.change(id, |meta| meta.state = state)
    }

    pub(crate) fn change(&self, id: &ReleaseId, change: impl FnOnce(&mut Meta)) -> Result<(), Trouble> {
        let known = self.meta(id)?;
        let mut meta = known.unwrap_or_else(|| Meta::new(id.clone(), State::Found, Timestamp(0)));
        change(&mut meta);
        self.remember(&meta)
    }

    pub(crate) fn forget(&self, id: &ReleaseId) -> Result<(), Trouble> {
        Meta::forget(&self.metas, id)
    }

    /// Forgets the releases that somebody else removed, but for the newest: its number must not be given again. What was
    /// being written when it was cut short goes, too.
    pub(crate) fn forget_gone(&self) -> Result<(), Trouble> {
        let Some(releases) = self.tree.releases_dir()? else { return Ok(()) };
        for draft in
            self.metas.names()?.iter().filter(|name| name.as_os_str().as_encoded_bytes().ends_with(DRAFT.as_bytes()))
        {
            self.metas.unlink(draft)?;
        }
        let known = Meta::ids(&self.metas)?;
        let newest = known.iter().max_by_key(|id| id.number());
        for id in known.iter().filter(|id| Some(*id) != newest) {
            let trash = format!("{}{}", crate::prune::TRASH, id.as_str());
            if releases.stat(id.as_str())?.is_none() && releases.stat(trash)?.is_none() {
                self.forget(id)?;
            }
        }
        Ok(())
    }

    /// A name that was never given before, in the manner of the tree.
    pub(crate) fn new_release(&self) -> Result<ReleaseId, Trouble> {
        let releases = match self.tree.releases_dir()? {
            Some(releases) => releases.names()?,
            None => Vec::new(),
        };
        let there = releases.iter().filter_map(|name| {
            let name = name.to_str()?;
            // What is half removed had a name, too.
            name.strip_prefix(crate::prune::TRASH).unwrap_or(name).parse::<ReleaseId>().ok()
        });
        let there: Vec<ReleaseId> = there.collect();
        let noted = self.journal.records().iter().filter_map(|record| record.release.clone());
        let highest = there.iter().cloned().chain(noted).chain(Meta::ids(&self.metas)?);
        let highest = highest.filter_map(|id| id.number()).filter(|number| *number < BEYOND).max().unwrap_or(0);
        let highest = highest.max(foreign::highest_given(self.tree.root_dir())?);
        let stamp = foreign::stamp(self.tree.now());
        let stamped = stamp.parse::<u64>().unwrap_or(0).max(highest.saturating_add(1));
        let name = match foreign::kind(self.tree.root_dir(), &there)? {
            foreign::Kind::Capistrano => stamped.to_string(),
            foreign::Kind::Ansistrano => format!("{stamped}Z"),
            foreign::Kind::Aloud | foreign::Kind::Deployer | foreign::Kind::Unknown => {
                highest.saturating_add(1).to_string()
            }
        };
        Ok(name.parse().expect("digits are a name"))
    }
}
