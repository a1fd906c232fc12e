//! Looks at a tree and at everybody who runs from it. Nothing is written, and
//! nothing is opened for writing.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{Blind, Depth, FileId, How, ProcessId, Scan, Targets};
use job::time::SystemClock;
use job::{Clock, Timestamp, Verdict};
use release::{Current, Layout, Tree};

use super::judge::{self, Ground};
use super::laravel;
use super::origin::{Origin, Signs};
use super::scene::{Member, Release, Remark, Scene, Way};
use crate::init::tree::shared;
use crate::report::Report;

/// The most links that are followed from `current` on.
const MAX_LINKS: usize = 8;
/// How many programs that could not be looked at are named.
const NAMED: usize = 8;
const SHELLS: [&str; 7] = ["bash", "zsh", "fish", "sh", "dash", "ksh", "tcsh"];

/// Looks once. `accepted` are programs that are known to be in no release.
pub(crate) fn look(root: &Path, accepted: &[String]) -> Result<Scene, Report> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::resume(None));
    let tree = Tree::open(Layout::new(root), clock.clone())?;
    let current = tree.current()?;
    let releases = tree.releases()?;
    let (folders, links) = (both(root, "releases"), both(root, "current"));
    let link = fs::symlink_metadata(root.join("current")).ok();
    let switched = link.filter(fs::Metadata::is_symlink).map(|link| Timestamp(link.ctime().saturating_mul(1_000_000)));
    let id = |found: &release::Found| FileId { dev: found.file_id.dev, ino: found.file_id.ino };
    let of_current = releases.iter().find(|found| found.current);

    let mut targets = Vec::new();
    for folder in &folders {
        targets.extend(releases.iter().map(|found| (id(found), folder.join(found.id.as_str()))));
        // Stands for the releases that are gone.
        targets.extend(FileId::of(folder).known().map(|id| (id, folder.clone())));
    }
    targets.extend(of_current.iter().flat_map(|found| links.iter().map(|link| (id(found), link.clone()))));
    let scan = host::scan(&Targets::new(targets), Depth::Full, &*clock);

    let names: HashMap<FileId, String> = releases.iter().map(|found| (id(found), found.id.to_string())).collect();
    let current_id = of_current.map(|found| found.id.to_string());
    let ground = Ground { releases: &folders, links: &links, current: current_id.as_deref(), switched };
    let mut processes = members(&scan, &names, &ground);
    judge_all(&mut processes, &ground, scan.at);
    let processes = in_order(processes);

    let mut remarks = of_tree(&tree, &current, &releases, scan.at)?;
    let mut framework = None;
    if let Some(found) = of_current
        && let Some((seen, more)) = laravel::look(root, &found.path, &processes)
    {
        framework = Some(seen);
        remarks.extend(more);
    }
    remarks.sort_by_key(|remark| std::cmp::Reverse(remark.verdict));
    let unseen = unseen(&scan, &processes, accepted);
    let all = remarks.iter().chain(&unseen).chain(processes.iter().flat_map(|one| &one.remarks));
    Ok(Scene {
        verdict: all.map(|remark| remark.verdict).max().unwrap_or_default(),
        at: scan.at,
        root: root.to_owned(),
        kind: tree.kind()?.to_string(),
        current_is: current.to_string(),
        switched,
        releases: releases.iter().map(|found| in_short(found, &scan, id(found))).collect(),
        remarks,
        processes,
        unseen,
        framework,
        current: current_id,
    })
}

/// A path in the root, as it is called and as the kernel calls it.
fn both(root: &Path, name: &str) -> Vec<PathBuf> {
    let real = root.canonicalize().map(|root| root.join(name));
    // The folder of the releases may be a link itself.
    let further = root.join(name).canonicalize().ok().filter(|_| name == "releases");
    let mut paths: Vec<PathBuf> = real.into_iter().chain(further).chain([root.join(name)]).collect();
    let mut seen = std::collections::HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths
}

