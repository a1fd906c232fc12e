//! What is refused and what is given up, in which words; and what is so
//! afterwards.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use job::Verdict;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::site::{Site, WORK, all_on, declared, of_workers};
use crate::scratch::{PATIENCE, Said, Server};

const ENDS_AT_ONCE: &str = "import sys\nsys.exit('no database: connection refused')\n";

/// Starts what should not start, and answers what it said.
fn refused(site: &Site, args: &[&str]) -> String {
    match Server::start(&site.scratch, site.scratch.aloud(args)) {
        Ok(server) => panic!("{args:?} started: {}", server.log()),
        Err(said) => said.ends(78).err,
    }
}

fn toml(site: &Site) -> String {
    std::fs::read_to_string(site.scratch.path().join("aloud.toml")).unwrap()
}

fn until_there(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < PATIENCE, "there is no `{}`", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_agent_that_would_not_outlive_a_release_does_not_start() {
    let mut site = Site::new("", "count = 1");
    site.start();
    site.deploy("1").fine();
    let by = format!("(process {})", site.up().pid().as_raw_nonzero());
    insta::assert_snapshot!(refused(&site, &["agent"]).replace(&by, "(process PID)"), @r"
    error: another agent has the tree `DIR/srv` (process PID)
      Two agents would start every worker twice. This one did not start.
    hint: stop the other one first, or give this one another tree
    ");
    let dir = site.scratch.path().display().to_string();
    let absolute = toml(&site)
        .replace("root = \"srv\"", &format!("root = \"{dir}/srv\""))
        .replace("data = \"data\"", &format!("data = \"{dir}/data\""));
    site.scratch.write("srv/current/aloud.toml", &absolute);
    insta::assert_snapshot!(refused(&site, &["agent", "--config", "srv/current/aloud.toml"]), @r"
    error: the configuration `DIR/srv/current/aloud.toml` lies in a release (it leads to `DIR/srv/releases/1/aloud.toml`)
      The deploy that removes that release would take it from under the agent, and nobody would be left to say so. The agent did not start.
    hint: keep it outside of the tree, such as in /usr/local/bin, /etc/aloud and /var/lib/aloud
    ");
    let agent = |dir: &str| toml(&site).replace("[agent]\n", &format!("[agent]\ndir = \"{dir}\"\n"));
    site.scratch.write("below.toml", &agent("srv/releases/1/agent"));
    insta::assert_snapshot!(refused(&site, &["agent", "--config", "below.toml"]), @r"
    error: the agent's folder `DIR/srv/releases/1/agent` lies in a release
      The deploy that removes that release would take it from under the agent, and nobody would be left to say so. The agent did not start.
    hint: keep it outside of the tree, such as in /usr/local/bin, /etc/aloud and /var/lib/aloud
    ");
    let long = site.scratch.path().join("x".repeat(100));
    let other = agent(&long.display().to_string()).replace("root = \"srv\"", "root = \"other\"");
    site.scratch.write("long.toml", &other);
    let said = refused(&site, &["agent", "--config", "long.toml"]);
    assert!(said.contains("/run` has ") && said.ends_with("hint: name one with at most 80\n"), "{said}");
    site.until_all_on("1", 1);
}

#[test]
fn a_current_that_leads_nowhere_is_red_and_the_next_deploy_heals_what_can_be() {
    let mut site = Site::new("keep = 1", "count = 1");
    site.start();
    site.deploy("1").fine();
    let current = site.root().join("current");
    let mut made = 1;
    std::fs::create_dir(site.scratch.path().join("other")).unwrap();
    for (to, says) in [
        ("releases/99", "leads to `releases/99`, which is not there"),
        ("current", "leads back to itself"),
        ("../other", "leads to `../other`, which is no release of this tree"),
    ] {
        std::fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink(to, &current).unwrap();
        let before = site.pids();
        let report = site.until(says, Duration::from_secs(5), |report| report.verdict == Verdict::Critical);
        assert!(format!("{:?}", report.observations).contains(says), "{report:?}");
        assert_eq!(site.pids(), before, "the worker that is there was touched");
        made += 1;
        site.deploy(&made.to_string()).fine();
        site.until_all_on(&made.to_string(), 1);
    }
    // What is a folder may hold anything: it is nobody's to remove.
    std::fs::remove_file(&current).unwrap();
    std::fs::create_dir(&current).unwrap();
    std::fs::write(current.join("kept"), "").unwrap();
    insta::assert_snapshot!(site.deploy("9").ends(78).err, @r"
    error: `DIR/srv/current` is a real directory (or file), not a link
      Nothing was changed.
    hint: move it away, for instance `mv DIR/srv/current DIR/srv/current.old`, and try again
    ");
    site.until("red", Duration::from_secs(5), |report| report.verdict == Verdict::Critical);
    assert!(current.join("kept").exists());
    std::fs::rename(&current, site.root().join("current.old")).unwrap();
    site.deploy("9").fine();
}

#[test]
fn releases_with_odd_names_are_run_and_shown_without_harm() {
    let mut site = Site::new("", "count = 1\nready = \"spoke\"");
    site.start();
    site.deploy("1").fine();
    let source = site.source("odd", WORK);
    for name in ["has space", "new\nline", "67 (deleted)", "\u{1b}[31mred"] {
        let to = site.root().join("releases").join(name);
        assert!(Command::new("cp").arg("-r").arg(&source).arg(to).status().unwrap().success());
        site.switch_by_hand(name);
        let shown = format!("{name:?}");
        // As it is told to them, who tell it to the server in turn.
        site.until_all_on(&shown.replace(' ', "\\u{20}"), 1);
        let pushed = site.push(2);
        assert!(site.until_done_once(&pushed).values().any(|version| version == "odd"));
        let said = site.run(&["releases"]).fine();
        assert!(said.out.contains(&format!("{shown} (current)")), "{}", said.out);
        assert!(!said.out.contains('\u{1b}'), "{:?}", said.out);
        let shown = [site.run(&["workers"]).fine().out, site.run(&["status"]).out].concat();
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
    site.run(&["rollback", "1"]).fine();
    site.until_all_on("1", 1);
    site.run(&["rollback", "has space"]).fine();
}

#[test]
fn where_nothing_is_there_it_is_said_and_nothing_is_made() {
    let site = Site::new("", "count = 1");
    insta::assert_snapshot!(site.run(&["releases"]).ends(78).err, @r"
    error: there is no tree of releases at `DIR/srv`
      Nothing was changed.
    hint: make it with `aloud init`, or name the directory that holds `releases/` and `current`
    ");
    insta::assert_snapshot!(site.run(&["workers"]).ends(2).err, @r"
    error: no agent runs on this host (`DIR/srv/.aloud/agent/control.sock` answers nobody)
      Nothing keeps the workers on the current release, and nothing was changed.
    hint: start it with `aloud up` or `aloud agent`; `aloud systemd --install` has the system start it
    ");
    assert!(!site.root().exists());
}

/// Runs a command as a user who may do nothing here but look.
fn as_nobody(site: &Site, args: &[&str]) -> Said {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_aloud")]);
    command.args(args).current_dir(site.scratch.path()).stdin(Stdio::null());
    site.scratch.end(command)
}

#[test]
fn needs_root_whoever_may_not_is_told_whose_it_is() {
    let mut site = Site::new("", "count = 1");
    site.start();
    site.deploy("1").fine();
    crate::scratch::set_mode(site.scratch.path(), 0o755);
    let source = site.source("2", WORK);
    insta::assert_snapshot!(as_nobody(&site, &["deploy", source.to_str().unwrap()]).ends(78).err, @r"
    error: cannot write `DIR/srv/.aloud/lock`: Permission denied (os error 13)
      Nothing was changed.
    hint: run this as the user whom the tree belongs to, or give this user the right
    ");
    insta::assert_snapshot!(as_nobody(&site, &["workers"]).ends(2).err, @r"
    error: this user may not ask the agent on `DIR/srv/.aloud/agent/control.sock`
      It is not known how the workers are, and nothing was changed.
    hint: run this as the user whom the tree of releases belongs to
    ");
    let said = as_nobody(&site, &["releases"]).fine();
    assert!(said.out.contains("1 (current)") && said.out.contains("unknown"), "who uses it is not known: {}", said.out);
    site.until_all_on("1", 1);
}

#[test]
fn what_fails_before_the_switch_is_shown_and_changes_nothing() {
    let mut site = Site::new("", "count = 1");
    site.start();
    site.deploy("1").fine();
    let (config, workers) = (toml(&site), site.pids());
    let with = |lines: &str| config.replace("[release]\n", &format!("[release]\n{lines}\n"));
    let deploy = |lines: &str| {
        site.scratch.write("aloud.toml", &with(lines));
        let said = site.deploy("2").ends(1);
        assert_eq!(site.current().unwrap(), "releases/1");
        said.err.split_once("error: ").map(|(_, error)| error.to_owned()).unwrap()
    };
    insta::assert_snapshot!(deploy(r#"boot_check = ["sh", "-c", "echo no vendor/autoload.php >&2; exit 3"]"#), @r"
    release 2 was not finished, at the step boot check: `boot check` ended with exit status 3. The last it wrote:
        no vendor/autoload.php
      Nothing was switched: `current` is release 1. What was made stays at `DIR/srv/releases/2` until it is pruned.
    hint: run it by hand in `DIR/srv/releases/2`: `sh -c echo no vendor/autoload.php >&2; exit 3`
    ");
    let hangs = "boot_check = [\"sh\", \"-c\", \"echo waiting for the moon; sleep 3600\"]\nboot_within = \"1s\"";
    insta::assert_snapshot!(deploy(hangs), @r"
    release 3 was not finished, at the step boot check: `boot check` ended with its time: it was still running after 1s. The last it wrote:
        waiting for the moon
      Nothing was switched: `current` is release 1. What was made stays at `DIR/srv/releases/3` until it is pruned.
    hint: run it by hand in `DIR/srv/releases/3`: `sh -c echo waiting for the moon; sleep 3600`
    ");
    insta::assert_snapshot!(deploy(r#"build = [["true"], ["sh", "-c", "echo compiling; false"]]"#), @r"
    release 4 was not finished, at the step build: `sh -c echo compiling; false` ended with exit status 1. The last it wrote:
        compiling
      Nothing was switched: `current` is release 1. What was made stays at `DIR/srv/releases/4` until it is pruned.
    hint: run it by hand in `DIR/srv/releases/4`: `sh -c echo compiling; false`
    ");
    site.scratch.write("aloud.toml", &config);
    site.deploy("2").fine();
    assert!(site.pids().is_disjoint(&workers));
}

#[test]
fn needs_root_a_release_is_tried_as_the_workers_user_with_their_environment() {
    let mut site = Site::new(
        "boot_check = [\"sh\", \"-c\", \"echo as $(id -u) with $DATABASE and $BOOK; exit 1\"]",
        "count = 1\nuser = \"nobody\"\nenv_files = [\"shop.env\"]",
    );
    site.scratch.write("shop.env", "DATABASE=mysql://shop\n");
    crate::scratch::set_mode(site.scratch.path(), 0o755);
    site.start();
    let said = site.deploy("1").ends(1);
    let told = "as 65534 with mysql://shop and DIR/book";
    assert!(said.err.contains(told), "{told}: {}", said.err);
    assert_eq!(site.current(), None);
}

/// A deploy that is in the middle of its build.
fn in_its_build(site: &Site, mark: &Path) -> std::process::Child {
    let source = site.source("2", WORK);
    let mut command = site.scratch.aloud(&["deploy", source.to_str().unwrap()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_there(mark);
    child
}

fn signal(child: &std::process::Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_deploy_that_is_interrupted_or_killed_in_its_build_leaves_everything_as_it_was() {
    let mut site = Site::new("", "count = 1");
    site.start();
    site.deploy("1").fine();
    let (config, workers) = (toml(&site), site.pids());
    let mark = site.scratch.path().join("building");
    let slow = format!("[release]\nbuild = [[\"sh\", \"-c\", \"echo $$ > {}; exec sleep 3600\"]]\n", mark.display());
    for kill in [Signal::INT, Signal::KILL] {
        site.scratch.write("aloud.toml", &config.replace("[release]\n", &slow));
        let child = in_its_build(&site, &mark);
        signal(&child, kill);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if kill == Signal::INT {
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains("Nothing was switched: `current` is release 1."), "{said}");
        }
        assert_eq!((site.current().unwrap().as_str(), site.pids()), ("releases/1", workers.clone()));
        let builder = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
        match kill {
            Signal::INT => assert!(!Path::new(&format!("/proc/{builder}/cwd/.")).exists(), "the build was ended, too"),
            // Nobody was left to end it; it keeps its release from being removed.
            _ => kill_process(Pid::from_raw(builder).unwrap(), Signal::KILL).unwrap(),
        }
        std::fs::remove_file(&mark).unwrap();
        site.scratch.write("aloud.toml", &config);
    }
    let said = site.deploy("2").fine();
    assert!(said.err.contains("mended"), "what was left of the killed one is told: {}", said.err);
    let release = site.current().unwrap().replace("releases/", "");
    site.until_all_on(&release, 1);
}

#[test]
fn what_a_deploy_that_was_killed_after_its_switch_has_left_the_agent_finishes() {
    let mut site = Site::new("", "count = 2");
    site.start();
    site.deploy("1").fine();
    let source = site.source("2", WORK);
    let mut child = site.scratch.aloud(&["deploy", source.to_str().unwrap()]);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while site.current().as_deref() != Some("releases/2") {
        assert!(began.elapsed() < PATIENCE, "it does not switch");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    site.until_all_on("2", 2);
    // And confirms it, once its workers have been well for a while.
    site.until("confirmed", PATIENCE, |report| {
        report.tree.as_ref().unwrap().releases[0].note.as_deref() == Some("healthy") && report.verdict == Verdict::Ok
    });
    site.deploy("3").fine();
    site.run(&["rollback"]).fine();
    site.until_all_on("2", 2);
}

#[test]
fn a_rollback_leads_to_what_worked_and_to_nothing_else() {
    let mut site = Site::new("", "count = 1");
    site.start();
    for version in ["1", "2", "3"] {
        site.deploy(version).fine();
    }
    site.run(&["rollback", "--reason", "mails twice"]).fine();
    site.until_all_on("2", 1);
    site.run(&["rollback", "1"]).fine();
    site.until_all_on("1", 1);
    insta::assert_snapshot!(site.run(&["rollback", "99"]).ends(78).err, @r"
    error: there is no release 99
      Nothing was changed.
    hint: see which there are with `aloud releases`
    ");
    insta::assert_snapshot!(site.run(&["rollback"]).ends(78).err, @r"
    error: there is no older release that is known to work
      Nothing was changed.
    hint: see which there are with `aloud releases`
    ");
    site.until_all_on("1", 1);
}

/// A process that sits somewhere, and ends with the test.
struct Sleeper(std::process::Child);

impl Sleeper {
    fn at(dir: &PathBuf) -> Self {
        Self(Command::new("sleep").arg("3600").current_dir(dir).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_release_that_anybody_sits_in_is_kept_and_the_process_named() {
    let mut site = Site::new("keep = 1", "count = 1");
    site.start();
    site.deploy("1").fine();
    let sleeper = Sleeper::at(&site.root().join("releases/1"));
    for version in ["2", "3", "4"] {
        site.deploy(version).fine();
    }
    assert_eq!(site.releases(), ["1", "3", "4"]);
    let said = site.run(&["prune"]).fine();
    let named = format!("process {} (sleep)", sleeper.0.id());
    assert!(said.out.contains(&named), "{named}: {}", said.out);
    let listed = site.run(&["releases"]).fine();
    assert!(listed.out.contains(&named), "{named}: {}", listed.out);
    drop(sleeper);
    site.run(&["prune"]).fine();
    assert_eq!(site.releases(), ["3", "4"]);
}

#[test]
fn a_first_deploy_that_is_bad_is_said_once_and_the_next_one_heals_it() {
    let mut site = Site::new("", "count = 1");
    site.start();
    let said = site.deploy_program("1", ENDS_AT_ONCE).ends(2);
    let (told, _) = said.out.split_once("critical: ").unwrap();
    insta::assert_snapshot!(told, @r"
    release 1 is current, and HELD: its workers were given up
      the new workers of mail were given up: 3 workers ended one like the other: exit status 1; none serves
        no database: connection refused
    ");
    site.until_status(2);
    site.deploy("2").fine();
    site.until_all_on("2", 1);
    site.until_status(0);
}

#[test]
fn of_two_pools_one_that_cannot_start_holds_the_deploy_and_is_named() {
    let two = declared("", "count = 1")
        + "[[worker]]\nname = \"reports\"\ncommand = [\"python3\", \"reports.py\"]\n\
               ready_within = \"20s\"\nmin_ready = \"0s\"\n";
    let mut site = Site::with(&two);
    site.start();
    let source = |version: &str, reports: &str| {
        let folder = site.source(version, WORK);
        std::fs::write(folder.join("reports.py"), reports).unwrap();
        folder.to_str().unwrap().to_owned()
    };
    site.run(&["deploy", &source("1", WORK)]).fine();
    let of = |name: &str| {
        let report = site.report();
        report.workers.into_iter().filter(|one| one.pool.as_str() == name).map(|one| one.pid).collect::<Vec<_>>()
    };
    let before = of("reports");
    let said = site.run(&["deploy", &source("2", ENDS_AT_ONCE)]).ends(2);
    assert!(said.out.contains("the new workers of reports were given up"), "{}", said.out);
    assert!(said.out.contains("those of release 1 work on"), "{}", said.out);
    assert_eq!(of("reports"), before, "those that serve were touched");
    site.run(&["deploy", &source("3", WORK)]).fine();
    site.until_all_on("3", 2);
    site.until_status(0);
}

#[test]
fn where_a_rollback_is_wanted_a_bad_release_is_left_again_by_itself() {
    let mut site = Site::new("on_failure = \"rollback\"", "count = 2");
    site.start();
    site.deploy("1").fine();
    let before = site.pids();
    let said = site.deploy_program("2", ENDS_AT_ONCE).ends(2);
    assert!(said.out.starts_with("release 2 did NOT WORK: `current` leads to release 1 again\n"), "{}", said.out);
    assert!(said.out.contains("no database: connection refused"), "{}", said.out);
    assert_eq!(site.current().unwrap(), "releases/1");
    let report = site.until("well", PATIENCE, |report| all_on(report, "1", 2));
    assert_eq!((of_workers(&report).0, site.pids()), (Verdict::Ok, before), "those that served were touched");
    site.until_status(0);
}
