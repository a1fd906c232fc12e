//! What an agent said last, and what is to be thought of it now.
//!
//! Pure: the caller brings `now`. Age is told by the monotonic clock; a report
//! that was read from the disk after a restart has none, and is never fresh.

use std::collections::VecDeque;
use std::net::IpAddr;

use job::observe::worst;
use job::{HostName, Mono, Now, Observation, Span, Subject, Timestamp, Verdict};
use wire::v1::{AgentReport, HostView, Order};

use super::FRESH_FOR;
use super::folder::Kept;

/// How often a report is written at most, unless the verdict changes.
const WRITE_EVERY: Span = Span::from_secs(5);
/// How far the clocks of a host and of the server may be apart.
const APART: Span = Span::from_secs(10);

/// What is known of a host.
#[derive(Debug, Default)]
pub(super) struct Host {
    said: Option<Said>,
    /// The agent that reported before the one that reported last.
    before: Option<(String, Mono)>,
    /// Another agent that reports as this host, and when that was noticed.
    rival: Option<(String, Mono)>,
    /// Orders that were not heard yet, with their numbers and times.
    pub(super) orders: VecDeque<(u64, Mono, Order)>,
    /// The last report that was given to be written.
    writing: Option<(Mono, Verdict)>,
    /// Since when there is a file of it.
    kept: Option<Mono>,
}

/// A host, and what is not as it should be there.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) view: HostView,
    pub(crate) findings: Vec<Observation>,
}

#[derive(Debug)]
struct Said {
    report: AgentReport,
    heard: Timestamp,
    /// Nothing if it was read from the disk.
    mono: Option<Mono>,
    address: Option<IpAddr>,
}

impl Host {
    /// What was kept of it.
    pub(super) fn kept(kept: Kept) -> Self {
        let Kept { heard, report } = kept;
        let said = Said { report, heard, mono: None, address: None };
        Self { said: Some(said), kept: Some(Mono(i64::MIN)), ..Self::default() }
    }

    /// Its agent reports.
    pub(super) fn hear(&mut self, report: AgentReport, address: Option<IpAddr>, now: Now) {
        if let Some(Said { report: last, mono: Some(mono), .. }) = &self.said
            && last.agent != report.agent
        {
            // One that comes after another is a new life; one that comes back
            // was there all the time.
            let came_back = self.before.as_ref().is_some_and(|(agent, at)| {
                *agent == report.agent && now.mono.since(*at) < FRESH_FOR && now.mono.since(*mono) < FRESH_FOR
            });
            if came_back {
                self.rival = Some((last.agent.clone(), now.mono));
            }
            self.before = Some((last.agent.clone(), *mono));
        }
        self.said = Some(Said { report, heard: now.wall, mono: Some(now.mono), address });
    }

    /// How long ago its agent was heard in this life of the server.
    pub(super) fn age(&self, now: Now) -> Option<Span> {
        Some(now.mono.since(self.said.as_ref()?.mono?))
    }

    /// Whether what its agent said still holds.
    pub(super) fn is_fresh(&self, now: Now) -> bool {
        self.age(now).is_some_and(|age| age < FRESH_FOR)
    }

    /// The workers that are to get no more jobs.
    pub(super) fn quiet(&self) -> impl Iterator<Item = &String> {
        self.said.iter().flat_map(|said| &said.report.quiet)
    }

    /// Whether this worker is to get no more jobs.
    pub(super) fn wants_quiet(&self, id: &str) -> bool {
        self.quiet().any(|quiet| quiet == id)
    }

    /// Whether its agent can ask this guard.
    pub(super) fn asks(&self, guard: &str) -> bool {
        self.said.iter().flat_map(|said| &said.report.guards).any(|name| name == guard)
    }

    /// Another agent that reports as this host.
    pub(super) fn rival(&self, now: Now) -> Option<&str> {
        let (agent, at) = self.rival.as_ref()?;
        (now.mono.since(*at) < FRESH_FOR).then_some(agent)
    }

    /// Orders that came after a number.
    pub(super) fn orders_after(&self, heard: u64) -> Vec<Order> {
        self.orders.iter().filter(|(number, ..)| *number > heard).map(|(.., order)| order.clone()).collect()
    }

