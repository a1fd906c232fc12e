//! The journal of the system, in its own protocol: one datagram for each line.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::{Line, Stream};

/// Where it listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The way to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    to: PathBuf,
}

impl Journal {
    pub(super) fn open() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, to: path.to_owned() })
    }

    /// Sends a line, or not, if the journal does not keep up.
    pub(super) fn send(&self, line: &Line) -> io::Result<()> {
        self.socket.send_to(&entry(line), &self.to).map(drop)
    }
}

fn entry(line: &Line) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.text.len() + 160);
    field(&mut out, "SYSLOG_IDENTIFIER", format!("aloud-{}", line.worker.pool()).as_bytes());
    field(&mut out, "ALOUD_WORKER", line.worker.to_string().as_bytes());
    let priority = match line.stream {
        Stream::Stdout => "6",
        Stream::Stderr => "4",
    };
    field(&mut out, "PRIORITY", priority.as_bytes());
    field(&mut out, "MESSAGE", &line.text);
    out
}

/// In this form a value may hold any bytes: name, line's end, length in eight
/// bytes, value, line's end.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use job::Timestamp;

    use super::*;
    use crate::worker::{Generation, WorkerId};

    #[test]
    fn a_line_of_any_bytes_arrives_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        let worker = WorkerId::new("mail".parse().unwrap(), 1, Generation(1), 7);
        let line = Line { at: Timestamp(0), worker, stream: Stream::Stderr, text: b"a\xff\0b".to_vec(), cut: false };
        Journal::at(&path).unwrap().send(&line).unwrap();
        let mut buffer = [0; 512];
        let bytes = listener.recv(&mut buffer).unwrap();
        let text = &buffer[..bytes];
        assert!(text.ends_with(b"MESSAGE\n\x04\0\0\0\0\0\0\0a\xff\0b\n"), "{text:?}");
        assert!(text.starts_with(b"SYSLOG_IDENTIFIER\n\x0a\0\0\0\0\0\0\0aloud-mail\n"), "{text:?}");
    }
}
