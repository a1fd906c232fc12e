//! A tree of releases, as it is on the disk.
//!
//! The root is opened once; everything below is looked at through it, anew at each call.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use job::{Clock, Timestamp};
use rustix::io::Errno;

use crate::crash::{Crash, Never};
use crate::current::{self, Current};
use crate::dir::{Dir, file_id, is_dir};
use crate::error::{Error, Message, Trouble};
use crate::foreign::{self, Kind, Noted};
use crate::id::{FileId, ReleaseId};
use crate::journal::{Journal, Record};
use crate::lock::{Holder, Lock};
use crate::meta::{Meta, State};

/// Where the parts of a tree lie.
///
/// `releases/` may lie on another file system than the root, and may be a link to there: nothing is ever renamed out of
/// the directory that it is in. `current` is renamed beside itself, and what is removed becomes `releases/.trash-NAME`
/// first. A release that is itself a mount cannot be renamed, and so is never removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The directory that holds `releases/` and `shared/`. Absolute.
    pub root: PathBuf,
    /// The link to the current release: a path, taken from `root` onwards. `current`, if nothing else is said.
    pub current: PathBuf,
}

/// A tree of releases.
pub struct Tree {
    layout: Layout,
    root: Dir,
    clock: Arc<dyn Clock>,
}

/// A release that was found in the tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its name.
    pub id: ReleaseId,
    /// Its directory as the system knows it.
    pub file_id: FileId,
    /// Its directory's own path.
    pub path: PathBuf,
    /// What is known of how it fared.
    pub state: State,
    /// Whether `current` points at it.
    pub current: bool,
    /// When it was made, as far as is known.
    pub created: Option<Timestamp>,
    /// When it was last confirmed that it works, if it ever was.
    pub healthy_since: Option<Timestamp>,
    /// Who made it.
    pub by: Option<String>,
    /// What it was made from: the hash of a commit.
    pub revision: Option<String>,
    /// Where it came from: a repository, a folder, a file.
    pub source: Option<String>,
    /// Whether somebody has pushed local changes into it with Deployer.
    pub dirty: bool,
    /// Other links in the root that lead to it.
    pub links: Vec<String>,
}

pub(crate) const RELEASES: &str = "releases";
pub(crate) const SHARED: &str = "shared";
pub(crate) const REVISION: &str = "REVISION";
const OWN: &str = ".aloud";
const METAS: &str = "releases";

impl Layout {
    /// A tree below `root` with `current` in it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), current: PathBuf::from("current") }
    }
}

impl Tree {
    /// Opens the tree, which must be there. Nothing is written.
    pub fn open(layout: Layout, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let shown = layout.root.display();
        if !layout.root.is_absolute() {
            return Err(refused(
                format!("the root `{shown}` is not absolute"),
                "write the whole path, from `/` onwards",
            ));
        }
        let root = Dir::open(&layout.root, Arc::new(Never)).map_err(|error| match error {
            Errno::NOENT => refused(
                format!("there is no tree of releases at `{shown}`"),
                "make it with `aloud init`, or name the directory that holds `releases/` and `current`",
            ),
            Errno::NOTDIR => {
                refused(format!("`{shown}` is not a directory"), "name the directory that holds `releases/`")
            }
            error => Trouble::system(format!("open the tree of releases at `{shown}`"), error).refused(),
        })?;
        if let Some(outer) = outer_tree(&layout.root) {
            return Err(refused(
                format!("the root `{shown}` lies inside a release of `{}`", outer.display()),
                "name the directory that holds `releases/`; what lies inside a release is removed with it",
            ));
        }
        Ok(Self { layout, root, clock })
    }

    /// Opens the tree; what is missing of `root`, `releases/` and `shared/` is made.
    pub fn create(layout: Layout, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let trouble = |error| Trouble::io(format!("make `{}`", layout.root.display()), &error).refused();
        std::fs::create_dir_all(&layout.root).map_err(trouble)?;
        let tree = Self::open(layout, clock)?;
        tree.root.make_dir(RELEASES).map_err(Trouble::refused)?;
        tree.root.make_dir(SHARED).map_err(Trouble::refused)?;
        Ok(tree)
    }

