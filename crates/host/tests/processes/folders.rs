//! A working directory, and what happens to it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use host::{Depth, How, Seen};

use crate::real::{Release, Running, Tree, copy_program, known, look, seen, uses_by, ways};

#[test]
fn a_process_is_in_its_release_and_in_no_other() {
    let tree = Tree::new();
    let (old, new) = (tree.release("65"), tree.release("66"));
    let (worker, stranger) = (Running::in_folder(&old.path), Running::in_folder(&tree.path("releases")));
    for depth in [Depth::Quick, Depth::Full] {
        let scan = look(&[&old, &new], depth);
        assert_eq!(ways(&scan, &worker, &old), [(How::Cwd, old.path.clone(), false)]);
        assert_eq!(ways(&scan, &worker, &new), []);
        assert_eq!(ways(&scan, &stranger, &old), []);
        assert_eq!(seen(&scan, &stranger).uses, []);
        let cwd = known(seen(&scan, &worker).cwd.as_ref());
        assert_eq!((cwd.id, &cwd.path, cwd.deleted), (old.id, &old.path, false));
    }
}

#[test]
fn a_folder_deep_inside_counts_for_its_release() {
    let tree = Tree::new();
    let release = tree.release("65");
    let deep = release.path.join("d/".repeat(300));
    std::fs::create_dir_all(&deep).unwrap();
    let workers = [Running::in_folder(&deep), Running::in_folder(&release.path.join("app/public"))];
    let scan = look(&[&release], Depth::Quick);
    assert!(workers.iter().all(|worker| uses_by(&scan, worker, &release, How::Cwd)));
}

#[test]
fn of_two_targets_in_each_other_the_inner_one_counts() {
    let tree = Tree::new();
    let (inner, outer) = (tree.release("65"), Release::at(&tree.path("releases")));
    let (worker, other) = (Running::in_folder(&inner.path), Running::in_folder(&outer.path));
    let scan = look(&[&outer, &inner], Depth::Quick);
    assert!(uses_by(&scan, &worker, &inner, How::Cwd) && ways(&scan, &worker, &outer).is_empty());
    assert!(uses_by(&scan, &other, &outer, How::Cwd) && ways(&scan, &other, &inner).is_empty());
}

#[test]
fn a_process_started_in_current_stays_in_the_old_release_after_the_switch() {
    let tree = Tree::new();
    let (old, new) = (tree.release("65"), tree.release("66"));
    let current = tree.path("current");
    symlink("releases/65", &current).unwrap();
    let worker = Running::in_folder(&current);
    symlink("releases/66", tree.path("next")).unwrap();
    std::fs::rename(tree.path("next"), &current).unwrap();
    let fresh = Running::in_folder(&current);
    let scan = look(&[&old, &new], Depth::Quick);
    assert!(uses_by(&scan, &worker, &old, How::Cwd) && !uses_by(&scan, &worker, &new, How::Cwd));
    assert!(uses_by(&scan, &fresh, &new, How::Cwd) && !uses_by(&scan, &fresh, &old, How::Cwd));
}

#[test]
fn a_deleted_release_is_still_used_and_told_to_be_deleted() {
    let tree = Tree::new();
    let release = tree.release("65");
    let public = release.path.join("app/public");
    let (top, deep) = (Running::in_folder(&release.path), Running::in_folder(&public));
    release.remove();
    let scan = look(&[&release], Depth::Quick);
    assert_eq!(ways(&scan, &top, &release), [(How::Cwd, release.path.clone(), true)]);
    assert_eq!(ways(&scan, &deep, &release), [(How::Cwd, public, true)]);
}

#[test]
fn a_deleted_release_that_is_not_listed_counts_for_the_folder_around_it() {
    let tree = Tree::new();
    let (release, around) = (tree.release("65"), Release::at(&tree.path("releases")));
    let worker = Running::in_folder(&release.path.join("app"));
    release.remove();
    let next = tree.release("65");
    let scan = look(&[&around, &next], Depth::Quick);
    assert_eq!(ways(&scan, &worker, &around), [(How::Cwd, release.path.join("app"), true)]);
    assert_eq!(ways(&scan, &worker, &next), [], "another folder of the same name");
    assert_eq!(ways(&look(&[&next], Depth::Full), &worker, &next), []);
}

#[test]
fn a_renamed_release_is_the_same_and_a_new_one_of_its_name_is_not() {
    let tree = Tree::new();
    let old = tree.release("65");
    let worker = Running::in_folder(&old.path.join("app/public"));
    let trash = tree.path("releases/.trash-65");
    std::fs::rename(&old.path, &trash).unwrap();
    let new = tree.release("65");
    let scan = look(&[&old, &new], Depth::Quick);
    assert_eq!(ways(&scan, &worker, &old), [(How::Cwd, trash.join("app/public"), false)]);
    assert_eq!(ways(&scan, &worker, &new), []);
}

#[test]
fn a_folder_may_really_be_called_deleted() {
    let tree = Tree::new();
    let (plain, named) = (tree.release("67"), tree.release("67 (deleted)"));
    let (one, two) = (Running::in_folder(&plain.path), Running::in_folder(&named.path));
    let scan = look(&[&plain, &named], Depth::Quick);
    assert_eq!(ways(&scan, &one, &plain), [(How::Cwd, plain.path.clone(), false)]);
    assert_eq!(ways(&scan, &two, &named), [(How::Cwd, named.path.clone(), false)]);
    plain.remove();
    let scan = look(&[&plain, &named], Depth::Quick);
    assert_eq!(ways(&scan, &one, &plain), [(How::Cwd, plain.path.clone(), true)]);
    assert_eq!(ways(&scan, &one, &named), []);
    named.remove();
    let scan = look(&[&plain, &named], Depth::Quick);
    assert_eq!(ways(&scan, &two, &named), [(How::Cwd, named.path.clone(), true)]);
}

#[test]
fn a_name_may_hold_any_byte() {
    let tree = Tree::new();
    for name in [&b"a b"[..], b"line\nend", b"tab\t\\040", b"(S) 1", b"\xff\xfe"] {
        let path = tree.path("releases").join(OsStr::from_bytes(name));
        std::fs::create_dir(&path).unwrap();
        let release = Release::at(&path);
        let program = path.join("a) R (b");
        copy_program("/bin/sleep".as_ref(), &program);
        let worker = Running::start(std::process::Command::new(&program).arg("600").current_dir(&path));
        let scan = look(&[&release], Depth::Full);
        for how in [How::Cwd, How::Exe, How::Map, How::Argument] {
            assert!(uses_by(&scan, &worker, &release, how), "{how:?} {}", path.display());
        }
        let process = seen(&scan, &worker);
        assert_eq!((process.name.as_str(), &process.unseen), ("a) R (b", &Vec::new()));
        assert_eq!(process.exe.as_ref().map(|place| place.path.clone()), Seen::Known(program));
    }
}
