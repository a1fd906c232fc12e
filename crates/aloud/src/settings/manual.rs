//! docs/configuration.md: the reference, made of the settings' doc comments.
//!
//! A test compares it with what it should be. `ALOUD_UPDATE_DOCS=1 cargo test
//! -p aloud` writes it anew.

use crate::settings::file::SECTIONS;
use crate::settings::section::{Entry, Value};

fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         `aloud init` writes a commented `aloud.toml`. It is read from the folder that a command is run in, or from \
         where\n`--config` or `ALOUD_CONFIG` says. Flags override variables, and variables override the file. A key \
         that is not known\nis an error that names the nearest known one. Spans are written `500ms`, `45s`, `30m`, \
         `2h`, `7d`, or several in a row:\n`1h30m`. Sizes are written `512B`, `64KiB`, `64MiB`, `2GiB`. In a variable, \
         the quotes around a text are left out.\n",
    );
    for section in SECTIONS {
        let title = match section.name {
            "" => "The top of the file".to_owned(),
            name => format!("`[{name}]`"),
        };
        text.push_str(&format!("\n## {title}\n\n{}\n", prose(section.doc)));
        for entry in section.entries {
            text.push_str(&format!("\n### `{}`\n\n{}\n\n{}\n", entry.key, prose(entry.doc), facts(entry)));
        }
    }
    let (runner, agent) = (include_str!("../../../runner/src/config.rs"), include_str!("../../../agent/src/config.rs"));
    for (title, source, name) in [
        ("`[[handler]]`", runner, "HandlerConfig"),
        ("`run` of a handler", runner, "RunConfig"),
        ("`run.mail` of a handler", runner, "MailConfig"),
        ("`[[guard]]`", runner, "GuardConfig"),
        ("`[[worker]]`", agent, "WorkerConfig"),
        ("`stop` of a worker", agent, "StopConfig"),
        ("`limits` of a worker", agent, "LimitsConfig"),
        ("`log` of a worker", agent, "LogConfig"),
        ("`[[watched]]`", agent, "WatchedConfig"),
    ] {
        let shape = Shape::read(source, name);
        text.push_str(&format!("\n## {title}\n\n{}\n\n", shape.doc));
        for (key, doc) in shape.fields {
            text.push_str(&format!("- `{key}`: {doc}\n"));
        }
    }
    text
}

fn prose(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n")
}

fn facts(entry: &Entry) -> String {
    let mut facts = vec![match entry.value {
        Value::Default(toml) => format!("default: `{toml}`"),
        Value::Example(toml) => format!("example: `{toml}`"),
    }];
    let named = [("variable", entry.env), ("flag", entry.flag)];
    facts.extend(named.iter().filter(|(_, name)| !name.is_empty()).map(|(what, name)| format!("{what}: `{name}`")));
    facts.join(" · ")
}

/// A struct of the runner's or the agent's settings, read from its source: what
/// can be declared many times stands there, with its doc comments.
struct Shape {
    doc: String,
    fields: Vec<(String, String)>,
}

impl Shape {
    fn read(source: &str, name: &str) -> Self {
        let header = format!("pub struct {name} {{");
        let (before, after) = source.split_once(&header).unwrap_or_else(|| panic!("{name} is not there"));
        let doc: Vec<_> = before.lines().rev().skip_while(|line| !line.starts_with("///")).collect();
        let doc: Vec<_> = doc.iter().map_while(|line| line.strip_prefix("///")).collect();
        let mut fields = Vec::new();
        let mut comment = Vec::new();
        for line in after.lines().take_while(|line| *line != "}").map(str::trim) {
            if let Some(text) = line.strip_prefix("///") {
                comment.push(text.trim());
            } else if let Some((key, _)) = line.strip_prefix("pub ").and_then(|field| field.split_once(':')) {
                fields.push((key.to_owned(), std::mem::take(&mut comment).join("\n  ")));
            }
        }
        Self { doc: doc.into_iter().rev().map(str::trim).collect::<Vec<_>>().join("\n"), fields }
    }
}

#[test]
fn the_configuration_reference_is_up_to_date() {
    crate::docs::compare("configuration.md", &reference());
}
