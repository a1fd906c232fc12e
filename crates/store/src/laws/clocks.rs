//! The two clocks, and when to come back.

use job::{JobId, Moment, Phase, Span};

use super::bench::{Bench, GIVE_UP, LEASE, MAIL, from};
use crate::jobs::Advanced;

/// A delay is as long as was said, whatever is done to the wall clock.
pub async fn a_delay_does_not_mind_the_wall_clock(bench: &mut Bench) {
    let drafts = [bench.job("a").due_in(60)];
    bench.push(drafts).await;
    for step in [86_400, -3 * 86_400] {
        bench.step(step).await;
        assert!(bench.claim(10).await.is_empty());
    }
    bench.reopen().await;
    bench.pass(59).await;
    assert!(bench.claim(10).await.is_empty());
    bench.pass(1).await;
    assert_eq!(bench.claim(10).await.len(), 1);
}

/// An appointment is kept by the wall clock, whichever way it is set.
pub async fn an_appointment_follows_the_wall_clock(bench: &mut Bench) {
    let drafts = [bench.job("a").due_at(3_600), bench.job("b").due_at(3_600)];
    bench.push(drafts).await;
    bench.pass(1_800).await;
    bench.step(-1_800).await;
    bench.pass(1_800).await;
    assert!(bench.claim(10).await.is_empty(), "an hour went by, but the clock shows half of it");
    bench.step(1_800).await;
    assert_eq!(bench.claim(1).await.len(), 1);
    bench.step(-1).await;
    assert!(bench.claim(10).await.is_empty(), "not a moment before, even if that moment was already");
    let state = bench.queue(MAIL).await;
    assert_eq!((state.scheduled, state.ready), (1, 0));
    bench.reopen().await;
    assert!(bench.claim(10).await.is_empty());
    bench.step(1).await;
    assert_eq!(bench.claim(10).await.len(), 1);
}

/// What runs as the wall clock is set back runs on.
pub async fn a_run_does_not_mind_the_wall_clock(bench: &mut Bench) {
    let draft = bench.job("a").due_at(0).tries(2);
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    bench.step(-86_400).await;
    assert_eq!(bench.phase(id).await, Phase::Running);
    bench.fail(&leased).await.unwrap();
    bench.step(86_400 * 2).await;
    assert!(bench.claim(10).await.is_empty(), "the wait after a failure is a delay");
    bench.pass(5).await;
    assert_eq!(bench.claim(10).await.len(), 1);
}

/// With nothing to wait for, there is nothing to come back for.
pub async fn nothing_to_come_is_said_to_be_nothing(bench: &mut Bench) {
    assert_eq!(bench.advance().await, Advanced::default());
    let drafts = [bench.job("a"), bench.job("b").tries(1)];
    bench.push(drafts).await;
    let leased = bench.take().await;
    bench.done(&leased).await.unwrap();
    let leased = bench.take().await;
    bench.fail(&leased).await.unwrap();
    bench.pause("held", None).await;
    bench.pass(1).await;
    bench.pass(7_200).await;
    assert_eq!(bench.advance().await, Advanced::default());
}

/// Coming back as told, and at no other time, misses nothing.
pub async fn who_comes_back_as_told_is_never_late(bench: &mut Bench) {
    let start = bench.now();
    let drafts = [
        bench.job("a").due_in(10),
        bench.job("b").due_at(20),
        bench.job("c").queue("asked").guarded(),
        bench.job("d").due_in(10_000).expiring_in(35),
        bench.job("e").due_in(10_000).expiring_at(40),
        bench.job("f").queue("running"),
        bench.job("g").guarded(),
    ];
    bench.push(drafts).await;
    assert_eq!(bench.ask_from(from(&["asked"]), 1).await.len(), 1);
    let question = bench.question().await;
    bench.answer(&question, job::Answer::Error("no route".to_owned())).await.unwrap();
    assert_eq!(bench.claim_from(&["running"], 1).await.len(), 1);
    bench.pause("p", Some(50)).await;
    bench.pause_until("q", Some(Moment::at(start.wall + Span::from_secs(55), start))).await;

    let mut advanced = bench.advance().await;
    let mut seen = visible(bench).await;
    let mut changes = Vec::new();
    for _ in 0..50 {
        let now = bench.now();
        let on_wall = advanced.next_wall.map(|wall| wall.since(now.wall));
        let on_mono = advanced.next_mono.map(|mono| mono.since(now.mono));
        let Some(next) = on_wall.into_iter().chain(on_mono).min() else { break };
        assert!(next > Span::ZERO, "told to come back at once for nothing");
        bench.clock().advance(next);
        advanced = bench.advance().await;
        let sees = visible(bench).await;
        if sees != seen {
            changes.push(bench.now().mono.since(start.mono).as_secs_f64());
            seen = sees;
        }
    }
    assert_eq!((GIVE_UP, LEASE), (30, 60));
    assert_eq!(changes, [1.0, 10.0, 20.0, 30.0, 35.0, 40.0, 50.0, 55.0, 60.0]);
    assert_eq!((advanced.next_mono, advanced.next_wall), (None, None));
}

/// What anybody can see of seven jobs and the pauses.
async fn visible(bench: &Bench) -> (Vec<Phase>, usize) {
    let mut phases = Vec::new();
    for id in 1..=7 {
        phases.push(bench.phase(JobId(id)).await);
    }
    (phases, bench.call(|store| store.pauses()).await.len())
}

/// However little is done at once, everything is done in the end.
pub async fn time_passes_in_slices(bench: &mut Bench) {
    for n in 0..20 {
        let drafts = [bench.job("a").due_in(n), bench.job("b").due_in(90).expiring_in(n), bench.job("c").queue("runs")];
        bench.push(drafts).await;
        bench.claim_from(&["runs"], 1).await;
        bench.pause(&format!("q{n}"), Some(n)).await;
    }
    bench.clock().advance(Span::from_secs(LEASE));
    let (mut rescued, mut resumed, mut slices) = (0, 0, 0);
    loop {
        let advanced = bench.advance_by(7).await;
        assert!(advanced.rescued.len() + advanced.resumed.len() <= 7);
        rescued += advanced.rescued.len();
        resumed += advanced.resumed.len();
        slices += 1;
        assert!(slices < 1_000, "there is always more to do");
        if !advanced.more {
            break;
        }
    }
    assert_eq!((rescued, resumed), (20, 20));
    assert_eq!(bench.ledger().await.ended_as(job::Outcome::Expired), 20);
    assert_eq!(bench.claim_from(&[MAIL, "runs"], 100).await.len(), 40);
}