fn in_short(found: &release::Found, scan: &Scan, id: FileId) -> Release {
    let mut marks = Vec::new();
    if let release::State::Bad { mark } = &found.state {
        marks.push(if mark == "release" { "half made".to_owned() } else { mark.clone() });
    }
    if found.dirty {
        marks.push("DIRTY_RELEASE".to_owned());
    }
    let users = scan.users_of(id);
    Release {
        id: found.id.to_string(),
        current: found.current,
        state: found.state.word(),
        marks,
        made: found.created,
        by: found.by.clone(),
        revision: found.revision.clone(),
        processes: users.certain.iter().filter(|(process, _)| !is_this(process.id)).count(),
    }
}

fn is_this(id: ProcessId) -> bool {
    u32::try_from(id.pid) == Ok(std::process::id())
}

fn members(scan: &Scan, names: &HashMap<FileId, String>, ground: &Ground<'_>) -> Vec<Member> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let by_pid: HashMap<i32, &host::Process> = scan.processes.iter().map(|one| (one.id.pid, one)).collect();
    let mut members: Vec<Member> = Vec::new();
    for process in scan.processes.iter().filter(|process| !is_this(process.id)) {
        let ways: Vec<Way> = process.uses.iter().map(|used| way(used, names)).collect();
        let gone = ways.iter().any(|way| way.how == How::Cwd && way.deleted && way.release.is_none());
        let removed = if gone { host::process::folder_changed(process.id).known() } else { None };
        let since = host::process::started(process.id).known();
        let Some(runs) = ground.runs(&ways, since, removed) else { continue };
        let argv = process.command.as_ref().known().cloned().unwrap_or_default();
        let signs = signs(process, &by_pid);
        members.push(Member {
            pid: process.id.pid,
            child_of: None,
            user: process.uid.as_ref().known().map(|uid| user(&users, *uid)),
            name: process.name.clone(),
            person: signs.terminal && is_shell(&process.name, &argv),
            argv: argv.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            since,
            origin: Origin::of(&signs),
            runs,
            uses: ways,
            remarks: Vec::new(),
        });
    }
    let people: HashMap<i32, bool> = members.iter().map(|one| (one.pid, one.person)).collect();
    for one in &mut members {
        // What a person has started is on its own.
        one.child_of = above(one.pid, &by_pid)
            .find_map(|pid| people.get(&pid).map(|person| (pid, *person)))
            .filter(|(_, person)| !person)
            .map(|(pid, _)| pid);
    }
    members
}

fn way(used: &host::Use, names: &HashMap<FileId, String>) -> Way {
    Way { how: used.how, path: used.path.clone(), deleted: used.deleted, release: names.get(&used.target).cloned() }
}

/// The parents of a process, the closest first.
fn above<'a>(pid: i32, by_pid: &'a HashMap<i32, &host::Process>) -> impl Iterator<Item = i32> + use<'a> {
    const MOST: usize = 256;
    let parent = |pid: &i32| by_pid.get(pid).map(|one| one.parent).filter(|parent| *parent != 0);
    std::iter::successors(parent(&pid), parent).take(MOST)
}

fn signs(process: &host::Process, by_pid: &HashMap<i32, &host::Process>) -> Signs {
    let variable = |name: &str| host::process::variable(process.id, name).known().flatten();
    let ancestors = above(process.id.pid, by_pid).filter_map(|pid| by_pid.get(&pid));
    Signs {
        cgroup: process.cgroup.as_ref().known().cloned(),
        supervisor_group: variable("SUPERVISOR_GROUP_NAME").map(|name| name.to_string_lossy().into_owned()),
        aloud: variable("ALOUD_WORKER").is_some(),
        terminal: host::process::has_terminal(process.id).known().unwrap_or(false),
        ancestors: ancestors.map(|one| one.name.clone()).collect(),
    }
}

