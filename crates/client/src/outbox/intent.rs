//! One intent, as a row and as what it asks of the server.

use job::time::{Remembered, SystemClock};
use job::{Clock, Key, Mono, Now, QueueName, Span, Timestamp};
use wire::v1::PushJob;

use crate::{Error, Push};

/// What the application wants of aloud: one row of the table `aloud_outbox`,
/// without its number. The fields are the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// `push` or `cancel`.
    pub act: String,
    /// Of a push: the job's id.
    pub job_id: Option<String>,
    /// In which queue.
    pub queue: String,
    /// With which key; of a cancel always.
    pub key: Option<String>,
    /// Of a push: the JSON of `POST /v1/jobs`.
    pub body: Option<String>,
    /// When it was written: microseconds since 1970 on the wall clock.
    pub written: i64,
    /// In which boot of the machine it was written.
    pub boot: String,
    /// When it was written: microseconds on the machine's monotonic clock.
    pub mono: i64,
}

/// An intent that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its number; a smaller one is sent first.
    pub seq: i64,
    /// The intent.
    pub intent: Intent,
}

/// What an intent asks of the server.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Push this job, with the delay that is left.
    Push(Box<PushJob>),
    /// Call off the job that waits with this key.
    Cancel(QueueName, Key),
}

impl Intent {
    /// The intent to push a job. Its id is drawn now, unless it has one.
    pub fn push<To>(push: Push<To>) -> Result<Self, Error> {
        let (_, job, _) = push.into_parts()?;
        let body = serde_json::to_string(&job).map_err(|e| {
            Error::config(format!("the push cannot be written as JSON: {e}"), "push what serializes as JSON")
        })?;
        let key = job.key.as_ref().map(ToString::to_string);
        Ok(Self { job_id: job.id, body: Some(body), ..Self::now("push", &job.queue, key) })
    }

    /// The intent to call off the job that waits in a queue with a key.
    pub fn cancel_key(queue: &str, key: &str) -> Result<Self, Error> {
        let invalid = |e: job::Invalid| Error::config(e.to_string(), "name the queue and the key as they were pushed");
        let queue: QueueName = queue.parse().map_err(invalid)?;
        let key: Key = key.parse().map_err(invalid)?;
        Ok(Self::now("cancel", &queue, Some(key.to_string())))
    }

    fn now(act: &str, queue: &QueueName, key: Option<String>) -> Self {
        let Remembered { boot, newest, .. } = SystemClock::resume(None).remember();
        Self {
            act: act.to_owned(),
            job_id: None,
            queue: queue.to_string(),
            key,
            body: None,
            written: newest.wall.0,
            boot,
            mono: newest.mono.0,
        }
    }

    /// How long ago it was written: by the monotonic clock if the machine still
    /// runs, or else by the wall clock.
    pub fn age(&self) -> Span {
        let written = Now { wall: Timestamp(self.written), mono: Mono(self.mono) };
        let then = Remembered { boot: self.boot.clone(), offset: 0, newest: written };
        SystemClock::resume(Some(&then)).now().mono.since(written.mono)
    }

    /// What it asks of the server now, `age` after it was written; or why it
    /// cannot be understood.
    pub(crate) fn act(&self, age: Span) -> Result<Act, String> {
        match self.act.as_str() {
            "push" => {
                let body = self.body.as_deref().ok_or("a push without a body")?;
                let mut job: PushJob = serde_json::from_str(body).map_err(|e| format!("the body is no push: {e}"))?;
                if job.id.is_none() || job.id != self.job_id {
                    return Err("the body has another id than the row".to_owned());
                }
                // The delay counts from the moment when it was asked for.
                job.in_ = job.in_.map(|delay| less(delay, age));
                job.expires_in = job.expires_in.map(|after| less(after, age));
                Ok(Act::Push(Box::new(job)))
            }
            "cancel" => {
                let queue = self.queue.parse().map_err(|e: job::Invalid| e.to_string())?;
                let key = self.key.as_deref().ok_or("a cancel without a key")?;
                Ok(Act::Cancel(queue, key.parse().map_err(|e: job::Invalid| e.to_string())?))
            }
            other => Err(format!("`{other}` is neither `push` nor `cancel`")),
        }
    }
}

fn less(span: Span, by: Span) -> Span {
    Span::from_micros(span.as_micros() - by.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobKind;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Send {
        notice: u64,
    }

    impl JobKind for Send {
        const KIND: &'static str = "notice.send";
    }

    fn pushed(intent: &Intent, age: u32) -> PushJob {
        match intent.act(Span::from_secs(age)).unwrap() {
            Act::Push(job) => *job,
            Act::Cancel(..) => panic!("a push was written"),
        }
    }

    #[test]
    fn an_intent_is_sent_with_the_id_it_was_written_with() {
        let intent = Intent::push(Push::of(&Send { notice: 42 }).key("notice:42")).unwrap();
        assert_eq!(
            (intent.act.as_str(), intent.queue.as_str(), intent.key.as_deref()),
            ("push", "default", Some("notice:42"))
        );
        let (one, again) = (pushed(&intent, 0), pushed(&intent, 5));
        assert!(one.id.is_some());
        assert_eq!((one.id, intent.job_id.clone()), (again.id, pushed(&intent, 9).id));
    }

    #[test]
    fn a_delay_counts_from_the_moment_it_was_written() {
        let push = Push::of(&Send { notice: 42 }).in_(Span::from_secs(1_800)).expires_in(Span::from_secs(3_600));
        let intent = Intent::push(push).unwrap();
        let job = pushed(&intent, 600);
        assert_eq!((job.in_, job.expires_in), (Some(Span::from_secs(1_200)), Some(Span::from_secs(3_000))));
        assert_eq!(pushed(&intent, 7_200).in_, Some(Span::ZERO));
        assert_eq!(pushed(&Intent::push(Push::of(&Send { notice: 1 })).unwrap(), 600).in_, None);
    }

    #[test]
    fn an_intents_age_is_measured_on_the_monotonic_clock_of_its_boot() {
        let mut intent = Intent::cancel_key("default", "notice:42").unwrap();
        intent.written = 0;
        assert!(intent.age() < Span::from_secs(60), "the wall clock was set: {}", intent.age());
        intent.boot = "another boot".to_owned();
        assert!(intent.age() > Span::from_secs(60), "only the wall clock counts over a reboot");
    }

    #[test]
    fn what_is_no_intent_says_so() {
        let good = Intent::push(Push::of(&Send { notice: 42 })).unwrap();
        let why = |intent: Intent| intent.act(Span::ZERO).unwrap_err();
        assert!(why(Intent { act: "pull".into(), ..good.clone() }).contains("neither"));
        assert!(why(Intent { body: Some("{}".into()), ..good.clone() }).contains("missing field"));
        assert!(why(Intent { job_id: Some("other".into()), ..good.clone() }).contains("another id"));
        assert!(why(Intent { act: "cancel".into(), ..good }).contains("without a key"));
        assert!(matches!(Intent::cancel_key("default", ""), Err(Error::Config { .. })));
    }
}
