//! What a batch has to tell, and to whom.

use job::QueueName;

use super::op::Reply;
use super::search::Wanted;
use super::shared::Shared;
use super::trouble::{Failure, Stopped};
use crate::error::Error;

/// What follows from a batch, once it is committed.
#[derive(Default)]
pub(super) struct News {
    pub(super) replies: Vec<Reply>,
    pub(super) searches: Vec<Wanted>,
    /// What the bell is rung for.
    pub(super) queues: Vec<QueueName>,
    pub(super) timers: bool,
    /// Whether it must be on the disk before it is told.
    pub(super) must_last: bool,
}

impl News {
    /// It is so: everybody is told.
    pub(super) fn tell(self, shared: &Shared) {
        self.searches.into_iter().for_each(|wanted| shared.reader.search(wanted));
        self.replies.into_iter().for_each(Reply::give);
        shared.bell.ring(&self.queues, self.timers);
    }

    /// It is not so, or that is `unknown`: everybody is told that.
    pub(super) fn fail(self, Stopped { why, failure }: &Stopped, unknown: bool) {
        let (busy, lost) = (Error::Busy(why.clone()), Error::Lost(why.clone()));
        let (looked, pushed, changed) = match failure {
            // The last part of a commit to be written says that it is one: without room for it there is none.
            Failure::Full => (busy.clone(), Error::Full(why.clone()), busy),
            Failure::Corrupt => {
                let damaged = Error::Damaged(why.clone());
                (damaged.clone(), damaged.clone(), damaged)
            }
            Failure::Busy | Failure::Other if unknown => (busy, lost.clone(), lost),
            Failure::Busy | Failure::Other => (busy.clone(), busy.clone(), busy),
        };
        for reply in self.replies {
            let error = if matches!(reply, Reply::Push(..)) {
                &pushed
            } else if reply.only_looked() {
                &looked
            } else {
                &changed
            };
            reply.fail(error);
        }
        self.searches.into_iter().for_each(|wanted| wanted.refuse(&looked));
    }
}
