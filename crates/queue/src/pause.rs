//! A queue is held, and goes on.

use job::{Moment, Pause, QueueName, Span};

use crate::{Error, Queue};

impl Queue {
    /// Holds a queue for a time; without `for_` until somebody resumes it. A
    /// pause that is there already is replaced.
    pub async fn pause(
        &self,
        queue: QueueName,
        by: String,
        reason: String,
        for_: Option<Span>,
    ) -> Result<Pause, Error> {
        self.shared.open()?;
        self.shared.changing();
        let now = self.now();
        let until = for_.map(|span| Moment::after(now, span));
        let pause = Pause { by, reason, since: now.wall, until };
        self.shared.store.pause(queue, pause.clone(), now).await?;
        Ok(pause)
    }

    /// Lets a queue go on, and answers the pause that was there.
    pub async fn resume(&self, queue: QueueName) -> Result<Option<Pause>, Error> {
        self.shared.open()?;
        self.shared.changing();
        Ok(self.shared.store.resume(queue, self.now()).await?)
    }
}
