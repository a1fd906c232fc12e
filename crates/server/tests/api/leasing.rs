//! `POST /v1/lease`.

use std::sync::Arc;

use insta::assert_snapshot;
use store::Error;
use store::faults::{Fault, Faulty, Verb};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::client::{last_answer, next_answer};
use crate::running::Running;

const WISH: &str = r#"{"queues":["default"],"worker":"w1","wait":"60s","for":"1d"}"#;

/// Tells of claims, and lets them pass.
struct Seen(watch::Sender<usize>);

impl Fault for Seen {
    fn instead(&self, verb: Verb) -> Option<Error> {
        if verb == Verb::Claim {
            self.0.send_modify(|claims| *claims += 1);
        }
        None
    }

    fn afterwards(&self, _: Verb) -> Option<Error> {
        None
    }
}

/// A server with one place for requests that wait, and a request that waits
/// there.
async fn with_one_that_waits() -> (Running, TcpStream) {
    let (seen, mut claims) = watch::channel(0);
    let one_place = |options: &mut server::Options| options.limits.max_waiting = 1;
    let server = Running::with(one_place, |store| Arc::new(Faulty::new(Seen(seen), store))).await;
    let mut stream = server.client.connect().await;
    stream.write_all(&server.client.request("POST", "/v1/lease").json(WISH).bytes()).await.unwrap();
    // It has looked for jobs, found none, and waits.
    claims.wait_for(|claims| *claims > 0).await.unwrap();
    (server, stream)
}

/// Waits until the place is free.
async fn nobody_waits(server: &Running) {
    let wish = r#"{"queues":["other"],"worker":"w2","wait":"1ms"}"#;
    while server.client.post("/v1/lease", wish).await.status == 503 {}
}

#[tokio::test]
async fn jobs_are_handed_out_first_queue_first_by_priority_and_then_by_age() {
    let server = Running::start().await;
    for json in [
        r#"{"kind":"a","queue":"low"}"#,
        r#"{"kind":"b","queue":"mail","payload":[1,2],"key":"notice:42"}"#,
        r#"{"kind":"c","queue":"mail","priority":5,"id":"urgent"}"#,
        r#"{"kind":"d","queue":"mail","in":"1h"}"#,
    ] {
        server.push(json).await;
    }
    let leased = server
        .client
        .post("/v1/lease", r#"{"queues":["mail","low"],"worker":"w1","limit":10,"for":"5m"}"#)
        .await
        .value();
    let jobs: Vec<String> = leased["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| {
            let mut job = job.clone();
            assert_eq!(job["lease"].take().as_str().unwrap().len(), 16);
            job.to_string()
        })
        .collect();
    assert_snapshot!(jobs.join("\n"), @r#"
    {"attempt":1,"id":"urgent","kind":"c","lease":null,"payload":null,"pushed":"2026-12-01T09:00:00.000Z","queue":"mail","until":"2026-12-01T09:05:00.000Z"}
    {"attempt":1,"id":"j2","key":"notice:42","kind":"b","lease":null,"payload":[1,2],"pushed":"2026-12-01T09:00:00.000Z","queue":"mail","until":"2026-12-01T09:05:00.000Z"}
    {"attempt":1,"id":"j1","kind":"a","lease":null,"payload":null,"pushed":"2026-12-01T09:00:00.000Z","queue":"low","until":"2026-12-01T09:05:00.000Z"}
    "#);
    let nothing = server.client.post("/v1/lease", r#"{"queues":["mail"],"worker":"w1"}"#).await;
    assert_eq!(nothing.said(), r#"200 {"jobs":[]}"#, "without `wait` it is answered at once");
    server.stop().await;
}

#[tokio::test]
async fn who_waits_is_woken_by_a_push() {
    let (server, mut stream) = with_one_that_waits().await;
    server.push(r#"{"kind":"k","id":"mine"}"#).await;
    assert_eq!(last_answer(&mut stream).await.at("/jobs/0/id"), "mine");
    server.stop().await;
}

#[tokio::test]
async fn who_hangs_up_gets_no_job() {
    let (server, stream) = with_one_that_waits().await;
    drop(stream);
    nobody_waits(&server).await;
    server.push(r#"{"kind":"k","id":"mine"}"#).await;
    let leased = server.client.post("/v1/lease", WISH).await;
    assert_eq!((leased.at("/jobs/0/id"), leased.at("/jobs/0/attempt")), ("mine".into(), 1.into()));
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_answers_who_waits() {
    let (server, mut stream) = with_one_that_waits().await;
    server.stop().await;
    assert_eq!(last_answer(&mut stream).await.said(), r#"200 {"jobs":[]}"#);
}

#[tokio::test]
async fn a_queue_that_stops_answers_who_waits() {
    let (server, mut stream) = with_one_that_waits().await;
    server.queue.stop().await;
    assert_eq!(last_answer(&mut stream).await.said(), r#"200 {"jobs":[]}"#);
    server.stop().await;
}

#[tokio::test]
async fn more_than_may_wait_are_told_so_and_the_connection_stays() {
    let (server, _first) = with_one_that_waits().await;
    let mut second = server.client.connect().await;
    let wish = server.client.request("POST", "/v1/lease").header("Connection", None).json(WISH);
    second.write_all(&wish.bytes()).await.unwrap();
    let refused = next_answer(&mut second).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_snapshot!(refused.problem(), @r"
    503 too-many-waiting
    all 1 places for requests that wait for a job are taken
      No job was handed out.
    hint: ask without `wait`, use fewer connections with a larger `limit`, or try again in a second
    ");
    let now = server.client.request("POST", "/v1/lease").json(r#"{"queues":["default"],"worker":"w2"}"#);
    second.write_all(&now.bytes()).await.unwrap();
    assert_eq!(next_answer(&mut second).await.said(), r#"200 {"jobs":[]}"#, "who does not wait needs no place");
    server.stop().await;
}
