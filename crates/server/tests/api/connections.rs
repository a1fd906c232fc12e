//! Connections: bounds, time-outs, and stopping.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{last_answer, next_answer};
use crate::running::Running;

#[tokio::test]
async fn several_requests_go_over_one_connection_even_before_they_are_answered() {
    let server = Running::start().await;
    let mut stream = server.client.connect().await;
    let mut bytes = Vec::new();
    for n in 0..20 {
        let push = format!(r#"{{"kind":"k","id":"n{n}"}}"#);
        bytes.extend(server.client.request("POST", "/v1/jobs").header("Connection", None).json(&push).bytes());
    }
    stream.write_all(&bytes).await.unwrap();
    for n in 0..20 {
        assert_eq!(next_answer(&mut stream).await.at("/id"), format!("n{n}"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = Running::under(|options| options.limits.head_within = Duration::from_millis(50)).await;
    let mut stream = server.client.connect().await;
    stream.write_all(b"POST /v1/jobs HTTP/1.1\r\nHost: 127").await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_problem() {
    let server = Running::under(|options| options.limits.body_within = Duration::from_millis(50)).await;
    let request = server.client.request("POST", "/v1/jobs").header("Content-Type", "application/json");
    let mut bytes = request.header("Content-Length", "100").bytes();
    bytes.extend(br#"{"kind":"k""#);
    let mut stream = server.client.connect().await;
    stream.write_all(&bytes).await.unwrap();
    insta::assert_snapshot!(last_answer(&mut stream).await.problem(), @r"
    408 too-slow
    the body did not arrive within 50ms
      Nothing was changed.
    hint: send it again, or less at once
    ");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing() {
    let server = Running::start().await;
    let request = server.client.request("POST", "/v1/jobs").header("Content-Type", "application/json");
    let mut bytes = request.header("Content-Length", "100").bytes();
    bytes.extend(br#"{"kind":"k"}"#);
    let mut stream = server.client.connect().await;
    stream.write_all(&bytes).await.unwrap();
    drop(stream);
    assert_eq!(server.client.get("/v1/status").await.at("/ledger/pushed"), 0);
    server.stop().await;
}

#[tokio::test]
async fn who_comes_when_all_places_are_taken_waits_for_one() {
    let server = Running::under(|options| options.limits.max_connections = 1).await;
    let mut first = server.client.connect().await;
    let get = server.client.request("GET", "/livez").header("Connection", None).bytes();
    first.write_all(&get).await.unwrap();
    assert_eq!(next_answer(&mut first).await.status, 200);
    let mut second = server.client.connect().await;
    second.write_all(&server.client.request("GET", "/livez").bytes()).await.unwrap();
    first.write_all(&get).await.unwrap();
    assert_eq!(next_answer(&mut first).await.status, 200);
    let waits = tokio::time::timeout(Duration::from_millis(50), second.readable()).await;
    assert!(waits.is_err(), "the one place is taken");
    drop(first);
    assert_eq!(last_answer(&mut second).await.status, 200);
    server.stop().await;
}

/// A push that the server has begun to read, all but its body.
async fn begun_push(server: &Running, body: &str) -> TcpStream {
    let request = server.client.request("POST", "/v1/jobs").header("Connection", None).json(body);
    let bytes = request.header("Expect", "100-continue").bytes();
    let mut stream = server.client.connect().await;
    stream.write_all(&bytes[..bytes.len() - body.len()]).await.unwrap();
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_it_began_and_accepts_no_more() {
    let server = Running::start().await;
    let body = r#"{"kind":"k"}"#;
    let mut begun = begun_push(&server, body).await;
    let idle = server.client.connect().await;
    let address = server.client.address;
    let stopping = tokio::spawn(server.stop());
    // It has stopped accepting when a connection is refused.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    begun.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(last_answer(&mut begun).await.said(), r#"201 {"id":"j1","state":"ready"}"#);
    stopping.await.unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_at_last() {
    let server = Running::under(|options| options.limits.stop_within = Duration::from_millis(50)).await;
    let mut begun = begun_push(&server, r#"{"kind":"k"}"#).await;
    server.stop().await;
    let mut rest = Vec::new();
    let cut = begun.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{cut:?}");
}

#[tokio::test]
async fn stopping_twice_is_as_stopping_once() {
    let server = Running::start().await;
    server.handle.stop().await;
    server.handle.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn who_takes_nothing_of_its_answers_loses_its_place() {
    let server = Running::under(|options| {
        options.limits.max_connections = 1;
        options.limits.taken_within = Duration::from_millis(50);
    })
    .await;
    server.push(&format!(r#"{{"kind":"k","id":"large","payload":"{}"}}"#, "x".repeat(1_000_000))).await;
    let mut greedy = server.client.connect().await;
    let get = server.client.request("GET", "/v1/jobs/large").header("Connection", None).bytes();
    greedy.write_all(&get.repeat(100)).await.unwrap();
    let mut second = server.client.connect().await;
    second.write_all(&server.client.request("GET", "/livez").bytes()).await.unwrap();
    assert_eq!(last_answer(&mut second).await.status, 200);
    drop(greedy);
    server.stop().await;
}

#[test]
fn whatever_bytes_come_the_server_goes_on() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Running::start());
    let good = server.client.request("POST", "/v1/jobs").json(r#"{"kind":"k","in":"1m","payload":[1,{"a":"b"}]}"#);
    let good = good.bytes();
    // A request that has some bytes set to others, and ends somewhere.
    let change = (0..good.len(), any::<u8>());
    let changed = (vec(change, 0..6), 0..=good.len()).prop_map(move |(changes, end)| {
        let mut bytes = good.clone();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.truncate(end);
        bytes
    });
    let any_bytes = prop_oneof![vec(any::<u8>(), 0..300), changed];
    let send = async |bytes: Vec<u8>| {
        let mut stream = server.client.connect().await;
        // The server may hang up before it has read everything.
        drop(stream.write_all(&bytes).await);
        drop(stream.shutdown().await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        server.client.get("/livez").await.status
    };
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() });
    let ran = runner.run(&any_bytes, |bytes| {
        prop_assert_eq!(runtime.block_on(send(bytes)), 200);
        Ok(())
    });
    assert!(ran.is_ok(), "{ran:?}");
    runtime.block_on(server.stop());
}
