//! A deploy, from a source to a release that is current.

use release::{Ended, Failure, Go, OnFailure, Options, Progress, Rolled, Step, deploy};

use crate::scratch::{Scratch, Script, hook, id, options};

#[test]
fn a_release_is_made_and_becomes_the_current_one() {
    let scratch = Scratch::new();
    let script = Script::rolling([Rolled::Confirmed(vec!["worker 1 is ready".into()])]);
    let outcome = scratch.deploy_with("one", &script);
    assert_eq!(outcome.ended, Ended::Healthy(vec!["worker 1 is ready".into(), "it answers".into()]));
    assert_eq!((outcome.release, outcome.was), (id("1"), None));
    assert_eq!(scratch.version(), "one");
    let link = std::fs::read_link(scratch.path("app/current")).unwrap();
    assert_eq!(link.to_str(), Some("releases/1"), "a relative link");

    let outcome = scratch.deploy("two");
    assert!(outcome.is_ok());
    assert_eq!((outcome.release, outcome.was), (id("2"), Some(id("1"))));
    assert_eq!(scratch.version(), "two");
    assert_eq!(scratch.states(), ["2 healthy", "1 healthy"]);
    let found = scratch.found("2");
    assert!(found.current && found.by.as_deref() == Some("alice") && found.revision.as_deref() == Some("0123abc"));
    assert_eq!(std::fs::read_to_string(found.path.join("REVISION")).unwrap(), "0123abc\n");
    assert!(!found.path.join(".git").exists());
}

#[test]
fn the_steps_come_in_their_order_and_prune_is_the_last() {
    let scratch = Scratch::new();
    let script = Script::default();
    scratch.deploy_with("one", &script);
    let told = script.told.lock().unwrap();
    let ended = told.iter().filter_map(|told| match told {
        Progress::Ended(step, _) => Some(*step),
        Progress::Recovered(_) | Progress::Begins(..) | Progress::Ran { .. } | Progress::Warning(_) => None,
    });
    use Step::*;
    let expect = [Create, Fill, Shared, Build, BootCheck, Seal, Barrier, Switch, Roll, Verify, Commit, Prune];
    assert_eq!(ended.collect::<Vec<_>>(), expect);
    let records = scratch.tree().records(100).unwrap();
    assert_eq!(records.len(), expect.len() * 2 + 3, "before and after each, the hook, and the end");
}

#[test]
fn what_is_shared_is_moved_there_the_first_time_and_linked() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    assert_eq!(std::fs::read_to_string(scratch.path("app/shared/storage/kept")).unwrap(), "kept");
    scratch.write("app/shared/storage/new", "new");
    scratch.write("app/shared/settings", "changed");
    scratch.deploy("two");
    for (file, expect) in [("storage/new", "new"), ("storage/kept", "kept"), ("settings", "changed")] {
        let path = scratch.path("app/current").join(file);
        assert_eq!(std::fs::read_to_string(path).unwrap(), expect, "{file}");
    }
    let link = std::fs::read_link(scratch.path("app/releases/2/storage")).unwrap();
    assert_eq!(link.to_str(), Some("../../shared/storage"), "a relative link");
}

#[test]
fn a_shared_file_that_nobody_has_ends_the_deploy() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    let mut build = scratch.source("two");
    build.shared.files.push(".env".into());
    let error = deploy(&scratch.tree(), &build, &options(), &Script::default()).unwrap_err();
    insta::assert_snapshot!(scratch.message(&error), @r"
    release 2 was not finished, at the step shared: cannot share `DIR/app/shared/.env`: it is not there, and the release brings none
      Nothing was switched: `current` is release 1. What was made stays at `DIR/app/releases/2` until it is pruned.
    hint: write it: `DIR/app/shared/.env`
    ");
    assert_eq!(scratch.states(), ["2 aborted", "1 healthy"]);
}

