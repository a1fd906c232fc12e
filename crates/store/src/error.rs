//! What can go wrong with a store, by what the caller can do about it.

/// Why a store did not do what it was asked.
///
/// An answer such as "that lease is not the job's any more" is no error: it is
/// part of the verb's own answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing changed; the same call may succeed in a moment.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// Nothing changed; there is no room for more jobs. What frees room (ends,
    /// cancels, deletes) is still accepted.
    #[error("the store is full: {0}")]
    Full(String),
    /// It is unknown whether it happened. A push with a client id, and every
    /// call that shows a lease, can be repeated safely.
    #[error("it is unknown whether the change was stored: {0}")]
    Lost(String),
    /// The store cannot be read or trusted; a person must look.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}
