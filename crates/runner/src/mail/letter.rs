//! A letter, made from templates and a job.
//!
//! Every part is rendered on its own and only then put together, so that what
//! a payload brings can never become another header, another recipient or
//! markup.

use std::time::{Duration, UNIX_EPOCH};

use job::{Again, Timestamp};
use lettre::Address;
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use minijinja::Value;
use minijinja::value::Serde;

use super::template::{Blank, Form, Template, render};
use crate::task::Task;
use crate::unfit::Unfit;

/// The templates of a letter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Templates {
    from: Person,
    to: Vec<Person>,
    reply_to: Option<Person>,
    subject: String,
    text: Option<Template>,
    html: Option<Template>,
}

/// The parts of a letter, as they are written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// Who sends it: `Shop <shop@example.com>`.
    pub from: String,
    /// Who gets it, one address each: `{{ name }} <{{ email }}>`.
    pub to: Vec<String>,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<String>,
    /// What it is about, in one line.
    pub subject: String,
    /// What it says, as plain text.
    pub text: Option<Template>,
    /// What it says, as HTML.
    pub html: Option<Template>,
}

/// The most recipients of one letter.
const MAX_RECIPIENTS: usize = 50;
/// The longest subject, in bytes.
const MAX_SUBJECT_BYTES: usize = 900;

/// Why no letter could be written.
#[derive(Debug)]
pub(super) struct Unwritable {
    pub(super) class: &'static str,
    pub(super) message: String,
    pub(super) again: Again,
}

impl Templates {
    /// The templates, if each of them can be read.
    pub fn new(parts: Parts) -> Result<Self, Unfit> {
        let Parts { from, to, reply_to, subject, text, html } = parts;
        if to.is_empty() || to.len() > MAX_RECIPIENTS {
            return Err(Unfit::new(
                format!("a letter has {} recipients", to.len()),
                format!("give `to` 1 to {MAX_RECIPIENTS} addresses"),
            ));
        }
        if text.is_none() && html.is_none() {
            return Err(Unfit::new("a letter says nothing", "give it `text`, `html`, or better both"));
        }
        for (name, template) in [("text", &text), ("html", &html)] {
            template.as_ref().map_or(Ok(()), |template| template.check(name))?;
        }
        Template::Inline(subject.clone()).check("subject")?;
        Ok(Self {
            from: Person::new("from", from)?,
            to: to.into_iter().map(|to| Person::new("to", to)).collect::<Result<_, _>>()?,
            reply_to: reply_to.map(|to| Person::new("reply_to", to)).transpose()?,
            subject,
            text,
            html,
        })
    }

    /// Writes the letter for a job of the store with the id `store`.
    pub(super) async fn write(&self, task: &Task, store: &str, now: Timestamp) -> Result<Message, Unwritable> {
        let filling = filling(task)?;
        let from = self.from.address(&filling)?;
        let mut letter = Message::builder()
            .message_id(Some(message_id(task, store, &from.email)))
            .date(UNIX_EPOCH + Duration::from_micros(now.0.unsigned_abs()))
            .subject(self.subject(&filling)?)
            .from(from);
        for person in &self.to {
            letter = letter.to(person.address(&filling)?);
        }
        if let Some(person) = &self.reply_to {
            letter = letter.reply_to(person.address(&filling)?);
        }
        let part = async |template: &Option<Template>, name, form| match template {
            Some(template) => template.render(name, form, &filling).await.map(Some),
            None => Ok(None),
        };
        let text = part(&self.text, "text", Form::Text).await?;
        let html = part(&self.html, "html", Form::Html).await?;
        let letter = match (text, html) {
            (Some(text), Some(html)) => letter.multipart(
                MultiPart::alternative().singlepart(SinglePart::plain(text)).singlepart(SinglePart::html(html)),
            ),
            (Some(text), None) => letter.singlepart(SinglePart::plain(text)),
            (None, html) => letter.singlepart(SinglePart::html(html.unwrap_or_default())),
        };
        letter.map_err(|error| Unwritable {
            class: "mail.template",
            message: format!("the letter cannot be put together: {error}"),
            again: Again::Never,
        })
    }

