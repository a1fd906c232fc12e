//! What the writer knows by heart, so that it need not ask the disk: which jobs
//! can be taken and in what order, what falls due when, who holds a key, who
//! runs, how much there is of everything.
//!
//! All of it can be made again from the rows ([`build`]), and is made again
//! after a commit that failed; what only a process knows (open questions and
//! fresh yeses) is then asked anew. A waiting job costs 16 bytes here, 16 more
//! for each name it has, and as much for each further moment it waits for.
//! Nothing here does I/O or reads a clock.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use job::{Job, KindName, Moment, Now, Pause, QueueName, Rules, Spec, State, Timestamp};

use self::due::{Alarms, Due, Next};
use self::heap::Heap;
use self::names::{Hashed, Hasher, Names};
use crate::jobs::AskId;

pub(super) mod build;
pub(super) mod due;
pub(super) mod heap;
pub(super) mod names;

/// A job's place in the line that it waits in: priority, then age.
pub(super) type Place = (u32, u64);

/// The number of a queue, which stands for its name in the rows.
pub(super) type QueueNo = u32;

pub(super) type LaneNo = u32;

/// What must be known of a waiting job to find it again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) id: u64,
    pub(super) queue: QueueNo,
    pub(super) lane: LaneNo,
    pub(super) priority: u32,
    pub(super) due: Moment,
    pub(super) ask_at: Option<Moment>,
    pub(super) expires: Option<Moment>,
    pub(super) guarded: bool,
    /// Whether it ran before.
    pub(super) again: bool,
    pub(super) key: Option<Hashed>,
}

impl Waiter {
    fn place(&self) -> Place {
        (self.priority, self.id)
    }
}

/// A queue, and how many are where.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: QueueName,
    /// Whether a job was ever pushed to it.
    pub(super) pushed: bool,
    pub(super) pause: Option<Pause>,
    pub(super) scheduled: u64,
    pub(super) retrying: u64,
    pub(super) ready: u64,
    pub(super) running: u64,
    pub(super) dead: u64,
    /// In which seconds those that are ready fell due, and how many in each.
    due_in: BTreeMap<i64, u64>,
    /// Where jobs of other people's kinds wait.
    lane: Option<LaneNo>,
}

impl Queue {
    fn new(name: QueueName) -> Self {
        Self {
            name,
            pushed: false,
            pause: None,
            scheduled: 0,
            retrying: 0,
            ready: 0,
            running: 0,
            dead: 0,
            due_in: BTreeMap::new(),
            lane: None,
        }
    }

    /// When the oldest of those that are ready fell due, cut down to the second.
    pub(super) fn oldest_due(&self) -> Option<Timestamp> {
        self.due_in.first_key_value().map(|(second, _)| Timestamp(second * 1_000_000))
    }

    pub(super) fn is_paused(&self, now: Now) -> bool {
        self.pause.as_ref().is_some_and(|pause| !pause.is_over(now))
    }

    fn waiting_for(&mut self, again: bool) -> &mut u64 {
        if again { &mut self.retrying } else { &mut self.scheduled }
    }
}

/// Where jobs of one sort wait in one queue, once they are due.
#[derive(Debug)]
struct Lane {
    queue: QueueNo,
    /// Those that have no guard.
    ready: Heap<Place>,
    /// Those whose guard said yes.
    agreed: Heap<Place>,
    /// Those whose guard is to be asked.
    unasked: Heap<Place>,
}

/// Where in which line a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) place: Place,
    lane: LaneNo,
    list: List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    Ready,
    Agreed,
    Unasked,
}

/// How it stands with a guard. Of a job whose guard is neither being asked nor
/// has said yes, nothing is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) question: Question,
    /// When that ends.
    until: Moment,
    lane: LaneNo,
    place: Place,
    /// Whether the job is among those that are due.
    due: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Open(AskId),
    Yes,
}

