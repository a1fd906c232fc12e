//! Who takes jobs: workers that say who they are, and connections that do not.
//!
//! It is about people at the counter, not about jobs: what they were handed and
//! brought back is counted here so that a host's agent can tell whether its
//! processes really work. Nothing here is kept beyond the life of the server,
//! and nobody is remembered who has been silent for [`FORGET`].

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use job::{Mono, Now, Span, Timestamp};
use wire::v1::{PeerSeen, WorkerSeen};

use crate::speaker::Speaker;

/// How long the silent are remembered.
pub(crate) const FORGET: Span = Span::from_secs(600);
/// The most workers, and the most connections, that are remembered. Of more,
/// those that have been silent for longest are forgotten.
pub(crate) const MOST: usize = 4_096;
/// The most of each that one agent is told.
const MOST_TOLD: usize = 1_000;

/// Who takes jobs.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    workers: HashMap<String, Seen>,
    peers: HashMap<SocketAddr, Seen>,
}

/// What somebody does at the counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// Asks for jobs.
    Asks,
    /// Stops waiting, with so many jobs.
    Takes(usize),
    /// Ends so many runs.
    Ends(usize),
    /// Goes on with one.
    Lives,
}

/// Whom an agent may be told of: who speaks from where it speaks itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Near(pub(crate) Option<IpAddr>);

#[derive(Debug)]
struct Seen {
    release: Option<String>,
    address: Option<SocketAddr>,
    /// A connection, while it lasts; nothing for a worker.
    connection: Option<Weak<SocketAddr>>,
    leases: u64,
    jobs: u64,
    waiting: u32,
    first: Timestamp,
    last: Timestamp,
    heard: Mono,
    /// The number of the last thing about it that an agent waits for.
    news: u64,
    /// The number of the last thing about it.
    moved: u64,
}

impl Workers {
    /// Notes what somebody does; `number` is what this becomes known by. Answers
    /// whether agents wait for it: that a worker speaks for the first time, or
    /// from another release, or ends its first run.
    pub(crate) fn note(&mut self, speaker: &Speaker, act: Act, now: Now, number: u64) -> bool {
        let seen = match speaker {
            Speaker::Agent | Speaker::Nobody => return false,
            Speaker::Worker { id, .. } => match self.workers.get_mut(id) {
                Some(seen) => seen,
                None => {
                    make_room(&mut self.workers, now);
                    self.workers.entry(id.clone()).or_insert_with(|| Seen::new(now))
                }
            },
            Speaker::Peer(connection) => match self.peers.get_mut(&**connection) {
                Some(seen) => seen,
                None => {
                    make_room(&mut self.peers, now);
                    self.peers.entry(**connection).or_insert_with(|| Seen::new(now))
                }
            },
        };
        let mut is_news = seen.moved == 0;
        match speaker {
            Speaker::Agent | Speaker::Nobody => {}
            Speaker::Worker { release, address, .. } => {
                is_news |= seen.release != *release;
                seen.release.clone_from(release);
                seen.address = *address;
            }
            Speaker::Peer(connection) => {
                seen.address = Some(**connection);
                seen.connection = Some(Arc::downgrade(connection));
            }
        }
        match act {
            Act::Asks => seen.waiting += 1,
            Act::Takes(jobs) => {
                seen.waiting = seen.waiting.saturating_sub(1);
                seen.leases += count(jobs);
            }
            Act::Ends(jobs) => {
                is_news |= seen.jobs == 0 && jobs > 0;
                seen.jobs += count(jobs);
            }
            Act::Lives => {}
        }
        (seen.last, seen.heard, seen.moved) = (now.wall, now.mono, number);
        if is_news {
            seen.news = number;
        }
        is_news
    }

    /// The number of the newest thing about those an agent is told of: what it
    /// waits for, and whatever else.
    pub(crate) fn newest(&self, named: impl Fn(&str) -> bool, near: Near) -> (u64, u64) {
        let workers = self.workers.iter().filter(|(id, seen)| named(id) || near.is(seen.address)).map(|(_, seen)| seen);
        let peers = self.peers.values().filter(|seen| seen.is_there() && near.is(seen.address));
        let newest = |(news, moved): (u64, u64), seen: &Seen| (news.max(seen.news), moved.max(seen.moved));
        workers.chain(peers).fold((0, 0), newest)
    }

    /// The workers that an agent is told of, by id.
    pub(crate) fn workers(&self, named: impl Fn(&str) -> bool, near: Near, now: Now) -> Vec<WorkerSeen> {
        let told = self.workers.iter().filter(|(id, seen)| seen.counts(now) && (named(id) || near.is(seen.address)));
        let mut told: Vec<_> = told
            .map(|(id, seen)| WorkerSeen {
                worker: id.clone(),
                release: seen.release.clone(),
                peer: seen.address.map(|address| address.to_string()),
                leases: seen.leases,
                jobs: seen.jobs,
                waiting: seen.waiting > 0,
                first: seen.first,
                last: seen.last,
            })
            .collect();
        told.sort_unstable_by_key(|seen| std::cmp::Reverse(seen.last));
        told.truncate(MOST_TOLD);
        told.sort_unstable_by(|a, b| a.worker.cmp(&b.worker));
        told
    }

    /// The connections that an agent is told of, the last heard first.
    pub(crate) fn peers(&self, near: Near, now: Now) -> Vec<PeerSeen> {
        let told = self.peers.iter().filter(|(_, seen)| seen.counts(now) && near.is(seen.address));
        let mut told: Vec<_> = told
            .map(|(address, seen)| PeerSeen {
                peer: address.to_string(),
                waiting: seen.waiting > 0,
                leases: seen.leases,
                jobs: seen.jobs,
                last: seen.last,
            })
            .collect();
        told.sort_unstable_by(|a, b| b.last.cmp(&a.last).then_with(|| a.peer.cmp(&b.peer)));
        told.truncate(MOST_TOLD);
        told
    }
}

