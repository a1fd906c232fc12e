//! Guards: the question before the run, and what becomes of its answers.

use job::{Answer, Happened, JobId, Outcome, Phase, Span, State};

use super::bench::{Bench, GIVE_UP, HELD_LATE, LEASE, MAIL, OWN, from, ids};
use crate::jobs::{AskId, From, Revived, Stale};

/// A guarded job is not handed out unasked; a claim tells that there is one.
pub async fn a_guarded_job_does_not_run_unasked(bench: &mut Bench) {
    let drafts = [bench.job("a").guarded(), bench.job("b")];
    bench.push(drafts).await;
    let claimed = bench.claim_as(from(&[MAIL]), 10).await;
    assert_eq!((ids(&claimed.jobs), claimed.unasked), (vec![JobId(2)], true));
    let question = bench.question().await;
    assert_eq!(question.job.id, JobId(1));
    assert!(matches!(question.job.state, State::Waiting { .. }));
    let claimed = bench.claim_as(from(&[MAIL]), 10).await;
    assert_eq!((claimed.jobs.len(), claimed.unasked), (0, false), "it is being asked");
    assert_eq!(bench.phase(JobId(1)).await, Phase::Checking);
}

/// A yes lets the job run.
pub async fn a_yes_lets_the_job_run(bench: &mut Bench) {
    let draft = bench.job("a").guarded();
    let id = bench.accept(draft).await;
    let question = bench.question().await;
    assert_eq!(bench.answer(&question, Answer::Yes).await, Ok(()));
    assert_eq!(bench.phase(id).await, Phase::Ready);
    assert!(bench.ask(10).await.is_empty(), "it is not asked while its yes is fresh");
    let leased = bench.take().await;
    assert_eq!(leased.job.id, id);
    assert!(bench.done(&leased).await.is_ok());
}

/// A yes counts for five seconds, and then the guard is asked anew.
pub async fn a_yes_goes_stale(bench: &mut Bench) {
    let draft = bench.job("a").guarded();
    let id = bench.accept(draft).await;
    let first = bench.question().await;
    bench.answer(&first, Answer::Yes).await.unwrap();
    bench.pass(5).await;
    let claimed = bench.claim_as(from(&[MAIL]), 10).await;
    assert_eq!((claimed.jobs.len(), claimed.unasked), (0, true));
    let second = bench.question().await;
    assert_eq!((second.job.id, second.ask == first.ask), (id, false));
    bench.answer(&second, Answer::Yes).await.unwrap();
    bench.clock().advance(Span::from_micros(4_999_999));
    bench.advance().await;
    assert_eq!(ids(&bench.claim(10).await), [id]);
}

/// Neither does setting the wall clock make a yes stale, nor keep it fresh.
pub async fn a_yes_does_not_mind_the_wall_clock(bench: &mut Bench) {
    let drafts = [bench.job("a").guarded(), bench.job("b").guarded()];
    bench.push(drafts).await;
    for question in bench.ask(10).await {
        bench.answer(&question, Answer::Yes).await.unwrap();
    }
    bench.step(3_600).await;
    assert_eq!(bench.claim(1).await.len(), 1);
    bench.step(-7_200).await;
    bench.pass(5).await;
    assert!(bench.claim(10).await.is_empty());
}

/// A no ends the job as skipped, and says why.
pub async fn a_no_ends_the_job_as_skipped(bench: &mut Bench) {
    let draft = bench.job("a").guarded();
    let id = bench.accept(draft).await;
    let question = bench.question().await;
    let why = Some("switched off".to_owned());
    assert_eq!(bench.answer(&question, Answer::No(why.clone())).await, Ok(()));
    assert_eq!(bench.end(id).await, (Outcome::Skipped, why.clone()));
    assert!(bench.claim(10).await.is_empty());
    bench.reopen().await;
    assert_eq!(bench.end(id).await, (Outcome::Skipped, why));
    assert_eq!(bench.ledger().await.ended_as(Outcome::Skipped), 1);
}

