//! How the server says no: every problem document, worded in one place.
//!
//! The title says what happened, the detail what it means (what changed and
//! what did not), the hint what to do. The word in the type never changes:
//! scripts may compare it. A problem never repeats a token or a payload.

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue};
use job::{AppName, HostName, Key, Outcome, Phase, QueueName};
use queue::Stale;
use wire::v1;

mod sort;

use sort::Sort;

const NOTHING: &str = "Nothing was changed.";

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    sort: Sort,
    title: String,
    detail: String,
    hint: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(sort: Sort, title: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        let (title, detail, hint) = (title.into(), detail.into(), hint.into());
        Self(Box::new(Inner { sort, title, detail, hint, header: None }))
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.0.header = Some((name, HeaderValue::from_static(value)));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner { sort, title, detail, hint, header } = *self.0;
        let (status, word) = sort.status_and_word();
        let type_ = format!("{}{word}", v1::Problem::TYPE_PREFIX);
        let document = v1::Problem { type_, title, status: status.as_u16(), detail, hint };
        let body = serde_json::to_vec(&document).expect("a problem is JSON");
        let mut response = (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The request cannot be let in.
impl Problem {
    pub(crate) fn no_token() -> Self {
        Self::new(
            Sort::Unauthorized,
            "no token came with the request",
            "It was not looked at, and nothing was changed.",
            "send the header `Authorization: Bearer TOKEN` with the text in the server's token file",
        )
        .with(WWW_AUTHENTICATE, "Bearer")
    }

    pub(crate) fn wrong_token() -> Self {
        Self::new(
            Sort::Unauthorized,
            "the token is not this server's",
            "The request was not looked at, and nothing was changed.",
            "send the text in the server's token file; each server has its own",
        )
        .with(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
    }

    pub(crate) fn other_app(named: &str, ours: &AppName) -> Self {
        Self::new(
            Sort::OtherApp,
            format!("the request is for the app `{named}`, and this server belongs to `{ours}`"),
            "It was not looked at, and nothing was changed. Two apps never share a queue by accident.",
            format!("send it to the server of `{named}`, or set the app's name to `{ours}`"),
        )
    }

    pub(crate) fn other_host(own: &HostName, named: &str) -> Self {
        Self::new(
            Sort::OtherHost,
            format!("the token is that of the host `{own}`, and the request is for `{named}`"),
            "It was not looked at, and nothing was changed. An agent speaks for its own host only.",
            format!("send it to `/v1/agents/{own}`, or with the token that `aloud agents add` wrote for that host"),
        )
    }

    pub(crate) fn not_for_agents(own: &HostName) -> Self {
        Self::new(
            Sort::NotForAgents,
            format!("the token is that of the host `{own}`, and does not open this address"),
            "The request was not looked at, and nothing was changed. With a host's token an agent reports, and takes \
             and ends the jobs that it runs itself.",
            "send the app's token: the text in the server's own token file",
        )
    }

    pub(crate) fn wrong_host(named: &str) -> Self {
        Self::new(
            Sort::WrongHost,
            format!("{named:?} is not a name of this server"),
            "The request was not looked at, and nothing was changed. A web page elsewhere could otherwise reach this \
             server through a name that it controls.",
            "call it `127.0.0.1` or `localhost`, or add the name to the server's `allowed_hosts`",
        )
    }

    pub(crate) fn wrong_origin(named: &str) -> Self {
        Self::new(
            Sort::WrongOrigin,
            format!("the request comes from a page of {named:?}"),
            "It was not looked at, and nothing was changed. Pages of other sites may not use this server.",
            "add the page's host to the server's `allowed_hosts` if it is yours",
        )
    }
}

/// The request cannot be understood.
impl Problem {
    pub(crate) fn no_such_address() -> Self {
        Self::new(
            Sort::NoSuchAddress,
            "there is nothing at this address",
            NOTHING,
            "look at the path; the API lies under `/v1`, and a `/` in an id, queue or key is written `%2F`",
        )
    }

    pub(crate) fn wrong_method(method: &http::Method) -> Self {
        Self::new(
            Sort::WrongMethod,
            format!("{method} cannot be done to this address"),
            NOTHING,
            "use one of the methods that the header `Allow` of this answer names",
        )
    }

    pub(crate) fn bad_path(why: impl fmt::Display) -> Self {
        Self::new(
            Sort::BadPath,
            format!("the path cannot be read: {why}"),
            NOTHING,
            "write what is not a letter or a digit as UTF-8 with percent signs: `ü` is `%C3%BC`",
        )
    }

    pub(crate) fn bad_query(why: impl fmt::Display) -> Self {
        Self::new(
            Sort::BadQuery,
            format!("the query cannot be read: {why}"),
            NOTHING,
            "give `state`, `outcome`, `queue`, `kind`, `key`, `after` or `limit`, each once",
        )
    }

    pub(crate) fn not_json(found: Option<&str>) -> Self {
        let title = match found {
            Some(found) => format!("the body is said to be {found:?}, not JSON"),
            None => "the body is not said to be JSON".to_owned(),
        };
        let hint = "add the header `Content-Type: application/json` (curl: `-H 'Content-Type: application/json'`)";
        let detail = "It was not read, and nothing was changed.";
        Self::new(Sort::NotJson, title, detail, hint)
    }

    pub(crate) fn bad_json(field: Option<&str>, why: impl fmt::Display) -> Self {
        let title = match field {
            Some(field) => format!("the body cannot be read: `{field}`: {why}"),
            None => format!("the body cannot be read: {why}"),
        };
        let hint = "send the JSON that this address takes; `docs/http-api.md` shows it field by field";
        Self::new(Sort::BadJson, title, NOTHING, hint)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            Sort::TooLarge,
            format!("the body has more than {limit} bytes"),
            "It was not read to its end, and nothing was changed.",
            "send fewer jobs at once; store large data elsewhere and push a reference to it",
        )
        .with(CONNECTION, "close")
    }

    pub(crate) fn too_slow(limit: std::time::Duration) -> Self {
        Self::new(
            Sort::TooSlow,
            format!("the body did not arrive within {limit:?}"),
            NOTHING,
            "send it again, or less at once",
        )
        .with(CONNECTION, "close")
    }

    pub(crate) fn broken_body() -> Self {
        Self::new(Sort::BrokenBody, "the body ended before it was whole", NOTHING, "send it again")
            .with(CONNECTION, "close")
    }

    pub(crate) fn refused(field: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(Sort::Refused, format!("`{field}`: {why}"), NOTHING, format!("correct `{field}` and send it again"))
    }
}

impl From<v1::Refused> for Problem {
    fn from(refused: v1::Refused) -> Self {
        Self::refused(refused.field, refused.why)
    }
}

/// The job, or the queue, is not as the request would have it.
impl Problem {
    pub(crate) fn no_such_job(id: &impl fmt::Display) -> Self {
        Self::new(
            Sort::NoSuchJob,
            format!("there is no job `{id}`"),
            "It was never pushed, or it ended so long ago that it is not kept any more. Nothing was changed.",
            "`GET /v1/jobs` lists the jobs that are kept",
        )
    }

    pub(crate) fn no_such_key(queue: &QueueName, key: &Key) -> Self {
        Self::new(
            Sort::NoSuchKey,
            format!("no job with the key `{key}` waits in the queue `{queue}`"),
            "There is nothing to call off. Nothing was changed.",
            "look with `GET /v1/jobs?queue=…&key=…` what became of the jobs that had it",
        )
    }

    pub(crate) fn push_rejected(holder: &impl fmt::Display) -> Self {
        Self::new(
            Sort::KeyHeld,
            rejected(holder),
            "`on_conflict` is `reject`, so the new job was not pushed. Nothing was changed.",
            "cancel that job first, or push with `keep` or `replace`",
        )
    }

    pub(crate) fn retry_meets_key(id: &impl fmt::Display, holder: &impl fmt::Display) -> Self {
        Self::new(
            Sort::KeyHeld,
            format!("the job `{id}` cannot be tried again: the waiting job `{holder}` holds its key"),
            NOTHING,
            "cancel the one that waits, or leave the old one as it is",
        )
    }

    pub(crate) fn running(id: &impl fmt::Display) -> Self {
        Self::new(
            Sort::Running,
            format!("the job `{id}` is running"),
            "What runs is not stopped. Nothing was changed.",
            "wait for the end of the run; if it fails and waits again, the job can still be called off",
        )
    }

    pub(crate) fn ended(id: &impl fmt::Display, outcome: Outcome) -> Self {
        Self::new(
            Sort::Ended,
            format!("the job `{id}` has ended as {}", outcome.as_str()),
            "An end is final. Nothing was changed.",
            "push a new job if the work is still wanted",
        )
    }

    pub(crate) fn cannot_retry(id: &impl fmt::Display, phase: Phase) -> Self {
        if phase == Phase::Running {
            return Self::new(
                Sort::Running,
                format!("the job `{id}` is running"),
                "There is nothing to try again yet. Nothing was changed.",
                "wait for the end of the run",
            );
        }
        Self::new(
            Sort::Ended,
            format!("the job `{id}` has {}, and cannot be tried again", phase.as_str()),
            "An end is final. Nothing was changed.",
            "push a new job if the work is still wanted",
        )
    }

    pub(crate) fn came_back(id: &impl fmt::Display, phase: Phase) -> Self {
        Self::new(
            Sort::CameBack,
            format!("the job `{id}` was dead and is {} again", phase.as_str()),
            "Somebody revived it in this moment. Nothing was changed by this request.",
            "send it again if the job is still to be deleted",
        )
    }

    pub(crate) fn agent_away(why: &str) -> Self {
        Self::new(
            Sort::AgentAway,
            why,
            "Nobody is there to do it, so the order was not given. Nothing was changed.",
            "see on that host that `aloud agent` runs and reaches this server; then send it again",
        )
    }

    pub(crate) fn stale(id: &impl fmt::Display, stale: Stale) -> Self {
        Self::new(
            Sort::StaleLease,
            why_stale(id, stale),
            "The lease that was shown does not stand for a run that is under way: it ran out, or the run was ended \
             before, or it is another job's. Nothing was changed.",
            "drop this run's result; extend the lease of work that takes long",
        )
    }
}

/// Why a push was refused, in one sentence.
pub(crate) fn rejected(holder: &impl fmt::Display) -> String {
    format!("the waiting job `{holder}` holds the key")
}

/// Why the end of a run changed nothing, in one sentence.
pub(crate) fn why_stale(id: &impl fmt::Display, stale: Stale) -> String {
    match stale {
        Stale::Unknown => format!("there is no job `{id}`"),
        Stale::NotRunning => format!("the job `{id}` is not running"),
        Stale::Other => format!("the job `{id}` runs under another lease"),
    }
}

/// The server cannot do it now.
impl Problem {
    pub(crate) fn too_many_waiting(limit: usize) -> Self {
        Self::new(
            Sort::TooManyWaiting,
            format!("all {limit} places for requests that wait for a job are taken"),
            "No job was handed out.",
            "ask without `wait`, use fewer connections with a larger `limit`, or try again in a second",
        )
        .with(RETRY_AFTER, "1")
    }

    pub(crate) fn broken() -> Self {
        Self::new(
            Sort::Broken,
            "the server met a defect of its own",
            "It is unknown whether the change was made. The server goes on serving.",
            "look at the server's log, and report it; repeat a push only with the same `id`",
        )
    }
}

impl From<queue::Error> for Problem {
    fn from(error: queue::Error) -> Self {
        let title = error.to_string();
        match error {
            queue::Error::Busy(_) => {
                Self::new(Sort::Busy, title, NOTHING, "send it again in a second").with(RETRY_AFTER, "1")
            }
            queue::Error::Full(_) => Self::new(
                Sort::Full,
                title,
                "No job was pushed. What is there is still handed out, ended and called off.",
                "make room on the file system that the store is on, then push again",
            ),
            queue::Error::Lost(_) => Self::new(
                Sort::Unknown,
                title,
                "It may have happened, and it may not have.",
                "a push with an `id`, and whatever shows a lease, can be sent again safely; otherwise look with \
                 `GET /v1/jobs` first",
            ),
            queue::Error::Damaged(_) => Self::new(
                Sort::Damaged,
                title,
                "The server does not serve from it until a person has looked.",
                "look at the server's log, and at `GET /v1/status`",
            ),
            queue::Error::Closing => Self::new(Sort::Stopping, title, NOTHING, "send it again when the server is back")
                .with(RETRY_AFTER, "1"),
        }
    }
}
