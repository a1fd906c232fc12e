//! Server and agent in two processes, as on hosts in earnest: each lives
//! without the other for a while, and says so.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aloud_client::v1::{JobView, PushJob, ReadyBy, WorkerState};
use job::{Happened, Outcome};
use rustix::process::Signal;
use tokio::time::Instant;

use super::site::{Site, WORK, all_on, declared};
use crate::scratch::{PATIENCE, Server, wait};

/// How soon the server must say that a host is silent.
const SILENT: Duration = Duration::from_secs(20);

/// A host whose agent has a token of its own.
struct Apart {
    // It ends before the server does.
    agent: Option<Server>,
    site: Site,
}

impl Apart {
    fn new(release: &str, worker: &str, more: &str) -> Self {
        let mut site = Site::with("");
        let declared = declared(release, &format!("ready = \"spoke\"\n{worker}"));
        site.configure(&format!("token_file = \"data/agents/web1.token\"\n{declared}\n{more}"));
        site.up = Some(site.scratch.start(&["server", "--init"]));
        site.run(&["agents", "add", "web1"]).fine();
        let mut apart = Self { agent: None, site };
        apart.start_agent();
        apart
    }

    fn start_agent(&mut self) {
        self.agent = Some(self.site.scratch.start(&["agent"]));
    }

    fn agent(&self) -> &Server {
        self.agent.as_ref().expect("it was started")
    }

