//! What a release can be made from, and what is refused.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use release::{Build, Error, Pack, Source, deploy};

use crate::scratch::{Scratch, Script, options};

fn deployed(scratch: &Scratch, build: &Build) -> PathBuf {
    let outcome = deploy(&scratch.tree(), build, &options(), &Script::default());
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
    scratch.tree().path_of(&outcome.release)
}

fn refused(scratch: &Scratch, build: &Build) -> String {
    let error = deploy(&scratch.tree(), build, &options(), &Script::default()).unwrap_err();
    assert!(matches!(error, Error::Aborted(_)), "{error}");
    scratch.message(&error)
}

/// A tarball with these entries.
fn tarball(scratch: &Scratch, name: &str, fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Build {
    let mut tar = tar::Builder::new(Vec::new());
    fill(&mut tar);
    let bytes = tar.into_inner().unwrap();
    let path = scratch.path(name);
    if name.ends_with(".tar") {
        std::fs::write(&path, bytes).unwrap();
    } else {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &bytes).unwrap();
        std::fs::write(&path, packed.finish().unwrap()).unwrap();
    }
    Build::new(Source::parse(&path.to_string_lossy(), None, Path::new("/")).unwrap())
}

/// An entry whose path is written as it is, whatever it says.
fn entry(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, path: &str, text: &str) {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    let link = kind.is_symlink() || kind.is_hard_link();
    if link {
        header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
    }
    header.set_size(if link { 0 } else { text.len() as u64 });
    header.set_cksum();
    tar.append(&header, if link { &[] } else { text.as_bytes() }).unwrap();
}

fn file(tar: &mut tar::Builder<Vec<u8>>, path: &str, text: &str) {
    entry(tar, tar::EntryType::Regular, path, text);
}

#[test]
fn a_folder_is_copied_with_its_modes_and_links_and_without_what_is_left_out() {
    let scratch = Scratch::new();
    let run = scratch.write("source/bin/run", "#!/bin/sh\n");
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).unwrap();
    scratch.write("source/closed/file", "x");
    std::fs::set_permissions(scratch.path("source/closed"), std::fs::Permissions::from_mode(0o500)).unwrap();
    scratch.write("source/.git/config", "x");
    scratch.write("source/node_modules/a", "x");
    scratch.write("source/lib/node_modules/a", "x");
    scratch.write("source/doc/secret", "x");
    scratch.write("source/lib/doc/secret", "x");
    symlink("bin/run", scratch.path("source/run")).unwrap();
    symlink("/nowhere", scratch.path("source/dangling")).unwrap();
    let mut build = Build::new(Source::Folder(scratch.path("source")));
    build.exclude = vec!["node_modules".into(), "doc/secret".into()];
    let release = deployed(&scratch, &build);
    assert_eq!(std::fs::metadata(release.join("bin/run")).unwrap().mode() & 0o777, 0o755);
    assert_eq!(std::fs::metadata(release.join("closed")).unwrap().mode() & 0o777, 0o700, "its owner can remove it");
    assert_eq!(std::fs::read_link(release.join("run")).unwrap(), Path::new("bin/run"));
    assert_eq!(std::fs::read_link(release.join("dangling")).unwrap(), Path::new("/nowhere"));
    for out in [".git", "node_modules", "lib/node_modules", "doc/secret"] {
        assert!(!release.join(out).exists(), "{out}");
    }
    assert!(release.join("lib/doc/secret").exists(), "only the path that was named");
}

#[test]
fn a_folder_with_a_socket_or_with_the_tree_itself_is_refused() {
    let scratch = Scratch::new();
    scratch.write("source/file", "x");
    let _socket = std::os::unix::net::UnixListener::bind(scratch.path("source/socket")).unwrap();
    let said = refused(&scratch, &Build::new(Source::Folder(scratch.path("source"))));
    assert!(said.contains("`DIR/source/socket`: it is a socket, a pipe or a device"), "{said}");
    let said = refused(&scratch, &Build::new(Source::Folder(scratch.path(""))));
    assert!(said.contains("would be copied into itself"), "{said}");
}

