//! The ends of runs: `ack`, `fail`, `snooze`, `extend`, and `POST /v1/finish`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use job::{Ending, JobRef, Lease, Phase, Span};
use queue::{End, Stale, Wish};
use wire::v1::{Ack, Extend, Extended, Fail, FinishMany, FinishedMany, FinishedOne, Object, Refused, Settled, Snooze};

use crate::body::{Json, answer};
use crate::lease::{Taken, meant, said, take};
use crate::path::JobPath;
use crate::problem::{Problem, why_stale};
use crate::routes::App;
use crate::speaker::Speaker;
use crate::workers::Act;

pub(crate) async fn ack(
    State(app): State<App>,
    speaker: Speaker,
    JobPath(id): JobPath,
    Json(Object(ack)): Json<Object<Ack>>,
) -> Result<Response, Problem> {
    end(&app, &speaker, id, ack.into_ending()?).await
}

pub(crate) async fn fail(
    State(app): State<App>,
    speaker: Speaker,
    JobPath(id): JobPath,
    Json(Object(fail)): Json<Object<Fail>>,
) -> Result<Response, Problem> {
    end(&app, &speaker, id, fail.into_ending()?).await
}

pub(crate) async fn snooze(
    State(app): State<App>,
    speaker: Speaker,
    JobPath(id): JobPath,
    Json(Object(snooze)): Json<Object<Snooze>>,
) -> Result<Response, Problem> {
    end(&app, &speaker, id, snooze.into_ending()?).await
}

async fn end(app: &App, speaker: &Speaker, id: JobRef, (lease, ending): (Lease, Ending)) -> Result<Response, Problem> {
    let end = End { id: id.clone(), lease, ending };
    let settled = app.queue.finish(vec![end]).await?.pop().expect("one end, one answer");
    app.options.agents.note(speaker, Act::Ends(usize::from(settled.is_ok())), app.queue.now());
    match settled {
        Ok(settled) => Ok(answer(StatusCode::OK, &as_json(settled))),
        Err(stale) => Err(Problem::stale(&id, stale)),
    }
}

pub(crate) async fn extend(
    State(app): State<App>,
    speaker: Speaker,
    JobPath(id): JobPath,
    Json(Object(extend)): Json<Object<Extend>>,
) -> Result<Response, Problem> {
    let (lease, for_) = extend.into_words()?;
    app.options.agents.note(&speaker, Act::Lives, app.queue.now());
    match app.queue.extend(id.clone(), lease, for_).await? {
        Ok(until) => Ok(answer(StatusCode::OK, &Extended { until })),
        Err(stale) => Err(Problem::stale(&id, stale)),
    }
}

pub(crate) async fn many(
    State(app): State<App>,
    speaker: Speaker,
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
    let (settled, taken) = match lease {
        None => (finish(&app, &speaker, ends).await?, Taken::Jobs(Vec::new())),
        Some(wish) => finish_and_take(&app, &speaker, ends, meant(wish, &speaker)).await?,
    };
    let ends = ids.into_iter().zip(settled).map(|(id, settled)| one(id, settled)).collect();
    Ok(said(taken, |jobs, quiet| answer(StatusCode::OK, &FinishedMany { ends, jobs, quiet })))
}

type Settlements = Vec<Result<queue::Settled, Stale>>;

async fn finish(app: &App, speaker: &Speaker, ends: Vec<End>) -> Result<Settlements, Problem> {
    let settled = app.queue.finish(ends).await?;
    note_ends(app, speaker, &settled);
    Ok(settled)
}

/// The ends and the first look for jobs go together; waiting comes after, so
/// that the ends are answered even if there is no place to wait, or the server
/// is told to stop meanwhile.
async fn finish_and_take(
    app: &App,
    speaker: &Speaker,
    ends: Vec<End>,
    wish: Wish,
) -> Result<(Settlements, Taken), Problem> {
    let agents = &app.options.agents;
    if agents.is_quiet(speaker, app.queue.now()) {
        return Ok((finish(app, speaker, ends).await?, Taken::Quiet));
    }
    let look = Wish { wait: Span::ZERO, ..wish.clone() };
    let (settled, jobs) = app.queue.finish_and_lease(ends, look).await?;
    note_ends(app, speaker, &settled);
    if !jobs.is_empty() || wish.wait == Span::ZERO {
        agents.note(speaker, Act::Asks, app.queue.now());
        agents.note(speaker, Act::Takes(jobs.len()), app.queue.now());
        return Ok((settled, Taken::Jobs(jobs)));
    }
    let taken = take(app, speaker, wish).await.unwrap_or_else(|problem| {
        tracing::debug!(?problem, "ends were applied, and no jobs are handed out with them");
        Taken::Jobs(Vec::new())
    });
    Ok((settled, taken))
}

fn note_ends(app: &App, speaker: &Speaker, settled: &Settlements) {
    let ended = settled.iter().filter(|settled| settled.is_ok()).count();
    app.options.agents.note(speaker, Act::Ends(ended), app.queue.now());
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
