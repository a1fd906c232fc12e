//! What is wrong with a configuration, told so that it can be mended: the line,
//! the key, and the nearest one that is known.

use std::path::Path;

use crate::report::Report;
use crate::settings::file::SECTIONS;

/// How near two words must be for one to be offered for the other, from 0 to 1.
const NEAR: f64 = 0.75;

/// Reports what the TOML reader found.
pub(crate) fn report(error: &toml::de::Error, text: &str, path: &Path) -> Report {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text[..at].matches('\n').count() + 1;
    let place = format!("{} line {line}", path.display());
    // Values are not repeated where a key says enough: they may be secrets.
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    match Unknown::read(&message) {
        Some(unknown) => unknown.report(&place, &section_at(text, at)),
        None => {
            let key = key_at(text, line).map_or_else(String::new, |key| format!(", `{key}`"));
            Report::config(format!("{place}{key}: {message}"), MEANS, "the reference is docs/configuration.md")
        }
    }
}

const MEANS: &str = "Nothing was started, and nothing was sent.";

/// A word that is not known where it stands: a key, or a value of a closed set.
struct Unknown<'a> {
    what: &'static str,
    word: &'a str,
    known: Vec<&'a str>,
}

impl<'a> Unknown<'a> {
    /// Reads serde's message, which names what it met and what it knows in
    /// backticks.
    fn read(message: &'a str) -> Option<Self> {
        let what = match message {
            _ if message.starts_with("unknown field `") => "key",
            _ if message.starts_with("unknown variant `") => "value",
            _ => return None,
        };
        let mut quoted = message.split('`').skip(1).step_by(2);
        let word = quoted.next()?;
        Some(Self { what, word, known: quoted.collect() })
    }

    fn report(&self, place: &str, section: &str) -> Report {
        let Self { what, word, known } = self;
        let known_words: Vec<_> = known.iter().map(|word| format!("`{word}`")).collect();
        let hint = match (nearest(word, known.iter().copied()), elsewhere(word)) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some((key, section))) if *what == "key" => format!("`{key}` stands in [{section}]"),
            (None, _) => "the reference is docs/configuration.md".to_owned(),
        };
        Report::config(
            format!("{place}: unknown {what} `{word}` {section}"),
            format!("{MEANS} Known there: {}.", known_words.join(", ")),
            hint,
        )
    }
}

/// The known word that is most like `word`, if one is like it.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .map(|known| (strsim::jaro_winkler(&word, known), known))
        .filter(|(like, _)| *like >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Where a key stands, if it is known but not here.
fn elsewhere(word: &str) -> Option<(&'static str, &'static str)> {
    let keys = SECTIONS.iter().flat_map(|section| section.entries.iter().map(|entry| (entry.key, section.name)));
    keys.into_iter().find(|(key, section)| *key == word && !section.is_empty())
}

/// The section that a byte of the text stands in, as a clause.
fn section_at(text: &str, at: usize) -> String {
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    if let Some((key, _)) = text[line_start..at].split_once('=').filter(|(_, value)| value.contains('{')) {
        return format!("in `{}`", key.trim());
    }
    // A header that holds the word itself belongs to the file, not to itself.
    let header = text[..line_start].lines().rev().map(str::trim).find(|line| line.starts_with('['));
    match header {
        Some(header) if !text[line_start..].trim_start().starts_with('[') => {
            let end = header.rfind(']').map_or(header.len(), |end| end + 1);
            format!("in {}", &header[..end])
        }
        _ => "at the top of the file".to_owned(),
    }
}

/// The key that a line sets, if it is a plain one.
fn key_at(text: &str, line: usize) -> Option<&str> {
    let (key, _) = text.lines().nth(line - 1)?.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && !key.contains(|c: char| c.is_whitespace() || matches!(c, '#' | '"' | '{'))).then_some(key)
}

#[cfg(test)]
mod tests {
    use crate::settings::file::File;

    use super::*;

