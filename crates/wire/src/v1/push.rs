//! Pushing: `POST /v1/jobs`.

use std::fmt;

use job::{
    ClientId, Guard, Invalid, Key, KindName, Moment, NewJob, Now, OnConflict, Outcome, Payload, Phase, Policy,
    QueueName, Span, Spec, Timestamp,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Object, Refused, is_false};

/// What `POST /v1/jobs` reads.
#[derive(Debug, Clone)]
pub enum Push {
    /// An object: one job.
    One(Box<PushJob>),
    /// An array: at most [`PushJob::MAX_BATCH`] jobs, in one commit.
    Many(Vec<PushJob>),
}

impl<'de> Deserialize<'de> for Push {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrMany)
    }
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Push;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a job, which is an object with a `kind`, or an array of jobs")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Push, A::Error> {
        PushJob::deserialize(MapAccessDeserializer::new(fields)).map(|job| Push::One(Box::new(job)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Push, A::Error> {
        let mut jobs = Vec::new();
        while let Some(Object(job)) = items.next_element()? {
            if jobs.len() == PushJob::MAX_BATCH {
                return Err(A::Error::custom(format!("more than {} jobs", PushJob::MAX_BATCH)));
            }
            jobs.push(job);
        }
        Ok(Push::Many(jobs))
    }
}

/// `POST /v1/jobs`, one of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushJob {
    /// The line it waits in; `default` if left out.
    #[serde(default = "default_queue")]
    pub queue: QueueName,
    /// What it is.
    pub kind: KindName,
    /// What it carries, kept byte for byte; `null` if left out. At most 1 MiB
    /// and [`PushJob::MAX_DEPTH`] levels deep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<RawValue>>,
    /// Due so long from now, whatever the wall clock does meanwhile.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub in_: Option<Span>,
    /// Due then; a time that has passed means now. Written to the millisecond,
    /// and never as an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "not_before")]
    pub at: Option<Timestamp>,
    /// What it is about: at most one job waits for each key in a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// What happens when a waiting job holds the key; `keep` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// Who is asked just before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// Lower first, 0 to 4294967295; 1024 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// What follows a failure; what is left out is as by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Policy>,
    /// Not wanted any more so long from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Span>,
    /// An id of the caller's own. A second push with it answers the first job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

fn default_queue() -> QueueName {
    "default".parse().expect("`default` is a queue's name")
}

fn not_before<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    let up = at.map(|Timestamp(micros)| Timestamp(micros.saturating_add(999) / 1_000 * 1_000));
    up.serialize(to)
}

impl PushJob {
    /// The most jobs of one push.
    pub const MAX_BATCH: usize = 1_000;
    /// The most levels of a payload: what the JSON readers of all common
    /// languages take without being told (Ruby's is the first to give up).
    pub const MAX_DEPTH: usize = 100;

    /// A job of `kind` in the queue `default`.
    pub fn new(kind: KindName) -> Self {
        Self {
            queue: default_queue(),
            kind,
            payload: None,
            in_: None,
            at: None,
            key: None,
            on_conflict: None,
            guard: None,
            priority: None,
            retry: None,
            expires_in: None,
            id: None,
        }
    }

    /// What it means, now.
    pub fn into_new_job(self, now: Now) -> Result<NewJob, Refused> {
        let due = match (self.in_, self.at) {
            (Some(_), Some(_)) => return Err(Refused::new("at", "give either `in` or `at`, not both")),
            (Some(in_), None) => Moment::after(now, in_),
            (None, Some(at)) => Moment::at(at, now),
            (None, None) => Moment::after(now, Span::ZERO),
        };
        let payload = match self.payload {
            Some(raw) => payload(&raw)?,
            None => Payload::default(),
        };
        if self.on_conflict.is_some() && self.key.is_none() {
            let why = "it says what happens when the key is held, and there is no `key`";
            return Err(Refused::new("on_conflict", why));
        }
        if let Some(guard) = &self.guard {
            check_guard(guard)?;
        }
        let retry = self.retry.unwrap_or_default();
        if !(1..=Policy::MAX_ATTEMPTS).contains(&retry.max_attempts) {
            let why = format!("`max_attempts` must lie between 1 and {}", Policy::MAX_ATTEMPTS);
            return Err(Refused::new("retry", why));
        }
        let client_id = match self.id {
            Some(id) => Some(ClientId::choose(&id).map_err(|e: Invalid| Refused::new("id", e.to_string()))?),
            None => None,
        };
        Ok(NewJob {
            client_id,
            due,
            on_conflict: self.on_conflict.unwrap_or_default(),
            spec: Spec {
                queue: self.queue,
                kind: self.kind,
                payload,
                priority: self.priority.unwrap_or(Spec::DEFAULT_PRIORITY),
                key: self.key,
                guard: self.guard,
                expires: self.expires_in.map(|after| Moment::after(now, after)),
                retry,
            },
        })
    }
}

