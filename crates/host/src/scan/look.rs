//! One process, looked at.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::found::Found;
use super::home::{Homes, without_deleted};
use super::mounted::Mounted;
use super::{Depth, Process};
use crate::file::{FileId, Place};
use crate::proc::{self, Folder, Proc};
use crate::process;
use crate::seen::{Blind, Lack, Look, Seen};
use crate::targets::{How, Targets};
use crate::text::{self, Stat};

/// What looks at one process after the other, and remembers what they share.
pub(super) struct Eye<'a> {
    proc: &'a Proc,
    targets: &'a Targets,
    depth: Depth,
    homes: Homes<'a>,
    mounted: Option<Mounted>,
    our_root: FileId,
}

/// Who was at a number.
pub(super) enum Looked {
    /// Nobody who could use a file.
    Nobody,
    /// Somebody, but not even when it started could be seen.
    Faceless(Blind),
    /// A process.
    Process(Box<Process>),
}

/// How often a process is looked at that changes meanwhile.
const LOOKS: usize = 2;

impl<'a> Eye<'a> {
    pub(super) fn new(proc: &'a Proc, targets: &'a Targets, depth: Depth) -> Look<Self> {
        let mounted = match depth {
            Depth::Quick => None,
            Depth::Full => Some(Mounted::new(proc, targets)?),
        };
        let our_root = Folder::at(Path::new("/"))?.id()?;
        Ok(Self { proc, targets, depth, homes: Homes::new(targets), mounted, our_root })
    }

    /// Looks at whoever has the number `pid`.
    pub(super) fn look(&mut self, pid: i32) -> Looked {
        match self.look_at(pid) {
            Ok(Some(process)) => Looked::Process(Box::new(process)),
            Ok(None) | Err(Lack::Gone) => Looked::Nobody,
            Err(Lack::Blind(why)) => Looked::Faceless(why),
        }
    }

    fn look_at(&mut self, pid: i32) -> Look<Option<Process>> {
        let folder = self.proc.enter(pid.to_string())?;
        let mut looks = 0;
        loop {
            let stat = process::stat(&folder)?;
            if stat.is_kernel() || stat.has_ended() {
                return Ok(None);
            }
            let process = self.see(&folder, stat);
            looks += 1;
            if process.unseen.is_empty() {
                return Ok(Some(process));
            }
            // Of one that has ended the system says that we are not allowed.
            if process::stat(&folder)?.has_ended() {
                return Ok(None);
            }
            let raced = process.unseen.iter().any(|unseen| unseen.why == Blind::Raced);
            if !raced || looks == LOOKS {
                return Ok(Some(process));
            }
            std::thread::yield_now();
        }
    }

    fn see(&mut self, folder: &Folder, stat: Stat) -> Process {
        let mut found = Found::nothing(self.targets);
        let thread = if stat.first_thread_ended() { another_thread(folder, stat.pid) } else { None };
        let body = thread.as_ref().unwrap_or(folder);

        let cwd = self.see_folder(body, "cwd", How::Cwd, &mut found);
        let root = body.enter("root");
        self.see_root(&root, &mut found);
        let exe = self.see_exe(body, &root, &mut found);
        let command = found.keep(How::Argument, command(body));
        if let Seen::Known(command) = &command {
            command.iter().for_each(|argument| found.named(How::Argument, argument.as_bytes()));
        }
        if self.depth == Depth::Full {
            self.see_files(body, &root, &mut found);
            self.see_maps(body, &root, &mut found);
            self.see_threads(folder, stat.pid, &cwd, &root, &mut found);
            match body.read("environ", text::START_BYTES) {
                Ok(bytes) => text::texts(&bytes).iter().for_each(|text| found.named(How::Variable, text.as_bytes())),
                Err(lack) => found.lacks(How::Variable, lack),
            }
            if let Some(mounted) = &mut self.mounted {
                match mounted.by(body) {
                    Ok(uses) => uses.iter().for_each(|mount| found.add(mount.clone())),
                    Err(lack) => found.lacks(How::Mount, lack),
                }
            }
        }
        let status = folder
            .read("status", text::STAT_BYTES)
            .and_then(|bytes| text::status(&bytes).ok_or_else(|| Lack::unreadable("/proc/PID/status")));
        let cgroup = folder
            .read("cgroup", text::STAT_BYTES)
            .and_then(|bytes| text::cgroup(&bytes).ok_or_else(|| Lack::unreadable("/proc/PID/cgroup")));
        Process {
            id: stat.id(),
            parent: stat.parent,
            uid: status.map(|status| status.uid).into(),
            name: stat.name,
            command,
            cwd,
            exe,
            cgroup: cgroup.into(),
            uses: found.uses,
            unseen: found.unseen,
        }
    }

    fn see_folder(&mut self, body: &Folder, name: &str, how: How, found: &mut Found<'_>) -> Seen<Place> {
        let place = body.enter(name).and_then(|folder| {
            let place = self.proc.place(&folder)?;
            let homes = self.homes.of_folder(&folder);
            found.at(how, homes, &place.path, place.deleted);
            Ok(place)
        });
        found.keep(how, place)
    }

    /// The root of nearly everybody is ours, and then says nothing.
    fn see_root(&mut self, root: &Look<Folder>, found: &mut Found<'_>) {
        let seen = root.as_ref().map_err(Clone::clone).and_then(|root| {
            if root.id()? != self.our_root || self.targets.has(self.our_root) {
                let place = self.proc.place(root)?;
                let homes = self.homes.of_folder(root);
                found.at(How::Root, homes, &place.path, place.deleted);
            }
            Ok(())
        });
        found.keep(How::Root, seen);
    }

