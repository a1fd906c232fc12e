//! Queues that are held.

use job::{Moment, Pause, Span};

use super::bench::{Bench, MAIL, queue};

fn pause(bench: &Bench, until: Option<Moment>) -> Pause {
    Pause { by: "ute".to_owned(), reason: "a release".to_owned(), since: bench.now().wall, until }
}

/// Nothing is claimed from a queue that is held, and from others it is.
pub async fn a_paused_queue_hands_out_nothing(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b").queue("maps")];
    bench.push(drafts).await;
    bench.pause(MAIL, None).await;
    assert_eq!(bench.claim_from(&[MAIL, "maps"], 10).await.len(), 1);
    bench.reopen().await;
    bench.pass(86_400 * 30).await;
    assert!(bench.claim(10).await.is_empty());
    let lifted = bench.resume(MAIL).await.expect("the pause");
    assert_eq!((lifted.by.as_str(), lifted.reason.as_str()), ("ute", "a release"));
    assert_eq!(bench.claim(10).await.len(), 1);
    assert_eq!(bench.resume(MAIL).await, None);
}

/// A pause holds what waits, and nothing else.
pub async fn a_pause_stops_only_claims(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b"), bench.job("c")];
    bench.push(drafts).await;
    let (a, b) = (bench.take().await, bench.take().await);
    bench.pause(MAIL, None).await;
    assert!(bench.done(&a).await.is_ok());
    assert!(bench.extend(&b, 90).await.is_ok());
    let draft = bench.job("d").due_in(60);
    let id = bench.accept(draft).await;
    assert_eq!(bench.pass(90).await.rescued, [b.job.id]);
    bench.cancel(id).await;
    let state = bench.queue(MAIL).await;
    assert_eq!((state.ready, state.running), (2, 0), "what waits goes on growing older");
}

/// A pause with an end ends by itself, and that is told once.
pub async fn a_pause_ends_by_itself(bench: &mut Bench) {
    let draft = bench.job("a");
    bench.accept(draft).await;
    let until = Some(Moment::after(bench.now(), Span::from_secs(60)));
    let wanted = pause(bench, until);
    bench.pause(MAIL, Some(60)).await;
    bench.reopen().await;
    assert!(bench.pass(59).await.resumed.is_empty());
    assert!(bench.claim(10).await.is_empty());
    assert_eq!(bench.pass(1).await.resumed, [(queue(MAIL), wanted)]);
    assert!(bench.advance().await.resumed.is_empty());
    assert_eq!(bench.queue(MAIL).await.pause, None);
    assert_eq!(bench.claim(10).await.len(), 1);
}

/// A pause until a time of day follows the wall clock, one for a while does not.
pub async fn a_pause_keeps_to_its_clock(bench: &mut Bench) {
    let until = Moment::at(bench.now().wall + Span::from_secs(3_600), bench.now());
    bench.pause_until(MAIL, Some(until)).await;
    bench.pause("maps", Some(3_600)).await;
    let resumed = bench.step(3_600).await.resumed;
    assert_eq!(resumed.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), [queue(MAIL)]);
    bench.step(-7_200).await;
    let resumed = bench.pass(3_600).await.resumed;
    assert_eq!(resumed.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), [queue("maps")]);
}

/// A second pause takes the place of the first.
pub async fn a_newer_pause_replaces_the_older(bench: &mut Bench) {
    bench.pause(MAIL, Some(60)).await;
    bench.pass(30).await;
    bench.pause(MAIL, None).await;
    assert!(bench.pass(60).await.resumed.is_empty());
    let draft = bench.job("a");
    bench.accept(draft).await;
    assert!(bench.claim(10).await.is_empty());
    bench.pause(MAIL, Some(10)).await;
    assert_eq!(bench.pass(10).await.resumed.len(), 1);
    assert_eq!(bench.claim(10).await.len(), 1);
}

/// A pause is there for all to see, also of a queue that nothing was pushed to.
pub async fn pauses_are_shown(bench: &mut Bench) {
    bench.pause("later", Some(60)).await;
    let draft = bench.job("a");
    bench.accept(draft).await;
    bench.reopen().await;
    let wanted = pause(bench, Some(Moment::after(bench.now(), Span::from_secs(60))));
    let pauses = bench.call(|store| store.pauses()).await;
    assert_eq!(pauses, [(queue("later"), wanted.clone())].into());
    assert_eq!(bench.queue("later").await.pause, Some(wanted));
    assert_eq!(bench.queue(MAIL).await.pause, None);
    bench.resume("later").await;
    let names: Vec<_> = bench.queues().await.into_iter().map(|state| state.name).collect();
    assert_eq!(names, [queue(MAIL)]);
}