    /// What is to be written, if it is time to.
    pub(super) fn writes(&mut self, now: Now) -> Option<Kept> {
        let said = self.said.as_ref()?;
        let verdict = said.report.verdict;
        let due = |(at, was): (Mono, Verdict)| was != verdict || now.mono.since(at) >= WRITE_EVERY;
        if !self.writing.is_none_or(due) {
            return None;
        }
        self.writing = Some((now.mono, verdict));
        Some(Kept { heard: said.heard, report: said.report.clone() })
    }

    /// Whether it was written, which was begun at `at`.
    pub(super) fn written(&mut self, written: bool, at: Mono) {
        if written {
            self.kept.get_or_insert(at);
        } else {
            // So that the next report tries again.
            self.writing = None;
        }
    }

    /// Whether there was a file of it before a moment.
    pub(super) fn was_kept_before(&self, moment: Mono) -> bool {
        self.kept.is_some_and(|kept| kept < moment)
    }

    /// The host, as it shows itself.
    pub(super) fn judge(&self, name: &HostName, now: Now) -> Judged {
        let mut observations = Vec::new();
        let mut own = |verdict, what: String, evidence| {
            let subject = Subject::Host(name.clone());
            observations.push(Observation { subject, at: now.wall, verdict, what, evidence });
        };
        let Some(Said { report, heard, address, .. }) = &self.said else {
            own(Verdict::Unknown, silence(name, None), Vec::new());
            let view = HostView {
                host: name.clone(),
                heard: None,
                fresh: false,
                version: None,
                verdict: Verdict::Unknown,
                observations: observations.clone(),
                workers: Vec::new(),
                tree: None,
            };
            return Judged { view, findings: observations };
        };
        let fresh = self.is_fresh(now);
        if !fresh {
            own(Verdict::Unknown, silence(name, Some(self)), Vec::new());
        }
        if let Some(rival) = self.rival(now) {
            let from = address.map(|address| format!(", from {address}")).unwrap_or_default();
            let evidence = vec![format!("the last is {}{from}; the other is {rival}", report.agent)];
            own(Verdict::Critical, format!("two agents report as {name}"), evidence);
        }
        let apart = heard.since(report.at).max(report.at.since(*heard));
        if fresh && apart > APART {
            let how = if report.at > *heard { "ahead of" } else { "behind" };
            let seconds = apart.as_micros() / 1_000_000;
            own(Verdict::Warning, format!("its clock is {seconds} s {how} the server's"), Vec::new());
        }
        let own = observations.clone();
        observations.extend(report.observations.iter().map(|seen| dated(seen, report.at, fresh)));
        observations.sort_by_key(|seen| std::cmp::Reverse(seen.verdict));
        let verdict = match fresh {
            true => worst(observations.iter().map(|seen| seen.verdict).chain([report.verdict])),
            false => Verdict::Unknown,
        };
        // What a silent agent said once is not so, and not otherwise either.
        let mut findings = if fresh { observations.clone() } else { own };
        findings.retain(|seen| seen.verdict != Verdict::Ok);
        let view = HostView {
            host: name.clone(),
            heard: Some(*heard),
            fresh,
            version: Some(report.version.clone()),
            verdict,
            observations,
            workers: report.workers.clone(),
            tree: report.tree.clone(),
        };
        Judged { view, findings }
    }
}

/// What is to be said of a host whose agent does not report.
pub(super) fn silence(name: &HostName, host: Option<&Host>) -> String {
    match host.and_then(|host| host.said.as_ref()) {
        Some(said) => format!("host {name} has not reported since {}", said.heard),
        None => format!("host {name} has not reported yet"),
    }
}

/// An observation as it counts now: what is old, or was old when it was
/// reported, is unknown.
fn dated(seen: &Observation, reported: Timestamp, fresh: bool) -> Observation {
    let old = !fresh || reported.since(seen.at) >= FRESH_FOR;
    let verdict = match (fresh, old) {
        (_, false) => seen.verdict,
        // Old bad news of an agent that reports is still bad news.
        (true, true) => seen.verdict.max(Verdict::Unknown),
        (false, true) => Verdict::Unknown,
    };
    Observation { verdict, ..seen.clone() }
}
