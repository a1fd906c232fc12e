//! Trees that other tools made, adopted as they are.

use std::os::unix::fs::symlink;

use release::{Error, InUse, Keep, Kind, Options, State, deploy, prune, rollback};

use crate::scratch::{Scratch, Script, id, options};

/// A tree of Deployer 7, as it lies on the disk.
fn deployers() -> Scratch {
    let scratch = Scratch::new();
    let log = [
        r#"{"created_at":"2026-05-01T10:00:00+0000","release_name":"64","user":"Alice","target":"main"}"#,
        "not json",
        r#"{"created_at":"2026-05-02T12:00:00+0200","release_name":"65","user":"Bob","target":"main"}"#,
        r#"{"created_at":"2026-05-03T10:00:00+0000","release_name":"66","user":"Bob","target":"main"}"#,
        r#"{"created_at":"2026-05-03T11:00:00+0000","release_name":"67","user":"Bob","target":"main"}"#,
    ];
    scratch.write("app/.dep/releases_log", &format!("{}\n", log.join("\n")));
    scratch.write("app/.dep/latest_release", "67\n");
    for release in ["64", "65", "66", "67"] {
        scratch.write(&format!("app/releases/{release}/app"), release);
        scratch.write(&format!("app/releases/{release}/REVISION"), &format!("{release}abc\n"));
    }
    scratch.write("app/releases/65/BAD_RELEASE", "");
    scratch.write("app/releases/64/DIRTY_RELEASE", "");
    symlink("releases/66", scratch.path("app/current")).unwrap();
    symlink("releases/67", scratch.path("app/release")).unwrap();
    scratch
}

#[test]
fn deployers_releases_are_listed_with_who_when_and_how() {
    let scratch = deployers();
    assert_eq!(scratch.tree().kind().unwrap(), Kind::Deployer);
    assert_eq!(scratch.states(), ["67 bad", "66 found", "65 bad", "64 found"]);
    let found = scratch.found("65");
    assert_eq!(found.by.as_deref(), Some("Bob"));
    assert_eq!(found.created, "2026-05-02T10:00:00Z".parse().ok());
    assert_eq!(found.revision.as_deref(), Some("65abc"));
    assert!(scratch.found("64").dirty && scratch.found("66").current);
    assert!(!scratch.path("app/.aloud").exists(), "to look writes nothing");
}

#[test]
fn deployers_lock_is_told_and_a_tree_is_claimed_once() {
    let scratch = deployers();
    assert_eq!(scratch.tree().deployers_lock().unwrap(), None);
    scratch.write("app/.dep/deploy.lock", "alice\n");
    let (who, since) = scratch.tree().deployers_lock().unwrap().unwrap();
    assert!(who == "alice" && since.0 > 0, "{who} {since}");
    assert!(!scratch.path("app/.aloud").exists(), "to look writes nothing");
    scratch.tree().claim().unwrap();
    scratch.tree().claim().unwrap();
    assert!(scratch.path("app/.aloud").is_dir());
    assert_eq!(scratch.tree().kind().unwrap(), Kind::Deployer, "it stays theirs");
}

#[test]
fn a_deploy_in_deployers_tree_leaves_what_deployer_reads() {
    let scratch = deployers();
    assert_eq!(scratch.deploy("one").release, id("68"));
    assert_eq!(std::fs::read_to_string(scratch.path("app/.dep/latest_release")).unwrap(), "68\n");
    let log = std::fs::read_to_string(scratch.path("app/.dep/releases_log")).unwrap();
    let last = log.lines().last().unwrap();
    let time = regexless_time(last);
    let expect = format!(
        r#"{{"created_at":"{time}","release_name":"68","user":"alice","target":"{}","revision":"0123abc"}}"#,
        scratch.path("source-one").display()
    );
    assert_eq!(last, expect);
    assert!(!scratch.path("app/.dep/deploy.lock").exists());
    rollback(&scratch.tree(), None, None, &options(), &Script::default()).unwrap();
    assert_eq!(scratch.current(), "66", "not the bad one, nor the one that was never finished");
    assert!(scratch.path("app/releases/68/BAD_RELEASE").exists());
}

/// The time in a line of the log, which must be one that PHP reads.
fn regexless_time(line: &str) -> String {
    let at = line.split('"').nth(3).unwrap();
    assert!(at.len() == 24 && at.ends_with("+0000") && &at[10..11] == "T", "{at}");
    at.to_owned()
}