impl Near {
    /// All of the loopback addresses are one place.
    fn is(self, other: Option<SocketAddr>) -> bool {
        let (Some(own), Some(other)) = (self.0, other) else { return false };
        let (own, other) = (own.to_canonical(), other.ip().to_canonical());
        own == other || (own.is_loopback() && other.is_loopback())
    }
}

impl Seen {
    fn new(now: Now) -> Self {
        Self {
            release: None,
            address: None,
            connection: None,
            leases: 0,
            jobs: 0,
            waiting: 0,
            first: now.wall,
            last: now.wall,
            heard: now.mono,
            news: 0,
            moved: 0,
        }
    }

    /// Whether a connection is still there; a worker always is.
    fn is_there(&self) -> bool {
        self.connection.as_ref().is_none_or(|connection| connection.strong_count() > 0)
    }

    fn counts(&self, now: Now) -> bool {
        self.is_there() && (self.waiting > 0 || now.mono.since(self.heard) < FORGET)
    }
}

/// Forgets the silent and those who left, and if that makes no room, the one who
/// has been silent for longest.
fn make_room<K: Clone + Eq + std::hash::Hash>(all: &mut HashMap<K, Seen>, now: Now) {
    if all.len() < MOST {
        return;
    }
    all.retain(|_, seen| seen.counts(now));
    if all.len() < MOST {
        return;
    }
    let silent = all.iter().min_by_key(|(_, seen)| (seen.waiting > 0, seen.heard)).map(|(key, _)| key.clone());
    if let Some(silent) = silent {
        all.remove(&silent);
    }
}

fn count(jobs: usize) -> u64 {
    u64::try_from(jobs).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use job::Clock;
    use job::time::ManualClock;

    use super::*;

    fn worker(id: &str, release: &str) -> Speaker {
        let address = Some("127.0.0.1:40122".parse().unwrap());
        Speaker::Worker { id: id.to_owned(), release: Some(release.to_owned()), address }
    }

    fn clock() -> ManualClock {
        ManualClock::at("2026-12-01T09:00:00Z".parse().unwrap())
    }

    #[test]
    fn agents_wait_for_first_words_first_jobs_and_other_releases_and_for_nothing_else() {
        let (mut workers, now) = (Workers::default(), clock().now());
        let mut number = 0;
        let mut note = |speaker: &Speaker, act| {
            number += 1;
            workers.note(speaker, act, now, number)
        };
        assert!(note(&worker("a", "66"), Act::Asks));
        assert!(!note(&worker("a", "66"), Act::Takes(1)));
        assert!(note(&worker("a", "66"), Act::Ends(1)));
        assert!(!note(&worker("a", "66"), Act::Ends(1)));
        assert!(note(&worker("a", "67"), Act::Asks));
        assert!(!note(&Speaker::Agent, Act::Asks));
        let seen = workers.workers(|_| false, Near(Some("127.0.0.2".parse().unwrap())), now);
        assert_eq!(
            (seen[0].leases, seen[0].jobs, seen[0].waiting, seen[0].release.as_deref()),
            (1, 2, true, Some("67"))
        );
        assert_eq!(workers.newest(|id| id == "a", Near(None)), (5, 5));
    }

    #[test]
    fn an_agent_is_told_of_workers_it_names_and_of_those_beside_it() {
        let (mut workers, now) = (Workers::default(), clock().now());
        workers.note(&worker("a", "66"), Act::Asks, now, 1);
        let told = |name: &str, near: Option<&str>| {
            let near = Near(near.map(|near| near.parse().unwrap()));
            workers.workers(|id| id == name, near, now).len()
        };
        assert_eq!(told("a", None), 1);
        assert_eq!(told("b", None), 0);
        assert_eq!(told("b", Some("10.0.0.1")), 0);
        assert_eq!(told("b", Some("::ffff:127.0.0.1")), 1);
    }

    #[test]
    fn a_connection_is_told_of_while_it_lasts() {
        let (mut workers, now) = (Workers::default(), clock().now());
        let near = Near(Some("127.0.0.1".parse().unwrap()));
        let connection = Arc::new("127.0.0.1:40122".parse::<SocketAddr>().unwrap());
        assert!(workers.note(&Speaker::Peer(Arc::clone(&connection)), Act::Asks, now, 1));
        assert_eq!(workers.peers(near, now)[0].peer, "127.0.0.1:40122");
        drop(connection);
        assert!(workers.peers(near, now).is_empty());
    }

    #[test]
    fn the_silent_are_forgotten_and_there_are_never_too_many() {
        let (mut workers, clock) = (Workers::default(), clock());
        let near = Near(Some("127.0.0.1".parse().unwrap()));
        workers.note(&worker("waits", "66"), Act::Asks, clock.now(), 1);
        workers.note(&worker("silent", "66"), Act::Ends(1), clock.now(), 2);
        clock.advance(FORGET);
        let told: Vec<_> = workers.workers(|_| true, near, clock.now()).into_iter().map(|seen| seen.worker).collect();
        assert_eq!(told, ["waits"], "who waits is not silent");
        for n in 0..MOST {
            workers.note(&worker(&n.to_string(), "66"), Act::Ends(1), clock.now(), 3);
        }
        assert_eq!(workers.workers.len(), MOST);
        assert!(workers.workers.contains_key("waits"));
    }
}
