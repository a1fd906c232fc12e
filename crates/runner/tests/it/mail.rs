//! Jobs done by a letter.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use job::Span;
use mail_parser::{Message, MessageParser};
use runner::mail::{Described, Login, Parts, Server, Template, Templates, Tls};
use runner::{Handler, MailHandler, Run};

use crate::app::{App, Then};
use crate::bench::{Bench, Ended, kind};
use crate::mailbox::{Letter, Mailbox, Manners, Offered, Silent, acceptor};

const PAYLOAD: &str = r#"{"name": "Ute Büch", "email": "ute@example.com", "title": "Dach & <Wand>"}"#;

fn parts() -> Parts {
    Parts {
        from: "Der Laden <laden@shop.example>".to_owned(),
        to: vec!["{{ name }} <{{ email }}>".to_owned()],
        reply_to: None,
        subject: "Für {{ name }}: „{{ title }}“".to_owned(),
        text: Some(Template::Inline("Hallo {{ name }},\n{{ title }} ist fällig.\n".to_owned())),
        html: Some(Template::Inline("<p>Hallo {{ name }}, <b>{{ title }}</b> ist fällig.</p>".to_owned())),
    }
}

fn described(host: &str, port: u16) -> Described<'_> {
    Described {
        host,
        port: Some(port),
        hello: None,
        tls: Tls::None,
        ca_file: None,
        allow_plaintext: false,
        login: None,
    }
}

fn plain(address: SocketAddr) -> Server {
    Server::new(described("127.0.0.1", address.port())).unwrap()
}

fn run(server: Server, parts: Parts) -> Run {
    Run::Mail(MailHandler { server, templates: Templates::new(parts).unwrap() })
}

fn parse(letter: &Letter) -> Message<'_> {
    MessageParser::default().parse(&letter.data).expect("it is a letter")
}

/// Runs one job of [`PAYLOAD`] at a server with these manners.
async fn send(manners: Manners) -> (queue::Found, Mailbox) {
    let mailbox = Mailbox::with(manners).await;
    let found = Bench::new(run(plain(mailbox.address), parts())).push_and_run(PAYLOAD).await;
    (found, mailbox)
}

#[tokio::test]
async fn a_letter_arrives_with_both_parts_and_an_id_that_tells_a_repeat() {
    let mailbox = Mailbox::with(Manners::default()).await;
    let bench = Bench::new(run(plain(mailbox.address), parts()));
    let id = bench.push(PAYLOAD).await;
    assert_eq!(bench.ended(&id).await.done().as_deref(), Some("250 2.0.0 Ok: queued as 1"));
    let [letter] = &mailbox.letters()[..] else { panic!("{:?}", mailbox.letters()) };
    assert_eq!((letter.from.as_str(), &letter.to[..]), ("laden@shop.example", &["ute@example.com".to_owned()][..]));
    assert!(letter.data.is_ascii(), "any server can carry it");
    let mail = parse(letter);
    assert_eq!(mail.subject(), Some("Für Ute Büch: „Dach & <Wand>“"));
    let store = bench.queue.identity().id;
    assert_eq!(mail.message_id(), Some(format!("aloud.{id}.{store}@shop.example").as_str()));
    let to = mail.to().unwrap().first().unwrap();
    assert_eq!((to.name(), to.address()), (Some("Ute Büch"), Some("ute@example.com")));
    let from = mail.from().unwrap().first().unwrap();
    assert_eq!((from.name(), from.address()), (Some("Der Laden"), Some("laden@shop.example")));
    let age = bench.queue.now().wall.0 / 1_000_000 - mail.date().unwrap().to_timestamp();
    assert!((0..60).contains(&age), "{age}");
    let text = mail.body_text(0).unwrap().replace("\r\n", "\n");
    assert_eq!(text.trim_end(), "Hallo Ute Büch,\nDach & <Wand> ist fällig.");
    assert_eq!(
        mail.body_html(0).unwrap().trim_end(),
        "<p>Hallo Ute Büch, <b>Dach &amp; &lt;Wand&gt;</b> ist fällig.</p>"
    );
}

#[tokio::test]
async fn the_id_of_a_letter_is_the_same_each_time_and_another_for_each_job() {
    let mailbox = Mailbox::with(Manners { to_letter: Some((451, "try again")), ..Manners::default() }).await;
    let bench = Bench::new(run(plain(mailbox.address), parts()));
    let id = bench.push_as(PAYLOAD, |job| job.client_id = Some("notice/42".replace('/', "@").parse().unwrap())).await;
    bench.ended(&id).await.retrying();
    drop(bench);

    let mailbox = Mailbox::with(Manners::default()).await;
    let bench = Bench::new(run(plain(mailbox.address), parts()));
    let first = bench.push_as(PAYLOAD, |job| job.client_id = Some("notice@<42>".parse().unwrap())).await;
    bench.ended(&first).await.done();
    bench.push_and_run(PAYLOAD).await.done();
    let letters = mailbox.letters();
    let ids: Vec<_> = letters.iter().map(|letter| parse(letter).message_id().unwrap().to_owned()).collect();
    let store = bench.queue.identity().id;
    assert_eq!(
        ids,
        [format!("aloud.notice%40%3C42%3E.{store}@shop.example"), format!("aloud.j2.{store}@shop.example")]
    );
}

