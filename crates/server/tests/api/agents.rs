//! Hosts, their agents and workers: `/v1/agents`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use job::time::ManualClock;
use job::{Answer, Clock, Guard, Rules, Span};
use queue::{Guards, Queue};
use serde_json::{Value, json};
use server::agents::Forwarded;
use server::{Agents, Options, Token};
use store::memory::Memory;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Client, Response, last_answer};
use crate::running::Running;

/// A server with a folder for the tokens of hosts.
struct Fleet {
    server: Running,
    folder: TempDir,
}

impl Fleet {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(folder.path()).await;
        Self { server, folder }
    }

    fn agents(&self) -> PathBuf {
        self.folder.path().join("agents")
    }

    /// Adds a host, and answers a client with its token.
    fn add(&self, host: &str) -> Client {
        let path = Agents::add(&self.agents(), &host.parse().unwrap()).unwrap();
        Client::new(self.server.client.address, Token::read(&path).unwrap().reveal())
    }

    async fn status(&self) -> Response {
        self.server.client.get("/v1/status").await
    }

    /// What is not as it should be.
    async fn findings(&self) -> Vec<String> {
        serde_json::from_value(self.status().await.at("/findings")).unwrap()
    }

    async fn report(&self, host: &str, report: &Value) -> Response {
        self.server.client.post(&format!("/v1/agents/{host}"), &report.to_string()).await
    }

    /// Sends a report that waits, and answers the connection.
    async fn wait_with(&self, host: &str, report: &Value) -> TcpStream {
        let mut stream = self.server.client.connect().await;
        let path = format!("/v1/agents/{host}");
        let request = self.server.client.request("POST", &path).json(&report.to_string()).bytes();
        stream.write_all(&request).await.unwrap();
        stream
    }

    async fn lease(&self, wait: &str) -> TcpStream {
        let mut stream = self.server.client.connect().await;
        let wish = format!(r#"{{"queues":["default"],"worker":"w","wait":"{wait}"}}"#);
        stream.write_all(&self.as_worker("POST", "/v1/lease", &wish)).await.unwrap();
        stream
    }

    /// A request of the worker `mail.1.g7.aa`, on release 66.
    fn as_worker(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let request = self.server.client.request(method, path);
        request.header("Aloud-Worker", "mail.1.g7.aa").header("Aloud-Release", "66").json(body).bytes()
    }

    async fn stop(self) {
        self.server.stop().await;
    }
}

async fn serve(folder: &Path) -> Running {
    let agents = Agents::kept_in(folder.join("agents"));
    Running::under(|options| options.agents = agents).await
}

/// A report of the agent `life`, at nine.
fn report(life: &str) -> Value {
    json!({"agent": life, "version": "0.1.0", "at": "2026-12-01T09:00:00Z", "verdict": "ok"})
}

fn with(mut report: Value, field: &str, value: Value) -> Value {
    report[field] = value;
    report
}

fn observation(verdict: &str, what: &str) -> Value {
    let subject = json!({"workers": {"host": "web1", "pool": "mail"}});
    json!({"subject": subject, "at": "2026-12-01T09:00:00Z", "verdict": verdict, "what": what, "evidence": ["pid 7"]})
}

#[tokio::test]
async fn a_hosts_token_counts_from_when_it_is_added_until_it_is_removed() {
    let fleet = Fleet::start().await;
    let stranger = Client::new(fleet.server.client.address, &format!("alo_{}", "0".repeat(64)));
    assert_eq!(stranger.get("/v1/agents").await.status, 401);
    let web1 = fleet.add("web1");
    let body = report("a").to_string();
    assert_eq!(web1.post("/v1/agents/web1", &body).await.status, 200);
    assert_eq!(fleet.server.client.get("/v1/agents").await.at("/agents/0/host"), "web1");
    assert!(Agents::remove(&fleet.agents(), &"web1".parse().unwrap()).unwrap());
    assert_eq!(web1.post("/v1/agents/web1", &body).await.status, 401);
    fleet.stop().await;
}

