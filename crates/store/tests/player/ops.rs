//! What can be done to a store, drawn at random.

use job::{Again, Ending, Jitter, Moment, Now, Span};
use proptest::prelude::*;
use store::jobs::From;
use store::laws::bench::{EXPIRED_LATE, HELD_LATE, MAIL, OWN, fail, queue};
use store::laws::draft::Draft;

pub(crate) const QUEUES: [&str; 4] = [MAIL, "maps", HELD_LATE, EXPIRED_LATE];
pub(crate) const KEYS: [&str; 2] = ["a", "b"];
pub(crate) const NAMES: [&str; 4] = ["n1", "n2", "n3", "n4"];

/// One operation. Jobs and leases are chosen by number, round and round among
/// those that exist.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Push(Vec<Plan>),
    Claim { from: Place, limit: usize, secs: u32, seed: u64 },
    Finish(Vec<(usize, End)>),
    Extend { which: usize, secs: u32 },
    WrongLease { which: usize, lease: usize },
    Cancel { which: Which },
    CancelKey { queue: usize, key: usize },
    Discard { which: Which },
    Revive { which: Which },
    Ask { from: Place, limit: usize, secs: u32 },
    Answer { which: usize, answer: Said },
    Pause { queue: usize, until: Option<When> },
    Resume { queue: usize },
    Pass { secs: u32, limit: usize },
    Step { secs: i64 },
    Retain,
    Search { filter: usize, limit: usize },
    Reopen,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    queue: usize,
    own: bool,
    key: Option<usize>,
    name: Option<usize>,
    conflict: u8,
    priority: u32,
    due: Option<When>,
    expires: Option<When>,
    guarded: bool,
    tries: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    In(u32),
    At(u32),
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Queues(Vec<usize>),
    Own,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    Number(usize),
    Name(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Done,
    Skipped,
    Failed { jitter: u32 },
    Later(u32),
    Never,
    Snoozed(u32),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    Yes,
    No,
    Error,
}

fn plan() -> impl Strategy<Value = Plan> {
    let when = || prop_oneof![(0..120_u32).prop_map(When::In), (0..120_u32).prop_map(When::At)];
    let what = (0..4_usize, prop::bool::weighted(0.25), prop::bool::weighted(0.25), 1..4_u32, 0..3_u32);
    let names = (prop::option::of(0..2_usize), prop::option::weighted(0.3, 0..4_usize), 0..3_u8);
    let times = (prop::option::weighted(0.4, when()), prop::option::weighted(0.2, when()));
    (what, names, times).prop_map(|((queue, own, guarded, tries, priority), (key, name, conflict), (due, expires))| {
        Plan { queue, own, key, name, conflict, priority, due, expires, guarded, tries }
    })
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        4 => prop::collection::vec(0..4_usize, 1..4).prop_map(Place::Queues),
        1 => Just(Place::Own),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let end = prop_oneof![
        3 => Just(End::Done),
        1 => Just(End::Skipped),
        3 => any::<u32>().prop_map(|jitter| End::Failed { jitter }),
        1 => (0..90_u32).prop_map(End::Later),
        1 => Just(End::Never),
        2 => (0..30_u32).prop_map(End::Snoozed),
    ];
    let said = prop_oneof![4 => Just(Said::Yes), 1 => Just(Said::No), 2 => Just(Said::Error)];
    let until = prop_oneof![(0..60_u32).prop_map(When::In), (0..60_u32).prop_map(When::At)];
    let which = || prop_oneof![4 => any::<usize>().prop_map(Which::Number), 1 => (0..4_usize).prop_map(Which::Name)];
    prop_oneof![
        8 => prop::collection::vec(plan(), 1..4).prop_map(Op::Push),
        7 => (place(), 0..5_usize, 1..90_u32, any::<u64>())
            .prop_map(|(from, limit, secs, seed)| Op::Claim { from, limit, secs, seed }),
        6 => prop::collection::vec((any::<usize>(), end), 1..3).prop_map(Op::Finish),
        1 => (any::<usize>(), 1..90_u32).prop_map(|(which, secs)| Op::Extend { which, secs }),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(which, lease)| Op::WrongLease { which, lease }),
        1 => which().prop_map(|which| Op::Cancel { which }),
        2 => (0..2_usize, 0..2_usize).prop_map(|(queue, key)| Op::CancelKey { queue, key }),
        1 => which().prop_map(|which| Op::Discard { which }),
        2 => which().prop_map(|which| Op::Revive { which }),
        3 => (place(), 0..4_usize, 1..40_u32).prop_map(|(from, limit, secs)| Op::Ask { from, limit, secs }),
        3 => (any::<usize>(), said).prop_map(|(which, answer)| Op::Answer { which, answer }),
        1 => (0..4_usize, prop::option::of(until)).prop_map(|(queue, until)| Op::Pause { queue, until }),
        1 => (0..4_usize).prop_map(|queue| Op::Resume { queue }),
        6 => (prop_oneof![4 => 0..3_u32, 4 => 0..100_u32, 1 => 3_000..5_000_u32], 1..20_usize)
            .prop_map(|(secs, limit)| Op::Pass { secs, limit }),
        1 => (-5_000..5_000_i64).prop_map(|secs| Op::Step { secs }),
        1 => Just(Op::Retain),
        1 => (0..8_usize, 1..5_usize).prop_map(|(filter, limit)| Op::Search { filter, limit }),
        1 => Just(Op::Reopen),
    ]
}