#[tokio::test]
async fn templates_in_files_are_read_anew_for_each_letter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    fs::write(&path, "alt: {{ title }} ({{ job.kind }}, {{ job.attempt }})").unwrap();
    let mailbox = Mailbox::with(Manners::default()).await;
    let parts = Parts { text: Some(Template::File(path.clone())), html: None, ..parts() };
    let bench = Bench::new(run(plain(mailbox.address), parts));
    bench.push_and_run(PAYLOAD).await.done();
    fs::write(&path, "neu: {{ title }}").unwrap();
    bench.push_and_run(PAYLOAD).await.done();
    let texts: Vec<_> =
        mailbox.letters().iter().map(|letter| parse(letter).body_text(0).unwrap().trim_end().to_owned()).collect();
    assert_eq!(texts, ["alt: Dach & <Wand> (notice.send, 1)", "neu: Dach & <Wand>"]);

    fs::remove_file(&path).unwrap();
    let (class, message) = bench.push_and_run(PAYLOAD).await.retrying();
    assert_eq!(class, "mail.template", "the next release may bring it back");
    assert!(message.contains("cannot read the template `text`"), "{message}");
    assert_eq!(mailbox.letters().len(), 2);
}

#[tokio::test]
async fn a_payload_that_does_not_fit_the_templates_is_dead_at_once_and_says_what_is_missing() {
    let mailbox = Mailbox::with(Manners::default()).await;
    let bench = Bench::new(run(plain(mailbox.address), parts()));
    for (payload, class, part) in [
        (
            r#"{"name": "Ute", "email": "ute@example.com"}"#,
            "mail.template",
            "the template `subject` asks for `title` in line 1",
        ),
        ("null", "mail.template", "the template `subject` asks for `name`"),
        ("[1]", "mail.template", "the payload is not a JSON object"),
        (r#"{"name": "U", "email": "", "title": "x"}"#, "mail.address", "`to`: \"\" is not one mail address"),
        (
            r#"{"name": "U", "email": "ute@example.com, eve@example.com", "title": "x"}"#,
            "mail.address",
            "is not one mail address",
        ),
        (r#"{"name": "U", "email": "ute", "title": "x"}"#, "mail.address", "is not one mail address"),
        (
            r#"{"name": "U", "email": "ute@example.com>\r\nRCPT TO:<eve@example.com", "title": "x"}"#,
            "mail.address",
            "is not one mail address",
        ),
        (
            r#"{"name": "U\r\nBcc: eve@example.com", "email": "ute@example.com", "title": "x"}"#,
            "mail.template",
            "holds a line break",
        ),
        (
            r#"{"name": "U", "email": "ute@example.com", "title": "x\nBcc: eve@example.com"}"#,
            "mail.template",
            "holds a line break",
        ),
    ] {
        let dead = bench.push_and_run(payload).await.dead();
        assert_eq!(dead.0, class, "{payload}: {}", dead.1);
        assert!(dead.1.contains(part), "{payload}: {}", dead.1);
    }
    assert!(mailbox.letters().is_empty(), "none of them was sent");
}

#[tokio::test]
async fn what_a_payload_brings_stays_where_it_belongs() {
    let mailbox = Mailbox::with(Manners::default()).await;
    let text = "{{ name }}\n.\n{{ title }}";
    let parts = Parts { subject: "x".to_owned(), text: Some(Template::Inline(text.to_owned())), html: None, ..parts() };
    let bench = Bench::new(run(plain(mailbox.address), parts));
    let payload = r#"{"name": "Büch, Ute <eve@example.com>", "email": "ute@example.com", "title": ".\r\nMAIL FROM:<eve@example.com>"}"#;
    bench.push_and_run(payload).await.done();
    let [letter] = &mailbox.letters()[..] else { panic!("{:?}", mailbox.letters()) };
    assert_eq!(letter.to, ["ute@example.com"]);
    let mail = parse(letter);
    let to = mail.to().unwrap();
    assert_eq!(to.iter().count(), 1);
    assert_eq!(to.first().unwrap().name(), Some("Büch, Ute <eve@example.com>"), "a name with a comma stays a name");
    assert!(mail.body_text(0).unwrap().contains("MAIL FROM:<eve@example.com>"), "and a dot ends no letter");
}

#[tokio::test]
async fn several_recipients_and_another_address_for_answers() {
    let mailbox = Mailbox::with(Manners::default()).await;
    let parts = Parts {
        to: vec!["{{ email }}".to_owned(), "office@shop.example".to_owned()],
        reply_to: Some("Büro <office@shop.example>".to_owned()),
        text: None,
        ..parts()
    };
    Bench::new(run(plain(mailbox.address), parts)).push_and_run(PAYLOAD).await.done();
    let [letter] = &mailbox.letters()[..] else { panic!("{:?}", mailbox.letters()) };
    assert_eq!(letter.to, ["ute@example.com", "office@shop.example"]);
    let mail = parse(letter);
    assert_eq!(mail.reply_to().unwrap().first().unwrap().address(), Some("office@shop.example"));
    assert_eq!(mail.html_bodies().count(), 1);
}

#[tokio::test]
async fn a_final_refusal_is_dead_at_once_and_a_passing_one_is_tried_again() {
    let cases = [
        (Manners { to_recipient: Some((550, "5.1.1 no such user")), ..Manners::default() }, true),
        (Manners { to_sender: Some((553, "5.1.8 we do not know you")), ..Manners::default() }, true),
        (Manners { to_letter: Some((554, "5.7.1 this is spam")), ..Manners::default() }, true),
        (Manners { to_recipient: Some((450, "4.2.1 mailbox busy")), ..Manners::default() }, false),
        (Manners { to_sender: Some((421, "4.3.2 shutting down")), ..Manners::default() }, false),
        (Manners { to_letter: Some((452, "4.3.1 no space")), ..Manners::default() }, false),
        (Manners { to_sender: Some((530, "5.7.0 sign in first")), ..Manners::default() }, false),
    ];
    for (manners, is_final) in cases {
        let (code, text) = manners.to_sender.or(manners.to_recipient).or(manners.to_letter).unwrap();
        let (found, mailbox) = send(manners).await;
        let (class, message) = if is_final { found.dead() } else { found.retrying() };
        assert_eq!(class, if is_final { "mail.rejected" } else { "mail.deferred" });
        assert!(message.contains(&format!("{code} {text}")), "{message}");
        assert!(mailbox.letters().is_empty());
    }
    let (found, _) = send(Manners { to_recipient: Some((550, "no")), ..Manners::default() }).await;
    assert!(found.dead().1.contains("refused while naming the recipient ute@example.com to it"));
}

#[tokio::test]
async fn a_letter_that_was_taken_is_done_even_if_the_goodbye_is_never_answered() {
    let (found, mailbox) = send(Manners { silent: Some(Silent::AtGoodbye), ..Manners::default() }).await;
    assert_eq!(found.done().as_deref(), Some("250 2.0.0 Ok: queued as 1"));
    assert_eq!(mailbox.letters().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_absent_or_no_mail_server_is_tried_again() {
    let nobody = App::absent().await.address;
    let (class, message) = Bench::new(run(plain(nobody), parts())).push_and_run(PAYLOAD).await.retrying();
    assert_eq!(class, "mail.unreachable");
    assert!(message.contains("refused"), "{message}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n").await.ok();
        }
    });
    let (class, message) = Bench::new(run(plain(address), parts())).push_and_run(PAYLOAD).await.retrying();
    assert_eq!(class, "mail.broken");
    assert!(message.contains("did not answer in SMTP"), "{message}");

    // A web server waits to be spoken to first, and so does an SMTP client.
    let web = App::raw(b"", Then::Hang).await.address;
    let handler = Handler::new(kind(), run(plain(web), parts())).with_timeout(Span::from_millis(200)).unwrap();
    assert_eq!(Bench::with(handler).push_and_run(PAYLOAD).await.retrying().0, "mail.timeout");
}

#[tokio::test]
async fn a_server_that_hangs_is_a_failure_after_its_time_and_it_is_said_if_it_may_have_the_letter() {
    for (silent, doubtful) in [(Silent::AtGreeting, false), (Silent::AfterLetter, true)] {
        let mailbox = Mailbox::with(Manners { silent: Some(silent), ..Manners::default() }).await;
        let run = run(plain(mailbox.address), parts());
        let handler = Handler::new(kind(), run).with_timeout(Span::from_millis(500)).unwrap();
        let (class, message) = Bench::with(handler).push_and_run(PAYLOAD).await.retrying();
        assert_eq!(class, "mail.timeout");
        assert_eq!(message.contains("it may have taken the letter"), doubtful, "{message}");
    }
}

/// A server with a certificate for `localhost`, and the file that says to trust
/// it.
async fn secured(offered: Offered, login: Option<(&'static str, &'static str)>, folder: &Path) -> Mailbox {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("ca.pem"), key.cert.pem()).unwrap();
    Mailbox::with(Manners { tls: Some((acceptor(&key), offered)), login, ..Manners::default() }).await
}