#[test]
fn a_shared_path_that_is_a_link_to_itself_ends_the_deploy() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    std::fs::remove_dir_all(scratch.path("app/shared/storage")).unwrap();
    std::os::unix::fs::symlink("storage", scratch.path("app/shared/storage")).unwrap();
    let error = deploy(&scratch.tree(), &scratch.source("two"), &options(), &Script::default()).unwrap_err();
    assert!(scratch.message(&error).contains("a symbolic link leads back to itself"), "{error}");
    assert_eq!(scratch.version(), "one");
}

#[test]
fn a_hook_that_fails_ends_the_deploy_with_its_last_words() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    let script = Script {
        run: Box::new(|_| Err(Failure { why: "exit status 1".into(), output: vec!["no such package".into()] })),
        ..Script::default()
    };
    let error = deploy(&scratch.tree(), &scratch.source("two"), &options(), &script).unwrap_err();
    insta::assert_snapshot!(scratch.message(&error), @r"
    release 2 was not finished, at the step build: `install` ended with exit status 1. The last it wrote:
        no such package
      Nothing was switched: `current` is release 1. What was made stays at `DIR/app/releases/2` until it is pruned.
    hint: run it by hand in `DIR/app/releases/2`: `true`
    ");
    assert_eq!((scratch.current(), scratch.deploy("three").release), ("1".into(), id("3")), "no number twice");
}

#[test]
fn another_host_that_is_not_ready_stops_the_switch() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    let script = Script { go: Go::Abort("web2 has no room".into()), ..Script::default() };
    let error = deploy(&scratch.tree(), &scratch.source("two"), &options(), &script).unwrap_err();
    assert!(error.to_string().contains("web2 has no room"), "{error}");
    assert_eq!((scratch.version().as_str(), scratch.states()), ("one", vec!["2 aborted".into(), "1 healthy".into()]));
    assert!(script.targets.lock().unwrap().is_empty(), "no worker was moved");
}

#[test]
fn a_roll_of_which_no_worker_got_ready_goes_back() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    let held = Rolled::Held { why: "every worker ended at once".into(), any_new_ready: false };
    let script = Script::rolling([held, Rolled::Confirmed(vec!["worker 1 is back".into()])]);
    let outcome = scratch.deploy_with("two", &script);
    let rolled = Rolled::Confirmed(vec!["worker 1 is back".into()]);
    assert_eq!(outcome.ended, Ended::WentBack { why: "every worker ended at once".into(), rolled });
    assert!(!outcome.is_ok() && outcome.pruning.is_none());
    assert_eq!((scratch.version().as_str(), scratch.states()), ("one", vec!["2 failed".into(), "1 healthy".into()]));
    let targets = script.targets.lock().unwrap();
    let targets: Vec<_> = targets.iter().map(|target| (target.release.clone(), target.was.clone())).collect();
    assert_eq!(targets, [(id("2"), Some(id("1"))), (id("1"), Some(id("2")))]);
}

#[test]
fn a_roll_that_got_half_way_is_held_and_the_old_release_stays() {
    let scratch = Scratch::new();
    let held = || Rolled::Held { why: "worker 2 does not get ready".into(), any_new_ready: true };
    scratch.deploy("one");
    let outcome = scratch.deploy_with("two", &Script::rolling([held()]));
    assert_eq!(outcome.ended, Ended::Held { why: "worker 2 does not get ready".into() });
    assert_eq!(scratch.states(), ["2 held", "1 healthy"]);
    assert_eq!(scratch.version(), "two");
    // Whatever is pruned, the one that still serves stays.
    let few = Options { keep: release::Keep { healthy: 0, failed: 0 }, ..options() };
    release::prune(&scratch.tree(), &few, &Script::default(), false).unwrap();
    assert_eq!(scratch.states(), ["2 held", "1 healthy"]);
    // What settles it is the next one that works.
    scratch.deploy("three");
    assert_eq!(scratch.states(), ["3 healthy", "2 failed", "1 healthy"]);
}

