//! Who speaks, as far as a request tells.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use job::attempt::bounded;
use wire::v1::{AgentReport, LeaseWish};

use crate::gate::Who;
use crate::problem::Problem;

/// A worker says who it is in it: its `ALOUD_WORKER`.
const ALOUD_WORKER: &str = "aloud-worker";
/// A worker says from which release it runs in it: its `ALOUD_RELEASE`.
const ALOUD_RELEASE: &str = "aloud-release";

/// The other end of a connection; it lasts as long as the connection does.
#[derive(Clone, Debug)]
pub(crate) struct Peer(pub(crate) Arc<SocketAddr>);

/// From where a request comes, if that is known.
pub(crate) struct Address(pub(crate) Option<SocketAddr>);

/// Who takes jobs, or brings them back.
#[derive(Clone, Debug)]
pub(crate) enum Speaker {
    /// A worker that says who it is.
    Worker {
        /// Its id.
        id: String,
        /// Its release, if it says it.
        release: Option<String>,
        /// From where it speaks.
        address: Option<SocketAddr>,
    },
    /// Somebody who does not say, by its connection.
    Peer(Arc<SocketAddr>),
    /// A host's agent.
    Agent,
    /// Nobody knows.
    Nobody,
}

impl Speaker {
    /// What the job remembers of who ran it: `name` as the worker calls itself
    /// in the request, and what the headers say beside that.
    pub(crate) fn called(&self, name: String) -> String {
        let Self::Worker { id, release, .. } = self else { return name };
        let from = release.as_ref().map(|release| format!(" on {release}")).unwrap_or_default();
        let called = if name == *id { format!("{id}{from}") } else { format!("{name} ({id}{from})") };
        bounded(called, LeaseWish::MAX_WORKER_BYTES)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Peer>().map(|Peer(address)| **address)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Speaker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>();
        if let Some(id) = said(&parts.headers, ALOUD_WORKER, "Aloud-Worker")? {
            let release = said(&parts.headers, ALOUD_RELEASE, "Aloud-Release")?;
            return Ok(Self::Worker { id, release, address: peer.map(|Peer(address)| **address) });
        }
        Ok(match (parts.extensions.get::<Who>(), peer) {
            (Some(Who::Host(_)), _) => Self::Agent,
            (_, Some(Peer(connection))) => Self::Peer(Arc::clone(connection)),
            (_, None) => Self::Nobody,
        })
    }
}

fn said(headers: &HeaderMap, header: &str, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(header) else { return Ok(None) };
    let fits = |text: &&str| {
        (1..=AgentReport::MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    let text = value.to_str().ok().filter(fits).ok_or_else(|| {
        Problem::refused(name, format!("give a text of 1 to {} visible ASCII characters", AgentReport::MAX_ID_BYTES))
    })?;
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_remembers_which_worker_on_which_release_ran_it() {
        let called = |name: &str, release: Option<&str>| {
            let (id, release) = ("mail.2.g7.x3f9".to_owned(), release.map(str::to_owned));
            Speaker::Worker { id, release, address: None }.called(name.to_owned())
        };
        assert_eq!(called("mail.2.g7.x3f9", Some("66")), "mail.2.g7.x3f9 on 66");
        assert_eq!(called("w1", Some("66")), "w1 (mail.2.g7.x3f9 on 66)");
        assert_eq!(called("w1", None), "w1 (mail.2.g7.x3f9)");
        assert_eq!(called(&"w".repeat(200), Some("66")).len(), 200);
        assert_eq!(Speaker::Nobody.called("w1".to_owned()), "w1");
    }
}
