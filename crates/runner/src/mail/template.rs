//! A template: text with gaps that a job's payload fills.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

use crate::unfit::Unfit;

/// A template, written in the settings or in a file of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Template {
    /// The text itself.
    Inline(String),
    /// An absolute path. It is read again for each job, so that a path through
    /// `current` follows the release.
    File(PathBuf),
}

/// What a template is rendered as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// As it is.
    Text,
    /// What fills the gaps is escaped.
    Html,
}

/// Why a template gave no text.
#[derive(Debug)]
pub(super) enum Blank {
    /// It could not be read, or is no template; the next release may mend it.
    Template(String),
    /// What it needs is not in the payload; that stays so.
    Payload(String),
}

/// The longest template, and the longest text that is made of one, in bytes.
const MAX_BYTES: usize = 1 << 20;

impl Template {
    /// Whether it can be read, and is a template at all. `name` is what it is
    /// called in an error.
    pub(super) fn check(&self, name: &str) -> Result<(), Unfit> {
        let unfit =
            |what| Unfit::new(what, "the syntax is Jinja's: `Hello {{ name }}`; see docs/handlers-and-guards.md");
        let source = match self {
            Self::Inline(source) => source.clone(),
            Self::File(path) => read(name, path).map_err(unfit)?,
        };
        ENGINE
            .template_from_named_str(name, &source)
            .map(drop)
            .map_err(|error| unfit(format!("the template `{name}` is wrong{}", at(&error))))
    }

    /// Fills the gaps.
    pub(super) async fn render(&self, name: &str, form: Form, filling: &Value) -> Result<String, Blank> {
        let source = match self {
            Self::Inline(source) => source.clone(),
            Self::File(path) => {
                let (name, path) = (name.to_owned(), path.clone());
                let read = tokio::task::spawn_blocking(move || read(&name, &path)).await;
                read.map_err(|error| Blank::Template(error.to_string()))?.map_err(Blank::Template)?
            }
        };
        render(&source, name, form, filling)
    }
}

pub(super) fn render(source: &str, name: &str, form: Form, filling: &Value) -> Result<String, Blank> {
    // The engine decides by the name whether to escape.
    let known_as = if form == Form::Html { format!("{name}.html") } else { format!("{name}.txt") };
    let template = ENGINE
        .template_from_named_str(&known_as, source)
        .map_err(|error| Blank::Template(format!("the template `{name}` is wrong{}", at(&error))))?;
    let mut text = Bounded(Vec::new());
    match template.render_captured_to(filling.clone(), &mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::UndefinedError => {
            let wanted = error.range().and_then(|range| wanted(source, range)).unwrap_or("a variable");
            return Err(Blank::Payload(format!(
                "the template `{name}` asks for `{wanted}`{}, and the payload has no such field",
                error.line().map_or_else(String::new, |line| format!(" in line {line}")),
            )));
        }
        Err(error) => {
            return Err(Blank::Payload(format!("the template `{name}` cannot be filled{}", at(&error))));
        }
    }
    String::from_utf8(text.0).map_err(|_| Blank::Template(format!("the template `{name}` made text that is not UTF-8")))
}

/// The expression that the error is about: the engine may give only its end,
/// from a dot onwards.
fn wanted(source: &str, range: std::ops::Range<usize>) -> Option<&str> {
    let path = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']');
    let before = source.get(..range.start)?;
    let more =
        if source.get(range.clone())?.starts_with('.') { before.trim_end_matches(path).len() } else { range.start };
    Some(source.get(more..range.end)?.trim())
}

/// One engine for all: a missing variable is an error, and HTML is escaped.
static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_debug(true);
    engine.set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    engine
});

fn at(error: &minijinja::Error) -> String {
    let line = error.line().map_or_else(String::new, |line| format!(" in line {line}"));
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("{line}: {detail}")
}

fn read(name: &str, path: &Path) -> Result<String, String> {
    let shown = path.display();
    let size = std::fs::metadata(path).map(|file| file.len());
    match size {
        Ok(size) if size > MAX_BYTES as u64 => {
            Err(format!("the template `{name}` in `{shown}` has {size} bytes, and at most {MAX_BYTES} are allowed"))
        }
        _ => std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the template `{name}` in `{shown}`: {error}")),
    }
}

/// Takes so much and no more.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(io::Error::other(format!("it makes more than {MAX_BYTES} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use minijinja::value::Serde;
    use serde_json::json;

    use super::*;

    fn fill(source: &str, form: Form, payload: serde_json::Value) -> Result<String, String> {
        render(source, "text", form, &Serde(payload).into()).map_err(|blank| match blank {
            Blank::Template(why) => format!("template: {why}"),
            Blank::Payload(why) => format!("payload: {why}"),
        })
    }

    #[test]
    fn gaps_are_filled_and_html_is_escaped() {
        let payload = json!({"name": "Ute <Ö>", "items": [1, 2]});
        let source = "Hi {{ name }}!{% for i in items %} {{ i }}{% endfor %}";
        assert_eq!(fill(source, Form::Text, payload.clone()).unwrap(), "Hi Ute <Ö>! 1 2");
        assert_eq!(fill(source, Form::Html, payload).unwrap(), "Hi Ute &lt;Ö&gt;! 1 2");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let missing = |source| fill(source, Form::Text, json!({"user": {}})).unwrap_err();
        assert_eq!(
            missing("Hi\n{{ name }}"),
            "payload: the template `text` asks for `name` in line 2, and the payload has no such field"
        );
        assert_eq!(
            missing("{{ user.first.letter }}"),
            "payload: the template `text` asks for `user.first.letter` in line 1, and the payload has no such field"
        );
        assert!(missing("{% if urgent %}!{% endif %}").contains("`urgent`"));
        assert_eq!(fill("Hi {{ name | default('you') }}", Form::Text, json!({})).unwrap(), "Hi you");
    }

    #[test]
    fn what_is_no_template_is_said_of_the_template() {
        let wrong = fill("Hi {{ name", Form::Text, json!({})).unwrap_err();
        assert!(wrong.starts_with("template: the template `text` is wrong in line 1:"), "{wrong}");
        assert!(Template::Inline("{% if %}".into()).check("text").is_err());
        assert!(Template::File("/nowhere/at/all".into()).check("text").unwrap_err().what.contains("/nowhere/at/all"));
    }

    #[test]
    fn a_text_that_grows_without_end_is_refused() {
        let source = "{% for a in range(10000) %}{% for b in range(10000) %}xxxxxxxxxx{% endfor %}{% endfor %}";
        let refused = fill(source, Form::Text, json!({})).unwrap_err();
        assert!(refused.starts_with("payload: the template `text` cannot be filled"), "{refused}");
    }
}
