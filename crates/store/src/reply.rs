//! The answer to a call that has been accepted.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::Error;

/// An answer that comes later.
///
/// The call itself is under way when this is returned, not when it is first
/// polled: calls made one after the other happen in that order and share a
/// commit, and dropping the answer does not undo the call.
#[derive(Debug)]
#[must_use = "an answer says whether the change is stored"]
pub struct Reply<T>(Inner<T>);

#[derive(Debug)]
enum Inner<T> {
    Here(Option<Result<T, Error>>),
    Coming(oneshot::Receiver<Result<T, Error>>),
}

impl<T> Reply<T> {
    /// An answer that is known already.
    pub fn here(answer: Result<T, Error>) -> Self {
        Self(Inner::Here(Some(answer)))
    }

    /// An answer, and where to give it. If nobody ever does, it is
    /// [`Error::Lost`].
    pub fn coming() -> (oneshot::Sender<Result<T, Error>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(Inner::Coming(receiver)))
    }
}

impl<T: Unpin> Future for Reply<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Here(answer) => Poll::Ready(answer.take().expect("an answer is given once")),
            Inner::Coming(receiver) => Pin::new(receiver).poll(cx).map(|answer| {
                answer.unwrap_or_else(|_| Err(Error::Lost("the store ended before it answered".to_owned())))
            }),
        }
    }
}
