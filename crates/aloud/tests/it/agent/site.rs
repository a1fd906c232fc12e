//! A host with a tree of releases, an `aloud up` over it, and what its workers
//! did.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use aloud_client::v1::{AgentReport, PushJob, WorkerState};
use job::{Subject, Verdict};
use tokio::time::Instant;

use crate::scratch::{PATIENCE, Said, Scratch, Server, wait};

/// Works off the queue, and writes down what it did.
pub(crate) const WORK: &str = include_str!("work.py");

/// A configuration whose `[release]` and `[[worker]]` say this besides the
/// usual.
pub(crate) fn declared(release: &str, worker: &str) -> String {
    let unless = |key: &str, usual: &str| if worker.contains(key) { String::new() } else { format!("{usual}\n") };
    let settle = if release.contains("settle") { "" } else { "settle = \"0s\"\n" };
    let within = unless("ready_within", "ready_within = \"20s\"");
    let command = unless("command", "command = [\"python3\", \"work.py\"]");
    format!(
        "[release]\nroot = \"srv\"\naccept_unknown = [\"*\"]\n{settle}{release}\n\n[[worker]]\nname = \"mail\"\n\
         {command}min_ready = \"0s\"\n{within}stop = {{ within = \"10s\" }}\n{worker}\n"
    )
}

/// A port that nobody listens on and no other test of this process is given: below
/// those that the system gives out by itself.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 10_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A host of a test's own.
pub(crate) struct Site {
    /// Where its server listens, also after it was started anew.
    port: u16,
    // Ends before its folder goes.
    pub(crate) up: Option<Server>,
    pub(crate) scratch: Scratch,
}

impl Site {
    /// A host whose `[release]` and `[[worker]]` say this besides the usual.
    pub(crate) fn new(release: &str, worker: &str) -> Self {
        Self::with(&declared(release, worker))
    }

    /// A host whose configuration says all this, besides its server.
    pub(crate) fn with(config: &str) -> Self {
        let scratch = Scratch::new();
        let site = Self { port: port(), scratch, up: None };
        site.configure(config);
        site
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, config: &str) {
        let book = self.book();
        let config = config.replace("[[worker]]", &format!("[[worker]]\nenv = {{ BOOK = \"{}\" }}", book.display()));
        self.scratch.write(
            "aloud.toml",
            &format!(
                "app = \"shop\"\n[server]\ndata = \"data\"\nhttp = \"127.0.0.1:{}\"\n[agent]\nhost = \"web1\"\n{config}",
                self.port
            ),
        );
    }

    /// Starts server and agent.
    pub(crate) fn start(&mut self) -> &Server {
        if !self.scratch.path().join("data").exists() {
            // The store is created as `aloud init` would.
            self.scratch.start(&["server", "--init"]).stop();
        }
        let mut server = self.scratch.start(&["up"]);
        server.token_file = self.scratch.path().join("data/token");
        self.up.insert(server)
    }

    pub(crate) fn up(&self) -> &Server {
        self.up.as_ref().expect("it was started")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.path().join("srv")
    }

    fn book(&self) -> PathBuf {
        self.scratch.path().join("book")
    }

    /// The source of a version, whose worker is this program.
    pub(crate) fn source(&self, version: &str, program: &str) -> PathBuf {
        let folder = self.scratch.path().join("source").join(version);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("VERSION"), format!("{version}\n")).unwrap();
        let work = folder.join("work.py");
        std::fs::write(&work, program).unwrap();
        std::fs::set_permissions(&work, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    /// Deploys a version whose worker works.
    pub(crate) fn deploy(&self, version: &str) -> Said {
        self.deploy_program(version, WORK)
    }

    pub(crate) fn deploy_program(&self, version: &str, program: &str) -> Said {
        let source = self.source(version, program);
        self.run(&["deploy", source.to_str().unwrap()])
    }

    /// Runs a command as a person on this host would.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.scratch.run(args)
    }

