//! A mail server: where it is, how the connection is secured, who signs in.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use crate::secret::read_private;
use crate::unfit::Unfit;

/// A mail server, and how it is spoken to.
#[derive(Clone)]
pub struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) hello: ClientId,
    pub(super) tls: Option<(Tls, TlsParameters)>,
    pub(super) login: Option<Login>,
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
pub struct Login(pub(super) Credentials);

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
    /// How aloud calls itself there; as the machine is called if left out.
    pub hello: Option<&'a str>,
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

impl Server {
    /// A server as it is described.
    pub fn new(described: Described<'_>) -> Result<Self, Unfit> {
        let Described { host, port, hello, tls, ca_file, allow_plaintext, login } = described;
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@');
        if host.is_empty() || host.contains(odd) {
            return Err(Unfit::new(
                format!("{host:?} is not the name of a mail server"),
                "write a name or an address, without a scheme and a port",
            ));
        }
        if hello.is_some_and(|name| name.is_empty() || name.contains(odd)) {
            return Err(Unfit::new(
                format!("{:?} is not a name to greet a mail server with", hello.unwrap_or_default()),
                "write the full name of this machine: `worker1.example.com`",
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
        let hello = hello.map_or_else(ClientId::default, |name| ClientId::Domain(name.to_owned()));
        Ok(Self { host: host.to_owned(), port: port.unwrap_or(usual), hello, tls, login })
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
        Described { host, port: None, hello: None, tls: Tls::None, ca_file: None, allow_plaintext: false, login: None }
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
