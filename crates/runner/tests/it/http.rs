//! Jobs done by a request.

use job::{Key, Span};
use runner::{Ack, Handler, HttpHandler, Run};

use crate::app::{App, Then, answer};
use crate::bench::{Bench, Ended, kind, secret};

fn post_to(app: &App) -> Run {
    post(app, Ack::Job)
}

fn post(app: &App, ack: Ack) -> Run {
    Run::Http(HttpHandler { address: app.at("/jobs/notice?token=geheim"), ack, secret: secret() })
}

/// Runs one job against it, and tells how that failed.
async fn failure(app: &App) -> (String, String) {
    let bench = Bench::new(post_to(app));
    let failed = bench.push_and_run("null").await.retrying();
    assert!(!failed.1.contains("geheim"), "what stands in the query is nobody's business: {}", failed.1);
    failed
}

#[tokio::test]
async fn a_request_carries_the_job_and_a_signature_and_its_confirmation_is_the_end() {
    let app = App::right(200, "sent to 3 people").await;
    let bench = Bench::new(post_to(&app));
    let payload = r#"{"to": "ute@example.com",   "n": 1.50}"#;
    let id = bench
        .push_as(payload, |job| {
            job.spec.key = Some("notice:42 für Ute".parse::<Key>().unwrap());
        })
        .await;
    assert_eq!(bench.ended(&id).await.done().as_deref(), Some("sent to 3 people"));

    let [seen] = &app.seen()[..] else { panic!("{:?}", app.seen()) };
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/jobs/notice?token=geheim"));
    assert_eq!(seen.body, payload.as_bytes(), "byte for byte");
    assert_eq!(seen.header("aloud-job"), id.to_string());
    assert_eq!(seen.header("idempotency-key"), id.to_string());
    assert_eq!(seen.header("aloud-kind"), "notice.send");
    assert_eq!(seen.header("aloud-queue"), "mail");
    assert_eq!(seen.header("aloud-attempt"), "1");
    assert_eq!(seen.header("aloud-key"), "notice:42%20f%C3%BCr%20Ute");
    assert_eq!(seen.header("content-type"), "application/json");
    let timestamp = seen.header("aloud-timestamp");
    let age = bench.queue.now().wall.0 / 1_000_000 - timestamp.parse::<i64>().unwrap();
    assert!((0..60).contains(&age), "{age}");
    let signature = secret().sign(timestamp, seen.header("aloud-job"), &seen.body);
    assert_eq!(seen.header("aloud-signature"), format!("v1={signature}"));
}

#[tokio::test]
async fn an_id_that_is_not_ascii_can_be_confirmed_as_it_was_sent() {
    let app = App::right(204, "").await;
    let bench = Bench::new(post_to(&app));
    let id = bench.push_as("null", |job| job.client_id = Some("büro-%1".parse().unwrap())).await;
    assert_eq!(bench.ended(&id).await.done(), None);
    assert_eq!(app.seen()[0].header("aloud-job"), "b%C3%BCro-%251");
}

#[tokio::test]
async fn a_wrong_virtual_host_that_answers_200_is_not_an_end() {
    let app = App::answering(|_| answer(200, &[], "It works!")).await;
    let (class, message) = failure(&app).await;
    assert_eq!(class, "http.unconfirmed");
    assert_eq!(
        message,
        format!(
            "the answer 200 OK of {}?… did not carry `Aloud-Job: j1`: another site or a catch-all page may have \
             answered. It said:\nIt works!",
            app.url("/jobs/notice")
        )
    );
}

#[tokio::test]
async fn a_catch_all_page_is_not_an_end() {
    let page = "<!doctype html><title>Shop</title><h1>Welcome</h1>";
    let app = App::answering(move |_| answer(200, &[("content-type", "text/html")], page)).await;
    let (class, message) = failure(&app).await;
    assert_eq!(class, "http.unconfirmed");
    assert!(message.contains("<h1>Welcome</h1>"), "the page is kept as evidence: {message}");
}

#[tokio::test]
async fn an_answer_about_another_job_is_not_an_end() {
    let app = App::answering(|_| answer(200, &[("aloud-job", "j999")], "")).await;
    let (class, message) = failure(&app).await;
    assert_eq!(class, "http.wrong_job");
    assert!(message.contains("carried `Aloud-Job: j999` instead of `j1`"), "{message}");

    let app = App::answering(|_| answer(200, &[("aloud-job", "j1"), ("aloud-job", "j2")], "")).await;
    assert_eq!(failure(&app).await.0, "http.wrong_job", "two names are none");

    let app = App::answering(|_| answer(200, &[("aloud-job", "j999")], "")).await;
    let bench = Bench::new(post(&app, Ack::Status));
    assert_eq!(bench.push_and_run("null").await.retrying().0, "http.wrong_job", "even if the status would do");
}