/// Whether it is a shell that was given nothing to do.
fn is_shell(name: &str, argv: &[std::ffi::OsString]) -> bool {
    let given = argv.iter().skip(1).any(|word| {
        let word = word.to_string_lossy();
        !word.starts_with('-') || word == "-c"
    });
    SHELLS.contains(&name) && !given
}

/// A user's name as `/etc/passwd` has it.
fn user(passwd: &str, uid: u32) -> String {
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| uid.to_string())
}

fn judge_all(processes: &mut [Member], ground: &Ground<'_>, now: Timestamp) {
    let told: Vec<_> = processes
        .iter()
        .map(|one| {
            let master = one.child_of.and_then(|pid| processes.iter().find(|other| other.pid == pid));
            ground.remarks(one, master, now)
        })
        .collect();
    for (one, remarks) in processes.iter_mut().zip(told) {
        one.remarks = remarks;
    }
}

/// By release, the worst first; those who run what their master runs stand below
/// it.
fn in_order(mut all: Vec<Member>) -> Vec<Member> {
    all.sort_by_key(|one| (one.runs.rank(), one.runs.release(), std::cmp::Reverse(one.verdict()), one.pid));
    let below = |all: &[Member], above: Option<usize>| -> Vec<usize> {
        let is_below = |place: &usize| {
            let master = all[*place].child_of.and_then(|pid| all.iter().position(|one| one.pid == pid));
            master.filter(|master| all[*master].runs.is_like(&all[*place].runs)) == above
        };
        (0..all.len()).filter(is_below).rev().collect()
    };
    let mut line = below(&all, None);
    let mut order = Vec::new();
    while let Some(place) = line.pop() {
        order.push(place);
        line.extend(below(&all, Some(place)));
    }
    let mut all: Vec<_> = all.into_iter().map(Some).collect();
    order.into_iter().filter_map(|place| all[place].take()).collect()
}

fn of_tree(tree: &Tree, current: &Current, releases: &[release::Found], now: Timestamp) -> Result<Vec<Remark>, Report> {
    let mut remarks = Vec::new();
    let root = tree.root();
    match current {
        Current::Release { .. } => {}
        Current::Missing if releases.is_empty() => {
            remarks.push(Remark::new(Verdict::Warning, "nothing was deployed yet", "deploy a first release"));
        }
        Current::Missing | Current::Directory | Current::Dangling(_) | Current::Loop | Current::Elsewhere(_) => {
            let what = format!("{current}: whatever is started from it fails, or runs what nobody deployed");
            remarks.push(Remark::new(Verdict::Critical, what, "deploy again, or roll back"));
        }
    }
    remarks.extend(hops(root));
    let lock = tree.deployers_lock()?;
    let busy = lock.as_ref().is_some_and(|(_, since)| judge::lock("", *since, now).verdict == Verdict::Ok);
    remarks.extend(lock.map(|(text, since)| judge::lock(&text, since, now)));
    if let Ok(Some(holder)) = tree.locked_by() {
        let what = format!("{} is at work in the tree: {}", holder.who, holder.what);
        remarks.push(Remark::new(Verdict::Ok, what, ""));
    } else if !busy {
        remarks.extend(unfinished(releases));
    }
    for found in releases.iter().filter(|found| found.current) {
        if let release::State::Bad { mark } = &found.state {
            let what = format!("the current release {} is marked as bad (`{mark}`)", found.id);
            remarks.push(Remark::new(Verdict::Warning, what, "deploy again, or roll back"));
        }
        for link in shared(root, &found.path).dangling {
            let what = format!("`{}` in the current release leads into `shared/`, where it is not", link.display());
            remarks.push(Remark::new(Verdict::Warning, what, "put it there, or take it out of what is shared"));
        }
    }
    Ok(remarks)
}