    /// The releases that are there, sorted as text.
    pub(crate) fn releases(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root().join("releases")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What `current` says, if it is there.
    pub(crate) fn current(&self) -> Option<String> {
        std::fs::read_link(self.root().join("current")).ok().map(|to| to.to_str().unwrap().to_owned())
    }

    /// How the agent sees this host.
    pub(crate) fn report(&self) -> AgentReport {
        let said = self.run(&["workers", "--json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", said.out, said.err))
    }

    /// Waits until something like this was observed.
    #[track_caller]
    pub(crate) fn until_observed(&self, what: &str, within: Duration) {
        let began = Instant::now();
        let record =
            || std::fs::read_to_string(self.root().join(".aloud/agent/observations.jsonl")).unwrap_or_default();
        while !record().contains(what) {
            assert!(
                began.elapsed() < within,
                "not observed within {within:?}: {what}: {}\n{}",
                record(),
                self.up().log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the host is so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, within: Duration, fits: impl Fn(&AgentReport) -> bool) -> AgentReport {
        let began = Instant::now();
        loop {
            let report = self.report();
            if fits(&report) {
                return report;
            }
            assert!(began.elapsed() < within, "not so within {within:?}: {what}: {report:#?}\n{}", self.up().log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until this many workers are ready, all on a release, and none else
    /// is there.
    #[track_caller]
    pub(crate) fn until_all_on(&self, release: &str, count: usize) -> AgentReport {
        self.until(&format!("{count} on {release}"), PATIENCE, |report| all_on(report, release, count))
    }

    /// Waits until `aloud status` ends with this code: the server hears of what
    /// is so on the host a moment later.
    #[track_caller]
    pub(crate) fn until_status(&self, code: i32) {
        let began = Instant::now();
        loop {
            let said = self.run(&["status"]);
            if said.code == code {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{} and not {code}: {}\n{}", said.code, said.out, said.err);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Pushes so many jobs.
    pub(crate) fn push(&self, count: usize) -> Vec<String> {
        let api = self.up().api();
        let jobs: Vec<_> = (0..count).map(|_| PushJob::new("mail.send".parse().unwrap())).collect();
        wait(async { api.push_many(&jobs).await.unwrap() }).into_iter().map(|pushed| pushed.id).collect()
    }

    /// Which version did which jobs, and when, in the order of the book.
    pub(crate) fn done(&self) -> Vec<(String, String, f64)> {
        let book = std::fs::read_to_string(self.book()).unwrap_or_default();
        let read = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            Some((words.next()?, words.next()?, words.next()?.parse().ok()?))
        };
        book.lines().filter_map(read).collect()
    }

    /// Waits until these jobs are done, and asserts that each was done once.
    #[track_caller]
    pub(crate) fn until_done_once(&self, ids: &[String]) -> BTreeMap<String, String> {
        let began = Instant::now();
        loop {
            let done = self.done();
            let by: BTreeMap<_, _> = done.iter().map(|(id, version, _)| (id.clone(), version.clone())).collect();
            if ids.iter().all(|id| by.contains_key(id)) {
                assert_eq!(done.len(), by.len(), "a job was done twice");
                return by;
            }
            assert!(began.elapsed() < PATIENCE, "{} of {} are done\n{}", by.len(), ids.len(), self.up().log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The pids of the workers that run.
    pub(crate) fn pids(&self) -> BTreeSet<u32> {
        self.report().workers.iter().filter_map(|worker| worker.pid).collect()
    }

    /// Switches `current` as other tools do: `ln -sfn`, not even atomically.
    pub(crate) fn switch_by_hand(&self, release: &str) {
        let current = self.root().join("current");
        std::fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink(Path::new("releases").join(release), &current).unwrap();
    }
}

/// Whether this many workers are ready on a release, and no other is there.
pub(crate) fn all_on(report: &AgentReport, release: &str, count: usize) -> bool {
    let good = |worker: &&aloud_client::v1::WorkerReport| {
        worker.state == WorkerState::Ready && worker.current && worker.release.as_deref() == Some(release)
    };
    report.workers.len() == count && report.workers.iter().filter(good).count() == count
}

/// What is thought of the workers.
pub(crate) fn of_workers(report: &AgentReport) -> (Verdict, String) {
    let mut all = report.observations.iter().filter(|one| matches!(one.subject, Subject::Workers { .. }));
    all.next().map(|one| (one.verdict, one.what.clone())).expect("there are workers")
}
