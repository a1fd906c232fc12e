//! The verbs that change something, in few words.

use std::collections::HashSet;

use job::{
    Again, Answer, Ending, Jitter, JobId, JobRef, Lease, LeaseSeed, Moment, NewJob, Outcome, Pause, Phase, Span, State,
    Step, Timestamp,
};

use super::{Bench, GIVE_UP, LEASE, MAIL, done, fail, from, queue};
use crate::jobs::{
    AskId, Cancel, Cancelled, Claim, Claimed, Discarded, Finish, Found, From, Leased, Pushed, Question, Revived,
    Search, Settled, Stale,
};
use crate::laws::draft::Draft;

impl Bench {
    /// Pushes jobs.
    ///
    /// Where answers are lost, each gets a client id if it has none: without
    /// one a push cannot be repeated.
    pub async fn push<const N: usize>(&mut self, drafts: [Draft; N]) -> [Pushed; N] {
        let jobs = drafts.map(|draft| draft.job).to_vec();
        self.push_all(jobs).await.try_into().expect("one answer for each job")
    }

    /// Pushes jobs that are not drafts.
    pub async fn push_all(&mut self, mut jobs: Vec<NewJob>) -> Vec<Pushed> {
        let now = self.now();
        let mut new = HashSet::new();
        if self.maker.loses_answers() {
            for job in &mut jobs {
                let name = self.draw();
                let id = job.client_id.get_or_insert_with(|| format!("law-{name}").parse().unwrap()).clone();
                if self.look(JobRef::Client(id.clone())).await.is_none() {
                    new.insert(id);
                }
            }
        }
        let (mut pushed, lost) = self.call_and_tell(|store| store.push(jobs.clone(), now)).await;
        if lost {
            for (job, pushed) in jobs.iter().zip(&mut pushed) {
                if let (Pushed::Known { id, .. }, Some(name)) = (&pushed, &job.client_id)
                    && new.remove(name)
                {
                    let replaced = if job.spec.key.is_some() { self.replaced_by(*id).await } else { None };
                    *pushed = Pushed::New { id: *id, replaced };
                }
            }
        }
        pushed
    }

    /// Pushes a job that must be accepted as new.
    pub async fn accept(&mut self, draft: Draft) -> JobId {
        match self.push([draft]).await {
            [Pushed::New { id, .. }] => id,
            [other] => panic!("not accepted as new: {other:?}"),
        }
    }

    /// Pushes a job, takes it, and lets its worker say that it is dead.
    pub async fn accept_dead(&mut self, draft: Draft) -> JobId {
        let queue = draft.job.spec.queue.clone();
        let id = self.accept(draft).await;
        let [leased] = self.claim_from(&[queue.as_str()], 1).await.try_into().expect("the job that was pushed");
        assert_eq!(leased.job.id, id);
        assert_eq!(self.finish(&leased, fail(Again::Never)).await, Ok(Settled::Dead));
        id
    }

    /// The job that was replaced by `id`.
    async fn replaced_by(&self, id: JobId) -> Option<JobId> {
        let Step::End { detail: wanted, .. } = Step::replaced_by(id) else { return None };
        let search = Search { outcome: Some(Outcome::Superseded), limit: usize::MAX, ..Search::default() };
        let is_it = |found: &Found| matches!(&found.job.state, State::Ended { detail, .. } if *detail == wanted);
        self.search(search).await.jobs.into_iter().find(is_it).map(|found| found.job.id)
    }

    /// Claims up to `limit` jobs from [`MAIL`].
    pub async fn claim(&mut self, limit: usize) -> Vec<Leased> {
        self.claim_from(&[MAIL], limit).await
    }

    /// Claims one job from [`MAIL`], which must be there.
    pub async fn take(&mut self) -> Leased {
        let [leased] = self.claim(1).await.try_into().expect("a job that can be claimed");
        leased
    }

    /// Claims from these queues.
    pub async fn claim_from(&mut self, queues: &[&str], limit: usize) -> Vec<Leased> {
        self.claim_as(from(queues), limit).await.jobs
    }

    /// Claims as worker `w1`, with a seed that was not used before.
    pub async fn claim_as(&mut self, from: From, limit: usize) -> Claimed {
        let seed = LeaseSeed(self.draw());
        let claim = Claim { from, limit, worker: "w1".to_owned(), lease_for: Span::from_secs(LEASE), seed };
        let now = self.now();
        self.call(|store| store.claim(claim.clone(), now)).await
    }

    /// Ends a run.
    pub async fn finish(&mut self, leased: &Leased, ending: Ending) -> Result<Settled, Stale> {
        let id = JobRef::Id(leased.job.id);
        let [answer] = self.finish_all([Finish { id, lease: leased.lease, ending, jitter: Jitter::ZERO }]).await;
        answer
    }

    /// Ends a run as done.
    pub async fn done(&mut self, leased: &Leased) -> Result<Settled, Stale> {
        self.finish(leased, done()).await
    }

    /// Ends a run as failed, to be tried again as the policy says.
    pub async fn fail(&mut self, leased: &Leased) -> Result<Settled, Stale> {
        self.finish(leased, fail(Again::ByPolicy)).await
    }

    /// Ends a run with the wish to be run later.
    pub async fn snooze(&mut self, leased: &Leased, secs: u32) -> Result<Settled, Stale> {
        self.finish(leased, Ending::Snoozed { after: Span::from_secs(secs), why: None }).await
    }

