//! The application as a browser and as aloud see it, over a real socket.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::time::Duration;

use aloud_client::outbox::{self, Relay};
use aloud_client::{Aloud, Outcome, Phase};
use hmac::{Hmac, KeyInit, Mac};
use notice::book::{Book, SendNotice, Terms, Turned};
use notice::clock::Millis;
use notice::{Running, Settings};
use reqwest::StatusCode;
use reqwest::header::{HOST, LOCATION, ORIGIN};
use tempfile::TempDir;
use tokio::net::TcpListener;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Site {
    folder: TempDir,
    running: Running,
    browser: reqwest::Client,
}

/// The application without an aloud: nothing answers at its address.
async fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let secret_file = folder.path().join("secret");
    std::fs::write(&secret_file, SECRET).unwrap();
    let settings = Settings {
        data: folder.path().to_owned(),
        aloud: aloud_client::Settings::new("http://127.0.0.1:9", None),
        secret_file,
        delay: Duration::from_secs(1_800),
        mailbox: None,
        tamper: true,
        relay: false,
    };
    let running = notice::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), settings).await.unwrap();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    Site { folder, running, browser }
}

impl Site {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address())
    }

    fn book(&self) -> Book {
        Book::open(&self.folder.path().join("notice.db")).unwrap()
    }

    fn post(&self, path: &str, form: &str) -> reqwest::RequestBuilder {
        let request = self.browser.post(self.url(path)).body(form.to_owned());
        request.header("content-type", "application/x-www-form-urlencoded")
    }

    async fn on(&self, id: i64) -> String {
        let post = self.post(&format!("/requests/{id}/switch"), "on=true").header("accept", "application/json");
        let answer: serde_json::Value = serde_json::from_str(&text(post).await.1).unwrap();
        answer["job"].as_str().unwrap().to_owned()
    }

    /// Asks as aloud does.
    fn ask(&self, job: &str, secret: &str) -> reqwest::RequestBuilder {
        let (timestamp, body) = ((Millis::now().0 / 1_000).to_string(), r#"{"id":"whatever"}"#);
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{timestamp}.{job}.{body}").as_bytes());
        let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.browser
            .post(self.url("/guard/notice"))
            .header("aloud-job", job)
            .header("aloud-timestamp", timestamp)
            .header("aloud-signature", format!("v1={signature}"))
            .body(body)
    }
}

async fn text(request: reqwest::RequestBuilder) -> (StatusCode, String) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_switch_is_turned_by_a_plain_form() {
    let site = site().await;
    let answer = site.post("/requests/2/switch", "on=true").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[LOCATION], "/");
    let (_, page) = text(site.browser.get(site.url("/"))).await;
    assert!(page.contains(r#"aria-checked="true""#), "{page}");
    assert!(page.contains("in 30 minutes"), "{page}");
    assert_eq!(site.post("/requests/2/switch", "on=maybe").send().await.unwrap().status(), 422);
    assert_eq!(site.post("/requests/99/switch", "on=true").send().await.unwrap().status(), 404);
    site.running.stop().await;
}

#[tokio::test]
async fn another_sites_page_turns_nothing() {
    let site = site().await;
    let elsewhere = site.post("/requests/2/switch", "on=true").header(ORIGIN, "https://evil.example");
    assert_eq!(text(elsewhere).await.0, StatusCode::FORBIDDEN);
    let renamed = site.browser.get(site.url("/")).header(HOST, "evil.example");
    assert_eq!(text(renamed).await.0, StatusCode::FORBIDDEN);
    assert!(!site.book().requests().unwrap()[1].wanted);
    let here = site.post("/requests/2/switch", "on=true").header(ORIGIN, format!("http://{}", site.running.address()));
    assert_eq!(text(here).await.0, StatusCode::SEE_OTHER);
    assert!(site.book().requests().unwrap()[1].wanted);
    site.running.stop().await;
}

#[tokio::test]
async fn aloud_is_told_whether_a_mail_is_still_wanted() {
    let site = site().await;
    let job = site.on(2).await;
    let yes = text(site.ask(&job, SECRET)).await;
    assert_eq!(yes, (StatusCode::OK, format!(r#"{{"job":"{job}","run":true}}"#)));
    site.post("/requests/2/tamper", "").send().await.unwrap();
    let no = text(site.ask(&job, SECRET)).await;
    assert_eq!(no, (StatusCode::OK, format!(r#"{{"job":"{job}","run":false,"why":"the switch is off"}}"#)));
    site.running.stop().await;
}

#[tokio::test]
async fn whoever_asks_about_another_applications_job_or_is_not_aloud_gets_no_answer() {
    let site = site().await;
    let job = site.on(2).await;
    let (status, body) = text(site.ask("somebody-elses", SECRET)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(!body.contains("run"), "{body}");
    assert_eq!(text(site.ask(&job, "another secret")).await.0, StatusCode::UNAUTHORIZED);
    let unsigned = site.browser.post(site.url("/guard/notice")).header("aloud-job", &job);
    assert_eq!(text(unsigned).await.0, StatusCode::UNAUTHORIZED);
    site.running.stop().await;
}

#[tokio::test]
async fn an_open_page_hears_of_every_turn_and_does_not_hold_up_the_end() {
    let site = site().await;
    let mut live = site.browser.get(site.url("/live")).send().await.unwrap();
    let first = event(&mut live).await;
    assert_eq!(first["rows"].as_array().unwrap().len(), 5);
    site.on(2).await;
    let row = loop {
        let event = event(&mut live).await;
        let row = event["rows"][1]["html"].as_str().unwrap().to_owned();
        if row.contains("Goes out") {
            break row;
        }
    };
    assert!(row.contains(r#"aria-checked="true""#), "{row}");
    let stopped = tokio::time::timeout(Duration::from_secs(10), site.running.stop()).await;
    assert!(stopped.is_ok(), "the open page held up the end");
}

async fn event(live: &mut reqwest::Response) -> serde_json::Value {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        text += std::str::from_utf8(&live.chunk().await.unwrap().expect("the page is told more")).unwrap();
    }
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap()
}

#[tokio::test]
async fn what_a_switch_asks_for_reaches_aloud_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notice.db");
    let book = Book::open(&path).unwrap();
    let terms = Terms { delay: Duration::from_secs(60), guard: "http://127.0.0.1:8080/guard/notice".to_owned() };
    let mut jobs = Vec::new();
    for on in [true, false, true] {
        let turned = if on { book.switch_on(3, &terms, Millis::now()).unwrap() } else { book.switch_off(3).unwrap() };
        let Turned::Now(job) = turned else { panic!("{turned:?}") };
        jobs.extend(job);
    }
    let (aloud, recorded) = Aloud::recorded();
    let relay = Relay::start(outbox::Sqlite::open(&path).unwrap(), aloud);
    let handed_over = async {
        while recorded.pushed::<SendNotice>().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), handed_over).await.expect("the relay hands over what is kept");
    relay.stop().await;
    let pushed = recorded.pushed::<SendNotice>();
    let became: Vec<_> = pushed.iter().map(|one| (one.view.id.clone(), one.view.state, one.view.outcome)).collect();
    assert_eq!(
        became,
        [(jobs[0].clone(), Phase::Ended, Some(Outcome::Cancelled)), (jobs[1].clone(), Phase::Scheduled, None)]
    );
    assert_eq!(pushed[1].view.key.as_ref().unwrap().as_str(), "notice:3");
    assert_eq!(pushed[1].job.to, "chair@example.org");
}