#[test]
fn tarballs_are_unpacked_packed_or_not() {
    for name in ["a.tar", "a.tar.gz", "a.tgz"] {
        let scratch = Scratch::new();
        let build = tarball(&scratch, name, |tar| {
            entry(tar, tar::EntryType::XGlobalHeader, "pax_global_header", "52 comment=0123\n");
            entry(tar, tar::EntryType::Directory, "./lib/", "");
            file(tar, "./lib/part", "part");
            file(tar, "app", "old");
            file(tar, "app", "new");
            entry(tar, tar::EntryType::Symlink, "link", "lib/part");
            entry(tar, tar::EntryType::Link, "second", "lib/part");
        });
        let release = deployed(&scratch, &build);
        for (path, expect) in [("lib/part", "part"), ("app", "new"), ("link", "part"), ("second", "part")] {
            assert_eq!(std::fs::read_to_string(release.join(path)).unwrap(), expect, "{name} {path}");
        }
    }
}

#[test]
fn the_one_folder_of_a_tarball_is_left_away_if_that_is_asked_for() {
    let scratch = Scratch::new();
    let mut build = tarball(&scratch, "a.tar", |tar| {
        entry(tar, tar::EntryType::Directory, "app-1.0/", "");
        file(tar, "app-1.0/app", "x");
        entry(tar, tar::EntryType::Link, "app-1.0/second", "app-1.0/app");
    });
    build.strip = true;
    let release = deployed(&scratch, &build);
    assert_eq!(std::fs::read_to_string(release.join("second")).unwrap(), "x");
}

#[test]
fn nothing_in_a_tarball_gets_out_of_the_release() {
    type Fill = fn(&mut tar::Builder<Vec<u8>>);
    let dirty: [(&str, Fill); 7] = [
        ("a path upwards", |tar| file(tar, "../evil", "x")),
        ("a path upwards inside", |tar| file(tar, "lib/../../evil", "x")),
        ("an absolute path", |tar| file(tar, "/evil", "x")),
        ("a path through a link", |tar| {
            entry(tar, tar::EntryType::Symlink, "out", "..");
            file(tar, "out/evil", "x");
        }),
        ("a folder through a link", |tar| {
            entry(tar, tar::EntryType::Symlink, "out", "..");
            entry(tar, tar::EntryType::Directory, "out/evil", "");
        }),
        ("a second name of a file outside", |tar| {
            entry(tar, tar::EntryType::Link, "evil", "../../.aloud/lock");
        }),
        ("a device", |tar| entry(tar, tar::EntryType::Char, "evil", "")),
    ];
    for strip in [false, true] {
        for (what, fill) in dirty {
            let scratch = Scratch::new();
            scratch.deploy("one");
            let mut build = tarball(&scratch, "a.tar", fill);
            build.strip = strip && !what.contains("device") && !what.contains("link") && !what.contains("second");
            let said = refused(&scratch, &build);
            assert!(said.contains("Nothing was switched: `current` is release 1"), "{what}: {said}");
            for evil in ["app/evil", "app/releases/evil", "evil"] {
                assert!(scratch.path(evil).symlink_metadata().is_err(), "{what}: {evil}");
            }
            assert!(!Path::new("/evil").exists(), "{what}");
        }
    }
}

#[test]
fn a_file_is_not_written_through_a_link_that_stands_in_its_place() {
    let scratch = Scratch::new();
    scratch.write("app/shared/precious", "precious");
    let build = tarball(&scratch, "a.tar", |tar| {
        entry(tar, tar::EntryType::Symlink, "file", "../../shared/precious");
        file(tar, "file", "evil");
    });
    let release = deployed(&scratch, &build);
    assert_eq!(std::fs::read_to_string(release.join("file")).unwrap(), "evil");
    assert_eq!(std::fs::read_to_string(scratch.path("app/shared/precious")).unwrap(), "precious");
}

#[test]
fn a_tarball_that_is_cut_off_or_empty_is_refused() {
    let scratch = Scratch::new();
    let build = tarball(&scratch, "a.tar.gz", |tar| file(tar, "app", &"x".repeat(100_000)));
    let bytes = std::fs::read(scratch.path("a.tar.gz")).unwrap();
    std::fs::write(scratch.path("a.tar.gz"), &bytes[..bytes.len() / 2]).unwrap();
    refused(&scratch, &build);
    let said = refused(&scratch, &tarball(&scratch, "b.tar", |_| {}));
    assert!(said.contains("there is nothing in it"), "{said}");
    std::fs::write(scratch.path("c.tar"), "this is no tarball").unwrap();
    refused(&scratch, &Build::new(Source::Tarball(scratch.path("c.tar"))));
    assert!(scratch.path("app/current").symlink_metadata().is_err());
}

