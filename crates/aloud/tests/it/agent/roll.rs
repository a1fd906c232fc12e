//! Workers replaced: without a gap, and never by what does not work.

use std::time::Duration;

use job::Verdict;
use rustix::process::Signal;
use tokio::time::Instant;

use super::site::{Site, of_workers};

const ENDS_AT_ONCE: &str = "import sys\nsys.exit('no database: connection refused')\n";
const DOES_NOT_PARSE: &str = "def work(:\n";
const HANGS: &str = "import time\nprint('waiting for the moon', flush=True)\ntime.sleep(3600)\n";

#[test]
fn four_workers_are_replaced_under_load_without_loss_doubling_or_gap() {
    let mut site = Site::new("", "count = 4");
    site.start();
    site.deploy("1").fine();
    let mut pushed = Vec::new();
    std::thread::scope(|scope| {
        let site = &site;
        let deploy = scope.spawn(move || site.deploy("2").fine());
        let began = Instant::now();
        // 500 a second, for as long as the deploy takes and a moment longer.
        let mut after = None;
        for round in 0.. {
            pushed.extend(site.push(25));
            let due = began + Duration::from_millis(50) * (round + 1);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if deploy.is_finished() && *after.get_or_insert(round) + 20 < round {
                break;
            }
        }
        deploy.join().unwrap();
    });
    let by = site.until_done_once(&pushed);
    assert!(by.values().any(|version| version == "1") && by.values().any(|version| version == "2"));
    let mut at: Vec<_> = site.done().into_iter().map(|(_, _, at)| at).collect();
    at.sort_by(f64::total_cmp);
    let gap = at.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!(gap < 1.0, "nothing was done for {gap} s");
}

/// A bad release takes no serving worker down, fails with its output shown, and
/// the next good one heals all.
#[track_caller]
fn is_held_off(program: &str, ready: &str, shown: &str) {
    let mut site = Site::new("", &format!("count = 2\n{ready}"));
    site.start();
    site.deploy("1").fine();
    let before = site.pids();
    let said = site.deploy_program("2", program).ends(2);
    assert!(said.out.contains(shown), "{}\n{}", said.out, said.err);
    assert_eq!(site.pids(), before, "the old workers were touched");
    let done = site.push(5);
    assert!(site.until_done_once(&done).values().all(|version| version == "1"));
    site.deploy("3").fine();
    let report = site.until_all_on("3", 2);
    assert_eq!(of_workers(&report).0, Verdict::Ok);
}

#[test]
fn a_release_whose_workers_end_at_once_is_held_off() {
    is_held_off(ENDS_AT_ONCE, "", "no database: connection refused");
}

#[test]
fn a_release_that_does_not_parse_is_held_off() {
    is_held_off(DOES_NOT_PARSE, "", "SyntaxError");
}

#[test]
fn a_release_whose_workers_hang_is_held_off() {
    is_held_off(HANGS, "ready = \"spoke\"\nready_within = \"3s\"", "waiting for the moon");
}

#[test]
fn a_killed_worker_has_a_successor_and_its_jobs_come_back() {
    let mut site = Site::new("", "count = 1");
    site.start();
    site.deploy("1").fine();
    let pid = *site.pids().first().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let report = site.until("a successor", Duration::from_secs(10), |report| {
        super::site::all_on(report, "1", 1) && report.workers[0].pid != Some(pid.as_raw_nonzero().get().unsigned_abs())
    });
    assert_eq!(report.workers[0].restarts, 1);
    let pushed = site.push(3);
    site.until_done_once(&pushed);
}

#[test]
fn a_restart_says_process_by_process_what_it_confirmed() {
    let mut site = Site::new("", "count = 2");
    site.start();
    site.deploy("1").fine();
    let before = site.pids();
    let said = site.run(&["restart"]).fine();
    assert_eq!(said.out.matches("confirmed  mail: process ").count(), 2, "{}", said.out);
    let after = site.pids();
    assert!(before.is_disjoint(&after), "{before:?} {after:?}");
    for pid in after {
        assert!(said.out.contains(&format!("process {pid} runs release 1 (ready")), "{}", said.out);
    }
}

#[test]
fn when_up_is_killed_its_workers_end_and_their_jobs_come_back() {
    let mut site = Site::new("", "count = 2");
    site.start();
    site.deploy("1").fine();
    let workers = site.pids();
    site.up.take().unwrap().kill();
    let began = Instant::now();
    let lives =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while workers.iter().any(lives) {
        assert!(began.elapsed() < Duration::from_secs(15), "they live on");
        std::thread::sleep(Duration::from_millis(20));
    }
    site.start();
    site.until_all_on("1", 2);
    let pushed = site.push(5);
    site.until_done_once(&pushed);
}

#[test]
fn a_changed_configuration_makes_new_workers_in_the_same_agent() {
    let mut site = Site::new("", "count = 1");
    site.start();
    site.deploy("1").fine();
    let (agent, workers) = (site.up().pid(), site.pids());
    let config = std::fs::read_to_string(site.scratch.path().join("aloud.toml")).unwrap();
    // A file that is no configuration changes nothing, and is said.
    site.scratch.write("aloud.toml", &format!("{config}\nnonsense = [\n"));
    site.until_observed("cannot be used", Duration::from_secs(20));
    site.scratch.write("aloud.toml", &config.replace("count = 1", "count = 3"));
    site.until("three", Duration::from_secs(30), |report| super::site::all_on(report, "1", 3));
    assert_eq!(site.up().pid(), agent);
    assert!(site.pids().is_superset(&workers), "the worker that was there was kept");
}

#[test]
fn a_command_of_a_job_runs_in_the_current_release_and_ends_with_up_however_that_ends() {
    let handler = "[[handler]]\nkind = \"report\"\n\
                   run = { exec = [\"sh\", \"-c\", \"echo $$ $(cat VERSION) $(pwd) >> ../../../reports; sleep 1000\"] }";
    let mut site = Site::new("", &format!("count = 1\n{handler}"));
    site.start();
    site.deploy("1").fine();
    site.run(&["push", "report"]).fine();
    let book = site.scratch.path().join("reports");
    let began = Instant::now();
    let said = loop {
        let said = std::fs::read_to_string(&book).unwrap_or_default();
        if said.ends_with('\n') {
            break said;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it was not run: {}", site.up().log());
        std::thread::sleep(Duration::from_millis(10));
    };
    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words[1..], ["1", site.root().join("releases/1").canonicalize().unwrap().to_str().unwrap()]);
    // It is in use, though `current` leads elsewhere by now.
    site.deploy("2").fine();
    site.deploy("3").fine();
    let listed = site.run(&["releases"]).fine();
    assert!(listed.out.contains(&format!("process {} (sh)", words[0])), "{}", listed.out);
    let pid: u32 = words[0].parse().unwrap();
    site.up.take().unwrap().kill();
    let began = Instant::now();
    while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(began.elapsed() < Duration::from_secs(15), "it lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
}
