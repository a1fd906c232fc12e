//! The agent's link to the server: what was seen goes up, who spoke comes down.
//!
//! The server may be away for as long as it likes: the host is looked after all
//! the same, and the link is tried again, ever more slowly up to a few seconds.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloud_client::{Api, Error};
use host::Seen;
use job::{HostName, Span};
use runner::GuardCommand;
use supervisor::{Quiet, Quieting, Scope, Supervisor, Told, Which, WorkerId};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use wire::v1::{Action, AgentAnswer, AgentReport, GuardAnswer, GuardQuestion, PeerSeen, WorkerSeen};

/// How long the server may hold its answer.
const WAIT: Span = Span::from_secs(5);
/// How soon after a report another may follow, unless something turned.
const PACE: Duration = Duration::from_millis(200);
/// The longest that the link rests after a failure.
const REST: Duration = Duration::from_secs(3);

/// What the link and others have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    quiet: Mutex<BTreeSet<String>>,
    /// What guards have answered, and the server has not heard yet.
    answers: Mutex<Vec<GuardAnswer>>,
    /// Questions that are being asked.
    asking: Mutex<BTreeSet<u64>>,
    /// Who is to be quiet has changed, or a guard has answered.
    changed: Notify,
    /// The server has heard who is to be quiet: the number of its answer.
    heard: watch::Sender<u64>,
    trouble: Mutex<Option<(String, Instant)>>,
}

