//! What is pushed: a job, and how it is to be treated.

use job::{Guard, Key, Now, OnConflict, Outcome, Policy, Span, Timestamp};
use wire::v1;

use crate::{Error, JobKind, id};

/// A job on its way: what it is, and how it is to be treated.
///
/// It comes from [`crate::Aloud::push`], which sends it, from the outbox, which
/// writes it into the application's own transaction, or from [`Push::of`] for
/// [`crate::Aloud::push_many`].
#[derive(Debug, Clone)]
#[must_use = "a push does nothing until it is sent or written"]
pub struct Push<To = ()> {
    pub(crate) to: To,
    draft: Result<Box<v1::PushJob>, Error>,
}

impl Push {
    /// A job, on its way nowhere yet.
    pub fn of<J: JobKind>(job: &J) -> Self {
        Self::to((), job)
    }
}

impl<To> Push<To> {
    pub(crate) fn to<J: JobKind>(to: To, job: &J) -> Self {
        Self { to, draft: draft(job) }
    }

    /// Due so long from now, whatever the wall clock does meanwhile.
    pub fn in_(self, delay: impl Into<Span>) -> Self {
        let delay = delay.into();
        self.set(|draft| draft.in_ = Some(delay))
    }

    /// Due then; a time that has passed means now.
    pub fn at(self, at: Timestamp) -> Self {
        self.set(|draft| draft.at = Some(at))
    }

    /// In this queue instead of the kind's own.
    pub fn queue(self, queue: impl AsRef<str>) -> Self {
        self.parse(queue.as_ref(), |draft, queue| draft.queue = queue)
    }

    /// What it is about: at most one job waits for each key in a queue. If one
    /// does already, it is kept, unless [`Push::replace`] or [`Push::reject`]
    /// says otherwise.
    pub fn key(self, key: impl AsRef<str>) -> Self {
        self.parse(key.as_ref(), |draft, key: Key| draft.key = Some(key))
    }

    /// A job that waits with the key stays, and this one is not pushed.
    pub fn keep(self) -> Self {
        self.set(|draft| draft.on_conflict = Some(OnConflict::Keep))
    }

    /// A job that waits with the key ends, and this one waits in its place.
    pub fn replace(self) -> Self {
        self.set(|draft| draft.on_conflict = Some(OnConflict::Replace))
    }

    /// If a job waits with the key, this push is an error.
    pub fn reject(self) -> Self {
        self.set(|draft| draft.on_conflict = Some(OnConflict::Reject))
    }

    /// Just before it runs, this address is asked whether it is still wanted.
    /// It answers `{"job": ID, "run": true|false}` with status 200.
    pub fn guard_http(self, url: impl Into<String>) -> Self {
        let url = url.into();
        self.set(|draft| draft.guard = Some(Guard::Http(url)))
    }

    /// Just before it runs, this command of the server's configuration is
    /// asked whether it is still wanted.
    pub fn guard_exec(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.set(|draft| draft.guard = Some(Guard::Exec(name)))
    }

    /// Lower first; 1024 if nothing is said.
    pub fn priority(self, priority: u32) -> Self {
        self.set(|draft| draft.priority = Some(priority))
    }

    /// What follows a failure.
    pub fn retry(self, policy: Policy) -> Self {
        self.set(|draft| draft.retry = Some(policy))
    }

    /// Not wanted any more so long from now, if it has not started by then.
    pub fn expires_in(self, after: impl Into<Span>) -> Self {
        let after = after.into();
        self.set(|draft| draft.expires_in = Some(after))
    }

    /// An id of your own. A second push with it answers the first job, for as
    /// long as the server keeps that job. Without one the client draws one.
    pub fn id(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.set(|draft| draft.id = Some(id))
    }

    fn set(mut self, set: impl FnOnce(&mut v1::PushJob)) -> Self {
        if let Ok(draft) = &mut self.draft {
            set(draft);
        }
        self
    }

    fn parse<T: std::str::FromStr<Err = job::Invalid>>(
        mut self,
        text: &str,
        set: impl FnOnce(&mut v1::PushJob, T),
    ) -> Self {
        match text.parse() {
            Ok(value) => self.set(|draft| set(draft, value)),
            Err(invalid) => {
                self.draft = self.draft.and_then(|_| Err(refused(&invalid.to_string())));
                self
            }
        }
    }

    /// What goes to the server, with an id in any case; where it goes; and
    /// whether the id was drawn here.
    pub(crate) fn into_parts(self) -> Result<(To, v1::PushJob, bool), Error> {
        let mut draft = *self.draft?;
        let drawn = draft.id.is_none();
        if drawn {
            draft.id = Some(id::draw());
        }
        // What the server would refuse is refused here, where whoever pushes
        // can still be told.
        draft.clone().into_new_job(Now::default()).map_err(|why| refused(&why.to_string()))?;
        Ok((self.to, draft, drawn))
    }
}

