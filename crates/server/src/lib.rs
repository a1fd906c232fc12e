//! The HTTP API of aloud: decode, one call to the queue, one reply.
//!
//! Nothing here decides anything about a job. A request goes through the gate
//! (token, app, `Host`, `Origin`), its body is read within bounds and decoded
//! by `wire`, the queue is asked, and what it says is written as JSON. Whatever
//! cannot be done is answered by a problem document of three parts, and all of
//! these are worded in one place.
//!
//! ```text
//! connections ─▶ journal ─▶ gate ─▶ route ─▶ body ─▶ queue ─▶ answer
//!  places, time-outs  panics, log                        problem ─▲
//! ```

pub mod agents;
mod body;
mod connections;
mod finish;
mod gate;
mod hosts;
mod jobs;
mod journal;
mod lease;
mod options;
mod path;
mod patience;
mod problem;
mod push;
mod queues;
mod routes;
mod speaker;
mod status;
mod token;
mod workers;

use queue::Queue;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use agents::{Agents, Forwarded};
pub use connections::Handle;
pub use options::{Limits, Options};
pub use token::{Token, TokenError};

/// Serves `queue` on `listener`, until [`Handle::stop`]. Must be called inside
/// a tokio runtime.
pub fn start(listener: TcpListener, queue: Queue, options: Options) -> Handle {
    let closing = CancellationToken::new();
    let limits = options.limits.clone();
    let router = routes::router(queue, options, closing.clone());
    connections::serve(listener, router, limits, closing)
}
