//! `/proc/PID/mountinfo`: what is mounted where.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::unescaped;

/// One mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mount {
    /// The device of the file system, as text.
    pub(crate) device: Vec<u8>,
    /// Which folder of that file system, from its own root.
    pub(crate) root: PathBuf,
    /// Whether that folder is deleted.
    pub(crate) deleted: bool,
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    /// Which kind of file system.
    pub(crate) kind: Vec<u8>,
    options: Vec<u8>,
}

impl Mount {
    /// The value of an option, empty if it has none.
    pub(crate) fn option(&self, name: &str) -> Option<&[u8]> {
        self.options.split(|&byte| byte == b',').find_map(|option| {
            let rest = option.strip_prefix(name.as_bytes())?;
            if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"=") }
        })
    }
}

/// Reads the lines, in the order in which they were mounted; `None` if one
/// cannot be read.
pub(crate) fn mounts(bytes: &[u8]) -> Option<Vec<Mount>> {
    bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(mount).collect()
}

fn mount(line: &[u8]) -> Option<Mount> {
    // In all fields spaces, line ends and backslashes are escaped. An unknown
    // number of optional fields is ended by a lone dash.
    let mut fields = line.split(|&byte| byte == b' ').skip(2);
    let device = fields.next()?.to_owned();
    let root = unescaped(fields.next()?);
    let (root, deleted) = match root.strip_suffix(b"//deleted") {
        Some(path) => (path.to_owned(), true),
        None => (root, false),
    };
    let point = unescaped(fields.next()?);
    let mut options = fields.next()?.to_owned();
    fields.find(|field| *field == b"-")?;
    let kind = fields.next()?.to_owned();
    let of_file_system = fields.nth(1).unwrap_or_default();
    options.push(b',');
    options.extend_from_slice(of_file_system);
    let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
    Some(Mount { device, root: path(root), deleted, point: path(point), kind, options })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_mount_is_read_with_its_folder_and_options() {
        let text = br"22 1 254:0 / / rw,relatime - ext4 /dev/root rw
25 22 0:22 / /proc rw,nosuid shared:12 master:1 - proc proc rw,hidepid=invisible,gid=4
30 22 254:0 /srv/app/releases/65/a\040b /var/www ro - ext4 /dev/root rw
31 22 254:0 /srv/app/releases/64//deleted /old rw,noexec - ext4 /dev/root rw
";
        let read = mounts(text).unwrap();
        assert_eq!(read.len(), 4);
        assert_eq!((read[1].kind.as_slice(), read[1].option("hidepid")), (&b"proc"[..], Some(&b"invisible"[..])));
        assert_eq!(
            (read[1].option("gid"), read[1].option("nosuid"), read[1].option("hide")),
            (Some(&b"4"[..]), Some(&b""[..]), None)
        );
        assert_eq!(
            (read[2].root.as_path(), read[2].point.as_path()),
            (Path::new("/srv/app/releases/65/a b"), Path::new("/var/www"))
        );
        assert_eq!((read[2].device.as_slice(), read[2].deleted), (&b"254:0"[..], false));
        assert_eq!((read[3].root.as_path(), read[3].deleted), (Path::new("/srv/app/releases/64"), true));
    }

    #[test]
    fn half_a_line_makes_the_whole_unknown() {
        assert_eq!(mounts(b"22 1 254:0 / / rw,relatime ext4 /dev/root rw\n"), None);
        assert_eq!(mounts(b"22 1 254:0\n"), None);
        assert_eq!(mounts(b""), Some(Vec::new()));
    }
}
