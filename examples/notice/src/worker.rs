//! The worker: takes the jobs of switched-on notices and sends their mails.
//!
//! It is started in a release, and everything it says comes from there. It
//! never looks at where the newest release is: to run another one is to start
//! another worker, which is aloud's task.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aloud_client::{Aloud, Ctx, Ending, Failure as Failed, JobKind, Worker};
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::book::SendNotice;
use crate::letter::{Filled, Letter};
use crate::program::Failure;

/// What it reads from the environment.
pub const HELP: &str = "\
Sends the mails of notices, with the letter in the current folder. It is set by its environment:
  NOTICE_SMTP        where mails are handed over; 127.0.0.1:2525
  ALOUD_QUEUES       which queues it takes jobs from, with commas between; mail
  ALOUD_RELEASE      what the release in the current folder is called; the folder's name
  ALOUD_URL, ALOUD_TOKEN_FILE, ALOUD_APP
                     where aloud is, and how to be let in
";

/// How long it takes to notice that a worker died with a mail in its hands.
const LEASE: Duration = Duration::from_secs(15);
/// How long mails that are being sent are waited for at the end.
const DRAIN_WITHIN: Duration = Duration::from_secs(8);
/// How long a mail server may take.
const SMTP_WITHIN: Duration = Duration::from_secs(5);
/// How many mails are sent at once.
const CONCURRENCY: usize = 8;

/// A job that does nothing: whoever did it has shown that it works.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Proof {
    /// The release that is to be proven.
    #[serde(default)]
    pub release: String,
}

impl JobKind for Proof {
    const KIND: &'static str = "notice.proof";
    const QUEUE: &'static str = SendNotice::QUEUE;
}

/// What a worker is started with.
#[derive(Debug, Clone)]
struct Settings {
    smtp: (String, u16),
    queues: Vec<String>,
}

/// Says whether a worker can start in this folder.
pub fn check() -> Result<String, Failure> {
    let letter = letter()?;
    Ok(format!("release {}, version {}, can start", letter.release, letter.version))
}

/// Works until SIGTERM or SIGINT; then it sends what it has begun.
pub async fn run() -> Result<(), Failure> {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Settings { smtp: (host, port), queues } = settings(var)?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let letter = letter()?;
    tracing::info!(release = letter.release, version = letter.version, "sends mails");
    let smtp = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(port).timeout(Some(SMTP_WITHIN));
    let post = Arc::new(Post { letter, smtp: smtp.build() });
    let worker = Worker::new(Aloud::from_env()?)
        .queues(queues)
        .concurrency(CONCURRENCY)
        .lease_for(LEASE)
        .drain_within(DRAIN_WITHIN)
        .register::<Proof, _>(async |_proof: Proof, _ctx: Ctx| Ending::done())
        .register::<SendNotice, _>(move |notice, ctx: Ctx| {
            let post = post.clone();
            async move { post.send(&notice, &ctx.id).await }
        });
    let asked = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    worker.run_until(asked).await?;
    Ok(())
}

/// Sends mails.
struct Post {
    letter: Letter,
    smtp: AsyncSmtpTransport<Tokio1Executor>,
}

impl Post {
    async fn send(&self, notice: &SendNotice, job: &str) -> Result<Ending, Failed> {
        let mail = mail(&self.letter, notice, job)?;
        self.smtp.send(mail).await?;
        Ok(Ending::done())
    }
}

/// The mail of a job. A job that is run twice sends the same mail again, by its
/// id.
fn mail(letter: &Letter, notice: &SendNotice, job: &str) -> Result<Message, Failed> {
    let Filled { text, html } = letter.fill(notice)?;
    let to: Mailbox = notice.to.parse().map_err(|error| Failed::from(error).fatal())?;
    let from: Mailbox = "Notice <notice@example.org>".parse()?;
    let mail = Message::builder()
        .message_id(Some(format!("<{}@notice.example.org>", atom(job))))
        .date_now()
        .from(from)
        .to(to)
        .subject(one_line(&notice.title))
        .header(Release(letter.release.clone()))
        .header(Version(letter.version.clone()))
        .multipart(MultiPart::alternative().singlepart(SinglePart::plain(text)).singlepart(SinglePart::html(html)))?;
    Ok(mail)
}