impl Plan {
    pub(crate) fn draft(self, now: Now) -> Draft {
        let mut draft = Draft::new(if self.own { OWN } else { "send" }, now).queue(QUEUES[self.queue]);
        draft = draft.priority(self.priority).tries(self.tries);
        if let Some(key) = self.key {
            draft = draft.key(KEYS[key]);
        }
        if let Some(name) = self.name {
            draft = draft.named(NAMES[name]);
        }
        match self.conflict {
            0 => {}
            1 => draft = draft.replacing(),
            _ => draft = draft.or_rejected(),
        }
        match self.due {
            None => {}
            Some(When::In(secs)) => draft = draft.due_in(secs),
            Some(When::At(secs)) => draft = draft.due_at(secs),
        }
        match self.expires {
            None => {}
            Some(When::In(secs)) => draft = draft.expiring_in(secs),
            Some(When::At(secs)) => draft = draft.expiring_at(secs),
        }
        if self.guarded { draft.guarded() } else { draft }
    }
}

impl When {
    pub(crate) fn moment(self, now: Now) -> Moment {
        match self {
            Self::In(secs) => Moment::after(now, Span::from_secs(secs)),
            Self::At(secs) => Moment::at(now.wall + Span::from_secs(secs), now),
        }
    }
}

impl Place {
    pub(crate) fn from(&self) -> From {
        match self {
            Self::Queues(queues) => From::Queues(queues.iter().map(|n| queue(QUEUES[*n])).collect()),
            Self::Own => From::Kind(OWN.parse().unwrap()),
        }
    }
}

impl End {
    pub(crate) fn ending(self) -> (Ending, Jitter) {
        let ending = match self {
            Self::Done => Ending::Done { output: Some("250 accepted".to_owned()) },
            Self::Skipped => Ending::Skipped { why: None },
            Self::Failed { .. } => fail(Again::ByPolicy),
            Self::Later(secs) => fail(Again::NotBefore(Span::from_secs(secs))),
            Self::Never => fail(Again::Never),
            Self::Snoozed(secs) => Ending::Snoozed { after: Span::from_secs(secs), why: None },
        };
        let bits = if let Self::Failed { jitter } = self { jitter } else { 0 };
        (ending, Jitter::from_bits(bits))
    }
}
