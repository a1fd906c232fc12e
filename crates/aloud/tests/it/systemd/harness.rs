//! A real systemd of its own for a test: an ordinary user's, in namespaces of
//! its own, over a read-only root.
//!
//! `inside.sh` proves that nothing of the host can be reached before it starts
//! anything. Never the machine's own kind (`--system`): that one empties folders
//! and changes settings of the whole machine. Needs root, to make the namespaces.

use std::fs;
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

/// What a test brings: files beside the script, and units.
pub(crate) struct Harness {
    share: TempDir,
}

/// A control group that ends whoever is in it.
struct ControlGroup(PathBuf);

/// The longest that a script may take.
const PATIENCE: &str = "120";

impl Harness {
    pub(crate) fn new() -> Self {
        let share = tempfile::Builder::new().prefix("aloud-systemd-").tempdir().unwrap();
        open_to_all(share.path());
        Self { share }
    }

    /// A file that the script finds at `/tmp/share/NAME`, where it can be read
    /// and run, and not written.
    pub(crate) fn with(self, name: &str, text: &str) -> Self {
        let path = self.share.path().join(name);
        fs::write(&path, text).unwrap();
        open_to_all(&path);
        self
    }

    /// Starts a systemd that has these units and no others, runs the script
    /// beside it, and answers what the script said and how it ended.
    ///
    /// The script is bash, run as an ordinary user: `systemctl --user` works,
    /// `aloud` is the program under test, `$UNITS` the folder of the units, which
    /// it may write to. `until_so`, `is`, `at_least` and `prop` stand in
    /// `session.sh`.
    pub(crate) fn run(&self, units: &[(&str, &str)], script: &str) -> Output {
        let folder = self.share.path().join("units");
        fs::create_dir_all(&folder).unwrap();
        open_to_all(&folder);
        for (name, text) in units {
            fs::write(folder.join(name), text).unwrap();
            open_to_all(&folder.join(name));
        }
        let write = |name: &str, text: &str| {
            let path = self.share.path().join(name);
            fs::write(&path, text).unwrap();
            open_to_all(&path);
            path
        };
        write("script", script);
        write("session", include_str!("session.sh"));
        let inside = write("inside", include_str!("inside.sh"));

        let group = ControlGroup::new();
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", PATIENCE, "bash", "-ec"]).arg(
            "echo $$ >\"$1/cgroup.procs\"; shift
             exec unshare --fork --pid --mount --mount-proc --cgroup --ipc --uts --net --kill-child \
                 bash \"$@\" \"$(echo $(readlink /proc/self/ns/*))\"",
        );
        command.arg("-").arg(&group.0).arg(inside).arg(self.share.path()).arg(env!("CARGO_BIN_EXE_aloud"));
        // Into files: whoever is left over would hold a pipe open until the group is ended.
        let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        command.stdin(Stdio::null()).process_group(0);
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        let status = command.status().unwrap();
        drop(group);
        Output { status, stdout: whole(&mut stdout), stderr: whole(&mut stderr) }
    }
}

impl ControlGroup {
    fn new() -> Self {
        let tree = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        let tree = tree.iter().find(|tree| Path::new(tree).join("cgroup.procs").exists());
        let tree = tree.expect("there is a tree of control groups of version 2");
        let group = tempfile::Builder::new().prefix("aloud-test-").tempdir_in(tree);
        Self(group.expect("root may make a control group").keep())
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        fs::write(self.0.join("cgroup.kill"), "1").unwrap();
        for _ in 0..1_000 {
            match remove(&self.0) {
                Ok(()) => return,
                Err(error) if error.kind() == ErrorKind::ResourceBusy => sleep(Duration::from_millis(10)),
                Err(error) => panic!("{error}: {}", self.0.display()),
            }
        }
        panic!("somebody outlived the test in {}", self.0.display());
    }
}

fn whole(file: &mut fs::File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Removes a tree of control groups, the deepest first.
fn remove(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let path = entry?.path();
        if path.is_dir() {
            remove(&path)?;
        }
    }
    fs::remove_dir(group)
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
