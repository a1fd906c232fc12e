//! The bell: whoever waits for work hears of it without asking.
//!
//! A law can wait for a ring, and cannot tell that none will come: a ring too
//! many is no fault, only a waste.

use std::time::Duration;

use job::Answer;

use super::bench::{Bench, GIVE_UP, LEASE, MAIL, queue};

/// Waits until the bell was rung for a queue.
async fn rings_for(bench: &Bench, name: &str) {
    let bell = bench.store().bell();
    let heard = async { while !bell.heard().await.queues.contains(name) {} };
    tokio::time::timeout(Duration::from_secs(10), heard).await.expect("a ring for the queue");
}

/// Waits until the bell was rung for the timers.
async fn rings_for_timers(bench: &Bench) {
    let bell = bench.store().bell();
    let heard = async { while !bell.heard().await.timers {} };
    tokio::time::timeout(Duration::from_secs(10), heard).await.expect("a ring for the timers");
}

/// Forgets what was rung up to now.
async fn silence(bench: &Bench) {
    let bell = bench.store().bell();
    // Heard at once if there is anything to be heard.
    let _rung = tokio::time::timeout(Duration::ZERO, bell.heard()).await;
}

/// A push that is due rings for its queue, one that is not for the timers.
pub async fn a_push_is_heard(bench: &mut Bench) {
    let draft = bench.job("a");
    bench.accept(draft).await;
    rings_for(bench, MAIL).await;
    silence(bench).await;
    let draft = bench.job("a").due_in(60);
    bench.accept(draft).await;
    rings_for_timers(bench).await;
    silence(bench).await;
    let draft = bench.job("a").guarded().queue("asked");
    bench.accept(draft).await;
    rings_for(bench, "asked").await;
}

/// A job is heard of when it falls due, on either clock.
pub async fn a_job_that_falls_due_is_heard(bench: &mut Bench) {
    let drafts = [bench.job("a").due_in(60), bench.job("b").due_at(60).queue("maps")];
    bench.push(drafts).await;
    silence(bench).await;
    bench.clock().step(60_000_000);
    bench.advance().await;
    rings_for(bench, "maps").await;
    silence(bench).await;
    bench.pass(60).await;
    rings_for(bench, MAIL).await;
}

/// A claim sets a deadline, of which the timers hear.
pub async fn a_claim_is_heard_by_the_timers(bench: &mut Bench) {
    let draft = bench.job("a");
    bench.accept(draft).await;
    bench.advance().await;
    silence(bench).await;
    bench.take().await;
    rings_for_timers(bench).await;
}

/// A lease made shorter is heard of by the timers.
pub async fn a_shorter_lease_is_heard_by_the_timers(bench: &mut Bench) {
    let draft = bench.job("a");
    bench.accept(draft).await;
    let leased = bench.take().await;
    bench.advance().await;
    silence(bench).await;
    bench.extend(&leased, 5).await.unwrap();
    rings_for_timers(bench).await;
}

/// Jobs that wait again are heard of: now if they are due, and then if not.
pub async fn a_job_that_comes_back_is_heard(bench: &mut Bench) {
    let draft = bench.job("a").tries(9);
    bench.accept(draft).await;
    let leased = bench.take().await;
    bench.advance().await;
    silence(bench).await;
    bench.fail(&leased).await.unwrap();
    rings_for_timers(bench).await;
    silence(bench).await;
    bench.pass(30).await;
    rings_for(bench, MAIL).await;
    let leased = bench.take().await;
    silence(bench).await;
    bench.snooze(&leased, 0).await.unwrap();
    rings_for(bench, MAIL).await;
    bench.take().await;
    silence(bench).await;
    bench.pass(LEASE).await;
    rings_for(bench, MAIL).await;
}

/// A revived job is heard of.
pub async fn a_revived_job_is_heard(bench: &mut Bench) {
    let draft = bench.job("a");
    let dead = bench.accept_dead(draft).await;
    let draft = bench.job("a").due_in(60).queue("maps");
    let waits = bench.accept(draft).await;
    silence(bench).await;
    bench.revive(dead).await;
    rings_for(bench, MAIL).await;
    silence(bench).await;
    bench.revive(waits).await;
    rings_for(bench, "maps").await;
}

/// So is a queue that goes on, by itself or because somebody said so.
pub async fn a_queue_that_goes_on_is_heard(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b").queue("maps")];
    bench.push(drafts).await;
    bench.pause(MAIL, None).await;
    bench.advance().await;
    silence(bench).await;
    bench.pause("maps", Some(60)).await;
    rings_for_timers(bench).await;
    silence(bench).await;
    bench.resume(MAIL).await;
    rings_for(bench, MAIL).await;
    silence(bench).await;
    assert_eq!(bench.pass(60).await.resumed[0].0, queue("maps"));
    rings_for(bench, "maps").await;
}

/// So is a yes, an error whose wait is over, and a question that is closed.
pub async fn what_becomes_of_a_question_is_heard(bench: &mut Bench) {
    let draft = bench.job("a").guarded();
    bench.accept(draft).await;
    bench.advance().await;
    silence(bench).await;
    let question = bench.question().await;
    rings_for_timers(bench).await;
    silence(bench).await;
    bench.answer(&question, Answer::Error("no route".to_owned())).await.unwrap();
    rings_for_timers(bench).await;
    silence(bench).await;
    bench.pass(1).await;
    rings_for(bench, MAIL).await;
    bench.question().await;
    silence(bench).await;
    bench.pass(GIVE_UP).await;
    rings_for(bench, MAIL).await;
    let question = bench.question().await;
    silence(bench).await;
    bench.answer(&question, Answer::Yes).await.unwrap();
    rings_for(bench, MAIL).await;
}

/// After a restart, what waits is heard of when time first passes.
pub async fn what_waits_is_heard_after_a_restart(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b").queue("maps").due_in(60)];
    bench.push(drafts).await;
    bench.reopen().await;
    bench.pass(60).await;
    let bell = bench.store().bell();
    let mut queues = std::collections::HashSet::new();
    let heard = async {
        while queues.len() < 2 {
            queues.extend(bell.heard().await.queues);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), heard).await.expect("a ring for both queues");
}
