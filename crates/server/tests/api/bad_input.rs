//! What cannot be understood or done: a clear problem, and nothing changed.

use insta::assert_snapshot;

use crate::running::Running;

/// Pushes each, and writes down what is said of it. None of them may change
/// anything.
async fn pushed(bodies: &[&str]) -> String {
    let server = Running::start().await;
    let mut said = Vec::new();
    for body in bodies {
        said.push(format!("{body}\n{}", server.push(body).await.problem()));
    }
    let ledger = server.client.get("/v1/status").await.at("/ledger/pushed");
    assert_eq!(ledger, 0, "nothing was pushed");
    server.stop().await;
    said.join("\n\n")
}

#[tokio::test]
async fn json_that_is_none_is_placed_by_line_and_column() {
    let bodies = [" ", "{", r#"{"kind":"k","payload":{"a":}}"#, "{\"kind\":\n  k}", r#"{"kind":"k"} {}"#, "17"];
    assert_snapshot!(pushed(&bodies).await, @r#"
     
    400 bad-json
    the body cannot be read: EOF while parsing a value at line 1 column 1
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {
    400 bad-json
    the body cannot be read: EOF while parsing an object at line 1 column 1
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","payload":{"a":}}
    400 bad-json
    the body cannot be read: `payload`: expected value at line 1 column 28
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":
      k}
    400 bad-json
    the body cannot be read: `kind`: expected value at line 2 column 3
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k"} {}
    400 bad-json
    the body cannot be read: trailing characters at line 1 column 14
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    17
    400 bad-json
    the body cannot be read: invalid type: integer `17`, expected a job, which is an object with a `kind`, or an array of jobs at line 1 column 2
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field
    "#);
}

#[tokio::test]
async fn a_field_that_is_unknown_missing_or_wrong_is_named() {
    assert_snapshot!(
        pushed(&[
            r#"{"kind":"k","on_conflct":"keep"}"#,
            r#"{"queue":"mail"}"#,
            r#"{"kind":"k","kind":"l"}"#,
            r#"{"kind":7}"#,
            r#"{"kind":"k","priority":-1}"#,
            r#"{"kind":"k","priority":4294967296}"#,
            r#"{"kind":"k","on_conflict":"merge"}"#,
            r#"{"kind":"k","retry":{"first":"soon"}}"#,
            r#"{"kind":"k","guard":{"sql":"SELECT 1"}}"#,
            r#"[{"kind":"k"},{"kind":"k","retry":{"max_atempts":3}}]"#,
        ])
        .await,
        @r#"
    {"kind":"k","on_conflct":"keep"}
    400 bad-json
    the body cannot be read: `on_conflct`: unknown field `on_conflct`, expected one of `queue`, `kind`, `payload`, `in`, `at`, `key`, `on_conflict`, `guard`, `priority`, `retry`, `expires_in`, `id` at line 1 column 24
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"queue":"mail"}
    400 bad-json
    the body cannot be read: missing field `kind` at line 1 column 16
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","kind":"l"}
    400 bad-json
    the body cannot be read: duplicate field `kind` at line 1 column 18
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":7}
    400 bad-json
    the body cannot be read: `kind`: invalid type: integer `7`, expected a string at line 1 column 9
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","priority":-1}
    400 bad-json
    the body cannot be read: `priority`: invalid value: integer `-1`, expected u32 at line 1 column 25
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","priority":4294967296}
    400 bad-json
    the body cannot be read: `priority`: invalid value: integer `4294967296`, expected u32 at line 1 column 33
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","on_conflict":"merge"}
    400 bad-json
    the body cannot be read: `on_conflict`: unknown variant `merge`, expected one of `keep`, `replace`, `reject` at line 1 column 33
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","retry":{"first":"soon"}}
    400 bad-json
    the body cannot be read: `retry.first`: "soon" is not a length of time; write a number and a unit: `500ms`, `45s`, `30m`, `2h`, `7d`, or several: `1h30m` at line 1 column 36
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","guard":{"sql":"SELECT 1"}}
    400 bad-json
    the body cannot be read: `guard`: unknown variant `sql`, expected `http` or `exec` at line 1 column 26
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    [{"kind":"k"},{"kind":"k","retry":{"max_atempts":3}}]
    400 bad-json
    the body cannot be read: `[1].retry.max_atempts`: unknown field `max_atempts`, expected one of `max_attempts`, `first`, `cap` at line 1 column 48
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field
    "#
    );
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    assert_snapshot!(
        pushed(&[
            r#"{"kind":"k","queue":"mail\u0007"}"#,
            r#"{"kind":"k","queue":""}"#,
            r#"{"kind":"two words"}"#,
            r#"{"kind":"k","key":"a\nb"}"#,
            r#"{"kind":"k","id":"a/b"}"#,
            r#"{"kind":"k","id":"j17"}"#,
        ])
        .await,
        @r#"
    {"kind":"k","queue":"mail\u0007"}
    400 bad-json
    the body cannot be read: `queue`: the queue's name holds the character '\u{7}' at byte 4; letters, digits and any of `-_.:/+;$()@\#` are allowed at line 1 column 33
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","queue":""}
    400 bad-json
    the body cannot be read: `queue`: the queue's name is empty at line 1 column 23
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"two words"}
    400 bad-json
    the body cannot be read: `kind`: the job's kind holds the character ' ' at byte 3; letters, digits and any of `-_.:/+;$()@\#` are allowed at line 1 column 20
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","key":"a\nb"}
    400 bad-json
    the body cannot be read: `key`: the key holds the character '\n' at byte 1; control characters are not allowed at line 1 column 25
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","id":"a/b"}
    422 refused
    `id`: the job id holds the character '/' at byte 1; spaces, `/`, `?` and control characters are not allowed
      Nothing was changed.
    hint: correct `id` and send it again

    {"kind":"k","id":"j17"}
    422 refused
    `id`: the job id "j17" has the form of an id that the server gives (`j` and digits); choose another form
      Nothing was changed.
    hint: correct `id` and send it again
    "#
    );
    let long = format!(r#"{{"kind":"{}"}}"#, "k".repeat(201));
    assert!(pushed(&[&long]).await.contains("has 201 bytes, and at most 200 are allowed"));
}

#[tokio::test]
async fn times_that_are_none_are_refused() {
    assert_snapshot!(
        pushed(&[
            r#"{"kind":"k","at":"tomorrow"}"#,
            r#"{"kind":"k","at":"2026-12-01T09:00:00"}"#,
            r#"{"kind":"k","at":"10000-01-01T00:00:00Z"}"#,
            r#"{"kind":"k","at":"1969-07-20T20:17:00Z"}"#,
            r#"{"kind":"k","in":"-5m"}"#,
            r#"{"kind":"k","in":"20000d"}"#,
            r#"{"kind":"k","in":1800}"#,
            r#"{"kind":"k","in":"5m","at":"2026-12-01T09:00:00Z"}"#,
        ])
        .await,
        @r#"
    {"kind":"k","at":"tomorrow"}
    400 bad-json
    the body cannot be read: `at`: "tomorrow" is not a time; write it as RFC 3339 with a zone: `2026-12-01T09:00:00Z` at line 1 column 28
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","at":"2026-12-01T09:00:00"}
    400 bad-json
    the body cannot be read: `at`: "2026-12-01T09:00:00" is not a time; write it as RFC 3339 with a zone: `2026-12-01T09:00:00Z` at line 1 column 39
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","at":"10000-01-01T00:00:00Z"}
    400 bad-json
    the body cannot be read: `at`: "10000-01-01T00:00:00Z" is not a time; write it as RFC 3339 with a zone: `2026-12-01T09:00:00Z` at line 1 column 41
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","at":"1969-07-20T20:17:00Z"}
    400 bad-json
    the body cannot be read: `at`: "1969-07-20T20:17:00Z" lies outside the years 1970 to 9999 at line 1 column 40
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","in":"-5m"}
    400 bad-json
    the body cannot be read: `in`: "-5m" is not a length of time; write a number and a unit: `500ms`, `45s`, `30m`, `2h`, `7d`, or several: `1h30m` at line 1 column 23
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","in":"20000d"}
    400 bad-json
    the body cannot be read: `in`: "20000d" is longer than 10,000 days at line 1 column 26
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","in":1800}
    400 bad-json
    the body cannot be read: `in`: invalid type: integer `1800`, expected a string at line 1 column 21
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    {"kind":"k","in":"5m","at":"2026-12-01T09:00:00Z"}
    422 refused
    `at`: give either `in` or `at`, not both
      Nothing was changed.
    hint: correct `at` and send it again
    "#
    );
}

#[tokio::test]
async fn a_payload_that_is_too_deep_or_too_large_is_refused() {
    let nested = |levels: usize| format!(r#"{{"kind":"k","payload":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let said = pushed(&[&nested(500_000)]).await;
    let (_, said) = said.split_once('\n').unwrap();
    assert_snapshot!(said, @r"
    422 refused
    `payload`: it is nested 500000 levels deep, and at most 100 are allowed: the worker's JSON reader may refuse it
      Nothing was changed.
    hint: correct `payload` and send it again
    ");
    let large = format!(r#"{{"kind":"k","payload":"{}"}}"#, "x".repeat(1 << 20));
    let said = pushed(&[&large]).await;
    let (_, said) = said.split_once('\n').unwrap();
    assert_snapshot!(said, @r"
    422 refused
    `payload`: the payload has 1048578 bytes, and at most 1048576 are allowed; store large data elsewhere and push a reference to it
      Nothing was changed.
    hint: correct `payload` and send it again
    ");
    let outside = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    assert!(pushed(&[&outside]).await.contains("400 bad-json"));
}

#[tokio::test]
async fn more_than_a_thousand_jobs_at_once_are_refused() {
    let server = Running::start().await;
    let jobs = |n: usize| format!("[{}]", vec![r#"{"kind":"k"}"#; n].join(","));
    assert_snapshot!(server.push(&jobs(1_001)).await.problem(), @r"
    400 bad-json
    the body cannot be read: more than 1000 jobs at line 1 column 13014
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field
    ");
    assert_eq!(server.push(&jobs(1_000)).await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_refused() {
    let server = Running::start().await;
    for body in [&b"{\"kind\":\"\xff\"}"[..], b"{\"kind\":\"k\",\"payload\":\"\xc3\"}", b"\xff\xfe{\0}\0"] {
        let request = server.client.request("POST", "/v1/jobs").header("Content-Type", "application/json");
        let refused = request.body(body).send().await;
        assert_eq!(refused.at("/type"), "about:blank#bad-json", "{body:?}");
        assert!(refused.body.contains("at line 1 column"), "{}", refused.body);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_not_said_to_be_json_is_refused() {
    let server = Running::start().await;
    let push = async |type_: Option<&'static str>| {
        let request = server.client.request("POST", "/v1/jobs").header("Content-Type", type_);
        request.body(br#"{"kind":"k"}"#).send().await
    };
    assert_snapshot!(push(Some("application/x-www-form-urlencoded")).await.problem(), @r#"
    415 not-json
    the body is said to be "application/x-www-form-urlencoded", not JSON
      It was not read, and nothing was changed.
    hint: add the header `Content-Type: application/json` (curl: `-H 'Content-Type: application/json'`)
    "#);
    assert_snapshot!(push(None).await.problem(), @r"
    415 not-json
    the body is not said to be JSON
      It was not read, and nothing was changed.
    hint: add the header `Content-Type: application/json` (curl: `-H 'Content-Type: application/json'`)
    ");
    assert_eq!(push(Some("text/plain")).await.status, 415);
    for good in ["application/json", "Application/JSON; charset=utf-8"] {
        assert_eq!(push(Some(good)).await.status, 201, "{good}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let server = Running::under(|options| options.limits.max_body = 1_000).await;
    let body = format!(r#"{{"kind":"k","payload":"{}"}}"#, "x".repeat(1_000));
    assert_snapshot!(server.push(&body).await.problem(), @r"
    413 too-large
    the body has more than 1000 bytes
      It was not read to its end, and nothing was changed.
    hint: send fewer jobs at once; store large data elsewhere and push a reference to it
    ");
    let chunked = format!("{:x}\r\n{body}\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len(), body.len());
    let request = server.client.request("POST", "/v1/jobs").json("").header("Content-Length", None);
    let mut bytes = request.header("Transfer-Encoding", "chunked").bytes();
    bytes.extend(chunked.into_bytes());
    let mut stream = server.client.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await.unwrap();
    assert_eq!(crate::client::last_answer(&mut stream).await.status, 413);
    server.stop().await;
}

#[tokio::test]
async fn who_asks_before_sending_too_much_is_told_at_once() {
    let server = Running::start().await;
    let request = server.client.request("POST", "/v1/jobs").header("Content-Type", "application/json");
    let request = request.header("Content-Length", "3000000").header("Expect", "100-continue");
    let mut stream = server.client.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, &request.bytes()).await.unwrap();
    assert_eq!(crate::client::last_answer(&mut stream).await.status, 413);
    server.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_that_is_none_is_refused() {
    let server = Running::start().await;
    let push = async |key: &'static str| {
        let request = server.client.request("POST", "/v1/jobs").header("Idempotency-Key", key);
        request.json(r#"{"kind":"k"}"#).send().await
    };
    assert_snapshot!(push("two words").await.problem(), @r"
    422 refused
    `Idempotency-Key`: spaces, `/` and `?` are not allowed
      Nothing was changed.
    hint: correct `Idempotency-Key` and send it again
    ");
    for key in ["", "\"\"", "a/b", "ü"] {
        assert_eq!(push(key).await.status, 422, "{key}");
    }
    server.stop().await;
}

#[tokio::test]
async fn other_requests_are_as_strict() {
    let server = Running::start().await;
    server.push(r#"{"kind":"k","id":"mine"}"#).await;
    let mut said = Vec::new();
    for (path, body) in [
        ("/v1/lease", r#"{"queues":["q"],"worker":"w","limt":5}"#),
        ("/v1/lease", r#"[["q"],"w"]"#),
        ("/v1/lease", r#"{"queues":[],"worker":"w"}"#),
        ("/v1/lease", r#"{"queues":["q"],"worker":"w","wait":"61s"}"#),
        ("/v1/jobs/mine/ack", r#"{"lease":"00FF"}"#),
        ("/v1/jobs/mine/ack", r#"{}"#),
        ("/v1/jobs/mine/fail", r#"{"lease":"00000000000000ff","error":{"mesage":"m"}}"#),
        ("/v1/jobs/mine/extend", r#"{"lease":"00000000000000ff","for":"2d"}"#),
        ("/v1/jobs/mine/snooze", r#"{"lease":"00000000000000ff"}"#),
        ("/v1/jobs/mine/retry", r#"{"force":true}"#),
        ("/v1/finish", r#"{"acks":[{"id":"mine"}]}"#),
        ("/v1/queues/q/pause", r#"{"by":"","reason":"r"}"#),
        ("/v1/queues/q/pause", r#"{"by":"Ute"}"#),
        ("/v1/queues/q/resume", r#"{"force":true}"#),
    ] {
        said.push(format!("{path} {body}\n{}", server.client.post(path, body).await.problem()));
    }
    assert_snapshot!(said.join("\n\n"), @r#"
    /v1/lease {"queues":["q"],"worker":"w","limt":5}
    400 bad-json
    the body cannot be read: `limt`: unknown field `limt`, expected one of `queues`, `worker`, `limit`, `wait`, `for` at line 1 column 35
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    /v1/lease [["q"],"w"]
    400 bad-json
    the body cannot be read: invalid type: sequence, expected an object at line 1 column 0
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    /v1/lease {"queues":[],"worker":"w"}
    422 refused
    `queues`: name 1 to 100 queues
      Nothing was changed.
    hint: correct `queues` and send it again

    /v1/lease {"queues":["q"],"worker":"w","wait":"61s"}
    422 refused
    `wait`: at most 1m
      Nothing was changed.
    hint: correct `wait` and send it again

    /v1/jobs/mine/ack {"lease":"00FF"}
    422 refused
    `lease`: not a lease; it has 16 digits of 0-9 and a-f, and comes with the leased job
      Nothing was changed.
    hint: correct `lease` and send it again

    /v1/jobs/mine/ack {}
    400 bad-json
    the body cannot be read: missing field `lease` at line 1 column 2
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    /v1/jobs/mine/fail {"lease":"00000000000000ff","error":{"mesage":"m"}}
    400 bad-json
    the body cannot be read: `error.mesage`: unknown field `mesage`, expected one of `class`, `message`, `backtrace` at line 1 column 45
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    /v1/jobs/mine/extend {"lease":"00000000000000ff","for":"2d"}
    422 refused
    `for`: it must lie between 1s and 1d
      Nothing was changed.
    hint: correct `for` and send it again

    /v1/jobs/mine/snooze {"lease":"00000000000000ff"}
    400 bad-json
    the body cannot be read: missing field `in` at line 1 column 28
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    /v1/jobs/mine/retry {"force":true}
    400 bad-json
    the body cannot be read: `force`: unknown field `force`, there are no fields at line 1 column 8
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    /v1/finish {"acks":[{"id":"mine"}]}
    400 bad-json
    the body cannot be read: `acks[0]`: missing field `lease` at line 1 column 22
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    /v1/queues/q/pause {"by":"","reason":"r"}
    422 refused
    `by`: give a text of 1 to 200 bytes without control characters
      Nothing was changed.
    hint: correct `by` and send it again

    /v1/queues/q/pause {"by":"Ute"}
    400 bad-json
    the body cannot be read: missing field `reason` at line 1 column 12
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field

    /v1/queues/q/resume {"force":true}
    400 bad-json
    the body cannot be read: `force`: unknown field `force`, there are no fields at line 1 column 8
      Nothing was changed.
    hint: send the JSON that this address takes; `docs/http-api.md` shows it field by field
    "#);
    assert_eq!(server.client.get("/v1/jobs/mine").await.at("/state"), "ready");
    server.stop().await;
}
