//! Connections: accepting them, bounding them, and ending them.
//!
//! Each connection is a task. There are never more than there are places;
//! whoever comes then waits to be accepted. Nothing here knows what a request
//! asks for.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::options::Limits;
use crate::patience::Patient;
use crate::speaker::Peer;

/// The most bytes of a connection that are held before they are understood; the
/// head of a request must fit.
const BUFFER_BYTES: usize = 64 << 10;

/// How long to wait after a connection could not be accepted for want of
/// descriptors or memory.
const BREATHER: Duration = Duration::from_millis(250);

/// A server that runs. Dropping this does not stop it.
#[derive(Debug)]
pub struct Handle {
    address: Option<SocketAddr>,
    closing: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
    stop_within: Duration,
}

impl Handle {
    /// Where it listens; `None` if the system does not say.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Stops: nothing is accepted any more, requests that wait for a job are
    /// answered with none, and what is under way is finished, for
    /// [`Limits::stop_within`] at most. Returns when all connections have
    /// ended; may be called twice. The queue goes on: stop it after this.
    pub async fn stop(&self) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.stop_within, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "requests are still under way; their connections are cut");
            self.abort.cancel();
            self.tasks.wait().await;
        }
    }
}

/// Serves `router` on `listener` until `closing`.
pub(crate) fn serve(listener: TcpListener, router: Router, limits: Limits, closing: CancellationToken) -> Handle {
    let server = Server { router, closing, abort: CancellationToken::new(), tasks: TaskTracker::new(), limits };
    let handle = Handle {
        address: listener.local_addr().ok(),
        closing: server.closing.clone(),
        abort: server.abort.clone(),
        tasks: server.tasks.clone(),
        stop_within: server.limits.stop_within,
    };
    handle.tasks.spawn(server.accept(listener));
    handle
}

struct Server {
    router: Router,
    limits: Limits,
    closing: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    async fn accept(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.limits.max_connections));
        let closing = self.closing.clone();
        let accepting = async {
            let mut told = false;
            loop {
                let place = match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        told = false;
                        place
                    }
                    Err(_) => {
                        if !std::mem::replace(&mut told, true) {
                            let connections = self.limits.max_connections;
                            tracing::warn!(connections, "all connections are in use; the next ones wait");
                        }
                        Arc::clone(&places).acquire_owned().await.expect("the places are never closed")
                    }
                };
                let (stream, peer) = next(&listener).await;
                self.tasks.spawn(self.connection(stream, peer, place));
            }
        };
        closing.run_until_cancelled(accepting).await;
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + use<> {
        let peer = Peer(Arc::new(peer));
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "small answers may be slow");
        }
        let stream = TokioIo::new(Patient::new(stream, self.limits.taken_within));
        let service = Door { router: TowerToHyperService::new(self.router.clone()), peer };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_within)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(stream, service);
        let (closing, abort) = (self.closing.clone(), self.abort.clone());
        async move {
            let _place = place;
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = closing.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection => ended,
                        () = abort.cancelled() => return,
                    }
                }
            };
            if let Err(error) = ended {
                // Clients leave as they like; that is no trouble of ours.
                tracing::debug!(%error, "a connection ended");
            }
        }
    }
}

/// What a connection's requests go through: each is told where it comes from.
struct Door {
    router: TowerToHyperService<Router>,
    peer: Peer,
}

impl Service<Request<Incoming>> for Door {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer.clone());
        self.router.call(request)
    }
}

/// The next connection, however long it takes to get one.
async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if left_again(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
}

/// Whether it is only that the client had gone before it was accepted.
fn left_again(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
