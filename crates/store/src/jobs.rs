//! The verbs: everything that can be asked of a store about jobs.

use std::sync::Arc;

use job::{
    Answer, ClientId, Ending, Jitter, Job, JobId, JobRef, Key, KindName, Lease, LeaseSeed, Ledger, Mono, NewJob, Now,
    Outcome, Pause, Phase, QueueName, Span, Timestamp,
};

use crate::bell::Bell;
use crate::reply::Reply;

/// Jobs, kept.
///
/// Each verb is one whole transition: it happens or it does not, and what it
/// needs to be true is looked at inside it. A verb that changes something is
/// answered when the change is durable, unless it says otherwise.
///
/// Verbs take effect in the order in which they are called.
///
/// # Time
///
/// Whether a job is due, expired or late, a pause over or a yes stale is
/// decided by the `now` that comes with the call. What only the passing of time
/// brings about is brought about by [`Jobs::advance`]: between two of them a
/// store may still treat what fell due, and a pause that ended, as if they had
/// not. It never does so early, whatever was done to the wall clock.
///
/// # Keys
///
/// A waiting job holds its key; a running, dead or ended one holds none.
/// Whoever meets a held key meets a job that would still be run: a holder that
/// is found expired, or late where late jobs are not run, takes that step first
/// and holds nothing any more. A job that would wait again after a failure, a
/// snooze or a rescue ends as superseded if another waits with its key.
///
/// # Kinds
///
/// [`From::Queues`] yields no job of one of the rules' own kinds, and
/// [`From::Kind`] yields nothing else: for a kind that is not one of them it is
/// empty.
pub trait Jobs: Send + Sync + 'static {
    /// Rung when something may be claimed, asked, or due.
    fn bell(&self) -> Arc<Bell>;

    /// Accepts new jobs, all in one commit, and answers one [`Pushed`] for each
    /// in their order. Later ones see what earlier ones did.
    ///
    /// For each the client id is looked at first ([`Pushed::Known`], for as
    /// long as that job is kept), then the key. A store holds at most
    /// [`MAX_QUEUES`] queues: a push whose jobs, leaving out those with a known
    /// client id, name more new ones than there is room for is
    /// [`crate::Error::Full`], and none of it happened.
    fn push(&self, jobs: Vec<NewJob>, now: Now) -> Reply<Vec<Pushed>>;

    /// Hands out due jobs: first queue first, in each by priority, then age.
    ///
    /// No more once the payloads add up to [`MAX_ANSWER_BYTES`].
    ///
    /// Never a job that is not due, of a paused queue, whose guard has not
    /// freshly said yes, or of one of the rules' own kinds unless it was asked
    /// for by [`From::Kind`]. A job found expired, or late where late jobs are
    /// not run, takes that step instead; jobs that could not be handed out
    /// anyway are not looked at.
    ///
    /// The lease is [`LeaseSeed::lease`] of the job and the number of the start.
    /// It counts until the job was rescued, even when its time is over.
    ///
    /// The lease of a job with a key or a guard is durable before this is
    /// answered; other leases are committed, but only a later commit makes them
    /// durable, so that a power cut may give such a job back.
    fn claim(&self, claim: Claim, now: Now) -> Reply<Claimed>;

    /// Extends a lease to `for_` from now.
    fn extend(&self, id: JobRef, lease: Lease, for_: Span, now: Now) -> Reply<Result<Timestamp, Stale>>;

    /// Ends runs, all in one commit, and answers one for each in their order.
    fn finish(&self, ends: Vec<Finish>, now: Now) -> Reply<Vec<Result<Settled, Stale>>>;

    /// Calls off a job that waits. `by` becomes the detail of its end.
    ///
    /// Of a key that no waiting job holds, the youngest job that runs with it is
    /// answered as [`Cancelled::Running`].
    fn cancel(&self, what: Cancel, by: String, now: Now) -> Reply<Cancelled>;

    /// Deletes a dead job, which then ends as discarded. `by` becomes the detail
    /// of its end.
    fn discard(&self, id: JobRef, by: String, now: Now) -> Reply<Discarded>;

    /// Makes a dead job wait again, or a waiting one due now, with all its
    /// attempts anew. What its guard answered, or is being asked, counts no
    /// more.
    fn revive(&self, id: JobRef, now: Now) -> Reply<Revived>;

    /// Takes due jobs whose guard must be asked, at most `limit`, in the order
    /// of [`Jobs::claim`] and with the same exceptions. Until [`Jobs::answer`],
    /// or until `give_up` has passed on the monotonic clock, none is taken
    /// twice; then the question is closed, and another may be opened. None is
    /// taken while a yes is fresh, or before its guard may be asked again.
    ///
    /// Questions and a yes are not kept over a restart: the guard is asked anew.
    /// No [`AskId`] is given twice by one process.
    fn ask(&self, from: From, limit: usize, give_up: Span, now: Now) -> Reply<Vec<Question>>;

    /// Brings an answer. Yes makes the job claimable for
    /// [`job::guard::FRESH`] on the monotonic clock; no ends it as skipped; an
    /// error puts off the next question. An answer to a question that is not
    /// open changes nothing: [`Stale::Other`] if another is, and
    /// [`Stale::NotRunning`] if none is. A question is closed by its answer, by
    /// its time, and by everything that makes the job wait no longer or anew.
    fn answer(&self, id: JobId, ask: AskId, answer: Answer, now: Now) -> Reply<Result<(), Stale>>;

    /// Lets time pass: makes due jobs claimable, rescues jobs whose lease ran
    /// out, ends waiting jobs that expired, and pauses. At most `limit` of them
    /// at once, and at least one.
    ///
    /// Leases that ran out are taken in the order of their deadlines, then of
    /// the ids. Whether work is late is not looked at here but when it is about
    /// to be run.
    fn advance(&self, limit: usize, now: Now) -> Reply<Advanced>;

    /// Removes jobs that ended longer ago than the rules keep them, at most
    /// `limit`, and answers how many; 0 when there are none left. The ledger
    /// still counts them.
    fn retain(&self, limit: usize, now: Now) -> Reply<usize>;

    /// One job, wherever it stands; `None` if there never was one, or if it
    /// ended and was removed.
    fn get(&self, id: JobRef, now: Now) -> Reply<Option<Found>>;

    /// Jobs that fit, in slices: newest first (by id) within those that are
    /// live, then the dead, then the ended.
    ///
    /// A page ends when `limit` jobs fit (at least one is looked for), when their
    /// payloads add up to [`MAX_ANSWER_BYTES`], or after
    /// so many were looked at that others would have to wait; it then says where
    /// to go on. Only a page that reached the end of all says nothing of it.
    fn search(&self, search: Search, now: Now) -> Reply<Page>;

    /// All queues that a job was ever pushed to, or that are paused, by name.
    fn queues(&self, now: Now) -> Reply<Vec<QueueState>>;

    /// The ledger, as it was counted along.
    fn ledger(&self) -> Reply<Ledger>;

    /// Counts again what the ledger says of jobs that are kept, in slices, and
    /// answers both. A difference is a defect in the store.
    fn recount(&self) -> Reply<Recount>;
}

