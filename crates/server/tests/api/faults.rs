//! A store, or a handler, that fails.

use std::sync::Arc;

use insta::assert_snapshot;
use store::Error;
use store::faults::{Busy, Fault, Faulty, FullDisk, LostAnswer, Verb};
use store::records::Health;

use crate::running::Running;

#[tokio::test]
async fn a_busy_store_is_503_with_a_time_to_come_back() {
    let server = Running::over(|store| Arc::new(Faulty::new(Busy::every(1), store))).await;
    let busy = server.push(r#"{"kind":"k"}"#).await;
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_snapshot!(busy.problem(), @r"
    503 busy
    the queue is busy: it was told to be
      Nothing was changed.
    hint: send it again in a second
    ");
    server.stop().await;
}

#[tokio::test]
async fn a_full_store_is_507() {
    let server = Running::over(|store| {
        let disk = FullDisk::every(0);
        disk.set(true);
        Arc::new(Faulty::new(disk, store))
    })
    .await;
    assert_snapshot!(server.push(r#"{"kind":"k"}"#).await.problem(), @r"
    507 full
    the store is full: it was told to be
      No job was pushed. What is there is still handed out, ended and called off.
    hint: make room on the file system that the store is on, then push again
    ");
    server.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_said_to_be_unknown_and_can_be_repeated() {
    let server = Running::over(|store| Arc::new(Faulty::new(LostAnswer::every_repeatable(2), store))).await;
    let push = r#"{"kind":"k","id":"mine"}"#;
    let mut said = vec![server.push(push).await, server.push(push).await, server.push(push).await];
    let at = said.iter().position(|response| response.status == 500).expect("every second answer is lost");
    assert_snapshot!(said.swap_remove(at).problem(), @r"
    500 unknown
    it is unknown whether the change was stored: the answer was dropped on purpose
      It may have happened, and it may not have.
    hint: a push with an `id`, and whatever shows a lease, can be sent again safely; otherwise look with `GET /v1/jobs` first
    ");
    assert!(said.iter().any(|response| response.at("/known") == true), "the job was stored once");
    server.stop().await;
}

/// A store that cannot be trusted.
struct Broken;

impl Fault for Broken {
    fn instead(&self, verb: Verb) -> Option<Error> {
        (verb != Verb::Close).then(|| Error::Damaged("page 7 has a wrong checksum".to_owned()))
    }

    fn afterwards(&self, _: Verb) -> Option<Error> {
        None
    }

    fn health(&self) -> Option<Health> {
        Some(Health::Damaged { why: "page 7 has a wrong checksum".to_owned() })
    }
}

#[tokio::test]
async fn a_damaged_store_is_said_so_and_the_process_is_not_ready_but_lives() {
    let server = Running::over(|store| Arc::new(Faulty::new(Broken, store))).await;
    assert_snapshot!(server.push(r#"{"kind":"k"}"#).await.problem(), @r"
    500 damaged
    the store is damaged: page 7 has a wrong checksum
      The server does not serve from it until a person has looked.
    hint: look at the server's log, and at `GET /v1/status`
    ");
    let ready = server.client.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "the store does not serve\n"));
    assert_eq!(server.client.get("/livez").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_queue_that_has_stopped_says_so() {
    let server = Running::start().await;
    server.queue.stop().await;
    let stopping = server.push(r#"{"kind":"k"}"#).await;
    assert_eq!(stopping.header("retry-after"), Some("1"));
    assert_eq!(server.client.get("/readyz").await.status, 503);
    assert_eq!(server.client.get("/livez").await.status, 200);
    assert_snapshot!(stopping.problem(), @r"
    503 stopping
    the queue is stopping
      Nothing was changed.
    hint: send it again when the server is back
    ");
    server.stop().await;
}

/// A defect in what a handler calls.
struct Defect;

impl Fault for Defect {
    fn instead(&self, verb: Verb) -> Option<Error> {
        assert!(!matches!(verb, Verb::Push { .. }), "a defect, on purpose");
        None
    }

    fn afterwards(&self, _: Verb) -> Option<Error> {
        None
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_the_server_goes_on() {
    let server = Running::over(|store| Arc::new(Faulty::new(Defect, store))).await;
    assert_snapshot!(server.push(r#"{"kind":"k"}"#).await.problem(), @r"
    500 broken
    the server met a defect of its own
      It is unknown whether the change was made. The server goes on serving.
    hint: look at the server's log, and report it; repeat a push only with the same `id`
    ");
    assert_eq!(server.client.get("/v1/queues").await.status, 200);
    server.stop().await;
}
