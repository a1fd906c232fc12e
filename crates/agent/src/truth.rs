//! What is to be thought of what was seen: the release that is wanted against
//! what each process really runs.
//!
//! Pure: no clock, no system. [`judge`] is given what was [`Seen`] and answers
//! one observation for each subject. What could not be seen is unknown, and
//! never well.

use std::collections::BTreeMap;

use job::{HostName, Observation, PoolName, Span, Subject, Timestamp, Verdict};

/// How long workers may run something else than `current` while they are being
/// replaced, before that is more than a warning.
const REPLACING: Span = Span::from_secs(15 * 60);

/// Everything that was seen of a host at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which host.
    pub host: HostName,
    /// When.
    pub at: Timestamp,
    /// What `current` leads to.
    pub current: Current,
    /// What is not as it should be with the tree, in sentences: a deploy that
    /// was interrupted, another that is under way for long.
    pub tree: Vec<Remark>,
    /// The workers, by pool.
    pub pools: Vec<Pool>,
    /// Processes that nobody declared and that sit in a release.
    pub strangers: Vec<Process>,
    /// What is not as it should be with the host or the agent.
    pub remarks: Vec<Remark>,
}

/// What `current` leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Current {
    /// This release.
    Release(String),
    /// No release, and why.
    Not(String),
}

/// Something that was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// What it is, as a sentence without a full stop.
    pub what: String,
}

/// A pool of workers, whoever starts them.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// How many there should be.
    pub wanted: usize,
    /// Those that there are.
    pub processes: Vec<Process>,
    /// Why its new workers were given up and the old ones work on, if so.
    pub held: Option<String>,
    /// How long it is being replaced, if it is.
    pub replacing: Option<Span>,
    /// How its workers keep ending without having finished a job, if they do.
    pub failing: Option<Failing>,
    /// Why its processes could not be looked for, if so.
    pub blind: Option<String>,
}

/// Workers that keep ending without having finished a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// How often in a row.
    pub times: u32,
    /// How the last one ended, as a clause.
    pub last: String,
    /// The last lines that it said.
    pub lines: Vec<String>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// What it is called, for people.
    pub name: String,
    /// What it was seen to run.
    pub runs: Runs,
    /// Whether it can be relied on.
    pub state: State,
}

/// What a process was seen to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runs {
    /// The release that `current` leads to.
    Current,
    /// Another release, which is there.
    Other(String),
    /// A release that was removed: it works from what it has in memory.
    Gone(String),
    /// No release: it went elsewhere, or never was in one.
    Elsewhere,
    /// It could not be seen, and why.
    Unknown(String),
}

/// Where a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is not ready yet.
    Starting,
    /// It is ready, and something shows it.
    Ready,
    /// It has lived for a while, and nothing else shows that it works.
    Unverified,
    /// It finishes what it does, and ends.
    Draining,
}

/// One observation for each subject, the host first.
pub fn judge(seen: &Seen) -> Vec<Observation> {
    let mut all = vec![host(seen), releases(seen)];
    all.extend(seen.pools.iter().map(|pool| workers(seen, pool)));
    all
}

fn host(seen: &Seen) -> Observation {
    let subject = Subject::Host(seen.host.clone());
    let mut findings = Findings::default();
    for Remark { verdict, what } in &seen.remarks {
        findings.add(*verdict, what.clone());
    }
    findings.observe(subject, seen.at, "its processes can be seen, and the agent works".to_owned())
}

fn releases(seen: &Seen) -> Observation {
    let subject = Subject::Releases(seen.host.clone());
    let mut findings = Findings::default();
    let well = match &seen.current {
        Current::Release(id) => format!("current is release {id}"),
        Current::Not(why) => {
            findings.add(Verdict::Critical, why.clone());
            String::new()
        }
    };
    for Remark { verdict, what } in &seen.tree {
        findings.add(*verdict, what.clone());
    }
    let gone = seen.strangers.iter().filter(|stranger| matches!(stranger.runs, Runs::Gone(_)));
    let gone: Vec<_> = gone.map(described).collect();
    if !gone.is_empty() {
        findings.add(Verdict::Warning, format!("{} in a release that was removed", are(gone.len(), "other process")));
        findings.evidence.extend(gone);
    }
    findings.observe(subject, seen.at, well)
}