impl Shared {
    /// Why the server was not reached at the last try, if it was not.
    pub(crate) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone().map(|(why, _)| why)
    }

    /// For how long the server has not been reached.
    pub(crate) fn away_for(&self) -> Span {
        let trouble = lock(&self.trouble);
        trouble.as_ref().map_or(Span::ZERO, |(_, since)| since.elapsed().into())
    }

    fn set_trouble(&self, trouble: Option<String>) {
        let mut now = lock(&self.trouble);
        match (&*now, &trouble) {
            (None, Some(why)) => {
                tracing::warn!(why, "the server is not reached; the host is looked after all the same")
            }
            (Some(_), None) => tracing::info!("the server is reached again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        let since = now.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        *now = trouble.map(|why| (why, since));
    }

    fn quiet(&self) -> Vec<String> {
        lock(&self.quiet).iter().cloned().collect()
    }

    /// What guards have answered, as much as one report takes.
    fn answers(&self) -> Vec<GuardAnswer> {
        lock(&self.answers).iter().take(AgentReport::MAX_ANSWERS).cloned().collect()
    }

    fn forget_answers(&self, told: &BTreeSet<u64>) {
        lock(&self.answers).retain(|answer| !told.contains(&answer.id));
        lock(&self.asking).retain(|id| !told.contains(id));
    }

    /// Those that live no more need not be quiet.
    fn forget(&self, living: &[wire::v1::WorkerReport]) {
        let mut quiet = lock(&self.quiet);
        quiet.retain(|id| living.iter().any(|worker| worker.id == *id));
    }
}

/// Has the server hand no more jobs to a worker before it is asked to end.
pub(crate) struct ByServer(pub(crate) Arc<Shared>);

impl Quiet for ByServer {
    fn quiet(&self, worker: &WorkerId) -> Quieting {
        let shared = self.0.clone();
        let worker = worker.to_string();
        Box::pin(async move {
            if shared.trouble().is_some() {
                return; // who is not reached hands out nothing
            }
            let mut heard = shared.heard.subscribe();
            lock(&shared.quiet).insert(worker);
            shared.changed.notify_one();
            // The answer to the report that says so, not one that was on its way.
            heard.changed().await.ok();
        })
    }
}

/// The link, with what it needs.
pub(crate) struct Link {
    pub(crate) api: Api,
    pub(crate) host: HostName,
    pub(crate) server: Option<SocketAddr>,
    pub(crate) supervisor: Supervisor,
    pub(crate) reports: watch::Receiver<Arc<AgentReport>>,
    pub(crate) shared: Arc<Shared>,
    /// Guards that the server may have asked here.
    pub(crate) guards: Arc<Vec<GuardCommand>>,
}

impl Link {
    /// Keeps the link for as long as it is polled.
    pub(crate) async fn run(mut self) {
        let mut heard = 0;
        let mut known = Known::default();
        let mut rest = Duration::from_millis(100);
        let mut done: BTreeSet<u64> = BTreeSet::new();
        loop {
            let now = self.reports.borrow_and_update().clone();
            self.shared.forget(&now.workers);
            let answers = self.shared.answers();
            let told: BTreeSet<_> = answers.iter().map(|answer| answer.id).collect();
            let guards = self.guards.iter().map(|guard| guard.name.clone()).collect();
            let quiet = self.shared.quiet();
            let report = AgentReport { heard, wait: WAIT, quiet, guards, answers, ..(*now).clone() }.bounded();
            let sent = Instant::now();
            let answer = tokio::select! {
                answer = self.api.agent(&self.host, &report) => answer,
                () = turned(&mut self.reports, &now) => continue,
                () = self.shared.changed.notified() => {
                    self.tell_now(&now, heard).await;
                    continue;
                }
            };
            match answer {
                Ok(answer) => {
                    self.shared.set_trouble(None);
                    rest = Duration::from_millis(100);
                    heard = answer.heard;
                    self.shared.forget_answers(&told);
                    self.take(answer, &mut known, &mut done).await;
                    sleep(PACE.saturating_sub(sent.elapsed())).await;
                }
                Err(error) => {
                    self.shared.set_trouble(Some(said(&error)));
                    sleep(rest).await;
                    rest = (rest * 2).min(REST);
                }
            }
        }
    }

    /// Tells at once who is to be quiet and what guards answered, and those who
    /// wait for that that it was heard.
    async fn tell_now(&self, now: &AgentReport, heard: u64) {
        let answers = self.shared.answers();
        let told: BTreeSet<_> = answers.iter().map(|answer| answer.id).collect();
        let guards = self.guards.iter().map(|guard| guard.name.clone()).collect();
        let quiet = self.shared.quiet();
        let report = AgentReport { heard, wait: Span::ZERO, quiet, guards, answers, ..now.clone() }.bounded();
        if let Ok(Ok(_)) = timeout(Duration::from_secs(2), self.api.agent(&self.host, &report)).await {
            self.shared.forget_answers(&told);
            self.shared.heard.send_modify(|count| *count += 1);
        }
    }

    async fn take(&self, answer: AgentAnswer, known: &mut Known, done: &mut BTreeSet<u64>) {
        for WorkerSeen { worker, jobs, .. } in &answer.spoke {
            let Ok(id) = worker.parse::<WorkerId>() else { continue };
            let which = Which::Id(id);
            for told in known.news(worker, *jobs, Told::Spoke) {
                self.supervisor.told(which.clone(), told).await;
            }
        }
        for PeerSeen { peer, jobs, .. } in &answer.peers {
            let Some(pid) = self.behind(peer) else { continue };
            for told in known.news(peer, *jobs, Told::Connected) {
                self.supervisor.told(Which::Pid(pid), told).await;
            }
        }
        for question in answer.questions {
            self.ask(question);
        }
        for order in answer.orders {
            if !done.insert(order.id) {
                continue;
            }
            match order.order {
                Action::Restart => {
                    let scope = order.pool.map_or(Scope::All, Scope::Pool);
                    tracing::info!(order = order.id, ?scope, "the server orders a restart");
                    if let Err(error) = self.supervisor.restart(scope).await {
                        tracing::warn!(%error, "the order could not be carried out");
                    }
                }
            }
        }
        while done.len() > 1_000 {
            done.pop_first();
        }
    }

    /// Asks a guard beside the link; its answer goes up with the next report.
    fn ask(&self, question: GuardQuestion) {
        const MOST: usize = 100;
        {
            let mut asking = lock(&self.shared.asking);
            if asking.len() >= MOST || !asking.insert(question.id) {
                return; // it comes again
            }
        }
        let (shared, guards) = (self.shared.clone(), self.guards.clone());
        tokio::spawn(async move {
            let answer = crate::distance::ask(&guards, &question).await;
            lock(&shared.answers).push(answer);
            shared.changed.notify_one();
        });
    }

    /// The process of this host at the other end of a connection of the server.
    fn behind(&self, peer: &str) -> Option<u32> {
        let (peer, server) = (peer.parse().ok()?, self.server?);
        match host::socket::owners_of(peer, server) {
            Seen::Known(owners) => owners.first().and_then(|owner| u32::try_from(owner.pid).ok()),
            Seen::Gone | Seen::Unknown(_) => None,
        }
    }
}

/// What was told of whom.
#[derive(Debug, Default)]
struct Known(HashMap<String, u64>);

impl Known {
    /// What is new about somebody: that they spoke at all, and the jobs that
    /// they have finished since.
    fn news(&mut self, who: &str, jobs: u64, first: Told) -> Vec<Told> {
        const MOST: usize = 10_000;
        if self.0.len() >= MOST && !self.0.contains_key(who) {
            self.0.clear();
        }
        let before = self.0.insert(who.to_owned(), jobs);
        let since = jobs.saturating_sub(before.unwrap_or(0));
        let mut news = Vec::new();
        if before.is_none() {
            news.push(first);
        }
        if since > 0 {
            news.push(Told::Finished { jobs: since });
        }
        news
    }
}

/// Returns when a report differs from `then` in what must be heard at once.
async fn turned(reports: &mut watch::Receiver<Arc<AgentReport>>, then: &AgentReport) {
    let summary = |report: &AgentReport| {
        let seen: Vec<_> = report.observations.iter().map(|one| (one.verdict, one.what.clone())).collect();
        let workers: Vec<_> = report.workers.iter().map(|one| (one.id.clone(), one.state, one.current)).collect();
        (report.verdict, seen, workers)
    };
    let then = summary(then);
    // An error means that the agent ends: so does this, soon.
    while reports.changed().await.is_ok() {
        if summary(&reports.borrow_and_update()) != then {
            return;
        }
    }
    std::future::pending().await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn said(error: &Error) -> String {
    error.happened()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_worker_is_told_once() {
        let mut known = Known::default();
        assert_eq!(known.news("mail.1", 0, Told::Spoke), [Told::Spoke]);
        assert_eq!(known.news("mail.1", 0, Told::Spoke), []);
        assert_eq!(known.news("mail.1", 3, Told::Spoke), [Told::Finished { jobs: 3 }]);
        assert_eq!(known.news("mail.1", 3, Told::Spoke), []);
        assert_eq!(known.news("mail.2", 2, Told::Connected), [Told::Connected, Told::Finished { jobs: 2 }]);
        assert_eq!(known.news("mail.1", 0, Told::Spoke), [], "a server that was restarted counts anew");
        assert_eq!(known.news("mail.1", 1, Told::Spoke), [Told::Finished { jobs: 1 }]);
    }
}
