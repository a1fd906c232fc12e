//! What the texts in `/proc` say.
//!
//! Pure: bytes in, values out. The names in them are chosen by anybody, so
//! nothing here trusts a space, a line's end or a bracket more than the format
//! allows. What cannot be read is `None`, and whoever asked does not know then.

mod maps;
mod mounts;
mod stat;
mod status;
mod tcp;

pub(crate) use maps::maps;
pub(crate) use mounts::{Mount, mounts};
pub(crate) use stat::{Stat, boot_time, stat};
pub(crate) use status::status;
pub(crate) use tcp::inode;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The most bytes of a short text: `stat`, `status`, `cgroup`.
pub(crate) const STAT_BYTES: u64 = 64 * 1_024;
/// The most bytes of a command line or an environment: as much as the system
/// lets a process start with by default, twice.
pub(crate) const START_BYTES: u64 = 4 * 1_024 * 1_024;
/// The most bytes of a table: mappings, mounts, connections.
pub(crate) const TABLE_BYTES: u64 = 64 * 1_024 * 1_024;

/// The texts of `cmdline` or `environ`: each ends with a zero byte, but the
/// last may lack it.
pub(crate) fn texts(bytes: &[u8]) -> Vec<OsString> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    bytes.split(|&byte| byte == 0).map(|text| OsStr::from_bytes(text).to_owned()).collect()
}

/// The path in `cgroup`: of the unified hierarchy where there is one, otherwise
/// of the first.
pub(crate) fn cgroup(bytes: &[u8]) -> Option<String> {
    let lines = || bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let unified = lines().find_map(|line| line.strip_prefix(b"0::"));
    let path = unified.or_else(|| lines().next()?.splitn(3, |&byte| byte == b':').nth(2))?;
    Some(String::from_utf8_lossy(path).into_owned())
}

/// A number in decimal, and nothing else.
pub(crate) fn number<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// The bytes with each `\012` made the byte that it stands for.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        let value = digits.map(|d| d.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0')));
        if let Some(byte) = value.and_then(|value| u8::try_from(value).ok()) {
            plain.push(byte);
            rest = &tail[3..];
        } else {
            plain.push(first);
            rest = tail;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_line_is_split_where_its_process_split_it() {
        let check = |bytes: &[u8], expect: &[&str]| {
            assert_eq!(texts(bytes), expect.iter().map(OsString::from).collect::<Vec<_>>(), "{bytes:?}");
        };
        check(b"", &[]);
        check(b"php\0artisan\0", &["php", "artisan"]);
        check(b"php\0-r\0\0a b\nc\0", &["php", "-r", "", "a b\nc"]);
        check(b"nginx: worker process", &["nginx: worker process"]);
        check(b"one\0\0\0", &["one", "", ""]);
    }

    #[test]
    fn the_cgroup_is_that_of_the_unified_hierarchy() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(cgroup(text.as_bytes()).as_deref(), expect, "{text}");
        };
        check("0::/system.slice/aloud.service\n", Some("/system.slice/aloud.service"));
        check("12:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/c\n", Some("/c"));
        check("12:cpu,cpuacct:/a:b\n", Some("/a:b"));
        check("0::/\n", Some("/"));
        check("", None);
    }

    #[test]
    fn escapes_are_undone_and_other_backslashes_stay() {
        let check = |text: &str, expect: &str| assert_eq!(unescaped(text.as_bytes()), expect.as_bytes(), "{text}");
        check(r"a\040b", "a b");
        check(r"a\012b\134", "a\nb\\");
        check(r"a\b\01", r"a\b\01");
        check(r"\777", r"\777");
        check("", "");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            stat(&bytes);
            status(&bytes);
            boot_time(&bytes);
            maps(&bytes);
            mounts(&bytes);
            cgroup(&bytes);
            texts(&bytes);
            inode(&bytes, ([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        }

        #[test]
        fn no_text_of_the_right_letters_makes_a_reader_panic(text in "[0-9a-f:()/. \\\\\n-]{0,200}") {
            let bytes = text.as_bytes();
            stat(bytes);
            status(bytes);
            boot_time(bytes);
            maps(bytes);
            mounts(bytes);
            inode(bytes, ([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        }
    }
}
