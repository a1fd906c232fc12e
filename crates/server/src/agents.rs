//! The agents of hosts: what they said last, what they are to be told, and who
//! may speak as one.
//!
//! Both ways are told level by level, not edge by edge: an agent's report is
//! the whole of what it knows, and so is the answer. What is new is numbered; an
//! agent that brings back the number of an answer has heard everything up to
//! it, and is answered at once if there is more.
//!
//! What was said is judged by its age ([`host`]). It is kept in a small file
//! beside the host's token, so that after a restart the last word is still
//! known, dated, and not taken for fresh.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use job::{HostName, Now, Observation, Span};
use tokio::sync::watch;
use wire::v1::{AgentAnswer, AgentReport, GiveOrder, Order};

use crate::speaker::Speaker;
use crate::token::TokenError;
use crate::workers::{Act, FORGET, Near, Workers};

mod folder;
mod forwarded;
mod host;
mod questions;

pub use forwarded::Forwarded;

use folder::{Folder, Kept};
pub(crate) use host::Judged;

use host::Host;
use questions::Questions;

/// The most hosts that are known.
const MOST_HOSTS: usize = 1_000;
/// The most orders that wait for one agent.
const MOST_ORDERS: usize = 100;
/// How long an order waits to be heard.
const ORDER_LASTS: Span = Span::from_secs(60);

/// What the server knows of hosts and their agents; cheap to clone.
#[derive(Clone, Debug)]
pub struct Agents(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Tells those that wait with an agent's report that something is new.
    news: watch::Sender<u64>,
    /// Tells workers that wait for jobs that somebody is to be quiet.
    quiet: watch::Sender<()>,
    folder: Option<Folder>,
}

#[derive(Debug)]
struct State {
    /// Where counting began: anywhere, so that a number that another life of
    /// the server gave is known for what it is.
    start: u64,
    number: u64,
    workers: Workers,
    hosts: BTreeMap<HostName, Host>,
    questions: Questions,
}

/// Why an order was not given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotGiven {
    /// The agent does not report; what is to be said of it.
    Away(String),
    /// Too many wait already.
    TooMany,
}

/// There are too many hosts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyHosts;

impl Agents {
    /// The most hosts that are known.
    pub(crate) const MOST_HOSTS: usize = MOST_HOSTS;
    /// The most orders that wait for one agent.
    pub(crate) const MOST_ORDERS: usize = MOST_ORDERS;

    /// Agents that are let in with the app's token only, and of which nothing
    /// is kept.
    pub fn in_memory() -> Self {
        Self::new(None, BTreeMap::new())
    }

    /// Agents whose tokens (`HOST.token`) lie in `folder`, and what they said
    /// last (`HOST.json`). A folder that is not there is made when it is needed.
    pub fn kept_in(folder: PathBuf) -> Self {
        let folder = Folder::new(folder);
        let hosts = folder.read_reports().into_iter().map(|(host, kept)| (host, Host::kept(kept))).collect();
        Self::new(Some(folder), hosts)
    }

    fn new(folder: Option<Folder>, hosts: BTreeMap<HostName, Host>) -> Self {
        // Below 2^53, so that every language can hold it; without randomness a
        // number of another life may be taken for one of this.
        let start = getrandom::u64().map_or(1, |random| (random >> 13) | 1);
        let (workers, questions) = (Workers::default(), Questions::default());
        let state = Mutex::new(State { start, number: start, workers, hosts, questions });
        Self(Arc::new(Inner { state, news: watch::Sender::new(start), quiet: watch::Sender::new(()), folder }))
    }

    /// The host whose token this is.
    pub(crate) fn host_of(&self, token: &[u8], now: Now) -> Option<HostName> {
        let folder = self.0.folder.as_ref()?;
        self.look_into(folder, now);
        folder.host_of(token)
    }

    /// Somebody takes jobs, or brings them back.
    pub(crate) fn note(&self, speaker: &Speaker, act: Act, now: Now) {
        let mut state = self.state();
        let number = state.number + 1;
        let is_news = state.workers.note(speaker, act, now, number);
        state.number = number;
        drop(state);
        if is_news {
            self.0.news.send_replace(number);
        }
    }

    /// Whether somebody is to get no more jobs.
    pub(crate) fn is_quiet(&self, speaker: &Speaker, now: Now) -> bool {
        let Speaker::Worker { id, .. } = speaker else { return false };
        // An agent that is silent for so long does not decide anything any more.
        self.state().hosts.values().any(|host| host.wants_quiet(id) && host.age(now).is_some_and(|age| age < FORGET))
    }

