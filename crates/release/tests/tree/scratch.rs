//! A tree in a temporary folder, and hands that do as they are told.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use job::Span;
use job::time::SystemClock;
use release::{
    Build, Current, Done, Failure, Found, Go, Hands, Hook, InUse, Layout, Options, Outcome, Place, Progress, ReleaseId,
    Reserve, Rolled, Shared, Source, Target, Task, Tree,
};

pub(crate) struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// In memory, where there is a place for that: what a killed process leaves does not depend on the disk, and waiting
    /// for it takes most of the time.
    pub(crate) fn in_memory() -> Self {
        Self { folder: tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap()) }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Writes a file, and the folders on the way.
    pub(crate) fn write(&self, below: &str, text: &str) -> PathBuf {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("app")
    }

    pub(crate) fn tree(&self) -> Tree {
        tree(&self.root())
    }

    /// An application of this version: a few files, one of which is shared.
    pub(crate) fn source(&self, version: &str) -> Build {
        let folder = format!("source-{version}");
        self.write(&format!("{folder}/app"), version);
        self.write(&format!("{folder}/lib/part"), version);
        self.write(&format!("{folder}/storage/kept"), "kept");
        self.write(&format!("{folder}/settings"), "settings");
        std::fs::create_dir_all(self.path(&format!("{folder}/.git"))).unwrap();
        build(&self.path(&folder))
    }

    /// Deploys a version, and everything goes well.
    pub(crate) fn deploy(&self, version: &str) -> Outcome {
        self.deploy_with(version, &Script::default())
    }

    pub(crate) fn deploy_with(&self, version: &str, script: &Script) -> Outcome {
        let outcome = release::deploy(&self.tree(), &self.source(version), &options(), script);
        outcome.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What the application says its version is.
    pub(crate) fn version(&self) -> String {
        std::fs::read_to_string(self.path("app/current/app")).unwrap()
    }

    pub(crate) fn current(&self) -> String {
        let current = self.tree().current().unwrap();
        let Current::Release { id, .. } = current else { panic!("{current}") };
        id.to_string()
    }

    pub(crate) fn found(&self, id: &str) -> Found {
        self.tree().release(&self::id(id)).unwrap().unwrap_or_else(|| panic!("release {id} is gone"))
    }

    /// The releases that are there, newest first, each with its state.
    pub(crate) fn states(&self) -> Vec<String> {
        let found = self.tree().releases().unwrap();
        found.iter().map(|found| format!("{} {}", found.id, found.state.word())).collect()
    }

    /// The names in a folder of the tree.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.root().join(below)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A message with the folder's name taken out.
    pub(crate) fn message(&self, error: &release::Error) -> String {
        error.to_string().replace(&self.folder.path().display().to_string(), "DIR")
    }
}

pub(crate) fn tree(root: &Path) -> Tree {
    Tree::create(Layout::new(root), Arc::new(SystemClock::resume(None))).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn id(text: &str) -> ReleaseId {
    text.parse().unwrap()
}

pub(crate) fn build(folder: &Path) -> Build {
    let mut build = Build::new(Source::Folder(folder.to_owned()));
    build.shared = Shared { folders: vec!["storage".into()], files: vec!["settings".into()] };
    build.hooks = vec![hook("install")];
    build.boot_check = Some(hook("boot check"));
    build.revision = Some("0123abc".into());
    build
}

pub(crate) fn hook(name: &str) -> Hook {
    Hook { name: name.into(), argv: vec!["true".into()], within: Span::from_secs(60) }
}

/// Little is left free, so that it does not matter how full the disk is.
pub(crate) fn options() -> Options {
    let mut options = Options::new("alice");
    options.reserve = Reserve { bytes: 0, inodes: 0 };
    options.grace = Span::ZERO;
    options
}

type Run = Box<dyn Fn(&Task) -> Result<Done, Failure> + Send + Sync>;
type Use = Box<dyn Fn(&Place) -> InUse + Send + Sync>;

/// Hands that do as they are told; where nothing was said, everything goes well.
pub(crate) struct Script {
    pub(crate) run: Run,
    pub(crate) go: Go,
    /// What comes of each roll, in order; then there is nobody to roll.
    pub(crate) rolls: Mutex<VecDeque<Rolled>>,
    pub(crate) verify: Result<Vec<String>, String>,
    pub(crate) in_use: Use,
    /// Called with all that is told.
    pub(crate) heard: Box<dyn Fn(&Progress) + Send + Sync>,
    pub(crate) told: Mutex<Vec<Progress>>,
    pub(crate) targets: Mutex<Vec<Target>>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            run: Box::new(|_| Ok(Done::default())),
            go: Go::Switch,
            rolls: Mutex::default(),
            verify: Ok(vec!["it answers".into()]),
            in_use: Box::new(|_| InUse::Free),
            heard: Box::new(|_| {}),
            told: Mutex::default(),
            targets: Mutex::default(),
        }
    }
}

impl Script {
    pub(crate) fn rolling(rolls: impl IntoIterator<Item = Rolled>) -> Self {
        Self { rolls: Mutex::new(rolls.into_iter().collect()), ..Self::default() }
    }

    pub(crate) fn using(in_use: impl Fn(&Place) -> InUse + Send + Sync + 'static) -> Self {
        Self { in_use: Box::new(in_use), ..Self::default() }
    }
}

impl Hands for Script {
    fn run(&self, task: &Task) -> Result<Done, Failure> {
        (self.run)(task)
    }

    fn barrier(&self, _sealed: &Target) -> Go {
        self.go.clone()
    }

    fn roll(&self, target: &Target) -> Rolled {
        self.targets.lock().unwrap().push(target.clone());
        self.rolls.lock().unwrap().pop_front().unwrap_or(Rolled::NobodyToRoll)
    }

    fn verify(&self, _target: &Target) -> Result<Vec<String>, String> {
        self.verify.clone()
    }

    fn in_use(&self, places: &[Place]) -> Vec<InUse> {
        places.iter().map(|place| (self.in_use)(place)).collect()
    }

    fn tell(&self, progress: Progress) {
        (self.heard)(&progress);
        self.told.lock().unwrap().push(progress);
    }
}