/// An error is not a no: the guard is asked again, ever more slowly, and each
/// error stays with the job.
pub async fn an_error_puts_off_the_next_question(bench: &mut Bench) {
    let draft = bench.job("a").guarded();
    let id = bench.accept(draft).await;
    for (times, secs) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        let question = bench.question().await;
        bench.answer(&question, Answer::Error(format!("no route {times}"))).await.unwrap();
        assert_eq!(bench.phase(id).await, Phase::Checking);
        bench.reopen().await;
        assert_eq!(bench.phase(id).await, Phase::Checking, "after a restart");
        if secs > 1 {
            bench.pass(secs - 1).await;
            assert!(bench.ask(10).await.is_empty());
            assert!(!bench.claim_as(from(&[MAIL]), 10).await.unasked);
        } else {
            assert!(bench.ask(10).await.is_empty());
        }
        bench.pass(1).await;
        assert!(bench.claim_as(from(&[MAIL]), 10).await.unasked);
        let job = bench.get(id).await;
        assert_eq!((job.failures, job.history.guard_errors(), job.history.attempts().len()), (0, times, 1));
        let happened = Happened::GuardFailed { error: format!("no route {times}"), times };
        assert_eq!(job.history.attempts()[0].happened, happened);
    }
    let question = bench.question().await;
    bench.answer(&question, Answer::Yes).await.unwrap();
    assert_eq!(bench.take().await.job.id, id);
}

/// No job is asked about twice at once, and no more than was wished.
pub async fn a_question_is_open_once(bench: &mut Bench) {
    for _ in 0..5 {
        let draft = bench.job("a").guarded();
        bench.accept(draft).await;
    }
    assert!(bench.ask(0).await.is_empty());
    let mut asked = bench.ask(3).await;
    asked.extend(bench.ask(10).await);
    let jobs: Vec<_> = asked.iter().map(|question| question.job.id.0).collect();
    assert_eq!(jobs, [1, 2, 3, 4, 5]);
    let mut numbers: Vec<_> = asked.iter().map(|question| question.ask.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 5);
    assert!(bench.ask(10).await.is_empty());
}

/// Questions come in the order in which jobs would be claimed.
pub async fn guards_are_asked_in_the_order_of_claims(bench: &mut Bench) {
    let drafts = [
        bench.job("a").guarded().priority(5),
        bench.job("b").guarded().priority(1),
        bench.job("c").guarded().queue("maps"),
        bench.job("d"),
        bench.job("e").guarded().priority(1).due_in(60),
        bench.job(OWN).guarded(),
        bench.job("f").guarded().queue("held"),
    ];
    bench.push(drafts).await;
    bench.pause("held", None).await;
    let asked: Vec<_> = bench.ask_from(from(&["held", "maps", MAIL]), 10).await.iter().map(|q| q.job.id.0).collect();
    assert_eq!(asked, [3, 2, 1]);
    let own = From::Kind(OWN.parse().unwrap());
    assert!(bench.claim_as(own.clone(), 10).await.unasked);
    let asked: Vec<_> = bench.ask_from(own, 10).await.iter().map(|question| question.job.id.0).collect();
    assert_eq!(asked, [6]);
}

/// Nobody is asked about a job that is not due, or whose queue is held.
pub async fn a_guard_is_not_asked_before_its_job_could_run(bench: &mut Bench) {
    let drafts = [bench.job("a").guarded().due_in(60), bench.job("b").guarded().queue("held")];
    bench.push(drafts).await;
    bench.pause("held", None).await;
    let both = from(&[MAIL, "held"]);
    let claimed = bench.claim_as(both.clone(), 10).await;
    assert!(!claimed.unasked);
    assert!(bench.ask_from(both.clone(), 10).await.is_empty());
    bench.pass(60).await;
    bench.resume("held").await;
    assert_eq!(bench.ask_from(both, 10).await.len(), 2);
}

