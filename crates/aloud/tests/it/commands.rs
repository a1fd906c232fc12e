//! What a person does with a server.

use aloud_client::v1::{JobView, PauseView, PushedJob, QueueView, Status};
use job::{Outcome, Phase};
use serde::Deserialize;

use crate::scratch::Scratch;

#[test]
fn the_first_minutes_go_as_the_manual_says() {
    let scratch = Scratch::new();
    let said = scratch.run(&["init", "--app", "shop", "--data", "data"]).fine();
    assert_eq!(said.out, "wrote    DIR/aloud.toml\nstore    DIR/data\ntoken    DIR/data/token\n");
    assert!(said.err.contains("`aloud up`"), "{}", said.err);

    let mut up = scratch.aloud(&["up"]);
    up.env("ALOUD_HTTP", "127.0.0.1:0");
    let server = crate::scratch::Server::start(&scratch, up).map_err(|said| said.err).unwrap();
    // The token and the app come from aloud.toml; only the port was drawn.
    let run = |args: &[&str]| scratch.run(&[args, &["--url", &server.url]].concat());

    let said = run(&["push", "notice.send", r#"{"to": "ute"}"#, "--in", "30m", "--key", "notice:42"]).fine();
    assert_eq!((said.out.as_str(), said.err.as_str()), ("j1\n", "new, scheduled\n"));
    let again = run(&["push", "notice.send", r#"{"to": "ute"}"#, "--in", "30m", "--key", "notice:42"]).fine();
    assert_eq!(again.out, "j1\n");
    assert!(again.err.starts_with("not new"), "{}", again.err);

    let list = run(&["jobs"]).fine().out;
    let rows: Vec<Vec<&str>> = list.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..5], ["ID", "STATE", "QUEUE", "KIND", "KEY"]);
    assert_eq!(rows[1][..5], ["j1", "scheduled", "default", "notice.send", "notice:42"]);
    let page = run(&["job", "j1"]).fine().out;
    assert!(page.contains("state:      scheduled\n") && page.contains("payload:    {\"to\": \"ute\"}\n"), "{page}");

    let held = run(&["queues", "pause", "default", "--for", "2h", "--reason", "the relay is down"]).fine().out;
    assert!(held.starts_with("default is held by ute, ends in 1h 59m"), "{held}");
    let queues: Vec<QueueView> = run(&["queues", "--json"]).fine().json();
    assert_eq!(queues[0].paused.as_ref().unwrap().reason, "the relay is down");
    assert_eq!(queues[0].scheduled, 1);
    let resumed: Option<PauseView> = run(&["queues", "resume", "default", "--json"]).fine().json();
    assert_eq!(resumed.unwrap().by, "ute");
    assert_eq!(run(&["queues", "resume", "default"]).fine().out, "default was not held\n");

    assert_eq!(run(&["job", "cancel", "j1"]).fine().out, "j1 is cancelled, and will not start\n");
    let job: JobView = run(&["job", "show", "j1", "--json"]).fine().json();
    assert_eq!((job.state, job.outcome), (Phase::Ended, Some(Outcome::Cancelled)));

    let status = run(&["status"]).fine().out;
    assert!(status.starts_with("ok: serving, app shop\n"), "{status}");
    assert!(status.contains("1 pushed = 0 waiting + 0 running + 0 dead"), "{status}");
    server.stop();
}

#[test]
fn a_push_says_what_it_was_told_to_say() {
    let scratch = Scratch::new();
    let server = scratch.server();
    let push = |args: &[&str]| server.run(&scratch, &[&["push"], args].concat());
    let show = |id: &str| server.run(&scratch, &["job", id, "--json"]).fine().json::<JobView>();

    let pushed: PushedJob = push(&[
        "mail.send",
        "[1,  2.0]",
        "--queue=mail",
        "--at=2099-12-01T09:00:00+01:00",
        "--priority=7",
        "--guard=exec:still-wanted",
        "--expires-in=1h",
        "--id=order-1",
        "--json",
    ])
    .fine()
    .json();
    assert!(pushed.is_new() && pushed.id == "order-1", "{pushed:?}");
    let job = show("order-1");
    assert_eq!(job.payload.get(), "[1,  2.0]", "the payload is kept byte for byte");
    assert_eq!((job.queue.as_str(), job.priority), ("mail", 7));
    assert_eq!(job.due.unwrap().to_string(), "2099-12-01T08:00:00.000Z");
    assert_eq!(job.guard, Some(job::Guard::Exec("still-wanted".to_owned())));
    assert!(job.expires.is_some());

    let again = push(&["mail.send", "--queue=mail", "--id=order-1"]).fine();
    assert_eq!(again.out, "order-1\n");
    assert_eq!(again.err, "not new: a job with this id was pushed before, and has not ended\n");

    let first = push(&["k", "--in=1h", "--key=a"]).fine().out.trim().to_owned();
    let replaced: PushedJob = push(&["k", "--in=1h", "--key=a", "--on-conflict=replace", "--json"]).fine().json();
    assert_eq!(replaced.replaced, Some(first));
    let rejected = push(&["k", "--in=1h", "--key=a", "--on-conflict=reject"]).ends(1);
    assert!(rejected.err.contains("a") && rejected.err.contains("\nhint: "), "{}", rejected.err);
    assert_eq!(server.run(&scratch, &["job", "cancel", "--key=a"]).fine().out.lines().count(), 1);
    assert_eq!(show(&replaced.id).outcome, Some(Outcome::Cancelled));

    let from_stdin = scratch.run_with(&server.args(&["push", "k", "-"]), b"{\"from\": \"stdin\"}\n").fine();
    assert_eq!(show(from_stdin.out.trim()).payload.get(), "{\"from\": \"stdin\"}");
    server.stop();
}

#[test]
fn jobs_are_searched_and_paged() {
    let scratch = Scratch::new();
    let server = scratch.server();
    for number in 0..7 {
        let (key, queue) = (format!("--key=n:{number}"), if number < 5 { "--queue=mail" } else { "--queue=sms" });
        server.run(&scratch, &["push", "k", "--in=1h", &key, queue]).fine();
    }
    server.run(&scratch, &["job", "cancel", "j2", "j3"]).fine();
    let ids = |args: &[&str]| -> Vec<String> {
        let said = server.run(&scratch, &[&["jobs", "--json"], args].concat()).fine();
        said.out.lines().map(|line| serde_json::from_str::<JobView>(line).unwrap().id).collect()
    };
    assert_eq!(ids(&["--queue=sms"]), ["j7", "j6"]);
    assert_eq!(ids(&["--state=scheduled", "--queue=mail"]), ["j5", "j4", "j1"]);
    assert_eq!(ids(&["--state=ended,dead", "--outcome=cancelled"]).len(), 2);
    assert_eq!(ids(&["--key=n:3"]), ["j4"]);
    assert_eq!(ids(&["--kind=other"]), Vec::<String>::new());
    assert_eq!(ids(&["--all"]).len(), 7);

    let page = server.run(&scratch, &["jobs", "--json", "--limit=3"]).fine();
    let place = page.err.split("--after ").nth(1).unwrap().trim().to_owned();
    let rest = ids(&["--limit=100", "--after", &place]);
    assert_eq!(page.out.lines().count() + rest.len(), 7, "{rest:?}");

    let array: Vec<JobView> = server.run(&scratch, &["jobs", "--json=array", "--all"]).fine().json();
    assert_eq!(array.len(), 7);
    let none: Vec<JobView> = server.run(&scratch, &["jobs", "--json=array", "--queue=fax"]).fine().json();
    assert!(none.is_empty());
    server.stop();
}

#[test]
fn a_dead_job_is_tried_again_or_deleted() {
    use aloud_client::v1::{Fail, LeaseWish};
    let scratch = Scratch::new();
    let server = scratch.server();
    server.run(&scratch, &["push", "k"]).fine();
    server.run(&scratch, &["push", "k"]).fine();
    crate::scratch::wait(async {
        let api = server.api();
        let wish = LeaseWish { limit: 2, ..serde_json::from_str(r#"{"queues":["default"],"worker":"w"}"#).unwrap() };
        for job in api.lease(&wish).await.unwrap().jobs {
            let fail = r#"{"lease":"","error":{"class":"Gone","message":"the page is gone"},"permanent":true}"#;
            let fail = Fail { lease: job.lease, ..serde_json::from_str(fail).unwrap() };
            api.fail(&job.id, &fail).await.unwrap();
        }
    });
    let page = server.run(&scratch, &["job", "j1"]).fine().out;
    assert!(page.contains("state:      dead\n") && page.contains("Gone: the page is gone\n"), "{page}");
    assert_eq!(server.run(&scratch, &["job", "retry", "j1"]).fine().out, "j1 is ready again\n");
    assert_eq!(server.run(&scratch, &["job", "delete", "j2"]).fine().out, "j2 was dead, and is deleted\n");
    // One that is refused does not keep the others from being done.
    let said = server.run(&scratch, &["job", "cancel", "j2", "nosuch", "j1"]).ends(1);
    assert_eq!(said.out.lines().last(), Some("j1 is cancelled, and will not start"), "{}", said.err);
    server.stop();
}

#[test]
fn a_status_is_a_verdict_and_an_exit_code() {
    #[derive(Deserialize)]
    struct Judged {
        verdict: String,
        status: Status,
    }
    let scratch = Scratch::new();
    let server = scratch.server();
    server.run(&scratch, &["push", "k"]).fine();
    let judged: Judged = server.run(&scratch, &["status", "--json"]).fine().json();
    assert_eq!(judged.verdict, "ok");
    assert!(judged.status.serving && judged.status.ledger.adds_up && judged.status.ledger.pushed == 1);
    assert!(!judged.status.relaxed);
    let gone = server.args(&["status"]).into_iter().map(str::to_owned).collect::<Vec<_>>();
    server.stop();
    let gone: Vec<_> = gone.iter().map(String::as_str).collect();
    let said = scratch.run(&gone).ends(2);
    assert!(said.err.starts_with("error: cannot reach the server at "), "{}", said.err);
}

#[test]
fn relaxed_durability_is_named_as_such() {
    let scratch = Scratch::new();
    let args = ["server", "--data", "data", "--init", "--http", "127.0.0.1:0", "--durability", "relaxed"];
    let server = scratch.start(&args);
    server.run(&scratch, &["push", "k"]).fine();
    let status = server.run(&scratch, &["status"]).fine().out;
    assert!(status.contains("durability  relaxed: a power cut may take the last second\n"), "{status}");
    assert!(server.log().contains("durability is relaxed"), "{}", server.log());
    server.stop();
}

#[test]
fn a_configuration_elsewhere_brings_its_own_folder() {
    let scratch = Scratch::new();
    for folder in ["etc", "elsewhere"] {
        std::fs::create_dir(scratch.path().join(folder)).unwrap();
    }
    scratch.run(&["init", "--app", "shop", "--config", "etc/shop.toml", "--data", "store"]).fine();
    assert!(scratch.path().join("store/aloud.db").exists());
    // A path in the file that is not absolute starts at the file.
    let path = scratch.path().join("etc/shop.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let moved = text.replace(&format!("\"{}\"", scratch.path().join("store").display()), "\"../store\"");
    assert_ne!(moved, text);
    std::fs::write(&path, moved).unwrap();
    let mut up = scratch.aloud(&["up", "--config", "../etc/shop.toml"]);
    up.current_dir(scratch.path().join("elsewhere")).env("ALOUD_HTTP", "127.0.0.1:0");
    let server = crate::scratch::Server::start(&scratch, up).map_err(|said| said.err).unwrap();
    let mut push = scratch.aloud(&["push", "k", "--url", &server.url]);
    push.env("ALOUD_CONFIG", "../etc/shop.toml").current_dir(scratch.path().join("elsewhere"));
    assert_eq!(scratch.end(push).fine().out, "j1\n");
    server.stop();
}
