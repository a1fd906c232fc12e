//! Workers in the languages that applications are written in, and workers with
//! habits of their own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aloud_client::v1::{ReadyBy, WorkerState};
use job::Verdict;
use tokio::time::Instant;

use super::site::{Site, WORK, all_on, of_workers};
use crate::scratch::PATIENCE;

const PHP: &str = include_str!("programs/work.php");
const C: &str = include_str!("programs/work.c");

/// A release whose worker is written in PHP, with the version in a class of its
/// own.
fn php(site: &Site, version: &str) -> PathBuf {
    let folder = site.source(version, "");
    std::fs::write(folder.join("work.php"), PHP).unwrap();
    std::fs::create_dir_all(folder.join("src")).unwrap();
    let class = format!("<?php\nfinal class Send {{ const VERSION = '{version}'; }}\n");
    std::fs::write(folder.join("src/Send.php"), class).unwrap();
    folder
}

/// Deploys five versions with jobs coming in all the time, and only two kept.
fn is_moved(site: &mut Site, count: usize, source: impl Fn(&Site, &str) -> PathBuf) {
    site.start();
    let mut pushed = Vec::new();
    for version in ["1", "2", "3", "4", "5"] {
        let source = source(site, version);
        site.run(&["deploy", source.to_str().unwrap()]).fine();
        site.until_all_on(version, count);
        // What is pushed now is done by what was deployed now.
        let now = site.push(10);
        let by = site.until_done_once(&[pushed.clone(), now.clone()].concat());
        assert!(now.iter().all(|id| by[id] == version), "{version}: {by:?}");
        pushed.extend(now);
        // And these while the next one is deployed.
        pushed.extend(site.push(30));
    }
    site.until_done_once(&pushed);
    assert_eq!(site.releases(), ["4", "5"]);
    assert_eq!(of_workers(&site.report()).0, Verdict::Ok);
}

fn php_is_moved(flags: &str, says: &str) {
    let mut site = Site::with(&super::site::declared(
        "keep = 2",
        &format!("command = [\"php\", {flags}, \"work.php\"]\ncount = 2"),
    ));
    is_moved(&mut site, 2, php);
    let said = std::fs::read_to_string(site.root().join(".aloud/agent/logs/mail.log")).unwrap();
    assert!(said.contains(says), "{said}");
}

#[test]
fn needs_php_workers_are_moved_with_every_deploy() {
    php_is_moved("\"-d\", \"opcache.enable_cli=0\"", "opcache is off");
}

#[test]
fn needs_php_workers_are_moved_with_every_deploy_though_their_code_is_cached() {
    php_is_moved("\"-d\", \"opcache.enable_cli=1\", \"-d\", \"opcache.validate_timestamps=0\"", "opcache is on");
}

#[test]
fn native_workers_are_moved_with_every_deploy_and_run_the_file_of_their_release() {
    let mut site = Site::with(&super::site::declared("keep = 2", "command = [\"./work\"]\ncount = 2"));
    is_moved(&mut site, 2, |site, version| {
        let folder = site.source(version, "");
        let source = site.scratch.write("work.c", C);
        let mut cc = Command::new("cc");
        let version = format!("-DVERSION=\"{version}\"");
        let built = cc.args(["-O1", "-Wall", "-o"]).arg(folder.join("work")).arg(&version).arg(&source).output();
        let built = built.unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        folder
    });
    for pid in site.pids() {
        let runs = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        assert_eq!(runs, site.root().canonicalize().unwrap().join("releases/5/work"));
    }
    // Nothing of a native program is read again, so nothing of it fails when its
    // release is gone: it is seen all the same.
    std::fs::remove_dir_all(site.root().join("releases/5")).unwrap();
    site.until("red", Duration::from_secs(5), |report| {
        let (verdict, what) = of_workers(report);
        verdict == Verdict::Critical && what.contains("2 workers are in a release that was removed")
    });
}

#[test]
fn a_worker_that_goes_to_another_folder_is_judged_by_the_launchers_word() {
    let mut site = Site::new("keep = 1", "count = 2");
    let program = WORK.replacen("url = os.environ", "os.chdir('/')\nurl = os.environ", 1);
    site.start();
    for version in ["1", "2", "3"] {
        site.deploy_program(version, &program).fine();
        let report = site.until_all_on(version, 2);
        assert_eq!(of_workers(&report), (Verdict::Ok, format!("2 of 2 run release {version} and are ready")));
        for pid in site.pids() {
            assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
        }
        let pushed = site.push(5);
        assert!(site.until_done_once(&pushed).values().all(|by| !by.is_empty()));
    }
    // Moved also if somebody else switches, and pruning sees its lock.
    site.switch_by_hand("2");
    site.until_all_on("2", 2);
    let pruned = site.run(&["prune", "--dry-run", "--json"]).fine();
    assert!(!pruned.out.contains("would be removed"), "{}", pruned.out);
}

