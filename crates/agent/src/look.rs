//! Looks at the host: the tree, every process, what the supervisor holds.
//!
//! What a process runs is taken from the kernel, by device and inode. Where the
//! kernel shows nothing, because a worker went to another folder after its
//! start, our own launcher's word counts: it entered the release and holds a
//! lock on it. Of processes that others started there is no such word.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use host::{Blind, Depth, FileId, How, ProcessId, Scan, Targets};
use job::{Clock, HostName, Verdict};
use release::{Found, Tree};
use supervisor::{GenerationView, PoolView, Role, Sign, Snapshot, State, WorkerView};
use wire::v1::{ReadyBy, ReleaseReport, TreeReport, WorkerReport, WorkerState};

use crate::code::what_it_is;
use crate::truth::{self, Current, Failing, Pool, Process, Remark, Runs};
use crate::watched::Watched;

/// Workers that ended so often without having finished a job are told.
const FAILING: u32 = 3;
/// How many of the last lines of a worker are told.
const LINES: usize = 12;

/// What looks.
pub(crate) struct Eyes {
    pub(crate) host: HostName,
    pub(crate) tree: Arc<Tree>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watched: Vec<Watched>,
}

/// What was seen.
pub(crate) struct Looked {
    /// For judging.
    pub(crate) seen: truth::Seen,
    /// For the server and for people.
    pub(crate) tree: TreeReport,
    /// For the server and for people.
    pub(crate) workers: Vec<WorkerReport>,
}

impl Eyes {
    /// Looks once; takes some milliseconds. `remarks` are what is known
    /// otherwise of the host and the agent.
    pub(crate) fn look(&self, snapshot: &Snapshot, mut remarks: Vec<Remark>) -> Looked {
        let mut about_tree = Vec::new();
        let current = self.current();
        let releases = self.tree.releases().unwrap_or_else(|error| {
            let what = format!("the releases cannot be listed: {}", error.message().happened);
            about_tree.push(Remark { verdict: Verdict::Critical, what });
            Vec::new()
        });
        let ground = Ground::new(&self.tree, &releases);
        let scan = host::scan(&ground.targets, Depth::Quick, &*self.clock);
        if let Some(why @ (Blind::Hidden | Blind::Denied | Blind::Raced | Blind::Failed(_))) = &scan.hidden {
            let what = format!("not all processes can be seen: {why}");
            remarks.push(Remark { verdict: Verdict::Warning, what });
        }
        about_tree.extend(self.unfinished(&releases));
        let mut known: HashSet<ProcessId> = HashSet::new();
        let mut pools: Vec<_> =
            snapshot.pools.iter().map(|pool| ours(pool, snapshot, &scan, &ground, &mut known)).collect();
        pools.extend(self.watched.iter().map(|watched| theirs(watched, &scan, &ground, &mut known)));
        let strangers = scan.processes.iter().filter(|process| !known.contains(&process.id));
        let strangers = strangers.filter_map(|process| {
            let runs = ground.seen_in(process)?;
            Some(Process { pid: process.id.pid, name: process.name.clone(), runs, state: truth::State::Ready })
        });
        let tree = TreeReport {
            root: self.tree.root().display().to_string(),
            current: ground.current.as_ref().map(|(_, id)| id.clone()),
            releases: releases.iter().map(|found| in_short(found, &scan)).collect(),
        };
        let seen = truth::Seen {
            host: self.host.clone(),
            at: scan.at,
            current,
            tree: about_tree,
            strangers: strangers.collect(),
            pools,
            remarks,
        };
        Looked { seen, tree, workers: workers(snapshot, ground.current.as_ref().map(|(id, _)| *id)) }
    }

    fn current(&self) -> Current {
        match self.tree.current() {
            Ok(release::Current::Release { id, .. }) => Current::Release(id.to_string()),
            Ok(other) => Current::Not(what_it_is(&self.tree, &other)),
            Err(error) => Current::Not(error.message().happened.clone()),
        }
    }

