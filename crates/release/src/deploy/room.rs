//! Whether there is room for another release.

use std::path::Path;

use rustix::fs::{AtFlags, fstatvfs, statat};

use super::Reserve;
use crate::dir::{Dir, is_dir};
use crate::error::Trouble;
use crate::meta::Contents;

/// How deep a release is looked into.
const DEEPEST: usize = 250;

/// What is free on a file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Free {
    pub(super) bytes: u64,
    /// None where files are not counted.
    pub(super) inodes: Option<u64>,
}

pub(super) fn free(dir: &Dir) -> Result<Free, Trouble> {
    let stat = fstatvfs(dir.fd()).map_err(|error| dir.trouble("look at the room of", Path::new(""), error))?;
    Ok(Free { bytes: stat.f_bavail * stat.f_frsize, inodes: (stat.f_files > 0).then_some(stat.f_favail) })
}

/// What is missing for one and a half times the last release, and the reserve besides.
pub(super) fn missing(free: Free, last: Option<Contents>, reserve: Reserve) -> Option<String> {
    let (bytes, inodes) = last.map_or((0, 0), |last| (last.bytes, last.inodes));
    let bytes = (bytes + bytes / 2).saturating_add(reserve.bytes);
    let inodes = (inodes + inodes / 2).saturating_add(reserve.inodes);
    if free.bytes < bytes {
        return Some(format!("{} are free, and {} are needed", shown(free.bytes), shown(bytes)));
    }
    match free.inodes {
        Some(left) if left < inodes => Some(format!("room for {left} files is free, and {inodes} are needed")),
        _ => None,
    }
}

/// What a directory consists of. What cannot be looked at is left out.
pub(super) fn measure(dir: &Dir) -> Contents {
    let mut contents = Contents { inodes: 0, bytes: 0, digest: 0 };
    let mut sum = crc32fast::Hasher::new();
    if let Ok(dir) = dir.again() {
        measure_below(&dir, Path::new(""), 0, &mut contents, &mut sum);
    }
    contents.digest = sum.finalize();
    contents
}

fn measure_below(dir: &Dir, below: &Path, depth: usize, contents: &mut Contents, sum: &mut crc32fast::Hasher) {
    let Ok(names) = dir.names() else { return };
    for name in names {
        let Ok(stat) = statat(dir.fd(), &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let path = below.join(&name);
        contents.inodes += 1;
        contents.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        // The size and time of a folder depend on the file system.
        let (size, at) = if is_dir(&stat) { (0, 0) } else { (stat.st_size, stat.st_mtime) };
        sum.update(format!("{:?} {:o} {size} {at}\n", path, stat.st_mode).as_bytes());
        if is_dir(&stat)
            && depth < DEEPEST
            && let Ok(Some(inner)) = dir.dir(&name)
        {
            measure_below(&inner, &path, depth + 1, contents, sum);
        }
    }
}

fn shown(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_a_half_times_the_last_release_and_the_reserve_are_needed() {
        let last = Some(Contents { inodes: 100, bytes: 1_000, digest: 0 });
        let reserve = Reserve { bytes: 500, inodes: 50 };
        let check = |bytes, inodes, fits: bool| {
            let free = Free { bytes, inodes };
            assert_eq!(missing(free, last, reserve).is_none(), fits, "{bytes} {inodes:?}");
        };
        check(2_000, Some(200), true);
        check(1_999, Some(200), false);
        check(2_000, Some(199), false);
        check(2_000, None, true);
    }
}