fn draft<J: JobKind>(job: &J) -> Result<Box<v1::PushJob>, Error> {
    let bad_name = |invalid: job::Invalid| refused(&invalid.to_string());
    let mut draft = v1::PushJob::new(J::KIND.parse().map_err(bad_name)?);
    draft.queue = J::QUEUE.parse().map_err(bad_name)?;
    draft.retry = J::RETRY;
    let payload = serde_json::value::to_raw_value(job)
        .map_err(|e| refused(&format!("`{}` cannot be written as JSON: {e}", J::KIND)))?;
    draft.payload = Some(payload);
    Ok(Box::new(draft))
}

fn refused(why: &str) -> Error {
    Error::config(format!("this cannot be pushed: {why}"), "correct the push; trying again is of no use")
}

/// A push that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The job: the new one, or the one that was there.
    pub id: String,
    /// What became of the push.
    pub became: Became,
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// A new job.
    New {
        /// The waiting job with its key that it replaced. Not known if the
        /// answer was lost and the push had to be repeated.
        replaced: Option<String>,
    },
    /// Nothing: a waiting job holds its key and was kept.
    Kept,
    /// Nothing: a job with its id was pushed before.
    Known {
        /// How that job ended, if it has.
        outcome: Option<Outcome>,
    },
    /// Nothing: a waiting job holds its key, and the push asked to be refused
    /// then. Only in [`crate::Aloud::push_many`]; alone it is an error.
    Rejected {
        /// Why.
        why: String,
    },
}

impl Pushed {
    /// Reads the server's answer. If the id was `drawn` here, a job that the
    /// server knows already is the one that an earlier try of the same push
    /// made.
    pub(crate) fn read(answer: v1::PushedJob, drawn: bool) -> Self {
        let v1::PushedJob { id, state: _, kept, known, outcome, replaced, rejected } = answer;
        let became = match rejected {
            Some(why) => Became::Rejected { why },
            None if kept => Became::Kept,
            None if known && !drawn => Became::Known { outcome },
            None => Became::New { replaced },
        };
        Self { id, became }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(serde::Serialize, Deserialize)]
    struct Send {
        notice: u64,
    }

    impl JobKind for Send {
        const KIND: &'static str = "notice.send";
        const QUEUE: &'static str = "mail";
    }

    fn written(push: Push) -> String {
        serde_json::to_string(&push.into_parts().unwrap().1).unwrap()
    }

    #[test]
    fn a_push_is_written_as_the_api_reads_it() {
        let push = Push::of(&Send { notice: 42 })
            .in_(std::time::Duration::from_secs(1_800))
            .key("notice:42")
            .replace()
            .guard_http("http://127.0.0.1:8080/wanted/42")
            .priority(1)
            .expires_in(Span::from_secs(7_200))
            .id("n42");
        assert_eq!(
            written(push),
            r#"{"queue":"mail","kind":"notice.send","payload":{"notice":42},"in":"30m","key":"notice:42","#.to_owned()
                + r#""on_conflict":"replace","guard":{"http":"http://127.0.0.1:8080/wanted/42"},"priority":1,"#
                + r#""expires_in":"2h","id":"n42"}"#
        );
    }

    #[test]
    fn a_push_without_an_id_is_given_one() {
        let id = |push: Push| push.into_parts().unwrap().1.id.unwrap();
        let push = Push::of(&Send { notice: 1 });
        assert_ne!(id(push.clone()), id(push));
    }

    #[test]
    fn what_the_server_would_refuse_is_refused_before_it_is_sent() {
        let refused = |push: Push| push.into_parts().unwrap_err().happened();
        let push = || Push::of(&Send { notice: 1 });
        assert_eq!(refused(push().key("")), "this cannot be pushed: the key is empty");
        assert!(refused(push().queue("ma il").key("k")).contains("the queue's name holds the character ' '"));
        assert!(refused(push().replace()).contains("`on_conflict`"));
        assert!(refused(push().id("j17")).contains("`id`"));
        assert!(refused(push().guard_http("not an address")).contains("`guard`"));
        assert!(refused(push().in_(Span::ZERO).at(Timestamp(0))).contains("not both"));
    }

    #[test]
    fn an_answer_says_what_became_of_the_push() {
        let read = |json: &str, drawn| Pushed::read(serde_json::from_str(json).unwrap(), drawn).became;
        assert_eq!(read(r#"{"id":"a","state":"ready"}"#, true), Became::New { replaced: None });
        assert_eq!(read(r#"{"id":"a","replaced":"b"}"#, true), Became::New { replaced: Some("b".into()) });
        assert_eq!(read(r#"{"id":"b","kept":true}"#, true), Became::Kept);
        let known = r#"{"id":"a","known":true,"outcome":"done"}"#;
        assert_eq!(read(known, false), Became::Known { outcome: Some(Outcome::Done) });
        assert_eq!(read(known, true), Became::New { replaced: None }, "an earlier try of the same push made it");
        assert_eq!(read(r#"{"id":"b","rejected":"held"}"#, true), Became::Rejected { why: "held".into() });
    }
}