    /// What was begun with the tree and not ended, unless somebody is at it.
    fn unfinished(&self, releases: &[Found]) -> Vec<Remark> {
        if !matches!(self.tree.locked_by(), Ok(None)) {
            return Vec::new();
        }
        let mut remarks = Vec::new();
        let mut say = |verdict, what| remarks.push(Remark { verdict, what });
        let current = releases.iter().position(|found| found.current);
        for (place, found) in releases.iter().enumerate() {
            let is_newer = current.is_none_or(|current| place < current);
            match &found.state {
                release::State::Held { why, .. } if found.current => {
                    // What follows was said of the workers.
                    let why = why.lines().next().unwrap_or_default();
                    say(Verdict::Critical, format!("release {} is held: {why}", found.id));
                }
                release::State::Live { why, .. } if found.current => {
                    let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                    say(Verdict::Warning, format!("nothing has confirmed yet that release {} works{why}", found.id));
                }
                release::State::Sealed { .. } if found.current => {
                    say(Verdict::Warning, format!("nothing has confirmed yet that release {} works", found.id));
                }
                release::State::Sealed { .. } if is_newer => say(
                    Verdict::Warning,
                    format!(
                        "release {} was made and never switched to: `aloud deploy --resume` makes it current, \
                         `aloud deploy --abort` gives it up",
                        found.id
                    ),
                ),
                release::State::Building
                | release::State::Sealed { .. }
                | release::State::Live { .. }
                | release::State::Healthy { .. }
                | release::State::Held { .. }
                | release::State::Failed { .. }
                | release::State::Aborted { .. }
                | release::State::RolledBack { .. }
                | release::State::Found
                | release::State::Bad { .. } => {}
            }
        }
        remarks
    }
}

/// The releases, as a process may sit in them.
struct Ground {
    current: Option<(FileId, String)>,
    names: BTreeMap<FileId, String>,
    targets: Targets,
}

impl Ground {
    fn new(tree: &Tree, releases: &[Found]) -> Self {
        let id = |found: &Found| FileId { dev: found.file_id.dev, ino: found.file_id.ino };
        let mut folders: Vec<(FileId, PathBuf)> =
            releases.iter().map(|found| (id(found), found.path.clone())).collect();
        // Stands for the releases that are gone and forgotten.
        let all = tree.root().join("releases");
        folders.extend(FileId::of(&all).known().map(|found| (found, all)));
        let current = releases.iter().find(|found| found.current).map(|found| (id(found), found.id.to_string()));
        let names = releases.iter().map(|found| (id(found), found.id.to_string())).collect();
        Self { current, names, targets: Targets::new(folders) }
    }

    /// In which release a process is, as far as the kernel shows: where it is
    /// and what it runs before what it was called with.
    fn seen_in(&self, process: &host::Process) -> Option<Runs> {
        let ways = [How::Cwd, How::Root, How::Exe, How::Argument];
        let found = ways.iter().find_map(|how| process.uses.iter().find(|one| one.how == *how))?;
        if found.deleted {
            return Some(Runs::Gone(found.path.display().to_string()));
        }
        Some(match (self.names.get(&found.target), &self.current) {
            (Some(_), Some((current, _))) if *current == found.target => Runs::Current,
            (Some(name), _) => Runs::Other(name.clone()),
            // It is below `releases/`, and in none of those that are there.
            (None, _) => Runs::Gone(found.path.display().to_string()),
        })
    }

    /// What the launcher of a generation says.
    fn launched(&self, generation: &GenerationView) -> Runs {
        let folder = FileId { dev: generation.dir.dev, ino: generation.dir.ino };
        match &self.current {
            _ if generation.gone => Runs::Gone(format!("release {}", generation.release)),
            Some((current, _)) if *current == folder => Runs::Current,
            Some(_) | None => Runs::Other(generation.release.clone()),
        }
    }
}