    /// The same tree, with somebody who hears of each moment at which everything may end.
    pub fn with_crash(self, crash: Arc<dyn Crash>) -> Self {
        Self { root: self.root.with_crash(crash), ..self }
    }

    /// The directory that holds `releases/`.
    pub fn root(&self) -> &Path {
        &self.layout.root
    }

    /// The link's own path.
    pub fn current_path(&self) -> PathBuf {
        self.layout.root.join(&self.layout.current)
    }

    /// The directory of a release, whether it is there or not.
    pub fn path_of(&self, id: &ReleaseId) -> PathBuf {
        self.layout.root.join(RELEASES).join(id.as_str())
    }

    /// Whose tree it is.
    pub fn kind(&self) -> Result<Kind, Error> {
        self.kind_now().map_err(Trouble::refused)
    }

    /// What `current` is now.
    pub fn current(&self) -> Result<Current, Error> {
        current::resolve(self).map_err(Trouble::refused)
    }

    /// All releases that are there, newest first.
    pub fn releases(&self) -> Result<Vec<Found>, Error> {
        self.found().map_err(Trouble::refused)
    }

    /// One release, if it is there.
    pub fn release(&self, id: &ReleaseId) -> Result<Option<Found>, Error> {
        Ok(self.releases()?.into_iter().find(|found| found.id == *id))
    }

    /// The last `most` records of the journal, newest last.
    pub fn records(&self, most: usize) -> Result<Vec<Record>, Error> {
        let read = || match self.root.dir_through_links(OWN)? {
            Some(own) => Journal::peek(&own, most),
            None => Ok(Vec::new()),
        };
        read().map_err(Trouble::refused)
    }

    /// Who is at work in the tree now, if anybody is.
    pub fn locked_by(&self) -> Result<Option<Holder>, Error> {
        let read = || match self.root.dir_through_links(OWN)? {
            Some(own) => Lock::holder(&own),
            None => Ok(None),
        };
        read().map_err(Trouble::refused)
    }

    /// What Deployer's lock file says, and since when it stands there. It outlives a deploy that was killed.
    pub fn deployers_lock(&self) -> Result<Option<(String, Timestamp)>, Error> {
        let read = || match self.root.dir_through_links(foreign::DEP)? {
            Some(dep) => Lock::deployers(&dep),
            None => Ok(None),
        };
        read().map_err(Trouble::refused)
    }

    /// Makes `.aloud`, by which the tree is known to be ours too.
    pub fn claim(&self) -> Result<(), Error> {
        self.own_dir().map(drop).map_err(Trouble::refused)
    }

