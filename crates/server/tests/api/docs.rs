//! `docs/http-api.md`, run as it stands there.
//!
//! Each `sh` block that starts with `curl` is run by a shell, with the address
//! of a live server put in. The status that follows it (`→ \`201\``) must be the
//! one that came, and so must the JSON after that, if there is any. A lease
//! differs each time: the one that stands in the page means, from then on, the
//! one that came in its place. `"…"` stands for any text, and the number `heard`
//! for any number.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::running::Running;

const PAGE: &str = include_str!("../../../../docs/http-api.md");
const ADDRESS: &str = "127.0.0.1:7420";

/// One example of the page.
#[derive(Debug)]
struct Example {
    line: usize,
    command: String,
    status: u16,
    answer: Option<Value>,
}

/// All examples, in their order.
fn examples() -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut lines = PAGE.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut block = || {
            let block: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            block.join("\n")
        };
        match line {
            "```sh" => {
                let command = block();
                assert!(command.starts_with("curl "), "line {}: only `curl` is run", number + 1);
                examples.push(Example { line: number + 1, command, status: 0, answer: None });
            }
            "```json" => {
                let example = examples.last_mut().expect("an answer follows a command");
                let json = block();
                let answer = serde_json::from_str(&json);
                assert!(answer.is_ok(), "line {}: {answer:?}", number + 1);
                assert!(example.answer.is_none() && example.status != 0, "line {}: it follows a status", number + 1);
                example.answer = answer.ok();
            }
            _ => {
                if let Some(status) = line.strip_prefix("→ `").and_then(|rest| rest.strip_suffix('`')) {
                    let example = examples.last_mut().expect("a status follows a command");
                    assert_eq!(example.status, 0, "line {}: one status for each command", number + 1);
                    example.status = status.parse().expect("a status is a number");
                }
            }
        }
    }
    examples
}

/// Runs a command in `folder`, and answers status and body.
async fn run(command: &str, folder: &Path) -> (u16, String) {
    let command = format!("{command} --silent --show-error --write-out '\\n%{{http_code}}'");
    let output = Command::new("sh")
        .args(["-c", &command])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("a shell is there");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "is curl (7.82 or newer) installed? {command}\n{errors}");
    let output = String::from_utf8(output.stdout).unwrap();
    let (body, status) = output.rsplit_once('\n').expect("curl writes the status last");
    (status.parse().unwrap(), body.to_owned())
}

/// Whether `came` is what `written` says; learns which lease stands for which.
fn fits(written: &Value, came: &Value, leases: &mut HashMap<String, String>) -> bool {
    match (written, came) {
        (Value::String(written), Value::String(_)) if written == "…" => true,
        (Value::Array(written), Value::Array(came)) => {
            written.len() == came.len() && written.iter().zip(came).all(|(written, came)| fits(written, came, leases))
        }
        (Value::Object(written), Value::Object(came)) => {
            if let (Some(Value::String(written)), Some(Value::String(came))) = (written.get("lease"), came.get("lease"))
            {
                leases.insert(written.clone(), came.clone());
            }
            let same = |(name, value): (&String, &Value), leases: &mut HashMap<String, String>| {
                name == "lease"
                    || (name == "heard" && value.is_u64() && came.get(name).is_some_and(Value::is_u64))
                    || came.get(name).is_some_and(|came| fits(value, came, leases))
            };
            written.len() == came.len() && written.iter().all(|field| same(field, leases))
        }
        _ => written == came,
    }
}

#[tokio::test]
async fn the_page_says_what_is_so() {
    let server = Running::start().await;
    let folder = tempfile::tempdir().unwrap();
    let header = format!("Authorization: Bearer {}\n", server.client.token);
    std::fs::write(folder.path().join("auth.header"), header).unwrap();
    let mut leases: HashMap<String, String> = HashMap::new();
    let examples = examples();
    assert!(examples.len() > 20, "the page has examples");
    for Example { line, command, status, answer } in examples {
        let mut command = command.replace(ADDRESS, &server.client.address.to_string());
        for (written, came) in &leases {
            command = command.replace(written, came);
        }
        let (came, body) = run(&command, folder.path()).await;
        assert_eq!(came, status, "line {line}: {command}\n{body}");
        if let Some(answer) = answer {
            let came: Value = serde_json::from_str(&body).unwrap();
            assert!(fits(&answer, &came, &mut leases), "line {line}: {command}\nanswers {came:#}");
        }
    }
    server.stop().await;
}