fn ours(pool: &PoolView, snapshot: &Snapshot, scan: &Scan, ground: &Ground, known: &mut HashSet<ProcessId>) -> Pool {
    let mut processes = Vec::new();
    let mut failing: Option<Failing> = None;
    for generation in &pool.generations {
        for worker in &generation.workers {
            if let Some(more) = keeps_ending(worker)
                && failing.as_ref().is_none_or(|failing| failing.times < more.times)
            {
                failing = Some(more);
            }
            let (Some(pid), Some(start)) = (worker.pid.and_then(|pid| i32::try_from(pid).ok()), worker.start) else {
                continue;
            };
            let state = match worker.state {
                State::Starting => truth::State::Starting,
                State::Ready { verified: true, .. } => truth::State::Ready,
                State::Ready { verified: false, .. } => truth::State::Unverified,
                State::Draining { .. } => truth::State::Draining,
                // A place without a process; it is counted as missing.
                State::Backoff { .. } | State::Ended => continue,
            };
            let id = ProcessId { pid, start };
            // One that is not in the scan has ended meanwhile.
            let Some(process) = scan.process(id) else { continue };
            known.insert(id);
            let seen = ground.seen_in(process).unwrap_or_else(|| ground.launched(generation));
            processes.push(Process { pid, name: process.name.clone(), runs: seen, state });
        }
    }
    let coming = pool.generations.iter().find(|generation| generation.role == Role::Coming);
    Pool {
        name: pool.name.clone(),
        wanted: usize::from(pool.count),
        processes,
        held: pool.held.as_ref().map(|held| {
            let lines = last_lines(&held.last.stderr, &held.last.stdout).join("\n");
            format!("{}\n{lines}", held.why).trim_end().to_owned()
        }),
        replacing: coming.map(|coming| snapshot.at.since(coming.since)),
        failing,
        blind: None,
    }
}

fn keeps_ending(worker: &WorkerView) -> Option<Failing> {
    let State::Backoff { failures, .. } = worker.state else { return None };
    let ended = worker.before.as_ref().map_or_else(|| "nobody saw how".to_owned(), |ended| ended.exit.to_string());
    let lines = last_lines(&worker.last.stderr, &worker.last.stdout);
    (failures >= FAILING).then_some(Failing { times: failures, last: ended, lines })
}

/// The last lines of what was said: many programs say what is wrong on the
/// standard output.
fn last_lines(stderr: &[String], stdout: &[String]) -> Vec<String> {
    let said = if stderr.is_empty() { stdout } else { stderr };
    said[said.len().saturating_sub(LINES)..].to_vec()
}

