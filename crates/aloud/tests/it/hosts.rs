//! Deploys to several hosts, over a real ssh to real sshds, each with a tree and
//! an agent of its own.

mod fleet;

use std::process::Command;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use fleet::{Fleet, NAMES};

/// Everything that a test wants to happen on a host happens in its hook, if the
/// host has a file that says so beside its tree.
const HOOKS: &str = r#"
build = [["sh", "-c", """
echo built >> ../../../built
while test -e ../../../wait; do sleep 0.05; done
if test -e ../../../broken; then echo out of paper; exit 3; fi
if test -e ../../../block; then rm ../../current && mkdir ../../current; fi
"""]]
build_once = [["sh", "-c", "echo once >> ../../../once"]]
"#;

fn lines(path: &std::path::Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

fn hosts_have(fleet: &Fleet, name: &str) -> Vec<usize> {
    (0..3).map(|place| lines(&fleet.file(place, name))).collect()
}

/// The outcome on each host, as `--json` says.
fn outcomes(out: &str) -> Vec<String> {
    let all: Value = serde_json::from_str(out).unwrap();
    all["hosts"].as_array().unwrap().iter().map(|one| one["ended"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn needs_sshd_a_deploy_and_a_rollback_reach_three_hosts_and_what_runs_once_runs_on_the_first() {
    let fleet = Fleet::new(HOOKS);
    let said = fleet.deploy("1", &[]).fine();
    assert_eq!(
        said.out,
        "HOST  OUTCOME  RELEASE  BEFORE\nweb1  healthy  1        -\nweb2  healthy  1        -\nweb3  healthy  1        -\n",
        "{}",
        said.err
    );
    assert_eq!((hosts_have(&fleet, "built"), hosts_have(&fleet, "once")), (vec![1, 1, 1], vec![1, 0, 0]));
    for name in NAMES {
        assert!(said.err.contains(&format!("{name}  switch     `")), "{}", said.err);
    }
    // A tarball goes as it is.
    let source = fleet.source("2");
    let tarball = fleet.scratch.path().join("v2.tar.gz");
    assert!(Command::new("tar").arg("-czf").arg(&tarball).args(["-C", &source, "."]).status().unwrap().success());
    let said = fleet.run(&["deploy", tarball.to_str().unwrap(), "--json"]).fine();
    assert_eq!(outcomes(&said.out), ["healthy"; 3]);
    assert_eq!((fleet.versions(), fleet.states("2")), (vec!["2".to_owned(); 3], vec!["healthy".to_owned(); 3]));
    fleet.run(&["rollback", "--reason", "it is slow"]).fine();
    assert_eq!((fleet.versions(), fleet.states("2")), (vec!["1".to_owned(); 3], vec!["rolled back".to_owned(); 3]));
    for site in &fleet.sites {
        site.until_all_on("1", 1);
    }
    // No host goes back if one cannot.
    std::fs::remove_dir_all(fleet.sites[2].root().join("releases/2")).unwrap();
    let said = fleet.run(&["rollback", "2"]).ends(78);
    assert!(
        said.err.contains("error: web3: there is no release 2\n  Nothing was switched on any host."),
        "{}",
        said.err
    );
    assert_eq!(fleet.versions(), ["1", "1", "1"]);
}

#[test]
fn needs_sshd_this_host_is_one_of_them_if_it_is_named_and_the_configuration_may_name_them() {
    let fleet = Fleet::new("");
    let source = fleet.source("1");
    let args = fleet.args(&["deploy", &source], &["web2", "localhost"]);
    let here = &fleet.sites[0];
    here.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).fine();
    assert_eq!(fleet.versions(), ["1", "1", ""]);
    let config = std::fs::read_to_string(here.scratch.path().join("aloud.toml")).unwrap();
    here.scratch.write("aloud.toml", &config.replace("[release]", "[release]\nhosts = [\"web3\"]"));
    let args = fleet.args(&["deploy", &source], &[]);
    let said = here.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).fine();
    assert!(said.out.contains("web3  healthy  1"), "{}", said.out);
    assert_eq!(fleet.versions(), ["1", "1", "1"]);
}

#[test]
fn needs_sshd_a_commit_of_a_repository_here_is_the_same_on_all_hosts() {
    let fleet = Fleet::new("");
    let source = fleet.source("1");
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-C", &source];
        let output = Command::new("git").args(identity).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    let hash = git(&["rev-parse", "HEAD"]);
    let said = fleet.run(&["deploy", &format!("{source}#main")]).fine();
    assert_eq!(said.err.matches(&format!("fill       revision {hash}")).count(), 3, "{}", said.err);
    for site in &fleet.sites {
        assert_eq!(std::fs::read_to_string(site.root().join("current/REVISION")).unwrap().trim(), hash);
    }
}

#[test]
fn needs_sshd_a_build_that_fails_on_one_host_leaves_all_as_they_were() {
    let fleet = Fleet::new(HOOKS);
    fleet.deploy("1", &[]).fine();
    let before = fleet.pids();
    std::fs::write(fleet.file(1, "broken"), "").unwrap();
    std::fs::write(fleet.file(1, "wait"), "").unwrap();
    let running = fleet.begin("2");
    running.until_all_have_begun();
    std::fs::remove_file(fleet.file(1, "wait")).unwrap();
    let said = running.ends(&fleet.scratch, 1);
    assert!(said.err.contains("error: web2: release 2 was not finished, at the step build: "), "{}", said.err);
    assert!(
        said.err.contains("out of paper") && said.err.contains("Nothing was switched on any host."),
        "{}",
        said.err
    );
    assert_eq!(said.out.matches("not switched").count(), 3, "{}", said.out);
    assert_eq!((fleet.versions(), fleet.pids()), (vec!["1".to_owned(); 3], before));
    assert_eq!(fleet.states("2"), ["aborted"; 3]);
    assert_eq!(hosts_have(&fleet, "once"), [1, 0, 0], "what runs once waits for the others");
    // Nobody is locked out, and what was made meanwhile is not in the way.
    std::fs::remove_file(fleet.file(1, "broken")).unwrap();
    fleet.deploy("3", &[]).fine();
    assert_eq!(fleet.versions(), ["3", "3", "3"]);
    assert_eq!(hosts_have(&fleet, "once"), [2, 0, 0]);
}

#[test]
fn needs_sshd_a_switch_that_fails_on_one_host_is_told_and_the_others_go_on() {
    let fleet = Fleet::new(HOOKS);
    fleet.deploy("1", &[]).fine();
    std::fs::write(fleet.file(1, "block"), "").unwrap();
    let said = fleet.deploy("2", &[]).ends(2);
    assert!(
        said.out.contains("web1  healthy  2        1\nweb2  failed   2        -\nweb3  healthy  2        1\n"),
        "{}",
        said.out
    );
    assert!(said.out.contains("\nweb2:\n  ") && said.out.contains("real directory"), "{}", said.out);
    assert_eq!(fleet.versions(), ["2", "", "2"]);
    assert_eq!(fleet.states("2"), ["healthy", "aborted", "healthy"]);
}

#[test]
fn needs_sshd_workers_that_do_not_start_on_one_host_bring_it_back_or_all_if_that_was_asked_for() {
    let fleet = Fleet::new("");
    fleet.deploy("1", &[]).fine();
    std::fs::write(fleet.file(1, "book.bad"), "").unwrap();
    let said = fleet.deploy("2", &["--all-or-none", "--json"]).ends(2);
    assert_eq!(outcomes(&said.out), ["went_back"; 3], "{}", said.out);
    assert!(said.out.contains("it does not work on web2, and it was to be all hosts or none"), "{}", said.out);
    assert_eq!((fleet.versions(), fleet.states("2")), (vec!["1".to_owned(); 3], vec!["failed".to_owned(); 3]));
    for site in &fleet.sites {
        site.until_all_on("1", 1);
    }
    let said = fleet.deploy("3", &[]).ends(2);
    assert!(said.out.contains("\nweb2  went back  3        1\n"), "{}", said.out);
    assert!(said.out.contains("\nweb2:\n  ") && said.out.contains("no database"), "{}", said.out);
    assert_eq!(fleet.versions(), ["3", "1", "3"]);
    std::fs::remove_file(fleet.file(1, "book.bad")).unwrap();
    fleet.deploy("4", &["--all-or-none"]).fine();
    assert_eq!((fleet.versions(), fleet.states("4")), (vec!["4".to_owned(); 3], vec!["healthy".to_owned(); 3]));
}

#[test]
fn needs_sshd_a_connection_that_ends_before_the_switch_gives_it_up_everywhere() {
    let fleet = Fleet::new(HOOKS);
    fleet.deploy("1", &[]).fine();
    std::fs::write(fleet.file(1, "wait"), "").unwrap();
    let running = fleet.begin("2");
    running.until_all_have_begun();
    kill_process(running.ssh("web3"), Signal::KILL).unwrap();
    let said = running.ends(&fleet.scratch, 1);
    assert!(said.err.contains("error: web3: the connection was lost before the switch"), "{}", said.err);
    // Its part of it hears that nobody is there any more.
    fleet.until_states("2", ["aborted"; 3]);
    assert_eq!(fleet.versions(), ["1", "1", "1"]);

    // The same if it is given up, or ends without a word.
    for (version, signal, code) in [("3", Signal::INT, 1), ("4", Signal::KILL, -1)] {
        let running = fleet.begin(version);
        running.until_all_have_begun();
        running.signal(signal);
        running.ends(&fleet.scratch, code);
        fleet.until_states(version, ["aborted"; 3]);
        assert_eq!(fleet.versions(), ["1", "1", "1"]);
    }
    assert_eq!(hosts_have(&fleet, "once"), [1, 0, 0]);
    std::fs::remove_file(fleet.file(1, "wait")).unwrap();
    fleet.deploy("5", &["--wait", "20s"]).fine();
}

#[test]
fn needs_sshd_a_connection_that_ends_after_the_switch_leaves_the_host_to_finish_by_itself() {
    let fleet = Fleet::with(["", "settle = \"3s\"", "settle = \"3s\""]);
    fleet.deploy("1", &[]).fine();
    let running = fleet.begin("2");
    running.until_said("web2", "switch");
    kill_process(running.ssh("web2"), Signal::KILL).unwrap();
    let said = running.ends(&fleet.scratch, 2);
    assert!(said.out.contains("web2  lost"), "{}", said.out);
    assert!(
        said.out.contains("the connection was lost after the switch to release 2: the host brings"),
        "{}",
        said.out
    );
    fleet.until_states("2", ["healthy"; 3]);

    // The same if the one who deploys ends without a word.
    let running = fleet.begin("3");
    running.until_said("web2", "switch");
    running.until_said("web3", "switch");
    running.signal(Signal::KILL);
    running.ends(&fleet.scratch, -1);
    fleet.until_states("3", ["healthy"; 3]);
    for site in &fleet.sites {
        site.until_all_on("3", 1);
    }
}

#[test]
fn needs_sshd_hosts_that_cannot_be_spoken_with_are_refused_with_a_reason() {
    let fleet = Fleet::unmanned([""; 3]);
    let source = fleet.source("1");
    let deploy = |aloud: &str| {
        let mut args = fleet.args(&["deploy", &source], &["web1", "web2"]);
        *args.last_mut().unwrap() = aloud.to_owned();
        fleet.scratch.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).ends(78).err
    };
    let said = deploy("echo aloud-deploy 9; cat > /dev/null; :");
    assert!(said.contains("the other aloud deploys with protocol 9, and this one with protocol 1"), "{said}");
    let said = deploy("/nowhere/aloud");
    assert!(said.contains("aloud did not answer there: ") && said.contains("/nowhere/aloud"), "{said}");
    let args = fleet.args(&["deploy", &source], &["web1", "nobody.invalid"]);
    let said = fleet.scratch.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).ends(78).err;
    assert!(said.contains("error: nobody.invalid: ") && said.contains("nobody.invalid"), "{said}");
    assert_eq!(fleet.versions(), ["", "", ""]);
}
