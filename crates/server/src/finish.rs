//! The ends of runs: `ack`, `fail`, `snooze`, `extend`, and `POST /v1/finish`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use job::{Ending, JobRef, Lease, Phase, Span};
use queue::{End, Stale, Wish};
use wire::v1::{Ack, Extend, Extended, Fail, FinishMany, FinishedMany, FinishedOne, Object, Refused, Settled, Snooze};

use crate::body::{Json, answer};
use crate::lease::{meant, shown, take};
use crate::path::JobPath;
use crate::problem::{Problem, why_stale};
use crate::routes::App;

pub(crate) async fn ack(
    State(app): State<App>,
    JobPath(id): JobPath,
    Json(Object(ack)): Json<Object<Ack>>,
) -> Result<Response, Problem> {
    end(&app, id, ack.into_ending()?).await
}

pub(crate) async fn fail(
    State(app): State<App>,
    JobPath(id): JobPath,
    Json(Object(fail)): Json<Object<Fail>>,
) -> Result<Response, Problem> {
    end(&app, id, fail.into_ending()?).await
}

pub(crate) async fn snooze(
    State(app): State<App>,
    JobPath(id): JobPath,
    Json(Object(snooze)): Json<Object<Snooze>>,
) -> Result<Response, Problem> {
    end(&app, id, snooze.into_ending()?).await
}

async fn end(app: &App, id: JobRef, (lease, ending): (Lease, Ending)) -> Result<Response, Problem> {
    let end = End { id: id.clone(), lease, ending };
    let settled = app.queue.finish(vec![end]).await?.pop().expect("one end, one answer");
    match settled {
        Ok(settled) => Ok(answer(StatusCode::OK, &as_json(settled))),
        Err(stale) => Err(Problem::stale(&id, stale)),
    }
}

pub(crate) async fn extend(
    State(app): State<App>,
    JobPath(id): JobPath,
    Json(Object(extend)): Json<Object<Extend>>,
) -> Result<Response, Problem> {
    let (lease, for_) = extend.into_words()?;
    match app.queue.extend(id.clone(), lease, for_).await? {
        Ok(until) => Ok(answer(StatusCode::OK, &Extended { until })),
        Err(stale) => Err(Problem::stale(&id, stale)),
    }
}

pub(crate) async fn many(
    State(app): State<App>,
    Json(Object(many)): Json<Object<FinishMany>>,
) -> Result<Response, Problem> {
    many.check()?;
    let FinishMany { acks, fails, lease } = many;
    let mut ends = Vec::with_capacity(acks.len() + fails.len());
    for (place, (id, ack)) in acks.into_iter().map(|ack| ack.split()).enumerate() {
        ends.push(meant_end(&id, ack.into_ending()).map_err(|e| within("acks", place, e))?);
    }
    for (place, (id, fail)) in fails.into_iter().map(|fail| fail.split()).enumerate() {
        ends.push(meant_end(&id, fail.into_ending()).map_err(|e| within("fails", place, e))?);
    }
    let ids: Vec<_> = ends.iter().map(|end| end.id.to_string()).collect();
    let (settled, jobs) = match lease {
        None => (app.queue.finish(ends).await?, Vec::new()),
        Some(wish) => finish_and_take(&app, ends, meant(wish)).await?,
    };
    let ends = ids.into_iter().zip(settled).map(|(id, settled)| one(id, settled)).collect();
    Ok(answer(StatusCode::OK, &FinishedMany { ends, jobs: shown(jobs), quiet: false }))
}

type Settlements = Vec<Result<queue::Settled, Stale>>;

/// The ends and the first look for jobs go together; waiting comes after, so
/// that the ends are answered even if there is no place to wait, or the server
/// is told to stop meanwhile.
async fn finish_and_take(app: &App, ends: Vec<End>, wish: Wish) -> Result<(Settlements, Vec<queue::Leased>), Problem> {
    let look = Wish { wait: Span::ZERO, ..wish.clone() };
    let (settled, jobs) = app.queue.finish_and_lease(ends, look).await?;
    if !jobs.is_empty() || wish.wait == Span::ZERO {
        return Ok((settled, jobs));
    }
    let jobs = take(app, wish).await.unwrap_or_else(|problem| {
        tracing::debug!(?problem, "ends were applied, and no jobs are handed out with them");
        Vec::new()
    });
    Ok((settled, jobs))
}

fn meant_end(id: &str, meant: Result<(Lease, Ending), Refused>) -> Result<End, Refused> {
    let id = id.parse::<JobRef>().map_err(|e| Refused { field: "id", why: e.to_string() })?;
    let (lease, ending) = meant?;
    Ok(End { id, lease, ending })
}

fn within(list: &str, place: usize, refused: Refused) -> Problem {
    Problem::refused(format!("{list}[{place}].{}", refused.field), refused.why)
}

fn one(id: String, settled: Result<queue::Settled, Stale>) -> FinishedOne {
    match settled {
        Ok(settled) => FinishedOne { id, settled: Some(as_json(settled)), stale: None },
        Err(stale) => FinishedOne { stale: Some(why_stale(&id, stale)), id, settled: None },
    }
}

fn as_json(settled: queue::Settled) -> Settled {
    match settled {
        queue::Settled::Ended(outcome) => Settled { state: Phase::Ended, outcome: Some(outcome), due: None },
        queue::Settled::Waits(due) => Settled { state: Phase::Retrying, outcome: None, due: Some(due) },
        queue::Settled::Dead => Settled { state: Phase::Dead, outcome: None, due: None },
    }
}