/// Which release sent a mail.
#[derive(Clone)]
struct Release(String);

/// Which version sent a mail.
#[derive(Clone)]
struct Version(String);

macro_rules! text_header {
    ($type:ident, $name:literal) => {
        impl Header for $type {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }

            fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Self(text.to_owned()))
            }

            fn display(&self) -> HeaderValue {
                HeaderValue::new(Self::name(), one_line(&self.0))
            }
        }
    };
}

text_header!(Release, "Notice-Release");
text_header!(Version, "Notice-Version");

/// A text that cannot become another header.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A text as the left side of a message's id.
fn atom(text: &str) -> String {
    let mut atom = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => atom.push(char::from(byte)),
            _ => atom.push_str(&format!("%{byte:02X}")),
        }
    }
    atom
}

fn letter() -> Result<Letter, Failure> {
    let folder = std::env::current_dir().map_err(|error| {
        let gone = if error.kind() == io::ErrorKind::NotFound { ": it was removed" } else { "" };
        format!("cannot tell which folder this was started in{gone} ({error})")
    })?;
    let name = |folder: &Path| folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let release = std::env::var("ALOUD_RELEASE").ok().filter(|release| !release.is_empty());
    let release = release.or_else(|| name(&folder)).unwrap_or_default();
    Ok(Letter::read(&folder, &release)?)
}

fn settings(var: impl Fn(&str) -> Option<String>) -> Result<Settings, Failure> {
    let smtp = var("NOTICE_SMTP").unwrap_or_else(|| "127.0.0.1:2525".to_owned());
    let parts = smtp.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    let smtp = parts.ok_or_else(|| format!("NOTICE_SMTP: give a host and a port, and not `{smtp}`"))?;
    let queues = var("ALOUD_QUEUES").unwrap_or_else(|| SendNotice::QUEUE.to_owned());
    Ok(Settings { smtp, queues: queues.split(',').map(|queue| queue.trim().to_owned()).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_says_which_release_sent_it_and_has_the_id_of_its_job() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("letter.txt", crate::letter::TEXT), ("letter.html", "<p>"), ("VERSION", "7")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let letter = Letter::read(folder.path(), "66").unwrap();
        let notice = SendNotice {
            request: 1,
            title: "Ready\r\nBcc: x".into(),
            recipient: "r".into(),
            to: "a@example.org".into(),
        };
        let mail = String::from_utf8(mail(&letter, &notice, "job.1").unwrap().formatted()).unwrap();
        for line in [
            "Notice-Release: 66\r\n",
            "Notice-Version: 7\r\n",
            "Message-ID: <job%2E1@notice.example.org>\r\n",
            "To: a@example.org\r\n",
            "Subject: Ready  Bcc: x\r\n",
        ] {
            assert!(mail.contains(line), "{line} {mail}");
        }
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("\nBcc"), "{mail}");
        let nowhere = SendNotice { to: "nobody".into(), ..notice };
        let failed = super::mail(&letter, &nowhere, "job").unwrap_err();
        assert_eq!(failed.again, aloud_client::Again::Never, "an address that is none will be none next time");
    }

    #[test]
    fn it_takes_mails_unless_something_else_is_said() {
        let usual = settings(|_| None).unwrap();
        assert_eq!((usual.smtp, usual.queues), (("127.0.0.1".to_owned(), 2525), vec!["mail".to_owned()]));
        let set =
            settings(|name| Some(if name == "NOTICE_SMTP" { "mx:25" } else { "left, right" }.to_owned())).unwrap();
        assert_eq!((set.smtp, set.queues), (("mx".to_owned(), 25), vec!["left".to_owned(), "right".to_owned()]));
        assert!(settings(|_| Some("mx".to_owned())).unwrap_err().to_string().starts_with("NOTICE_SMTP: "));
    }
}
