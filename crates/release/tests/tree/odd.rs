//! Trees as they are found, not as they should be.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use job::time::SystemClock;
use release::{Current, Error, Fate, Found, Layout, ReleaseId, Tree, deploy, prune, recover, rollback};

use crate::scratch::{Scratch, Script, id, options};

fn open(root: &Path) -> Result<Tree, Error> {
    Tree::open(Layout::new(root), Arc::new(SystemClock::resume(None)))
}

#[test]
fn a_real_directory_in_the_place_of_current_is_never_replaced() {
    let scratch = Scratch::new();
    scratch.tree();
    scratch.write("app/current/precious", "x");
    assert_eq!(scratch.tree().current().unwrap(), Current::Directory);
    let error = deploy(&scratch.tree(), &scratch.source("one"), &options(), &Script::default()).unwrap_err();
    insta::assert_snapshot!(scratch.message(&error), @r"
    `DIR/app/current` is a real directory (or file), not a link
      Nothing was changed.
    hint: move it away, for instance `mv DIR/app/current DIR/app/current.old`, and try again
    ");
    assert_eq!(scratch.names("releases"), Vec::<String>::new());
    // One that comes between is not replaced either.
    std::fs::remove_dir_all(scratch.path("app/current")).unwrap();
    let current = scratch.path("app/current");
    let script = Script {
        run: Box::new(move |_| {
            std::fs::create_dir_all(&current).unwrap();
            Ok(release::Done::default())
        }),
        ..Script::default()
    };
    let error = deploy(&scratch.tree(), &scratch.source("one"), &options(), &script).unwrap_err();
    assert!(matches!(error, Error::Aborted(_)), "{error}");
    assert!(scratch.path("app/current").is_dir() && scratch.states() == ["1 aborted"]);
}

#[test]
fn a_link_that_leads_nowhere_to_itself_or_elsewhere_is_told_apart_and_replaced() {
    for (text, expect) in [
        ("releases/77", Current::Dangling("releases/77".into())),
        ("current", Current::Loop),
        ("../elsewhere", Current::Elsewhere("../elsewhere".into())),
        ("releases/1/lib", Current::Elsewhere("releases/1/lib".into())),
        ("../elsewhere/file", Current::Elsewhere("../elsewhere/file".into())),
        ("../elsewhere/file/x", Current::Elsewhere("../elsewhere/file/x".into())),
    ] {
        let scratch = Scratch::new();
        scratch.write("elsewhere/file", "x");
        scratch.deploy("one");
        std::fs::remove_file(scratch.path("app/current")).unwrap();
        symlink(text, scratch.path("app/current")).unwrap();
        assert_eq!(scratch.tree().current().unwrap(), expect, "{text}");
        let pruning = prune(&scratch.tree(), &options(), &Script::default(), false).unwrap();
        assert!(pruning.releases.iter().all(|fated| matches!(fated.fate, Fate::Kept(_))), "{text}: {pruning:?}");
        assert!(scratch.deploy("two").is_ok(), "{text}");
        assert_eq!(scratch.version(), "two", "{text}");
    }
}

#[test]
fn current_is_what_the_directory_behind_it_is_whatever_its_text_says() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    std::fs::remove_file(scratch.path("app/current")).unwrap();
    symlink("releases/1", scratch.path("app/other")).unwrap();
    for text in ["other", "./releases/../releases/1/", &scratch.path("app/releases/1").to_string_lossy()] {
        symlink(text, scratch.path("app/current")).unwrap();
        assert_eq!(scratch.current(), "1", "{text}");
        std::fs::remove_file(scratch.path("app/current")).unwrap();
    }
}

