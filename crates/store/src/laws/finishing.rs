//! Ends of runs: who may end one, and what is kept of it.

use job::attempt::MAX_TEXT_BYTES;
use job::{Again, Attempt, Ending, Happened, Jitter, JobError, JobId, JobRef, Lease, Outcome, Phase, State};

use super::bench::{Bench, LEASE, done, fail};
use crate::jobs::{Finish, Settled, Stale};

fn finish(id: JobId, lease: Lease, ending: Ending) -> Finish {
    Finish { id: JobRef::Id(id), lease, ending, jitter: Jitter::ZERO }
}

/// A run that did its work ends the job, and what it answered is kept.
pub async fn a_done_job_is_over(bench: &mut Bench) {
    let draft = bench.job("send").named("n1");
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    let started = bench.now().wall;
    bench.pass(5).await;
    let ending = Ending::Done { output: Some("250 accepted".to_owned()) };
    assert_eq!(bench.finish(&leased, ending).await, Ok(Settled::Ended(Outcome::Done)));
    let ended = bench.now().wall;
    for _ in 0..2 {
        let job = bench.get(id).await;
        assert_eq!(job.state, State::Ended { outcome: Outcome::Done, at: ended, detail: None });
        let happened = Happened::Done { output: Some("250 accepted".to_owned()) };
        let attempt = Attempt { number: 1, worker: "w1".to_owned(), started, ended, happened };
        assert_eq!(job.history.attempts(), [attempt]);
        assert_eq!(bench.phase(id).await, Phase::Ended);
        assert!(bench.claim(10).await.is_empty());
        bench.reopen().await;
    }
}

/// A run that found nothing to do ends the job as skipped, and says why.
pub async fn a_run_that_has_nothing_to_do_ends_as_skipped(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    let why = Some("410 Gone".to_owned());
    let ending = Ending::Skipped { why: why.clone() };
    assert_eq!(bench.finish(&leased, ending).await, Ok(Settled::Ended(Outcome::Skipped)));
    assert_eq!(bench.end(id).await, (Outcome::Skipped, why.clone()));
    assert_eq!(bench.get(id).await.history.attempts()[0].happened, Happened::Skipped { why });
}

/// The error of a failed run is kept as it was said.
pub async fn the_error_of_a_failed_run_is_kept(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    let error = JobError {
        class: "Swift_TransportException".to_owned(),
        message: "Connection refused: „mail“".to_owned(),
        backtrace: vec!["mail.php:7".to_owned(), "\u{1b}[31m".to_owned()],
    };
    let ending = Ending::Failed { error: error.clone(), again: Again::ByPolicy };
    bench.finish(&leased, ending).await.unwrap();
    bench.reopen().await;
    let job = bench.get(id).await;
    assert_eq!(job.history.attempts()[0].happened, Happened::Failed { error });
    assert_eq!(job.failures, 1);
}

/// What a worker says is kept only so far.
pub async fn endless_texts_are_cut(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    let leased = bench.take().await;
    let ending = Ending::Done { output: Some("ä".repeat(1 << 20)) };
    bench.finish(&leased, ending).await.unwrap();
    let job = bench.get(id).await;
    let Happened::Done { output: Some(kept) } = &job.history.attempts()[0].happened else { panic!("{job:?}") };
    assert!(kept.len() <= MAX_TEXT_BYTES && kept.ends_with("ä…"), "{} bytes", kept.len());
}

/// A lease lost to a later claim cannot finish the job.
pub async fn a_late_ack_changes_nothing(bench: &mut Bench) {
    let draft = bench.job("send");
    let id = bench.accept(draft).await;
    let slow = bench.take().await;
    bench.pass(LEASE).await;
    assert_eq!(bench.done(&slow).await, Err(Stale::NotRunning), "it waits again");
    let quick = bench.take().await;
    assert_ne!(quick.lease, slow.lease);
    let before = bench.get(id).await;
    assert_eq!(bench.done(&slow).await, Err(Stale::Other));
    assert_eq!(bench.fail(&slow).await, Err(Stale::Other));
    assert_eq!(bench.get(id).await, before);
    assert_eq!(bench.done(&quick).await, Ok(Settled::Ended(Outcome::Done)));
    assert_eq!(bench.done(&slow).await, Err(Stale::NotRunning));
    assert_eq!(bench.ledger().await.ended_as(Outcome::Done), 1);
}

/// A lease ends one run, once.
pub async fn a_lease_is_good_for_one_end(bench: &mut Bench) {
    let draft = bench.job("send");
    bench.accept(draft).await;
    let leased = bench.take().await;
    let end = || finish(leased.job.id, leased.lease, done());
    let ended = Ok(Settled::Ended(Outcome::Done));
    assert_eq!(bench.finish_all([end(), end()]).await, [ended, Err(Stale::NotRunning)]);
    assert_eq!(bench.fail(&leased).await, Err(Stale::NotRunning));
    assert_eq!(bench.ledger().await.ended_as(Outcome::Done), 1);
}

/// Nobody ends what is not theirs, and each end stands for itself.
pub async fn an_end_without_the_right_changes_nothing(bench: &mut Bench) {
    let drafts = [bench.job("a"), bench.job("b"), bench.job("c").due_in(60)];
    bench.push(drafts).await;
    let (a, b) = (bench.take().await, bench.take().await);
    let answers = bench
        .finish_all([
            finish(a.job.id, b.lease, done()),
            finish(JobId(3), b.lease, done()),
            finish(JobId(99), b.lease, done()),
            finish(b.job.id, b.lease, done()),
            finish(a.job.id, Lease(a.lease.0 ^ 1), fail(Again::Never)),
        ])
        .await;
    let done = Ok(Settled::Ended(Outcome::Done));
    assert_eq!(answers, [Err(Stale::Other), Err(Stale::NotRunning), Err(Stale::Unknown), done, Err(Stale::Other)]);
    assert_eq!(bench.phase(a.job.id).await, Phase::Running);
    assert_eq!(bench.phase(JobId(3)).await, Phase::Scheduled);
    assert_eq!(bench.done(&a).await, done);
}

/// A job can be ended by its client id.
pub async fn a_run_is_ended_by_either_form_of_the_id(bench: &mut Bench) {
    let draft = bench.job("a").named("n1");
    bench.accept(draft).await;
    let leased = bench.take().await;
    let end = Finish { id: "n1".parse().unwrap(), ..finish(JobId(1), leased.lease, done()) };
    assert_eq!(bench.finish_all([end]).await, [Ok(Settled::Ended(Outcome::Done))]);
}

/// An end of nothing is answered with nothing.
pub async fn no_ends_change_nothing(bench: &mut Bench) {
    assert_eq!(bench.finish_all([]).await, []);
}
