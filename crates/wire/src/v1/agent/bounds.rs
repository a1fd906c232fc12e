//! What is too much for a report, and what is left of one that says too much.

use job::attempt::bounded;
use job::{HostName, Observation, Span, Subject};

use super::{AgentReport, few, text};
use crate::v1::Refused;

impl AgentReport {
    /// The most observations of one report.
    pub const MAX_OBSERVATIONS: usize = 200;
    /// The longest sentence or line of evidence of an observation, in bytes.
    pub const MAX_LINE_BYTES: usize = 1_000;
    /// The most bytes of evidence of a report that [`AgentReport::bounded`]
    /// leaves, so that the whole fits into a request.
    pub const MAX_EVIDENCE_BYTES: usize = 1 << 19;
    /// The most workers of one report.
    pub const MAX_WORKERS: usize = 500;
    /// The most releases of one report.
    pub const MAX_RELEASES: usize = 100;
    /// The most guards of one report.
    pub const MAX_GUARDS: usize = 100;
    /// The most answers of one report.
    pub const MAX_ANSWERS: usize = 200;
    /// The longest wait.
    pub const MAX_WAIT: Span = Span::from_secs(60);
    /// The longest id of a worker, an agent or a release, in bytes.
    pub const MAX_ID_BYTES: usize = 100;

    /// Whether what it says lies within its bounds.
    pub fn check(&self) -> Result<(), Refused> {
        text("agent", &self.agent, Self::MAX_ID_BYTES)?;
        text("version", &self.version, Self::MAX_ID_BYTES)?;
        if self.boot.len() > Self::MAX_ID_BYTES {
            return Err(Refused::new("boot", format!("at most {} bytes", Self::MAX_ID_BYTES)));
        }
        if self.wait > Self::MAX_WAIT {
            return Err(Refused::new("wait", format!("at most {}", Self::MAX_WAIT)));
        }
        self.check_observations()?;
        self.check_workers()?;
        self.check_tree()?;
        few("guards", &self.guards, Self::MAX_GUARDS)?;
        self.guards.iter().try_for_each(|guard| text("guards", guard, job::Guard::MAX_BYTES))?;
        few("answers", &self.answers, Self::MAX_ANSWERS)
    }

    /// Whether it speaks of `host` alone: each host has an agent of its own, and
    /// queues are the server's to judge.
    pub fn speaks_of(&self, host: &HostName) -> Result<(), Refused> {
        let own = |seen: &Observation| match &seen.subject {
            Subject::Host(named) | Subject::Releases(named) | Subject::Workers { host: named, .. } => named == host,
            Subject::Queue(_) => false,
        };
        match self.observations.iter().find(|seen| !own(seen)) {
            None => Ok(()),
            Some(seen) => {
                let why = format!("the agent of {host} speaks of its own host, and not of {}", seen.subject);
                Err(Refused::new("observations", why))
            }
        }
    }