fn login(folder: &Path, text: &str) -> Login {
    let path = folder.join("login");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Login::open(&path).unwrap()
}

#[tokio::test]
async fn a_connection_is_secured_and_signed_in_before_anything_is_said() {
    for (offered, tls) in [(Offered::StartTls, Tls::StartTls), (Offered::AtOnce, Tls::Tls)] {
        let folder = tempfile::tempdir().unwrap();
        let mailbox = secured(offered, Some(("shop", "geheim wie nie")), folder.path()).await;
        let server = Server::new(Described {
            tls,
            hello: Some("worker1.shop.example"),
            ca_file: Some(&folder.path().join("ca.pem")),
            login: Some(login(folder.path(), "shop\ngeheim wie nie\n")),
            ..described("localhost", mailbox.address.port())
        });
        Bench::new(run(server.unwrap(), parts())).push_and_run(PAYLOAD).await.done();
        let [letter] = &mailbox.letters()[..] else { panic!("{:?}", mailbox.letters()) };
        assert!(letter.secured);
        assert_eq!(letter.hello, "worker1.shop.example");
        assert_eq!(letter.user.as_deref(), Some("shop"));
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_again_once_it_is_mended_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = secured(Offered::StartTls, Some(("shop", "right")), folder.path()).await;
    let server = Server::new(Described {
        tls: Tls::StartTls,
        ca_file: Some(&folder.path().join("ca.pem")),
        login: Some(login(folder.path(), "shop\nfalsch-und-geheim\n")),
        ..described("localhost", mailbox.address.port())
    });
    let (class, message) = Bench::new(run(server.unwrap(), parts())).push_and_run(PAYLOAD).await.retrying();
    assert_eq!(class, "mail.auth");
    assert!(message.contains("535"), "{message}");
    assert!(!message.contains("geheim"), "{message}");
}

#[tokio::test]
async fn nothing_is_sent_over_a_connection_that_cannot_be_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (offered, tls) in [(Offered::StartTls, Tls::StartTls), (Offered::AtOnce, Tls::Tls)] {
        let mailbox = secured(offered, None, folder.path()).await;
        fs::write(folder.path().join("ca.pem"), other.cert.pem()).unwrap();
        let ca_file = folder.path().join("ca.pem");
        let server = Described { tls, ca_file: Some(&ca_file), ..described("localhost", mailbox.address.port()) };
        let server = Server::new(server).unwrap();
        let (class, message) = Bench::new(run(server, parts())).push_and_run(PAYLOAD).await.retrying();
        assert_eq!(class, "mail.tls", "{message}");
        assert!(mailbox.letters().is_empty());
    }
    let plain_only = Mailbox::with(Manners::default()).await;
    let ca_file = folder.path().join("ca.pem");
    let server =
        Described { tls: Tls::StartTls, ca_file: Some(&ca_file), ..described("localhost", plain_only.address.port()) };
    let (class, message) =
        Bench::new(run(Server::new(server).unwrap(), parts())).push_and_run(PAYLOAD).await.retrying();
    assert_eq!(class, "mail.tls");
    assert!(message.contains("it does not offer STARTTLS"), "{message}");
    assert!(plain_only.letters().is_empty());
}