fn workers(seen: &Seen, pool: &Pool) -> Observation {
    let subject = Subject::Workers { host: seen.host.clone(), pool: pool.name.clone() };
    let mut findings = Findings::default();
    let current = match &seen.current {
        Current::Release(id) => format!("release {id}"),
        Current::Not(_) => "no release".to_owned(),
    };
    if let Some(why) = &pool.blind {
        findings.add(Verdict::Unknown, format!("its processes could not be looked for: {why}"));
    }
    if let Some(why) = &pool.held {
        let (first, rest) = why.split_once('\n').unwrap_or((why, ""));
        findings.add(Verdict::Critical, format!("the workers of {current} were given up: {first}"));
        findings.evidence.extend(rest.lines().map(str::to_owned));
    }
    elsewhere(&mut findings, pool, &current);
    let is_current = |process: &&Process| process.runs == Runs::Current;
    let ready = pool.processes.iter().filter(is_current).filter(|one| one.state == State::Ready).count();
    let alive = pool.processes.iter().filter(is_current).filter(|one| one.state == State::Unverified).count();
    let serve = pool.processes.iter().filter(|one| matches!(one.state, State::Ready | State::Unverified)).count();
    if let Some(Failing { times, last, lines }) = &pool.failing {
        let verdict = if ready + alive == 0 { Verdict::Critical } else { Verdict::Warning };
        findings.add(verdict, format!("workers ended {times} times without having finished a job: {last}"));
        // Those that were given up may be the ones that end.
        if !findings.evidence.ends_with(lines) {
            findings.evidence.extend(lines.iter().cloned());
        }
    }
    if serve < pool.wanted && pool.blind.is_none() {
        let starting = pool.processes.iter().any(|one| one.state == State::Starting);
        let verdict = if serve > 0 || starting { Verdict::Warning } else { Verdict::Critical };
        findings.add(verdict, format!("{serve} of {} ready", pool.wanted));
    }
    if alive > 0 {
        let only = format!("{alive} of {} are unverified: they live, and nothing shows that they work", pool.wanted);
        findings.add(Verdict::Warning, only);
    }
    findings.observe(subject, seen.at, format!("{ready} of {} run {current} and are ready", pool.wanted))
}

/// Finds the workers that do not run what `current` leads to.
fn elsewhere(findings: &mut Findings, pool: &Pool, current: &str) {
    let mut others: BTreeMap<&str, Vec<&Process>> = BTreeMap::new();
    let mut gone = Vec::new();
    let mut unseen = Vec::new();
    for process in pool.processes.iter().filter(|process| process.state != State::Draining) {
        match &process.runs {
            Runs::Current => {}
            Runs::Other(id) => others.entry(id).or_default().push(process),
            Runs::Gone(_) => gone.push(process),
            Runs::Elsewhere | Runs::Unknown(_) => unseen.push(process),
        }
    }
    if !gone.is_empty() {
        let what = format!("{} in a release that was removed", are(gone.len(), "worker"));
        findings.add(Verdict::Critical, what);
        findings.evidence.extend(gone.into_iter().map(described));
    }
    let verdict = match pool.replacing {
        Some(since) if since < REPLACING => Verdict::Warning,
        Some(_) | None => Verdict::Critical,
    };
    for (id, processes) in others {
        let by = if verdict == Verdict::Warning { ", and being replaced" } else { "" };
        findings
            .add(verdict, format!("{} in release {id}, and current is {current}{by}", are(processes.len(), "worker")));
        findings.evidence.extend(processes.into_iter().map(described));
    }
    if !unseen.is_empty() {
        findings.add(Verdict::Unknown, format!("what {} cannot be seen", run(unseen.len())));
        findings.evidence.extend(unseen.into_iter().map(described));
    }
}

/// Collects what is not as it should be about one subject.
#[derive(Default)]
struct Findings {
    found: Vec<(Verdict, String)>,
    evidence: Vec<String>,
}

impl Findings {
    fn add(&mut self, verdict: Verdict, what: String) {
        self.found.push((verdict, what));
    }

    /// The observation: the findings, worst first, or else that all is well.
    fn observe(mut self, subject: Subject, at: Timestamp, well: String) -> Observation {
        self.found.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
        let verdict = self.found.first().map_or(Verdict::Ok, |(verdict, _)| *verdict);
        let what = match self.found.is_empty() {
            true => well,
            false => self.found.into_iter().map(|(_, what)| what).collect::<Vec<_>>().join("; "),
        };
        self.evidence.truncate(Observation::MAX_EVIDENCE);
        Observation { subject, at, verdict, what, evidence: self.evidence }
    }
}

fn described(process: &Process) -> String {
    let Process { pid, name, runs, .. } = process;
    let runs = match runs {
        Runs::Current => "runs current".to_owned(),
        Runs::Other(id) => format!("runs release {id}"),
        Runs::Gone(path) => format!("runs `{path}`, which was removed"),
        Runs::Elsewhere => "is in no release".to_owned(),
        Runs::Unknown(why) => why.clone(),
    };
    format!("process {pid} ({name}) {runs}")
}

fn are(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what} is"),
        _ if what.ends_with('s') => format!("{count} {what}es are"),
        _ => format!("{count} {what}s are"),
    }
}

