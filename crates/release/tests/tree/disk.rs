//! A disk that fills up, at every step.
//!
//! The disk is a small tmpfs, which only root can mount.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use release::{Build, Error, Progress, Reserve, Source, Step, deploy, recover, rollback};

use crate::scratch::{Scratch, Script, build, options};

struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, with: &str) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test mounts a tmpfs, which needs root; `scripts/test --quick` leaves it out"
        );
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", with, "aloud-test"]).arg(at).status().unwrap();
        assert!(mounted.success(), "mount: {mounted}");
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Takes all that is free on the disk, down to the last byte.
fn fill(at: &Path) {
    let mut file = OpenOptions::new().append(true).create(true).open(at.join("filler")).unwrap();
    loop {
        match file.write_all(&[0; 4_096]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A tree on a disk of its own, with two releases.
fn small() -> (Scratch, Disk) {
    let scratch = Scratch::new();
    let disk = Disk::mount(&scratch.root(), "size=4m");
    scratch.deploy("one");
    scratch.deploy("two");
    scratch.source("three");
    (scratch, disk)
}

#[test]
fn needs_root_a_disk_that_fills_up_at_any_step_leaves_a_whole_release_current() {
    use Step::*;
    let before = [Create, Fill, Shared, Build, BootCheck, Seal, Barrier, Switch];
    let after = [Roll, Verify, Commit, Prune];
    for full_at in before.into_iter().chain(after) {
        let (scratch, disk) = small();
        let root = disk.0.clone();
        let script = Script {
            heard: Box::new(move |told| {
                if matches!(told, Progress::Begins(step, _) if *step == full_at) {
                    fill(&root);
                }
            }),
            ..Script::default()
        };
        let done = deploy(&scratch.tree(), &build(&scratch.path("source-three")), &options(), &script);
        match done {
            Err(Error::Aborted(message)) => {
                assert!(before.contains(&full_at), "{full_at:?}: {message}");
                assert!(message.happened.contains("No space left on device"), "{full_at:?}: {message}");
                assert!(message.means.starts_with("Nothing was switched"), "{full_at:?}: {message}");
                assert!(message.hint.contains("make room"), "{full_at:?}: {message}");
                assert_eq!(scratch.version(), "two", "{full_at:?}");
                assert_eq!(scratch.names("releases"), ["1", "2"], "{full_at:?}: what was made is of no use");
            }
            Err(error) => panic!("{full_at:?}: {error}"),
            Ok(outcome) => {
                // To link what is shared makes room; to begin, to fill and to seal need some.
                assert!(![Create, Fill, Seal].contains(&full_at), "{full_at:?}: {outcome:?}");
                assert_eq!(scratch.version(), "three", "{full_at:?}");
            }
        }
        std::fs::remove_file(disk.0.join("filler")).unwrap();
        recover(&scratch.tree(), &options(), &Script::default()).unwrap();
        assert!(scratch.deploy("four").is_ok(), "{full_at:?}");
        assert_eq!(scratch.version(), "four", "{full_at:?}");
    }
}

#[test]
fn needs_root_on_a_full_disk_one_can_still_go_back() {
    let (scratch, disk) = small();
    fill(&disk.0);
    let outcome = rollback(&scratch.tree(), None, None, &options(), &Script::default());
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scratch.version(), "one", "{outcome:?}");
}

#[test]
fn needs_root_what_would_not_fit_is_refused_before_it_is_begun() {
    let (scratch, _disk) = small();
    let mut options = options();
    options.reserve = Reserve { bytes: 5 << 20, inodes: 0 };
    let error = deploy(&scratch.tree(), &scratch.source("three"), &options, &Script::default()).unwrap_err();
    let Error::Refused(message) = error else { panic!("{error}") };
    assert!(message.happened.starts_with("there is no room for another release: "), "{message}");
    options.reserve = Reserve { bytes: 0, inodes: u64::MAX };
    let error = deploy(&scratch.tree(), &scratch.source("three"), &options, &Script::default()).unwrap_err();
    assert!(error.message().happened.contains("room for"), "{error}");
    assert_eq!(scratch.names("releases"), ["1", "2"]);
}

#[test]
fn needs_root_a_source_larger_than_the_disk_leaves_nothing_behind() {
    let (scratch, _disk) = small();
    scratch.write("large/app", &"x".repeat(8 << 20));
    let large = Build::new(Source::Folder(scratch.path("large")));
    let error = deploy(&scratch.tree(), &large, &options(), &Script::default()).unwrap_err();
    assert!(error.message().happened.contains("No space left on device"), "{error}");
    assert_eq!(scratch.names("releases"), ["1", "2"]);
    assert!(scratch.deploy("three").is_ok());
}

#[test]
fn needs_root_a_tree_that_is_mounted_read_only_is_seen_and_not_changed() {
    let (scratch, disk) = small();
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&disk.0).status().unwrap();
    assert!(remounted.success());
    let error = deploy(&scratch.tree(), &scratch.source("three"), &options(), &Script::default()).unwrap_err();
    insta::assert_snapshot!(scratch.message(&error), @r"
    cannot write `DIR/app/.aloud/lock`: Read-only file system (os error 30)
      Nothing was changed.
    hint: that file system is mounted read-only: see `dmesg` for why, and mount it for writing
    ");
    assert_eq!(scratch.current(), "2");
}