/// A question that nobody answers in time is closed, and another is opened.
pub async fn a_question_without_an_answer_is_asked_anew(bench: &mut Bench) {
    let draft = bench.job("a").guarded();
    let id = bench.accept(draft).await;
    let first = bench.question().await;
    bench.pass(GIVE_UP - 1).await;
    assert!(bench.ask(10).await.is_empty());
    bench.pass(1).await;
    assert_eq!(bench.phase(id).await, Phase::Ready);
    assert_eq!(bench.answer(&first, Answer::No(None)).await, Err(Stale::NotRunning), "closed");
    assert!(bench.claim_as(from(&[MAIL]), 10).await.unasked);
    let second = bench.question().await;
    assert_eq!(bench.answer(&first, Answer::No(None)).await, Err(Stale::Other), "another is open");
    assert_eq!(bench.phase(id).await, Phase::Checking);
    assert_eq!(bench.answer(&second, Answer::Yes).await, Ok(()));
    assert_eq!(ids(&bench.claim(10).await), [id]);
}

/// An answer to what was never asked, or was answered, changes nothing.
pub async fn an_answer_to_no_open_question_changes_nothing(bench: &mut Bench) {
    let drafts = [bench.job("a").guarded(), bench.job("b")];
    bench.push(drafts).await;
    assert_eq!(bench.answer_to(JobId(1), AskId(1), Answer::No(None)).await, Err(Stale::NotRunning));
    assert_eq!(bench.answer_to(JobId(2), AskId(1), Answer::No(None)).await, Err(Stale::NotRunning));
    assert_eq!(bench.answer_to(JobId(99), AskId(1), Answer::No(None)).await, Err(Stale::Unknown));
    let question = bench.question().await;
    let other = AskId(question.ask.0 ^ 1);
    assert_eq!(bench.answer_to(JobId(1), other, Answer::No(None)).await, Err(Stale::Other));
    assert_eq!(bench.answer(&question, Answer::Yes).await, Ok(()));
    assert_eq!(bench.answer(&question, Answer::No(None)).await, Err(Stale::NotRunning));
    bench.claim(1).await;
    let leased = bench.take().await;
    assert_eq!(bench.answer(&question, Answer::No(None)).await, Err(Stale::NotRunning), "it runs");
    bench.done(&leased).await.unwrap();
    assert_eq!(bench.answer(&question, Answer::No(None)).await, Err(Stale::NotRunning), "it is over");
}

/// A job that was made due, or replaced, while it was asked, is asked anew.
pub async fn an_answer_that_was_overtaken_does_not_count(bench: &mut Bench) {
    let draft = bench.job("a").guarded().key("k");
    let id = bench.accept(draft.clone()).await;
    let question = bench.question().await;
    assert_eq!(bench.revive(id).await, Revived::Yes(id));
    assert_eq!(bench.answer(&question, Answer::Yes).await, Err(Stale::NotRunning));
    assert!(bench.claim_as(from(&[MAIL]), 10).await.unasked);
    let question = bench.question().await;
    bench.answer(&question, Answer::Yes).await.unwrap();
    bench.revive(id).await;
    assert!(bench.claim(10).await.is_empty(), "the yes was for a job that waited before");
    let question = bench.question().await;
    let newer = bench.accept(draft.replacing()).await;
    assert_eq!(bench.answer(&question, Answer::Yes).await, Err(Stale::NotRunning));
    assert_eq!(bench.question().await.job.id, newer);
}

/// Making a job due takes away the wait that an error put before its question.
pub async fn a_revived_job_is_asked_at_once(bench: &mut Bench) {
    let draft = bench.job("a").guarded();
    let id = bench.accept(draft).await;
    let question = bench.question().await;
    bench.answer(&question, Answer::Error("no route".to_owned())).await.unwrap();
    assert!(bench.ask(10).await.is_empty());
    bench.revive(id).await;
    assert_eq!(bench.question().await.job.id, id);
}

