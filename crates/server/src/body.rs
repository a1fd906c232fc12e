//! Bodies: read within bounds, decoded by `wire`, and written.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wire::v1::Object;

use crate::options::Limits;
use crate::problem::Problem;
use crate::routes::App;

/// How many bytes beyond the limit are read and dropped, so that the client has
/// sent its request before it is told that it is too large, and hears it.
const DROPPED_BYTES: usize = 16 << 20;

/// A body that holds `T` as JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        says_json(request.headers())?;
        let bytes = read(request, &app.options.limits).await?;
        decode(&bytes).map(Self)
    }
}

/// No body, or an empty object: there is nothing to say, and an option that
/// does not exist is not overlooked.
pub(crate) struct Nothing;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

impl FromRequest<App> for Nothing {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let said = says_json(request.headers());
        let bytes = read(request, &app.options.limits).await?;
        if bytes.is_empty() {
            return Ok(Self);
        }
        said?;
        let Object(NoFields {}) = decode(&bytes)?;
        Ok(Self)
    }
}

/// An answer in JSON.
pub(crate) fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("an answer is JSON");
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// A form of another page can send a body without asking first, but none that
/// is said to be JSON.
fn says_json(headers: &HeaderMap) -> Result<(), Problem> {
    let found = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("(not text)"));
    let essence = found.and_then(|found| found.split(';').next());
    if essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    Err(Problem::not_json(found))
}

async fn read(request: Request, limits: &Limits) -> Result<Bytes, Problem> {
    let too_large = || Problem::too_large(limits.max_body);
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let waits_for_word = request.headers().contains_key(EXPECT);
    let room = u64::try_from(limits.max_body).unwrap_or(u64::MAX);
    if waits_for_word && announced.is_some_and(|bytes| bytes > room) {
        return Err(too_large());
    }
    match tokio::time::timeout(limits.body_within, collect(request.into_body(), limits.max_body)).await {
        Ok(Collected::Whole(bytes)) => Ok(bytes),
        Ok(Collected::TooLarge) => Err(too_large()),
        Ok(Collected::Broken) => Err(Problem::broken_body()),
        Err(_) => Err(Problem::too_slow(limits.body_within)),
    }
}

enum Collected {
    Whole(Bytes),
    TooLarge,
    Broken,
}

async fn collect(body: Body, limit: usize) -> Collected {
    let mut chunks = body.into_data_stream();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut seen = 0;
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else { return Collected::Broken };
        seen += chunk.len();
        if seen > limit.saturating_add(DROPPED_BYTES) {
            return Collected::TooLarge;
        }
        if seen > limit {
            rest = BytesMut::new();
        } else if first.is_empty() {
            // Most bodies come in one piece, which is not copied.
            first = chunk;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&chunk);
        }
    }
    match seen > limit {
        true => Collected::TooLarge,
        false if rest.is_empty() => Collected::Whole(first),
        false => Collected::Whole(rest.freeze()),
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        // Only what cannot be read is read again, to learn the field's name.
        let read = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(bytes));
        let path = read.err().map(|error| error.path().to_string()).filter(|path| !matches!(path.as_str(), "." | "?"));
        Problem::bad_json(path.as_deref(), error)
    })
}