    fn mistake(text: &str) -> String {
        File::parse(text, Path::new("aloud.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_nearest_known_one() {
        insta::assert_snapshot!(mistake("app = \"shop\"\n\n[server]\n# where\ndta = \"x\"\n"), @r"
        error: aloud.toml line 5: unknown key `dta` in [server]
          Nothing was started, and nothing was sent. Known there: `data`, `http`, `allow_remote`, `allowed_hosts`, `token_file`, `secret_file`, `url`, `durability`, `free_floor`, `keep_ended`, `max_rescues`.
        hint: did you mean `data`?
        ");
        insta::assert_snapshot!(mistake("app = \"shop\"\n\n[queue.mail]\nlate = \"run\"\n"), @r"
        error: aloud.toml line 3: unknown key `queue` at the top of the file
          Nothing was started, and nothing was sent. Known there: `app`, `server`, `queue_defaults`, `queues`, `release`, `agent`, `worker`, `watched`, `handler`, `guard`.
        hint: did you mean `queues`?
        ");
        insta::assert_snapshot!(mistake("[queues.mail]\nlate_afer = \"2h\"\n"), @r"
        error: aloud.toml line 2: unknown key `late_afer` in [queues.mail]
          Nothing was started, and nothing was sent. Known there: `late`, `late_after`.
        hint: did you mean `late_after`?
        ");
        insta::assert_snapshot!(mistake("server = { htp = \"off\" }\n"), @r"
        error: aloud.toml line 1: unknown key `htp` in `server`
          Nothing was started, and nothing was sent. Known there: `data`, `http`, `allow_remote`, `allowed_hosts`, `token_file`, `secret_file`, `url`, `durability`, `free_floor`, `keep_ended`, `max_rescues`.
        hint: did you mean `http`?
        ");
    }

    #[test]
    fn a_key_that_stands_elsewhere_is_told_so() {
        insta::assert_snapshot!(mistake("[queue_defaults]\ndurability = \"full\"\n"), @r"
        error: aloud.toml line 2: unknown key `durability` in [queue_defaults]
          Nothing was started, and nothing was sent. Known there: `late`, `late_after`.
        hint: `durability` stands in [server]
        ");
    }

    #[test]
    fn a_value_that_is_none_of_a_closed_set_is_told_with_the_nearest() {
        insta::assert_snapshot!(mistake("[queue_defaults]\nlate = \"exipre\"\n"), @r"
        error: aloud.toml line 2: unknown value `exipre` in [queue_defaults]
          Nothing was started, and nothing was sent. Known there: `run`, `hold`, `expire`.
        hint: did you mean `expire`?
        ");
    }

    #[test]
    fn a_value_of_the_wrong_form_is_told_with_its_line_and_key() {
        insta::assert_snapshot!(mistake("[queue_defaults]\n\nlate_after = \"24\"\n"), @r#"
        error: aloud.toml line 3, `late_after`: "24" is not a length of time; write a number and a unit: `500ms`, `45s`, `30m`, `2h`, `7d`, or several: `1h30m`
          Nothing was started, and nothing was sent.
        hint: the reference is docs/configuration.md
        "#);
        insta::assert_snapshot!(mistake("app = 5\n"), @r"
        error: aloud.toml line 1, `app`: invalid type: integer `5`, expected a string
          Nothing was started, and nothing was sent.
        hint: the reference is docs/configuration.md
        ");
        insta::assert_snapshot!(mistake("[queues.\"ma il\"]\n"), @r"
        error: aloud.toml line 1: the queue's name holds the character ' ' at byte 2; letters, digits and any of `-_.:/+;$()@\#` are allowed
          Nothing was started, and nothing was sent.
        hint: the reference is docs/configuration.md
        ");
        insta::assert_snapshot!(mistake("app = \"shop\nserver\n"), @r"
        error: aloud.toml line 2: key with no value, expected `=`
          Nothing was started, and nothing was sent.
        hint: the reference is docs/configuration.md
        ");
        insta::assert_snapshot!(mistake("app = \"shop\"\napp = \"shop\"\n"), @r"
        error: aloud.toml line 2, `app`: duplicate key
          Nothing was started, and nothing was sent.
        hint: the reference is docs/configuration.md
        ");
    }
}
