//! Who uses which folder, looked up once over all processes.
//!
//! Device and inode decide, so renames, symbolic links and deleted folders do
//! not matter; where only a name is left (a deleted library), the name does.
//!
//! What this does not see, and nobody can: what a process has read and closed,
//! open files of a single thread that keeps its own table of them, and whatever
//! comes to be after the look. Whoever deletes needs a lock besides.

mod found;
mod home;
mod look;
mod mounted;

use std::collections::HashSet;
use std::ffi::OsString;

use job::{Clock, Span, Timestamp};

use crate::file::{FileId, Place};
use crate::proc::Proc;
use crate::process::ProcessId;
use crate::seen::{Blind, Lack, Look, Seen};
use crate::targets::{How, Targets, Use};
use crate::veil;
use look::{Eye, Looked};

/// How closely to look.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Depth {
    /// Where processes are, what they run, and how they were called: for every
    /// few seconds.
    Quick,
    /// Also what they have open, mapped and mounted, and their environment; and
    /// until no new process turns up: for whoever wants to delete.
    Full,
}

/// All processes at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Everybody who could be seen at all. Threads of the kernel, and processes
    /// that have ended, use nothing and are left out.
    pub processes: Vec<Process>,
    /// Those of whom only the number could be seen, and why.
    pub faceless: Vec<(i32, Blind)>,
    /// Why there may be more processes, if there may.
    pub hidden: Option<Blind>,
    /// How closely it was looked.
    pub depth: Depth,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Span,
}

/// One process, as far as it could be seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Which process.
    pub id: ProcessId,
    /// The number of its parent; 0 if that is outside of this pid namespace.
    pub parent: i32,
    /// The user as which it acts.
    pub uid: Seen<u32>,
    /// What it calls itself, at most 15 bytes.
    pub name: String,
    /// How it was called, or what it has written over that.
    pub command: Seen<Vec<OsString>>,
    /// Where it is.
    pub cwd: Seen<Place>,
    /// The program that it runs; for a script its interpreter.
    pub exe: Seen<Place>,
    /// Its control group, of the unified hierarchy where there is one.
    pub cgroup: Seen<String>,
    /// Which targets it uses, each way once.
    pub uses: Vec<Use>,
    /// What could not be seen of it, of all that was looked for.
    pub unseen: Vec<Unseen>,
}

/// One way of using a folder of which it could not be seen whether it is so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unseen {
    /// Which way.
    pub how: How,
    /// Why it could not be seen.
    pub why: Blind,
}

/// Who uses a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Users<'a> {
    /// Those who use it, and how: in it, open, mapped, or in their command line.
    pub certain: Vec<(&'a Process, Vec<&'a Use>)>,
    /// Those who only name it in the environment they were started with.
    pub named: Vec<(&'a Process, Vec<&'a Use>)>,
    /// Those who may use it: something of them could not be seen.
    pub possible: Vec<&'a Process>,
    /// Those of whom only the number is known.
    pub faceless: &'a [(i32, Blind)],
    /// Why there may be more.
    pub hidden: Option<&'a Blind>,
    depth: Depth,
}

/// How often processes that are new since the last look are looked for. A
/// machine that starts some faster than they can be looked at is not fully seen.
const MAX_ROUNDS: usize = 16;

/// Looks at all processes. Bounded by their number: 200 take a few
/// milliseconds, at [`Depth::Full`] some tens.
pub fn scan(targets: &Targets, depth: Depth, clock: &dyn Clock) -> Scan {
    let began = clock.now();
    let mut scan =
        Scan { processes: Vec::new(), faceless: Vec::new(), hidden: None, depth, at: began.wall, took: Span::ZERO };
    if let Err(lack) = look_at_all(targets, &mut scan) {
        scan.hidden = Some(match lack {
            Lack::Gone => Blind::Raced,
            Lack::Blind(why) => why,
        });
    }
    scan.took = clock.now().mono.since(began.mono);
    scan
}

fn look_at_all(targets: &Targets, scan: &mut Scan) -> Look<()> {
    let proc = Proc::open()?;
    scan.hidden = veil::over(&proc);
    let mut eye = Eye::new(&proc, targets, scan.depth)?;
    let mut known = HashSet::new();
    for _ in 0..MAX_ROUNDS {
        let new: Vec<i32> = proc.pids()?.into_iter().filter(|pid| known.insert(*pid)).collect();
        if new.is_empty() {
            return Ok(());
        }
        for pid in new {
            match eye.look(pid) {
                Looked::Nobody => {}
                Looked::Faceless(why) => scan.faceless.push((pid, why)),
                Looked::Process(process) => scan.processes.push(*process),
            }
        }
        // A process may have ended before it was looked at, and left a child
        // that was not in the list yet. Who looks often sees that child soon.
        if scan.depth == Depth::Quick {
            return Ok(());
        }
    }
    Err(Lack::Blind(Blind::Raced))
}

