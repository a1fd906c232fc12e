//! How a server ends, and what is there when it comes back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use aloud_client::v1::{Ack, JobView, LeaseWish};
use job::{Outcome, Phase};
use rustix::process::Signal;

use crate::scratch::{PATIENCE, Scratch, wait};

fn wish(wait: &str) -> LeaseWish {
    serde_json::from_str(&format!(r#"{{"queues":["default"],"worker":"w1","wait":"{wait}","for":"5m"}}"#)).unwrap()
}

#[test]
fn a_lease_that_waits_is_answered_when_the_server_is_asked_to_stop() {
    let scratch = Scratch::new();
    let mut server = scratch.server();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let token = std::fs::read_to_string(&server.token_file).unwrap();
    let body = serde_json::to_string(&wish("60s")).unwrap();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST /v1/lease HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        token.trim(),
        body.len()
    )
    .unwrap();
    let mut answer = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    // The server asks for the body: the request is under way.
    answer.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    stream.write_all(body.as_bytes()).unwrap();
    server.signal(Signal::TERM);
    let mut rest = String::new();
    answer.read_to_string(&mut rest).unwrap();
    assert!(rest.trim_start().starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("{\"jobs\":[]}"), "{rest}");
    assert!(server.ended().success(), "{}", server.log());
}

#[test]
fn a_lease_outlives_its_server() {
    let scratch = Scratch::new();
    for end in [Signal::TERM, Signal::KILL] {
        let mut server = scratch.server();
        let id = server.run(&scratch, &["push", "k", "--key=a"]).fine().out.trim().to_owned();
        let leased = wait(async { server.api().lease(&wish("10s")).await.unwrap().jobs.remove(0) });
        assert_eq!(leased.id, id);
        server.signal(end);
        server.ended();

        let server = scratch.server();
        let job: JobView = server.run(&scratch, &["job", &id, "--json"]).fine().json();
        assert_eq!((job.state, job.worker.as_deref()), (Phase::Running, Some("w1")), "after {end:?}");
        let ack = Ack { lease: leased.lease, output: None, skipped: None };
        let settled = wait(async { server.api().ack(&id, &ack).await.unwrap() });
        assert_eq!(settled.outcome, Some(Outcome::Done));
        server.stop();
    }
}

#[test]
fn what_waits_is_there_after_a_kill_and_runs_when_it_is_due() {
    let scratch = Scratch::new();
    let server = scratch.server();
    let id = server.run(&scratch, &["push", "k", "--in=2s"]).fine().out.trim().to_owned();
    server.kill();
    let server = scratch.start(&["server", "--data", "data", "--http", "127.0.0.1:0"]);
    let (job, leased) = wait(async {
        let api = server.api();
        let job = api.job(&id).await.unwrap();
        (job, api.lease(&wish("30s")).await.unwrap().jobs.remove(0))
    });
    assert_eq!(leased.id, id);
    assert!(leased.until.0 - Duration::from_secs(300).as_micros() as i64 >= job.due.unwrap().0, "not before its time");
    server.stop();
}

#[test]
fn a_job_that_runs_here_is_finished_before_the_server_ends() {
    let scratch = Scratch::new();
    scratch.write(
        "aloud.toml",
        "server = { data = 'data', http = '127.0.0.1:0' }\n[[handler]]\nkind = 'slow'\n\
         run = { exec = ['sh', '-c', 'touch begun; while [ ! -e go ]; do sleep 0.05; done; echo whole'] }\n",
    );
    let mut server = scratch.start(&["server", "--init"]);
    let id = server.run(&scratch, &["push", "slow"]).fine().out.trim().to_owned();
    wait(until(|| scratch.path().join("begun").exists()));
    // As `timeout` does it: to the process, and to its group. That is one wish.
    server.signal(Signal::TERM);
    server.signal(Signal::INT);
    wait(until(|| server.log().contains("asks the server to stop")));
    // The job may still need the server, and so the server is still there.
    server.run(&scratch, &["push", "other"]).fine();
    scratch.write("go", "");
    assert!(server.ended().success(), "{}", server.log());
    let server = scratch.start(&["server"]);
    let job: JobView = server.run(&scratch, &["job", &id, "--json"]).fine().json();
    assert_eq!(job.outcome, Some(Outcome::Done), "{job:?}");
    server.stop();
}

#[test]
fn a_second_signal_ends_the_server_at_once_and_what_it_ran() {
    let scratch = Scratch::new();
    scratch.write(
        "aloud.toml",
        "server = { data = 'data', http = '127.0.0.1:0' }\n[[handler]]\nkind = 'slow'\n\
         run = { exec = ['sh', '-c', 'trap \"\" TERM; echo $$ > pid.new; mv pid.new pid; sleep 600'] }\n",
    );
    let mut server = scratch.start(&["server", "--init"]);
    server.run(&scratch, &["push", "slow"]).fine();
    let pid_file = scratch.path().join("pid");
    wait(until(|| pid_file.exists()));
    server.signal(Signal::TERM);
    wait(until(|| server.log().contains("SIGTERM asks the server to stop")));
    wait(until(|| {
        server.signal(Signal::INT);
        server.log().contains("error: SIGINT came again")
    }));
    assert_eq!(server.ended().code(), Some(1), "{}", server.log());
    let pid: i32 = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    // The command was killed with its group; it may take a moment to be gone.
    wait(until(|| !is_alive(pid)));
}

/// Waits until something is so; how long at most, `wait` decides.
async fn until(so: impl Fn() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process still does something: one that only waits to be reaped
/// does not.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}