    /// Ends runs in one call.
    pub async fn finish_all<const N: usize>(&mut self, ends: [Finish; N]) -> [Result<Settled, Stale>; N] {
        let now = self.now();
        let mut held = HashSet::new();
        if self.maker.loses_answers() {
            for end in &ends {
                if self.runs_under(&end.id, end.lease).await {
                    held.insert((end.id.clone(), end.lease));
                }
            }
        }
        let (mut answers, lost) = self.call_and_tell(|store| store.finish(ends.to_vec(), now)).await;
        for (end, answer) in ends.iter().zip(&mut answers) {
            if lost && answer.is_err() && held.remove(&(end.id.clone(), end.lease)) {
                *answer = Ok(self.settled(end.id.clone()).await);
            }
        }
        answers.try_into().expect("one answer for each end")
    }

    async fn runs_under(&self, id: &JobRef, lease: Lease) -> bool {
        let found = self.look(id.clone()).await;
        found.is_some_and(|found| matches!(found.job.state, State::Running(run) if run.lease == lease))
    }

    async fn settled(&self, id: JobRef) -> Settled {
        match self.look(id).await.expect("a job that was just ended").job.state {
            State::Waiting { due, .. } => Settled::Waits(due.wall),
            State::Dead { .. } => Settled::Dead,
            State::Ended { outcome, .. } => Settled::Ended(outcome),
            State::Running(run) => panic!("its end was lost, and yet it runs: {run:?}"),
        }
    }

    /// Extends a lease to so many seconds from now.
    pub async fn extend(&mut self, leased: &Leased, secs: u32) -> Result<Timestamp, Stale> {
        let (id, now) = (JobRef::Id(leased.job.id), self.now());
        self.call(|store| store.extend(id.clone(), leased.lease, Span::from_secs(secs), now)).await
    }

    /// Calls off a job, as `ute`.
    pub async fn cancel(&mut self, id: JobId) -> Cancelled {
        self.cancel_what(Cancel::Job(JobRef::Id(id))).await
    }

    /// Calls off the job that holds a key in [`MAIL`], as `ute`.
    pub async fn cancel_key(&mut self, key: &str) -> Cancelled {
        self.cancel_what(Cancel::Key(queue(MAIL), key.parse().unwrap())).await
    }

    /// Calls off a job, as `ute`.
    pub async fn cancel_what(&mut self, what: Cancel) -> Cancelled {
        let now = self.now();
        let waited = match &what {
            Cancel::Job(id) => self.look(id.clone()).await.is_some_and(|found| is_waiting(&found)),
            Cancel::Key(..) => false,
        };
        match self.call_and_tell(|store| store.cancel(what.clone(), "ute".to_owned(), now)).await {
            (Cancelled::Ended(id, Outcome::Cancelled), true) if waited => Cancelled::Yes(id),
            (answer, _) => answer,
        }
    }

    /// Deletes a dead job, as `ute`.
    pub async fn discard(&mut self, id: JobId) -> Discarded {
        let (id, now) = (JobRef::Id(id), self.now());
        let was_dead = self.look(id.clone()).await.is_some_and(|found| found.phase == Phase::Dead);
        match self.call_and_tell(|store| store.discard(id.clone(), "ute".to_owned(), now)).await {
            (Discarded::NotDead(id, Phase::Ended), true) if was_dead => Discarded::Yes(id),
            (answer, _) => answer,
        }
    }

    /// Makes a dead job wait again, or a waiting one due now.
    pub async fn revive(&mut self, id: JobId) -> Revived {
        let now = self.now();
        self.call(|store| store.revive(JobRef::Id(id), now)).await
    }

    /// Takes up to `limit` questions from [`MAIL`], each open for [`GIVE_UP`].
    pub async fn ask(&mut self, limit: usize) -> Vec<Question> {
        self.ask_from(from(&[MAIL]), limit).await
    }

    /// Takes up to `limit` questions, each open for [`GIVE_UP`].
    pub async fn ask_from(&mut self, from: From, limit: usize) -> Vec<Question> {
        let now = self.now();
        self.call(|store| store.ask(from.clone(), limit, Span::from_secs(GIVE_UP), now)).await
    }

    /// Takes the one question of [`MAIL`], which must be there.
    pub async fn question(&mut self) -> Question {
        let [question] = self.ask(10).await.try_into().expect("one job whose guard is to be asked");
        question
    }

    /// Answers a question.
    pub async fn answer(&mut self, question: &Question, answer: Answer) -> Result<(), Stale> {
        self.answer_to(question.job.id, question.ask, answer).await
    }

    /// Answers a question.
    pub async fn answer_to(&mut self, id: JobId, ask: AskId, answer: Answer) -> Result<(), Stale> {
        let now = self.now();
        self.call(|store| store.answer(id, ask, answer.clone(), now)).await
    }

    /// Holds a queue, for so many seconds or for good, as `ute`.
    pub async fn pause(&mut self, name: &str, secs: Option<u32>) {
        let now = self.now();
        let until = secs.map(|secs| Moment::after(now, Span::from_secs(secs)));
        self.pause_until(name, until).await;
    }

    /// Holds a queue, as `ute`.
    pub async fn pause_until(&mut self, name: &str, until: Option<Moment>) {
        let now = self.now();
        let pause = Pause { by: "ute".to_owned(), reason: "a release".to_owned(), since: now.wall, until };
        self.call(|store| store.pause(queue(name), pause.clone(), now)).await;
    }

    /// Lets a queue go on.
    pub async fn resume(&mut self, name: &str) -> Option<Pause> {
        let now = self.now();
        self.call(|store| store.resume(queue(name), now)).await
    }
}

fn is_waiting(found: &Found) -> bool {
    matches!(found.job.state, State::Waiting { .. })
}
