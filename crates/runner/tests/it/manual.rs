//! What `docs/handlers-and-guards.md` shows is run.

use std::fmt::Write;
use std::process::Command;

use crate::bench::secret;

const MANUAL: &str = include_str!("../../../../docs/handlers-and-guards.md");
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const BODY: &str = r#"{"name": "Büch"}"#;

/// The function that checks a signature, as the manual has it in a language.
fn shown(language: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let blocks = MANUAL.split(&fence).skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.find(|block| block.contains("aloud-signature")).unwrap_or_else(|| panic!("the manual shows no {language}"))
}

/// Runs the manual's function followed by `call`, which prints what it says of
/// each of these requests.
fn check(language: &str, program: &str, call: impl Fn(&str, &str, &str) -> String) {
    let now = seconds();
    let right = format!("v1={}", secret().sign(&now, "j17", BODY.as_bytes()));
    let old = format!("v1={}", secret().sign("1790000000", "j17", BODY.as_bytes()));
    let other_job = format!("v1={}", secret().sign(&now, "j18", BODY.as_bytes()));
    let mut script = shown(language).to_owned();
    for (time, signature) in [(&*now, &*right), (&now, &other_job), ("1790000000", &old), (&now, "v1=00"), (&now, "")] {
        writeln!(script, "\n{}", call(time, signature, BODY)).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    std::fs::write(&path, script).unwrap();
    let ran =
        Command::new(program).arg(&path).output().unwrap_or_else(|error| panic!("`{program}` is wanted: {error}"));
    let (said, wrong) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let said: Vec<_> = said.split_whitespace().map(str::to_lowercase).collect();
    assert_eq!(said, ["true", "false", "false", "false", "false"], "{wrong}");
}

fn seconds() -> String {
    use job::Clock;
    (job::time::SystemClock::resume(None).now().wall.0 / 1_000_000).to_string()
}

#[test]
fn needs_php_a_signature_is_checked_as_the_manual_shows() {
    check("php", "php", |time, signature, body| {
        format!(
            "echo signed_by_aloud('{SECRET}', ['aloud-timestamp' => '{time}', 'aloud-job' => 'j17', \
             'aloud-signature' => '{signature}'], '{body}') ? 'true ' : 'false ';"
        )
    });
}

#[test]
fn needs_ruby_a_signature_is_checked_as_the_manual_shows() {
    check("ruby", "ruby", |time, signature, body| {
        format!(
            "puts signed_by_aloud?('{SECRET}', {{'aloud-timestamp' => '{time}', 'aloud-job' => 'j17', \
             'aloud-signature' => '{signature}'}}, '{body}')"
        )
    });
}

#[test]
fn needs_python_a_signature_is_checked_as_the_manual_shows() {
    check("python", "python3", |time, signature, body| {
        format!(
            "print(signed_by_aloud(b'{SECRET}', {{'aloud-timestamp': '{time}', 'aloud-job': 'j17', \
             'aloud-signature': '{signature}'}}, '{body}'.encode()))"
        )
    });
}

#[test]
fn needs_node_a_signature_is_checked_as_the_manual_shows() {
    check("js", "node", |time, signature, body| {
        format!(
            "console.log(signedByAloud('{SECRET}', {{'aloud-timestamp': '{time}', 'aloud-job': 'j17', \
             'aloud-signature': '{signature}'}}, '{body}'));"
        )
    });
}

#[test]
fn the_manual_shows_the_right_signature_to_try() {
    let signature = secret().sign("1790000000", "j17", br#"{"n":1}"#);
    assert!(MANUAL.contains(&format!("v1={signature}")));
    assert!(MANUAL.contains(SECRET));
}

/// Every class that a failure is given, and no other, is in the manual.
#[test]
fn the_manual_names_every_class_of_failure() {
    let sources = [
        include_str!("../../src/http.rs"),
        include_str!("../../src/http/call.rs"),
        include_str!("../../src/exec.rs"),
        include_str!("../../src/mail.rs"),
        include_str!("../../src/mail/letter.rs"),
        include_str!("../../src/running.rs"),
    ];
    let mut missing = Vec::new();
    for text in sources.iter().flat_map(|source| source.split('"')) {
        let is_class = ["http.", "exec.", "mail.", "aloud."].iter().any(|start| text.starts_with(start))
            && text.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_' | b'{' | b'}'))
            && text.len() > 5;
        let shown = text.split('{').next().unwrap_or(text);
        if is_class && !MANUAL.contains(&format!("`{shown}")) {
            missing.push(text);
        }
    }
    assert_eq!(missing, [""; 0]);
}