/// Everything that is known by heart.
#[derive(Debug)]
pub(super) struct Index {
    queues: Vec<Queue>,
    numbers: HashMap<QueueName, QueueNo>,
    /// Numbers of queues that are no more: they were held, and never pushed to.
    vacant: Vec<QueueNo>,
    paused: BTreeMap<QueueName, QueueNo>,
    lanes: Vec<Lane>,
    /// The kinds that aloud runs itself, and the lane of each in each queue.
    own: HashMap<KindName, BTreeMap<QueueNo, LaneNo>>,
    due: Due,
    ask_again: Due,
    expiries: Alarms,
    leases: Alarms,
    asked: HashMap<u64, Asked>,
    asked_until: Alarms,
    hasher: Hasher,
    /// Waiting jobs by key.
    keys: Names,
    /// Live jobs by the id that their pusher chose.
    clients: Names,
    /// The jobs that run, without what they carry.
    running: HashMap<u64, Box<Job>>,
    /// When the oldest end in each block of ids was, or earlier.
    pub(super) blocks: BTreeMap<i64, i64>,
    told: Next,
    pub(super) rung: Rung,
}

/// What is to be rung once it is committed.
#[derive(Debug, Default)]
pub(super) struct Rung {
    queues: HashSet<QueueNo>,
    /// Queues that may have no number.
    named: HashSet<QueueName>,
    timers: bool,
}

impl Index {
    pub(super) fn new(rules: &Rules, newest: Now) -> Self {
        Self {
            queues: Vec::new(),
            numbers: HashMap::new(),
            vacant: Vec::new(),
            paused: BTreeMap::new(),
            lanes: Vec::new(),
            own: rules.own_kinds.iter().map(|kind| (kind.clone(), BTreeMap::new())).collect(),
            due: Due::new(newest),
            ask_again: Due::new(newest),
            expiries: Alarms::default(),
            leases: Alarms::default(),
            asked: HashMap::new(),
            asked_until: Alarms::default(),
            hasher: Hasher::default(),
            keys: Names::default(),
            clients: Names::default(),
            running: HashMap::new(),
            blocks: BTreeMap::new(),
            told: Next::default(),
            rung: Rung::default(),
        }
    }

    // Queues.

    pub(super) fn number(&self, queue: &QueueName) -> Option<QueueNo> {
        self.numbers.get(queue).copied()
    }

    pub(super) fn queue(&self, number: QueueNo) -> Option<&Queue> {
        self.queues.get(number as usize)
    }

    pub(super) fn queue_mut(&mut self, number: QueueNo) -> &mut Queue {
        &mut self.queues[number as usize]
    }

