//! A process killed at every moment at which a power cut would leave another disk behind.
//!
//! The test starts itself again as a child that kills itself at moment n of an act, and then looks at what is left,
//! for every n until an act comes to its end.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use release::{Current, Keep, Options, Rolled, State, confirm, deploy, recover, resume, rollback};

use crate::scratch::{Scratch, Script, build, id, options, tree};

/// Kills this process at one moment.
struct At {
    moment: usize,
    passed: AtomicUsize,
}

impl release::Crash for At {
    fn point(&self, _name: &str) {
        if self.passed.fetch_add(1, Ordering::SeqCst) + 1 == self.moment {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
    }
}

const ROOT: &str = "TREE_TEST_ROOT";
const ACT: &str = "TREE_TEST_ACT";
const MOMENT: &str = "TREE_TEST_MOMENT";

/// What the child does.
#[test]
#[ignore = "a part of the other tests here, which start it as a process of its own"]
fn child() {
    let var = |name| std::env::var(name).unwrap();
    let (root, moment) = (var(ROOT), var(MOMENT).parse().unwrap());
    let tree = tree(&Path::new(&root).join("app")).with_crash(Arc::new(At { moment, passed: AtomicUsize::new(0) }));
    let new = build(&Path::new(&root).join("source-new"));
    let none_ready = || Rolled::Held { why: "no".into(), any_new_ready: false };
    match var(ACT).as_str() {
        "deploy" => drop(deploy(&tree, &new, &few(), &Script::default()).unwrap()),
        "deploy that goes back" => drop(deploy(&tree, &new, &few(), &Script::rolling([none_ready()])).unwrap()),
        "deploy that is held" => {
            let held = Rolled::Held { why: "no".into(), any_new_ready: true };
            drop(deploy(&tree, &new, &few(), &Script::rolling([held])).unwrap());
        }
        "deploy that is given up" => {
            let mut new = new;
            new.shared.files.push("nobody has it".into());
            drop(deploy(&tree, &new, &few(), &Script::default()).unwrap_err());
        }
        "rollback" => drop(rollback(&tree, None, None, &few(), &Script::default()).unwrap()),
        "confirm" => drop(confirm(&tree, &few(), &Script::rolling([none_ready()])).unwrap()),
        "recover" => drop(recover(&tree, &few(), &Script::default()).unwrap()),
        "resume" => drop(resume(&tree, None, &few(), &Script::default()).unwrap()),
        act => panic!("{act}"),
    }
}

fn few() -> Options {
    Options { keep: Keep { healthy: 2, failed: 0 }, ..options() }
}

/// Runs an act in a child that kills itself at a moment. Answers whether it was killed: otherwise it came to its end.
fn killed(scratch: &Scratch, act: &str, moment: usize) -> bool {
    use std::os::unix::process::ExitStatusExt;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child", "--ignored"]);
    command.env(ROOT, scratch.path("")).env(ACT, act).env(MOMENT, moment.to_string());
    let output = command.output().unwrap();
    match output.status.signal() {
        Some(9) => true,
        Some(other) => panic!("signal {other}"),
        None => {
            assert!(output.status.success(), "{act} at {moment}: {}", String::from_utf8_lossy(&output.stdout));
            false
        }
    }
}

/// Two releases that worked, in a tree that Deployer uses too.
fn two() -> Scratch {
    let scratch = Scratch::in_memory();
    scratch.write("app/.dep/latest_release", "0\n");
    for version in ["one", "two"] {
        scratch.deploy(version);
    }
    scratch.source("new");
    scratch
}

/// What must hold after a kill, before anybody has put anything in order.
fn holds_at_once(scratch: &Scratch, at: &str) {
    let current = scratch.tree().current().unwrap();
    let Current::Release { id: current, .. } = current else { panic!("{at}: {current}") };
    let path = scratch.path("app/releases").join(current.as_str());
    for file in ["app", "lib/part", "REVISION", "storage/kept", "settings"] {
        assert!(path.join(file).is_file(), "{at}: `{file}` of release {current} is not there");
    }
    assert_eq!(scratch.tree().locked_by().unwrap(), None, "{at}");
}

/// What must hold after it was put in order.
fn holds_in_order(scratch: &Scratch, at: &str) {
    holds_at_once(scratch, at);
    let found = scratch.tree().releases().unwrap();
    let way_back = found.iter().any(|found| !found.current && found.healthy_since.is_some());
    assert!(way_back, "{at}: there is no way back: {found:?}");
    for release in &found {
        let settled = !matches!(release.state, State::Building | State::Found);
        assert!(settled && release.path.exists(), "{at}: {release:?}");
        let whole = !release.current || matches!(release.state, State::Healthy { .. } | State::Live { .. });
        let held = matches!(release.state, State::Held { .. });
        assert!(whole || held, "{at}: {release:?}");
    }
    for name in scratch.names("") {
        assert!(!name.starts_with(".current."), "{at}: {name}");
    }
    for name in scratch.names("releases") {
        assert!(!name.starts_with('.'), "{at}: {name}");
    }
    for name in scratch.names(".aloud/releases") {
        assert!(name.ends_with(".json"), "{at}: {name}");
    }
    assert!(!scratch.path("app/.dep/deploy.lock").exists(), "{at}");
}

/// What must be possible afterwards.
fn goes_on(scratch: &Scratch, at: &str) {
    let highest = scratch.names("releases").iter().filter_map(|name| name.parse::<u64>().ok()).max().unwrap();
    let outcome = deploy(&scratch.tree(), &scratch.source("next"), &few(), &Script::default());
    let outcome = outcome.unwrap_or_else(|error| panic!("{at}: {error}"));
    assert!(outcome.is_ok(), "{at}: {outcome:?}");
    assert!(outcome.release.as_str().parse::<u64>().unwrap() > highest, "{at}: {outcome:?}");
    assert_eq!(scratch.version(), "next", "{at}");
    holds_in_order(scratch, at);
    let good = scratch.tree().releases().unwrap().iter().filter(|found| found.state.is_good()).count();
    assert_eq!(good, 2, "{at}: {:?}", scratch.states());
}

/// Kills the act at every moment, and answers how many there are.
fn at_every_moment(act: &str) -> usize {
    for moment in 1..2_000 {
        let scratch = two();
        let at = format!("{act}, moment {moment}");
        let was_killed = killed(&scratch, act, moment);
        holds_at_once(&scratch, &at);
        if moment % 2 == 0 {
            recover(&scratch.tree(), &few(), &Script::default()).unwrap_or_else(|error| panic!("{at}: {error}"));
            holds_in_order(&scratch, &at);
            let twice = recover(&scratch.tree(), &few(), &Script::default()).unwrap();
            let settled = twice.mended.iter().all(|mended| matches!(mended, release::Mended::Resumable(_)));
            assert!(settled, "{at}: {twice:?}");
        }
        // A deploy puts in order what was cut short, too.
        goes_on(&scratch, &at);
        if !was_killed {
            return moment - 1;
        }
    }
    panic!("{act} never comes to its end");
}

#[test]
fn a_deploy_may_be_killed_at_any_moment() {
    assert!(at_every_moment("deploy") > 100);
}

#[test]
fn a_deploy_that_goes_back_may_be_killed_at_any_moment() {
    assert!(at_every_moment("deploy that goes back") > 100);
}

#[test]
fn a_deploy_that_is_held_may_be_killed_at_any_moment() {
    assert!(at_every_moment("deploy that is held") > 100);
}

#[test]
fn a_deploy_that_is_given_up_may_be_killed_at_any_moment() {
    assert!(at_every_moment("deploy that is given up") > 50);
}

#[test]
fn a_rollback_may_be_killed_at_any_moment() {
    assert!(at_every_moment("rollback") > 30);
}

#[test]
fn a_confirmation_that_goes_back_may_be_killed_at_any_moment() {
    assert!(at_every_moment("confirm") > 30);
}

#[test]
fn what_puts_in_order_may_itself_be_killed_at_any_moment() {
    // Moments of a deploy after which there is most to do: found by trying them all once.
    let worst = |scratch: &Scratch| {
        scratch.deploy("three");
        std::os::unix::fs::symlink("releases/1", scratch.path("app/.current.5f0-1")).unwrap();
        std::fs::rename(scratch.path("app/releases/1"), scratch.path("app/releases/.trash-1")).unwrap();
        assert!(killed(scratch, "deploy", 60), "a deploy has more moments");
    };
    for moment in 1..1_000 {
        let scratch = two();
        worst(&scratch);
        let at = format!("recover, moment {moment}");
        let was_killed = killed(&scratch, "recover", moment);
        holds_at_once(&scratch, &at);
        recover(&scratch.tree(), &few(), &Script::default()).unwrap_or_else(|error| panic!("{at}: {error}"));
        holds_in_order(&scratch, &at);
        goes_on(&scratch, &at);
        if !was_killed {
            assert!(moment > 15, "{moment}");
            return;
        }
    }
}

#[test]
fn a_release_that_was_sealed_and_not_switched_to_can_be_resumed() {
    for moment in 1..1_000 {
        let scratch = two();
        assert!(killed(&scratch, "deploy", moment), "it was never sealed and not current");
        if scratch.current() == "2" && scratch.states()[0] == "3 sealed" {
            let recovery = recover(&scratch.tree(), &few(), &Script::default()).unwrap();
            assert!(recovery.mended.contains(&release::Mended::Resumable(id("3"))), "{recovery:?}");
            let outcome = resume(&scratch.tree(), None, &few(), &Script::default()).unwrap();
            assert!(outcome.is_ok() && outcome.release == id("3"), "{outcome:?}");
            assert_eq!(scratch.version(), "new");
            return;
        }
    }
}
