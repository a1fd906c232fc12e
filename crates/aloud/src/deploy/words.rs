//! What the one who deploys and a host say to each other, over the stdin and
//! stdout of `aloud deploy - --part`.
//!
//! Each first says which protocol it speaks, as a line of plain text, which no
//! later protocol may change. Everything after that is one JSON object a line.
//! Where a line says that bytes follow, exactly so many do, and then the next
//! line. To change a word that is there already, count the protocol up: hosts
//! of another one are refused before anything is begun.

use std::io::{self, BufRead, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::report::Report;

/// The protocol that is spoken here.
const PROTOCOL: u32 = 1;
const GREETING: &str = "aloud-deploy ";
/// So many lines may come before the greeting: what a login shell says.
const BANNER_LINES: usize = 100;
/// The longest line, in bytes.
const MAX_LINE: u64 = 16 << 20;
/// How many bytes of a source are sent at once.
pub(super) const CHUNK: usize = 128 << 10;
/// The most that may be sent at once.
const MAX_CHUNK: usize = 1 << 20;

/// What a host is to do.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Order {
    pub(super) act: Act,
    /// Who deploys, for people.
    pub(super) who: String,
    /// How long to wait for another deploy, as people write it.
    pub(super) wait: String,
    /// Whether commands that must run once run here.
    pub(super) first: bool,
    /// Whether the last word is waited for when it has been seen to work.
    pub(super) all_or_none: bool,
}

#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    Deploy { source: Supply, revision: Option<String>, strip: bool, prune: bool },
    Rollback { to: Option<String>, reason: Option<String> },
}

/// How a host gets the source.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "snake_case")]
pub(super) enum Supply {
    /// It follows, as a tarball.
    Sent { shown: String },
    /// It fetches it.
    Git { repository: String, reference: String },
}

/// What the one who deploys says after the order.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(tag = "word", rename_all = "snake_case")]
pub(super) enum Word {
    /// So many bytes of the source follow; none: that was all.
    Chunk { bytes: usize },
    /// The others are ready: run what must run once.
    Once,
    /// All are ready: switch.
    Switch,
    /// It is given up before the switch.
    Abort { why: String },
    /// All work: stay.
    Commit,
    /// Another does not: go back.
    Back { why: String },
    /// It is over on all: say how everything is now.
    Look,
    /// Nothing, but that somebody is still there.
    Alive,
}

/// What a host says.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(tag = "said", rename_all = "snake_case")]
pub(super) enum Said {
    /// It has heard the order, and knows its tree.
    Hello {
        version: String,
        /// What its configuration leaves out of a folder.
        exclude: Vec<String>,
    },
    /// How it goes, for people.
    Line(Line),
    /// The release is whole, and may become current.
    Sealed { release: String, revision: Option<String> },
    /// It switches, and goes on whatever becomes of the connection.
    Switching,
    /// It was seen to work.
    Verified,
    /// It is over.
    Settled {
        /// What `--json` shows.
        told: serde_json::Value,
        healthy: bool,
    },
    /// How everything is there.
    Seen {
        verdict: serde_json::Value,
        red: bool,
        /// The same for people.
        text: String,
    },
    /// It did not come to that.
    Failed { happened: String, means: String, hint: String, exit: u8 },
    /// Nothing, but that it is still there.
    Alive,
}

/// A line about how it goes.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    /// The step, in one word; none for what a command wrote.
    pub(super) word: String,
    pub(super) text: String,
    /// Whether it is also said to somebody who wants to hear little.
    pub(super) loud: bool,
}

/// Says which protocol is spoken.
pub(super) fn greet(to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "{GREETING}{PROTOCOL}")?;
    to.flush()
}

/// Hears which protocol the other speaks. What comes before that is passed over.
pub(super) fn greeted(from: &mut impl BufRead) -> Result<(), Ungreeted> {
    for _ in 0..=BANNER_LINES {
        let Some(line) = read_line(from)? else { return Err(Ungreeted::Nothing) };
        let Some(protocol) = line.strip_prefix(GREETING) else { continue };
        let protocol = protocol.trim();
        if protocol.parse() == Ok(PROTOCOL) {
            return Ok(());
        }
        return Err(Ungreeted::Other(protocol.chars().take(40).collect()));
    }
    Err(Ungreeted::Nothing)
}