fn run(count: usize) -> String {
    match count {
        1 => "1 worker runs".to_owned(),
        _ => format!("{count} workers run"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, runs: Runs, state: State) -> Process {
        Process { pid, name: "php".to_owned(), runs, state }
    }

    fn pool(processes: Vec<Process>) -> Pool {
        Pool {
            name: "mail".parse().unwrap(),
            wanted: 2,
            processes,
            held: None,
            replacing: None,
            failing: None,
            blind: None,
        }
    }

    fn seen(pool: Pool) -> Seen {
        Seen {
            host: "web1".parse().unwrap(),
            at: Timestamp(0),
            current: Current::Release("66".to_owned()),
            tree: Vec::new(),
            pools: vec![pool],
            strangers: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn check(pool: Pool, verdict: Verdict, what: &str) -> Observation {
        let observed = judge(&seen(pool)).pop().unwrap();
        assert_eq!((observed.verdict, observed.what.as_str()), (verdict, what));
        observed
    }

    #[test]
    fn workers_are_well_if_all_are_ready_and_run_what_current_leads_to() {
        let good = |pid| process(pid, Runs::Current, State::Ready);
        check(pool(vec![good(1), good(2)]), Verdict::Ok, "2 of 2 run release 66 and are ready");
        check(pool(vec![good(1)]), Verdict::Warning, "1 of 2 ready");
        check(pool(vec![]), Verdict::Critical, "0 of 2 ready");
        let starting = process(1, Runs::Current, State::Starting);
        check(pool(vec![starting]), Verdict::Warning, "0 of 2 ready");
        let alive = |pid| process(pid, Runs::Current, State::Unverified);
        check(
            pool(vec![alive(1), alive(2)]),
            Verdict::Warning,
            "2 of 2 are unverified: they live, and nothing shows that they work",
        );
    }

    #[test]
    fn a_worker_on_an_old_release_is_wrong_unless_it_is_being_replaced_or_drains() {
        let old = |pid, state| process(pid, Runs::Other("65".to_owned()), state);
        let two = || vec![old(1, State::Ready), old(2, State::Ready)];
        let observed = check(pool(two()), Verdict::Critical, "2 workers are in release 65, and current is release 66");
        assert_eq!(observed.evidence, ["process 1 (php) runs release 65", "process 2 (php) runs release 65"]);
        let replacing = |since| Pool { replacing: Some(Span::from_secs(since)), ..pool(two()) };
        let being = "2 workers are in release 65, and current is release 66, and being replaced";
        check(replacing(1), Verdict::Warning, being);
        check(replacing(3_600), Verdict::Critical, "2 workers are in release 65, and current is release 66");
        let mut drained = vec![old(1, State::Draining)];
        drained.extend([3, 4].map(|pid| process(pid, Runs::Current, State::Ready)));
        check(pool(drained), Verdict::Ok, "2 of 2 run release 66 and are ready");
    }

    #[test]
    fn a_removed_release_is_wrong_and_what_cannot_be_seen_is_unknown() {
        let gone = process(7, Runs::Gone("/srv/shop/releases/65".to_owned()), State::Ready);
        let good = process(8, Runs::Current, State::Ready);
        let observed =
            check(pool(vec![gone, good.clone()]), Verdict::Critical, "1 worker is in a release that was removed");
        assert_eq!(observed.evidence, ["process 7 (php) runs `/srv/shop/releases/65`, which was removed"]);
        let unseen = process(7, Runs::Unknown("cannot be looked into: permission denied".to_owned()), State::Ready);
        check(pool(vec![unseen, good]), Verdict::Unknown, "what 1 worker runs cannot be seen");
        let blind = Pool { blind: Some("systemctl is not there".to_owned()), ..pool(vec![]) };
        check(blind, Verdict::Unknown, "its processes could not be looked for: systemctl is not there");
    }

    #[test]
    fn what_was_given_up_is_loud_though_the_old_workers_serve() {
        let old = |pid| process(pid, Runs::Other("65".to_owned()), State::Ready);
        let held = Pool { held: Some("they ended at once\nPHP Parse error".to_owned()), ..pool(vec![old(1), old(2)]) };
        let observed = check(
            held,
            Verdict::Critical,
            "the workers of release 66 were given up: they ended at once; 2 workers are in release 65, and current is \
             release 66",
        );
        assert_eq!(observed.evidence[0], "PHP Parse error");
    }

    #[test]
    fn a_crash_loop_is_told_with_its_last_lines() {
        let failing = Failing { times: 4, last: "exit status 1".to_owned(), lines: vec!["no database".to_owned()] };
        let looping = Pool { failing: Some(failing), ..pool(vec![process(1, Runs::Current, State::Starting)]) };
        let observed = check(
            looping,
            Verdict::Critical,
            "workers ended 4 times without having finished a job: exit status 1; 0 of 2 ready",
        );
        assert_eq!(observed.evidence, ["no database"]);
    }

    #[test]
    fn a_current_that_leads_nowhere_is_critical_and_strangers_in_removed_releases_are_told() {
        let seen = Seen {
            current: Current::Not("`current` leads to `releases/66`, which is not there".to_owned()),
            strangers: vec![process(9, Runs::Gone("/srv/shop/releases/60".to_owned()), State::Ready)],
            ..seen(pool(vec![]))
        };
        let releases = &judge(&seen)[1];
        assert_eq!(releases.verdict, Verdict::Critical);
        assert_eq!(
            releases.what,
            "`current` leads to `releases/66`, which is not there; 1 other process is in a release that was removed"
        );
    }
}
