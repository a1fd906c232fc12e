//! One letter to one mail server.
//!
//! The connection is driven command by command, so that it is always known how
//! far it came: a refused recipient, a wrong password and a server that was
//! silent after it had the whole letter are three different things. A server
//! that has taken the letter has taken it, whatever follows.

use std::fmt;
use std::time::Duration;

use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use lettre::transport::smtp::{Error, commands::Quit};
use lettre::{Address, Message};

use super::server::{Login, Server, Tls};
use crate::excerpt::readable;
use crate::patience::{Over, Patience};

/// How long a polite goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

impl Server {
    /// Hands over the letter, and answers what the server said when it took
    /// it.
    pub(super) async fn deliver(&self, letter: &Message, patience: &Patience) -> Result<String, Undelivered> {
        let mut connection = self.connect(patience).await?;
        let taken = transfer(&mut connection, letter, patience).await;
        // Whatever it answers to this, the letter has been taken or refused.
        tokio::time::timeout(GOODBYE, connection.command(Quit)).await.ok();
        taken
    }

    /// Connects, secures the connection and signs in.
    async fn connect(&self, patience: &Patience) -> Result<AsyncSmtpConnection, Undelivered> {
        crate::tls::install();
        let at_once = self.tls.as_ref().filter(|(tls, _)| *tls == Tls::Tls).map(|(_, with)| with.clone());
        let to = (self.host.as_str(), self.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(to, None, &self.hello, at_once, None);
        let mut connection = step(Stage::Connecting, patience, connecting).await?;
        if let Some((Tls::StartTls, with)) = &self.tls {
            if !connection.can_starttls() {
                let why = Why::Untrusted("it does not offer STARTTLS".to_owned());
                return Err(Undelivered { stage: Stage::Securing, why });
            }
            step(Stage::Securing, patience, connection.starttls(with.clone(), &self.hello)).await?;
        }
        if let Some(Login(credentials)) = &self.login {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if connection.server_info().get_auth_mechanism(&mechanisms).is_none() {
                let text = "it offers neither AUTH PLAIN nor AUTH LOGIN".to_owned();
                return Err(Undelivered { stage: Stage::SigningIn, why: Why::Refused { code: 0, text } });
            }
            step(Stage::SigningIn, patience, connection.auth(&mechanisms, credentials)).await?;
        }
        Ok(connection)
    }
}

/// How far a delivery came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Connecting,
    Securing,
    SigningIn,
    Sender,
    Recipient(Address),
    Announcing,
    /// The whole letter is on its way: only the server knows what became of it.
    Sending,
}

impl Stage {
    /// Whether a refusal here is about this letter, and not about the server or
    /// our settings.
    pub(super) fn is_about_the_letter(&self) -> bool {
        match self {
            Self::Connecting | Self::Securing | Self::SigningIn => false,
            Self::Sender | Self::Recipient(_) | Self::Announcing | Self::Sending => true,
        }
    }

    /// What to add where it is unknown whether the letter was taken.
    pub(super) fn doubt(&self) -> &'static str {
        match self {
            Self::Sending => "; it may have taken the letter, and a repeat has the same Message-ID",
            Self::Connecting
            | Self::Securing
            | Self::SigningIn
            | Self::Sender
            | Self::Recipient(_)
            | Self::Announcing => "",
        }
    }
}

impl fmt::Display for Stage {
    /// Goes on with "it" or the server's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("greeting"),
            Self::Securing => f.write_str("securing the connection to"),
            Self::SigningIn => f.write_str("signing in to"),
            Self::Sender => f.write_str("naming the sender to"),
            Self::Recipient(address) => write!(f, "naming the recipient {address} to"),
            Self::Announcing => f.write_str("announcing the letter to"),
            Self::Sending => f.write_str("handing the letter to"),
        }
    }
}

/// Why a letter was not taken, as far as is known.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub(super) stage: Stage,
    pub(super) why: Why,
}

/// What happened instead.
#[derive(Debug)]
pub(super) enum Why {
    Over(Over),
    Refused { code: u16, text: String },
    Unreachable(String),
    Untrusted(String),
    Garbage(String),
    Incapable(String),
}

async fn transfer(
    connection: &mut AsyncSmtpConnection,
    letter: &Message,
    patience: &Patience,
) -> Result<String, Undelivered> {
    let envelope = letter.envelope();
    let mut parameters = Vec::new();
    let addresses = || envelope.from().into_iter().chain(envelope.to());
    if let Some(odd) = addresses().find(|address| !AsRef::<str>::as_ref(address).is_ascii()) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let why = Why::Incapable(format!("the address {odd} is not ASCII, and it does not offer SMTPUTF8"));
            return Err(Undelivered { stage: Stage::Sender, why });
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let sender = Mail::new(envelope.from().cloned(), parameters);
    step(Stage::Sender, patience, connection.command(sender)).await?;
    for address in envelope.to() {
        let recipient = connection.command(Rcpt::new(address.clone(), Vec::new()));
        step(Stage::Recipient(address.clone()), patience, recipient).await?;
    }
    step(Stage::Announcing, patience, connection.command(Data)).await?;
    let answer = step(Stage::Sending, patience, connection.message(&letter.formatted())).await?;
    Ok(spoken(&answer))
}

async fn step<T>(
    stage: Stage,
    patience: &Patience,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Undelivered> {
    match patience.within(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Undelivered { why: why(&stage, &error), stage }),
        Err(over) => Err(Undelivered { stage, why: Why::Over(over) }),
    }
}

fn why(stage: &Stage, error: &Error) -> Why {
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let cause = readable(cause.as_bytes());
    match error.status() {
        Some(code) => Why::Refused { code: code.into(), text: format!("{code} {cause}") },
        None if error.is_tls()
            || crate::tls::is_behind(error)
            || (*stage == Stage::Securing && !error.is_response()) =>
        {
            Why::Untrusted(cause)
        }
        None if *stage == Stage::Connecting && !error.is_response() => Why::Unreachable(cause),
        None => Why::Garbage(cause),
    }
}

fn spoken(answer: &Response) -> String {
    let lines: Vec<_> = answer.message().collect();
    readable(format!("{} {}", answer.code(), lines.join("\n")).trim().as_bytes())
}