    fn subject(&self, filling: &Value) -> Result<String, Unwritable> {
        let subject = render(&self.subject, "subject", Form::Text, filling)?;
        let subject = subject.trim();
        if subject.chars().any(char::is_control) {
            return Err(never(
                "mail.template",
                format!("the subject {subject:?} holds a line break or a control character"),
            ));
        }
        if subject.len() > MAX_SUBJECT_BYTES {
            return Err(never(
                "mail.template",
                format!("the subject has {} bytes, and at most {MAX_SUBJECT_BYTES} are allowed", subject.len()),
            ));
        }
        Ok(subject.to_owned())
    }
}

/// The template of somebody's name and address.
///
/// The two are told apart in the template, not in what is made of it: a name
/// with a comma stays a name, and an address can only be one.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Person {
    field: &'static str,
    name: Option<String>,
    address: String,
}

impl Person {
    fn new(field: &'static str, written: String) -> Result<Self, Unfit> {
        let written = written.trim();
        let (name, address) = match written.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, address)) => (Some(name.trim()).filter(|name| !name.is_empty()), address.trim()),
            None => (None, written),
        };
        for part in name.into_iter().chain([address]) {
            Template::Inline(part.to_owned()).check(field)?;
        }
        let fixed = !address.contains("{{") && !address.contains("{%");
        if fixed && address.parse::<Address>().is_err() {
            return Err(Unfit::new(
                format!("`{field}`: {address:?} is not a mail address"),
                "write one address: `Shop <shop@example.com>`, or a template of one: `{{ email }}`",
            ));
        }
        Ok(Self { field, name: name.map(|name| name.trim_matches('"').to_owned()), address: address.to_owned() })
    }

    fn address(&self, filling: &Value) -> Result<Mailbox, Unwritable> {
        let Self { field, name, address } = self;
        let address = render(address, field, Form::Text, filling)?;
        let address = address.trim();
        let address = match address.parse::<Address>() {
            Ok(parsed) if !address.chars().any(char::is_control) => parsed,
            Ok(_) | Err(_) => {
                return Err(never("mail.address", format!("`{field}`: {address:?} is not one mail address")));
            }
        };
        let name = name.as_ref().map(|name| render(name, field, Form::Text, filling)).transpose()?;
        let name = name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        if name.is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(never(
                "mail.address",
                format!("`{field}`: the name {name:?} holds a line break or a control character"),
            ));
        }
        Ok(Mailbox::new(name.map(str::to_owned), address))
    }
}

impl From<Blank> for Unwritable {
    fn from(blank: Blank) -> Self {
        match blank {
            Blank::Template(message) => Self { class: "mail.template", message, again: Again::ByPolicy },
            Blank::Payload(message) => Self { class: "mail.template", message, again: Again::Never },
        }
    }
}

fn never(class: &'static str, message: String) -> Unwritable {
    Unwritable { class, message, again: Again::Never }
}

/// What fills the gaps: the fields of the payload, and `job`.
fn filling(task: &Task) -> Result<Value, Unwritable> {
    use serde_json::{Map, Value as Json, json};
    let mut fields = match serde_json::from_slice(task.payload.as_bytes()) {
        Ok(Json::Object(fields)) => fields,
        Ok(Json::Null) => Map::new(),
        Ok(_) | Err(_) => {
            return Err(never(
                "mail.template",
                "the payload is not a JSON object, so it has no fields for the templates".to_owned(),
            ));
        }
    };
    let about = json!({
        "id": task.id.to_string(),
        "kind": task.kind,
        "queue": task.queue,
        "key": task.key,
        "attempt": task.attempt,
    });
    fields.insert("job".to_owned(), about);
    Ok(Serde(fields).into())
}

/// The same for every attempt of a job, and for no other job: the store's id
/// keeps apart the `j17` of two stores.
fn message_id(task: &Task, store: &str, from: &Address) -> String {
    let atom = |text: &str, more: &[u8]| {
        let mut atom = String::new();
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => atom.push(char::from(byte)),
                _ if more.contains(&byte) => atom.push(char::from(byte)),
                _ => atom.push_str(&format!("%{byte:02X}")),
            }
        }
        atom
    };
    format!("<aloud.{}.{}@{}>", atom(&task.id.to_string(), b""), atom(store, b""), atom(from.domain(), b".[]:"))
}
