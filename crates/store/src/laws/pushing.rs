//! Pushes, client ids, queues.

use job::{ClientId, Guard, JobId, JobRef, Moment, Outcome, Payload, Phase, Policy, Span, State, Wait};

use super::bench::{Bench, MAIL, queue};
use crate::Error;
use crate::jobs::{MAX_QUEUES, Pushed, Search};

/// A pushed job is kept with everything that was said of it.
pub async fn a_pushed_job_waits_as_it_was_pushed(bench: &mut Bench) {
    let mut draft = bench.job("send").queue("a;b").named("n42").key("Ute & Co").priority(7);
    draft.job.spec.payload = Payload::new(*b"\x00\xff not JSON").unwrap();
    draft.job.spec.guard = Some(Guard::Http("http://127.0.0.1:8080/still".to_owned()));
    draft.job.spec.expires = Some(Moment::at(bench.now().wall + Span::from_secs(90), bench.now()));
    draft.job.spec.retry = Policy { max_attempts: 3, first: Span::from_millis(1_500), cap: Span::from_secs(9) };
    let draft = draft.due_in(60);
    let wanted = draft.job.clone();
    let id = bench.accept(draft).await;
    for restart in [false, true] {
        if restart {
            bench.reopen().await;
        }
        let job = bench.get(id).await;
        assert_eq!(job.id, id);
        assert_eq!(job.client_id, wanted.client_id);
        assert_eq!(job.spec, wanted.spec);
        assert_eq!(job.pushed, bench.now().wall);
        assert_eq!(job.state, State::Waiting { due: wanted.due, wait: Wait::First, ask_at: None });
        assert_eq!((job.attempt, job.failures, job.rescues, job.snoozes), (0, 0, 0, 0));
        assert!(job.history.attempts().is_empty());
        assert_eq!(bench.phase(id).await, Phase::Scheduled);
    }
}

/// The longest payload comes back byte for byte.
pub async fn the_longest_payload_comes_back_byte_for_byte(bench: &mut Bench) {
    let bytes: Vec<u8> = (0..Payload::MAX_BYTES).map(|at| (at.wrapping_mul(31) >> 3) as u8).collect();
    let mut draft = bench.job("send");
    draft.job.spec.payload = Payload::new(bytes.clone()).unwrap();
    let id = bench.accept(draft).await;
    assert!(bench.take().await.job.spec.payload.as_bytes() == bytes);
    bench.reopen().await;
    assert!(bench.get(id).await.spec.payload.as_bytes() == bytes);
}

/// A push of several answers each in its place, and ids count up from 1.
pub async fn jobs_are_numbered_in_the_order_in_which_they_are_pushed(bench: &mut Bench) {
    let new = |id| Pushed::New { id: JobId(id), replaced: None };
    let (a, b, c) = (bench.job("a"), bench.job("b").queue("maps"), bench.job("c"));
    assert_eq!(bench.push([a, b, c]).await, [new(1), new(2), new(3)]);
    assert_eq!(bench.get(JobId(2)).await.spec.kind.as_str(), "b");
    let d = bench.job("d");
    assert_eq!(bench.push([d]).await, [new(4)]);
}

/// A push of nothing is answered with nothing.
pub async fn a_push_of_nothing_changes_nothing(bench: &mut Bench) {
    assert_eq!(bench.push([]).await, []);
    assert_eq!(bench.ledger().await.pushed, 0);
    assert!(bench.queues().await.is_empty());
}

/// A second push with a client id answers the first job, wherever it stands.
pub async fn a_client_id_is_accepted_once(bench: &mut Bench) {
    let draft = bench.job("send").named("n42").tries(1);
    let id = bench.accept(draft.clone()).await;
    let other = bench.job("other").queue("elsewhere").named("n42");
    let known = |outcome| [Pushed::Known { id, outcome }];
    assert_eq!(bench.push([other.clone()]).await, known(None), "waiting");
    let leased = bench.take().await;
    assert_eq!(bench.push([other.clone()]).await, known(None), "running");
    bench.fail(&leased).await.unwrap();
    assert_eq!(bench.push([other.clone()]).await, known(None), "dead");
    bench.reopen().await;
    assert_eq!(bench.push([other.clone()]).await, known(None), "dead, after a restart");
    bench.discard(id).await;
    assert_eq!(bench.push([other.clone()]).await, known(Some(Outcome::Discarded)), "ended");
    bench.reopen().await;
    assert_eq!(bench.push([other]).await, known(Some(Outcome::Discarded)), "ended, after a restart");
    assert_eq!(bench.ledger().await.pushed, 1);
    assert_eq!(bench.queues().await.len(), 1, "no queue came of it");
}

/// Within one push a client id counts like in two.
pub async fn a_client_id_counts_within_one_push(bench: &mut Bench) {
    let (a, b) = (bench.job("a").named("n42"), bench.job("b").named("n42"));
    let id = JobId(1);
    assert_eq!(bench.push([a, b]).await, [Pushed::New { id, replaced: None }, Pushed::Known { id, outcome: None }]);
    assert_eq!(bench.get(id).await.spec.kind.as_str(), "a");
}