    fn see_exe(&mut self, body: &Folder, root: &Look<Folder>, found: &mut Found<'_>) -> Seen<Place> {
        let place = body.handle("exe").and_then(|exe| {
            let place = self.proc.place(&exe)?;
            let homes = self.homes.of_file(place.id, &place.as_told(), root).map(|home| home.targets);
            found.at(How::Exe, homes, &place.path, place.deleted);
            Ok(place)
        });
        found.keep(How::Exe, place)
    }

    fn see_files(&mut self, body: &Folder, root: &Look<Folder>, found: &mut Found<'_>) {
        let files = body.enter("fd").and_then(|files| Ok((files.numbers(".")?, files)));
        let (numbers, files) = match files {
            Ok(files) => files,
            Err(lack) => return found.lacks(How::OpenFile, lack),
        };
        for number in numbers {
            match self.see_file(&files, number, root, found) {
                // It was closed meanwhile.
                Ok(()) | Err(Lack::Gone) => {}
                Err(lack) => found.lacks(How::OpenFile, lack),
            }
        }
    }

    fn see_file(&mut self, files: &Folder, number: i32, root: &Look<Folder>, found: &mut Found<'_>) -> Look<()> {
        let name = number.to_string();
        let text = files.link(&name)?;
        // `socket:[1]`, `pipe:[2]` and others have no place in the tree.
        if !text.is_absolute() {
            return Ok(());
        }
        let stat = files.stat(&name)?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let place = proc::place(&stat, text);
        let homes = if is_folder {
            let folder = files.enter(&name)?;
            self.homes.of_folder(&folder)
        } else {
            self.homes.of_file(place.id, &place.as_told(), root).map(|home| home.targets)
        };
        found.at(How::OpenFile, homes, &place.path, place.deleted);
        Ok(())
    }

    fn see_maps(&mut self, body: &Folder, root: &Look<Folder>, found: &mut Found<'_>) {
        let maps = body.read("maps", text::TABLE_BYTES);
        let maps = maps.and_then(|bytes| text::maps(&bytes).ok_or_else(|| Lack::unreadable("/proc/PID/maps")));
        let maps = match maps {
            Ok(maps) => maps,
            Err(lack) => return found.lacks(How::Map, lack),
        };
        for file in maps {
            match self.homes.of_file(file.id, &file.path, root) {
                Ok(home) => {
                    let path = without_deleted(&file.path).filter(|_| home.deleted).unwrap_or(&file.path);
                    found.at(How::Map, Ok(home.targets), path, home.deleted);
                }
                Err(lack) => found.lacks(How::Map, lack),
            }
        }
    }

    /// Threads may have a working directory and a root of their own.
    fn see_threads(
        &mut self,
        folder: &Folder,
        pid: i32,
        cwd: &Seen<Place>,
        root: &Look<Folder>,
        found: &mut Found<'_>,
    ) {
        let threads = folder.enter("task").and_then(|threads| Ok((threads.numbers(".")?, threads)));
        let (numbers, threads) = match threads {
            Ok(threads) => threads,
            Err(lack) => return found.lacks(How::Cwd, lack),
        };
        let cwd = cwd.as_ref().known().map(|place| place.id);
        let root = root.as_ref().ok().and_then(|root| root.id().ok());
        for number in numbers.into_iter().filter(|number| *number != pid) {
            let Ok(thread) = threads.enter(number.to_string()) else { continue };
            for (name, how, of_process) in [("cwd", How::Cwd, cwd), ("root", How::Root, root)] {
                match thread.stat(name) {
                    Ok(stat) if Some(FileId::from(&stat)) == of_process => {}
                    Ok(_) => {
                        self.see_folder(&thread, name, how, found);
                    }
                    // Of one that has ended the system says that we are not allowed.
                    Err(_) if !runs(&thread) => {}
                    Err(lack) => found.lacks(how, lack),
                }
            }
        }
    }
}

fn command(body: &Folder) -> Look<Vec<OsString>> {
    let bytes = body.read("cmdline", text::START_BYTES)?;
    // Nobody is called by nothing, but some wipe it out.
    if bytes.is_empty() && process::stat(body)?.may_be_starting() {
        return Err(Lack::Blind(Blind::Raced));
    }
    Ok(text::texts(&bytes))
}

/// A thread that still runs, to see the process through.
fn another_thread(folder: &Folder, pid: i32) -> Option<Folder> {
    let threads = folder.enter("task").ok()?;
    let others = threads.numbers(".").ok()?.into_iter().filter(|number| *number != pid);
    others.filter_map(|number| threads.enter(number.to_string()).ok()).find(runs)
}

/// Whether a thread may still run.
fn runs(thread: &Folder) -> bool {
    match process::stat(thread) {
        Ok(stat) => !stat.first_thread_ended(),
        Err(lack) => lack != Lack::Gone,
    }
}

impl Place {
    /// The path with the kernel's word at the end, as [`Homes::of_file`] wants it.
    fn as_told(&self) -> PathBuf {
        if !self.deleted {
            return self.path.clone();
        }
        let mut text = self.path.clone().into_os_string();
        text.push(" (deleted)");
        text.into()
    }
}
