//! An agent that becomes its newer self: the same process with the same
//! workers, and nothing that they say is lost.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use aloud_client::v1::AgentReport;
use job::{Subject, Verdict};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::site::{Site, all_on};
use crate::scratch::{PATIENCE, Scratch, Server};

/// Counts aloud, a hundred times a second.
const COUNTS: &str = r#"
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
number = 0
while True:
    print("number", number, flush=True)
    number += 1
    time.sleep(0.01)
"#;

/// How long an agent may take to notice that there is another, and to become
/// it.
const RENEWED: Duration = Duration::from_secs(20);

/// A host whose aloud lies where a newer one can be put over it.
struct Installed {
    /// The server, where it is another process than the agent. It ends before
    /// its folder goes.
    server: Option<Server>,
    site: Site,
}

impl Installed {
    /// Runs `aloud up` or `aloud agent` from there.
    fn new(command: &str) -> Self {
        Self::with(command, "")
    }

    fn with(command: &str, more: &str) -> Self {
        let site = Site::new("", &format!("count = 1\nready = \"notify\"\n{more}"));
        let server = site.scratch.start(&["server", "--init"]);
        let server = if command == "agent" {
            Some(server)
        } else {
            server.stop();
            None
        };
        let mut installed = Self { server, site };
        std::fs::create_dir(installed.program().parent().unwrap()).unwrap();
        installed.install();
        let started = Server::start(&installed.site.scratch, as_installed(&installed.site.scratch, command));
        installed.site.up = Some(started.unwrap_or_else(|said| panic!("it did not start: {}", said.err)));
        installed.site.deploy_program("1", COUNTS).fine();
        installed.site.until_all_on("1", 1);
        installed
    }

    fn program(&self) -> PathBuf {
        program(&self.site.scratch)
    }

    /// Installs a file as packages do: beside, and then over the old one.
    fn install(&self) -> u64 {
        self.put(|to| {
            std::fs::copy(env!("CARGO_BIN_EXE_aloud"), to).unwrap();
        })
    }

    fn put(&self, write: impl FnOnce(&Path)) -> u64 {
        let new = self.program().with_extension("new");
        write(&new);
        std::fs::rename(&new, self.program()).unwrap();
        std::fs::metadata(self.program()).unwrap().ino()
    }

    fn agent(&self) -> Pid {
        self.site.up().pid()
    }

    /// The file that the agent runs.
    fn runs(&self) -> u64 {
        std::fs::metadata(format!("/proc/{}/exe", self.agent().as_raw_nonzero())).unwrap().ino()
    }

    /// Waits until the agent runs this file, and asks all the while.
    fn until_it_runs(&self, file: u64) -> AgentReport {
        let began = Instant::now();
        while self.runs() != file {
            self.answers();
            assert!(began.elapsed() < RENEWED, "it did not become the new one: {}", self.site.up().log());
        }
        // It has begun, and gets ready.
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            self.answers();
        }
        self.site.until_all_on("1", 1)
    }

    fn answers(&self) {
        let said = self.site.run(&["workers"]);
        assert!(
            said.code != 78 && !said.err.contains("no agent"),
            "{}\n{}\n{}",
            said.code,
            said.err,
            self.site.up().log()
        );
        assert!(said.out.contains("mail.1."), "{}\n{}", said.out, said.err);
    }

    /// What the worker has counted: asserts that no number is missing, doubled or
    /// out of its order.
    fn counted(&self) -> usize {
        let log = std::fs::read_to_string(self.site.root().join(".aloud/agent/logs/mail.log")).unwrap();
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let numbers = whole.lines().map(|line| line.rsplit_once("number ").unwrap().1.parse::<usize>().unwrap());
        numbers.enumerate().inspect(|(place, number)| assert_eq!(place, number, "{}", self.site.up().log())).count()
    }
}

fn program(scratch: &Scratch) -> PathBuf {
    scratch.path().join("bin/aloud")
}

