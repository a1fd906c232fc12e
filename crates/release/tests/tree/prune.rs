//! Which releases go, and who keeps them from going.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use release::{Error, Fate, InUse, Keep, Options, Place, Pruning, lease, prune};

use crate::scratch::{Scratch, Script, id, options};

fn few() -> Options {
    Options { keep: Keep { healthy: 2, failed: 0 }, ..options() }
}

fn five() -> Scratch {
    let scratch = Scratch::new();
    for version in ["one", "two", "three", "four", "five"] {
        scratch.deploy(version);
    }
    scratch
}

fn fate(pruning: &Pruning, release: &str) -> Fate {
    pruning.releases.iter().find(|fated| fated.id == id(release)).unwrap().fate.clone()
}

#[test]
fn what_is_not_needed_and_not_in_use_goes_and_a_dry_run_says_the_same() {
    let scratch = five();
    let plan = prune(&scratch.tree(), &few(), &Script::default(), true).unwrap();
    assert_eq!(scratch.names("releases").len(), 5, "a dry run changes nothing");
    let done = prune(&scratch.tree(), &few(), &Script::default(), false).unwrap();
    for (planned, done) in plan.releases.iter().zip(&done.releases) {
        match (&planned.fate, &done.fate) {
            (Fate::Free, Fate::Removed { bytes }) => assert!(*bytes > 0),
            (planned, done) => assert_eq!(planned, done),
        }
    }
    assert_eq!(fate(&done, "5"), Fate::Kept("it is the current release".into()));
    assert_eq!(fate(&done, "4"), Fate::Kept("a rollback leads to it".into()));
    assert_eq!(scratch.names("releases"), ["4", "5"]);
    assert_eq!(scratch.names(".aloud/releases"), ["4.json", "5.json"]);
    assert!(done.bytes > 0);
    assert_eq!(scratch.deploy("six").release, id("6"));
}

#[test]
fn a_deploy_prunes_when_it_has_worked() {
    let scratch = five();
    let outcome = release::deploy(&scratch.tree(), &scratch.source("six"), &few(), &Script::default()).unwrap();
    assert!(outcome.pruning.unwrap().bytes > 0);
    assert_eq!(scratch.names("releases"), ["5", "6"]);
}

#[test]
fn a_release_that_a_process_holds_is_not_pruned_until_its_last_child_is_gone() {
    let scratch = five();
    let found = scratch.found("1");
    let held = lease::hold(&found.path, found.file_id).unwrap();
    let orphan = Orphan::start(held);
    let pruning = prune(&scratch.tree(), &few(), &Script::default(), false).unwrap();
    assert_eq!(fate(&pruning, "1"), Fate::InUse(vec!["a process that holds its lock".into()]));
    assert_eq!(fate(&pruning, "2").to_string().split(',').next(), Some("removed"));
    assert!(found.path.join("app").exists());
    orphan.end();
    let pruning = prune(&scratch.tree(), &few(), &Script::default(), false).unwrap();
    assert!(matches!(fate(&pruning, "1"), Fate::Removed { .. }), "{pruning:?}");
}

/// A process that outlives the one that started it.
struct Orphan(rustix::process::Pid);

impl Orphan {
    /// Starts one that inherits `held` from its parent, which is gone when this returns.
    fn start(held: std::os::fd::OwnedFd) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!"]).stderr(held).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        child.wait().unwrap();
        Self(rustix::process::Pid::from_raw(line.trim().parse().unwrap()).unwrap())
    }

    fn end(self) {
        rustix::process::kill_process(self.0, rustix::process::Signal::KILL).unwrap();
        let path = format!("/proc/{}/fd/2", self.0);
        for _ in 0..1_000 {
            if std::fs::metadata(&path).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("process {} does not end", self.0);
    }
}

#[test]
fn who_is_in_a_release_is_named_and_keeps_it() {
    let scratch = five();
    let script = Script::using(|place| match place.release.as_str() {
        "1" => InUse::Used(vec!["php (4711)".into()]),
        "2" => InUse::Unknown(vec!["process 4712 of www-data".into()]),
        _ => InUse::Free,
    });
    let pruning = prune(&scratch.tree(), &few(), &script, false).unwrap();
    assert_eq!(fate(&pruning, "1"), Fate::InUse(vec!["php (4711)".into()]));
    assert_eq!(fate(&pruning, "2"), Fate::Unknown(vec!["process 4712 of www-data".into()]));
    assert_eq!(pruning.blocked().count(), 2);
    assert_eq!(scratch.names("releases"), ["1", "2", "4", "5"]);
    // What is not known ends when a person says so; what is known does not.
    let accept = Options { accept_unknown: true, ..few() };
    prune(&scratch.tree(), &accept, &script, false).unwrap();
    assert_eq!(scratch.names("releases"), ["1", "4", "5"]);
}

