//! A mail server, right and wrong: the protocol of the crate `mailin` on a
//! tokio socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use mailin::{Action, AuthMechanism, Handler, Response, SessionBuilder};
use rcgen::{CertifiedKey, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A letter as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Letter {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) data: Vec<u8>,
    /// How the sender called itself.
    pub(crate) hello: String,
    /// Whether it came over TLS.
    pub(crate) secured: bool,
    /// Who had signed in.
    pub(crate) user: Option<String>,
}

/// How a server behaves. Without anything it takes every letter, in plain text.
#[derive(Clone, Default)]
pub(crate) struct Manners {
    /// It can be secured: by STARTTLS, or from the first byte.
    pub(crate) tls: Option<(TlsAcceptor, Offered)>,
    /// Only this user with this password may send.
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// It says this to the sender, the recipient, or the whole letter.
    pub(crate) to_sender: Option<(u16, &'static str)>,
    pub(crate) to_recipient: Option<(u16, &'static str)>,
    pub(crate) to_letter: Option<(u16, &'static str)>,
    /// It falls silent before its greeting, after the letter, or at the end.
    pub(crate) silent: Option<Silent>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    StartTls,
    AtOnce,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silent {
    AtGreeting,
    AfterLetter,
    AtGoodbye,
}

pub(crate) struct Mailbox {
    pub(crate) address: SocketAddr,
    letters: Arc<Mutex<Vec<Letter>>>,
}

impl Mailbox {
    pub(crate) async fn with(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let letters = Arc::new(Mutex::new(Vec::new()));
        let arrived = Arc::clone(&letters);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (manners, arrived) = (manners.clone(), Arc::clone(&arrived));
                tokio::spawn(async move {
                    match manners.tls.clone() {
                        Some((acceptor, Offered::AtOnce)) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            serve(stream, true, manners, arrived).await.ok();
                        }
                        _ => {
                            serve(stream, false, manners, arrived).await.ok();
                        }
                    }
                });
            }
        });
        Self { address, letters }
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }
}

/// What lets a server show this certificate.
pub(crate) fn acceptor(key: &CertifiedKey<KeyPair>) -> TlsAcceptor {
    runner::tls::install();
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![key.cert.der().clone()], private).unwrap()))
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn serve(
    stream: impl Stream + 'static,
    secured: bool,
    manners: Manners,
    letters: Arc<Mutex<Vec<Letter>>>,
) -> io::Result<()> {
    let mut builder = SessionBuilder::new("mailbox.test");
    if matches!(manners.tls, Some((_, Offered::StartTls))) {
        builder.enable_start_tls();
    }
    if manners.login.is_some() {
        builder.enable_auth(AuthMechanism::Plain);
        // Secured from the first byte: the session does not know.
        if secured || manners.tls.is_none() {
            builder.insecure_enable_plaintext_auth();
        }
    }
    let letter = Letter { secured, ..Letter::default() };
    let silent = manners.silent;
    let tls = manners.tls.clone();
    let secured_now = Arc::new(Mutex::new(secured));
    let keeper = Keeper { letter, manners, letters, secured: Arc::clone(&secured_now) };
    let mut session = builder.build(IpAddr::from([127, 0, 0, 1]), keeper);
    let mut stream: BufReader<Box<dyn Stream>> = BufReader::new(Box::new(stream));
    if silent == Some(Silent::AtGreeting) {
        std::future::pending::<()>().await;
    }
    stream.write_all(&session.greeting().buffer()?).await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let response = session.process(&line);
        match response.action {
            Action::NoReply => continue,
            _ if silent == Some(Silent::AfterLetter) && line == b".\r\n" => std::future::pending().await,
            _ if silent == Some(Silent::AtGoodbye) && line.starts_with(b"QUIT") => std::future::pending().await,
            Action::Close => {
                stream.write_all(&response.buffer()?).await?;
                return Ok(());
            }
            Action::Reply => stream.write_all(&response.buffer()?).await?,
            Action::UpgradeTls => {
                stream.write_all(&response.buffer()?).await?;
                let (acceptor, _) = tls.as_ref().expect("STARTTLS was only offered with it");
                stream = BufReader::new(Box::new(acceptor.accept(stream.into_inner()).await?));
                session.tls_active();
                *secured_now.lock().unwrap() = true;
            }
        }
    }
}

struct Keeper {
    letter: Letter,
    manners: Manners,
    letters: Arc<Mutex<Vec<Letter>>>,
    secured: Arc<Mutex<bool>>,
}

fn say(what: Option<(u16, &str)>) -> Response {
    what.map_or(mailin::response::OK, |(code, text)| Response::custom(code, text.to_owned()))
}

impl Handler for Keeper {
    fn helo(&mut self, _ip: IpAddr, domain: &str) -> Response {
        self.letter.hello = domain.to_owned();
        mailin::response::OK
    }

    fn mail(&mut self, _ip: IpAddr, _domain: &str, from: &str) -> Response {
        self.letter.from = from.to_owned();
        say(self.manners.to_sender)
    }

    fn rcpt(&mut self, to: &str) -> Response {
        self.letter.to.push(to.to_owned());
        say(self.manners.to_recipient)
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.letter.data.extend_from_slice(bytes);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        if self.manners.to_letter.is_some() {
            return say(self.manners.to_letter);
        }
        self.letter.secured = *self.secured.lock().unwrap();
        let mut letters = self.letters.lock().unwrap();
        letters.push(self.letter.clone());
        Response::custom(250, format!("2.0.0 Ok: queued as {}", letters.len()))
    }

    fn auth_plain(&mut self, _authorization: &str, user: &str, password: &str) -> Response {
        if self.manners.login != Some((user, password)) {
            return mailin::response::INVALID_CREDENTIALS;
        }
        self.letter.user = Some(user.to_owned());
        mailin::response::AUTH_OK
    }
}
