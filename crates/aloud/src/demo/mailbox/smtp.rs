//! The SMTP listener: `mailin` speaks the protocol, this brings the bytes.
//!
//! Bounded: connections, the length of a line, the size of a mail, its
//! recipients, and how long a client may be silent.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use mailin::response::{BAD_MAILBOX, INTERNAL_ERROR, NO_SERVICE, NO_STORAGE, OK};
use mailin::{Action, Handler, Response, SessionBuilder};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Envelope, MAX_MAIL_BYTES, Mailbox};

const MAX_CONNECTIONS: usize = 32;
const MAX_LINE_BYTES: usize = 64 << 10;
const MAX_RECIPIENTS: usize = 100;
const SILENCE: Duration = Duration::from_secs(60);
/// The answer after which everything is mail, up to a line with only a dot.
const START_OF_MAIL: u16 = 354;

/// Takes connections until it is stopped.
pub(super) async fn serve(listener: TcpListener, mailbox: Mailbox, tasks: TaskTracker, stop: CancellationToken) {
    let seats = std::sync::Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (mut stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: the next one may do.
                tracing::warn!(%error, "the mailbox could not take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let seat = seats.clone().try_acquire_owned();
        let (mailbox, stop) = (mailbox.clone(), stop.clone());
        tasks.spawn(async move {
            let Ok(_seat) = seat else {
                if let Err(error) = reply(&mut stream, &NO_SERVICE).await {
                    tracing::debug!(%error, "a client went before it was turned away");
                }
                return;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                ended = talk(stream, peer.ip(), mailbox) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "an SMTP connection broke off");
                    }
                }
            }
        });
    }
}

async fn talk(mut stream: TcpStream, peer: IpAddr, mailbox: Mailbox) -> io::Result<()> {
    let (from, mut to) = stream.split();
    let mut from = BufReader::new(from);
    let mut session = SessionBuilder::new("mailbox").build(peer, Taker::new(mailbox));
    reply(&mut to, &session.greeting()).await?;
    let (mut line, mut in_mail) = (Vec::new(), false);
    loop {
        let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "the client is silent");
        match timeout(SILENCE, read_line(&mut from, &mut line)).await.map_err(silent)?? {
            Line::Whole => {}
            Line::TooLong => {
                let response = Response::custom(500, format!("a line has at most {MAX_LINE_BYTES} bytes"));
                return reply(&mut to, &response).await;
            }
            Line::End => return Ok(()),
        }
        let response = session.process(&line);
        match response.action {
            Action::NoReply => {}
            // After a mail that was refused, mailin would take the next command for more of that mail.
            Action::Reply if in_mail && response.is_error => return reply(&mut to, &response).await,
            Action::Reply => {
                in_mail = response.code == START_OF_MAIL;
                reply(&mut to, &response).await?;
            }
            Action::Close | Action::UpgradeTls => return reply(&mut to, &response).await,
        }
    }
}

enum Line {
    Whole,
    TooLong,
    End,
}

async fn read_line(from: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    loop {
        let chunk = from.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(Line::End);
        }
        let end = chunk.iter().position(|&b| b == b'\n').map(|at| at + 1);
        let used = end.unwrap_or(chunk.len());
        if line.len() + used > MAX_LINE_BYTES {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(&chunk[..used]);
        from.consume(used);
        if end.is_some() {
            return Ok(Line::Whole);
        }
    }
}

async fn reply(to: &mut (impl AsyncWrite + Unpin), response: &Response) -> io::Result<()> {
    let sent = timeout(SILENCE, to.write_all(&response.buffer()?)).await;
    sent.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))?
}

/// Collects one mail after the other.
struct Taker {
    mailbox: Mailbox,
    envelope: Envelope,
    recipients: usize,
    raw: Vec<u8>,
    too_large: bool,
}

impl Taker {
    fn new(mailbox: Mailbox) -> Self {
        Self { mailbox, envelope: Envelope::default(), recipients: 0, raw: Vec::new(), too_large: false }
    }
}

impl Handler for Taker {
    fn mail(&mut self, _ip: IpAddr, _domain: &str, _from: &str) -> Response {
        self.recipients = 0;
        OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        if !to.contains('@') || to.chars().any(char::is_control) {
            return BAD_MAILBOX;
        }
        self.recipients += 1;
        if self.recipients > MAX_RECIPIENTS {
            return Response::custom(452, format!("at most {MAX_RECIPIENTS} recipients"));
        }
        OK
    }