#[test]
fn what_follows_a_failure_can_be_chosen() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    let hold = Options { on_failure: OnFailure::Hold, ..options() };
    let none_ready = Script::rolling([Rolled::Held { why: "no".into(), any_new_ready: false }]);
    let outcome = deploy(&scratch.tree(), &scratch.source("two"), &hold, &none_ready).unwrap();
    assert!(matches!(outcome.ended, Ended::Held { .. }), "{outcome:?}");
    let back = Options { on_failure: OnFailure::Rollback, ..options() };
    let script = Script { verify: Err("it answers 500".into()), ..Script::default() };
    let outcome = deploy(&scratch.tree(), &scratch.source("three"), &back, &script).unwrap();
    assert!(matches!(&outcome.ended, Ended::WentBack { why, .. } if why == "it answers 500"), "{outcome:?}");
    assert_eq!(scratch.version(), "two");
}

#[test]
fn the_first_release_of_a_tree_has_none_to_go_back_to() {
    let scratch = Scratch::new();
    let script = Script::rolling([Rolled::Held { why: "no".into(), any_new_ready: false }]);
    let outcome = scratch.deploy_with("one", &script);
    assert!(matches!(outcome.ended, Ended::Held { .. }), "{outcome:?}");
}

#[test]
fn one_deploy_at_a_time_and_the_other_is_told_who() {
    let scratch = Scratch::new();
    scratch.tree();
    let inner = Scratch::new();
    let (root, build) = (scratch.root(), inner.source("other"));
    let script = Script {
        run: Box::new(move |_| {
            let tree = crate::scratch::tree(&root);
            assert_eq!(tree.locked_by().unwrap().map(|holder| holder.pid), Some(std::process::id()));
            let error = deploy(&tree, &build, &options(), &Script::default()).unwrap_err();
            let release::Error::Locked { holder, message } = error else { panic!("{error}") };
            assert_eq!((holder.who.as_str(), holder.pid), ("alice", std::process::id()));
            assert!(message.happened.starts_with("alice is at work in this tree: deploy of "), "{message}");
            Ok(release::Done::default())
        }),
        ..Script::default()
    };
    assert!(scratch.deploy_with("one", &script).is_ok());
    assert_eq!(scratch.tree().locked_by().unwrap(), None);
}

#[test]
fn who_waits_gets_a_turn() {
    let scratch = Scratch::new();
    scratch.tree();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let first = Script {
        run: Box::new(move |_| {
            begun.send(()).unwrap();
            may_go_on.lock().unwrap().recv().ok();
            Ok(release::Done::default())
        }),
        ..Script::default()
    };
    let patient = Options { wait: job::Span::from_secs(30), ..options() };
    let build = scratch.source("two");
    std::thread::scope(|scope| {
        let one = scope.spawn(|| scratch.deploy_with("one", &first));
        has_begun.recv().unwrap();
        let two = scope.spawn(|| {
            let tree = scratch.tree();
            go_on.send(()).unwrap();
            drop(go_on);
            deploy(&tree, &build, &patient, &Script::default()).unwrap()
        });
        assert_eq!((one.join().unwrap().release, two.join().unwrap().release), (id("1"), id("2")));
    });
}

#[test]
fn what_is_declared_wrongly_is_refused_before_anything_is_made() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    let mut many = scratch.source("two");
    many.hooks = (0..65).map(|n| hook(&n.to_string())).collect();
    let mut empty = scratch.source("two");
    empty.hooks[0].argv.clear();
    let mut outside = scratch.source("two");
    outside.shared.folders.push("../other".into());
    for build in [many, empty, outside] {
        let error = deploy(&scratch.tree(), &build, &options(), &Script::default()).unwrap_err();
        assert!(matches!(error, release::Error::Refused(_)), "{error}");
    }
    assert_eq!(scratch.names("releases"), ["1"]);
}
