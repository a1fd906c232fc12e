//! Back to an older release.

use release::{Ended, Error, Go, OnFailure, Options, Rolled, State, confirm, resume, rollback};

use crate::scratch::{Scratch, Script, id, options};

#[test]
fn a_rollback_leads_to_the_last_that_worked_and_the_left_one_is_remembered() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    scratch.deploy("two");
    scratch.deploy_with("three", &Script::rolling([Rolled::Held { why: "no".into(), any_new_ready: false }]));
    scratch.deploy("four");
    let outcome = rollback(&scratch.tree(), None, Some("it is slow"), &options(), &Script::default()).unwrap();
    assert_eq!((outcome.release.clone(), outcome.was.clone()), (id("2"), Some(id("4"))), "3 never worked");
    assert!(outcome.is_ok());
    assert_eq!(scratch.version(), "two");
    assert_eq!(scratch.states(), ["4 rolled back", "3 failed", "2 healthy", "1 healthy"]);
    assert!(matches!(scratch.found("4").state, State::RolledBack { to, why, .. }
        if to == id("2") && why.as_deref() == Some("it is slow")));
    // Once more leads further back, and never forward to the one that was left.
    let outcome = rollback(&scratch.tree(), None, None, &options(), &Script::default()).unwrap();
    assert_eq!(outcome.release, id("1"));
    let error = rollback(&scratch.tree(), None, None, &options(), &Script::default()).unwrap_err();
    insta::assert_snapshot!(error, @r"
    there is no older release that is known to work
      Nothing was changed.
    hint: see which there are with `aloud releases`
    ");
    // By name, one may go anywhere that was ever whole.
    rollback(&scratch.tree(), Some(&id("4")), None, &options(), &Script::default()).unwrap();
    assert_eq!(scratch.version(), "four");
    assert_eq!(scratch.found("4").state.word(), "healthy");
}

#[test]
fn a_rollback_that_does_not_work_is_undone() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    scratch.deploy("two");
    let script = Script::rolling([Rolled::Held { why: "no".into(), any_new_ready: false }]);
    let outcome = rollback(&scratch.tree(), None, None, &options(), &script).unwrap();
    assert!(matches!(outcome.ended, Ended::WentBack { .. }), "{outcome:?}");
    assert_eq!((scratch.version().as_str(), scratch.states()), ("two", vec!["2 healthy".into(), "1 failed".into()]));
}

#[test]
fn another_host_that_cannot_go_back_stops_a_rollback_and_nothing_is_changed() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    scratch.deploy("two");
    let script = Script { go: Go::Abort("web2 has no older release".into()), ..Script::default() };
    let error = rollback(&scratch.tree(), None, None, &options(), &script).unwrap_err();
    assert!(matches!(error, Error::Aborted(_)), "{error}");
    assert!(error.to_string().starts_with("web2 has no older release\n  Nothing was switched"), "{error}");
    assert_eq!((scratch.version().as_str(), scratch.states()), ("two", vec!["2 healthy".into(), "1 healthy".into()]));
}

#[test]
fn a_rollback_may_be_held_too() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    scratch.deploy("two");
    let options = Options { on_failure: OnFailure::Hold, ..options() };
    let script = Script { verify: Err("it answers 500".into()), ..Script::default() };
    let outcome = rollback(&scratch.tree(), None, None, &options, &script).unwrap();
    assert!(matches!(outcome.ended, Ended::Held { .. }), "{outcome:?}");
    assert_eq!(scratch.states(), ["2 healthy", "1 held"]);
}

#[test]
fn a_release_that_was_held_is_confirmed_once_it_works() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    let held = || Rolled::Held { why: "not yet".into(), any_new_ready: true };
    scratch.deploy_with("two", &Script::rolling([held()]));
    let outcome = confirm(&scratch.tree(), &options(), &Script::rolling([held()])).unwrap();
    assert!(matches!(outcome.ended, Ended::Held { .. }), "{outcome:?}");
    let ready = Script::rolling([Rolled::Confirmed(vec!["worker 1 is ready".into()])]);
    let outcome = confirm(&scratch.tree(), &options(), &ready).unwrap();
    assert!(outcome.is_ok() && outcome.release == id("2"), "{outcome:?}");
    assert_eq!(scratch.states(), ["2 healthy", "1 healthy"]);
}

#[test]
fn a_release_that_others_switched_to_and_that_does_not_work_is_left_again() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    scratch.write("app/releases/2/app", "two");
    std::fs::remove_file(scratch.path("app/current")).unwrap();
    std::os::unix::fs::symlink("releases/2", scratch.path("app/current")).unwrap();
    let none_ready = || Script::rolling([Rolled::Held { why: "no".into(), any_new_ready: false }]);
    let outcome = confirm(&scratch.tree(), &options(), &none_ready()).unwrap();
    assert!(matches!(outcome.ended, Ended::WentBack { .. }), "{outcome:?}");
    assert_eq!((scratch.version().as_str(), scratch.states()), ("one", vec!["2 failed".into(), "1 healthy".into()]));
    std::fs::remove_file(scratch.path("app/current")).unwrap();
    let error = confirm(&scratch.tree(), &options(), &none_ready()).unwrap_err();
    assert_eq!(error.message().happened, "there is nothing to confirm: `current` is not there");
}

#[test]
fn what_is_not_there_not_whole_or_current_already_is_no_target() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    let mut build = scratch.source("two");
    build.shared.files.push(".env".into());
    release::deploy(&scratch.tree(), &build, &options(), &Script::default()).unwrap_err();
    for (target, what) in [
        ("9", "there is no release 9"),
        ("2", "release 2 was never whole (aborted)"),
        ("1", "release 1 is the current one already"),
    ] {
        let error = rollback(&scratch.tree(), Some(&id(target)), None, &options(), &Script::default()).unwrap_err();
        assert_eq!(error.message().happened, what);
    }
    let error = resume(&scratch.tree(), None, &options(), &Script::default()).unwrap_err();
    assert_eq!(error.message().happened, "no release is whole and waiting to become current");
}
