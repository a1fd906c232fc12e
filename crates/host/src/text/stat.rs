//! `/proc/PID/stat`, and the line of `/proc/stat` that goes with it.

use super::number;
use crate::process::ProcessId;

/// What the kernel says of a process in one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    /// What it calls itself: at most 15 bytes, which may be anything.
    pub(crate) name: String,
    pub(crate) parent: i32,
    pub(crate) threads: u32,
    pub(crate) start: u64,
    /// Its controlling terminal; 0 if it has none.
    pub(crate) terminal: i32,
    state: u8,
    flags: u64,
    arguments_end: u64,
}

/// `PF_EXITING` and `PF_KTHREAD`, which have been the same since there is git.
const EXITING: u64 = 0x0000_0004;
const KERNEL_THREAD: u64 = 0x0020_0000;

impl Stat {
    pub(crate) fn id(&self) -> ProcessId {
        ProcessId { pid: self.pid, start: self.start }
    }

    /// Whether it is part of the kernel, and uses no files of its own.
    pub(crate) fn is_kernel(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }

    /// Whether its command line is still being put together: it has just
    /// started a program. Also told of one whose memory we may not look into.
    pub(crate) fn may_be_starting(&self) -> bool {
        self.arguments_end == 0
    }

    /// Whether nothing of it runs any more: it is a zombie, or on the way there.
    pub(crate) fn has_ended(&self) -> bool {
        self.first_thread_ended() && self.threads <= 1
    }

    /// Whether its first thread runs no more. What the process has is then only
    /// seen through its other threads, if it has some.
    pub(crate) fn first_thread_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x') || self.flags & EXITING != 0
    }
}

/// Reads the line. The name stands between the first opening and the last
/// closing bracket, and may hold brackets, spaces and line ends itself.
pub(crate) fn stat(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|&byte| byte == b'(')?;
    let close = bytes.iter().rposition(|&byte| byte == b')')?;
    let name = bytes.get(open + 1..close)?;
    // Counted as in proc(5), where the first field after the name is the third.
    let fields: Vec<&[u8]> =
        bytes[close + 1..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).collect();
    let field = |n: usize| fields.get(n - 3).copied();
    Some(Stat {
        pid: number(bytes[..open].trim_ascii())?,
        name: String::from_utf8_lossy(name).into_owned(),
        state: *field(3)?.first()?,
        parent: number(field(4)?)?,
        flags: number(field(9)?)?,
        threads: number(field(20)?)?,
        start: number(field(22)?)?,
        terminal: number(field(7)?)?,
        arguments_end: number(field(49)?)?,
    })
}

/// When the machine was started, in seconds since 1970, as `/proc/stat` says.
pub(crate) fn boot_time(bytes: &[u8]) -> Option<i64> {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    number(lines.find_map(|line| line.strip_prefix(b"btime "))?.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "7 7 7 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 3 0 98765 6000000 200 18446744073709551615";
    /// The fields from the 26th to the last, of which the 49th is the end of the arguments.
    const MEMORY: &str = "1 1 1 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 1 1 140 150 150 160 0";

    #[test]
    fn a_name_may_hold_what_it_likes() {
        for name in ["php", "php-fpm: pool", "a) R 1 (b", "", ")", "(", ")))", "line\nend", "tab\tand ) Z 0"] {
            let text = format!("4711 ({name}) S {REST} {MEMORY}\n");
            let read = stat(text.as_bytes()).unwrap();
            assert_eq!((read.pid, read.name.as_str(), read.parent), (4711, name, 7), "{name:?}");
            assert_eq!((read.threads, read.start), (3, 98_765), "{name:?}");
            assert!(!read.is_kernel() && !read.has_ended() && !read.first_thread_ended(), "{name:?}");
        }
        let bytes = [b"1 (\xff\xfe) S ", REST.as_bytes(), b" ", MEMORY.as_bytes()].concat();
        assert_eq!(stat(&bytes).unwrap().name, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn one_that_has_ended_is_told_from_one_whose_first_thread_has() {
        let read = |state: &str, flags: u64, threads: u32| {
            let text = format!("1 (x) {state} 7 7 7 0 -1 {flags} 1 0 0 0 1 2 0 0 20 0 {threads} 0 9 6 2 1 {MEMORY}");
            let read = stat(text.as_bytes()).unwrap();
            (read.has_ended(), read.first_thread_ended(), read.is_kernel())
        };
        assert_eq!(read("S", 0, 1), (false, false, false));
        assert_eq!(read("Z", 4, 1), (true, true, false));
        assert_eq!(read("Z", 4, 2), (false, true, false));
        assert_eq!(read("R", 4, 1), (true, true, false));
        assert_eq!(read("I", 0x0020_8040, 1), (false, false, true));
    }

    #[test]
    fn a_terminal_is_told_by_its_number() {
        let read = |terminal: &str| {
            let rest = REST.replacen(" 0 -1 ", &format!(" {terminal} -1 "), 1);
            stat(format!("1 (x) S {rest} {MEMORY}").as_bytes()).unwrap().terminal
        };
        assert_eq!((read("0"), read("34816")), (0, 34_816));
    }

    #[test]
    fn half_a_line_is_no_line() {
        let whole = format!("4711 (x) S {REST} {MEMORY}");
        assert!(!stat(whole.as_bytes()).unwrap().may_be_starting());
        assert!(
            stat(whole.replace(" 150 150 ", " 0 0 ").replace(" 140 0 ", " 0 0 ").as_bytes()).unwrap().may_be_starting()
        );
        for length in 0..whole.find(" 150").unwrap() {
            assert_eq!(stat(&whole.as_bytes()[..length]), None, "{length}");
        }
        assert_eq!(stat(format!("x (x) S {REST} {MEMORY}").as_bytes()), None);
        assert_eq!(stat(b")("), None);
    }

    #[test]
    fn the_start_of_the_machine_is_one_line_of_many() {
        assert_eq!(boot_time(b"cpu  1 2 3\nctxt 5\nbtime 1764043200\nprocesses 9\n"), Some(1_764_043_200));
        assert_eq!(boot_time(b"cpu 1\n"), None);
    }
}