#[tokio::test]
async fn a_hosts_token_opens_what_its_agent_needs_and_nothing_else() {
    let fleet = Fleet::start().await;
    let web1 = fleet.add("web1");
    let body = report("a").to_string();
    assert_snapshot!(web1.post("/v1/agents/web2", &body).await.problem(), @r"
    403 other-host
    the token is that of the host `web1`, and the request is for `web2`
      It was not looked at, and nothing was changed. An agent speaks for its own host only.
    hint: send it to `/v1/agents/web1`, or with the token that `aloud agents add` wrote for that host
    ");
    assert_snapshot!(web1.post("/v1/jobs", r#"{"kind":"k"}"#).await.problem(), @r"
    403 not-for-agents
    the token is that of the host `web1`, and does not open this address
      The request was not looked at, and nothing was changed. With a host's token an agent reports, and takes and ends the jobs that it runs itself.
    hint: send the app's token: the text in the server's own token file
    ");
    for (method, path) in [
        ("GET", "/v1/agents"),
        ("POST", "/v1/agents/web1/orders"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/j1"),
        ("DELETE", "/v1/jobs/j1"),
        ("POST", "/v1/jobs/j1/retry"),
        ("POST", "/v1/lease"),
        ("POST", "/v1/finish"),
        ("GET", "/v1/queues"),
        ("POST", "/v1/queues/q/pause"),
        ("GET", "/v1/status"),
        ("GET", "/v1/nothing/here"),
    ] {
        assert_eq!(web1.request(method, path).send().await.at("/type"), "about:blank#not-for-agents", "{path}");
    }
    let percent = web1.post("/v1/agents/web%32", &body).await;
    assert_eq!(percent.at("/type"), "about:blank#other-host", "a name is not hidden by how it is written");
    let wish = r#"{"kind":"report.make","worker":"web1"}"#;
    assert_eq!(web1.post("/v1/agents/web1/lease", wish).await.said(), r#"200 {"jobs":[]}"#);
    for act in ["ack", "extend"] {
        let path = format!("/v1/jobs/j1/{act}");
        let ended = web1.post(&path, r#"{"lease":"00000000000000ff"}"#).await;
        assert_eq!(ended.at("/type"), "about:blank#stale-lease", "{act} is let in, and there is no such job");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn an_agent_that_waits_is_answered_when_a_worker_speaks_first_and_when_it_ends_its_first_job() {
    let fleet = Fleet::start().await;
    let first = fleet.report("web1", &report("a")).await;
    let heard = first.at("/heard");
    let waiting = |heard| with(with(report("a"), "heard", heard), "wait", json!("60s"));
    let mut poll = fleet.wait_with("web1", &waiting(heard)).await;
    let mut lease = fleet.lease("60s").await;
    let told = last_answer(&mut poll).await;
    assert_eq!(told.at("/spoke/0/worker"), "mail.1.g7.aa");
    assert_eq!((told.at("/spoke/0/release"), told.at("/spoke/0/waiting")), ("66".into(), true.into()));
    assert_eq!((told.at("/spoke/0/leases"), told.at("/spoke/0/jobs")), (0.into(), 0.into()));

    let mut poll = fleet.wait_with("web1", &waiting(told.at("/heard"))).await;
    fleet.server.push(r#"{"kind":"k"}"#).await;
    let leased = last_answer(&mut lease).await;
    let ack = json!({"lease": leased.at("/jobs/0/lease")}).to_string();
    let mut stream = fleet.server.client.connect().await;
    stream.write_all(&fleet.as_worker("POST", "/v1/jobs/j1/ack", &ack)).await.unwrap();
    assert_eq!(last_answer(&mut stream).await.status, 200);
    let mut told = last_answer(&mut poll).await;
    // The job that was handed out may be told a moment before its end.
    while told.at("/spoke/0/jobs") != 1 {
        told = last_answer(&mut fleet.wait_with("web1", &waiting(told.at("/heard"))).await).await;
    }
    assert_eq!((told.at("/spoke/0/leases"), told.at("/spoke/0/waiting")), (1.into(), false.into()));
    let job = fleet.server.client.get("/v1/jobs/j1").await;
    assert_eq!(job.at("/attempts/0/worker"), "w (mail.1.g7.aa on 66)");
    fleet.stop().await;
}

#[tokio::test]
async fn more_of_the_same_is_told_within_a_second_and_nothing_new_when_the_wait_is_over() {
    let fleet = Fleet::start().await;
    let mut lease = fleet.lease("0s").await;
    last_answer(&mut lease).await;
    let told = fleet.report("web1", &report("a")).await;
    let waiting = |wait: &str, heard| with(with(report("a"), "heard", heard), "wait", json!(wait));
    let mut poll = fleet.wait_with("web1", &waiting("60s", told.at("/heard"))).await;
    last_answer(&mut fleet.lease("0s").await).await;
    let more = last_answer(&mut poll).await;
    assert!(more.at("/heard").as_u64() > told.at("/heard").as_u64());
    let nothing = fleet.report("web1", &waiting("50ms", more.at("/heard"))).await;
    assert_eq!(nothing.at("/heard"), more.at("/heard"));
    fleet.stop().await;
}

#[tokio::test]
async fn who_takes_jobs_without_a_name_is_told_by_its_connection_while_that_lasts() {
    let fleet = Fleet::start().await;
    let heard = fleet.report("web1", &report("a")).await.at("/heard");
    let waiting = with(with(report("a"), "heard", heard), "wait", json!("60s"));
    let mut poll = fleet.wait_with("web1", &waiting).await;
    let mut stream = fleet.server.client.connect().await;
    let wish = r#"{"queues":["default"],"worker":"w","wait":"60s"}"#;
    stream.write_all(&fleet.server.client.request("POST", "/v1/lease").json(wish).bytes()).await.unwrap();
    let told = last_answer(&mut poll).await;
    assert_eq!(told.at("/peers/0/peer"), stream.local_addr().unwrap().to_string());
    assert_eq!(told.at("/peers/0/waiting"), true);
    drop(stream);
    let gone = async {
        while fleet.report("web1", &report("a")).await.at("/peers") != json!([]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("a connection that ended is not told of");
    fleet.stop().await;
}

#[tokio::test]
async fn a_quiet_worker_gets_no_more_jobs_and_ends_those_it_has() {
    let fleet = Fleet::start().await;
    fleet.server.push(r#"{"kind":"k"}"#).await;
    let leased = last_answer(&mut fleet.lease("0s").await).await;
    let heard = fleet.report("web1", &report("a")).await.at("/heard");
    let mut lease = fleet.lease("60s").await;
    // It waits: its agent was told.
    let mut waits = fleet.report("web1", &with(report("a"), "heard", heard)).await;
    while waits.at("/spoke/0/waiting") != true {
        waits = fleet.report("web1", &report("a")).await;
    }
    let quiet = with(report("a"), "quiet", json!(["mail.1.g7.aa"]));
    assert_eq!(fleet.report("web1", &quiet).await.status, 200);
    let answered = last_answer(&mut lease).await;
    assert_eq!(answered.header("aloud-quiet"), Some("1"));
    assert_eq!(answered.said(), r#"200 {"jobs":[],"quiet":true}"#);

    fleet.server.push(r#"{"kind":"k"}"#).await;
    let later = last_answer(&mut fleet.lease("60s").await).await;
    assert_eq!((later.header("aloud-quiet"), later.said().as_str()), (Some("1"), r#"200 {"jobs":[],"quiet":true}"#));
    let ends = json!({
        "acks": [{"id": "j1", "lease": leased.at("/jobs/0/lease")}],
        "lease": {"queues": ["default"], "worker": "w", "wait": "60s"},
    });
    let mut stream = fleet.server.client.connect().await;
    stream.write_all(&fleet.as_worker("POST", "/v1/finish", &ends.to_string())).await.unwrap();
    let ended = last_answer(&mut stream).await;
    assert_eq!(ended.header("aloud-quiet"), Some("1"));
    assert_eq!(
        ended.said(),
        r#"200 {"ends":[{"id":"j1","settled":{"state":"ended","outcome":"done"}}],"jobs":[],"quiet":true}"#
    );
    assert_eq!(fleet.server.client.get("/v1/jobs/j2").await.at("/state"), "ready");

    fleet.report("web1", &report("a")).await;
    let again = last_answer(&mut fleet.lease("0s").await).await;
    assert_eq!(again.at("/jobs/0/id"), "j2", "who is not named any more gets jobs again");
    fleet.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_silent_for_long_keeps_nobody_quiet() {
    let fleet = Fleet::start().await;
    fleet.report("web1", &with(report("a"), "quiet", json!(["mail.1.g7.aa"]))).await;
    assert_eq!(last_answer(&mut fleet.lease("0s").await).await.at("/quiet"), true);
    fleet.server.advance(600);
    assert_eq!(last_answer(&mut fleet.lease("0s").await).await.at("/quiet"), Value::Null);
    fleet.stop().await;
}

#[tokio::test]
async fn a_registered_host_that_does_not_report_is_unknown_and_that_is_said() {
    let fleet = Fleet::start().await;
    let web1 = fleet.add("web1");
    let status = fleet.status().await;
    assert_eq!((status.at("/verdict"), status.at("/serving")), ("unknown".into(), true.into()));
    assert_eq!(fleet.findings().await, ["host web1 has not reported yet"]);
    let said = with(report("a"), "observations", json!([observation("ok", "2 of 2 are ready on 66")]));
    assert_eq!(web1.post("/v1/agents/web1", &said.to_string()).await.status, 200);
    let status = fleet.status().await;
    assert_eq!((status.at("/verdict"), status.at("/findings")), ("ok".into(), json!([])));
    fleet.server.advance(14);
    assert_eq!(fleet.status().await.at("/verdict"), "ok");
    fleet.server.advance(1);
    let status = fleet.status().await;
    assert_eq!((status.at("/verdict"), status.at("/hosts/0/fresh")), ("unknown".into(), false.into()));
    assert_eq!(fleet.findings().await, ["host web1 has not reported since 2026-12-01T09:00:00.000Z"]);
    let seen = status.at("/hosts/0/observations/1");
    assert_eq!((seen["what"].as_str(), seen["verdict"].as_str()), (Some("2 of 2 are ready on 66"), Some("unknown")));
    fleet.stop().await;
}

#[tokio::test]
async fn what_is_not_well_is_a_finding_worst_first_and_what_is_old_is_not_ok() {
    let fleet = Fleet::start().await;
    let mut old = observation("ok", "it was fine once");
    old["at"] = json!("2026-12-01T08:59:45Z");
    let seen = json!([observation("warning", "1 of 2 is ready"), observation("critical", "0 of 2 are on 66"), old]);
    fleet.report("web1", &with(report("a"), "observations", seen)).await;
    assert_eq!(
        fleet.findings().await,
        [
            "workers mail on web1: 0 of 2 are on 66",
            "workers mail on web1: it was fine once",
            "workers mail on web1: 1 of 2 is ready"
        ]
    );
    let status = fleet.status().await;
    assert_eq!((status.at("/verdict"), status.at("/hosts/0/verdict")), ("critical".into(), "critical".into()));
    let ahead = with(report("a"), "at", json!("2026-12-01T09:00:40Z"));
    fleet.report("web1", &ahead).await;
    assert_eq!(fleet.findings().await, ["host web1: its clock is 40 s ahead of the server's"]);
    fleet.stop().await;
}

#[tokio::test]
async fn after_a_restart_of_the_server_the_last_word_is_known_dated_and_not_believed() {
    let fleet = Fleet::start().await;
    let said = with(report("a"), "tree", json!({"root": "/srv/notice", "current": "66"}));
    fleet.report("web1", &with(said, "observations", json!([observation("critical", "0 of 2 are on 66")]))).await;
    let file = fleet.agents().join("web1.json");
    tokio::time::timeout(Duration::from_secs(20), async {
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the report is written");
    let Fleet { server, folder } = fleet;
    server.stop().await;
    let fleet = Fleet { server: serve(folder.path()).await, folder };
    let status = fleet.status().await;
    assert_eq!(status.at("/verdict"), "unknown");
    let host = status.at("/hosts/0");
    assert_eq!((&host["fresh"], &host["tree"]["current"]), (&json!(false), &json!("66")));
    assert_eq!(host["observations"][1]["what"], "0 of 2 are on 66");
    assert_eq!(fleet.findings().await, ["host web1 has not reported since 2026-12-01T09:00:00.000Z"]);
    assert!(Agents::remove(&fleet.agents(), &"web1".parse().unwrap()).unwrap());
    assert_eq!(fleet.status().await.at("/hosts"), json!([]), "what was removed is forgotten");
    fleet.stop().await;
}

#[tokio::test]
async fn two_agents_that_report_as_one_host_are_noticed_and_a_new_life_is_not_two() {
    let fleet = Fleet::start().await;
    for life in ["a", "b"] {
        assert_eq!(fleet.report("web1", &report(life)).await.at("/rival"), Value::Null);
    }
    assert_eq!(fleet.findings().await, [""; 0], "the agent was restarted");
    assert_eq!(fleet.report("web1", &report("a")).await.at("/rival"), "b");
    assert_eq!(fleet.findings().await, ["host web1: two agents report as web1"]);
    assert_eq!(fleet.status().await.at("/verdict"), "critical");
    fleet.server.advance(10);
    fleet.report("web1", &with(report("a"), "at", json!("2026-12-01T09:00:10Z"))).await;
    fleet.server.advance(10);
    fleet.report("web1", &with(report("a"), "at", json!("2026-12-01T09:00:20Z"))).await;
    assert_eq!(fleet.findings().await, [""; 0], "the other is gone");
    fleet.stop().await;
}

#[tokio::test]
async fn a_report_beyond_its_bounds_is_refused() {
    let fleet = Fleet::start().await;
    let many = with(report("a"), "observations", json!(vec![observation("ok", "fine"); 201]));
    assert_snapshot!(fleet.report("web1", &many).await.problem(), @r"
    422 refused
    `observations`: there are 201, and at most 200 are allowed
      Nothing was changed.
    hint: correct `observations` and send it again
    ");
    let worker = json!({"id": "w", "pool": "mail", "generation": 1, "state": "ready", "since": "2026-12-01T09:00:00Z", "current": true});
    let many = with(report("a"), "workers", json!(vec![worker; 501]));
    assert_eq!(fleet.report("web1", &many).await.status, 422);
    let other = fleet.report("web2", &with(report("a"), "observations", json!([observation("ok", "fine")]))).await;
    let why = "`observations`: the agent of web2 speaks of its own host, and not of workers mail on web1";
    assert_eq!(other.at("/title"), why);
    let large = with(report("a"), "version", json!("x".repeat(2 << 20)));
    assert_eq!(fleet.report("web1", &large).await.status, 413);
    assert_eq!(fleet.report("web1", &with(report("a"), "ready", json!(1))).await.status, 400);
    assert_eq!(fleet.report("we%20b", &report("a")).await.status, 422);
    assert_eq!(fleet.server.client.get("/v1/agents").await.said(), r#"200 {"agents":[]}"#);
    let bad = fleet.server.client.request("POST", "/v1/lease").header("Aloud-Worker", "mail 1").json("{}");
    assert_eq!(bad.send().await.at("/title"), "`Aloud-Worker`: give a text of 1 to 100 visible ASCII characters");
    fleet.stop().await;
}

#[tokio::test]
async fn an_order_comes_until_it_was_heard_and_only_to_an_agent_that_reports() {
    let fleet = Fleet::start().await;
    let order = r#"{"order":"restart","pool":"mail"}"#;
    assert_eq!(fleet.server.client.post("/v1/agents/web1/orders", order).await.status, 409);
    let heard = fleet.report("web1", &report("a")).await.at("/heard");
    let waiting = |heard| with(with(report("a"), "heard", heard), "wait", json!("60s"));
    let mut poll = fleet.wait_with("web1", &waiting(heard.clone())).await;
    let given = fleet.server.client.post("/v1/agents/web1/orders", order).await;
    assert_eq!(given.status, 202);
    let told = last_answer(&mut poll).await;
    let wanted = json!([{"id": given.at("/id"), "order": "restart", "pool": "mail"}]);
    assert_eq!(told.at("/orders"), wanted);
    let again = fleet.report("web1", &waiting(heard)).await;
    assert_eq!(again.at("/orders"), wanted, "the answer may have got lost");
    let heard = with(report("a"), "heard", again.at("/heard"));
    assert_eq!(fleet.report("web1", &heard).await.at("/orders"), json!([]));
    fleet.server.advance(16);
    let away = fleet.server.client.post("/v1/agents/web1/orders", order).await;
    assert_eq!(away.at("/title"), "host web1 has not reported since 2026-12-01T09:00:00.000Z");
    fleet.stop().await;
}

/// Forwarded guards beside a server, and a job whose guard is `still-wanted`.
async fn guarded(patience: Span) -> (Fleet, Forwarded, job::Job, Arc<ManualClock>) {
    let folder = tempfile::tempdir().unwrap();
    let agents = Agents::in_memory();
    let theirs = agents.clone();
    let server = Running::under(|options| options.agents = theirs).await;
    let clock = Arc::clone(&server.clock);
    let forwarded = Forwarded::new(agents, Arc::clone(&clock) as Arc<dyn Clock>, patience);
    server.push(r#"{"kind":"k","payload":{"n":1},"guard":{"exec":"still-wanted"}}"#).await;
    let found = server.queue.get("j1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(found.job.spec.guard, Some(Guard::Exec("still-wanted".to_owned())));
    (Fleet { server, folder }, forwarded, found.job, clock)
}

#[tokio::test]
async fn a_guard_is_asked_by_the_agent_that_has_it_and_its_answer_counts() {
    let (fleet, forwarded, job, _) = guarded(Span::from_secs(20)).await;
    let can = |heard| with(with(report("a"), "guards", json!(["still-wanted"])), "heard", heard);
    let heard = fleet.report("web1", &can(json!(0))).await.at("/heard");
    fleet.report("web2", &report("b")).await;
    let mut poll = fleet.wait_with("web1", &with(can(heard), "wait", json!("60s"))).await;
    let asking = tokio::spawn(forwarded.ask(job));
    let told = last_answer(&mut poll).await;
    let question = told.at("/questions/0");
    assert_eq!((&question["guard"], &question["job"]["id"]), (&json!("still-wanted"), &json!("j1")));
    assert_eq!((&question["job"]["payload"], &question["job"]["attempt"]), (&json!({"n": 1}), &json!(1)));
    let answers = json!([{"id": question["id"], "answer": "no", "why": "switched off"}]);
    let other = fleet.report("web2", &with(report("b"), "answers", answers.clone())).await;
    assert_eq!(other.status, 200);
    assert!(!asking.is_finished(), "another host was not asked");
    fleet.report("web1", &with(can(told.at("/heard")), "answers", answers)).await;
    assert_eq!(asking.await.unwrap(), Answer::No(Some("switched off".to_owned())));
    fleet.stop().await;
}

#[tokio::test]
async fn no_agent_and_no_answer_are_errors_and_never_a_no() {
    let (fleet, forwarded, job, _) = guarded(Span::from_millis(50)).await;
    let said = async || match forwarded.ask(job.clone()).await {
        Answer::Error(what) => what,
        answer @ (Answer::Yes | Answer::No(_)) => format!("{answer:?}"),
    };
    assert_eq!(said().await, "no agent that can ask `still-wanted` has reported; declare it as a `[[guard]]` there");
    let can = with(report("a"), "guards", json!(["still-wanted"]));
    fleet.report("web1", &can).await;
    assert_eq!(said().await, "the agent of web1 was asked `still-wanted` and did not answer within 50ms");
    assert_eq!(fleet.report("web1", &can).await.at("/questions"), json!([]), "nobody waits for it any more");
    fleet.server.advance(15);
    assert_eq!(
        said().await,
        "no agent that can ask `still-wanted` reports: host web1 has not reported since 2026-12-01T09:00:00.000Z"
    );
    fleet.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_answers_agents_that_wait() {
    let fleet = Fleet::start().await;
    let heard = fleet.report("web1", &report("a")).await.at("/heard");
    let waiting = with(with(with(report("a"), "heard", heard.clone()), "wait", json!("60s")), "version", json!("2"));
    let mut poll = fleet.wait_with("web1", &waiting).await;
    // The report is in, and waits for its answer.
    while fleet.server.client.get("/v1/agents").await.at("/agents/0/version") != "2" {}
    fleet.stop().await;
    assert_eq!(last_answer(&mut poll).await.at("/heard"), heard);
}

#[tokio::test]
async fn jobs_that_aloud_runs_itself_go_to_an_agent_that_asks_and_to_no_worker() {
    let folder = tempfile::tempdir().unwrap();
    let agents = Agents::kept_in(folder.path().join("agents"));
    let clock = ManualClock::at("2026-12-01T09:00:00Z".parse().unwrap());
    let own_kinds = ["report.make".parse().unwrap()].into_iter().collect();
    let rules = Rules { own_kinds, ..Rules::default() };
    let store = Arc::new(Memory::new("notice".parse().unwrap(), rules, &clock));
    let server = Running::with(|options| options.agents = agents, |_| store).await;
    let fleet = Fleet { server, folder };
    let web1 = fleet.add("web1");
    fleet.server.push(r#"{"kind":"report.make"}"#).await;
    assert_eq!(last_answer(&mut fleet.lease("0s").await).await.said(), r#"200 {"jobs":[]}"#);
    let wish = r#"{"kind":"report.make","worker":"agent of web1","limit":3,"wait":"20s"}"#;
    let leased = web1.post("/v1/agents/web1/lease", wish).await;
    assert_eq!(leased.at("/jobs/0/id"), "j1");
    let lease = json!({"lease": leased.at("/jobs/0/lease")}).to_string();
    assert_eq!(web1.post("/v1/jobs/j1/extend", &lease).await.status, 200);
    assert_eq!(web1.post("/v1/jobs/j1/ack", &lease).await.status, 200);
    let job = fleet.server.client.get("/v1/jobs/j1").await;
    assert_eq!((job.at("/outcome"), job.at("/attempts/0/worker")), ("done".into(), "agent of web1".into()));
    fleet.stop().await;
}

#[tokio::test]
async fn a_guarded_job_is_handed_out_when_the_agent_has_said_yes() {
    let agents = Agents::in_memory();
    let clock = Arc::new(ManualClock::at("2026-12-01T09:00:00Z".parse().unwrap()));
    let clocks = || Arc::clone(&clock) as Arc<dyn Clock>;
    let store = Arc::new(Memory::new("notice".parse().unwrap(), Rules::default(), &*clock));
    let guards = Forwarded::new(agents.clone(), clocks(), Span::from_secs(20));
    let queue = Queue::start(store, clocks(), Arc::new(guards));
    let folder = tempfile::tempdir().unwrap();
    let token = Token::create(&folder.path().join("token")).unwrap();
    let mut options = Options::new("notice".parse().unwrap(), token.clone(), "0.0.0-test");
    options.agents = agents;
    let handle = server::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), queue.clone(), options);
    let client = Client::new(handle.address().unwrap(), token.reveal());
    let fleet = Fleet { server: Running { clock, queue, handle, client }, folder };

    let can = |heard| with(with(report("a"), "guards", json!(["still-wanted"])), "heard", heard);
    let heard = fleet.report("web1", &can(json!(0))).await.at("/heard");
    let mut poll = fleet.wait_with("web1", &with(can(heard), "wait", json!("60s"))).await;
    fleet.server.push(r#"{"kind":"k","guard":{"exec":"still-wanted"}}"#).await;
    let mut lease = fleet.lease("60s").await;
    let mut told = last_answer(&mut poll).await;
    while told.at("/questions/0") == Value::Null {
        // The worker that speaks first may be told before the question.
        let waiting = with(can(told.at("/heard")), "wait", json!("60s"));
        told = last_answer(&mut fleet.wait_with("web1", &waiting).await).await;
    }
    let answers = json!([{"id": told.at("/questions/0/id"), "answer": "yes"}]);
    fleet.report("web1", &with(can(told.at("/heard")), "answers", answers)).await;
    assert_eq!(last_answer(&mut lease).await.at("/jobs/0/id"), "j1");
    fleet.stop().await;
}