    pub(super) fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.numbers.values().map(|number| &self.queues[*number as usize])
    }

    pub(super) fn count_queues(&self) -> usize {
        self.numbers.len()
    }

    /// Adds a queue that is not there.
    pub(super) fn add_queue(&mut self, name: QueueName) -> QueueNo {
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.queues.push(Queue::new(name.clone()));
            QueueNo::try_from(self.queues.len() - 1).expect("there are at most 10,000 queues")
        });
        self.queues[number as usize].name = name.clone();
        self.numbers.insert(name, number);
        number
    }

    /// Removes a queue that nothing was ever pushed to.
    pub(super) fn remove_queue(&mut self, number: QueueNo) {
        self.numbers.remove(&self.queues[number as usize].name);
        self.vacant.push(number);
    }

    pub(super) fn set_pause(&mut self, number: QueueNo, pause: Option<Pause>) -> Option<Pause> {
        let name = self.queues[number as usize].name.clone();
        match &pause {
            Some(pause) => {
                pause.until.iter().for_each(|until| self.tell(*until));
                self.paused.insert(name, number);
            }
            None => _ = self.paused.remove(&name),
        }
        std::mem::replace(&mut self.queues[number as usize].pause, pause)
    }

    /// The queues that are held, by name.
    pub(super) fn paused(&self) -> impl Iterator<Item = (&QueueName, QueueNo, &Pause)> {
        self.paused
            .iter()
            .filter_map(|(name, &number)| Some((name, number, self.queues[number as usize].pause.as_ref()?)))
    }

    // Lanes.

    /// The lane that a job of a kind waits in.
    pub(super) fn lane(&mut self, queue: QueueNo, kind: &str) -> LaneNo {
        let lanes = &mut self.lanes;
        let new = || {
            lanes.push(Lane { queue, ready: Heap::default(), agreed: Heap::default(), unasked: Heap::default() });
            LaneNo::try_from(lanes.len() - 1).expect("there are far fewer lanes")
        };
        match self.own.get_mut(kind) {
            Some(own) => *own.entry(queue).or_insert_with(new),
            None => *self.queues[queue as usize].lane.get_or_insert_with(new),
        }
    }

    /// The lane of a queue for jobs of other people's kinds, unless it is held.
    pub(super) fn lane_of_queue(&self, queue: &QueueName, now: Now) -> Option<LaneNo> {
        let queue = &self.queues[self.number(queue)? as usize];
        queue.lane.filter(|_| !queue.is_paused(now))
    }

    /// The lanes of a kind that aloud runs itself, leaving out queues that are
    /// held.
    pub(super) fn lanes_of_kind(&self, kind: &KindName, now: Now) -> Vec<LaneNo> {
        let lanes = self.own.get(kind).into_iter().flatten();
        lanes.filter(|(queue, _)| !self.queues[**queue as usize].is_paused(now)).map(|(_, lane)| *lane).collect()
    }

    /// The first in these lanes that could be handed out.
    pub(super) fn first_ready(&mut self, lanes: &[LaneNo]) -> Option<Spot> {
        let first = |&no: &LaneNo| {
            let lane = &mut self.lanes[no as usize];
            let ready = lane.ready.first().map(|place| Spot { place, lane: no, list: List::Ready });
            let agreed = lane.agreed.first().map(|place| Spot { place, lane: no, list: List::Agreed });
            ready.into_iter().chain(agreed).min()
        };
        lanes.iter().filter_map(first).min()
    }

    /// The first in these lanes whose guard is to be asked.
    pub(super) fn first_unasked(&mut self, lanes: &[LaneNo]) -> Option<Spot> {
        let first = |&lane: &LaneNo| {
            let place = self.lanes[lane as usize].unasked.first()?;
            Some(Spot { place, lane, list: List::Unasked })
        };
        lanes.iter().filter_map(first).min()
    }

    /// Takes a job out of its line: for as long as a verb takes, or for good if
    /// its row cannot be read.
    pub(super) fn skip(&mut self, spot: Spot) {
        self.list(spot).remove(spot.place);
    }

    /// Puts it back.
    pub(super) fn unskip(&mut self, spot: Spot) {
        self.list(spot).push(spot.place);
    }

    fn list(&mut self, spot: Spot) -> &mut Heap<Place> {
        let lane = &mut self.lanes[spot.lane as usize];
        match spot.list {
            List::Ready => &mut lane.ready,
            List::Agreed => &mut lane.agreed,
            List::Unasked => &mut lane.unasked,
        }
    }

    // Waiting jobs.

    /// What must be known of a job that waits.
    pub(super) fn waiter(&mut self, job: &Job) -> Option<Waiter> {
        let State::Waiting { due, ask_at, .. } = job.state else { return None };
        let queue = self.number(&job.spec.queue)?;
        Some(Waiter {
            id: job.id.0,
            queue,
            lane: self.lane(queue, job.spec.kind.as_str()),
            priority: job.spec.priority,
            due,
            // Always on the monotonic clock: it is so long after the guard gave no answer.
            ask_at: ask_at.filter(|at| at.mono.is_some()),
            expires: job.spec.expires,
            guarded: job.spec.guard.is_some(),
            again: job.attempt > 0,
            key: self.hash_key(&job.spec),
        })
    }

    /// A job waits.
    pub(super) fn seat(&mut self, waiter: &Waiter) {
        let &Waiter { id, queue, due, .. } = waiter;
        if let Some(key) = waiter.key {
            self.keys.insert(key, id);
        }
        if let Some(expires) = waiter.expires {
            self.expiries.set(expires, id);
            self.tell(expires);
        }
        if self.due.set(due, id) {
            self.seat_due(waiter);
        } else {
            *self.queues[queue as usize].waiting_for(waiter.again) += 1;
            self.tell(due);
        }
    }

    /// A job waits no longer, or anew.
    pub(super) fn unseat(&mut self, waiter: &Waiter) {
        let &Waiter { id, queue, due, .. } = waiter;
        if let Some(key) = waiter.key {
            self.keys.remove(key, id);
        }
        if let Some(expires) = waiter.expires {
            self.expiries.clear(expires, id);
        }
        if self.due.clear(due, id) {
            self.unseat_due(waiter);
        } else {
            *self.queues[queue as usize].waiting_for(waiter.again) -= 1;
        }
        if let Some(asked) = self.asked.remove(&id) {
            self.asked_until.clear(asked.until, id);
        }
    }

    /// The next job that falls due, or is due no longer because the wall clock
    /// was set back; [`Index::turn`] must follow.
    pub(super) fn next_turn(&mut self, now: Now) -> Option<(u64, Turn)> {
        if let Some(id) = self.due.pop_back(now) {
            return Some((id, Turn::NotDue));
        }
        if let Some(id) = self.due.pop(now) {
            return Some((id, Turn::Due));
        }
        self.ask_again.pop(now).map(|id| (id, Turn::AskAgain))
    }

    pub(super) fn turn(&mut self, waiter: &Waiter, turn: Turn) {
        let queue = &mut self.queues[waiter.queue as usize];
        match turn {
            Turn::Due => {
                *queue.waiting_for(waiter.again) -= 1;
                self.seat_due(waiter);
            }
            Turn::NotDue => {
                *queue.waiting_for(waiter.again) += 1;
                self.unseat_due(waiter);
                self.tell(waiter.due);
            }
            Turn::AskAgain => self.add_unasked(waiter.lane, waiter.place()),
        }
    }

    fn seat_due(&mut self, waiter: &Waiter) {
        let &Waiter { id, lane, .. } = waiter;
        let queue = &mut self.queues[waiter.queue as usize];
        queue.ready += 1;
        *queue.due_in.entry(second(waiter.due)).or_insert(0) += 1;
        if !waiter.guarded {
            self.lanes[lane as usize].ready.push(waiter.place());
            self.rung.queues.insert(waiter.queue);
        } else if let Some(asked) = self.asked.get_mut(&id) {
            asked.due = true;
            if asked.question == Question::Yes {
                self.lanes[lane as usize].agreed.push(waiter.place());
                self.rung.queues.insert(waiter.queue);
            }
        } else {
            match waiter.ask_at {
                Some(ask_at) if !self.ask_again.set(ask_at, id) => self.tell(ask_at),
                Some(_) | None => self.add_unasked(lane, waiter.place()),
            }
        }
    }

    fn unseat_due(&mut self, waiter: &Waiter) {
        let &Waiter { id, lane, .. } = waiter;
        let queue = &mut self.queues[waiter.queue as usize];
        queue.ready -= 1;
        let second = second(waiter.due);
        if let Some(count) = queue.due_in.get_mut(&second) {
            *count -= 1;
            if *count == 0 {
                queue.due_in.remove(&second);
            }
        }
        let lane = &mut self.lanes[lane as usize];
        if !waiter.guarded {
            lane.ready.remove(waiter.place());
        } else if let Some(asked) = self.asked.get_mut(&id) {
            asked.due = false;
            if asked.question == Question::Yes {
                lane.agreed.remove(waiter.place());
            }
        } else if waiter.ask_at.is_none_or(|ask_at| self.ask_again.clear(ask_at, id)) {
            lane.unasked.remove(waiter.place());
        }
    }

    fn add_unasked(&mut self, lane: LaneNo, place: Place) {
        let lane = &mut self.lanes[lane as usize];
        lane.unasked.push(place);
        self.rung.queues.insert(lane.queue);
    }

    // Guards.

    /// How it stands with the guard of a job.
    pub(super) fn asked(&self, id: u64, now: Now) -> Option<Question> {
        self.asked.get(&id).filter(|asked| !asked.until.reached(now)).map(|asked| asked.question)
    }

    /// The jobs whose guards are being asked.
    pub(super) fn being_asked(&self, now: Now) -> HashSet<u64> {
        let open = |asked: &Asked| matches!(asked.question, Question::Open(_)) && !asked.until.reached(now);
        self.asked.iter().filter(|(_, asked)| open(asked)).map(|(id, _)| *id).collect()
    }

    /// A question is open. The job is due, and nobody asks its guard yet.
    pub(super) fn open_question(&mut self, waiter: &Waiter, ask: AskId, until: Moment) {
        self.lanes[waiter.lane as usize].unasked.remove(waiter.place());
        let asked = Asked { question: Question::Open(ask), until, lane: waiter.lane, place: waiter.place(), due: true };
        self.asked.insert(waiter.id, asked);
        self.asked_until.set(until, waiter.id);
        self.tell(until);
    }

    /// The guard that is being asked said yes.
    pub(super) fn agree(&mut self, id: u64, until: Moment) {
        let Some(asked) = self.asked.get_mut(&id) else { return };
        self.asked_until.clear(asked.until, id);
        asked.until = until;
        asked.question = Question::Yes;
        let Asked { lane, place, due, .. } = *asked;
        self.asked_until.set(until, id);
        self.tell(until);
        if due {
            let lane = &mut self.lanes[lane as usize];
            lane.agreed.push(place);
            self.rung.queues.insert(lane.queue);
        }
    }

    /// Closes questions, and forgets yeses, whose time is over.
    pub(super) fn close_questions(&mut self, now: Now) {
        while let Some((until, id)) = self.asked_until.passed(now) {
            self.asked_until.clear(until, id);
            let Some(asked) = self.asked.remove(&id) else { continue };
            if asked.due {
                if asked.question == Question::Yes {
                    self.lanes[asked.lane as usize].agreed.remove(asked.place);
                }
                self.add_unasked(asked.lane, asked.place);
            }
        }
    }

    // Jobs that run.

    pub(super) fn start(&mut self, queue: QueueNo, job: Box<Job>) {
        if let State::Running(run) = &job.state {
            self.leases.set(run.until, job.id.0);
            let until = run.until;
            self.tell(until);
        }
        self.queues[queue as usize].running += 1;
        self.running.insert(job.id.0, job);
    }

    pub(super) fn running(&self, id: u64) -> Option<&Job> {
        self.running.get(&id).map(AsRef::as_ref)
    }

    pub(super) fn all_running(&self) -> impl Iterator<Item = &Job> {
        self.running.values().map(AsRef::as_ref)
    }

    /// A job runs no longer.
    pub(super) fn stop(&mut self, id: u64) -> Option<Box<Job>> {
        let job = self.running.remove(&id)?;
        if let State::Running(run) = &job.state {
            self.leases.clear(run.until, id);
        }
        if let Some(queue) = self.number(&job.spec.queue) {
            self.queues[queue as usize].running -= 1;
        }
        Some(job)
    }

    /// A job may run for longer.
    pub(super) fn extend(&mut self, id: u64, to: Moment) {
        let Some(job) = self.running.get_mut(&id) else { return };
        if let State::Running(run) = &mut job.state {
            self.leases.clear(run.until, id);
            run.until = to;
            self.leases.set(to, id);
        }
        self.tell(to);
    }

    // Names.

    pub(super) fn hash_key(&self, spec: &Spec) -> Option<Hashed> {
        spec.key.as_ref().map(|key| self.hash_of_key(spec.queue.as_str(), key.as_str()))
    }

    pub(super) fn hash_of_key(&self, queue: &str, key: &str) -> Hashed {
        self.hasher.hash((queue, key))
    }

    /// The waiting jobs that may hold a key.
    pub(super) fn may_hold(&self, key: Hashed) -> Vec<u64> {
        self.keys.candidates(key).collect()
    }

    /// The live jobs that may have a client id.
    pub(super) fn may_be(&self, client_id: &str) -> Vec<u64> {
        self.clients.candidates(self.hasher.hash(client_id)).collect()
    }

    pub(super) fn add_client(&mut self, client_id: &str, id: u64) {
        self.clients.insert(self.hasher.hash(client_id), id);
    }

    pub(super) fn remove_client(&mut self, client_id: &str, id: u64) {
        self.clients.remove(self.hasher.hash(client_id), id);
    }

    // Time.

    /// The next waiting job that has expired.
    pub(super) fn expired(&mut self, now: Now) -> Option<(Moment, u64)> {
        self.expiries.passed(now)
    }

    /// Takes an expiry from the list: its job cannot be read.
    pub(super) fn forget_expiry(&mut self, moment: Moment, id: u64) {
        self.expiries.clear(moment, id);
    }

    /// The next running job whose lease ran out.
    pub(super) fn lost(&mut self, now: Now) -> Option<u64> {
        self.leases.passed(now).map(|(_, id)| id)
    }

    /// When something comes next; what comes sooner from now on is rung for.
    pub(super) fn next(&mut self, now: Now) -> Next {
        let pauses = self.paused().filter_map(|(_, _, pause)| pause.until).fold(Next::default(), |next, until| {
            next.or_sooner(match until.mono {
                Some(mono) => Next { mono: Some(mono.0), wall: None },
                None => Next { mono: None, wall: Some(until.wall.0) },
            })
        });
        let alarms = [self.due.next(), self.ask_again.next(), self.expiries.next(), self.leases.next()];
        let next = alarms.into_iter().chain([self.asked_until.next()]).fold(pauses, Next::or_sooner);
        self.told = Next {
            mono: next.mono.filter(|&mono| mono > now.mono.0),
            wall: next.wall.filter(|&wall| wall > now.wall.0),
        };
        self.told
    }

    /// Notes that something comes then.
    fn tell(&mut self, moment: Moment) {
        let (told, at) = match moment.mono {
            Some(mono) => (&mut self.told.mono, mono.0),
            None => (&mut self.told.wall, moment.wall.0),
        };
        if told.is_none_or(|told| at < told) {
            *told = Some(at);
            self.rung.timers = true;
        }
    }

    /// What is to be rung for, and whether timers are.
    pub(super) fn take_rung(&mut self) -> (Vec<QueueName>, bool) {
        let numbers = self.rung.queues.drain().map(|number| self.queues[number as usize].name.clone());
        let queues = numbers.chain(self.rung.named.drain()).collect();
        (queues, std::mem::take(&mut self.rung.timers))
    }

    /// A queue is to be rung for that may have no number.
    pub(super) fn ring(&mut self, queue: QueueName) {
        self.rung.named.insert(queue);
    }

    /// Everything is to be rung for.
    pub(super) fn ring_all(&mut self) {
        self.rung.queues.extend(self.numbers.values());
        self.rung.timers = true;
    }
}

/// What happened to a waiting job because time passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It fell due.
    Due,
    /// It is due no longer: the wall clock was set back.
    NotDue,
    /// Its guard may be asked again.
    AskAgain,
}

fn second(moment: Moment) -> i64 {
    moment.wall.0.div_euclid(1_000_000)
}
