//! Runs the application by itself, as the environment says.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use aloud_client::Span;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const HELP: &str = "\
A page of switches that have mails sent. It is set by its environment:
  NOTICE_HTTP        where it listens; 127.0.0.1:8080
  NOTICE_DATA        the folder it keeps its file in; the current one
  NOTICE_DELAY       how long a mail waits; 30m
  NOTICE_MAILBOX     an address to link to as the mailbox
  NOTICE_SECRET_FILE the secret that aloud signs with; `secret` beside the token
  ALOUD_URL, ALOUD_TOKEN_FILE, ALOUD_APP
                     where aloud is, and how to be let in";

#[tokio::main]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program: it answers and complains")]
async fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "whoever starts it reads here where it listens")]
async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let http: SocketAddr = var("NOTICE_HTTP").as_deref().unwrap_or("127.0.0.1:8080").parse()?;
    let token_file = var("ALOUD_TOKEN_FILE").unwrap_or_default();
    let secret_beside = std::path::Path::new(&token_file).with_file_name("secret");
    let settings = notice::Settings {
        data: var("NOTICE_DATA").unwrap_or_else(|| ".".to_owned()).into(),
        aloud: aloud_client::Settings::from_env()?,
        secret_file: var("NOTICE_SECRET_FILE").map_or(secret_beside, Into::into),
        delay: var("NOTICE_DELAY").map_or(Ok(notice::DELAY), |text| text.parse::<Span>().map(Span::as_duration))?,
        mailbox: var("NOTICE_MAILBOX"),
        tamper: false,
        relay: true,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let running = notice::start(TcpListener::bind(http).await?, settings).await?;
    println!("listening http {}", running.address());
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    tokio::time::timeout(Duration::from_secs(10), running.stop()).await?;
    Ok(())
}