/// Why it was not understood.
#[derive(Debug)]
pub(super) enum Ungreeted {
    /// No aloud is there, or one that knows no part of a deploy.
    Nothing,
    /// It speaks another protocol.
    Other(String),
}

impl From<io::Error> for Ungreeted {
    fn from(_: io::Error) -> Self {
        Self::Nothing
    }
}

impl Ungreeted {
    /// For people.
    pub(super) fn report(&self) -> Report {
        let (happened, hint) = match self {
            Self::Nothing => (
                "aloud did not answer there".to_owned(),
                "see whether `ssh HOST aloud --version` works; `--remote-aloud` says how aloud is run there, and \
                 `--remote-config` where its configuration is",
            ),
            Self::Other(theirs) => (
                format!("the other aloud deploys with protocol {theirs}, and this one with protocol {PROTOCOL}"),
                "install the same aloud on both",
            ),
        };
        Report::config(happened, "Nothing was changed there.", hint)
    }
}

/// Writes one object.
pub(super) fn write(to: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what).map_err(io::Error::other)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one object; none at the end.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let Some(line) = read_line(from)? else { return Ok(None) };
    serde_json::from_str(&line).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads a source that is sent in chunks, to its end.
pub(super) fn receive(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    loop {
        match read(from)? {
            Some(Word::Chunk { bytes: 0 }) => return to.flush(),
            Some(Word::Chunk { bytes }) if bytes <= MAX_CHUNK => {
                let copied = io::copy(&mut from.by_ref().take(bytes as u64), to)?;
                if copied != bytes as u64 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Some(Word::Alive) => {}
            Some(Word::Abort { why }) => return Err(io::Error::other(why)),
            Some(Word::Chunk { .. } | Word::Once | Word::Switch | Word::Commit | Word::Back { .. } | Word::Look) => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Sends a source in chunks.
pub(super) struct Chunks<W: Write> {
    to: W,
}

impl<W: Write> Chunks<W> {
    pub(super) const fn new(to: W) -> Self {
        Self { to }
    }

    /// Says that this was all.
    pub(super) fn finish(mut self) -> io::Result<()> {
        write(&mut self.to, &Word::Chunk { bytes: 0 })
    }
}

impl<W: Write> Write for Chunks<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(CHUNK)];
        if !bytes.is_empty() {
            write(&mut self.to, &Word::Chunk { bytes: bytes.len() })?;
            self.to.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    // One that was cut off is no line.
    if line.pop() != Some(b'\n') {
        let kind = if read as u64 == MAX_LINE { io::ErrorKind::InvalidData } else { io::ErrorKind::UnexpectedEof };
        return Err(kind.into());
    }
    String::from_utf8(line).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_in_chunks_arrives_and_words_follow_it() {
        let sent: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut wire = Vec::new();
        let mut chunks = Chunks::new(&mut wire);
        chunks.write_all(&sent).unwrap();
        chunks.finish().unwrap();
        write(&mut wire, &Word::Switch).unwrap();
        let (mut from, mut received) = (wire.as_slice(), Vec::new());
        receive(&mut from, &mut received).unwrap();
        assert_eq!(received, sent);
        assert_eq!(read::<Word>(&mut from).unwrap(), Some(Word::Switch));
        assert_eq!(read::<Word>(&mut from).unwrap(), None);
        for cut in [0, 1, 30, CHUNK, wire.len() - 40] {
            assert!(receive(&mut &wire[..cut], &mut Vec::new()).is_err(), "cut off after {cut}");
        }
        assert!(receive(&mut &b"{\"word\":\"chunk\",\"bytes\":99999999}\n"[..], &mut Vec::new()).is_err());
    }

    #[test]
    fn a_greeting_is_found_behind_what_a_shell_says_and_another_protocol_is_refused() {
        let said = |text: &str| greeted(&mut text.as_bytes()).map_err(|error| error.report().happened);
        let mut own = b"Welcome to web1!\n\n".to_vec();
        greet(&mut own).unwrap();
        assert_eq!(said(std::str::from_utf8(&own).unwrap()), Ok(()));
        assert_eq!(
            said("aloud-deploy 2\n"),
            Err("the other aloud deploys with protocol 2, and this one with protocol 1".to_owned())
        );
        for nothing in ["", "bash: aloud: command not found\n", &"x\n".repeat(500)] {
            assert_eq!(said(nothing), Err("aloud did not answer there".to_owned()), "{nothing}");
        }
    }
}