    fn data_start(&mut self, _domain: &str, from: &str, _is8bit: bool, to: &[String]) -> Response {
        self.envelope = Envelope { from: from.to_owned(), to: to.to_vec() };
        self.raw = Vec::new();
        self.too_large = false;
        OK
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        self.too_large |= self.raw.len() + line.len() > MAX_MAIL_BYTES;
        if !self.too_large {
            self.raw.extend_from_slice(line);
        }
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        if self.too_large {
            return NO_STORAGE;
        }
        let (envelope, raw) = (std::mem::take(&mut self.envelope), std::mem::take(&mut self.raw));
        match self.mailbox.take(envelope, raw) {
            Ok(()) => OK,
            Err(error) => {
                tracing::warn!(%error, "the mailbox could not keep a mail");
                INTERNAL_ERROR
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::demo::mailbox::Open;

    fn mailbox() -> (tempfile::TempDir, Mailbox) {
        let folder = tempfile::tempdir().unwrap();
        let mailbox = Mailbox::in_folder(folder.path()).unwrap();
        (folder, mailbox)
    }

    async fn open(mailbox: &Mailbox) -> (Open, std::net::SocketAddr) {
        let smtp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pages = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = smtp.local_addr().unwrap();
        (mailbox.open(smtp, pages, None), address)
    }

    /// Says these lines and returns all that was answered.
    async fn say(address: std::net::SocketAddr, lines: &[&[u8]]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut heard = String::new();
        stream.write_all(&lines.concat()).await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_to_string(&mut heard).await.unwrap();
        heard
    }

    #[tokio::test]
    async fn a_mail_is_kept_as_it_came() {
        let (_folder, mailbox) = mailbox();
        let (open, address) = open(&mailbox).await;
        let heard = say(
            address,
            &[
                b"EHLO there\r\n",
                b"MAIL FROM:<app@example.org>\r\n",
                b"RCPT TO:<reader@example.org>\r\n",
                b"DATA\r\n",
                b"Subject: hello\r\n\r\n..a dot\r\nline\r\n.\r\n",
                b"QUIT\r\n",
            ],
        )
        .await;
        assert!(
            heard.ends_with("354 Start mail input; end with <CRLF>.<CRLF>\r\n250 OK\r\n221 Goodbye\r\n"),
            "{heard}"
        );
        let mails = mailbox.mails();
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].envelope.from, "app@example.org");
        assert_eq!(mails[0].envelope.to, ["reader@example.org"]);
        assert_eq!(mails[0].raw, b"Subject: hello\r\n\r\n.a dot\r\nline\r\n");
        open.close().await;
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_and_ends_the_connection() {
        let (_folder, mailbox) = mailbox();
        let (open, address) = open(&mailbox).await;
        let line = [[b'x'; 998].as_slice(), b"\r\n"].concat();
        let large = line.repeat(MAX_MAIL_BYTES / line.len() + 2);
        let start = b"HELO there\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";
        let heard = say(address, &[start, &large, b".\r\n"]).await;
        assert!(heard.ends_with("552 Exceeded storage allocation\r\n"), "{heard}");
        assert!(mailbox.mails().is_empty());
        open.close().await;
    }

    #[tokio::test]
    async fn garbage_and_endless_lines_are_answered_and_end() {
        let (_folder, mailbox) = mailbox();
        let (open, address) = open(&mailbox).await;
        let heard = say(address, &[b"\xff\xfe\x00\r\n", b"MAIL FROM:<x>\r\n", b"EHLO \xff\r\n"]).await;
        assert!(heard.contains("500 "), "{heard}");
        assert!(heard.contains("503 "), "{heard}");

        let mut stream = TcpStream::connect(address).await.unwrap();
        let endless = vec![b'x'; MAX_LINE_BYTES + 1];
        stream.write_all(&endless).await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        assert!(String::from_utf8_lossy(&heard).contains("500 a line has at most"), "{heard:?}");
        assert!(mailbox.mails().is_empty());
        open.close().await;
    }

    #[tokio::test]
    async fn closing_ends_a_connection_that_only_waits() {
        let (_folder, mailbox) = mailbox();
        let (open, address) = open(&mailbox).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).await.unwrap();
        open.close().await;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    }
}