/// Starts a process that nobody waits for: in a session of its own, in `/`, and
/// with its parent gone. Its number is written to the book's neighbour.
const STRAYS: &str = r#"
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir('/')
        with open(os.environ['BOOK'] + '.strays', 'a') as book:
            book.write(f'{os.getpid()}\n')
        for fd in range(256):
            try: os.close(fd)
            except OSError: pass
        time.sleep(3600)
    os._exit(0)
os.wait()
"#;

fn strays(site: &Site) -> Vec<u32> {
    let book = std::fs::read_to_string(site.scratch.path().join("book.strays")).unwrap_or_default();
    book.lines().map(|line| line.parse().unwrap()).collect()
}

fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[track_caller]
fn until_gone(pids: &[u32], within: Duration) {
    let began = Instant::now();
    while pids.iter().any(|pid| lives(*pid)) {
        assert!(began.elapsed() < within, "they live on: {pids:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_worker_leaves_behind_ends_with_it() {
    let mut site = Site::new("keep = 1", "count = 1");
    let program = WORK.replacen("import json", &format!("{STRAYS}\nimport json"), 1);
    site.start();
    site.deploy_program("1", &program).fine();
    let first = strays(&site);
    assert_eq!(first.len(), 1);
    assert!(lives(first[0]));
    assert_eq!(of_workers(&site.report()).0, Verdict::Ok);
    site.deploy_program("2", &program).fine();
    until_gone(&first, Duration::from_secs(15));
    let second: Vec<_> = strays(&site).split_off(1);
    assert!(second.iter().any(|pid| lives(*pid)));
    // Also if the agent gets no chance to see to it.
    site.up.take().unwrap().kill();
    until_gone(&second, Duration::from_secs(15));
}

#[test]
fn a_worker_that_becomes_a_daemon_is_no_worker_and_its_daemon_is_ended() {
    let mut site = Site::new("", "count = 1");
    site.start();
    site.deploy("1").fine();
    let before = site.pids();
    let said = site.deploy_program("2", &format!("{STRAYS}\nprint('in the background now', flush=True)\n")).ends(2);
    assert!(said.out.contains("in the background now"), "{}\n{}", said.out, said.err);
    assert_eq!(site.pids(), before);
    let daemons = strays(&site);
    assert!(!daemons.is_empty());
    until_gone(&daemons, Duration::from_secs(15));
}

#[test]
fn a_worker_that_says_it_is_ready_and_nothing_else_is_believed() {
    let mut site = Site::new("", "count = 2\nready = \"notify\"");
    let program = "import os, signal, socket\n\
                   with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:\n    \
                   to.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])\n\
                   signal.sigwait([signal.SIGTERM])\n";
    site.start();
    site.deploy_program("1", program).fine();
    site.deploy_program("2", program).fine();
    let report = site.until_all_on("2", 2);
    assert!(report.workers.iter().all(|one| one.ready == Some(ReadyBy::Notify)), "{report:?}");
    assert_eq!(of_workers(&report).0, Verdict::Ok);
}

#[test]
fn a_worker_that_does_not_say_who_it_is_is_known_by_its_connection() {
    let mut site = Site::new("", "count = 2\nready = \"spoke\"");
    let program = WORK.replacen("    \"Aloud-Worker\": os.environ[\"ALOUD_WORKER\"],\n", "", 1).replacen(
        "    \"Aloud-Release\": os.environ[\"ALOUD_RELEASE\"],\n",
        "",
        1,
    );
    assert!(!program.contains("Aloud-"), "the program says who it is");
    site.start();
    let mut pushed = Vec::new();
    for version in ["1", "2"] {
        site.deploy_program(version, &program).fine();
        let report = site.until("connected", PATIENCE, |report| all_on(report, version, 2));
        assert!(report.workers.iter().all(|one| one.ready == Some(ReadyBy::Connected)), "{report:?}");
        pushed.extend(site.push(10));
    }
    site.until_done_once(&pushed);
}

#[test]
fn a_worker_that_only_lives_is_said_to_be_unverified() {
    let mut site = Site::new("", "count = 1\nready = \"alive\"");
    site.start();
    let said = site.deploy_program("1", "import signal\nsignal.sigwait([signal.SIGTERM])\n").fine();
    assert!(said.out.contains("unverified"), "{}", said.out);
    let report = site.report();
    assert_eq!(report.workers.iter().map(|one| one.state).collect::<BTreeSet<_>>(), [WorkerState::Ready].into());
    assert_eq!(of_workers(&report).0, Verdict::Warning);
}