    pub(crate) fn kind_now(&self) -> Result<Kind, Trouble> {
        let ids: Vec<_> = self.entries()?.into_iter().map(|(id, _)| id).collect();
        foreign::kind(&self.root, &ids)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn root_dir(&self) -> &Dir {
        &self.root
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    pub(crate) fn releases_dir(&self) -> Result<Option<Dir>, Trouble> {
        self.root.dir_through_links(RELEASES)
    }

    /// `.aloud`, which is made if it is not there.
    pub(crate) fn own_dir(&self) -> Result<Dir, Trouble> {
        self.root.make_dir(OWN)
    }

    /// `.aloud/releases`, which is made if it is not there.
    pub(crate) fn metas_dir(&self) -> Result<Dir, Trouble> {
        self.own_dir()?.make_dir(METAS)
    }

    pub(crate) fn found(&self) -> Result<Vec<Found>, Trouble> {
        let entries = self.entries()?;
        let current = current::resolve(self)?;
        let notes = foreign::notes(&self.root)?;
        let metas = match self.root.dir_through_links(OWN)? {
            Some(own) => own.dir_through_links(METAS)?,
            None => None,
        };
        let links = self.links()?;
        let mut found = Vec::new();
        for (id, dir) in entries {
            let meta = metas.as_ref().map(|metas| Meta::read(metas, &id)).transpose()?.flatten();
            let noted = notes.get(id.as_str()).cloned().unwrap_or_default();
            let mut release = self.describe(id, &dir, meta, noted)?;
            release.current = current.release() == Some(&release.id);
            release.links =
                links.iter().filter(|(_, to)| *to == release.file_id).map(|(name, _)| name.clone()).collect();
            // Deployer's link to the release that it is at work on, or was when it was killed.
            if !release.current && release.state == State::Found && release.links.iter().any(|link| link == "release") {
                release.state = State::Bad { mark: "release".to_owned() };
            }
            found.push(release);
        }
        newest_first(&mut found);
        Ok(found)
    }

    fn describe(&self, id: ReleaseId, dir: &Dir, meta: Option<Meta>, noted: Noted) -> Result<Found, Trouble> {
        // A release that cannot be entered is listed all the same.
        let stat = dir.stat(".").unwrap_or_default();
        let revision = dir.read(REVISION, 200).unwrap_or_default();
        let revision = revision.and_then(|text| text.lines().next().map(|line| line.trim().to_owned()));
        let revision = revision.filter(|line| !line.is_empty());
        let marked = dir.stat(foreign::BAD).unwrap_or_default().is_some();
        let dirty = dir.stat(foreign::DIRTY).unwrap_or_default().is_some();
        let meta = meta.unwrap_or_else(|| Meta::new(id.clone(), State::Found, Timestamp(0)));
        let state = meta.state;
        let overruled = state.is_good() || matches!(state, State::Live { .. } | State::Sealed { .. });
        let state = if marked && overruled { State::Bad { mark: foreign::BAD.to_owned() } } else { state };
        Ok(Found {
            file_id: dir.file_id()?,
            path: self.path_of(&id),
            state,
            current: false,
            healthy_since: meta.healthy_since,
            created: Some(meta.created)
                .filter(|at| at.0 != 0)
                .or(noted.created)
                .or_else(|| foreign::stamped(&id))
                .or_else(|| stat.map(|stat| Timestamp(stat.st_mtime * 1_000_000))),
            by: meta.by.or(noted.by),
            revision: meta.revision.or(revision).or(noted.revision),
            source: meta.source,
            dirty,
            links: Vec::new(),
            id,
        })
    }

    /// The directories that can be releases.
    fn entries(&self) -> Result<Vec<(ReleaseId, Dir)>, Trouble> {
        let Some(releases) = self.releases_dir()? else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        for name in releases.names()? {
            let Some(id) = name.to_str().and_then(|text| text.parse().ok()) else { continue };
            if !releases.stat(&name)?.is_some_and(|stat| is_dir(&stat)) {
                continue;
            }
            // By path only: neither the right to read it nor the one to enter it is needed for that.
            match Dir::open(&releases.path().join(&name), self.root.crash()) {
                Ok(dir) => entries.push((id, dir)),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(releases.trouble("open", &name, error)),
            }
        }
        Ok(entries)
    }

    /// The links in the root, besides `current`, and where they lead.
    fn links(&self) -> Result<Vec<(String, FileId)>, Trouble> {
        let mut links = Vec::new();
        // The root may be closed for reading.
        let Ok(root) = self.root.again() else { return Ok(links) };
        for name in root.names()? {
            let text = name.to_string_lossy().into_owned();
            if name == self.layout.current || text.starts_with('.') || root.link_text(&name)?.is_none() {
                continue;
            }
            if let Ok(Some(stat)) = root.stat_through_links(&name) {
                links.push((text, file_id(&stat)));
            }
        }
        Ok(links)
    }
}

/// By number where all names are numbers, else by time.
fn newest_first(found: &mut [Found]) {
    let by_number = found.iter().all(|release| release.id.number().is_some());
    found.sort_by(|a, b| {
        let key = |release: &Found| (if by_number { release.id.number() } else { None }, release.created);
        key(b).cmp(&key(a)).then_with(|| b.id.number().cmp(&a.id.number())).then_with(|| b.id.cmp(&a.id))
    });
}

/// The tree in one of whose releases this path lies.
fn outer_tree(root: &Path) -> Option<PathBuf> {
    let real = root.canonicalize().ok()?;
    real.ancestors().find_map(|release| {
        let releases = release.parent().filter(|parent| parent.ends_with(RELEASES))?;
        let outer = releases.parent()?;
        let marks = ["current", OWN, foreign::DEP];
        marks.iter().any(|mark| outer.join(mark).symlink_metadata().is_ok()).then(|| outer.to_owned())
    })
}

fn refused(happened: String, hint: &str) -> Error {
    Error::Refused(Message::new(happened, "Nothing was changed.", hint))
}