/// A command as [`Scratch::aloud`] would run it, with the program that is
/// installed in the folder.
fn as_installed(scratch: &Scratch, what: &str) -> Command {
    let like = scratch.aloud(&[what]);
    let mut command = Command::new(program(scratch));
    command.arg(what).current_dir(scratch.path()).stdin(Stdio::null());
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn of_host(report: &AgentReport) -> (Verdict, String) {
    let host = report.observations.iter().find(|one| matches!(one.subject, Subject::Host(_))).expect("it is judged");
    (host.verdict, host.what.clone())
}

fn becomes_the_newer_one(command: &str) {
    let installed = Installed::new(command);
    let (agent, workers) = (installed.agent(), installed.site.pids());
    for _ in 0..2 {
        let before = installed.counted();
        let file = installed.install();
        let report = installed.until_it_runs(file);
        assert_eq!((installed.agent(), installed.site.pids()), (agent, workers.clone()));
        assert_eq!(report.workers[0].restarts, 0);
        assert!(installed.counted() > before + 100, "it counts on: {before}");
    }
    installed.site.until_status(0);
    // What follows works as ever.
    installed.site.deploy_program("2", COUNTS).fine();
    installed.site.until_all_on("2", 1);
}

#[test]
fn up_becomes_the_newer_program_and_keeps_its_workers_and_all_that_they_say() {
    becomes_the_newer_one("up");
}

#[test]
fn an_agent_becomes_the_newer_program_and_keeps_its_workers_and_all_that_they_say() {
    becomes_the_newer_one("agent");
}

#[test]
fn a_deploy_while_the_agent_becomes_another_is_confirmed_all_the_same() {
    let installed = Installed::new("agent");
    let mut version = 1;
    for _ in 0..2 {
        let file = installed.install();
        let began = Instant::now();
        while installed.runs() != file {
            version += 1;
            let said = installed.site.deploy_program(&version.to_string(), COUNTS).fine();
            assert!(said.out.starts_with(&format!("release {version} is current and works\n")), "{}", said.out);
            assert!(began.elapsed() < RENEWED, "{}", installed.site.up().log());
        }
    }
    installed.site.until_all_on(&version.to_string(), 1);
}

#[test]
fn a_command_of_a_job_is_waited_for_and_the_host_is_looked_after_meanwhile() {
    let marks = tempfile::tempdir().unwrap();
    let dir = marks.path().display();
    let handler = format!(
        "[[handler]]\nkind = \"report\"\nrun = {{ exec = [\"sh\", \"-c\", \"touch {dir}/started; while ! [ -e \
         {dir}/go ]; do sleep 0.02; done\"] }}\n"
    );
    let installed = Installed::with("agent", &handler);
    let server = installed.server.as_ref().unwrap();
    let id = server.run(&installed.site.scratch, &["push", "report"]).fine().out.trim().to_owned();
    let began = Instant::now();
    while !marks.path().join("started").exists() {
        assert!(began.elapsed() < PATIENCE, "{}", installed.site.up().log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (old, new) = (installed.runs(), installed.install());
    while !installed.site.up().log().contains("the agent goes on as the new one") {
        assert!(began.elapsed() < PATIENCE, "{}", installed.site.up().log());
        std::thread::sleep(Duration::from_millis(20));
    }
    installed.site.deploy_program("2", COUNTS).fine();
    assert_eq!(installed.runs(), old, "it waits for the job");
    std::fs::write(marks.path().join("go"), "").unwrap();
    while installed.runs() != new {
        assert!(began.elapsed() < PATIENCE, "{}", installed.site.up().log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let job = crate::scratch::wait(async { server.api().job(&id).await.unwrap() });
    assert_eq!((job.outcome, job.attempts.len()), (Some(job::Outcome::Done), 1), "{job:?}");
    installed.site.until_all_on("2", 1);
}

#[test]
fn a_program_that_cannot_start_is_refused_and_nothing_changes() {
    let installed = Installed::new("agent");
    let (agent, workers, file) = (installed.agent(), installed.site.pids(), installed.runs());
    installed.put(|to| {
        std::fs::write(to, "this is no program\n").unwrap();
        crate::scratch::set_mode(to, 0o755);
    });
    installed.site.until_observed("the program was replaced, and cannot be used", RENEWED);
    let report = installed.site.report();
    assert_eq!(of_host(&report).0, Verdict::Warning, "{report:?}");
    assert!(all_on(&report, "1", 1), "{report:?}");
    assert_eq!((installed.agent(), installed.site.pids(), installed.runs()), (agent, workers.clone(), file));
    let before = installed.counted();

    // Workers are started all the same: their launcher is a part of the agent.
    let worker = Pid::from_raw(i32::try_from(*workers.first().unwrap()).unwrap()).unwrap();
    kill_process(worker, Signal::KILL).unwrap();
    installed.site.until("a successor", PATIENCE, |report| {
        all_on(report, "1", 1) && report.workers[0].pid != Some(*workers.first().unwrap())
    });
    assert!(before > 0);

    // A program that works is taken, and the complaint ends.
    let good = installed.install();
    installed.until_it_runs(good);
    installed.site.until("well", PATIENCE, |report| of_host(report).0 == Verdict::Ok);
    installed.site.deploy_program("2", COUNTS).fine();
}
