//! How everything is, after something was changed: asked of the agent of this
//! host, which sees it now, and of the server, which knows the rest.

use std::time::Duration;

use agent::control::{self, Answer, Ask};
use aloud_client::Api;
use aloud_client::v1::{AgentReport, HostView, Status, sentence};
use job::observe::worst;
use job::{Observation, Verdict};
use serde::Serialize;
use tokio::time::timeout;

use crate::settings::host::Host;
use crate::status;

/// How long each may take to answer.
const WITHIN: Duration = Duration::from_secs(10);

/// What was seen.
#[derive(Debug, Serialize)]
pub(crate) struct Seen {
    verdict: Verdict,
    /// What nobody else says: who could not be asked.
    findings: Vec<String>,
    /// The server's, with what this host's agent says in the place of what the
    /// server last heard of it.
    status: Option<Status>,
    /// The agent's.
    report: Option<AgentReport>,
}

/// Looks, and never fails: what cannot be asked is what is seen then.
pub(crate) async fn look(host: &Host) -> Seen {
    let mut findings = Vec::new();
    let mut verdicts = Vec::new();
    let report = match timeout(WITHIN, control::ask(&host.dir, &Ask::Report, |_| ())).await {
        Ok(Ok(Answer::Report(report))) => Some(*report),
        Ok(Err(error)) if error.nobody_is_there() => {
            // Where nothing is declared, there is nothing to be looked after.
            if !host.workers.is_empty() || !host.watched.is_empty() {
                findings
                    .push("no agent runs on this host: nothing keeps its workers on the current release".to_owned());
                verdicts.push(Verdict::Critical);
            }
            None
        }
        Ok(Err(error)) => {
            findings.push(error.to_string());
            verdicts.push(Verdict::Unknown);
            None
        }
        Ok(Ok(_)) | Err(_) => {
            findings.push("the agent of this host does not answer".to_owned());
            verdicts.push(Verdict::Unknown);
            None
        }
    };
    let status = match ask(host).await {
        Asked::Said(status) => Some(*status),
        Asked::NotKnown => None,
        Asked::Silent(why) => {
            findings.push(format!("the server cannot be asked: {why}"));
            verdicts.push(Verdict::Critical);
            None
        }
    };
    let status = status.map(|status| with_report(status, host, report.as_ref()));
    verdicts.extend(report.as_ref().map(|report| report.verdict));
    verdicts.extend(status.as_ref().map(|status| status.verdict));
    if verdicts.is_empty() {
        verdicts.push(Verdict::Ok);
    }
    Seen { verdict: worst(verdicts), findings, status, report }
}

enum Asked {
    Said(Box<Status>),
    /// No server is configured that could be asked.
    NotKnown,
    Silent(String),
}

async fn ask(host: &Host) -> Asked {
    let target = match &host.target {
        Ok(target) if target.token_file.is_none() => return Asked::NotKnown,
        Ok(target) => target,
        Err(report) => return Asked::Silent(report.happened.clone()),
    };
    let api = match target.settings().and_then(|settings| Ok(Api::new(settings)?)) {
        Ok(api) => api,
        Err(report) => return Asked::Silent(report.happened),
    };
    match timeout(WITHIN, api.status()).await {
        Ok(Ok(status)) => Asked::Said(Box::new(status)),
        Ok(Err(error)) => Asked::Silent(error.happened()),
        Err(_) => Asked::Silent("it did not answer in time".to_owned()),
    }
}

/// Puts what the agent says now in the place of what the server heard last.
fn with_report(mut status: Status, host: &Host, report: Option<&AgentReport>) -> Status {
    let Some(report) = report else { return status };
    let view = HostView {
        host: host.name.clone(),
        heard: Some(status.judged),
        fresh: true,
        version: Some(report.version.clone()),
        verdict: report.verdict,
        observations: report.observations.clone(),
        workers: report.workers.clone(),
        tree: report.tree.clone(),
    };
    let before: Vec<_> = status.hosts.iter().filter(|other| other.host == host.name).collect();
    let told: Vec<_> = before.iter().flat_map(|view| view.observations.iter().map(sentence)).collect();
    status.findings.retain(|finding| !told.contains(finding));
    status.hosts.retain(|other| other.host != host.name);
    status.hosts.insert(0, view);
    status.verdict = of(&status);
    status
}

/// As the server judges it.
fn of(status: &Status) -> Verdict {
    let served = if status.serving && status.ledger.adds_up { Verdict::Ok } else { Verdict::Critical };
    let found = if status.findings.is_empty() { Verdict::Ok } else { Verdict::Warning };
    worst(status.hosts.iter().map(|host| host.verdict).chain([served, found]))
}

impl Seen {
    /// Whether something does not do what it is for, or cannot be seen.
    pub(crate) fn is_red(&self) -> bool {
        self.verdict > Verdict::Warning
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if self.status.is_none() {
            text.push_str(&format!("{}\n", self.verdict));
        }
        for finding in &self.findings {
            text.push_str(&format!("finding     {finding}\n"));
        }
        match (&self.status, &self.report) {
            (Some(status), _) => text.push_str(&status::page(status, crate::remote::now().wall)),
            (None, Some(report)) => text.push_str(&observations(&report.observations)),
            (None, None) => {}
        }
        text
    }
}

/// Observations, worst first, with what shows them.
pub(crate) fn observations(all: &[Observation]) -> String {
    let mut all: Vec<_> = all.iter().collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.verdict));
    let mut text = String::new();
    for Observation { subject, verdict, what, evidence, .. } in all {
        text.push_str(&format!("{:<12}{subject}: {}\n", verdict.word(), shown(what)));
        for line in evidence {
            text.push_str(&format!("            {}\n", shown(line)));
        }
    }
    text
}

/// Nothing that would move a terminal's cursor.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
