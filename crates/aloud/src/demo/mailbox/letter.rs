//! What a mail says, taken apart for reading.

use mail_parser::{Address, Message, MessageParser, PartType};
use serde::{Deserialize, Serialize};

use super::Mail;

/// A mail as a person, or the check, reads it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    /// Counts from 1, in the order of arrival.
    pub(crate) number: u64,
    /// When it came, in microseconds since 1970.
    pub(crate) arrived: i64,
    /// To whom the sender said it is.
    pub(crate) envelope_to: Vec<String>,
    /// Who wrote it, as its header has it.
    pub(crate) from: String,
    /// To whom, as its header has it.
    pub(crate) to: String,
    /// What it is about.
    pub(crate) subject: String,
    /// Its own id, by which a repeat can be told.
    pub(crate) message_id: String,
    /// Which release of the application sent it, if it says so.
    pub(crate) release: Option<String>,
    /// Which version that is.
    pub(crate) version: Option<u32>,
    /// Its text part.
    pub(crate) text: Option<String>,
    /// Its HTML part.
    pub(crate) html: Option<String>,
}

impl Letter {
    /// Takes a mail apart. What cannot be made out is left empty.
    pub(crate) fn of(mail: &Mail) -> Self {
        let parsed = MessageParser::default().parse(&mail.raw);
        let message = parsed.as_ref();
        Self {
            number: mail.number,
            arrived: mail.arrived.0,
            envelope_to: mail.envelope.to.clone(),
            from: message.and_then(Message::from).map(addresses).unwrap_or_default(),
            to: message.and_then(Message::to).map(addresses).unwrap_or_default(),
            subject: message.and_then(Message::subject).unwrap_or("(no subject)").to_owned(),
            message_id: message.and_then(Message::message_id).unwrap_or_default().to_owned(),
            release: message.and_then(|message| header(message, "Notice-Release")),
            version: message.and_then(|message| header(message, "Notice-Version")?.parse().ok()),
            text: message.and_then(|message| part(message, Wanted::Text)),
            html: message.and_then(|message| part(message, Wanted::Html)),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Text,
    Html,
}

/// The first part of that sort that is there, and not one made from the other.
fn part(message: &Message<'_>, wanted: Wanted) -> Option<String> {
    message.parts.iter().find_map(|part| match (&part.body, wanted) {
        (PartType::Text(text), Wanted::Text) => Some(text.to_string()),
        (PartType::Html(html), Wanted::Html) => Some(html.to_string()),
        _ => None,
    })
}

fn header(message: &Message<'_>, name: &'static str) -> Option<String> {
    let text = message.header_raw(name)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn addresses(list: &Address<'_>) -> String {
    let one = |one: &mail_parser::Addr<'_>| match (&one.name, &one.address) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (None, Some(address)) => address.to_string(),
        (Some(name), None) => name.to_string(),
        (None, None) => String::new(),
    };
    list.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use job::Timestamp;

    use super::*;
    use crate::demo::mailbox::Envelope;

    fn letter(raw: &[u8]) -> Letter {
        Letter::of(&Mail { number: 1, arrived: Timestamp(7), envelope: Envelope::default(), raw: raw.to_vec() })
    }

    #[test]
    fn both_parts_of_a_mail_are_found() {
        let letter = letter(
            b"From: Notice <notice@example.org>\r\nTo: reader@example.org\r\nMessage-ID: <j1.1@example.org>\r\n\
              Notice-Release: 66\r\nNotice-Version: 7\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n\
              Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
              Content-Transfer-Encoding: quoted-printable\r\n\r\nOn hold=\r\n ready\r\n--b\r\nContent-Type: text/html\r\n\r\n\
              <p>ready</p>\r\n--b--\r\n",
        );
        assert_eq!(letter.from, "Notice <notice@example.org>");
        assert_eq!(letter.to, "reader@example.org");
        assert_eq!(letter.subject, "Grüße");
        assert_eq!((letter.release.as_deref(), letter.version), (Some("66"), Some(7)));
        assert_eq!(letter.message_id, "j1.1@example.org");
        assert_eq!(letter.text.as_deref().map(str::trim_end), Some("On hold ready"));
        assert_eq!(letter.html.as_deref().map(str::trim_end), Some("<p>ready</p>"));
    }

    #[test]
    fn a_part_that_is_not_there_is_not_made_up() {
        let plain = letter(b"Subject: plain\r\n\r\nhello\r\n");
        assert_eq!((plain.text.as_deref().map(str::trim_end), plain.html), (Some("hello"), None));
        let garbage = letter(b"\xff\x00\xfe");
        assert_eq!(garbage.subject, "(no subject)");
    }
}