    /// Returns when somebody is to get no more jobs.
    pub(crate) async fn quieted(&self, speaker: &Speaker, now: impl Fn() -> Now) {
        let mut changes = self.0.quiet.subscribe();
        while !self.is_quiet(speaker, now()) {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// An agent reports, from `address`.
    pub(crate) fn report(
        &self,
        name: &HostName,
        report: &AgentReport,
        address: Option<IpAddr>,
        now: Now,
    ) -> Result<(), TooManyHosts> {
        let mut state = self.state();
        if !state.hosts.contains_key(name) && state.hosts.len() >= MOST_HOSTS {
            return Err(TooManyHosts);
        }
        let heard = state.heard(report.heard);
        let host = state.hosts.entry(name.clone()).or_default();
        let was_quiet: HashSet<String> = host.quiet().cloned().collect();
        host.hear(report.clone(), address, now);
        host.orders.retain(|(number, at, _)| *number > heard && now.mono.since(*at) < ORDER_LASTS);
        let is_quieter = host.quiet().any(|id| !was_quiet.contains(id));
        let write = host.writes(now);
        state.questions.answer(name, &report.answers);
        drop(state);
        if is_quieter {
            self.0.quiet.send_replace(());
        }
        if let (Some(folder), Some(kept)) = (&self.0.folder, write) {
            self.keep(folder.clone(), name.clone(), kept, now);
        }
        Ok(())
    }

    /// What an agent is answered now; nothing if there is nothing new for it.
    pub(crate) fn answer(&self, asking: &Asking, now: Now, when: When) -> Option<AgentAnswer> {
        let Asking { host: name, heard, named, near } = asking;
        let state = self.state();
        let (heard, near, named) = (state.heard(*heard), *near, |id: &str| named.contains(id));
        let host = state.hosts.get(name);
        let orders = host.map(|host| host.orders_after(heard)).unwrap_or_default();
        let (questions, upto) = state.questions.after(name, heard);
        let (news, moved) = state.workers.newest(named, near);
        let is_new = match when {
            When::Anyway => true,
            When::Ripe => news.max(moved) > heard,
            When::New => news > heard,
        };
        if !is_new && orders.is_empty() && questions.is_empty() && heard != state.start - 1 {
            return None;
        }
        Some(AgentAnswer {
            heard: upto.unwrap_or(state.number),
            spoke: state.workers.workers(named, near, now),
            peers: state.workers.peers(near, now),
            orders,
            questions,
            rival: host.and_then(|host| host.rival(now)).map(str::to_owned),
        })
    }

    /// Tells when there may be something new for an agent.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.0.news.subscribe()
    }

    /// Has an agent do something.
    pub(crate) fn order(&self, name: &HostName, order: &GiveOrder, now: Now) -> Result<u64, NotGiven> {
        let mut state = self.state();
        let number = state.number + 1;
        let Some(host) = state.hosts.get_mut(name).filter(|host| host.is_fresh(now)) else {
            return Err(NotGiven::Away(host::silence(name, state.hosts.get(name))));
        };
        host.orders.retain(|(_, at, _)| now.mono.since(*at) < ORDER_LASTS);
        if host.orders.len() >= MOST_ORDERS {
            return Err(NotGiven::TooMany);
        }
        let GiveOrder { order, pool } = order.clone();
        host.orders.push_back((number, now.mono, Order { id: number, order, pool }));
        state.number = number;
        drop(state);
        self.0.news.send_replace(number);
        Ok(number)
    }

    /// Every host that is registered or ever reported, by name.
    pub(crate) fn hosts(&self, now: Now) -> Vec<Judged> {
        let mut registered = HashSet::new();
        if let Some(folder) = &self.0.folder {
            self.look_into(folder, now);
            registered = folder.registered();
        }
        let state = self.state();
        let mut judged: BTreeMap<_, _> = state.hosts.iter().map(|(name, host)| (name, host.judge(name, now))).collect();
        let silent = Host::default();
        for name in &registered {
            judged.entry(name).or_insert_with(|| silent.judge(name, now));
        }
        judged.into_values().collect()
    }

    /// What is wrong with the folder, in sentences.
    pub(crate) fn troubles(&self) -> Vec<String> {
        self.0.folder.as_ref().map(Folder::troubles).unwrap_or_default()
    }

    /// Looks for tokens that came or went, and forgets hosts that were removed.
    fn look_into(&self, folder: &Folder, now: Now) {
        let Some(names) = folder.look(now.mono) else { return };
        self.state().hosts.retain(|name, host| !host.was_kept_before(now.mono) || names.contains(name));
    }

    fn keep(&self, folder: Folder, name: HostName, kept: Kept, now: Now) {
        let agents = self.clone();
        // It outlives the request, whose agent may have hung up.
        tokio::task::spawn_blocking(move || {
            let written = folder.write_report(&name, &kept);
            if let Some(host) = agents.state().hosts.get_mut(&name) {
                host.written(written, now.mono);
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose report waits for its answer, and whom it is to be told of.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Which host.
    pub(crate) host: HostName,
    /// [`AgentReport::heard`].
    pub(crate) heard: u64,
    /// The workers that it names.
    pub(crate) named: HashSet<String>,
    /// Where it speaks from.
    pub(crate) near: Near,
}

/// How much must be new for an agent to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum When {
    /// Something that it waits for.
    New,
    /// Anything.
    Ripe,
    /// Nothing.
    Anyway,
}

/// For the command line: hosts are added and removed in the folder, and a
/// server that runs sees it.
impl Agents {
    /// Writes a new token for `host`, and answers where.
    pub fn add(folder: &Path, host: &HostName) -> Result<PathBuf, TokenError> {
        folder::add(folder, host)
    }

    /// Removes the token of `host` and what it said last, and answers whether
    /// there was anything of it.
    pub fn remove(folder: &Path, host: &HostName) -> Result<bool, TokenError> {
        folder::remove(folder, host)
    }
}

impl State {
    /// What an agent has heard of what this life of the server told: nothing, if
    /// the number is of another.
    fn heard(&self, number: u64) -> u64 {
        if (self.start..=self.number).contains(&number) { number } else { self.start - 1 }
    }
}

/// How old an agent's last word may be.
const FRESH_FOR: Span = Observation::FRESH_FOR;