/// The most queues that one store holds, paused ones that nothing was ever
/// pushed to included.
pub const MAX_QUEUES: usize = 10_000;

/// How many bytes of payload one answer holds before nothing is added to it:
/// 16 MiB, and so at most that and one payload.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;

/// What became of one job of a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It was accepted as new.
    New {
        /// Its id.
        id: JobId,
        /// The job that it replaced, which ended as superseded.
        replaced: Option<JobId>,
    },
    /// A waiting job holds its key and was kept.
    Kept {
        /// The job that waits.
        id: JobId,
        /// The id that its pusher chose.
        client_id: Option<ClientId>,
    },
    /// A waiting job holds its key, and the push asked to be refused then.
    Rejected {
        /// The job that waits.
        id: JobId,
        /// The id that its pusher chose.
        client_id: Option<ClientId>,
    },
    /// A job with its client id was pushed before. Nothing changed.
    Known {
        /// That job.
        id: JobId,
        /// How it ended, if it has.
        outcome: Option<Outcome>,
    },
}

/// Where jobs are taken from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum From {
    /// From these queues, the first first: jobs of every kind but the rules'
    /// own kinds.
    Queues(Vec<QueueName>),
    /// From every queue: jobs of one of the rules' own kinds.
    Kind(KindName),
}

/// A wish to run jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Where from.
    pub from: From,
    /// How many at most.
    pub limit: usize,
    /// Who asks, as that worker calls itself.
    pub worker: String,
    /// For how long.
    pub lease_for: Span,
    /// Drawn by the caller, for the leases.
    pub seed: LeaseSeed,
}

/// What was handed out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claimed {
    /// The jobs, each of them running.
    pub jobs: Vec<Leased>,
    /// Whether there are due jobs here, in any of the queues, whose guard
    /// [`Jobs::ask`] would look at now.
    pub unasked: bool,
}

/// A job that was handed out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leased {
    /// The right to finish it.
    pub lease: Lease,
    /// Until when, on the wall clock.
    pub until: Timestamp,
    /// The job, which is [`job::State::Running`].
    pub job: Job,
}