/// A yes is for one run: before the next the guard is asked again.
pub async fn each_run_needs_its_own_yes(bench: &mut Bench) {
    let draft = bench.job("a").guarded();
    let id = bench.accept(draft).await;
    let question = bench.question().await;
    bench.answer(&question, Answer::Yes).await.unwrap();
    let leased = bench.take().await;
    bench.snooze(&leased, 0).await.unwrap();
    let claimed = bench.claim_as(from(&[MAIL]), 10).await;
    assert_eq!((claimed.jobs.len(), claimed.unasked), (0, true));
    let question = bench.question().await;
    bench.answer(&question, Answer::Yes).await.unwrap();
    bench.take().await;
    bench.pass(LEASE).await;
    assert!(bench.claim(10).await.is_empty(), "nor is it for the run after a rescue");
    assert_eq!(bench.question().await.job.id, id);
}

/// A restart forgets questions and yeses, and never takes an old answer for a
/// new one.
pub async fn questions_do_not_survive_a_restart(bench: &mut Bench) {
    let drafts = [bench.job("a").guarded(), bench.job("b").guarded()];
    bench.push(drafts).await;
    let [a, b] = bench.ask(10).await.try_into().unwrap();
    bench.answer(&a, Answer::Yes).await.unwrap();
    bench.reopen().await;
    assert!(bench.claim(10).await.is_empty(), "the yes is forgotten");
    assert_eq!(bench.answer(&b, Answer::No(None)).await, Err(Stale::NotRunning));
    let [c, d] = bench.ask(10).await.try_into().unwrap();
    assert_eq!([c.job.id, d.job.id], [a.job.id, b.job.id]);
    assert_eq!(bench.answer(&a, Answer::No(None)).await, Err(Stale::Other));
    assert_eq!(bench.answer(&b, Answer::No(None)).await, Err(Stale::Other));
    assert_eq!(bench.answer(&c, Answer::Yes).await, Ok(()));
    assert_eq!(bench.answer(&d, Answer::Yes).await, Ok(()));
    assert_eq!(bench.claim(10).await.len(), 2);
}

/// Nobody is asked about a job that would not be run any more.
pub async fn no_guard_is_asked_about_expired_or_late_work(bench: &mut Bench) {
    let drafts = [bench.job("a").guarded().expiring_in(60), bench.job("b").guarded().queue(HELD_LATE)];
    bench.push(drafts).await;
    bench.clock().advance(Span::from_secs(3_601));
    assert!(bench.ask_from(from(&[MAIL, HELD_LATE]), 10).await.is_empty());
    assert_eq!(bench.end(JobId(1)).await.0, Outcome::Expired);
    assert_eq!(bench.phase(JobId(2)).await, Phase::Dead);
}

/// A job that expires between its yes and its run does not run.
pub async fn a_yes_does_not_outlive_the_job(bench: &mut Bench) {
    let draft = bench.job("a").guarded().expiring_in(4);
    let id = bench.accept(draft).await;
    let question = bench.question().await;
    bench.answer(&question, Answer::Yes).await.unwrap();
    bench.clock().advance(Span::from_secs(4));
    assert!(bench.claim(10).await.is_empty());
    assert_eq!(bench.end(id).await.0, Outcome::Expired);
}

/// Nor does a yes let a job run whose due time was set back before it.
pub async fn a_yes_does_not_make_a_job_due(bench: &mut Bench) {
    let draft = bench.job("a").guarded().due_at(60);
    bench.accept(draft).await;
    bench.pass(60).await;
    let question = bench.question().await;
    bench.answer(&question, Answer::Yes).await.unwrap();
    bench.step(-30).await;
    assert!(bench.claim(10).await.is_empty());
    bench.step(30).await;
    assert_eq!(bench.claim(10).await.len(), 1);
}
