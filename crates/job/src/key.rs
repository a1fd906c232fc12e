//! What happens when a key is already held.
//!
//! At most one *waiting* job holds a key in its queue. A running job holds
//! none, so that a change that comes while it runs is not lost; when such a job
//! comes back, it meets [`on_return`].

use serde::{Deserialize, Serialize};

/// What a push does when a waiting job holds its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// The job that waits stays; the push answers its id.
    #[default]
    Keep,
    /// The job that waits ends as superseded; the new one waits in its place.
    Replace,
    /// The job that waits stays; the push is refused.
    Reject,
}

/// What becomes of a job that would wait again, after a failure or a rescue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Return {
    /// It may wait, and holds its key again.
    Wait,
    /// A newer job holds the key: this one ends as superseded.
    Superseded,
}

/// Decides what becomes of a job that would wait again, by whether another
/// waiting job holds its key.
pub fn on_return(held_by_another: bool) -> Return {
    if held_by_another { Return::Superseded } else { Return::Wait }
}
