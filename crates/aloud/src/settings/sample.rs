//! The commented `aloud.toml` that `aloud init` writes: every setting with its
//! meaning, those that have been decided set, the others commented out.

use job::AppName;

use crate::settings::file::SECTIONS;
use crate::settings::section::{Entry, Section, Value};

/// What `init` has decided.
pub(crate) struct Decided<'a> {
    /// The app.
    pub(crate) app: &'a AppName,
    /// The store's folder, as it shall stand in the file.
    pub(crate) data: &'a str,
    /// Settings of [release], by their keys, as TOML.
    pub(crate) release: &'a [(&'static str, String)],
    /// Workers, as TOML in comments, in the place of the example.
    pub(crate) workers: &'a str,
    /// Watched processes, as TOML, in the place of the example.
    pub(crate) watched: &'a str,
}

/// The text of the file.
pub(crate) fn text(decided: &Decided<'_>) -> String {
    let mut text = String::from(
        "# The configuration of aloud. What is commented out shows the default, or an\n\
         # example where that is said. ALOUD_* variables override this file, and flags\n\
         # override both. An unknown key is an error.\n",
    );
    for section in SECTIONS {
        section_text(&mut text, &section, decided);
    }
    text.push_str(RUN_BY_ALOUD);
    text.push_str(WORKERS);
    text.push_str(if decided.workers.is_empty() { WORKER } else { decided.workers });
    text.push_str(WATCHED);
    text.push_str(if decided.watched.is_empty() { WATCHED_ONE } else { decided.watched });
    text
}

/// What may be declared many times. Its keys stand with the runner, which takes
/// them; the reference has all of them.
const RUN_BY_ALOUD: &str = r#"
# Jobs that aloud runs itself, so that no worker has to be written for them. A
# kind with a handler is handed to no worker. `run` is one of `http`, `exec` and
# `mail`; docs/configuration.md tells what goes with each.
# [[handler]]
# kind = "notice.send"
# run = { http = "http://127.0.0.1:8080/jobs/notice" }
# concurrency = 10
# timeout = "30s"

# A command that can be asked just before a job runs whether it is still wanted:
# it exits with 0 to run it and with 77 to skip it. A job names it as its guard.
# [[guard]]
# name = "still-wanted"
# command = ["bin/still-wanted"]
# timeout = "5s"
"#;

const WORKERS: &str = "
# Processes that aloud starts from the current release and keeps running, and
# moves to each new release. docs/configuration.md tells all that can be said.
";

const WORKER: &str = r#"# [[worker]]
# name = "mail"
# command = ["php", "artisan", "queue:work"]
# count = 4
# user = "www-data"
# stop = { signal = "TERM", within = "60s" }
"#;

const WATCHED: &str = "
# Processes that somebody else starts, and that should run the current release
# all the same: found by `unit`, `pid_file` or `command`.
";

const WATCHED_ONE: &str = r#"# [[watched]]
# name = "horizon"
# command = "artisan horizon"
# restart = ["php", "artisan", "horizon:terminate"]
"#;

fn section_text(text: &mut String, section: &Section, decided: &Decided<'_>) {
    let named = section.entries.iter().any(|entry| set(section, entry, decided).is_some());
    if !section.name.is_empty() {
        text.push('\n');
        comment(text, section.doc);
        // A table that is left empty would still be a table, and a queue called
        // NAME would be one queue too many.
        let mark = if named { "" } else { "# " };
        text.push_str(&format!("{mark}[{}]\n", section.name));
    }
    for entry in section.entries {
        text.push('\n');
        comment(text, entry.doc);
        let key = entry.key;
        let over = overriders(entry);
        text.push_str(&match (set(section, entry, decided), entry.value) {
            (Some(value), _) => format!("{over}{key} = {value}\n"),
            (None, Value::Default(value)) => format!("{over}# {key} = {value}\n"),
            (None, Value::Example(value)) => format!("{over}# {key} = {value}   # for example\n"),
        });
    }
}

/// A line that says what overrides a setting, if anything does.
fn overriders(entry: &Entry) -> String {
    match (entry.env, entry.flag) {
        ("", "") => String::new(),
        (env, "") => format!("# Variable: {env}\n"),
        ("", flag) => format!("# Flag: {flag}\n"),
        (env, flag) => format!("# Variable: {env}, flag: {flag}\n"),
    }
}

fn comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        text.push_str(&format!("#{line}\n"));
    }
}

fn set(section: &Section, entry: &Entry, decided: &Decided<'_>) -> Option<String> {
    if section.name == "release" {
        return decided.release.iter().find(|(key, _)| *key == entry.key).map(|(_, value)| value.clone());
    }
    let value = match (section.name, entry.key) {
        ("", "app") => decided.app.as_str(),
        ("server", "data") => decided.data,
        _ => return None,
    };
    Some(toml::Value::String(value.to_owned()).to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::settings::Settings;
    use crate::settings::file::File;

    use super::*;

    fn sample() -> String {
        with("aloud-data", &[])
    }

    fn with(data: &str, release: &[(&'static str, String)]) -> String {
        text(&Decided { app: &"shop".parse().unwrap(), data, release, workers: "", watched: "" })
    }

    #[test]
    fn the_sample_is_read_and_means_the_defaults() {
        let read = |text: &str| Settings::decide(File::parse(text, Path::new("aloud.toml")).unwrap()).unwrap();
        let (sample, least) = (read(&sample()), read("app = 'shop'\nserver.data = 'aloud-data'"));
        assert_eq!(format!("{sample:?}"), format!("{least:?}"));
    }

    #[test]
    fn every_line_that_is_commented_out_is_read_when_it_is_not() {
        let uncommented: Vec<_> = sample()
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting)
                    if setting.starts_with('[') || setting.split_once(" = ").is_some_and(|(key, _)| is_key(key)) =>
                {
                    setting.to_owned()
                }
                _ => line.to_owned(),
            })
            .collect();
        let text = uncommented.join("\n");
        File::parse(&text, Path::new("aloud.toml")).unwrap_or_else(|report| panic!("{report}\n{text}"));
        for section in SECTIONS {
            for entry in section.entries {
                let set = format!("\n{} = ", entry.key);
                assert!(text.contains(&set), "{} in [{}]:\n{text}", entry.key, section.name);
            }
        }
    }

    fn is_key(text: &str) -> bool {
        text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    }

    #[test]
    fn the_sample_reads_like_this() {
        insta::assert_snapshot!(sample());
    }

    #[test]
    fn a_folder_with_a_quote_in_its_name_is_written_as_toml() {
        let text = with("a \"b\"\\c", &[]);
        let file = File::parse(&text, Path::new("aloud.toml")).unwrap();
        assert_eq!(file.server.data.unwrap(), Path::new("a \"b\"\\c"));
    }

    #[test]
    fn what_was_found_of_releases_is_set_and_the_rest_stays_a_comment() {
        let text = with("d", &[("root", "\"/srv/shop\"".to_owned()), ("keep", "7".to_owned())]);
        let release = File::parse(&text, Path::new("aloud.toml")).unwrap().release;
        assert_eq!((release.root.as_deref(), release.keep), (Some(Path::new("/srv/shop")), Some(7)));
        assert_eq!(release.shared_dirs, None);
    }
}
