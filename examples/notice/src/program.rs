//! The application as a program: it reads its settings from the environment,
//! says where it listens, and ends when it is asked to.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aloud_client::Span;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::Settings;

/// What it reads from the environment.
pub const HELP: &str = "\
A page of switches that have mails sent; `notice worker` sends them. It is set by its environment:
  NOTICE_HTTP        where it listens; 127.0.0.1:8080
  NOTICE_DATA        the folder it keeps its file in; the current one
  NOTICE_DELAY       how long a mail waits; 30m
  NOTICE_MAILBOX     an address to link to as the mailbox
  NOTICE_TAMPER=1    offer to turn a switch off behind the queue's back
  NOTICE_HOLD=1      hand nothing over to aloud yet: it is kept until a start without this
  ALOUD_URL, ALOUD_TOKEN_FILE, ALOUD_APP
                     where aloud is, and how to be let in
  ALOUD_SECRET_FILE  the secret that aloud signs with; `secret` beside the token
";

/// The longest that open requests are waited for at the end.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Why the program did not start, or did not end well.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs until SIGTERM or SIGINT.
pub async fn run() -> Result<(), Failure> {
    let (http, settings) = settings(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind(http).await.map_err(|error| format!("cannot listen on {http}: {error}"))?;
    let running = crate::start(listener, settings).await?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening http {}\nready", running.address()).and_then(|()| stdout.flush())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tokio::time::timeout(END_WITHIN, running.stop()).await.map_err(|_| "a request did not end in time".into())
}

fn settings(var: impl Fn(&str) -> Option<String>) -> Result<(SocketAddr, Settings), Failure> {
    let bad = |name: &'static str| move |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let http = var("NOTICE_HTTP").unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let http: SocketAddr = http.parse().map_err(|error| bad("NOTICE_HTTP")(&error))?;
    if !http.ip().is_loopback() {
        return Err("NOTICE_HTTP: this example has no login, so it listens on 127.0.0.1 only".into());
    }
    let delay = match var("NOTICE_DELAY") {
        Some(text) => text.parse::<Span>().map_err(|error| bad("NOTICE_DELAY")(&error))?.as_duration(),
        None => crate::DELAY,
    };
    let secret_file = var("ALOUD_SECRET_FILE").map(Into::into).or_else(|| {
        let token = var("ALOUD_TOKEN_FILE")?;
        Some(Path::new(&token).with_file_name("secret"))
    });
    let settings = Settings {
        data: var("NOTICE_DATA").unwrap_or_else(|| ".".to_owned()).into(),
        aloud: aloud_client::Settings::from_env()?,
        secret_file: secret_file.ok_or("neither ALOUD_SECRET_FILE nor ALOUD_TOKEN_FILE is set")?,
        delay,
        mailbox: var("NOTICE_MAILBOX"),
        tamper: var("NOTICE_TAMPER").as_deref() == Some("1"),
        relay: var("NOTICE_HOLD").as_deref() != Some("1"),
    };
    Ok((http, settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<(SocketAddr, Settings), String> {
        settings(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_mail_waits_half_an_hour_unless_something_else_is_said() {
        let token = ("ALOUD_TOKEN_FILE", "/srv/aloud/token");
        let (http, usual) = read(&[token]).unwrap();
        assert_eq!(http.to_string(), "127.0.0.1:8080");
        assert_eq!(usual.delay, Duration::from_secs(1_800));
        assert_eq!(usual.secret_file, Path::new("/srv/aloud/secret"));
        assert!(usual.relay && !usual.tamper);
        let (_, held) = read(&[token, ("NOTICE_DELAY", "2s"), ("NOTICE_HOLD", "1")]).unwrap();
        assert_eq!((held.delay, held.relay), (Duration::from_secs(2), false));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let token = ("ALOUD_TOKEN_FILE", "/srv/aloud/token");
        let why = |vars: &[(&str, &str)]| read(vars).unwrap_err();
        assert!(why(&[token, ("NOTICE_DELAY", "soon")]).starts_with("NOTICE_DELAY: "));
        assert!(why(&[token, ("NOTICE_HTTP", "8080")]).starts_with("NOTICE_HTTP: "));
        assert!(why(&[token, ("NOTICE_HTTP", "0.0.0.0:8080")]).contains("127.0.0.1 only"));
        assert!(why(&[]).contains("ALOUD_TOKEN_FILE"));
    }
}
