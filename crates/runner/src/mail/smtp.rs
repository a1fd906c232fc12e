//! One letter to one mail server.
//!
//! The connection is driven command by command, so that it is always known how
//! far it came: a refused recipient, a wrong password and a server that was
//! silent after it had the whole letter are three different things. A server
//! that has taken the letter has taken it, whatever follows.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use lettre::transport::smtp::{Error, commands::Quit};
use lettre::{Address, Message};

use crate::excerpt::readable;
use crate::patience::{Over, Patience};
use crate::secret::read_private;
use crate::unfit::Unfit;

/// A mail server, and how it is spoken to.
#[derive(Clone)]
pub struct Server {
    host: String,
    port: u16,
    tls: Option<(Tls, TlsParameters)>,
    login: Option<Login>,
}

/// How a connection is secured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Not at all: only to this machine, unless plain text is explicitly
    /// allowed.
    None,
    /// It begins in plain text and is secured before anything is said; a server
    /// that does not offer that gets nothing.
    #[default]
    StartTls,
    /// From its first byte.
    Tls,
}

impl Tls {
    /// The port that is usual.
    pub fn usual_port(self) -> u16 {
        match self {
            Self::None => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// A user's name and password at a mail server.
#[derive(Clone)]
pub struct Login(Credentials);

impl Login {
    /// Reads the file: the name on its first line, the password on its second.
    pub fn open(path: &Path) -> Result<Self, Unfit> {
        let text = read_private(path, "the mail server's login")?;
        match text.trim_end_matches(['\r', '\n']).lines().collect::<Vec<_>>()[..] {
            [name, password] if !name.is_empty() && !password.is_empty() => {
                Ok(Self(Credentials::new(name.to_owned(), password.to_owned())))
            }
            _ => Err(Unfit::new(
                format!("`{}` is not a mail server's login", path.display()),
                "write the user's name on the first line, the password on the second, and nothing else",
            )),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

/// What a server is described by.
#[derive(Clone, Debug)]
pub struct Described<'a> {
    /// Its name or address.
    pub host: &'a str,
    /// Its port; the usual one if left out.
    pub port: Option<u16>,
    /// How the connection is secured.
    pub tls: Tls,
    /// A file with the certificates, in PEM, that are trusted instead of the
    /// system's.
    pub ca_file: Option<&'a Path>,
    /// Whether a connection that is not secured may leave this machine.
    pub allow_plaintext: bool,
    /// Who to sign in as.
    pub login: Option<Login>,
}

/// How long a polite goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

impl Server {
    /// A server as it is described.
    pub fn new(described: Described<'_>) -> Result<Self, Unfit> {
        let Described { host, port, tls, ca_file, allow_plaintext, login } = described;
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@');
        if host.is_empty() || host.contains(odd) {
            return Err(Unfit::new(
                format!("{host:?} is not the name of a mail server"),
                "write a name or an address, without a scheme and a port",
            ));
        }
        if tls == Tls::None && !is_this_machine(host) && !allow_plaintext {
            return Err(Unfit::new(
                format!("letters to the mail server `{host}` would go over the network in plain text"),
                "set `tls = \"starttls\"` or `tls = \"tls\"`; or, if you know the network, `allow_plaintext = true`",
            ));
        }
        let tls = match tls {
            Tls::None => None,
            Tls::StartTls | Tls::Tls => Some((tls, parameters(host, ca_file)?)),
        };
        let usual = tls.as_ref().map_or(Tls::None, |(tls, _)| *tls).usual_port();
        Ok(Self { host: host.to_owned(), port: port.unwrap_or(usual), tls, login })
    }

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
        let hello = ClientId::default();
        let at_once = self.tls.as_ref().filter(|(tls, _)| *tls == Tls::Tls).map(|(_, with)| with.clone());
        let to = (self.host.as_str(), self.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(to, None, &hello, at_once, None);
        let mut connection = step(Stage::Connecting, patience, connecting).await?;
        if let Some((Tls::StartTls, with)) = &self.tls {
            if !connection.can_starttls() {
                let why = Why::Untrusted("it does not offer STARTTLS".to_owned());
                return Err(Undelivered { stage: Stage::Securing, why });
            }
            step(Stage::Securing, patience, connection.starttls(with.clone(), &hello)).await?;
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

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the mail server {}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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

fn parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, Unfit> {
    crate::tls::install();
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca_file {
        let shown = path.display();
        let pem = std::fs::read(path).map_err(|error| {
            Unfit::new(format!("cannot read the certificates in `{shown}`: {error}"), "check the path")
        })?;
        let certificate = Certificate::from_pem(&pem).ok().filter(|_| contains_a_certificate(&pem));
        let Some(certificate) = certificate else {
            return Err(Unfit::new(
                format!("`{shown}` holds no certificate"),
                "give a file in PEM: it begins with `-----BEGIN CERTIFICATE-----`",
            ));
        };
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build().map_err(|error| {
        Unfit::new(format!("connections to `{host}` cannot be secured: {error}"), "check the name and the certificates")
    })
}

fn contains_a_certificate(pem: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    pem.windows(BEGIN.len()).any(|window| window == BEGIN)
}

fn is_this_machine(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(host: &str) -> Described<'_> {
        Described { host, port: None, tls: Tls::None, ca_file: None, allow_plaintext: false, login: None }
    }

    #[test]
    fn plain_text_stays_on_this_machine() {
        for here in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(Server::new(described(here)).is_ok(), "{here}");
        }
        let refused = Server::new(described("mail.example.com")).unwrap_err();
        assert!(refused.what.contains("in plain text"), "{refused}");
        assert!(Server::new(Described { allow_plaintext: true, ..described("mail.example.com") }).is_ok());
    }

    #[test]
    fn the_usual_port_follows_from_how_it_is_secured() {
        let port = |tls| Server::new(Described { tls, ..described("localhost") }).unwrap().port;
        assert_eq!([port(Tls::None), port(Tls::StartTls), port(Tls::Tls)], [25, 587, 465]);
    }

    #[test]
    fn a_host_is_only_a_host() {
        for bad in ["", "smtp://mail", "mail.example.com/x", "a b", "ute@mail", "mail\r\nQUIT"] {
            assert!(Server::new(described(bad)).is_err(), "{bad}");
        }
    }
}
