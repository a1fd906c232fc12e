//! How the queue ends, wanted or not, and what it says of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use job::time::Remembered;
use job::{Answer, Clock as _, NewJob, Now, Phase, Rules};
use queue::{Error, NoGuards, Queue};
use store::faults::Verb;
use store::jobs::Jobs as _;
use store::memory::Memory;
use store::records::Records as _;
use tokio::time::Instant;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn stopping_answers_everybody_who_waits_and_refuses_what_comes_then() {
    let bench = Bench::new();
    let takers = [bench.park(one(&["mail"])).await, bench.park(one(&["maps", "mail"])).await];
    let start = Instant::now();
    bench.queue.stop().await;
    for taker in takers {
        assert_eq!(taker.await.unwrap(), Ok(vec![]));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(bench.queue.lease(one(&["mail"])).await, Err(Error::Closing));
    assert_eq!(bench.queue.push(vec![NewJob::now(spec("mail"), bench.now())]).await, Err(Error::Closing));
    assert_eq!(bench.queue.ledger().await, Err(Error::Closing));
    bench.queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_who_stop_it_at_once_both_wait_until_it_has_stopped() {
    let mut store = None;
    let bench = Bench::with(Rules::default(), NoGuards, |memory: Arc<Memory>| {
        store = Some(memory.clone());
        memory
    });
    let other = bench.queue.clone();
    let (store, seen) = (store.unwrap(), store::Error::Closed);
    let first = tokio::spawn({
        let (store, seen) = (store.clone(), seen.clone());
        async move {
            other.stop().await;
            assert_eq!(store.ledger().await, Err(seen));
        }
    });
    bench.queue.stop().await;
    assert_eq!(store.ledger().await, Err(seen));
    first.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_a_claim_that_is_under_way_and_loses_no_job() {
    let (bench, gate) = Bench::gated();
    let (gone, stays) = (bench.park(one(&["mail"])).await, bench.park(one(&["maps"])).await);
    gate.hold();
    let (mail, maps) = (bench.push("mail").await, bench.push("maps").await);
    settle().await;
    gone.abort();
    let queue = bench.queue.clone();
    let stop = tokio::spawn(async move { queue.stop().await });
    settle().await;
    assert!(!stop.is_finished());
    gate.release();
    stop.await.unwrap();
    assert_eq!(ids(&stays.await.unwrap().unwrap()), [maps], "what was claimed is handed over");
    let after = gate.inner().reopened(Rules::default());
    let found = after.get(job::JobRef::Id(mail), bench.now()).await.unwrap().unwrap();
    assert_eq!(found.phase, Phase::Ready, "and what nobody can have has gone back");
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_guards() {
    let (guards, mut questions) = ask_me(secs(600));
    let bench = Bench::guarded(guards);
    let taker = bench.park(one(&["mail"])).await;
    bench.push_guarded("mail", "hangs").await;
    let question = next(&mut questions).await;
    let start = Instant::now();
    bench.queue.stop().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    settle().await;
    assert!(question.is_abandoned());
    assert_eq!(taker.await.unwrap(), Ok(vec![]));
    question.answer(Answer::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_queue_whose_loop_ends_by_itself_says_so_and_holds_nobody() {
    let boom = Arc::new(AtomicBool::new(false));
    let armed = boom.clone();
    let bench = Bench::failing(move |verb| {
        assert!(!(verb == Verb::Advance && armed.load(Ordering::SeqCst)), "boom");
        None
    });
    let taker = bench.park(one(&["mail"])).await;
    boom.store(true, Ordering::SeqCst);
    bench.push_in("mail", secs(5)).await;
    assert_eq!(taker.await.unwrap(), Err(Error::Closing));
    assert_eq!(bench.queue.lease(one(&["mail"])).await, Err(Error::Closing));
    assert_eq!(bench.queue.findings(), ["the queue does not run: its loop panicked: boom; restart the server"]);
    bench.queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_was_set_back_while_the_server_was_down_is_said() {
    let clock = TestClock::new();
    let memory = Memory::new("notice".parse().unwrap(), Rules::default(), &*clock);
    let newest = Now { wall: clock.now().wall + secs(3_600), ..clock.now() };
    memory.remember(Remembered { boot: String::new(), offset: 0, newest }).await.unwrap();
    let memory = Arc::new(memory.reopened(Rules::default()));
    let queue = Queue::start(memory, clock.clone(), Arc::new(NoGuards));
    assert_eq!(
        queue.findings(),
        ["the wall clock was set back: it was 2026-12-01T10:00:00.000Z when the store was last written, and is \
          2026-12-01T09:00:00.000Z now"]
    );
    clock.step(3_600);
    assert_eq!(queue.findings(), [""; 0]);
    assert_eq!(queue.identity().app, "notice".parse().unwrap());
}