fn theirs(watched: &Watched, scan: &Scan, ground: &Ground, known: &mut HashSet<ProcessId>) -> Pool {
    let (found, blind) = match watched.find(scan) {
        Ok(found) => (found, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let processes = found.into_iter().map(|place| {
        let process = &scan.processes[place];
        known.insert(process.id);
        let runs = ground.seen_in(process).unwrap_or_else(|| match process.cwd.blind() {
            Some(why) => Runs::Unknown(format!("cannot be looked into: {why}")),
            None => Runs::Elsewhere,
        });
        Process { pid: process.id.pid, name: process.name.clone(), runs, state: truth::State::Ready }
    });
    Pool {
        name: watched.name.clone(),
        wanted: watched.count,
        processes: processes.collect(),
        held: None,
        replacing: None,
        failing: None,
        blind,
    }
}

fn in_short(found: &Found, scan: &Scan) -> ReleaseReport {
    let users = scan.users_of(FileId { dev: found.file_id.dev, ino: found.file_id.ino });
    let all_seen = users.possible.is_empty() && users.faceless.is_empty() && users.hidden.is_none();
    let in_use = if users.certain.is_empty() { all_seen.then_some(false) } else { Some(true) };
    ReleaseReport {
        id: found.id.to_string(),
        made: found.created,
        in_use,
        note: Some(found.state.word().to_owned()).filter(|_| !matches!(found.state, release::State::Found)),
    }
}

fn workers(snapshot: &Snapshot, current: Option<FileId>) -> Vec<WorkerReport> {
    let mut all = Vec::new();
    for pool in &snapshot.pools {
        for generation in &pool.generations {
            let folder = FileId { dev: generation.dir.dev, ino: generation.dir.ino };
            for worker in &generation.workers {
                let (state, ready, since) = match &worker.state {
                    State::Starting => (WorkerState::Starting, None, worker.since),
                    State::Ready { how, since, .. } => (WorkerState::Ready, Some(ready_by(*how)), Some(*since)),
                    State::Draining { since } => (WorkerState::Draining, None, Some(*since)),
                    State::Backoff { .. } => (WorkerState::Backoff, None, worker.since),
                    State::Ended => (WorkerState::Ended, None, worker.since),
                };
                let unnamed = || format!("{}.{}.{}", pool.name, worker.slot, generation.generation);
                all.push(WorkerReport {
                    id: worker.id.as_ref().map_or_else(unnamed, ToString::to_string),
                    pool: pool.name.clone(),
                    pid: worker.pid,
                    release: Some(generation.release.clone()),
                    generation: generation.generation.0,
                    state,
                    ready,
                    since: since.unwrap_or(snapshot.at),
                    restarts: u32::try_from(pool.restarts).unwrap_or(u32::MAX),
                    current: !generation.gone && current == Some(folder),
                });
            }
        }
    }
    all.truncate(wire::v1::AgentReport::MAX_WORKERS);
    all
}

fn ready_by(sign: Sign) -> ReadyBy {
    match sign {
        Sign::Notified => ReadyBy::Notify,
        Sign::Spoke => ReadyBy::Spoke,
        Sign::Connected => ReadyBy::Connected,
        Sign::Finished => ReadyBy::Job,
        Sign::Alive(_) => ReadyBy::Alive,
    }
}

/// Who uses these folders, as whoever wants to delete them must know: looked at
/// closely. Whoever looks has them open meanwhile: this process and `asker` do
/// not count, and hold locks where they mean to stay.
pub(crate) fn users(folders: &[(FileId, PathBuf)], asker: u32, accepted: &Accepted, clock: &dyn Clock) -> Vec<Users> {
    let scan = host::scan(&Targets::new(folders.iter().cloned()), Depth::Full, clock);
    let looks = [asker, std::process::id()];
    folders.iter().map(|(folder, _)| Users::of(&scan, *folder, looks, accepted)).collect()
}

/// Programs that are known to be in no release though they cannot be looked at:
/// a person said so, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted(pub Vec<String>);

impl Accepted {
    /// Stands for every program.
    pub const ALL: &str = "*";

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|one| one == name || one == Self::ALL)
    }
}

/// Who uses a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Users {
    /// Those who use it.
    pub certain: Vec<String>,
    /// Those who may use it: they could not be looked at.
    pub possible: Vec<String>,
}

impl Users {
    fn of(scan: &Scan, folder: FileId, looks: [u32; 2], accepted: &Accepted) -> Self {
        const MOST: usize = 20;
        let users = scan.users_of(folder);
        let named = |process: &host::Process| format!("process {} ({})", process.id.pid, process.name);
        let is_other = |process: &host::Process| u32::try_from(process.id.pid).is_ok_and(|pid| !looks.contains(&pid));
        let others = users.certain.iter().filter(|(process, _)| is_other(process));
        let certain = others.map(|(process, uses)| {
            let how = uses.first().map_or_else(String::new, |one| format!(" at `{}`", one.path.display()));
            format!("{}{how}", named(process))
        });
        let unknown = users.possible.iter().filter(|process| !accepted.has(&process.name));
        let mut possible: Vec<_> = unknown.map(|process| named(process)).collect();
        let faceless = users.faceless.iter().filter(|_| !accepted.has(Accepted::ALL));
        possible.extend(faceless.map(|(pid, why)| format!("process {pid}: {why}")));
        let more = possible.len().saturating_sub(MOST);
        if more > 0 {
            possible.truncate(MOST);
            possible.push(format!("and {more} more"));
        }
        let hidden = users.hidden.filter(|_| !accepted.has(Accepted::ALL));
        possible.extend(hidden.map(|why| format!("processes that cannot be seen: {why}")));
        Self { certain: certain.collect(), possible }
    }
}
