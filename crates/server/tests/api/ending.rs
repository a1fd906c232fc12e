//! `ack`, `fail`, `snooze`, `extend`, and `POST /v1/finish`.

use insta::assert_snapshot;

use crate::running::Running;

const OTHER_LEASE: &str = "00000000000000ff";

#[tokio::test]
async fn a_run_ends_as_done_skipped_failed_dead_or_snoozed() {
    let server = Running::start().await;
    let end = async |how: &str, fields: &str| {
        server.push(r#"{"kind":"k","retry":{"first":"10s","max_attempts":3}}"#).await;
        let leased = server.client.post("/v1/lease", r#"{"queues":["default"],"worker":"w1"}"#).await;
        let (id, lease) = (leased.at("/jobs/0/id"), leased.at("/jobs/0/lease"));
        let json = format!(r#"{{"lease":{lease}{fields}}}"#);
        server.client.post(&format!("/v1/jobs/{}/{how}", id.as_str().unwrap()), &json).await.said()
    };
    let ended = |outcome: &str| format!(r#"200 {{"state":"ended","outcome":"{outcome}"}}"#);
    assert_eq!(end("ack", r#","output":"sent""#).await, ended("done"));
    assert_eq!(end("ack", r#","skipped":"called off""#).await, ended("skipped"));
    assert_eq!(
        end("fail", r#","error":{"class":"Net","message":"no route"},"retry_after":"1h""#).await,
        r#"200 {"state":"retrying","due":"2026-12-01T10:00:00.000Z"}"#
    );
    assert_eq!(end("fail", r#","error":{"message":"bad address"},"permanent":true"#).await, r#"200 {"state":"dead"}"#);
    assert_eq!(
        end("snooze", r#","in":"5m","why":"not yet""#).await,
        r#"200 {"state":"retrying","due":"2026-12-01T09:05:00.000Z"}"#
    );
    server.stop().await;
}

#[tokio::test]
async fn a_late_end_changes_nothing_and_is_told_so() {
    let server = Running::start().await;
    server.push(r#"{"kind":"k","id":"mine"}"#).await;
    server.push(r#"{"kind":"k","id":"waits"}"#).await;
    let lease = server.take().await;
    let ack = async |id: &str, lease: &str| {
        server.client.post(&format!("/v1/jobs/{id}/ack"), &format!(r#"{{"lease":"{lease}"}}"#)).await
    };
    assert_snapshot!(ack("mine", OTHER_LEASE).await.problem(), @r"
    409 stale-lease
    the job `mine` runs under another lease
      The lease that was shown does not stand for a run that is under way: it ran out, or the run was ended before, or it is another job's. Nothing was changed.
    hint: drop this run's result; extend the lease of work that takes long
    ");
    assert_eq!(ack("waits", &lease).await.at("/title"), "the job `waits` is not running", "another job's lease");
    assert_eq!(ack("nobody", &lease).await.at("/title"), "there is no job `nobody`");
    assert_eq!(server.client.get("/v1/jobs/mine").await.at("/state"), "running", "nothing changed");
    assert_eq!(ack("mine", &lease).await.status, 200);
    let twice = ack("mine", &lease).await;
    assert_eq!((twice.status, twice.at("/title")), (409, "the job `mine` is not running".into()));
    for (how, fields) in [("fail", r#","error":{}"#), ("snooze", r#","in":"1s""#), ("extend", "")] {
        let json = format!(r#"{{"lease":"{lease}"{fields}}}"#);
        let late = server.client.post(&format!("/v1/jobs/mine/{how}"), &json).await;
        assert_eq!((late.status, late.at("/type")), (409, "about:blank#stale-lease".into()), "{how}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_lease_is_extended_from_now() {
    let server = Running::start().await;
    server.push(r#"{"kind":"k","id":"mine"}"#).await;
    let lease = server.take().await;
    server.advance(60);
    let extended = server.client.post("/v1/jobs/mine/extend", &format!(r#"{{"lease":"{lease}","for":"2h"}}"#)).await;
    assert_eq!(extended.said(), r#"200 {"until":"2026-12-01T11:01:00.000Z"}"#);
    assert_eq!(server.client.get("/v1/jobs/mine").await.at("/leased_until"), "2026-12-01T11:01:00.000Z");
    server.stop().await;
}

#[tokio::test]
async fn many_runs_end_and_the_next_jobs_come_in_one_round_trip() {
    let server = Running::start().await;
    server.push(r#"[{"kind":"k","id":"a"},{"kind":"k","id":"b"},{"kind":"k","id":"c"},{"kind":"k","id":"d"}]"#).await;
    let leased = server.client.post("/v1/lease", r#"{"queues":["default"],"worker":"w1","limit":3}"#).await;
    let lease = |n: usize| leased.at(&format!("/jobs/{n}/lease"));
    let json = format!(
        r#"{{"acks":[{{"id":"a","lease":{}}},{{"id":"b","lease":"{OTHER_LEASE}"}}],
            "fails":[{{"id":"c","lease":{},"error":{{"message":"m"}},"permanent":true}}],
            "lease":{{"queues":["default"],"worker":"w1","limit":10}}}}"#,
        lease(0),
        lease(2)
    );
    let finished = server.client.post("/v1/finish", &json).await;
    assert_eq!(finished.status, 200);
    let ends: Vec<String> = finished.at("/ends").as_array().unwrap().iter().map(ToString::to_string).collect();
    assert_snapshot!(ends.join("\n"), @r#"
    {"id":"a","settled":{"outcome":"done","state":"ended"}}
    {"id":"b","stale":"the job `b` runs under another lease"}
    {"id":"c","settled":{"state":"dead"}}
    "#);
    assert_eq!(finished.at("/jobs/0/id"), "d");
    assert_eq!(server.client.post("/v1/finish", "{}").await.said(), r#"200 {"ends":[],"jobs":[]}"#);
    server.stop().await;
}

#[tokio::test]
async fn ends_are_answered_even_when_there_is_no_place_to_wait() {
    let server = Running::under(|options| options.limits.max_waiting = 0).await;
    server.push(r#"{"kind":"k","id":"mine"}"#).await;
    let lease = server.take().await;
    let json = format!(
        r#"{{"acks":[{{"id":"mine","lease":"{lease}"}}],"lease":{{"queues":["default"],"worker":"w1","wait":"60s"}}}}"#
    );
    let finished = server.client.post("/v1/finish", &json).await;
    assert_eq!(
        finished.said(),
        r#"200 {"ends":[{"id":"mine","settled":{"state":"ended","outcome":"done"}}],"jobs":[]}"#
    );
    server.stop().await;
}

#[tokio::test]
async fn a_batch_of_ends_with_one_that_means_nothing_changes_nothing() {
    let server = Running::start().await;
    server.push(r#"{"kind":"k","id":"mine"}"#).await;
    let lease = server.take().await;
    let json = format!(r#"{{"acks":[{{"id":"mine","lease":"{lease}"}},{{"id":"mine","lease":"x"}}]}}"#);
    assert_snapshot!(server.client.post("/v1/finish", &json).await.problem(), @r"
    422 refused
    `acks[1].lease`: not a lease; it has 16 digits of 0-9 and a-f, and comes with the leased job
      Nothing was changed.
    hint: correct `acks[1].lease` and send it again
    ");
    let json = format!(r#"{{"fails":[{{"id":"a b","lease":"{lease}","error":{{}}}}]}}"#);
    assert_eq!(
        server.client.post("/v1/finish", &json).await.at("/title"),
        "`fails[0].id`: the job id holds the character ' ' at byte 1; spaces, `/`, `?` and control characters are not allowed"
    );
    assert_eq!(server.client.get("/v1/jobs/mine").await.at("/state"), "running");
    server.stop().await;
}
