//! What stands in the path or the query, as words.

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use job::{HostName, JobRef, Key, QueueName};
use percent_encoding::percent_decode_str;
use wire::v1::JobQuery;

use crate::problem::Problem;

/// `/jobs/{id}`.
pub(crate) struct JobPath(pub(crate) JobRef);

/// `/agents/{host}`.
pub(crate) struct HostPath(pub(crate) HostName);

/// `/queues/{queue}`.
pub(crate) struct QueuePath(pub(crate) QueueName);

/// `/queues/{queue}/keys/{key}`.
pub(crate) struct KeyPath(pub(crate) QueueName, pub(crate) Key);

/// The query of a search.
pub(crate) struct SearchQuery(pub(crate) JobQuery);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|e| Problem::bad_path(&e))?;
        id.parse().map(Self).map_err(|e| Problem::refused("id", e))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for HostPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(host) = Path::<String>::from_request_parts(parts, state).await.map_err(|e| Problem::bad_path(&e))?;
        host.parse().map(Self).map_err(|e| Problem::refused("host", e))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for QueuePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(queue) = Path::<String>::from_request_parts(parts, state).await.map_err(|e| Problem::bad_path(&e))?;
        queue.parse().map(Self).map_err(|e| Problem::refused("queue", e))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((queue, key)) = path.map_err(|e| Problem::bad_path(&e))?;
        let queue = queue.parse().map_err(|e| Problem::refused("queue", e))?;
        let key = key.parse().map_err(|e| Problem::refused("key", e))?;
        Ok(Self(queue, key))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SearchQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // What is not UTF-8 would be replaced, and then looked for.
        percent_decode_str(parts.uri.query().unwrap_or_default()).decode_utf8().map_err(Problem::bad_query)?;
        let Query(query) = Query::<JobQuery>::try_from_uri(&parts.uri).map_err(|e| {
            let why = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            Problem::bad_query(why)
        })?;
        query.check()?;
        Ok(Self(query))
    }
}
