//! An application's tests need no server.

use aloud_client::{
    Aloud, Became, CalledOff, Ctx, Ending, Error, Failure, Handlers, Happened, JobKind, Outcome, Phase, Push, Span,
};

use crate::support::{SendNotice, Server, notice};

#[tokio::test]
async fn what_is_pushed_is_recorded_and_nothing_runs() {
    let (aloud, recorded) = Aloud::recorded();
    aloud.push(&notice(1)).send().await.unwrap();
    aloud.push(&notice(2)).in_(Span::from_secs(1_800)).key("notice:2").send().await.unwrap();
    let pushed = recorded.pushed::<SendNotice>();
    assert_eq!(pushed.iter().map(|record| record.job.notice).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((pushed[0].view.state, pushed[1].view.state), (Phase::Ready, Phase::Scheduled));
    assert_eq!(pushed[1].view.queue.as_str(), "mail");
    recorded.clear();
    assert!(recorded.views().is_empty());
}

/// Pushes and calls off, and holds the answers to what a server gives.
async fn behaves_as_a_server(aloud: &Aloud) {
    let first = aloud.push(&notice(1)).key("k").id("one").send().await.unwrap();
    assert_eq!((first.id.as_str(), first.became), ("one", Became::New { replaced: None }));
    let kept = aloud.push(&notice(2)).key("k").send().await.unwrap();
    assert_eq!((kept.id.as_str(), kept.became), ("one", Became::Kept));
    assert_eq!(aloud.push(&notice(1)).id("one").send().await.unwrap().became, Became::Known { outcome: None });
    let refused = aloud.push(&notice(2)).key("k").reject().send().await.unwrap_err();
    assert!(refused.is_conflict() && refused.is_for_good(), "{refused}");
    let many = aloud.push_many([Push::of(&notice(2)).key("k").reject(), Push::of(&notice(3)).id("three")]);
    let many = many.await.unwrap();
    assert!(matches!(many[0].became, Became::Rejected { .. }), "{many:?}");
    assert!(matches!(many[1].became, Became::New { .. }), "{many:?}");
    let second = aloud.push(&notice(4)).key("k").replace().id("four").send().await.unwrap();
    assert_eq!(second.became, Became::New { replaced: Some("j1".into()) });
    assert_eq!(aloud.job("one").await.unwrap().unwrap().outcome, Some(Outcome::Superseded));
    let again = aloud.push(&notice(1)).id("one").send().await.unwrap();
    assert_eq!(again.became, Became::Known { outcome: Some(Outcome::Superseded) });

    let off = aloud.cancel_key("mail", "k").await.unwrap();
    assert!(matches!(off, CalledOff::Yes { outcome: Outcome::Cancelled, .. }), "{off:?}");
    assert_eq!(aloud.cancel_key("mail", "k").await.unwrap(), CalledOff::NoSuchJob);
    let yes = CalledOff::Yes { id: "three".into(), outcome: Outcome::Cancelled };
    assert_eq!(aloud.cancel("three").await.unwrap(), yes);
    assert_eq!(aloud.cancel("three").await.unwrap(), yes, "what is to be so is so");
    assert!(matches!(aloud.cancel("one").await.unwrap(), CalledOff::TooLate { .. }), "it was replaced");
    assert_eq!(aloud.cancel("nobody").await.unwrap(), CalledOff::NoSuchJob);
    assert_eq!(aloud.job("four").await.unwrap().unwrap().outcome, Some(Outcome::Cancelled));
    assert!(aloud.job("nobody").await.unwrap().is_none());
}

#[tokio::test]
async fn the_recorded_mode_answers_as_a_server_does() {
    let (aloud, recorded) = Aloud::recorded();
    behaves_as_a_server(&aloud).await;
    assert_eq!(recorded.pushed::<SendNotice>().len(), 3);
    assert!(recorded.waiting::<SendNotice>().is_empty());
    behaves_as_a_server(&Server::start().await.aloud()).await;
}

async fn send(job: SendNotice, ctx: Ctx) -> Result<Ending, Failure> {
    match job.notice {
        0 => Ok(Ending::skipped("nobody wants it")),
        1 => Err(Failure::new("Smtp", "the mail server refused")),
        2 => panic!("no notice {}", job.notice),
        n => Ok(Ending::output(format!("{n} at attempt {}", ctx.attempt))),
    }
}

#[tokio::test]
async fn inline_a_job_is_run_before_its_push_answers() {
    let (aloud, recorded) = Aloud::inline(Handlers::new().register(send));
    let pushed = aloud.push(&notice(7)).in_(Span::from_secs(1_800)).send().await.unwrap();
    let view = aloud.job(&pushed.id).await.unwrap().unwrap();
    assert_eq!(view.outcome, Some(Outcome::Done));
    assert_eq!(view.attempts[0].happened, Happened::Done { output: Some("7 at attempt 1".into()) });
    aloud.push(&notice(0)).send().await.unwrap();
    assert_eq!(recorded.pushed::<SendNotice>()[1].view.outcome, Some(Outcome::Skipped));
}

#[tokio::test]
async fn inline_a_run_that_fails_is_heard_of_by_who_pushed() {
    let (aloud, recorded) = Aloud::inline(Handlers::new().register(send));
    let failed = aloud.push(&notice(1)).send().await.unwrap_err().to_string();
    assert!(failed.contains("Smtp: the mail server refused"), "{failed}");
    let panicked = aloud.push(&notice(2)).send().await.unwrap_err().to_string();
    assert!(panicked.contains("no notice 2"), "{panicked}");
    assert_eq!(recorded.views().len(), 2, "each was pushed once, whatever became of it");
    let (aloud, _) = Aloud::inline(Handlers::new());
    assert!(aloud.push(&notice(3)).send().await.unwrap_err().to_string().contains("no handler for `notice.send`"));
}

#[tokio::test]
async fn a_push_that_makes_no_sense_is_refused_in_every_mode() {
    struct Odd;
    impl serde::Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("cannot be written"))
        }
    }
    impl<'de> serde::Deserialize<'de> for Odd {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    impl JobKind for Odd {
        const KIND: &'static str = "odd";
    }
    let (aloud, _) = Aloud::recorded();
    for push in [aloud.push(&notice(1)).queue("no such name"), aloud.push(&notice(1)).id("j1")] {
        assert!(matches!(push.send().await, Err(Error::Config { .. })));
    }
    let error = aloud.push(&Odd).send().await.unwrap_err();
    assert!(error.to_string().contains("cannot be written"), "{error}");
}
