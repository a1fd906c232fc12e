//! Releases, and processes that are ended however their test ends.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use host::{Depth, FileId, How, Process, ProcessId, Scan, Seen, Targets, Users, process, scan};
use job::time::SystemClock;
use job::{Clock, Span};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tempfile::TempDir;

/// A folder with releases in it.
pub(crate) struct Tree {
    _folder: TempDir,
    root: PathBuf,
}

impl Tree {
    /// The folder `releases` and nothing in it.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Others may look in too, where a test becomes another user.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("releases")).unwrap();
        Self { _folder: folder, root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A release of this name, with the folder `app/public` in it.
    pub(crate) fn release(&self, name: &str) -> Release {
        let path = self.path("releases").join(name);
        std::fs::create_dir_all(path.join("app/public")).unwrap();
        Release::at(&path)
    }
}

/// A folder as it was when it was made or listed.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) id: FileId,
    pub(crate) path: PathBuf,
}

impl Release {
    pub(crate) fn at(path: &Path) -> Self {
        Self { id: FileId::of(path).known().unwrap(), path: path.to_owned() }
    }

    pub(crate) fn remove(&self) {
        std::fs::remove_dir_all(&self.path).unwrap();
    }
}

/// A process, killed with its children and collected at the end of its test.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) id: ProcessId,
}

impl Running {
    /// `sleep`, in a folder.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self::start(Command::new("sleep").arg("600").current_dir(folder))
    }

    pub(crate) fn start(command: &mut Command) -> Self {
        // Its children are in its group too, and end with it.
        let child = command.process_group(0).spawn().unwrap();
        // For a moment it has left this program and not yet started the other.
        let command_line = format!("/proc/{}/cmdline", child.id());
        until("it has a command line", || std::fs::read(&command_line).is_ok_and(|text| !text.is_empty()));
        let id = process::of(i32::try_from(child.id()).unwrap()).known().unwrap();
        Self { child, id }
    }

    /// One that writes a line once it is where it should be.
    pub(crate) fn ready(command: &mut Command) -> Self {
        let mut running = Self::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(running.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        running
    }

    /// Ends it; it is gone when this returns.
    pub(crate) fn end(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn look(releases: &[&Release], depth: Depth) -> Scan {
    let targets = Targets::new(releases.iter().map(|release| (release.id, release.path.clone())));
    scan(&targets, depth, &SystemClock::resume(None))
}

/// How `running` uses `release`, for certain.
pub(crate) fn ways(scan: &Scan, running: &Running, release: &Release) -> Vec<(How, PathBuf, bool)> {
    let users = scan.users_of(release.id);
    let uses = users.certain.iter().filter(|(process, _)| process.id == running.id).flat_map(|(_, uses)| uses);
    uses.map(|found| (found.how, found.path.clone(), found.deleted)).collect()
}

pub(crate) fn uses_by(scan: &Scan, running: &Running, release: &Release, how: How) -> bool {
    ways(scan, running, release).iter().any(|(way, ..)| *way == how)
}

pub(crate) fn seen<'a>(scan: &'a Scan, running: &Running) -> &'a Process {
    scan.process(running.id).unwrap()
}

pub(crate) fn is_certain(users: &Users<'_>, id: ProcessId) -> bool {
    users.certain.iter().any(|(process, _)| process.id == id)
}

/// Waits for what must come soon.
pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let began = SystemClock::resume(None).now().mono;
    while !so() {
        assert!(SystemClock::resume(None).now().mono.since(began) < Span::from_secs(20), "{what}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Copies a program that is to be run. By another process: this one may fork
/// meanwhile for another test, and what is open for writing cannot be run.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-L").args([from, to]).status().unwrap().success());
}

/// This test again, in a process of its own that knows it by `role`.
///
/// `around` is what it is started by, such as `unshare`; none starts it itself.
pub(crate) fn again(test: &str, tree: &Tree, around: &[&str]) -> Command {
    let program = tree.path("test");
    copy_program(&std::env::current_exe().unwrap(), &program);
    let mut command = match around {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
    };
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command
}

/// What the starter of this process told it, if it is started by [`again`].
pub(crate) fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(crate) fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Waits until it has ended, and leaves it uncollected.
pub(crate) fn kill_uncollected(running: &mut Running) {
    running.child.kill().unwrap();
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(&running.child)), ended).unwrap();
}

/// What is known, where it must be.
pub(crate) fn known<T>(seen: Seen<T>) -> T {
    seen.known().unwrap()
}