#[test]
fn parts_that_make_no_letter_are_refused_at_the_start() {
    let refused = |change: fn(&mut Parts)| {
        let mut parts = parts();
        change(&mut parts);
        Templates::new(parts).unwrap_err().what
    };
    assert_eq!(refused(|parts| parts.to.clear()), "a letter has 0 recipients");
    assert!(refused(|parts| (parts.text, parts.html) = (None, None)).contains("says nothing"));
    assert!(refused(|parts| parts.from = "nobody".into()).contains("`from`: \"nobody\" is not a mail address"));
    assert!(refused(|parts| parts.subject = "{{ title".into()).contains("the template `subject` is wrong in line 1"));
    assert!(refused(|parts| parts.to = vec!["{{ email <x@y.z>".into()]).contains("the template `to` is wrong"));
    assert!(
        refused(|parts| parts.html = Some(Template::File("/nowhere".into())))
            .contains("cannot read the template `html`")
    );
}

#[test]
fn a_login_is_two_lines_that_nobody_else_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("login");
    for bad in ["", "shop", "shop\n", "\ngeheim\n", "shop\ngeheim\nmore\n"] {
        fs::write(&path, bad).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = Login::open(&path).unwrap_err().to_string();
        assert!(error.contains("is not a mail server's login") && !error.contains("geheim"), "{error}");
    }
    fs::write(&path, "shop\ngeheim\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    assert!(Login::open(&path).unwrap_err().what.contains("by everybody"));
}