/// The end of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finish {
    /// Of which job.
    pub id: JobRef,
    /// With what right.
    pub lease: Lease,
    /// How.
    pub ending: Ending,
    /// Drawn by the caller, for the wait after a failure.
    pub jitter: Jitter,
}

/// What became of a job whose run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    /// It is over.
    Ended(Outcome),
    /// It waits until then.
    Waits(Timestamp),
    /// It is dead.
    Dead,
}

/// Why a call changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stale {
    /// There is no such job.
    Unknown,
    /// It does not run; or, to an answer, its guard is not being asked.
    NotRunning,
    /// It runs, but under another lease; or another question is open.
    Other,
}

/// What to call off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cancel {
    /// A job.
    Job(JobRef),
    /// The job that holds a key.
    Key(QueueName, Key),
}

/// What became of calling off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancelled {
    /// It was called off, and will not start.
    Yes(JobId),
    /// It runs: too late.
    Running(JobId),
    /// It is dead: nothing to call off. [`Jobs::discard`] deletes it.
    Dead(JobId),
    /// It ended before.
    Ended(JobId, Outcome),
    /// There is no such job, or none holds the key.
    Unknown,
}

/// What became of deleting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discarded {
    /// It ended as discarded.
    Yes(JobId),
    /// It is not dead.
    NotDead(JobId, Phase),
    /// There is no such job.
    Unknown,
}

/// What became of reviving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revived {
    /// It is due now.
    Yes(JobId),
    /// Another waiting job holds its key.
    KeyHeld(JobId, JobId),
    /// It runs, or has ended.
    Not(JobId, Phase),
    /// There is no such job.
    Unknown,
}

/// A question that is open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AskId(pub u64);

/// A job whose guard is to be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// Which question this is.
    pub ask: AskId,
    /// The job, which is still waiting.
    pub job: Job,
}

/// What happened when time passed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Advanced {
    /// When to come back, on the monotonic clock: later than now, and no later
    /// than the next that will happen by it.
    pub next_mono: Option<Mono>,
    /// When to come back, on the wall clock: later than now, and no later than
    /// the next that will happen by it.
    pub next_wall: Option<Timestamp>,
    /// Whether more was due than the limit allowed: come back at once, whatever
    /// the other two say.
    pub more: bool,
    /// Jobs whose worker was lost.
    pub rescued: Vec<JobId>,
    /// Queues whose pause ended by itself.
    pub resumed: Vec<(QueueName, Pause)>,
}

/// A job that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The job.
    pub job: Job,
    /// How it shows itself.
    pub phase: Phase,
}

/// What to look for. Everything that is set must fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search {
    /// In one of these phases; none means all.
    pub phases: Vec<Phase>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// In this queue.
    pub queue: Option<QueueName>,
    /// Of this kind.
    pub kind: Option<KindName>,
    /// With this key.
    pub key: Option<Key>,
    /// Where the last page ended.
    pub after: Option<Cursor>,
    /// How many at most.
    pub limit: usize,
}

/// A place in the list: the next page starts behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// 0 among the live, 1 among the dead, 2 among the ended.
    pub part: u8,
    /// The last job that was looked at.
    pub id: JobId,
}

/// Jobs that were found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Those that fit.
    pub jobs: Vec<Found>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
    /// How many jobs were looked at for this page.
    pub searched: u64,
    /// How many are kept in all.
    pub of: u64,
}

/// How a queue stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueState {
    /// Its name.
    pub name: QueueName,
    /// Jobs that are not due yet and never ran.
    pub scheduled: u64,
    /// Jobs that are due, those whose guard is being asked among them.
    pub ready: u64,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that ran before and are not due again yet.
    pub retrying: u64,
    /// Dead jobs.
    pub dead: u64,
    /// When the oldest of those that are due fell due, cut down to the second.
    pub oldest_due: Option<Timestamp>,
    /// Who holds it.
    pub pause: Option<Pause>,
}

/// The ledger, and what counting again found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recount {
    /// As it was counted along.
    pub ledger: Ledger,
    /// Jobs that wait, counted again.
    pub waiting: u64,
    /// Jobs that run, counted again.
    pub running: u64,
    /// Dead jobs, counted again.
    pub dead: u64,
    /// Ended jobs that are kept, counted again. Not more than the ledger's.
    pub ended_kept: u64,
}

impl Recount {
    /// Whether the ledger adds up, and agrees with what is there.
    pub fn agrees(&self) -> bool {
        let Self { ledger, waiting, running, dead, ended_kept } = self;
        ledger.adds_up()
            && ledger.waiting == *waiting
            && ledger.running == *running
            && ledger.dead == *dead
            && ledger.ended.iter().sum::<u64>() >= *ended_kept
    }
}
