//! Whether a release does what it is for, seen from outside.

use std::time::Duration;

use aloud_client::{Api, v1};
use job::{KindName, Outcome, Phase, QueueName};
use tokio::time::{Instant, sleep, timeout_at};

/// How often it is looked again.
const AGAIN: Duration = Duration::from_millis(250);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);

/// Waits until an address answers with 2xx; says so, or what it said last.
pub(crate) async fn answers(address: &str, deadline: Instant) -> Result<String, String> {
    let client = reqwest::Client::builder()
        .timeout(REQUEST)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| format!("`{address}` cannot be asked: {error}"))?;
    loop {
        let why = match timeout_at(deadline, client.get(address).send()).await {
            Ok(Ok(answer)) if answer.status().is_success() => {
                return Ok(format!("{address} answers {}", answer.status().as_u16()));
            }
            Ok(Ok(answer)) => format!("{address} answers {}", answer.status().as_u16()),
            Ok(Err(error)) => format!("{address} does not answer: {error}"),
            Err(_) => return Err(format!("{address} did not answer in time")),
        };
        if Instant::now() + AGAIN >= deadline {
            return Err(why);
        }
        sleep(AGAIN).await;
    }
}

/// Pushes a job and waits until a worker of the release `release` has done it.
pub(crate) async fn does(
    server: aloud_client::Settings,
    kind: &KindName,
    queue: &QueueName,
    release: &str,
    deadline: Instant,
) -> Result<String, String> {
    let said = |error: aloud_client::Error| format!("the job `{kind}` that proves the release: {}", error.happened());
    let api = Api::new(server).map_err(said)?;
    let job: v1::PushJob = serde_json::from_value(serde_json::json!({
        "queue": queue, "kind": kind, "payload": { "release": release }, "priority": 0,
    }))
    .map_err(|error| error.to_string())?;
    let pushed =
        timeout_at(deadline, api.push(&job)).await.map_err(|_| "the server did not answer in time")?.map_err(said)?;
    let mut last = "it was not taken".to_owned();
    while Instant::now() < deadline {
        let job = api.job(&pushed.id).await.map_err(said)?;
        match (job.state, job.outcome) {
            (Phase::Ended, Some(Outcome::Done)) => {
                let by = job.attempts.last().map_or("nobody", |attempt| attempt.worker.as_str());
                return match is_of(by, release) {
                    true => Ok(format!("a job `{kind}` was done by {by}")),
                    false => {
                        Err(format!("the job `{kind}` was done by {by}, and not by a worker of release {release}"))
                    }
                };
            }
            (Phase::Dead | Phase::Ended, _) => return Err(format!("the job `{kind}` that proves the release failed")),
            (state, _) => last = format!("it is {}", state.as_str()),
        }
        sleep(AGAIN).await;
    }
    api.cancel(&pushed.id).await.ok();
    Err(format!("no worker did the job `{kind}` that proves the release in time: {last}"))
}

/// Whether a worker, as a job remembers it, ran from `release`: the server keeps
/// what workers say of themselves as `mail.2.g7.x3f9 on 66`, alone or behind
/// another name in brackets.
fn is_of(worker: &str, release: &str) -> bool {
    worker.trim_end_matches(')').rsplit_once(" on ").is_some_and(|(_, on)| on == release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_of_the_release_that_it_says() {
        assert!(is_of("mail.2.g7.x000003f9 on 66", "66"));
        assert!(is_of("host-12-00ff (mail.2.g7.x000003f9 on 66)", "66"));
        assert!(!is_of("host-12-00ff (mail.2.g7.x000003f9 on 65)", "66"));
        assert!(!is_of("host-12-00ff (mail.2.g7.x000003f9)", "66"));
        assert!(!is_of("", ""));
    }
}