    /// The report with what is beyond the bounds cut off: of the observations
    /// the best go first, and of the evidence that of the best. Ids and texts of
    /// workers, releases and guards are left as they are.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.observations.sort_by_key(|seen| std::cmp::Reverse(seen.verdict));
        self.observations.truncate(Self::MAX_OBSERVATIONS);
        let mut room = Self::MAX_EVIDENCE_BYTES;
        for seen in &mut self.observations {
            seen.what = bounded(std::mem::take(&mut seen.what), Self::MAX_LINE_BYTES);
            seen.evidence.truncate(Observation::MAX_EVIDENCE);
            for line in &mut seen.evidence {
                *line = bounded(std::mem::take(line), Self::MAX_LINE_BYTES);
            }
            seen.evidence.retain(|line| {
                let fits = line.len() <= room;
                room -= if fits { line.len() } else { 0 };
                fits
            });
        }
        self.workers.truncate(Self::MAX_WORKERS);
        self.quiet.truncate(Self::MAX_WORKERS);
        self.guards.truncate(Self::MAX_GUARDS);
        self.answers.truncate(Self::MAX_ANSWERS);
        self.wait = self.wait.min(Self::MAX_WAIT);
        if let Some(tree) = &mut self.tree {
            tree.releases.truncate(Self::MAX_RELEASES);
        }
        self
    }

    fn check_observations(&self) -> Result<(), Refused> {
        few("observations", &self.observations, Self::MAX_OBSERVATIONS)?;
        for seen in &self.observations {
            if seen.what.is_empty() || seen.what.len() > Self::MAX_LINE_BYTES {
                let why = format!("`what` has 1 to {} bytes", Self::MAX_LINE_BYTES);
                return Err(Refused::new("observations", why));
            }
            let long = seen.evidence.iter().any(|line| line.len() > Self::MAX_LINE_BYTES);
            if seen.evidence.len() > Observation::MAX_EVIDENCE || long {
                let (lines, bytes) = (Observation::MAX_EVIDENCE, Self::MAX_LINE_BYTES);
                let why = format!("`evidence` has at most {lines} lines of at most {bytes} bytes");
                return Err(Refused::new("observations", why));
            }
        }
        Ok(())
    }

    fn check_workers(&self) -> Result<(), Refused> {
        few("workers", &self.workers, Self::MAX_WORKERS)?;
        for worker in &self.workers {
            text("workers", &worker.id, Self::MAX_ID_BYTES)?;
            worker.release.iter().try_for_each(|release| text("workers", release, Self::MAX_ID_BYTES))?;
        }
        few("quiet", &self.quiet, Self::MAX_WORKERS)?;
        self.quiet.iter().try_for_each(|id| text("quiet", id, Self::MAX_ID_BYTES))
    }

    fn check_tree(&self) -> Result<(), Refused> {
        let Some(tree) = &self.tree else { return Ok(()) };
        text("tree", &tree.root, 4_096)?;
        tree.current.iter().try_for_each(|id| text("tree", id, 255))?;
        few("tree", &tree.releases, Self::MAX_RELEASES)?;
        for release in &tree.releases {
            text("tree", &release.id, 255)?;
            release.note.iter().try_for_each(|note| text("tree", note, Self::MAX_LINE_BYTES))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use job::Verdict;

    use super::*;
    use crate::v1::agent::report::tests::REPORT;

    fn report() -> AgentReport {
        serde_json::from_str(REPORT).unwrap()
    }

    #[test]
    fn of_what_is_too_much_the_worst_is_kept() {
        let mut much = report();
        let fine = much.observations[0].clone();
        much.observations = vec![Observation { evidence: vec!["é".repeat(1_000); 50], ..fine.clone() }; 250];
        much.observations.push(Observation { verdict: Verdict::Critical, evidence: vec!["pid 7".to_owned()], ..fine });
        let kept = much.bounded();
        assert_eq!(kept.check(), Ok(()));
        assert_eq!(
            (kept.observations.len(), kept.observations[0].evidence.as_slice()),
            (200, &["pid 7".to_owned()][..])
        );
        let bytes = serde_json::to_vec(&kept).unwrap().len();
        assert!(bytes < 1 << 20, "{bytes}");
        assert_eq!(report().bounded(), report());
    }

    #[test]
    fn an_agent_speaks_of_its_own_host() {
        let of = |host: &str| report().speaks_of(&host.parse().unwrap()).map_err(|refused| refused.to_string());
        assert_eq!(of("web1"), Ok(()));
        let why = "`observations`: the agent of web2 speaks of its own host, and not of host web1";
        assert_eq!(of("web2"), Err(why.to_owned()));
    }

    #[test]
    fn a_report_beyond_its_bounds_is_refused_by_field() {
        let check = |change: fn(&mut AgentReport), expected: &str| {
            let mut report = report();
            change(&mut report);
            assert_eq!(report.check().unwrap_err().to_string(), expected);
        };
        check(
            |r| r.observations = vec![r.observations[0].clone(); 201],
            "`observations`: there are 201, and at most 200 are allowed",
        );
        check(
            |r| r.observations[0].evidence = vec![String::new(); 41],
            "`observations`: `evidence` has at most 40 lines of at most 1000 bytes",
        );
        check(|r| r.observations[0].what.clear(), "`observations`: `what` has 1 to 1000 bytes");
        check(|r| r.workers = vec![r.workers[0].clone(); 501], "`workers`: there are 501, and at most 500 are allowed");
        check(|r| r.wait = Span::from_secs(61), "`wait`: at most 1m");
        check(|r| r.agent.clear(), "`agent`: give a text of 1 to 100 bytes without control characters");
        check(
            |r| r.quiet = vec!["a\u{7}".to_owned()],
            "`quiet`: give a text of 1 to 100 bytes without control characters",
        );
        check(|r| r.guards = vec!["g".to_owned(); 101], "`guards`: there are 101, and at most 100 are allowed");
    }
}
