//! What takes jobs: claims, and the questions before them.

use std::sync::atomic::{AtomicU64, Ordering};

use job::guard::FRESH;
use job::{Answer, Job, JobId, Moment, Now, Run, Span, State, Step};

use super::{Writer, aside};
use crate::jobs::{AskId, Claim, Claimed, From, Leased, MAX_ANSWER_BYTES, Stale};
use crate::sqlite::index::{LaneNo, Question, Spot};
use crate::sqlite::stored::Unreadable;
use crate::sqlite::trouble::Trouble;

/// The last question that was given by this process: none is given twice, also
/// when a store is closed and opened again.
static LAST_ASK: AtomicU64 = AtomicU64::new(0);

impl Writer<'_> {
    pub(in crate::sqlite) fn claim(&mut self, claim: &Claim, now: Now) -> Result<Claimed, Trouble> {
        let lines = self.lines(&claim.from, now);
        let mut claimed = Claimed::default();
        let mut skipped = Vec::new();
        let mut bytes = 0;
        for line in &lines {
            while claimed.jobs.len() < claim.limit
                && bytes < MAX_ANSWER_BYTES
                && let Some(spot) = self.index.first_ready(line)
            {
                if let Some(job) = self.look_at(spot, &mut skipped, now)? {
                    bytes += job.spec.payload.as_bytes().len();
                    claimed.jobs.push(self.start(job, claim, now)?);
                }
            }
        }
        skipped.into_iter().for_each(|spot| self.index.unskip(spot));
        claimed.unasked = lines.iter().any(|line| self.index.first_unasked(line).is_some());
        Ok(claimed)
    }

    /// The lines that a wish is for, one after the other; in each the first of
    /// all its lanes is next.
    fn lines(&self, from: &From, now: Now) -> Vec<Vec<LaneNo>> {
        match from {
            From::Queues(queues) => {
                queues.iter().filter_map(|queue| self.index.lane_of_queue(queue, now)).map(|lane| vec![lane]).collect()
            }
            From::Kind(kind) => vec![self.index.lanes_of_kind(kind, now)],
        }
    }

    /// The job at the top of a line, if it can be taken. If it cannot, it has
    /// taken another step, or is among the skipped, or was set aside because it
    /// cannot be read.
    fn look_at(&mut self, spot: Spot, skipped: &mut Vec<Spot>, now: Now) -> Result<Option<Job>, Trouble> {
        let (_, id) = spot.place;
        let unreadable = match self.rows.waiting_whole(id, &self.index) {
            Ok(Some(job)) => {
                if !matches!(job.state, State::Waiting { due, .. } if due.reached(now)) {
                    // Due by an earlier call's clock, but not by this one's.
                    self.index.skip(spot);
                    skipped.push(spot);
                    return Ok(None);
                }
                let Some(step) = job.before_run(&self.rules, now) else { return Ok(Some(job)) };
                self.lead(job, step, now)?;
                return Ok(None);
            }
            Ok(None) => Unreadable::new("row", "it is not there"),
            Err(Trouble::Unreadable(_, why)) => why,
            Err(trouble) => return Err(trouble),
        };
        aside(JobId(id), &unreadable);
        self.index.skip(spot);
        Ok(None)
    }

    fn start(&mut self, mut job: Job, claim: &Claim, now: Now) -> Result<Leased, Trouble> {
        let Some(waiter) = self.index.waiter(&job) else { return Err(super::no_queue(&job)) };
        let lease = claim.seed.lease(job.id, job.attempt + 1);
        let until = Moment::after(now, claim.lease_for);
        let run = Run { lease, until, worker: claim.worker.clone(), started: now.wall };
        self.rows.lease(&job, &run)?;
        self.index.unseat(&waiter);
        let from = job::ledger::Slot::from(&job.state);
        job.start(run);
        self.tally.moved(from, job::ledger::Slot::from(&job.state));
        self.index.start(waiter.queue, Box::new(self.rows.without_payload(&job)));
        Ok(Leased { lease, until: until.wall, job })
    }

    pub(in crate::sqlite) fn ask(
        &mut self,
        from: &From,
        limit: usize,
        give_up: Span,
        now: Now,
    ) -> Result<Vec<crate::jobs::Question>, Trouble> {
        let mut questions = Vec::new();
        let mut skipped = Vec::new();
        for line in self.lines(from, now) {
            while questions.len() < limit
                && let Some(spot) = self.index.first_unasked(&line)
            {
                let Some(job) = self.look_at(spot, &mut skipped, now)? else { continue };
                let Some(waiter) = self.index.waiter(&job) else { return Err(super::no_queue(&job)) };
                let ask = AskId(1 + LAST_ASK.fetch_add(1, Ordering::Relaxed));
                self.index.open_question(&waiter, ask, Moment::after(now, give_up));
                questions.push(crate::jobs::Question { ask, job });
            }
        }
        skipped.into_iter().for_each(|spot| self.index.unskip(spot));
        Ok(questions)
    }

    pub(in crate::sqlite) fn answer(
        &mut self,
        id: JobId,
        ask: AskId,
        answer: Answer,
        now: Now,
    ) -> Result<Result<(), Stale>, Trouble> {
        match self.index.asked(id.0, now) {
            Some(Question::Open(open)) if open == ask => {}
            Some(Question::Open(_)) => return Ok(Err(Stale::Other)),
            Some(Question::Yes) => return Ok(Err(Stale::NotRunning)),
            None => {
                let known = self.find_by_id(id)?.is_some();
                return Ok(Err(if known { Stale::NotRunning } else { Stale::Unknown }));
            }
        }
        if answer == Answer::Yes {
            self.index.agree(id.0, Moment::after(now, FRESH));
            return Ok(Ok(()));
        }
        let Some(mut job) = self.rows.waiting(id.0, &self.index)? else { return Ok(Err(Stale::Unknown)) };
        match answer {
            Answer::Yes => {}
            Answer::No(why) => _ = self.lead(job, Step::refused(why), now)?,
            Answer::Error(error) => {
                self.rows.begin_to_last()?;
                self.leave(&job)?;
                job.guard_failed(error, now);
                self.rows.wait(&job)?;
                self.sit(&job)?;
            }
        }
        Ok(Ok(()))
    }
}
