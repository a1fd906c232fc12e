//! `POST /v1/jobs`.

use insta::assert_snapshot;

use crate::running::Running;

#[tokio::test]
async fn a_push_is_answered_with_the_jobs_id_and_where_it_stands() {
    let server = Running::start().await;
    assert_eq!(server.push(r#"{"kind":"k"}"#).await.said(), r#"201 {"id":"j1","state":"ready"}"#);
    assert_eq!(server.push(r#"{"kind":"k","in":"30m"}"#).await.said(), r#"201 {"id":"j2","state":"scheduled"}"#);
    assert_eq!(
        server.push(r#"{"kind":"k","at":"2026-12-01T09:00:01Z"}"#).await.said(),
        r#"201 {"id":"j3","state":"scheduled"}"#
    );
    assert_eq!(
        server.push(r#"{"kind":"k","at":"1999-12-31T23:59:59Z"}"#).await.said(),
        r#"201 {"id":"j4","state":"ready"}"#,
        "a time that has passed means now"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_second_push_with_an_id_answers_the_first_job_and_how_it_ended() {
    let server = Running::start().await;
    let push = r#"{"kind":"k","id":"order-42"}"#;
    assert_eq!(server.push(push).await.said(), r#"201 {"id":"order-42","state":"ready"}"#);
    assert_eq!(server.push(push).await.said(), r#"200 {"id":"order-42","known":true}"#);
    let lease = server.take().await;
    server.client.post("/v1/jobs/order-42/ack", &format!(r#"{{"lease":"{lease}"}}"#)).await;
    assert_eq!(
        server.push(push).await.said(),
        r#"200 {"id":"order-42","state":"ended","known":true,"outcome":"done"}"#
    );
    server.stop().await;
}

#[tokio::test]
async fn a_key_that_is_held_keeps_replaces_or_rejects() {
    let server = Running::start().await;
    let push = |on_conflict: &str| {
        let json = format!(r#"{{"kind":"k","in":"30m","key":"notice:42","on_conflict":"{on_conflict}"}}"#);
        let server = &server;
        async move { server.push(&json).await }
    };
    assert_eq!(push("keep").await.said(), r#"201 {"id":"j1","state":"scheduled"}"#);
    assert_eq!(push("keep").await.said(), r#"200 {"id":"j1","kept":true}"#);
    assert_eq!(push("replace").await.said(), r#"201 {"id":"j2","state":"scheduled","replaced":"j1"}"#);
    assert_snapshot!(push("reject").await.problem(), @r"
    409 key-held
    the waiting job `j2` holds the key
      `on_conflict` is `reject`, so the new job was not pushed. Nothing was changed.
    hint: cancel that job first, or push with `keep` or `replace`
    ");
    server.stop().await;
}

#[tokio::test]
async fn the_job_that_holds_the_key_is_named_by_the_id_that_its_pusher_chose() {
    let server = Running::start().await;
    server.push(r#"{"kind":"k","id":"mine","key":"k1"}"#).await;
    assert_eq!(server.push(r#"{"kind":"k","key":"k1"}"#).await.said(), r#"200 {"id":"mine","kept":true}"#);
    let rejected = server.push(r#"{"kind":"k","key":"k1","on_conflict":"reject"}"#).await;
    assert_eq!(rejected.at("/title"), "the waiting job `mine` holds the key");
    server.stop().await;
}

#[tokio::test]
async fn an_array_is_answered_by_an_array_in_its_order() {
    let server = Running::start().await;
    let pushed = server
        .push(
            r#"[{"kind":"a","id":"one","key":"k1"},{"kind":"b","in":"1h"},{"kind":"c","key":"k1"},
                {"kind":"d","key":"k1","on_conflict":"reject"},{"kind":"e","id":"one"}]"#,
        )
        .await;
    assert_eq!(pushed.status, 201);
    let entries: Vec<String> = pushed.value().as_array().unwrap().iter().map(ToString::to_string).collect();
    assert_snapshot!(entries.join("\n"), @r#"
    {"id":"one","state":"ready"}
    {"id":"j2","state":"scheduled"}
    {"id":"one","kept":true}
    {"id":"one","rejected":"the waiting job `one` holds the key"}
    {"id":"one","known":true}
    "#);
    let again = server.push(r#"[{"kind":"a","id":"one"}]"#).await;
    assert_eq!(again.said(), r#"200 [{"id":"one","known":true}]"#, "nothing was new");
    assert_eq!(server.push("[]").await.said(), "200 []");
    server.stop().await;
}

#[tokio::test]
async fn an_array_with_one_that_is_refused_changes_nothing() {
    let server = Running::start().await;
    let refused = server.push(r#"[{"kind":"a"},{"kind":"b","id":"two words"}]"#).await;
    assert_snapshot!(refused.problem(), @r"
    422 refused
    `[1].id`: the job id holds the character ' ' at byte 3; spaces, `/`, `?` and control characters are not allowed
      Nothing was changed.
    hint: correct `[1].id` and send it again
    ");
    assert_eq!(server.client.get("/v1/jobs").await.at("/of"), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_push_that_is_repeated_with_its_idempotency_key_is_known() {
    let server = Running::start().await;
    let push = async |key: &'static str, json: &str| {
        server.client.request("POST", "/v1/jobs").header("Idempotency-Key", key).json(json).send().await
    };
    assert_eq!(push("abc", r#"{"kind":"k"}"#).await.said(), r#"201 {"id":"idem:abc","state":"ready"}"#);
    assert_eq!(push("abc", r#"{"kind":"k"}"#).await.said(), r#"200 {"id":"idem:abc","known":true}"#);
    assert_eq!(
        push("\"abc\"", r#"{"kind":"k"}"#).await.said(),
        r#"200 {"id":"idem:abc","known":true}"#,
        "the quotation marks of the IETF's draft are not part of it"
    );
    let array = r#"[{"kind":"k"},{"kind":"k","id":"mine"},{"kind":"k"}]"#;
    let said =
        r#"[{"id":"idem:xyz:0","state":"ready"},{"id":"mine","state":"ready"},{"id":"idem:xyz:2","state":"ready"}]"#;
    assert_eq!(push("xyz", array).await.said(), format!("201 {said}"));
    assert_eq!(
        push("xyz", array).await.said(),
        format!("200 {}", said.replace(r#""state":"ready""#, r#""known":true"#))
    );
    server.stop().await;
}

#[tokio::test]
async fn a_payload_comes_out_byte_for_byte() {
    let server = Running::start().await;
    let payload = r#"{"b": 1.50,"a":[1e400, "\u00e9é", {}],"a":2}"#;
    server.push(&format!(r#"{{"kind":"k","payload": {payload} }}"#)).await;
    let leased = server.client.post("/v1/lease", r#"{"queues":["default"],"worker":"w1"}"#).await;
    assert!(leased.body.contains(&format!(r#""payload":{payload},"#)), "{}", leased.body);
    assert!(server.client.get("/v1/jobs/j1").await.body.contains(payload));
    server.stop().await;
}
