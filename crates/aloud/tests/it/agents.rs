//! `aloud agents`, and the hosts in `aloud status`.

use std::os::unix::fs::PermissionsExt;

use aloud_client::v1::{AgentList, AgentReport, Status};
use aloud_client::{Api, Error, Settings, Token};
use job::{HostName, Observation, Span, Subject, Verdict};
use serde::Deserialize;

use crate::scratch::{Scratch, Server, wait};

fn web1() -> HostName {
    "web1".parse().unwrap()
}

/// A server's routes, as the agent of `web1` reaches them.
fn agent(scratch: &Scratch, server: &Server) -> Api {
    let token = Token::from_file(scratch.path().join("data/agents/web1.token")).unwrap();
    Api::new(Settings::new(server.url.clone(), Some(token))).unwrap()
}

/// What the agent of `web1` says now.
fn report(server: &Server, verdict: Verdict, what: &str) -> AgentReport {
    let at = wait(server.api().status()).unwrap().judged;
    let evidence = vec!["mail.1 ended with status 1".to_owned()];
    AgentReport {
        agent: "a".to_owned(),
        version: "0.1.0".to_owned(),
        boot: String::new(),
        at,
        verdict,
        observations: vec![Observation {
            subject: Subject::Host(web1()),
            at,
            verdict,
            what: what.to_owned(),
            evidence,
        }],
        tree: None,
        workers: Vec::new(),
        heard: 0,
        wait: Span::ZERO,
        quiet: Vec::new(),
        guards: Vec::new(),
        answers: Vec::new(),
    }
}

#[test]
fn a_host_is_added_reports_and_is_removed_without_a_restart() {
    let scratch = Scratch::new();
    let server = scratch.server();
    let said = scratch.run(&["agents", "add", "web1", "--data", "data"]).fine();
    assert_eq!(said.out, "data/agents/web1.token\n");
    assert!(said.err.starts_with("next:    bring this file to web1"), "{}", said.err);
    let mode = std::fs::metadata(scratch.path().join("data/agents/web1.token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = scratch.run(&["agents", "add", "web1", "--data", "data"]).ends(78);
    assert!(again.err.starts_with("error: there is a file `data/agents/web1.token` already"), "{}", again.err);

    // It is expected to report from now on.
    let status = server.run(&scratch, &["status"]).ends(2);
    assert!(status.out.starts_with("unknown: serving"), "{}", status.out);
    assert!(status.out.contains("host        web1: unknown, never heard\n"), "{}", status.out);

    let api = agent(&scratch, &server);
    wait(api.agent(&web1(), &report(&server, Verdict::Ok, "it is up"))).unwrap();
    let status = server.run(&scratch, &["status"]).fine().out;
    assert!(status.starts_with("ok: serving") && status.contains("host        web1: ok, heard "), "{status}");
    wait(api.agent(&web1(), &report(&server, Verdict::Warning, "its disk is nearly full"))).unwrap();
    let status = server.run(&scratch, &["status"]).ends(1).out;
    let told = "warning     host web1: its disk is nearly full\n                          mail.1 ended with status 1\n";
    assert!(status.starts_with("warning: serving") && status.contains(told), "{status}");
    let listed = server.run(&scratch, &["agents"]).fine().out;
    let row: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[row.len() - 3..].to_vec()), ("web1", vec!["warning", "0.1.0", "0"]));

    assert_eq!(
        scratch.run(&["agents", "remove", "web1", "--data", "data"]).fine().out,
        "web1 is forgotten, and its agent is locked out\n"
    );
    let refused = wait(api.agent(&web1(), &report(&server, Verdict::Ok, "it is up"))).unwrap_err();
    assert!(matches!(refused, Error::Problem(problem) if problem.word() == "unauthorized"));
    let list: AgentList = server.run(&scratch, &["agents", "--json"]).fine().json();
    assert!(list.agents.is_empty(), "{list:?}");
    server.run(&scratch, &["status"]).fine();
    let none = scratch.run(&["agents", "remove", "web1", "--data", "data"]).ends(1);
    assert!(none.err.starts_with("error: there is no host `web1`\n"), "{}", none.err);
    server.stop();
}

#[test]
fn after_a_kill_the_last_word_of_a_host_is_shown_and_not_believed() {
    #[derive(Deserialize)]
    struct Judged {
        verdict: Verdict,
        status: Status,
    }
    let scratch = Scratch::new();
    let server = scratch.server();
    let critical = report(&server, Verdict::Critical, "no worker is ready");
    wait(server.api().agent(&web1(), &critical)).unwrap();
    let file = scratch.path().join("data/agents/web1.json");
    wait(async {
        while !file.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    server.kill();
    let server = scratch.server();
    let judged: Judged = server.run(&scratch, &["status", "--json"]).ends(2).json();
    let host = &judged.status.hosts[0];
    assert_eq!((judged.verdict, host.fresh), (Verdict::Unknown, false));
    assert_eq!(host.observations[1].what, "no worker is ready");
    assert!(judged.status.findings[0].starts_with("host web1 has not reported since "), "{:?}", judged.status.findings);
    server.stop();
}

#[test]
fn hosts_are_added_where_a_store_is_and_nowhere_else() {
    let scratch = Scratch::new();
    let none = scratch.run(&["agents", "add", "web1"]).ends(78);
    assert!(none.err.starts_with("error: no folder is named for the store\n"), "{}", none.err);
    let wrong = scratch.run(&["agents", "add", "web1", "--data", "elsewhere"]).ends(78);
    assert!(wrong.err.starts_with("error: there is no folder `elsewhere`\n"), "{}", wrong.err);
    assert!(!scratch.path().join("elsewhere").exists());
    scratch.run(&["agents", "add", "web 1", "--data", "elsewhere"]).ends(64);
}