/// When an ended job was removed, its client id is as good as new.
pub async fn a_client_id_is_free_when_its_job_was_removed(bench: &mut Bench) {
    let draft = bench.job("send").named("n42");
    let id = bench.accept(draft.clone()).await;
    bench.cancel(id).await;
    bench.pass(8 * 86_400).await;
    assert_eq!(bench.retain().await, 1);
    assert_ne!(bench.accept(draft).await, id);
}

/// A push that was kept or rejected leaves its client id free.
pub async fn a_client_id_that_was_not_accepted_stays_free(bench: &mut Bench) {
    let holder = bench.job("send").key("k").named("n1");
    let id = bench.accept(holder).await;
    let client_id: Option<ClientId> = Some("n1".parse().unwrap());
    let (kept, rejected) =
        (bench.job("send").key("k").named("n2"), bench.job("send").key("k").named("n2").or_rejected());
    assert_eq!(
        bench.push([kept, rejected]).await,
        [Pushed::Kept { id, client_id: client_id.clone() }, Pushed::Rejected { id, client_id }]
    );
    assert_eq!(bench.look("n2".parse().unwrap()).await, None);
    let free = bench.job("send").named("n2");
    bench.accept(free).await;
}

/// The client id is looked at before the key.
pub async fn a_known_client_id_comes_before_a_held_key(bench: &mut Bench) {
    let (first, holder) = (bench.job("send").named("n1"), bench.job("send").key("k").named("n2"));
    let (first, holder) = (bench.accept(first).await, bench.accept(holder).await);
    let again = bench.job("send").named("n1").key("k").replacing();
    assert_eq!(bench.push([again]).await, [Pushed::Known { id: first, outcome: None }]);
    assert_eq!(bench.phase(holder).await, Phase::Ready, "it was not replaced");
}

/// A job is found by its number and by its client id.
pub async fn a_job_is_found_by_both_forms_of_its_id(bench: &mut Bench) {
    let draft = bench.job("send").named("n42");
    let id = bench.accept(draft).await;
    for id in [JobRef::Id(id), "n42".parse().unwrap()] {
        assert_eq!(bench.look(id).await.expect("the job").job.id, JobId(1));
    }
    assert_eq!(bench.look(JobRef::Id(JobId(2))).await, None);
    assert_eq!(bench.look("n43".parse().unwrap()).await, None);
}

/// A push that would make one queue too many is refused as a whole.
pub async fn the_number_of_queues_is_bounded(bench: &mut Bench) {
    let draft = bench.job("send");
    let in_queue = |n: usize| draft.clone().queue(&format!("q{n}")).job;
    bench.pause("held", None).await;
    bench.push_all((1..MAX_QUEUES - 1).map(in_queue).collect()).await;
    assert_eq!(bench.queues().await.len(), MAX_QUEUES - 1, "the one that is paused counts");
    let (now, before) = (bench.now(), bench.ledger().await);
    let too_many = vec![in_queue(1), in_queue(MAX_QUEUES), in_queue(MAX_QUEUES + 1)];
    assert!(matches!(refused(bench, |store| store.push(too_many.clone(), now)).await, Error::Full(_)));
    assert_eq!(bench.ledger().await, before, "the first of them would have fit");
    bench.push_all(vec![in_queue(1), in_queue(MAX_QUEUES)]).await;
    let one_more = vec![in_queue(MAX_QUEUES + 1)];
    assert!(matches!(refused(bench, |store| store.push(one_more.clone(), now)).await, Error::Full(_)));
    let pause = job::Pause { by: "ute".to_owned(), reason: String::new(), since: now.wall, until: None };
    let paused = refused(bench, |store| store.pause(queue("one-more"), pause.clone(), now)).await;
    assert!(matches!(paused, Error::Full(_)));
    bench.push_all(vec![in_queue(7)]).await;
    let named = draft.clone().queue("q7").named("n1");
    let id = bench.accept(named).await;
    let known = draft.clone().queue("one-more").named("n1");
    assert_eq!(bench.push([known]).await, [Pushed::Known { id, outcome: None }], "nothing comes of it");
    bench.resume("held").await;
    bench.push_all(one_more).await;
}

/// What a call is refused with, when it is neither busy nor lost.
async fn refused<T: Unpin + std::fmt::Debug>(
    bench: &Bench,
    call: impl Fn(&dyn crate::Store) -> crate::Reply<T>,
) -> Error {
    loop {
        match call(bench.store()).await {
            Err(Error::Busy(_) | Error::Lost(_)) => {}
            answer => return answer.expect_err("a call that is refused"),
        }
    }
}

/// A queue is known for good once a job was pushed to it.
pub async fn a_queue_is_known_after_its_jobs_are_gone(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    bench.cancel(id).await;
    bench.pass(8 * 86_400).await;
    bench.retain().await;
    for _ in 0..2 {
        assert!(bench.search_all(Search { limit: 10, ..Search::default() }).await.is_empty());
        assert_eq!(bench.queue(MAIL).await.ready, 0);
        bench.reopen().await;
    }
}
