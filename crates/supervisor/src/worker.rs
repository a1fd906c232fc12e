//! How workers and generations are named.

use std::fmt;
use std::str::FromStr;

use job::PoolName;
use serde::{Deserialize, Serialize};

/// The number of a generation in its pool: larger for later ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

/// One worker process, as in `mail.2.g7.x3f9a01c`: its pool, its place in the
/// pool, its generation, and something that no other process had.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerId {
    pool: PoolName,
    slot: u16,
    generation: Generation,
    tag: u32,
}

impl WorkerId {
    /// Names a worker. `tag` is drawn at random.
    pub fn new(pool: PoolName, slot: u16, generation: Generation, tag: u32) -> Self {
        Self { pool, slot, generation, tag }
    }

    /// To which pool it belongs.
    pub fn pool(&self) -> &PoolName {
        &self.pool
    }

    /// Its place in the pool, from 1.
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// To which generation it belongs.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The part of the name that no other process had, short enough for the
    /// path of a socket.
    pub(crate) fn tag(&self) -> String {
        format!("x{:08x}", self.tag)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.x{:08x}", self.pool, self.slot, self.generation, self.tag)
    }
}

/// A text that does not name a worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a worker, such as `mail.2.g7.x3f9a01c4`")]
pub struct NoWorkerId(String);

impl FromStr for WorkerId {
    type Err = NoWorkerId;

    fn from_str(text: &str) -> Result<Self, NoWorkerId> {
        let read = || {
            let mut parts = text.split('.');
            let id = Self {
                pool: parts.next()?.parse().ok()?,
                slot: parts.next()?.parse().ok()?,
                generation: Generation(parts.next()?.strip_prefix('g')?.parse().ok()?),
                tag: u32::from_str_radix(parts.next()?.strip_prefix('x')?, 16).ok()?,
            };
            (parts.next().is_none() && id.to_string() == text).then_some(id)
        };
        read().ok_or_else(|| NoWorkerId(text.to_owned()))
    }
}

impl TryFrom<String> for WorkerId {
    type Error = NoWorkerId;

    fn try_from(text: String) -> Result<Self, NoWorkerId> {
        text.parse()
    }
}

impl From<WorkerId> for String {
    fn from(id: WorkerId) -> Self {
        id.to_string()
    }
}

/// A worker as somebody outside refers to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// By its id, which it finds in `ALOUD_WORKER`.
    Id(WorkerId),
    /// By the number of its process, or of one that it started.
    Pid(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_nothing_else_is() {
        let id = WorkerId::new("mail".parse().unwrap(), 2, Generation(7), 0x3f9);
        assert_eq!(id.to_string(), "mail.2.g7.x000003f9");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "mail", "mail.2.g7", "mail.2.7.x000003f9", "mail.2.g7.x3f9", "../x.2.g7.x000003f9"] {
            assert!(text.parse::<WorkerId>().is_err(), "{text}");
        }
    }
}
