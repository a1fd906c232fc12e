//! The pages under docs/ that are made of the program itself.
//!
//! Tests compare each with what it should be; `ALOUD_UPDATE_DOCS=1 cargo test
//! -p aloud` writes them anew.

use std::path::Path;

use clap::CommandFactory;

/// Compares a page with what it should be, or writes it.
pub(crate) fn compare(page: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    if std::env::var_os("ALOUD_UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/{page} is not what the program says; write it anew with `ALOUD_UPDATE_DOCS=1 cargo test -p aloud`"
    );
}

fn commands() -> String {
    let mut text = String::from(
        "# Commands\n\n\
         This is what `--help` says. Data goes to stdout, everything else to stderr; wherever a script would read, \
         there is `--json`.\nErrors have three parts: what happened, what it means, and a hint what to do.\n",
    );
    let mut command = crate::args::Args::command().term_width(100);
    command.build();
    help(&mut text, &mut command, "aloud");
    text
}

fn help(text: &mut String, command: &mut clap::Command, name: &str) {
    let shown = command.render_long_help().to_string();
    let lines: Vec<_> = shown.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        let name = format!("{name} {}", sub.get_name());
        help(text, sub, &name);
    }
}

#[test]
fn the_command_reference_is_up_to_date() {
    compare("commands.md", &commands());
}