#[test]
fn names_with_spaces_newlines_and_deleted_are_releases_and_are_shown_escaped() {
    let scratch = Scratch::new();
    let names = ["67 (deleted)", "two\nlines", "ünder", "a'b"];
    for name in names {
        scratch.write(&format!("app/releases/{name}/app"), name);
    }
    scratch.write("app/releases/.hidden/app", "x");
    scratch.write("app/releases/file", "x");
    let shown: Vec<_> = scratch.tree().releases().unwrap().iter().map(|found| found.id.to_string()).collect();
    for expect in [r#""67 (deleted)""#, r#""two\nlines""#, "ünder", r#""a'b""#] {
        assert!(shown.contains(&expect.to_owned()), "{expect} {shown:?}");
    }
    assert_eq!(shown.len(), names.len(), "{shown:?}");
    for name in names {
        rollback(&scratch.tree(), Some(&id(name)), None, &options(), &Script::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(scratch.version(), name);
        assert_eq!(scratch.tree().current().unwrap().release(), Some(&id(name)));
    }
    assert_eq!(scratch.found("two\nlines").state.word(), "rolled back");
    assert_eq!(scratch.deploy("one").release, id("1"));
}

#[test]
fn what_cannot_be_a_release_has_no_name() {
    let long = "x".repeat(201);
    for wrong in ["", ".", "..", ".trash-1", "a/b", "a\0b", &long] {
        assert!(wrong.parse::<ReleaseId>().is_err(), "{wrong:?}");
    }
    assert!("x".repeat(200).parse::<ReleaseId>().is_ok());
}

#[test]
fn long_names_are_remembered_apart() {
    let scratch = Scratch::new();
    let names: Vec<String> = ["a", "b"].iter().map(|end| format!("{}{end}", "\n".repeat(199))).collect();
    for name in &names {
        scratch.write(&format!("app/releases/{name}/app"), name);
        rollback(&scratch.tree(), Some(&id(name)), None, &options(), &Script::default()).unwrap();
    }
    assert_eq!(scratch.names(".aloud/releases").len(), 2);
}

#[test]
fn a_root_that_is_no_tree_is_refused() {
    let scratch = Scratch::new();
    scratch.write("file", "x");
    let refused = |path: &Path| {
        let error = open(path).err().unwrap_or_else(|| panic!("{path:?} was opened"));
        assert!(matches!(error, Error::Refused(_)));
        scratch.message(&error)
    };
    insta::assert_snapshot!(refused(&scratch.path("nothing")), @r"
    there is no tree of releases at `DIR/nothing`
      Nothing was changed.
    hint: make it with `aloud init`, or name the directory that holds `releases/` and `current`
    ");
    assert!(refused(&scratch.path("file")).contains("is not a directory"));
    assert!(refused(Path::new("relative")).contains("is not absolute"));
}

#[test]
fn a_tree_inside_a_release_is_refused() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    std::fs::create_dir_all(scratch.path("app/releases/1/inner/releases")).unwrap();
    for inner in ["app/releases/1/inner", "app/releases/1", "app/current/inner"] {
        let error = open(&scratch.path(inner)).err().unwrap_or_else(|| panic!("{inner} was opened"));
        assert!(error.message().happened.contains("lies inside a release of"), "{error}");
    }
}

#[test]
fn the_link_may_lie_outside_the_root() {
    let scratch = Scratch::new();
    scratch.tree();
    std::fs::create_dir_all(scratch.path("www/site")).unwrap();
    let layout = Layout { current: "../www/site/live".into(), ..Layout::new(scratch.root()) };
    let tree = Tree::open(layout, Arc::new(SystemClock::resume(None))).unwrap();
    deploy(&tree, &scratch.source("one"), &options(), &Script::default()).unwrap();
    let link = scratch.path("www/site/live");
    assert_eq!(std::fs::read_link(&link).unwrap().to_str(), Some("../../app/releases/1"));
    assert_eq!(std::fs::read_to_string(link.join("app")).unwrap(), "one");
}

#[test]
fn releases_may_be_a_link_to_another_place() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("disk/deep/releases")).unwrap();
    std::fs::create_dir_all(scratch.root()).unwrap();
    symlink(scratch.path("disk/deep/releases"), scratch.path("app/releases")).unwrap();
    scratch.deploy("one");
    scratch.deploy("two");
    assert_eq!(scratch.version(), "two");
    assert_eq!(std::fs::read_to_string(scratch.path("app/current/storage/kept")).unwrap(), "kept");
}

#[test]
fn a_release_that_somebody_removed_is_simply_not_there() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    scratch.deploy("two");
    std::fs::remove_dir_all(scratch.path("app/releases/2")).unwrap();
    assert_eq!(scratch.tree().current().unwrap(), Current::Dangling("releases/2".into()));
    let outcome = rollback(&scratch.tree(), None, None, &options(), &Script::default()).unwrap();
    assert_eq!((outcome.release, outcome.was), (id("1"), None));
    assert_eq!(scratch.deploy("three").release, id("3"));
    std::fs::remove_dir_all(scratch.path("app/releases/1")).unwrap();
    scratch.deploy("four");
    assert_eq!(scratch.names(".aloud/releases"), ["3.json", "4.json"], "what is gone is forgotten");
}

#[test]
fn a_release_that_was_switched_to_by_hand_is_current_and_the_tree_goes_on() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    scratch.deploy("two");
    std::fs::remove_file(scratch.path("app/current")).unwrap();
    symlink("releases/1", scratch.path("app/current")).unwrap();
    assert_eq!(recover(&scratch.tree(), &options(), &Script::default()).unwrap().mended, []);
    let current: Vec<Found> = scratch.tree().releases().unwrap().into_iter().filter(|found| found.current).collect();
    assert_eq!(current[0].id, id("1"));
    assert_eq!(scratch.deploy("three").was, Some(id("1")));
}

#[test]
fn needs_root_a_user_without_rights_is_told_so_and_changes_nothing() {
    let scratch = Scratch::new();
    scratch.deploy("one");
    scratch.source("two");
    let before = scratch.states();
    let as_nobody = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "odd::stranger", "--ignored", "--nocapture"]);
        command.env("TREE_TEST_ROOT", scratch.path("")).uid(65_534).gid(65_534);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).replace(&scratch.path("").display().to_string(), "DIR/")
    };
    std::fs::set_permissions(scratch.path(""), std::fs::Permissions::from_mode(0o700)).unwrap();
    let said = as_nobody();
    assert!(said.contains("cannot open the tree of releases at `DIR/app`: Permission denied"), "{said}");
    std::fs::set_permissions(scratch.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = as_nobody();
    assert!(said.contains("saw release 1"), "to look takes no right to write: {said}");
    assert!(said.contains("cannot write `DIR/app/.aloud/lock`: Permission denied"), "{said}");
    assert!(said.contains("hint: run this as the user whom the tree belongs to"), "{said}");
    assert_eq!(scratch.states(), before);
}

/// What the stranger does.
#[test]
#[ignore = "a part of the test above, which starts it as another user"]
fn stranger() {
    let root = std::env::var("TREE_TEST_ROOT").unwrap();
    let tree = match open(&Path::new(&root).join("app")) {
        Ok(tree) => tree,
        Err(error) => return println!("{error}"),
    };
    println!("saw {}", tree.current().unwrap().release().map_or_else(String::new, |id| format!("release {id}")));
    let build = crate::scratch::build(&Path::new(&root).join("source-two"));
    println!("{}", deploy(&tree, &build, &options(), &Script::default()).unwrap_err());
}
