//! An application's tests need no server.

use aloud_client::{
    Aloud, Became, CalledOff, Ctx, Ending, Error, Failure, Handlers, Happened, JobKind, Outcome, Phase, Push, Span,
};

use crate::support::SendNotice;

fn notice(notice: u64) -> SendNotice {
    SendNotice { notice }
}

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

#[tokio::test]
async fn keys_and_ids_are_treated_as_the_server_treats_them() {
    let (aloud, recorded) = Aloud::recorded();
    let first = aloud.push(&notice(1)).key("k").id("one").send().await.unwrap();
    assert_eq!((first.id.as_str(), first.became), ("one", Became::New { replaced: None }));
    assert_eq!(aloud.push(&notice(2)).key("k").send().await.unwrap().became, Became::Kept);
    assert_eq!(aloud.push(&notice(1)).id("one").send().await.unwrap().became, Became::Known { outcome: None });
    let refused = aloud.push(&notice(2)).key("k").reject().send().await.unwrap_err();
    assert!(refused.is_conflict(), "{refused}");
    let many = aloud.push_many([Push::of(&notice(2)).key("k").reject(), Push::of(&notice(3))]).await.unwrap();
    assert!(matches!(many[0].became, Became::Rejected { .. }));
    assert!(matches!(many[1].became, Became::New { .. }));
    let second = aloud.push(&notice(4)).key("k").replace().send().await.unwrap();
    assert_eq!(second.became, Became::New { replaced: Some("one".into()) });
    let waiting: Vec<_> = recorded.waiting::<SendNotice>().into_iter().map(|record| record.job.notice).collect();
    assert_eq!(waiting, [3, 4]);
}

#[tokio::test]
async fn what_waits_can_be_called_off_and_what_does_not_cannot() {
    let (aloud, recorded) = Aloud::recorded();
    let one = aloud.push(&notice(1)).key("k").send().await.unwrap();
    let yes = CalledOff::Yes { id: one.id.clone(), outcome: Outcome::Cancelled };
    assert_eq!(aloud.cancel_key("mail", "k").await.unwrap(), yes);
    assert_eq!(aloud.cancel_key("mail", "k").await.unwrap(), CalledOff::NoSuchJob);
    assert!(matches!(aloud.cancel(&one.id).await.unwrap(), CalledOff::TooLate { .. }));
    assert_eq!(aloud.cancel("nobody").await.unwrap(), CalledOff::NoSuchJob);
    assert_eq!(aloud.job(&one.id).await.unwrap().unwrap().outcome, Some(Outcome::Cancelled));
    assert!(aloud.job("nobody").await.unwrap().is_none());
    assert!(recorded.waiting::<SendNotice>().is_empty());
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