fn payload(raw: &RawValue) -> Result<Payload, Refused> {
    let bytes = raw.get().as_bytes();
    let payload = Payload::new(bytes).map_err(|e| Refused::new("payload", e.to_string()))?;
    let depth = depth(bytes);
    if depth > PushJob::MAX_DEPTH {
        let why = format!(
            "it is nested {depth} levels deep, and at most {} are allowed: the worker's JSON reader may refuse it",
            PushJob::MAX_DEPTH
        );
        return Err(Refused::new("payload", why));
    }
    Ok(payload)
}

/// How many arrays and objects lie within each other in a JSON text.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn check_guard(guard: &Guard) -> Result<(), Refused> {
    let (text, fits, wanted) = match guard {
        Guard::Http(url) => (
            url,
            url.starts_with("http://") || url.starts_with("https://"),
            "an address that starts with `http://` or `https://`",
        ),
        Guard::Exec(name) => (name, !name.is_empty(), "the name of a guard that the configuration declares"),
    };
    if text.len() > Guard::MAX_BYTES {
        let why = format!("it has {} bytes, and at most {} are allowed", text.len(), Guard::MAX_BYTES);
        return Err(Refused::new("guard", why));
    }
    if !fits || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Refused::new("guard", format!("it is not {wanted}")));
    }
    Ok(())
}

/// What became of one pushed job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedJob {
    /// The job: the new one, or the one that was there.
    pub id: String,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Phase>,
    /// A waiting job held the key, and was kept.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kept: bool,
    /// A job with this id was pushed before; nothing changed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub known: bool,
    /// How that job ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The waiting job that it replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// In an array: this one was refused, and why. `id` is then the job that
    /// holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}

impl PushedJob {
    /// A job of which nothing but its id is known.
    pub fn of(id: impl Into<String>) -> Self {
        Self { id: id.into(), state: None, kept: false, known: false, outcome: None, replaced: None, rejected: None }
    }

    /// Whether a new job came into being.
    pub fn is_new(&self) -> bool {
        !self.kept && !self.known && self.rejected.is_none()
    }
}

#[cfg(test)]
mod tests {
    use job::{Clock, time::ManualClock};

    use super::*;