#[test]
fn deployers_lock_is_honoured_and_ours_is_seen_by_deployer() {
    let scratch = deployers();
    scratch.write("app/.dep/deploy.lock", "Bob\n");
    let error = deploy(&scratch.tree(), &scratch.source("one"), &options(), &Script::default()).unwrap_err();
    insta::assert_snapshot!(scratch.message(&error), @r#"
    Deployer has locked this tree for "Bob" (`.dep/deploy.lock`)
      Nothing was changed. Deployer's lock stays also when a deploy was killed.
    hint: wait until that deploy has ended; if there is none, run `dep deploy:unlock`
    "#);
    assert!(matches!(error, Error::Locked { holder, .. } if holder.who == "Bob"));
    assert_eq!(std::fs::read_to_string(scratch.path("app/.dep/deploy.lock")).unwrap(), "Bob\n");
    std::fs::remove_file(scratch.path("app/.dep/deploy.lock")).unwrap();
    let lock = scratch.path("app/.dep/deploy.lock");
    let script = Script {
        run: Box::new(move |task| {
            if task.purpose != release::Purpose::Build {
                return Ok(release::Done::default());
            }
            assert!(std::fs::read_to_string(&lock).unwrap().starts_with("aloud "));
            // Somebody who unlocks and locks again, as Deployer would.
            std::fs::write(&lock, "Bob\n").unwrap();
            Ok(release::Done::default())
        }),
        ..Script::default()
    };
    scratch.deploy_with("one", &script);
    let left = std::fs::read_to_string(scratch.path("app/.dep/deploy.lock")).unwrap();
    assert_eq!(left, "Bob\n", "only our own is removed");
}

#[test]
fn in_an_adopted_tree_prune_keeps_what_others_lead_to_and_asks_about_the_rest() {
    let scratch = deployers();
    scratch.deploy("one");
    let few = Options { keep: Keep { healthy: 1, failed: 0 }, ..options() };
    let script = Script::using(|place| match place.release.as_str() {
        "64" => InUse::Used(vec!["php (1)".into()]),
        _ => InUse::Free,
    });
    prune(&scratch.tree(), &few, &script, false).unwrap();
    assert_eq!(scratch.names("releases"), ["64", "66", "67", "68"], "66 is the way back, `release` leads to 67");
}

#[test]
fn deployers_sixth_version_is_read_too() {
    let scratch = Scratch::new();
    scratch.write("app/.dep/releases", "20260501100000,1\n20260502100000,2\n");
    for release in ["1", "2"] {
        scratch.write(&format!("app/releases/{release}/app"), release);
    }
    assert_eq!(scratch.found("2").created, "2026-05-02T10:00:00Z".parse().ok());
    assert_eq!(scratch.deploy("one").release, id("3"));
}

#[test]
fn capistranos_tree_is_gone_on_with_in_its_own_manner() {
    let scratch = Scratch::new();
    for release in ["20260501100000", "20260502100000"] {
        scratch.write(&format!("app/releases/{release}/app"), release);
    }
    scratch.write(
        "app/revisions.log",
        "Branch main (at 1234abc) deployed as release 20260501100000 by alice\nalice rolled back to release 1\n",
    );
    symlink(scratch.path("app/releases/20260502100000"), scratch.path("app/current")).unwrap();
    assert_eq!(scratch.tree().kind().unwrap(), Kind::Capistrano);
    let found = scratch.found("20260501100000");
    assert_eq!((found.by.as_deref(), found.revision.as_deref()), (Some("alice"), Some("1234abc")));
    assert_eq!(found.created, "2026-05-01T10:00:00Z".parse().ok());
    assert_eq!(scratch.current(), "20260502100000", "an absolute link");
    let release = scratch.deploy("one").release;
    assert!(release.as_str().len() == 14 && release > id("20260502100000"), "{release}");
    let log = std::fs::read_to_string(scratch.path("app/revisions.log")).unwrap();
    let expect = format!("(at 0123abc) deployed as release {release} by alice");
    assert!(log.lines().last().unwrap().ends_with(&expect), "{log}");
}

#[test]
fn ansistranos_tree_is_gone_on_with_in_its_own_manner() {
    let scratch = Scratch::new();
    scratch.write("app/releases/20260501100000Z/app", "x");
    assert_eq!(scratch.tree().kind().unwrap(), Kind::Ansistrano);
    let release = scratch.deploy("one").release;
    assert!(release.as_str().len() == 15 && release.as_str().ends_with('Z'), "{release}");
    assert_eq!(scratch.states()[1], "20260501100000Z found");
    assert!(matches!(scratch.found("20260501100000Z").state, State::Found));
}
