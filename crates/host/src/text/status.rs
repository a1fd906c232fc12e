//! `/proc/PID/status`: whose it is, and what it may do.

use super::number;

/// A few lines of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Status {
    /// The user as which it acts.
    pub(crate) uid: u32,
    /// The groups that it is in beside its main one, and that one.
    pub(crate) groups: Vec<u32>,
    capabilities: u64,
}

const CAP_SYS_PTRACE: u64 = 1 << 19;

impl Status {
    /// Whether it may look into the processes of others.
    pub(crate) fn may_trace(&self) -> bool {
        self.capabilities & CAP_SYS_PTRACE != 0
    }
}

/// Reads the lines. In the one with the name the kernel escapes line ends, so
/// no name can pass for another line.
pub(crate) fn status(bytes: &[u8]) -> Option<Status> {
    let values = |key: &str| {
        let line = bytes.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(key.as_bytes()))?;
        Some(line.split(u8::is_ascii_whitespace).filter(|value| !value.is_empty()))
    };
    let mut groups: Vec<u32> = values("Groups:")?.filter_map(number).collect();
    groups.extend(values("Gid:")?.nth(1).and_then(number::<u32>));
    let capabilities = values("CapEff:")?.next()?;
    Some(Status {
        uid: number(values("Uid:")?.nth(1)?)?,
        groups,
        capabilities: u64::from_str_radix(std::str::from_utf8(capabilities).ok()?, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_the_one_it_acts_as() {
        let text = b"Name:\tx\\nUid:\t9 9 9 9\nUmask:\t0022\nUid:\t1000\t33\t0\t33\nGid:\t1000\t44\t44\t44\n\
            Groups:\t4 27 \nCapEff:\t0000000000080000\n";
        let read = status(text).unwrap();
        assert_eq!((read.uid, read.groups.as_slice(), read.may_trace()), (33, &[4, 27, 44][..], true));
        let none = b"Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\nCapEff:\t000001fffef7ffff\n";
        assert!(!status(none).unwrap().may_trace());
        assert_eq!(status(b"Uid:\t0\n"), None);
    }
}