    fn refused(json: &str) -> String {
        let clock = ManualClock::at(Timestamp(1_000_000));
        let push: PushJob = serde_json::from_str(json).unwrap();
        push.into_new_job(clock.now()).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_field() {
        let check = |json: &str, expected: &str| assert_eq!(refused(json), expected, "{json}");
        check(r#"{"kind":"k","in":"1s","at":"2026-12-01T09:00:00Z"}"#, "`at`: give either `in` or `at`, not both");
        check(
            r#"{"kind":"k","on_conflict":"keep"}"#,
            "`on_conflict`: it says what happens when the key is held, and there is no `key`",
        );
        check(
            r#"{"kind":"k","guard":{"http":"ftp://x"}}"#,
            "`guard`: it is not an address that starts with `http://` or `https://`",
        );
        check(
            r#"{"kind":"k","guard":{"http":"http://x/\n"}}"#,
            "`guard`: it is not an address that starts with `http://` or `https://`",
        );
        check(
            r#"{"kind":"k","guard":{"exec":""}}"#,
            "`guard`: it is not the name of a guard that the configuration declares",
        );
        check(r#"{"kind":"k","retry":{"max_attempts":0}}"#, "`retry`: `max_attempts` must lie between 1 and 1000");
        check(
            r#"{"kind":"k","id":"a b"}"#,
            "`id`: the job id holds the character ' ' at byte 1; spaces, `/`, `?` and control characters are not allowed",
        );
        check(
            r#"{"kind":"k","id":"j17"}"#,
            "`id`: the job id \"j17\" has the form of an id that the server gives (`j` and digits); choose another form",
        );
    }

    #[test]
    fn a_payload_may_be_large_and_nested_up_to_a_limit() {
        let nested =
            |levels: usize| format!(r#"{{"kind":"k","payload":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let clock = ManualClock::at(Timestamp(1_000_000));
        let push: PushJob = serde_json::from_str(&nested(PushJob::MAX_DEPTH)).unwrap();
        assert!(push.into_new_job(clock.now()).is_ok());
        assert_eq!(
            refused(&nested(100_000)),
            "`payload`: it is nested 100000 levels deep, and at most 100 are allowed: the worker's JSON reader may refuse it"
        );
        let large = format!(r#"{{"kind":"k","payload":"{}"}}"#, "x".repeat(Payload::MAX_BYTES));
        assert!(refused(&large).starts_with("`payload`: the payload has 1048578 bytes, and at most 1048576"));
    }

    #[test]
    fn one_job_is_an_object_and_many_are_an_array() {
        let read = |json: &str| match serde_json::from_str(json) {
            Ok(Push::One(job)) => format!("one {}", job.kind),
            Ok(Push::Many(jobs)) => format!("{} jobs", jobs.len()),
            Err(error) => error.to_string(),
        };
        assert_eq!(read(r#"{"kind":"k","payload":{"a":[1]}}"#), "one k");
        assert_eq!(read(r#" [{"kind":"k","payload":{"a":[1]}},{"kind":"l"}]"#), "2 jobs");
        assert_eq!(read("[]"), "0 jobs");
        assert_eq!(
            read("17"),
            "invalid type: integer `17`, expected a job, which is an object with a `kind`, or an array of jobs at line 1 column 2"
        );
        assert_eq!(read(r#"[["mail","k"]]"#), "invalid type: sequence, expected an object at line 1 column 1");
        let many = |n| format!("[{}]", vec![r#"{"kind":"k"}"#; n].join(","));
        assert_eq!(read(&many(1_000)), "1000 jobs");
        assert_eq!(read(&many(1_001)), "more than 1000 jobs at line 1 column 13014");
    }

    #[test]
    fn brackets_in_a_text_are_no_nesting() {
        assert_eq!(depth(br#"["[[[\"[[[", {"]]": "\\"}]"#), 2);
        assert_eq!(depth(b"17"), 0);
    }

    #[test]
    fn a_time_is_never_written_as_an_earlier_one() {
        let mut push = PushJob::new("k".parse().unwrap());
        for (micros, written) in [(1_000, ".001Z"), (1_001, ".002Z"), (1_999, ".002Z"), (2_000, ".002Z")] {
            push.at = Some(Timestamp(micros));
            let json = serde_json::to_string(&push).unwrap();
            assert!(json.contains(written), "{micros}: {json}");
        }
    }

    #[test]
    fn a_time_that_has_passed_means_now_and_a_payload_comes_out_as_it_went_in() {
        let clock = ManualClock::at("2030-01-01T00:00:00Z".parse().unwrap());
        let json = r#"{"kind":"k","at":"2026-12-01T09:00:00Z","payload": {"b":1.50, "a":"\u00e9"} }"#;
        let push: PushJob = serde_json::from_str(json).unwrap();
        let new = push.into_new_job(clock.now()).unwrap();
        assert_eq!(new.due, Moment { wall: clock.now().wall, mono: None });
        assert_eq!(new.spec.payload.as_bytes(), br#"{"b":1.50, "a":"\u00e9"}"#);
        assert_eq!(new.spec.queue.as_str(), "default");
    }
}
