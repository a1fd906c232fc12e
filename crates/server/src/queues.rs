//! Queues, and holding them: `/v1/queues`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use queue::QueueState;
use wire::v1::{Object, PauseQueue, PauseView, QueueList, QueueView};

use crate::body::{Json, Nothing, answer};
use crate::path::QueuePath;
use crate::problem::Problem;
use crate::routes::App;

pub(crate) async fn list(State(app): State<App>) -> Result<Response, Problem> {
    let show = |QueueState { name, scheduled, ready, running, retrying, dead, oldest_due, pause }: QueueState| {
        let paused = pause.map(PauseView::from);
        QueueView { name, scheduled, ready, running, retrying, dead, oldest_due, paused }
    };
    let queues = app.queue.queues().await?.into_iter().map(show).collect();
    Ok(answer(StatusCode::OK, &QueueList { queues }))
}

/// Holds a queue.
pub(crate) async fn pause(
    State(app): State<App>,
    QueuePath(queue): QueuePath,
    Json(Object(wish)): Json<Object<PauseQueue>>,
) -> Result<Response, Problem> {
    wish.check()?;
    let PauseQueue { by, reason, for_ } = wish;
    let pause = app.queue.pause(queue, by, reason, for_).await?;
    Ok(answer(StatusCode::OK, &PauseView::from(pause)))
}

/// Lets a queue go on, and answers the pause that was there, or `null`.
pub(crate) async fn resume(
    State(app): State<App>,
    QueuePath(queue): QueuePath,
    Nothing: Nothing,
) -> Result<Response, Problem> {
    let was = app.queue.resume(queue).await?;
    Ok(answer(StatusCode::OK, &was.map(PauseView::from)))
}
