//! A connection that can be cut at the worst moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes bytes on, except that it drops the next few answers: the request
/// arrives, is acted upon, and the connection ends without an answer.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    lose: Arc<AtomicU32>,
    in_vain: Arc<AtomicU32>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lose = Arc::new(AtomicU32::new(0));
        let mut accepting = JoinSet::new();
        let in_vain = Arc::new(AtomicU32::new(0));
        let (losing, missing) = (Arc::clone(&lose), Arc::clone(&in_vain));
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, server, Arc::clone(&losing), Arc::clone(&missing)));
            }
        });
        Self { address, lose, in_vain, _accepting: accepting }
    }

    /// Loses the next `answers`.
    pub(crate) fn lose(&self, answers: u32) {
        self.lose.store(answers, Ordering::SeqCst);
    }

    /// How many connections found no server.
    pub(crate) fn in_vain(&self) -> u32 {
        self.in_vain.load(Ordering::SeqCst)
    }

    /// How many answers are still to be lost.
    pub(crate) fn to_lose(&self) -> u32 {
        self.lose.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, lose: Arc<AtomicU32>, in_vain: Arc<AtomicU32>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        in_vain.fetch_add(1, Ordering::SeqCst);
        return;
    };
    let (mut request, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => match read {
                Ok(bytes @ 1..) => if server.write_all(&request[..bytes]).await.is_err() { return },
                Ok(0) | Err(_) => return,
            },
            read = server.read(&mut answer) => match read {
                Ok(bytes @ 1..) => {
                    let lost = lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                    if lost.is_ok() || client.write_all(&answer[..bytes]).await.is_err() {
                        return;
                    }
                }
                Ok(0) | Err(_) => return,
            },
        }
    }
}
