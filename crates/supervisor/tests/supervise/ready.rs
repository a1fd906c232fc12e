//! When a worker counts as ready.

use job::Span;
use supervisor::{Event, Pool, Ready, Told, Which};

use crate::stage::{GOOD, Stage, ready, until};

async fn first_ready(pool: Pool, stage: &Stage, told: Option<Told>) -> (String, bool) {
    let (supervisor, mut events) = stage.start(pool).await;
    let seen = until(&mut events, |event| matches!(event, Event::Started { .. })).await;
    let Some(Event::Started { pid, .. }) = seen.last() else { panic!() };
    if let Some(told) = told {
        supervisor.told(Which::Pid(*pid), told).await;
    }
    let seen = until(&mut events, ready).await;
    let Some(Event::Ready { how, verified, .. }) = seen.last() else { panic!() };
    supervisor.stop().await;
    (how.to_string(), *verified)
}

#[tokio::test]
async fn a_worker_says_itself_that_it_is_ready() {
    let stage = Stage::with("1", GOOD);
    let found = first_ready(stage.pool(1), &stage, None).await;
    assert_eq!(found, ("it sent READY=1".into(), true));
}

#[tokio::test]
async fn whoever_sees_it_speak_can_tell() {
    let stage = Stage::with("1", "exec sleep 1000\n");
    let pool = Pool { ready: Ready::Connect, ..stage.pool(1) };
    assert_eq!(first_ready(pool, &stage, Some(Told::Spoke)).await, ("it spoke to the queue".into(), true));
}

#[tokio::test]
async fn to_be_alive_is_the_last_resort_and_proves_nothing() {
    let stage = Stage::with("1", "exec sleep 1000\n");
    let pool = Pool { ready: Ready::Alive(Span::from_millis(300)), ..stage.pool(1) };
    assert_eq!(first_ready(pool, &stage, None).await, ("it has lived for 300ms".into(), false));
}

#[tokio::test]
async fn one_that_does_not_become_ready_is_named_with_its_last_lines() {
    let stage = Stage::with("1", "echo waiting\nexec sleep 1000\n");
    let pool = Pool { ready_within: Span::from_millis(500), ..stage.pool(1) };
    let (supervisor, mut events) = stage.start(pool).await;
    let seen = until(&mut events, |event| matches!(event, Event::NotReady { .. })).await;
    let Some(Event::NotReady { last, .. }) = seen.last() else { panic!() };
    assert_eq!(last.stdout, ["waiting"]);
    supervisor.stop().await;
}