impl Scan {
    /// Who uses the target `folder`, and who may. This process is one of them
    /// if it has the folder open itself.
    pub fn users_of(&self, folder: FileId) -> Users<'_> {
        let mut users = Users {
            certain: Vec::new(),
            named: Vec::new(),
            possible: Vec::new(),
            faceless: &self.faceless,
            hidden: self.hidden.as_ref(),
            depth: self.depth,
        };
        for process in &self.processes {
            let uses: Vec<&Use> = process.uses.iter().filter(|found| found.target == folder).collect();
            if uses.iter().any(|found| found.how != How::Variable) {
                users.certain.push((process, uses));
            } else if process.may_use_more() {
                users.possible.push(process);
            } else if !uses.is_empty() {
                users.named.push((process, uses));
            }
        }
        users
    }

    /// The process, if it is there.
    pub fn process(&self, id: ProcessId) -> Option<&Process> {
        self.processes.iter().find(|process| process.id == id)
    }
}

impl Process {
    /// Whether it may use more than is in [`Process::uses`]. That its
    /// environment could not be read does not count.
    pub fn may_use_more(&self) -> bool {
        self.unseen.iter().any(|unseen| unseen.how != How::Variable)
    }
}

impl Users<'_> {
    /// Whether it is known that nobody uses it. Never after a quick look.
    pub fn is_nobody(&self) -> bool {
        self.depth == Depth::Full
            && self.certain.is_empty()
            && self.possible.is_empty()
            && self.faceless.is_empty()
            && self.hidden.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: FileId = FileId { dev: 1, ino: 65 };

    fn process(how: Option<How>, unseen: Option<How>) -> Process {
        let found = how.map(|how| Use { target: RELEASE, how, path: "/srv/releases/65".into(), deleted: false });
        Process {
            id: ProcessId { pid: 7, start: 9 },
            parent: 1,
            uid: Seen::Known(33),
            name: "php".to_owned(),
            command: Seen::Known(Vec::new()),
            cwd: Seen::Gone,
            exe: Seen::Gone,
            cgroup: Seen::Gone,
            uses: found.into_iter().collect(),
            unseen: unseen.map(|how| Unseen { how, why: Blind::Denied }).into_iter().collect(),
        }
    }

    fn scan_of(processes: Vec<Process>) -> Scan {
        let (at, took) = (Timestamp(0), Span::ZERO);
        Scan { processes, faceless: Vec::new(), hidden: None, depth: Depth::Full, at, took }
    }

    #[test]
    fn whoever_could_not_be_seen_may_be_a_user() {
        let check = |how, unseen, expect: [usize; 3]| {
            let scan = scan_of(vec![process(how, unseen)]);
            let users = scan.users_of(RELEASE);
            assert_eq!([users.certain.len(), users.possible.len(), users.named.len()], expect, "{how:?} {unseen:?}");
            assert_eq!(users.is_nobody(), expect[..2] == [0, 0], "{how:?} {unseen:?}");
            let other = scan.users_of(FileId { ino: 66, ..RELEASE });
            assert_eq!((other.certain.len(), other.possible.len()), (0, expect[1].max(usize::from(is_blind(unseen)))));
        };
        check(None, None, [0, 0, 0]);
        for how in [How::Cwd, How::Root, How::Exe, How::Map, How::OpenFile, How::Mount, How::Argument] {
            check(Some(how), None, [1, 0, 0]);
            check(Some(how), Some(How::Exe), [1, 0, 0]);
            check(None, Some(how), [0, 1, 0]);
            check(Some(How::Variable), Some(how), [0, 1, 0]);
        }
        check(Some(How::Variable), None, [0, 0, 1]);
        check(None, Some(How::Variable), [0, 0, 0]);
    }

    fn is_blind(unseen: Option<How>) -> bool {
        unseen.is_some_and(|how| how != How::Variable)
    }

    #[test]
    fn nobody_is_only_said_of_all_processes_looked_at_closely() {
        assert!(scan_of(Vec::new()).users_of(RELEASE).is_nobody());
        let quick = Scan { depth: Depth::Quick, ..scan_of(Vec::new()) };
        let hidden = Scan { hidden: Some(Blind::Hidden), ..scan_of(Vec::new()) };
        let faceless = Scan { faceless: vec![(7, Blind::Denied)], ..scan_of(Vec::new()) };
        for scan in [quick, hidden, faceless] {
            assert!(!scan.users_of(RELEASE).is_nobody(), "{scan:?}");
        }
    }
}
