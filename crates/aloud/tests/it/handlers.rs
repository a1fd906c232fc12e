//! Jobs that the server runs itself, and the guards it asks, as aloud.toml
//! declares them.

use aloud_client::v1::JobView;
use job::{Happened, Outcome};

use crate::scratch::{PATIENCE, Scratch, Server, wait};

const CONFIG: &str = r#"
app = "shop"
[server]
data = "data"
http = "127.0.0.1:0"

[[handler]]
kind = "report"
run = { exec = ["sh", "-c", "cat; env | grep ^ALOUD_ | sort; pwd"] }

[[guard]]
name = "still-wanted"
command = ["sh", "-c", "echo the toggle is off; exit 77"]

[[guard]]
name = "gone"
command = ["bin/no-such-program"]
"#;

fn served() -> (Scratch, Server) {
    let scratch = Scratch::new();
    scratch.write("aloud.toml", CONFIG);
    let server = scratch.start(&["server", "--init"]);
    (scratch, server)
}

/// Waits until a job fits.
fn job_that(server: &Server, id: &str, fits: impl Fn(&JobView) -> bool) -> JobView {
    wait(async {
        let api = server.api();
        let look = async {
            loop {
                let job = api.job(id).await.unwrap();
                if fits(&job) {
                    return job;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(PATIENCE / 2, look).await {
            Ok(job) => job,
            Err(_) => panic!("{:?}", api.job(id).await),
        }
    })
}

#[test]
fn a_declared_command_runs_jobs_of_its_kind() {
    let (scratch, server) = served();
    let id = server.run(&scratch, &["push", "report", r#"{"month":11}"#]).fine().out.trim().to_owned();
    let job = job_that(&server, &id, |job| job.outcome.is_some());
    assert_eq!(job.outcome, Some(Outcome::Done));
    let Happened::Done { output: Some(output) } = &job.attempts[0].happened else { panic!("{job:?}") };
    let output = scratch.told(output);
    assert!(output.starts_with(r#"{"month":11}"#), "the job is on stdin: {output}");
    for told in ["ALOUD_APP=shop\n", &format!("ALOUD_URL={}\n", server.url), "ALOUD_TOKEN_FILE=DIR/data/token\n"] {
        assert!(output.contains(told), "{told}: {output}");
    }
    assert!(output.trim_end().ends_with("\nDIR"), "it runs in the folder of aloud.toml: {output}");
    let token = std::fs::read_to_string(&server.token_file).unwrap();
    assert!(!output.contains(token.trim()), "the token is in no environment");
    server.stop();
}

#[test]
fn a_guard_that_says_no_skips_the_job_and_one_that_is_gone_is_no_answer() {
    let (scratch, server) = served();
    let push = |guard: &str| server.run(&scratch, &["push", "report", "--guard", guard]).fine().out.trim().to_owned();
    let skipped = job_that(&server, &push("exec:still-wanted"), |job| job.outcome.is_some());
    assert_eq!(skipped.outcome, Some(Outcome::Skipped));
    assert_eq!(skipped.detail.as_deref(), Some("the toggle is off"));
    for guard in ["exec:gone", "exec:not-declared"] {
        let waits = job_that(&server, &push(guard), |job| !job.attempts.is_empty());
        assert!(matches!(waits.attempts[0].happened, Happened::GuardFailed { .. }), "{waits:?}");
        assert_eq!(waits.outcome, None);
    }
    server.stop();
}

#[test]
fn no_worker_is_handed_a_job_of_a_kind_that_has_a_handler() {
    let scratch = Scratch::new();
    scratch.write("aloud.toml", &CONFIG.replace("sh\", \"-c\", \"cat", "sh\", \"-c\", \"exit 1; cat"));
    let server = scratch.start(&["server", "--init"]);
    server.run(&scratch, &["queues", "pause", "default", "--reason", "so that nobody takes it yet"]).fine();
    server.run(&scratch, &["push", "report"]).fine();
    server.run(&scratch, &["push", "other"]).fine();
    server.run(&scratch, &["queues", "resume", "default"]).fine();
    let leased = wait(async {
        let wish = serde_json::from_str(r#"{"queues":["default"],"worker":"w","limit":10}"#).unwrap();
        server.api().lease(&wish).await.unwrap().jobs
    });
    let kinds: Vec<_> = leased.iter().map(|job| job.kind.as_str()).collect();
    assert_eq!(kinds, ["other"]);
    server.stop();
}
