//! Jobs that are done by a request to the application.
//!
//! What an answer means is decided here, by its status and by whether it names
//! the job; nothing else is ever read as "done". How a request is sent and its
//! answer read is in `call`.

use job::{Again, Ending, JobError, Now, Span};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};

pub use address::Address;
pub(crate) use call::{Reply, Request, header_text, post};

use crate::excerpt::{Excerpt, readable};
use crate::jobs::Jobs;
use crate::patience::{Over, Patience};
use crate::secret::Secret;
use crate::task::Task;

mod address;
mod call;

/// Posts each job to an address.
#[derive(Clone, Debug)]
pub struct HttpHandler {
    /// Where to.
    pub address: Address,
    /// What the answer must carry.
    pub ack: Ack,
    /// What the request is signed with.
    pub secret: Secret,
}

/// What makes a successful answer count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// It names the job in the header `Aloud-Job`, which no page that merely
    /// happens to be there does.
    #[default]
    Job,
    /// Its status alone, for an application that cannot be changed.
    Status,
}

/// The longest `Retry-After` that is followed.
const LONGEST_WAIT: Span = Span::from_secs(86_400);
/// The shortest wait before a job that was put off is sent again.
const SHORTEST_WAIT: Span = Span::from_secs(1);

impl HttpHandler {
    pub(crate) async fn run(&self, task: &Task, jobs: &dyn Jobs, patience: &Patience) -> Ending {
        let request = Request {
            address: &self.address,
            secret: &self.secret,
            task,
            now: jobs.now().wall,
            body: task.payload.as_bytes().to_vec(),
            idempotent: true,
        };
        match patience.within(post(request)).await {
            Ok(Ok(reply)) => self.ending(task, &reply, jobs.now()),
            Ok(Err(broken)) => failed(&broken.class, broken.message, Again::ByPolicy),
            Err(Over::TimedOut) => failed(
                "http.timeout",
                format!("{} did not answer in time; whether the job was done there is unknown", self.address),
                Again::ByPolicy,
            ),
            Err(Over::Cut) => Ending::Snoozed {
                after: crate::running::AFTER_A_CUT,
                why: Some(format!("aloud stopped while {} worked; whether the job was done is unknown", self.address)),
            },
        }
    }

    /// What the answer means.
    fn ending(&self, task: &Task, reply: &Reply, now: Now) -> Ending {
        let status = reply.status;
        let said = Excerpt::of(&reply.body).text();
        let wait = retry_after(&reply.headers, now);
        if status.is_success() {
            return match (self.ack, named(task, &reply.headers)) {
                (_, Named::This) | (Ack::Status, Named::Nothing) => Ending::Done { output: said },
                (Ack::Job, Named::Nothing) => failed(
                    "http.unconfirmed",
                    with_text(
                        format!(
                            "the answer {status} of {} did not carry `Aloud-Job: {}`: another site or a catch-all page \
                             may have answered",
                            self.address,
                            header_text(&task.id.to_string()),
                        ),
                        said,
                    ),
                    Again::ByPolicy,
                ),
                (_, Named::Other(other)) => failed(
                    "http.wrong_job",
                    with_text(
                        format!(
                            "the answer {status} of {} carried `Aloud-Job: {other}` instead of `{}`: it is not about \
                             this job",
                            self.address,
                            header_text(&task.id.to_string()),
                        ),
                        said,
                    ),
                    Again::ByPolicy,
                ),
            };
        }
        if status.is_redirection() {
            let to = reply.headers.get(LOCATION).map_or_else(
                || "without saying where".to_owned(),
                |to| format!("to {}", job::attempt::bounded(readable(to.as_bytes()), 500)),
            );
            let message = format!(
                "{} answered {status} and redirects {to}; redirects are not followed, so give the final address",
                self.address
            );
            return failed("http.redirect", with_text(message, said), Again::ByPolicy);
        }
        match (status, wait, named(task, &reply.headers)) {
            (StatusCode::GONE, _, Named::This | Named::Nothing) => {
                Ending::Skipped { why: Some(said.unwrap_or_else(|| format!("{} answered {status}", self.address))) }
            }
            (StatusCode::TOO_MANY_REQUESTS, Some(after), _) => Ending::Snoozed {
                after,
                why: Some(with_text(
                    format!("{} answered {status} and asked to be left alone for {after}", self.address),
                    said,
                )),
            },
            (_, wait, _) => {
                let again = wait.map_or(Again::ByPolicy, Again::NotBefore);
                failed(
                    &format!("http.status_{}", status.as_u16()),
                    with_text(format!("{} answered {status}", self.address), said),
                    again,
                )
            }
        }
    }
}

/// Which job an answer names.
enum Named {
    This,
    Nothing,
    Other(String),
}

fn named(task: &Task, headers: &HeaderMap) -> Named {
    let id = task.id.to_string();
    let mut names = headers.get_all("aloud-job").iter().peekable();
    if names.peek().is_none() {
        return Named::Nothing;
    }
    // Several, or one that a proxy joined with another, name nothing clearly.
    match names.find(|name| name.as_bytes() != id.as_bytes() && name.as_bytes() != header_text(&id).as_bytes()) {
        None => Named::This,
        Some(other) => Named::Other(job::attempt::bounded(readable(other.as_bytes()), 200)),
    }
}

/// How long the answer asks to wait: in seconds, or until a date. At least a
/// second and at most a day; nothing if it says nothing that can be read.
fn retry_after(headers: &HeaderMap, now: Now) -> Option<Span> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        text.parse().map_or(LONGEST_WAIT, Span::from_secs)
    } else {
        let at = httpdate::parse_http_date(text).ok()?;
        let at = at.duration_since(std::time::UNIX_EPOCH).ok()?;
        job::Timestamp(i64::try_from(at.as_micros()).ok()?).since(now.wall)
    };
    Some(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
}

/// `what`, followed by what the answer said.
pub(crate) fn with_text(what: String, said: Option<String>) -> String {
    match said {
        Some(said) => format!("{what}. It said:\n{said}"),
        None => what,
    }
}

fn failed(class: &str, message: String, again: Again) -> Ending {
    Ending::Failed { error: JobError::new(class, message), again }
}

#[cfg(test)]
mod tests {
    use job::Timestamp;
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now = Now { wall: "2026-12-01T09:00:00Z".parse::<Timestamp>().unwrap(), ..Now::default() };
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers, now).map(|span| span.to_string())
        };
        assert_eq!(read("120").as_deref(), Some("2m"));
        assert_eq!(read("Tue, 01 Dec 2026 09:00:45 GMT").as_deref(), Some("45s"));
        assert_eq!(read("0").as_deref(), Some("1s"), "not at once, or it would spin");
        assert_eq!(read("Tue, 01 Dec 2020 09:00:45 GMT").as_deref(), Some("1s"), "a date that has passed");
        assert_eq!(read("99999999999999").as_deref(), Some("1d"), "not for ever");
        assert_eq!(read("Tue, 01 Dec 2099 09:00:45 GMT").as_deref(), Some("1d"));
        for garbage in ["", "soon", "-5", "1.5", "2026-12-01T09:00:45Z"] {
            assert_eq!(read(garbage), None, "{garbage}");
        }
    }
}
