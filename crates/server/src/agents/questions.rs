//! Questions of guards that wait for an agent's answer.

use std::collections::BTreeMap;

use job::{Answer, HostName};
use tokio::sync::oneshot;
use wire::v1::{GuardAnswer, GuardQuestion};

/// The most that wait; the queue asks fewer at once.
const MOST: usize = 256;
/// The most bytes of payloads in one answer to an agent; what is beyond comes
/// with the next.
const MOST_BYTES: usize = 4 << 20;

/// Questions by number, which is also their id.
#[derive(Debug, Default)]
pub(super) struct Questions(BTreeMap<u64, Open>);

#[derive(Debug)]
struct Open {
    host: HostName,
    question: GuardQuestion,
    answer: oneshot::Sender<Answer>,
}

impl Questions {
    /// Has `host` asked, unless too much is asked already.
    pub(super) fn ask(&mut self, host: HostName, question: GuardQuestion) -> Option<oneshot::Receiver<Answer>> {
        if self.0.len() >= MOST {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.0.insert(question.id, Open { host, question, answer });
        Some(answered)
    }

    /// How many wait for `host`.
    pub(super) fn waiting_for(&self, host: &HostName) -> usize {
        self.0.values().filter(|open| open.host == *host).count()
    }

    /// What came after `heard` for `host`; and, if not all of it fits, up to
    /// which number it does.
    pub(super) fn after(&self, host: &HostName, heard: u64) -> (Vec<GuardQuestion>, Option<u64>) {
        let (mut questions, mut bytes) = (Vec::new(), 0);
        for (number, open) in self.0.range(heard + 1..).filter(|(_, open)| open.host == *host) {
            bytes += open.question.job.payload.get().len();
            if bytes > MOST_BYTES && !questions.is_empty() {
                return (questions, Some(number - 1));
            }
            questions.push(open.question.clone());
        }
        (questions, None)
    }

    /// What `host` answers. Of a question that nobody waits for any more, or
    /// that another was asked, nothing becomes.
    pub(super) fn answer(&mut self, host: &HostName, answers: &[GuardAnswer]) {
        for said in answers {
            if self.0.get(&said.id).is_some_and(|open| open.host == *host)
                && let Some(open) = self.0.remove(&said.id)
            {
                // Who asked may have gone this moment.
                open.answer.send(said.clone().into()).ok();
            }
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn forget(&mut self, id: u64) {
        self.0.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use wire::v1::{Answered, AskedJob};

    use super::*;

    fn question(id: u64, payload: &str) -> GuardQuestion {
        let job = AskedJob {
            id: format!("j{id}"),
            queue: "mail".parse().unwrap(),
            kind: "notice.send".parse().unwrap(),
            key: None,
            payload: serde_json::value::to_raw_value(payload).unwrap(),
            attempt: 1,
            pushed: job::Timestamp(0),
        };
        GuardQuestion { id, guard: "still-wanted".to_owned(), job }
    }

    #[test]
    fn only_who_was_asked_answers() {
        let mut questions = Questions::default();
        let [web1, web2]: [HostName; 2] = ["web1", "web2"].map(|name| name.parse().unwrap());
        let mut answered = questions.ask(web1.clone(), question(7, "")).unwrap();
        let yes = [GuardAnswer { id: 7, answer: Answered::Yes, why: None }];
        questions.answer(&web2, &yes);
        assert!(answered.try_recv().is_err());
        questions.answer(&web1, &yes);
        assert_eq!(answered.try_recv(), Ok(Answer::Yes));
        questions.answer(&web1, &yes);
        assert_eq!(questions.waiting_for(&web1), 0);
    }

    #[test]
    fn what_does_not_fit_comes_with_the_next_answer() {
        let mut questions = Questions::default();
        let web1: HostName = "web1".parse().unwrap();
        let large = "x".repeat(MOST_BYTES - 10);
        let _waits: Vec<_> = [5, 7, 9].map(|id| questions.ask(web1.clone(), question(id, &large))).into();
        let ids = |heard| {
            let (found, upto) = questions.after(&web1, heard);
            (found.into_iter().map(|question| question.id).collect::<Vec<_>>(), upto)
        };
        assert_eq!(ids(0), (vec![5], Some(6)));
        assert_eq!(ids(6), (vec![7], Some(8)));
        assert_eq!(ids(8), (vec![9], None));
        assert_eq!(ids(9), (vec![], None));
    }
}