    /// Waits until `aloud status` ends with this code, and says what it says.
    #[track_caller]
    fn until_status(&self, code: i32, within: Duration, says: &str) {
        let began = Instant::now();
        loop {
            let said = self.site.run(&["status"]);
            if said.code == code && said.out.contains(says) {
                return;
            }
            assert!(
                began.elapsed() < within,
                "not {code} with {says:?} within {within:?}: {}\n{}\n{}\nthe agent's log: {}",
                said.code,
                said.out,
                said.err,
                self.agent.as_ref().map_or_else(String::new, Server::log)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn release(&self, version: &str) -> PathBuf {
        self.site.root().canonicalize().unwrap().join("releases").join(version)
    }

    /// Pushes a job for the agent.
    fn order(&self, guard: Option<&str>) -> String {
        let mut job = PushJob::new("report".parse().unwrap());
        job.guard = guard.map(|name| serde_json::from_value(serde_json::json!({ "exec": name })).unwrap());
        wait(async { self.site.up().api().push(&job).await.unwrap() }).id
    }

    fn done(&self, id: &str) -> JobView {
        let began = Instant::now();
        loop {
            let job = wait(async { self.site.up().api().job(id).await.unwrap() });
            if job.outcome.is_some() {
                return job;
            }
            assert!(began.elapsed() < PATIENCE, "{job:?}\n{}\n{}", self.site.up().log(), self.agent().log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn output(job: &JobView) -> String {
    let Some(Happened::Done { output: Some(output) }) = job.attempts.last().map(|last| &last.happened) else {
        panic!("{job:?}")
    };
    output.clone()
}

fn until_there(path: &Path) -> String {
    let began = Instant::now();
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => assert!(began.elapsed() < PATIENCE, "there is no `{}`", path.display()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn workers_are_ready_and_commands_run_in_the_release_that_is_current_then() {
    let scratch = tempfile::tempdir().unwrap();
    let mark = |name: &str| scratch.path().join(name);
    let shell = |line: &str| format!("[\"sh\", \"-c\", \"{line}\"]");
    let dir = scratch.path().display();
    let apart = Apart::new(
        "keep = 1",
        "count = 2",
        &format!(
            "[[handler]]\nkind = \"report\"\nrun = {{ exec = {} }}\n[[guard]]\nname = \"wanted\"\ncommand = {}\n",
            shell(&format!(
                "pwd > {dir}/started; while [ -e {dir}/hold ]; do sleep 0.02; done; pwd; echo $ALOUD_RELEASE"
            )),
            shell(&format!("pwd >> {dir}/asked; ! [ -e {dir}/unwanted ] || exit 77")),
        ),
    );
    let site = &apart.site;
    site.deploy("1").fine();
    let report = site.until("two that spoke", PATIENCE, |report| all_on(report, "1", 2));
    assert!(report.workers.iter().all(|one| one.ready == Some(ReadyBy::Spoke)), "{report:?}");
    apart.until_status(0, PATIENCE, "host        web1: ok, heard ");

    // One runs through three deploys: its release stays until it is over.
    std::fs::write(mark("hold"), "").unwrap();
    let held = apart.order(None);
    assert_eq!(until_there(&mark("started")), apart.release("1").display().to_string());
    site.deploy("2").fine();
    site.deploy("3").fine();
    site.deploy("4").fine();
    assert_eq!(site.releases(), ["1", "3", "4"], "what is used is kept besides");
    let pruned = site.run(&["prune", "--dry-run"]);
    assert!(pruned.out.contains('1') && pruned.out.contains("(sh)"), "it is named: {}\n{}", pruned.out, pruned.err);
    std::fs::remove_file(mark("hold")).unwrap();
    let one = apart.release("1").display().to_string();
    assert_eq!(output(&apart.done(&held)), format!("{one}\n1"));
    site.run(&["prune"]).fine();
    assert_eq!(site.releases(), ["3", "4"]);

    // The next runs in the new one, and so does the question before it.
    let four = apart.release("4").display().to_string();
    let asked = apart.done(&apart.order(Some("wanted")));
    assert_eq!(output(&asked), format!("{four}\n4"));
    assert_eq!(until_there(&mark("asked")), four);
    std::fs::write(mark("unwanted"), "").unwrap();
    assert_eq!(apart.done(&apart.order(Some("wanted"))).outcome, Some(Outcome::Skipped));
}

#[test]
fn each_lives_without_the_other_for_a_while_and_the_server_says_who_is_silent() {
    let mut apart = Apart::new("", "count = 2", "");
    let slow = WORK.replacen("\"20s\"", "\"4s\"", 1).replacen(
        "        os.write(book",
        "        while os.path.exists(os.environ['BOOK'] + '.hold'): time.sleep(0.02)\n        os.write(book",
        1,
    );
    assert_ne!(slow, WORK);
    apart.site.deploy_program("1", &slow).fine();
    apart.site.until_all_on("1", 2);
    let workers = apart.site.pids();

    // The server is gone, and comes again.
    apart.site.up.take().unwrap().kill();
    let report = apart.site.report();
    assert!(report.workers.iter().all(|one| one.state == WorkerState::Ready), "{report:?}");
    apart.site.up = Some(apart.site.scratch.start(&["server"]));
    let pushed = apart.site.push(10);
    apart.site.until_done_once(&pushed);
    assert_eq!(apart.site.pids(), workers, "nobody was started anew");
    apart.until_status(0, SILENT, "host        web1: ok, heard ");

    // The agent is killed with jobs in its workers' hands.
    let hold = apart.site.scratch.path().join("book.hold");
    std::fs::write(&hold, "").unwrap();
    let mut pushed = apart.site.push(2);
    let api = apart.site.up().api();
    let began = Instant::now();
    let running = || wait(async { api.status().await.unwrap().ledger.running });
    while running() != 2 {
        assert!(began.elapsed() < PATIENCE, "they are not taken");
    }
    apart.agent.take().unwrap().kill();
    let began = Instant::now();
    let lives =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while workers.iter().any(lives) {
        assert!(began.elapsed() < Duration::from_secs(15), "the workers live on");
        std::thread::sleep(Duration::from_millis(20));
    }
    apart.until_status(2, SILENT.saturating_sub(began.elapsed()), "host        web1: unknown, heard ");
    std::fs::remove_file(&hold).unwrap();
    apart.start_agent();
    apart.site.until_all_on("1", 2);
    pushed.extend(apart.site.push(5));
    apart.site.until_done_once(&pushed);
    apart.until_status(0, SILENT, "host        web1: ok, heard ");

    // It hangs, and its workers work on.
    apart.agent().signal(Signal::STOP);
    let more = apart.site.push(5);
    apart.site.until_done_once(&more);
    apart.until_status(2, SILENT, "host        web1: unknown, heard ");
    apart.agent().signal(Signal::CONT);
    apart.until_status(0, SILENT, "host        web1: ok, heard ");
}
