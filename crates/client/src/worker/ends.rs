//! Telling the server how runs ended.
//!
//! Ends are told together where the API allows it. Each may be told again: the
//! lease decides, and a second telling changes nothing.

use futures_util::StreamExt;
use futures_util::stream;
use job::attempt::{MAX_TEXT_BYTES, bounded};
use job::{Again, Ending};
use tokio::time::Instant;
use wire::v1;

use crate::{Api, Error};

/// The most ends of one request: with the longest errors they stay below what a
/// server reads.
pub(super) const AT_ONCE: usize = 50;
/// How many snoozes, which have to be told one by one, are under way at once.
const SNOOZES_AT_ONCE: usize = 8;

/// The end of a run, to be told.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) id: String,
    pub(super) lease: String,
    pub(super) ending: Ending,
    /// When the lease is over in any case.
    pub(super) over: Instant,
    /// Whether it was sent before, without an answer.
    pub(super) sent: bool,
    /// Whether the run was stopped, or never begun, because the worker stops.
    pub(super) given_back: bool,
}

/// What came of asking for jobs.
#[derive(Debug, Default)]
pub(super) struct Next {
    pub(super) jobs: Vec<v1::LeasedJob>,
    /// There will be no more.
    pub(super) quiet: bool,
}

/// What became of telling.
#[derive(Debug)]
pub(super) enum Told {
    /// The server has it.
    Settled,
    /// The lease is no longer the job's: nothing changed.
    Stale(String),
    /// It was not told, or nobody knows.
    Failed(Error),
}

impl End {
    /// The end, cut down to what is kept.
    pub(super) fn new(job: &v1::LeasedJob, ending: Ending, over: Instant) -> Self {
        let cut = |text: Option<String>| text.map(|text| bounded(text, MAX_TEXT_BYTES));
        let ending = match ending {
            Ending::Done { output } => Ending::Done { output: cut(output) },
            Ending::Skipped { why } => Ending::Skipped { why: cut(why) },
            Ending::Failed { error, again } => Ending::Failed { error: error.bounded(), again },
            Ending::Snoozed { after, why } => Ending::Snoozed { after, why: cut(why) },
        };
        Self { id: job.id.clone(), lease: job.lease.clone(), ending, over, sent: false, given_back: false }
    }

    fn is_failure(&self) -> bool {
        matches!(self.ending, Ending::Failed { .. })
    }

    fn is_snooze(&self) -> bool {
        matches!(self.ending, Ending::Snoozed { .. })
    }
}

/// Whether ends can go with a request for the next jobs: all but snoozes can.
pub(super) fn go_with_a_wish(ends: &[End]) -> bool {
    !ends.iter().any(End::is_snooze)
}

/// Tells ends.
pub(super) async fn tell(api: &Api, ends: Vec<End>) -> Vec<(End, Told)> {
    let (snoozes, ends): (Vec<_>, Vec<_>) = ends.into_iter().partition(End::is_snooze);
    let mut told = match ends.is_empty() {
        true => Vec::new(),
        false => tell_and_ask(api, ends, None).await.0,
    };
    let snoozed = stream::iter(snoozes).map(|end| snooze(api, end)).buffer_unordered(SNOOZES_AT_ONCE);
    told.extend(snoozed.collect::<Vec<_>>().await);
    told
}

/// Tells ends, none of them a snooze, and asks for the next jobs in the same
/// round trip.
pub(super) async fn tell_and_ask(
    api: &Api,
    mut ends: Vec<End>,
    wish: Option<v1::LeaseWish>,
) -> (Vec<(End, Told)>, Result<Next, Error>) {
    // In the order of the answers.
    ends.sort_by_key(End::is_failure);
    match api.finish(&request(&ends, wish)).await {
        Ok(v1::FinishedMany { ends: answers, jobs, quiet }) => {
            (read(ends, answers, api.url()), Ok(Next { jobs, quiet }))
        }
        Err(error) => {
            let told = ends.into_iter().map(|end| (end, Told::Failed(error.clone()))).collect();
            (told, Err(error))
        }
    }
}

