//! What things in a tree are called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Message;

/// The name of a release: the name of its directory below `releases/`.
///
/// 1 to 200 bytes of UTF-8 without `/` and NUL that do not start with a dot. Names that were found may hold spaces and
/// newlines; shown, such a name is quoted and escaped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseId(String);

impl ReleaseId {
    /// The most bytes that a name may have. It leaves room for what stands before it in the name of a trash directory.
    pub const MAX_BYTES: usize = 200;

    /// The name as it is on the disk.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its place in the order of releases: integers and timestamps by number, after all other names.
    pub(crate) fn number(&self) -> Option<u64> {
        let digits = self.0.strip_suffix('Z').unwrap_or(&self.0);
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    }

    /// The name of the file that keeps what is known of it: the same name for the same release, a different one for a
    /// different release, and never one that leads elsewhere.
    pub(crate) fn file_name(&self) -> String {
        let mut name = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => name.push(char::from(byte)),
                _ => name.push_str(&format!("%{byte:02X}")),
            }
        }
        if name.len() > Self::MAX_BYTES {
            name.truncate(Self::MAX_BYTES - 20);
            name.push_str(&format!("~{:08x}", crc32fast::hash(self.0.as_bytes())));
        }
        name
    }
}

impl FromStr for ReleaseId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ReleaseId {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        if fits && !text.starts_with('.') && !text.contains(['/', '\0']) { Ok(Self(text)) } else { Err(BadName(text)) }
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> Self {
        id.0
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.0.chars().all(|c| c.is_alphanumeric() || "._-+~@=,".contains(c));
        if plain { f.pad(&self.0) } else { f.pad(&format!("{:?}", self.0)) }
    }
}

/// A text that cannot be the name of a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be the name of a release: it takes 1 to 200 bytes without `/`, and no dot at the start")]
pub struct BadName(pub String);

impl From<BadName> for crate::Error {
    fn from(bad: BadName) -> Self {
        Self::Refused(Message::new(
            bad.to_string(),
            "Nothing was changed.",
            "name one of those that `aloud releases` shows",
        ))
    }
}

/// A directory as the system knows it, whatever it is called: it stays the same when it is renamed, and a new directory
/// with an old name is another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct FileId {
    /// The device that it lies on.
    pub dev: u64,
    /// Its number there.
    pub ino: u64,
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dev, self.ino)
    }
}

/// One deploy, rollback or prune: everything that it wrote carries this. Letters, digits and `-`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TxId(String);

impl TxId {
    /// The id of what this process starts at `at`, under the lock of the tree.
    pub(crate) fn new(at: job::Timestamp, pid: u32) -> Self {
        Self(format!("{:x}-{pid:x}", at.0))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
