//! What the host's page shows: what the agent says, in words.

use std::collections::BTreeMap;

use aloud_client::v1::{AgentReport, PauseView, WorkerState};
use job::{Observation, Subject, Verdict};
use minijinja::{Value, context};

use crate::demo::mailbox::colour;
use crate::demo::operator::{Act, Ended, Operator};
use crate::demo::site::version_in;

/// What there is to see.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// What the agent says, or why it says nothing.
    pub(super) report: Result<AgentReport, String>,
    /// What is done, or was done last.
    pub(super) act: Option<Act>,
    /// Who holds the queue.
    pub(super) paused: Option<PauseView>,
    /// The version of each release that is there.
    pub(super) versions: BTreeMap<String, u32>,
}

impl View {
    /// Looks.
    pub(super) async fn look(operator: &Operator) -> Self {
        let (report, paused) = tokio::join!(operator.report(), operator.paused());
        let act = operator.acts().borrow().clone();
        let tree = operator.tree();
        let names = report.as_ref().ok().and_then(|report| report.tree.as_ref());
        let names = names.into_iter().flat_map(|tree| &tree.releases).map(|release| release.id.clone());
        let versions = names.filter_map(|id| Some((version_in(&tree.release(&id))?, id)));
        let versions = versions.map(|(version, id)| (id, version)).collect();
        Self { report, act, paused, versions }
    }

    /// For somebody who listens and does not see: a sentence that changes only
    /// when there is news.
    pub(super) fn in_a_word(&self) -> String {
        let act = self.act.as_ref().map(|act| match act.ended {
            None => format!("{}: under way. ", act.what),
            Some(ended) => format!("{}: {ended}. ", act.what),
        });
        let verdict = match &self.report {
            Ok(report) => format!("The host is {}.", report.verdict),
            Err(why) => format!("How the host is is not known: {why}."),
        };
        act.unwrap_or_default() + &verdict
    }

    /// For the page.
    pub(super) fn context(&self) -> Value {
        let act = self.act.as_ref().map(|act| {
            context! {
                what => act.what.clone(),
                lines => act.lines.clone(),
                ended => act.ended.map(|ended| ended.to_string()),
                class => act.ended.map_or("unknown", |ended| if ended == Ended::Well { "ok" } else { "critical" }),
            }
        });
        let paused = self.paused.as_ref().map(|pause| {
            context! { by => pause.by.clone(), reason => pause.reason.clone(), until => pause.until.map(|at| at.to_string()) }
        });
        match &self.report {
            Err(why) => context! { verdict => "unknown", why => why.clone(), act, paused },
            Ok(report) => context! {
                verdict => report.verdict.word(),
                findings => findings(report),
                workers => self.workers(report),
                releases => self.releases(report),
                current => report.tree.as_ref().and_then(|tree| tree.current.clone()),
                act,
                paused,
            },
        }
    }

    fn workers(&self, report: &AgentReport) -> Vec<Value> {
        let living = report.workers.iter().filter(|worker| worker.state != WorkerState::Ended);
        let shown = living.map(|worker| {
            context! {
                id => worker.id.clone(),
                pid => worker.pid,
                release => worker.release.clone(),
                colour => worker.release.as_ref().and_then(|release| self.colour(release)),
                state => worker.state.word(),
                current => worker.current,
            }
        });
        shown.collect()
    }

    fn releases(&self, report: &AgentReport) -> Vec<Value> {
        let Some(tree) = &report.tree else { return Vec::new() };
        let inside = |id: &str| report.workers.iter().filter(|worker| worker.release.as_deref() == Some(id)).count();
        let shown = tree.releases.iter().map(|release| {
            context! {
                id => release.id.clone(),
                version => self.versions.get(&release.id).copied(),
                colour => self.colour(&release.id),
                current => tree.current.as_ref() == Some(&release.id),
                workers => inside(&release.id),
                note => release.note.clone(),
            }
        });
        shown.collect()
    }

    fn colour(&self, release: &str) -> Option<String> {
        self.versions.get(release).map(|version| colour(*version))
    }
}

/// What was observed, worst first.
fn findings(report: &AgentReport) -> Vec<Value> {
    let mut all: Vec<&Observation> = report.observations.iter().collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.verdict));
    let shown = all.into_iter().map(|one| {
        let about = match &one.subject {
            Subject::Host(_) => "the host".to_owned(),
            Subject::Releases(_) => "its releases".to_owned(),
            Subject::Workers { pool, .. } => format!("workers {pool}"),
            other => other.to_string(),
        };
        let evidence = if one.verdict == Verdict::Ok { Vec::new() } else { one.evidence.clone() };
        context! { verdict => one.verdict.word(), about, what => one.what.clone(), evidence }
    });
    shown.collect()
}
