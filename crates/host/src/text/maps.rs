//! `/proc/PID/maps`: the files that a process has mapped into memory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::number;
use crate::file::{self, FileId};

/// A file that is mapped, once for each run of lines that name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mapped {
    /// Which file. The device is that of the file system, which for some kinds
    /// is not the one that `stat` tells.
    pub(crate) id: FileId,
    /// As the kernel calls it, also with ` (deleted)`.
    pub(crate) path: PathBuf,
}

/// Reads the lines that name a file; `None` if one cannot be read.
pub(crate) fn maps(bytes: &[u8]) -> Option<Vec<Mapped>> {
    let mut files: Vec<Mapped> = Vec::new();
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        // Five fields, one space between them; then spaces, and the path, which
        // has its own. Only line ends are escaped in it.
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let dev = device(fields.nth(3)?)?;
        let ino = number(fields.next()?)?;
        let path = fields.next().unwrap_or_default().trim_ascii_start();
        if !path.starts_with(b"/") || ino == 0 {
            continue;
        }
        let path = PathBuf::from(OsString::from_vec(with_line_ends(path)));
        let id = FileId { dev, ino };
        if files.last().is_none_or(|last| last.id != id || last.path != path) {
            files.push(Mapped { id, path });
        }
    }
    Some(files)
}

/// The kernel escapes line ends here, and neither spaces nor backslashes.
fn with_line_ends(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, tail) = rest.strip_prefix(br"\012").map_or((first, tail), |tail| (b'\n', tail));
        plain.push(byte);
        rest = tail;
    }
    plain
}

/// A device as its two numbers in hexadecimal: `fe:00`.
fn device(text: &[u8]) -> Option<u64> {
    let (major, minor) = std::str::from_utf8(text).ok()?.split_once(':')?;
    let part = |text| u32::from_str_radix(text, 16).ok();
    Some(file::device(part(major)?, part(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_told_each_once_with_spaces_and_line_ends() {
        let text = br"55d0-55d1 r--p 00000000 fe:00 123                        /usr/bin/php8.2
55d1-55d2 r-xp 00001000 fe:00 123                        /usr/bin/php8.2
55d2-55d3 rw-p 00000000 00:00 0                          [heap]
7f00-7f01 rw-p 00000000 00:00 0 
7f01-7f02 r--s 00000000 fe:00 9                          /srv/app/releases/65/a b\012c\040  d.so (deleted)
7f02-7f03 rw-s 00000000 00:01 1024                       /dev/zero (deleted)
7f03-7f04 rw-s 00000000 00:0e 5                          anon_inode:[perf_event]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]
";
        let read: Vec<_> = maps(text).unwrap().into_iter().map(|file| (file.id.ino, file.path)).collect();
        let expect = [
            (123, "/usr/bin/php8.2"),
            (9, "/srv/app/releases/65/a b\nc\\040  d.so (deleted)"),
            (1_024, "/dev/zero (deleted)"),
        ];
        assert_eq!(read, expect.map(|(ino, path)| (ino, PathBuf::from(path))));
    }

    #[test]
    fn a_line_that_cannot_be_read_makes_the_whole_unknown() {
        assert_eq!(maps(b"55d0-55d1 r--p 00000000 fe:00\n"), None);
        assert_eq!(maps(b"55d0-55d1 r--p 00000000 fe:00 x /a\n"), None);
        assert_eq!(maps(b"55d0-55d1 r--p 00000000 fe 5 /a\n"), None);
        assert_eq!(maps(b""), Some(Vec::new()));
    }
}
