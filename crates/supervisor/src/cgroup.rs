//! Control groups: a worker and all it started, ended and counted together.
//!
//! Only a part of the tree that was handed to this process is touched: its own
//! group, if it may write there, and never the root. The supervisor moves
//! itself into the leaf `agent`, because a group with members cannot hand
//! controllers down; each worker gets a leaf below `workers`. Where there is
//! none of this, sessions and process groups have to do.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether workers get control groups of their own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Choice {
    /// If a part of the tree was handed to this process.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Below this folder of the unified hierarchy. The supervisor itself stays
    /// where it is.
    At(PathBuf),
}

/// The part of the tree in which workers live.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    base: PathBuf,
}

/// The control group of one worker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Leaf(PathBuf);

impl Tree {
    /// Finds and prepares it; says why it cannot be had.
    pub(crate) fn prepare(choice: &Choice) -> Result<Self, String> {
        let base = match choice {
            Choice::Off => return Err("the configuration turns control groups off".into()),
            Choice::At(path) => path.clone(),
            Choice::Auto => own_part()?,
        };
        let refused = |what: &str| {
            let at = base.display().to_string();
            let what = what.to_owned();
            move |error: io::Error| format!("cannot {what} in the control group `{at}`: {error}")
        };
        fs::create_dir_all(base.join("workers")).map_err(refused("make the group `workers`"))?;
        if *choice == Choice::Auto {
            fs::create_dir_all(base.join("agent")).map_err(refused("make the group `agent`"))?;
            fs::write(base.join("agent/cgroup.procs"), std::process::id().to_string())
                .map_err(refused("move into the group `agent`"))?;
        }
        for group in [base.clone(), base.join("workers")] {
            for controller in ["+memory", "+pids"] {
                // A controller that is not there only means less to show.
                fs::write(group.join("cgroup.subtree_control"), controller).ok();
            }
        }
        for left in fs::read_dir(base.join("workers")).into_iter().flatten().flatten() {
            // It fails if somebody lives in it.
            fs::remove_dir(left.path()).ok();
        }
        Ok(Self { base })
    }

    /// Makes the control group of a worker.
    pub(crate) fn leaf(&self, name: &str) -> io::Result<Leaf> {
        let path = self.base.join("workers").join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Ok(Leaf(path)),
        }
    }
}

impl Leaf {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Bounds the memory of all in it together.
    pub(crate) fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        fs::write(self.0.join("memory.max"), bytes.to_string())
    }

    /// The processes in it.
    pub(crate) fn members(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid != 0).collect()
    }

    /// Whether any process lives in it or below it.
    pub(crate) fn is_populated(&self) -> bool {
        fs::read_to_string(self.0.join("cgroup.events")).is_ok_and(|text| text.lines().any(|l| l == "populated 1"))
    }

    /// Kills all that live in it or below it.
    pub(crate) fn kill(&self) -> io::Result<()> {
        fs::write(self.0.join("cgroup.kill"), "1")
    }

    /// How much memory they use, in bytes.
    pub(crate) fn memory(&self) -> Option<u64> {
        fs::read_to_string(self.0.join("memory.current")).ok()?.trim().parse().ok()
    }

    /// Removes it, and what its processes made below it.
    pub(crate) fn remove(&self) {
        remove_below(&self.0);
    }
}

fn remove_below(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path());
        }
    }
    // It fails while somebody lives in it; then it is swept another time.
    fs::remove_dir(group).ok();
}

/// The folder of the group that this process was started in.
fn own_part() -> Result<PathBuf, String> {
    let read = |path| fs::read_to_string(path).map_err(|error| format!("cannot read `{path}`: {error}"));
    let mount = mount(&read("/proc/self/mountinfo")?).ok_or("no unified control groups are mounted")?;
    let groups = read("/proc/self/cgroup")?;
    let own = own_group(&groups).ok_or("this process is in no unified control group")?;
    if own == "/" {
        return Err("this process is in the root of the control groups, of which no part was handed to it".into());
    }
    let group = mount.join(own.trim_start_matches('/'));
    // After a new start of this program it finds itself where it moved to.
    let group = match group.parent() {
        Some(parent) if group.ends_with("agent") && parent.join("workers").is_dir() => parent.to_owned(),
        Some(_) | None => group,
    };
    if is_ours(&group) {
        return Ok(group);
    }
    Err(format!("the control group `{}` was not handed to this process", group.display()))
}

/// Whether a group was handed over to whoever runs in it: systemd marks those,
/// and gives them to the user of the service.
fn is_ours(group: &Path) -> bool {
    let marked = |name: &str| {
        let mut value = [0; 8];
        rustix::fs::getxattr(group, name, &mut value[..]).is_ok_and(|bytes| value[..bytes] == *b"1")
    };
    let own = rustix::process::geteuid();
    let is_owner = || fs::metadata(group).is_ok_and(|found| found.uid() == own.as_raw());
    marked("user.delegate") || marked("trusted.delegate") || (!own.is_root() && is_owner())
}

fn mount(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let root = before.split(' ').nth(3)?;
        (after.starts_with("cgroup2 ") && root == "/").then(|| before.split(' ').nth(4).map(unescaped))?
    })
}

fn own_group(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::")).map(|path| path.trim_end_matches(" (deleted)"))
}

/// In `mountinfo` blanks are written as `\040`.
fn unescaped(path: &str) -> PathBuf {
    PathBuf::from(path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_tree_is_found_alone_or_beside_the_old_ones() {
        let unified = "25 30 0:23 / /sys rw - sysfs sysfs rw\n31 25 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(mount(unified), Some("/sys/fs/cgroup".into()));
        let hybrid = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/a\\040b rw shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount(hybrid), Some("/sys/fs/cgroup/a b".into()));
        assert_eq!(mount("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"), None);
        assert_eq!(own_group("4:memory:/x\n0::/system.slice/aloud.service\n"), Some("/system.slice/aloud.service"));
        assert_eq!(own_group("4:memory:/x\n"), None);
    }
}
