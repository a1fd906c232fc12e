//! Pushing to a server.

use std::time::Duration;

use aloud_client::v1::{JobQuery, PauseQueue};
use aloud_client::{Aloud, Api, Became, CalledOff, Error, Outcome, Phase, Push, Settings, Span, Token};

use crate::proxy::Proxy;
use crate::support::{SendNotice, Server, notice, until};

#[tokio::test]
async fn a_job_is_pushed_with_all_that_was_said_of_it() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let pushed = aloud
        .push(&notice(42))
        .in_(Duration::from_secs(1_800))
        .key("notice:42 für Ute/%")
        .replace()
        .guard_http("http://127.0.0.1:8080/wanted/42")
        .priority(7)
        .expires_in(Span::from_secs(7_200))
        .id("n42")
        .send()
        .await
        .unwrap();
    assert_eq!((pushed.id.as_str(), &pushed.became), ("n42", &Became::New { replaced: None }));
    let view = aloud.job("n42").await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<SendNotice>(view.payload.get()).unwrap(), notice(42));
    assert_eq!((view.state, view.priority, view.queue.as_str()), (Phase::Scheduled, 7, "mail"));
    assert_eq!(view.due.unwrap().since(view.pushed), Span::from_secs(1_800));
    assert!(matches!(aloud.cancel_key("mail", "notice:42 für Ute/%").await.unwrap(), CalledOff::Yes { .. }));
    assert_eq!(aloud.job("n42").await.unwrap().unwrap().outcome, Some(Outcome::Cancelled));
}

#[tokio::test]
async fn a_push_whose_answer_was_lost_is_repeated_and_makes_one_job() {
    let server = Server::start().await;
    let proxy = Proxy::before(server.address).await;
    let aloud = Aloud::with(server.settings_through(proxy.address)).unwrap();
    proxy.lose(3);
    let pushed = aloud.push(&notice(1)).send().await.unwrap();
    assert_eq!(pushed.became, Became::New { replaced: None }, "it is new, however often it was sent");
    assert_eq!(proxy.to_lose(), 0, "answers were lost");
    proxy.lose(2);
    let many = aloud.push_many([Push::of(&notice(2)), Push::of(&notice(3))]).await.unwrap();
    assert!(many.iter().all(|pushed| pushed.became == Became::New { replaced: None }), "{many:?}");
    assert_eq!(proxy.to_lose(), 0);
    assert_eq!(server.pushed().await, 3);
}

#[tokio::test]
async fn a_push_that_is_never_answered_may_have_happened_and_says_so() {
    let server = Server::start().await;
    let proxy = Proxy::before(server.address).await;
    let aloud = Aloud::with(server.settings_through(proxy.address)).unwrap().push_within(Duration::from_millis(300));
    proxy.lose(u32::MAX);
    let error = aloud.push(&notice(1)).send().await.unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }), "{error}");
    assert_eq!(server.pushed().await, 1);
}

#[tokio::test]
async fn a_push_waits_for_a_server_that_comes_back() {
    let mut server = Server::start().await;
    let proxy = Proxy::before(server.address).await;
    let aloud = Aloud::with(server.settings_through(proxy.address)).unwrap();
    server.stop().await;
    let pushing = tokio::spawn(async move { aloud.push(&notice(1)).send().await });
    until("it was tried in vain", async || (proxy.in_vain() > 1).then_some(())).await;
    server.start_again().await;
    pushing.await.unwrap().unwrap();
    assert_eq!(server.pushed().await, 1);
}

#[tokio::test]
async fn a_server_that_is_away_changed_nothing() {
    let mut server = Server::start().await;
    let aloud = server.aloud().push_within(Duration::from_millis(100));
    server.stop().await;
    let error = aloud.push(&notice(1)).send().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let server = Server::start().await;
    let wrong = Token::new("x".repeat(40)).unwrap();
    let aloud = Aloud::new(format!("http://{}", server.address), wrong).unwrap();
    let error = aloud.push(&notice(1)).send().await.unwrap_err();
    assert_eq!(error.status(), Some(401), "{error}");
    let mut settings = server.settings();
    settings.app = Some("shop".parse().unwrap());
    let error = Aloud::with(settings).unwrap().push(&notice(1)).send().await.unwrap_err();
    assert_eq!(error.status(), Some(403), "{error}");
    assert!(error.happened().contains("`shop`"), "{error}");
    assert_eq!(server.pushed().await, 0);
}

#[tokio::test]
async fn a_stranger_is_not_taken_for_the_server() {
    let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = stranger.local_addr().unwrap();
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n<h1>Hello.</h1>",
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nnot found",
        "HTTP/1.1 409 Conflict\r\ncontent-type: application/problem+json\r\ncontent-length: 2\r\n\r\n{}",
        "nonsense\r\n\r\n",
    ];
    let serving = tokio::spawn(async move {
        for answer in answers {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut stream, _) = stranger.accept().await.unwrap();
            let mut request = [0; 4_096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    for answer in answers {
        // A client each: no connection is used twice.
        let api = Api::new(Settings::new(format!("http://{address}"), None)).unwrap();
        let error = api.status().await.unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{answer}: {error:?}");
    }
    serving.await.unwrap();
}

#[tokio::test]
async fn every_route_has_its_method() {
    let server = Server::start().await;
    let (aloud, api) = (server.aloud(), server.api());
    aloud.push(&notice(1)).id("one").in_(Span::from_secs(60)).send().await.unwrap();
    let mail = "mail".parse().unwrap();
    let found = api.jobs(&JobQuery { queue: Some("mail".parse().unwrap()), ..JobQuery::default() }).await.unwrap();
    assert_eq!(found.jobs.len(), 1);
    assert_eq!(api.retry("one").await.unwrap().state, Phase::Ready);
    let pause = PauseQueue { by: "Ute".into(), reason: "the relay is down".into(), for_: None };
    assert_eq!(api.pause(&mail, &pause).await.unwrap().by, "Ute");
    assert_eq!(api.queues().await.unwrap().queues[0].paused.as_ref().unwrap().reason, "the relay is down");
    assert_eq!(api.resume(&mail).await.unwrap().unwrap().by, "Ute");
    assert!(api.resume(&mail).await.unwrap().is_none());
    assert_eq!(api.cancel("one").await.unwrap().outcome, Outcome::Cancelled);
    assert!(api.cancel("nobody").await.unwrap_err().is_no_such_job());
    assert_eq!(api.status().await.unwrap().app, "notice");
    let error = api.cancel("..").await.unwrap_err();
    assert!(matches!(error, Error::Config { .. }), "{error}");
}