#[test]
fn an_answer_that_is_missing_counts_as_unknown() {
    struct Silent(Script);
    impl release::Hands for Silent {
        fn run(&self, task: &release::Task) -> Result<release::Done, release::Failure> {
            self.0.run(task)
        }
        fn barrier(&self, sealed: &release::Target) -> release::Go {
            self.0.barrier(sealed)
        }
        fn roll(&self, target: &release::Target) -> release::Rolled {
            self.0.roll(target)
        }
        fn verify(&self, target: &release::Target) -> Result<Vec<String>, String> {
            self.0.verify(target)
        }
        fn in_use(&self, _places: &[Place]) -> Vec<InUse> {
            Vec::new()
        }
        fn tell(&self, progress: release::Progress) {
            self.0.tell(progress);
        }
    }
    let scratch = five();
    for dry_run in [true, false] {
        let pruning = prune(&scratch.tree(), &few(), &Silent(Script::default()), dry_run).unwrap();
        assert_eq!(fate(&pruning, "1"), Fate::Unknown(vec!["nobody looked".into()]), "dry run: {dry_run}");
    }
    assert_eq!(scratch.names("releases").len(), 5);
}

#[test]
fn who_comes_in_while_a_release_is_moved_aside_gets_it_back() {
    let scratch = five();
    let script = Script::using(|place| {
        let aside = place.path.file_name().unwrap().to_str().unwrap().starts_with(".trash-");
        if aside && place.release == id("1") { InUse::Used(vec!["late (1)".into()]) } else { InUse::Free }
    });
    let pruning = prune(&scratch.tree(), &few(), &script, false).unwrap();
    assert_eq!(fate(&pruning, "1"), Fate::InUse(vec!["late (1)".into()]));
    assert_eq!(scratch.names("releases"), ["1", "4", "5"]);
    assert_eq!(std::fs::read_to_string(scratch.path("app/releases/1/app")).unwrap(), "one");
}

#[test]
fn who_switches_by_hand_while_a_release_is_moved_aside_gets_it_back() {
    let scratch = five();
    let current = scratch.path("app/current");
    let script = Script::using(move |place| {
        let aside = place.path.file_name().unwrap().to_str().unwrap().starts_with(".trash-");
        if !aside && place.release == id("1") {
            std::fs::remove_file(&current).unwrap();
            std::os::unix::fs::symlink("releases/1", &current).unwrap();
        }
        InUse::Free
    });
    let pruning = prune(&scratch.tree(), &few(), &script, false).unwrap();
    assert_eq!(fate(&pruning, "1"), Fate::Kept("it has become the current release".into()));
    assert_eq!(scratch.version(), "one");
}

#[test]
fn read_only_folders_are_no_obstacle() {
    let scratch = five();
    for path in ["app/releases/1/lib", "app/releases/1"] {
        std::fs::set_permissions(scratch.path(path), std::fs::Permissions::from_mode(0o555)).unwrap();
    }
    prune(&scratch.tree(), &few(), &Script::default(), false).unwrap();
    assert_eq!(scratch.names("releases"), ["4", "5"]);
}

#[test]
fn while_current_is_no_release_nothing_goes() {
    let scratch = five();
    std::fs::remove_file(scratch.path("app/current")).unwrap();
    let pruning = prune(&scratch.tree(), &few(), &Script::default(), false).unwrap();
    assert_eq!(fate(&pruning, "1"), Fate::Kept("nothing is removed while `current` is not there".into()));
    assert_eq!(scratch.names("releases").len(), 5);
}

#[test]
fn pruning_waits_for_its_turn() {
    let scratch = five();
    let root = scratch.root();
    let script = Script {
        run: Box::new(move |_| {
            let error = prune(&crate::scratch::tree(&root), &few(), &Script::default(), false).unwrap_err();
            assert!(matches!(error, Error::Locked { .. }), "{error}");
            Ok(release::Done::default())
        }),
        ..Script::default()
    };
    scratch.deploy_with("six", &script);
}