fn git(at: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(at).args(["-c", "user.name=alice", "-c", "user.email=alice@localhost"]).args(args);
    let output = command.output().expect("this test needs git");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn needs_git_a_branch_a_tag_and_a_commit_are_taken_with_their_whole_hash() {
    let scratch = Scratch::new();
    let repository = scratch.path("repository");
    std::fs::create_dir(&repository).unwrap();
    git(&repository, &["init", "--quiet", "--initial-branch=main"]);
    let commit = |version: &str| {
        scratch.write("repository/app", version);
        git(&repository, &["add", "."]);
        git(&repository, &["commit", "--quiet", "-m", version]);
        git(&repository, &["rev-parse", "HEAD"])
    };
    let first = commit("one");
    git(&repository, &["tag", "-a", "v1", "-m", "v1"]);
    let second = commit("two");
    let check = |reference: &str, version: &str, hash: &str| {
        let text = format!("{}#{reference}", repository.display());
        let source = Source::parse(&text, None, Path::new("/")).unwrap();
        let release = deployed(&scratch, &Build::new(source));
        assert_eq!(std::fs::read_to_string(release.join("app")).unwrap(), version, "{reference}");
        assert_eq!(std::fs::read_to_string(release.join("REVISION")).unwrap().trim(), hash, "{reference}");
        assert!(!release.join(".git").exists());
    };
    check("main", "two", &second);
    check("v1", "one", &first);
    check(&first[..10], "one", &first);
    // What is pushed later, and what is rewritten, is seen.
    git(&repository, &["reset", "--quiet", "--hard", "v1"]);
    let third = commit("three");
    check("main", "three", &third);
    let source = Source::Git { repository: repository.display().to_string(), reference: "nothing".into() };
    let said = refused(&scratch, &Build::new(source));
    assert!(said.contains("there is no such branch, tag or commit"), "{said}");
    let source = Source::Git { repository: scratch.path("nowhere").display().to_string(), reference: "main".into() };
    let said = refused(&scratch, &Build::new(source));
    assert!(said.contains("with git: "), "{said}");
}

#[test]
fn what_is_packed_for_another_host_becomes_the_same_release_there() {
    let scratch = Scratch::new();
    let long = "a/".to_owned() + &"long".repeat(50);
    let from = scratch.path("from");
    std::fs::create_dir_all(from.join("bin/skipped")).unwrap();
    std::fs::create_dir_all(from.join(".git")).unwrap();
    std::fs::create_dir_all(from.join("a")).unwrap();
    std::fs::write(from.join("bin/skipped/x"), "x").unwrap();
    std::fs::write(from.join("bin/run"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(from.join("bin/run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(from.join(&long), "deep").unwrap();
    symlink("bin/run", from.join("link")).unwrap();
    let pack = Pack::new(&Source::Folder(from)).unwrap();
    let file = scratch.path("received");
    pack.write(&["skipped".into()], &mut std::fs::File::create(&file).unwrap()).unwrap();
    let release = deployed(&scratch, &Build::new(Source::Received { shown: "ute's build".into(), file }));
    assert_eq!(std::fs::read_to_string(release.join(&long)).unwrap(), "deep");
    assert_eq!(std::fs::metadata(release.join("bin/run")).unwrap().mode() & 0o777, 0o755);
    assert_eq!(std::fs::read_link(release.join("link")).unwrap(), Path::new("bin/run"));
    assert!(!release.join("bin/skipped").exists() && !release.join(".git").exists());
}

#[test]
fn a_packed_tarball_goes_as_it_is_and_is_known_without_its_name() {
    let scratch = Scratch::new();
    let built = tarball(&scratch, "made.tar.gz", |tar| file(tar, "made/VERSION", "1"));
    let received = scratch.path("received");
    Pack::new(&built.source).unwrap().write(&[], &mut std::fs::File::create(&received).unwrap()).unwrap();
    let source = Source::Received { shown: "made.tar.gz".into(), file: received };
    let release = deployed(&scratch, &Build { strip: true, ..Build::new(source) });
    assert_eq!(std::fs::read_to_string(release.join("VERSION")).unwrap(), "1");
}
