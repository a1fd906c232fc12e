//! Looking at jobs and queues, calling off, pausing, status.

use insta::assert_snapshot;

use crate::running::Running;

/// `default` gets a job in each place: `waits`, `runs`, `dead`, `done`. Answers
/// the lease of the one that runs.
async fn one_of_each(server: &Running) -> String {
    for id in ["dead", "done", "runs"] {
        server.push(&format!(r#"{{"kind":"k","id":"{id}"}}"#)).await;
    }
    let lease = server.take().await;
    let fail = format!(r#"{{"lease":"{lease}","error":{{"class":"Net","message":"no route"}},"permanent":true}}"#);
    assert_eq!(server.client.post("/v1/jobs/dead/fail", &fail).await.status, 200);
    let lease = server.take().await;
    let ack = format!(r#"{{"lease":"{lease}","output":"sent"}}"#);
    assert_eq!(server.client.post("/v1/jobs/done/ack", &ack).await.status, 200);
    let lease = server.take().await;
    server.push(r#"{"kind":"k","id":"waits"}"#).await;
    lease
}

#[tokio::test]
async fn a_job_shows_itself_with_what_became_of_its_runs() {
    let server = Running::start().await;
    one_of_each(&server).await;
    let show = async |id: &str| {
        let shown = server.client.get(&format!("/v1/jobs/{id}")).await;
        assert_eq!(shown.status, 200);
        serde_json::to_string_pretty(&shown.value()).unwrap()
    };
    assert_snapshot!(show("dead").await, @r#"
    {
      "attempt": 1,
      "attempts": [
        {
          "ended": "2026-12-01T09:00:00.000Z",
          "happened": {
            "error": {
              "class": "Net",
              "message": "no route"
            },
            "happened": "failed"
          },
          "number": 1,
          "started": "2026-12-01T09:00:00.000Z",
          "worker": "w1"
        }
      ],
      "cause": "permanent",
      "failures": 1,
      "id": "dead",
      "kind": "k",
      "payload": null,
      "priority": 1024,
      "pushed": "2026-12-01T09:00:00.000Z",
      "queue": "default",
      "rescues": 0,
      "retry": {
        "cap": "6h",
        "first": "10s",
        "max_attempts": 20
      },
      "since": "2026-12-01T09:00:00.000Z",
      "snoozes": 0,
      "state": "dead"
    }
    "#);
    assert_snapshot!(show("runs").await, @r#"
    {
      "attempt": 1,
      "attempts": [],
      "failures": 0,
      "id": "runs",
      "kind": "k",
      "leased_until": "2026-12-01T10:00:00.000Z",
      "payload": null,
      "priority": 1024,
      "pushed": "2026-12-01T09:00:00.000Z",
      "queue": "default",
      "rescues": 0,
      "retry": {
        "cap": "6h",
        "first": "10s",
        "max_attempts": 20
      },
      "since": "2026-12-01T09:00:00.000Z",
      "snoozes": 0,
      "state": "running",
      "worker": "w1"
    }
    "#);
    assert_eq!(show("j1").await, show("dead").await, "the server's own id leads to it too");
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_is_not_there_is_a_problem_that_says_why() {
    let server = Running::start().await;
    assert_snapshot!(server.client.get("/v1/jobs/nobody").await.problem(), @r"
    404 no-such-job
    there is no job `nobody`
      It was never pushed, or it ended so long ago that it is not kept any more. Nothing was changed.
    hint: `GET /v1/jobs` lists the jobs that are kept
    ");
    for path in ["/v1/jobs/j7", "/v1/jobs/%C3%BC"] {
        assert_eq!(server.client.get(path).await.at("/type"), "about:blank#no-such-job", "{path}");
    }
    assert_eq!(server.client.post("/v1/jobs/nobody/retry", "").await.status, 404);
    assert_eq!(server.client.delete("/v1/jobs/nobody").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn jobs_are_found_by_what_is_known_of_them() {
    let server = Running::start().await;
    one_of_each(&server).await;
    server.push(r#"{"kind":"l","queue":"mail","key":"a/ü&b","in":"1h","id":"keyed"}"#).await;
    let find = async |query: &str| {
        let found = server.client.get(&format!("/v1/jobs{query}")).await;
        let jobs = found.at("/jobs");
        let ids: Vec<_> =
            jobs.as_array().unwrap_or_else(|| panic!("{}", found.body)).iter().map(|job| job["id"].clone()).collect();
        serde_json::to_string(&ids).unwrap()
    };
    assert_eq!(find("").await, r#"["keyed","waits","runs","dead","done"]"#);
    assert_eq!(find("?state=dead,running").await, r#"["runs","dead"]"#);
    assert_eq!(find("?outcome=done").await, r#"["done"]"#);
    assert_eq!(find("?queue=mail").await, r#"["keyed"]"#);
    assert_eq!(find("?kind=l&state=scheduled").await, r#"["keyed"]"#);
    assert_eq!(find("?key=a%2F%C3%BC%26b").await, r#"["keyed"]"#);
    assert_eq!(find("?queue=mail&kind=k").await, "[]");
    server.stop().await;
}

#[tokio::test]
async fn pages_lead_to_every_job_once() {
    let server = Running::start().await;
    one_of_each(&server).await;
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.client.get(&format!("/v1/jobs?limit=1{after}")).await;
        assert_eq!(page.at("/of"), 4);
        ids.extend(page.at("/jobs/0/id").as_str().map(str::to_owned));
        match page.at("/next").as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(ids, ["waits", "runs", "dead", "done"]);
    server.stop().await;
}

#[tokio::test]
async fn a_query_that_means_nothing_is_a_problem() {
    let server = Running::start().await;
    let mut problems = Vec::new();
    for query in [
        "?colour=blue",
        "?state=done",
        "?limit=many",
        "?limit=501",
        "?limit=0",
        "?after=x",
        "?after=9.1",
        "?after=0.9223372036854775808",
        "?queue=",
        "?key=%ff",
        "?kind=k&kind=l",
    ] {
        problems.push(format!("{query}\n{}", server.client.get(&format!("/v1/jobs{query}")).await.problem()));
    }
    assert_snapshot!(problems.join("\n\n"), @r"
    ?colour=blue
    400 bad-query
    the query cannot be read: colour: unknown field `colour`, expected one of `state`, `outcome`, `queue`, `kind`, `key`, `after`, `limit`
      Nothing was changed.
    hint: give `state`, `outcome`, `queue`, `kind`, `key`, `after` or `limit`, each once

    ?state=done
    400 bad-query
    the query cannot be read: state: unknown variant `done`, expected one of `scheduled`, `checking`, `ready`, `running`, `retrying`, `dead`, `ended`
      Nothing was changed.
    hint: give `state`, `outcome`, `queue`, `kind`, `key`, `after` or `limit`, each once

    ?limit=many
    400 bad-query
    the query cannot be read: limit: invalid digit found in string
      Nothing was changed.
    hint: give `state`, `outcome`, `queue`, `kind`, `key`, `after` or `limit`, each once

    ?limit=501
    422 refused
    `limit`: it must lie between 1 and 500
      Nothing was changed.
    hint: correct `limit` and send it again

    ?limit=0
    422 refused
    `limit`: it must lie between 1 and 500
      Nothing was changed.
    hint: correct `limit` and send it again

    ?after=x
    422 refused
    `after`: give the `next` of the page before, as it is
      Nothing was changed.
    hint: correct `after` and send it again

    ?after=9.1
    422 refused
    `after`: give the `next` of the page before, as it is
      Nothing was changed.
    hint: correct `after` and send it again

    ?after=0.9223372036854775808
    422 refused
    `after`: give the `next` of the page before, as it is
      Nothing was changed.
    hint: correct `after` and send it again

    ?queue=
    400 bad-query
    the query cannot be read: queue: the queue's name is empty
      Nothing was changed.
    hint: give `state`, `outcome`, `queue`, `kind`, `key`, `after` or `limit`, each once

    ?key=%ff
    400 bad-query
    the query cannot be read: invalid utf-8 sequence of 1 bytes from index 4
      Nothing was changed.
    hint: give `state`, `outcome`, `queue`, `kind`, `key`, `after` or `limit`, each once

    ?kind=k&kind=l
    400 bad-query
    the query cannot be read: duplicate field `kind`
      Nothing was changed.
    hint: give `state`, `outcome`, `queue`, `kind`, `key`, `after` or `limit`, each once
    ");
    server.stop().await;
}

#[tokio::test]
async fn a_job_is_called_off_or_deleted_unless_it_runs_or_has_ended() {
    let server = Running::start().await;
    one_of_each(&server).await;
    let delete = async |id: &str| server.client.delete(&format!("/v1/jobs/{id}")).await;
    for _ in 0..2 {
        assert_eq!(delete("waits").await.said(), r#"200 {"id":"waits","outcome":"cancelled"}"#, "twice is as once");
        assert_eq!(delete("dead").await.said(), r#"200 {"id":"dead","outcome":"discarded"}"#);
    }
    assert_snapshot!(delete("runs").await.problem(), @r"
    409 running
    the job `runs` is running
      What runs is not stopped. Nothing was changed.
    hint: wait for the end of the run; if it fails and waits again, the job can still be called off
    ");
    assert_snapshot!(delete("done").await.problem(), @r"
    409 ended
    the job `done` has ended as done
      An end is final. Nothing was changed.
    hint: push a new job if the work is still wanted
    ");
    assert_eq!(server.client.get("/v1/jobs/waits").await.at("/detail"), "API");
    server.push(r#"{"kind":"k","id":"second"}"#).await;
    server.client.request("DELETE", "/v1/jobs/second").header("User-Agent", "curl/7.88.1").send().await;
    assert_eq!(server.client.get("/v1/jobs/second").await.at("/detail"), "API (curl/7.88.1)");
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_called_off_whatever_is_in_it() {
    let server = Running::start().await;
    let queue = "mail/out+#1";
    for (key, written) in
        [("notice:42", "notice:42"), ("a/b?c=d&ü €", "a%2Fb%3Fc=d&%C3%BC%20%E2%82%AC"), ("%2F", "%252F")]
    {
        let push = serde_json::json!({"kind": "k", "queue": queue, "key": key, "in": "30m"}).to_string();
        let pushed = server.push(&push).await;
        assert_eq!(pushed.status, 201);
        let path = format!("/v1/queues/mail%2Fout+%231/keys/{written}");
        let cancelled = server.client.delete(&path).await;
        assert_eq!(cancelled.at("/outcome"), "cancelled", "{key}: {}", cancelled.body);
        assert_eq!(cancelled.at("/id"), pushed.at("/id"));
        assert_eq!(server.client.delete(&path).await.at("/type"), "about:blank#no-such-key", "{key}");
    }
    assert_snapshot!(server.client.delete("/v1/queues/mail/keys/a%2Fb").await.problem(), @r"
    404 no-such-key
    no job with the key `a/b` waits in the queue `mail`
      There is nothing to call off. Nothing was changed.
    hint: look with `GET /v1/jobs?queue=…&key=…` what became of the jobs that had it
    ");
    server.push(r#"{"kind":"k","key":"runs"}"#).await;
    server.take().await;
    assert_eq!(server.client.delete("/v1/queues/default/keys/runs").await.at("/type"), "about:blank#running");
    server.stop().await;
}

#[tokio::test]
async fn a_path_that_means_nothing_is_a_problem() {
    let server = Running::start().await;
    let mut problems = Vec::new();
    for path in ["/v1/jobs/%ff", "/v1/jobs/a%20b", "/v1/queues/q/keys/a%0Ab", "/v1/queues/a%20b/keys/k"] {
        let method = if path.contains("keys") { "DELETE" } else { "GET" };
        problems.push(format!("{path}\n{}", server.client.request(method, path).send().await.problem()));
    }
    assert_snapshot!(problems.join("\n\n"), @r"
    /v1/jobs/%ff
    400 bad-path
    the path cannot be read: Invalid UTF-8 in `id`
      Nothing was changed.
    hint: write what is not a letter or a digit as UTF-8 with percent signs: `ü` is `%C3%BC`

    /v1/jobs/a%20b
    422 refused
    `id`: the job id holds the character ' ' at byte 1; spaces, `/`, `?` and control characters are not allowed
      Nothing was changed.
    hint: correct `id` and send it again

    /v1/queues/q/keys/a%0Ab
    422 refused
    `key`: the key holds the character '\n' at byte 1; control characters are not allowed
      Nothing was changed.
    hint: correct `key` and send it again

    /v1/queues/a%20b/keys/k
    422 refused
    `queue`: the queue's name holds the character ' ' at byte 1; letters, digits and any of `-_.:/+;$()@\#` are allowed
      Nothing was changed.
    hint: correct `queue` and send it again
    ");
    server.stop().await;
}

#[tokio::test]
async fn a_dead_job_is_tried_again_and_a_waiting_one_at_once() {
    let server = Running::start().await;
    one_of_each(&server).await;
    let retry = async |id: &str| server.client.post(&format!("/v1/jobs/{id}/retry"), "").await;
    let revived = retry("dead").await;
    assert_eq!((revived.status, revived.at("/id"), revived.at("/state")), (200, "dead".into(), "ready".into()));
    assert_snapshot!(retry("runs").await.problem(), @r"
    409 running
    the job `runs` is running
      There is nothing to try again yet. Nothing was changed.
    hint: wait for the end of the run
    ");
    assert_snapshot!(retry("done").await.problem(), @r"
    409 ended
    the job `done` has ended, and cannot be tried again
      An end is final. Nothing was changed.
    hint: push a new job if the work is still wanted
    ");
    server.push(r#"{"kind":"k","id":"later","in":"1h"}"#).await;
    assert_eq!(retry("later").await.at("/state"), "ready");
    server.stop().await;
}

#[tokio::test]
async fn a_dead_job_whose_key_is_held_is_not_tried_again() {
    let server = Running::start().await;
    server.push(r#"{"kind":"k","id":"old","key":"k1"}"#).await;
    let lease = server.take().await;
    let fail = format!(r#"{{"lease":"{lease}","error":{{}},"permanent":true}}"#);
    server.client.post("/v1/jobs/old/fail", &fail).await;
    server.push(r#"{"kind":"k","id":"new","key":"k1"}"#).await;
    assert_snapshot!(server.client.post("/v1/jobs/old/retry", "").await.problem(), @r"
    409 key-held
    the job `old` cannot be tried again: the waiting job `j2` holds its key
      Nothing was changed.
    hint: cancel the one that waits, or leave the old one as it is
    ");
    server.stop().await;
}

#[tokio::test]
async fn a_queue_is_held_and_let_go_on() {
    let server = Running::start().await;
    server.push(r#"{"kind":"k","queue":"mail"}"#).await;
    let wish = r#"{"queues":["mail"],"worker":"w1"}"#;
    let paused =
        server.client.post("/v1/queues/mail/pause", r#"{"by":"Ute","reason":"the relay is down","for":"2h"}"#).await;
    let pause = r#"{"by":"Ute","reason":"the relay is down","since":"2026-12-01T09:00:00.000Z","until":"2026-12-01T11:00:00.000Z"}"#;
    assert_eq!(paused.said(), format!("200 {pause}"));
    assert_eq!(server.client.post("/v1/lease", wish).await.said(), r#"200 {"jobs":[]}"#);
    assert_eq!(
        server.client.get("/v1/queues").await.said(),
        format!(
            r#"200 {{"queues":[{{"name":"mail","scheduled":0,"ready":1,"running":0,"retrying":0,"dead":0,"oldest_due":"2026-12-01T09:00:00.000Z","paused":{pause}}}]}}"#
        )
    );
    assert_eq!(server.client.post("/v1/queues/mail/resume", "").await.said(), format!("200 {pause}"));
    assert_eq!(server.client.post("/v1/queues/mail/resume", "{}").await.said(), "200 null", "it was not held");
    assert_eq!(server.client.post("/v1/lease", wish).await.at("/jobs/0/id"), "j1");
    server.stop().await;
}

#[tokio::test]
async fn the_status_tells_the_ledger_and_what_is_not_as_it_should_be() {
    let server = Running::under(|options| options.findings.push("durability is relaxed".to_owned())).await;
    one_of_each(&server).await;
    let status = server.client.get("/v1/status").await;
    assert_eq!(status.status, 200);
    let mut status = status.value();
    assert_eq!(status["store"].take().as_str().unwrap().len(), 32);
    assert_snapshot!(serde_json::to_string_pretty(&status).unwrap(), @r#"
    {
      "app": "notice",
      "findings": [
        "durability is relaxed"
      ],
      "hosts": [],
      "judged": "2026-12-01T09:00:00.000Z",
      "late": [],
      "ledger": {
        "adds_up": true,
        "cancelled": 0,
        "dead": 1,
        "discarded": 0,
        "done": 1,
        "expired": 0,
        "pushed": 4,
        "running": 1,
        "skipped": 0,
        "superseded": 0,
        "waiting": 1
      },
      "paused": [],
      "serving": true,
      "store": null,
      "verdict": "warning",
      "version": "0.0.0-test"
    }
    "#);
    server.stop().await;
}

#[tokio::test]
async fn the_status_tells_which_queues_are_held_and_where_work_is_late() {
    let server = Running::start().await;
    server.push(r#"{"kind":"k","queue":"mail"}"#).await;
    server.advance(60);
    assert_eq!(server.client.get("/v1/status").await.at("/late"), serde_json::json!([]), "a minute is not late");
    server.client.post("/v1/queues/mail/pause", r#"{"by":"Ute","reason":"the relay is down","for":"2h"}"#).await;
    server.advance(1);
    let status = server.client.get("/v1/status").await;
    assert_snapshot!(status.at("/late"), @r#"[{"late":"1m1s","oldest_due":"2026-12-01T09:00:00.000Z","queue":"mail","ready":1}]"#);
    assert_snapshot!(
        status.at("/paused"),
        @r#"[{"by":"Ute","queue":"mail","reason":"the relay is down","since":"2026-12-01T09:01:00.000Z","until":"2026-12-01T11:01:00.000Z"}]"#
    );
    assert_snapshot!(
        status.at("/findings"),
        @r#"["queue mail: 1 job that is due, the oldest since 2026-12-01T09:00:00.000Z"]"#
    );
    assert_eq!(status.at("/verdict"), "warning");
    server.stop().await;
}

#[tokio::test]
async fn the_probes_need_no_token() {
    let server = Running::start().await;
    for path in ["/livez", "/readyz"] {
        let probe = server.client.request("GET", path).header("Authorization", None).header("Host", "10.1.2.3");
        assert_eq!(probe.send().await.status, 200, "{path}");
    }
    server.stop().await;
}
