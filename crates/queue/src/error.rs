//! What can go wrong with a call, by what the caller can do about it.

/// Why a call did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing changed; the same call may succeed in a moment.
    #[error("the queue is busy: {0}")]
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
    /// The queue is stopping, or has stopped. Nothing changed.
    #[error("the queue is stopping")]
    Closing,
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Busy(what) => Self::Busy(what),
            store::Error::Full(what) => Self::Full(what),
            store::Error::Lost(what) => Self::Lost(what),
            store::Error::Damaged(what) => Self::Damaged(what),
            store::Error::Closed => Self::Closing,
        }
    }
}
