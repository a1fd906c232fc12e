//! One at a time.

use job::Timestamp;
use serde::{Deserialize, Serialize};

/// Who is at work in a tree. For people only: that it is written down proves nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// Who, as they called themselves.
    pub who: String,
    /// What they are doing: `deploy of /srv/build`.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// Their process, on this machine.
    pub pid: u32,
}