#[tokio::test]
async fn the_status_alone_is_enough_where_that_was_asked_for() {
    let app = App::answering(|_| answer(201, &[], "made")).await;
    let bench = Bench::new(post(&app, Ack::Status));
    assert_eq!(bench.push_and_run("null").await.done().as_deref(), Some("made"));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_never_followed() {
    for status in [301, 302, 303, 307, 308] {
        let app = App::answering(move |seen| match seen.path.as_str() {
            "/login" => answer(200, &[("aloud-job", "j1")], ""),
            _ => answer(status, &[("location", "/login")], ""),
        })
        .await;
        let (class, message) = failure(&app).await;
        assert_eq!(class, "http.redirect");
        assert!(message.contains("redirects to /login"), "{message}");
        assert_eq!(app.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn gone_ends_the_job_as_skipped() {
    let app = App::answering(|_| answer(410, &[], "the notice was switched off")).await;
    let bench = Bench::new(post_to(&app));
    assert_eq!(bench.push_and_run("null").await.skipped().as_deref(), Some("the notice was switched off"));

    let app = App::answering(|_| answer(410, &[("aloud-job", "j77")], "")).await;
    assert_eq!(failure(&app).await.0, "http.status_410", "gone, but another job");
}

#[tokio::test]
async fn too_many_requests_with_a_time_puts_the_job_off_and_costs_no_attempt() {
    let app = App::answering(|_| answer(429, &[("retry-after", "120")], "slow down")).await;
    let bench = Bench::new(post_to(&app));
    let (why, wait) = bench.push_and_run("null").await.snoozed();
    assert!(why.contains("429 Too Many Requests") && why.contains("slow down"), "{why}");
    assert_eq!(wait, Span::from_secs(120));

    let app = App::answering(|_| answer(429, &[], "")).await;
    assert_eq!(failure(&app).await.0, "http.status_429", "without a time it is a failure like others");
}

#[tokio::test]
async fn a_failure_with_a_time_is_not_tried_again_before() {
    let app = App::answering(|_| answer(503, &[("retry-after", "7200")], "down for maintenance")).await;
    let bench = Bench::new(post_to(&app));
    let found = bench.push_and_run("null").await;
    let (class, message) = found.retrying();
    assert_eq!(class, "http.status_503");
    assert!(message.contains("down for maintenance"), "{message}");
    assert_eq!(found.wait(), Span::from_secs(7_200), "longer than its policy would wait");
}

#[tokio::test]
async fn other_statuses_are_failures_that_keep_what_was_said() {
    for status in [400, 401, 403, 404, 405, 422, 500, 502, 504] {
        let app = App::answering(move |_| answer(status, &[("aloud-job", "j1")], "no such route")).await;
        let (class, message) = failure(&app).await;
        assert_eq!(class, format!("http.status_{status}"));
        assert!(message.contains("no such route"), "{message}");
    }
}

#[tokio::test]
async fn an_application_that_is_not_there_is_a_failure() {
    let (class, message) = failure(&App::absent().await).await;
    assert_eq!(class, "http.unreachable");
    assert!(message.contains("refused"), "{message}");
}

#[tokio::test]
async fn garbage_is_a_failure() {
    for garbage in [&b"\x00\xff\x16\x03\x01garbage\r\n\r\n"[..], b"", b"SSH-2.0-OpenSSH_9.2\r\n"] {
        let app = App::raw(garbage, Then::Close).await;
        let (class, message) = failure(&app).await;
        assert_eq!(class, "http.broken", "{message}");
        assert!(message.contains("did not answer in HTTP"), "{message}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure_whatever_its_beginning_said() {
    let app = App::raw(b"HTTP/1.1 200 OK\r\nAloud-Job: j1\r\nContent-Length: 100\r\n\r\nsent to", Then::Close).await;
    let (class, message) = failure(&app).await;
    assert_eq!(class, "http.broken");
    assert!(message.contains("broke off after 7 bytes"), "{message}");
}

#[tokio::test]
async fn an_application_that_hangs_is_a_failure_after_its_time() {
    for beginning in [&b""[..], b"HTTP/1.1 200 OK\r\nAloud-Job: j1\r\nContent-Length: 100\r\n\r\nsent"] {
        let app = App::raw(beginning, Then::Hang).await;
        let handler = Handler::new(kind(), post_to(&app)).with_timeout(Span::from_millis(200)).unwrap();
        let bench = Bench::with(handler);
        let (class, message) = bench.push_and_run("null").await.retrying();
        assert_eq!(class, "http.timeout");
        assert!(message.contains("whether the job was done there is unknown"), "{message}");
    }
}

#[tokio::test]
async fn a_giant_answer_is_not_read_to_its_end() {
    let endless = App::answering(|_| {
        let pieces = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 8_192]));
        answer(200, &[("aloud-job", "j1")], axum::body::Body::from_stream(pieces))
    })
    .await;
    assert_eq!(failure(&endless).await.0, "http.too_large");

    let announced = App::answering(|_| answer(200, &[("aloud-job", "j1")], vec![b'x'; 65_537])).await;
    let (class, message) = failure(&announced).await;
    assert_eq!(class, "http.too_large");
    assert!(message.contains("more than 65536 bytes"), "{message}");

    let just = App::answering(|_| answer(200, &[("aloud-job", "j1")], vec![b'x'; 65_536])).await;
    let kept = Bench::new(post_to(&just)).push_and_run("null").await.done().unwrap();
    assert!(kept.len() <= 4_096 && kept.contains("bytes left out"), "{}", kept.len());

    let headers = App::raw(b"X-Endless: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", Then::Repeat).await;
    assert_eq!(failure(&headers).await.0, "http.broken");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_no_job() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let acceptor = crate::mailbox::acceptor(&certificate);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.is_err()
    });
    let address = format!("https://localhost:{port}/").parse().unwrap();
    let bench = Bench::new(Run::Http(HttpHandler { address, ack: Ack::Job, secret: secret() }));
    let (class, message) = bench.push_and_run("null").await.retrying();
    assert_eq!(class, "http.tls", "{message}");
    assert!(message.contains("is not trusted"), "{message}");
    assert!(server.await.unwrap(), "the handshake itself failed");
}