fn request(ends: &[End], wish: Option<v1::LeaseWish>) -> v1::FinishMany {
    let mut request = v1::FinishMany { lease: wish, ..v1::FinishMany::default() };
    for End { id, lease, ending, .. } in ends {
        let (id, lease) = (id.clone(), lease.clone());
        match ending.clone() {
            Ending::Done { output } => request.acks.push(v1::FinishAck { id, lease, output, skipped: None }),
            Ending::Skipped { why } => {
                let skipped = Some(why.unwrap_or_default());
                request.acks.push(v1::FinishAck { id, lease, output: None, skipped });
            }
            Ending::Failed { error, again } => {
                let (permanent, retry_after) = match again {
                    Again::ByPolicy => (false, None),
                    Again::NotBefore(wait) => (false, Some(wait)),
                    Again::Never => (true, None),
                };
                request.fails.push(v1::FinishFail { id, lease, error, permanent, retry_after });
            }
            Ending::Snoozed { .. } => {}
        }
    }
    request
}

/// Gives each end its answer: they come in the order in which the ends were
/// told. One that is missing, or another job's, is no answer.
fn read(ends: Vec<End>, answers: Vec<v1::FinishedOne>, url: &str) -> Vec<(End, Told)> {
    let mut answers = answers.into_iter();
    let told = |end: End| {
        let told = match answers.next().filter(|answer| answer.id == end.id) {
            Some(v1::FinishedOne { settled: Some(_), .. }) => Told::Settled,
            Some(v1::FinishedOne { stale: Some(why), .. }) => Told::Stale(why),
            Some(_) | None => {
                let why = "the answer does not name the ends as they were told".to_owned();
                Told::Failed(Error::Unknown { url: url.to_owned(), why })
            }
        };
        (end, told)
    };
    ends.into_iter().map(told).collect()
}

async fn snooze(api: &Api, end: End) -> (End, Told) {
    let Ending::Snoozed { after, why } = end.ending.clone() else { return (end, Told::Settled) };
    let snooze = v1::Snooze { lease: end.lease.clone(), in_: after, why };
    let told = match api.snooze(&end.id, &snooze).await {
        Ok(_) => Told::Settled,
        Err(error) if error.is_conflict() || error.is_no_such_job() => Told::Stale(error.happened()),
        Err(error) => Told::Failed(error),
    };
    (end, told)
}

#[cfg(test)]
mod tests {
    use job::{JobError, Span};

    use super::*;

    fn end(id: &str, ending: Ending) -> End {
        let (id, lease) = (id.to_owned(), "00000000000000ff".to_owned());
        End { id, lease, ending, over: Instant::now(), sent: false, given_back: false }
    }

    #[tokio::test]
    async fn ends_are_written_as_the_api_reads_them() {
        let again = Again::NotBefore(Span::from_secs(5));
        let ends = [
            end("a", Ending::output("sent")),
            end("b", Ending::skipped("not wanted")),
            end("c", Ending::Failed { error: JobError::new("Smtp", "450"), again }),
            end("d", Ending::fatal(JobError::new("Smtp", "550"))),
        ];
        assert_eq!(
            serde_json::to_string(&request(&ends, None)).unwrap(),
            r#"{"acks":[{"id":"a","lease":"00000000000000ff","output":"sent"},"#.to_owned()
                + r#"{"id":"b","lease":"00000000000000ff","skipped":"not wanted"}],"#
                + r#""fails":[{"id":"c","lease":"00000000000000ff","error":{"class":"Smtp","message":"450"},"retry_after":"5s"},"#
                + r#"{"id":"d","lease":"00000000000000ff","error":{"class":"Smtp","message":"550"},"permanent":true}]}"#
        );
    }

    #[tokio::test]
    async fn an_answer_that_names_another_job_is_no_answer() {
        let settled = v1::Settled { state: job::Phase::Ended, outcome: None, due: None };
        let answers = vec![
            v1::FinishedOne { id: "a".into(), settled: Some(settled.clone()), stale: None },
            v1::FinishedOne { id: "x".into(), settled: Some(settled), stale: None },
            v1::FinishedOne { id: "c".into(), settled: None, stale: Some("it runs under another lease".into()) },
        ];
        let ends = ["a", "b", "c", "d"].map(|id| end(id, Ending::done())).into();
        let told: Vec<_> = read(ends, answers, "http://x/").into_iter().map(|(_, told)| told).collect();
        assert!(matches!(told[0], Told::Settled));
        assert!(matches!(told[1], Told::Failed(Error::Unknown { .. })));
        assert!(matches!(&told[2], Told::Stale(why) if why.contains("another lease")));
        assert!(matches!(told[3], Told::Failed(Error::Unknown { .. })));
    }
}
