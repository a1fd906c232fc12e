//! Targets that are mounted where a process lives in a world of its own.
//!
//! A container that was given a folder of a release keeps that folder, whatever
//! happens to `current` afterwards, and no process in it needs to have anything
//! of it open.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::file::FileId;
use crate::proc::{Folder, Proc};
use crate::seen::{Lack, Look};
use crate::targets::{How, Targets, Use};
use crate::text::{self, Mount};

/// Finds mounts of targets, looking once at each mount namespace.
pub(super) struct Mounted {
    ours: PathBuf,
    /// Where each target lies in its file system: device, folder, target.
    targets: Vec<(Vec<u8>, PathBuf, FileId)>,
    seen: HashMap<PathBuf, Vec<Use>>,
}

impl Mounted {
    pub(super) fn new(proc: &Proc, targets: &Targets) -> Look<Self> {
        let this = proc.enter("self")?;
        let ours = this.link("ns/mnt")?;
        let mounts = mounts(&this)?;
        let targets = targets.names().filter_map(|(path, id)| {
            let mount = holder(&mounts, path)?;
            Some((mount.device.clone(), mount.root.join(path.strip_prefix(&mount.point).ok()?), id))
        });
        Ok(Self { ours, targets: targets.collect(), seen: HashMap::new() })
    }

    /// The targets that are mounted for `process`, if that is not where we are.
    pub(super) fn by(&mut self, process: &Folder) -> Look<&[Use]> {
        let world = process.link("ns/mnt")?;
        if world == self.ours {
            return Ok(&[]);
        }
        if !self.seen.contains_key(&world) {
            let mounts = mounts(process)?;
            self.seen.insert(world.clone(), self.among(&mounts));
        }
        Ok(self.seen.get(&world).map_or(&[], Vec::as_slice))
    }

    fn among(&self, mounts: &[Mount]) -> Vec<Use> {
        let mut uses = Vec::new();
        for mount in mounts {
            let around = self
                .targets
                .iter()
                .filter(|(device, folder, _)| *device == mount.device && mount.root.starts_with(folder));
            // The innermost, and all that are called the same.
            let Some(inner) = around.clone().map(|(_, folder, _)| folder.as_os_str().len()).max() else { continue };
            for (_, _, target) in around.filter(|(_, folder, _)| folder.as_os_str().len() == inner) {
                uses.push(Use { target: *target, how: How::Mount, path: mount.point.clone(), deleted: mount.deleted });
            }
        }
        uses
    }
}

fn mounts(process: &Folder) -> Look<Vec<Mount>> {
    let bytes = process.read("mountinfo", text::TABLE_BYTES)?;
    text::mounts(&bytes).ok_or_else(|| Lack::unreadable("/proc/PID/mountinfo"))
}

/// The mount in which `path` lies: of the deepest the last one.
fn holder<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts.iter().filter(|mount| path.starts_with(&mount.point)).max_by_key(|mount| mount.point.as_os_str().len())
}