/// Links between `current` and the release.
fn hops(root: &Path) -> Option<Remark> {
    let mut at = root.join("current");
    let mut way = Vec::new();
    while let Ok(text) = fs::read_link(&at) {
        way.push(text.display().to_string());
        at = at.parent()?.join(text);
        if way.len() > MAX_LINKS {
            return None;
        }
    }
    let what = format!("`current` leads to its release through other links: {}", way.join(", then "));
    (way.len() > 1).then(|| Remark::new(Verdict::Ok, what, "whoever changes one of them switches `current`"))
}

/// Releases that were begun and never became current.
fn unfinished(releases: &[release::Found]) -> Vec<Remark> {
    let current = releases.iter().position(|found| found.current).unwrap_or(0);
    let told = releases.iter().enumerate().filter_map(|(place, found)| {
        let what = match &found.state {
            release::State::Bad { mark } if mark == "release" => "was begun and not ended: its deploy was killed",
            release::State::Building if place < current => "was begun and not ended: its deploy was cut short",
            release::State::Sealed { .. } | release::State::Found if place < current => {
                "is newer than the current one, and nothing says why: its deploy may have been cut short"
            }
            release::State::Bad { .. }
            | release::State::Building
            | release::State::Sealed { .. }
            | release::State::Found
            | release::State::Live { .. }
            | release::State::Healthy { .. }
            | release::State::Held { .. }
            | release::State::Failed { .. }
            | release::State::Aborted { .. }
            | release::State::RolledBack { .. } => return None,
        };
        Some(Remark::new(Verdict::Warning, format!("release {} {what}", found.id), "deploy again"))
    });
    told.collect()
}

fn unseen(scan: &Scan, members: &[Member], accepted: &[String]) -> Vec<Remark> {
    let is_accepted = |name: &str| accepted.iter().any(|one| one == name || one == agent::Accepted::ALL);
    let is_member = |pid: i32| members.iter().any(|one| one.pid == pid);
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut why: Option<&Blind> = None;
    for process in scan.processes.iter().filter(|one| one.may_use_more() && !is_this(one.id)) {
        if !is_member(process.id.pid) && !is_accepted(&process.name) {
            *names.entry(&process.name).or_default() += 1;
            why = why.or_else(|| process.unseen.first().map(|unseen| &unseen.why));
        }
    }
    if !is_accepted(agent::Accepted::ALL) {
        for (_, blind) in &scan.faceless {
            *names.entry("?").or_default() += 1;
            why = why.or(Some(blind));
        }
    }
    let remedy = if rustix::process::geteuid().is_root() {
        "name them as `accept_unknown` in [release] of aloud.toml, if they are known to be in no release"
    } else {
        "run this as root"
    };
    let mut remarks = Vec::new();
    if let Some(why) = why {
        let count: usize = names.values().sum();
        let mut named: Vec<_> = names
            .iter()
            .take(NAMED)
            .map(|(name, count)| match count {
                1 => (*name).to_owned(),
                _ => format!("{name} ({count})"),
            })
            .collect();
        if names.len() > NAMED {
            named.push(format!("and {} more programs", names.len() - NAMED));
        }
        let what = format!(
            "{} could not be looked at, and may run from any release: {}; {why}",
            if count == 1 { "1 process".to_owned() } else { format!("{count} processes") },
            named.join(", ")
        );
        remarks.push(Remark::new(Verdict::Unknown, what, remedy));
    }
    match &scan.hidden {
        None => {}
        Some(why @ Blind::Outside) => {
            remarks.push(Remark::new(
                Verdict::Ok,
                why.to_string(),
                "if the tree is used from there, run this there too",
            ));
        }
        Some(why @ (Blind::Denied | Blind::Hidden | Blind::Raced | Blind::Failed(_)))
            if !is_accepted(agent::Accepted::ALL) =>
        {
            remarks.push(Remark::new(Verdict::Unknown, why.to_string(), remedy));
        }
        Some(Blind::Denied | Blind::Hidden | Blind::Raced | Blind::Failed(_)) => {}
    }
    remarks
}
