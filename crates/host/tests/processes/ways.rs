//! The other ways in which a process uses a folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use host::{Blind, Depth, How, Process, Seen};

use crate::real::{
    Release, Running, Tree, copy_program, is_certain, kill_uncollected, known, look, seen, until, uses_by, ways,
};

/// A copy of `sleep` in the release, running, its working directory elsewhere.
fn program(release: &Release) -> (PathBuf, Running) {
    let program = release.path.join("app/worker");
    copy_program("/bin/sleep".as_ref(), &program);
    let running = Running::start(Command::new(&program).arg("600").current_dir("/"));
    (program, running)
}

#[test]
fn a_program_that_lies_in_a_release_is_a_use_of_it() {
    let tree = Tree::new();
    let release = tree.release("65");
    let (path, running) = program(&release);
    let scan = look(&[&release], Depth::Quick);
    assert_eq!(
        ways(&scan, &running, &release),
        [(How::Exe, path.clone(), false), (How::Argument, path.clone(), false)]
    );
    let full = look(&[&release], Depth::Full);
    assert!(uses_by(&full, &running, &release, How::Map));
    release.remove();
    let scan = look(&[&release], Depth::Full);
    let found = ways(&scan, &running, &release);
    assert!(found.contains(&(How::Exe, path.clone(), true)) && found.contains(&(How::Map, path, true)), "{found:?}");
}

#[test]
fn a_program_is_followed_when_its_release_is_renamed() {
    let tree = Tree::new();
    let release = tree.release("65");
    let (_, running) = program(&release);
    let trash = tree.path("trash");
    std::fs::rename(&release.path, &trash).unwrap();
    let other = tree.release("65");
    let scan = look(&[&release, &other], Depth::Full);
    let found = ways(&scan, &running, &release);
    assert!(found.contains(&(How::Exe, trash.join("app/worker"), false)), "{found:?}");
    assert!(uses_by(&scan, &running, &release, How::Map));
    assert!(!uses_by(&scan, &running, &other, How::Exe) && !uses_by(&scan, &running, &other, How::Map));
}

#[test]
fn a_deleted_program_that_has_another_name_elsewhere_is_deleted_all_the_same() {
    let tree = Tree::new();
    let release = tree.release("65");
    let (path, running) = program(&release);
    std::fs::hard_link(&path, tree.path("kept")).unwrap();
    release.remove();
    let scan = look(&[&release], Depth::Quick);
    assert!(ways(&scan, &running, &release).contains(&(How::Exe, path, true)));
}

#[test]
fn a_program_that_was_replaced_in_a_release_counts_for_it() {
    let tree = Tree::new();
    let release = tree.release("65");
    let (path, running) = program(&release);
    std::fs::write(tree.path("new"), "another").unwrap();
    std::fs::rename(tree.path("new"), &path).unwrap();
    // Renamed besides, so that no name leads from the program to the release.
    let unnamed = Release { id: release.id, path: "/nowhere".into() };
    let scan = look(&[&unnamed], Depth::Quick);
    assert_eq!(ways(&scan, &running, &unnamed), [(How::Exe, path, true)]);
}

#[test]
fn a_script_that_its_interpreter_has_open_is_seen_by_a_full_look() {
    let tree = Tree::new();
    let release = tree.release("65");
    std::fs::write(release.path.join("app/work er"), "echo ready; read line\n").unwrap();
    let running = Running::ready(Command::new("sh").arg("work er").current_dir(release.path.join("app")));
    let script = release.path.join("app/work er");
    let check = |deleted: bool, other: &Release| {
        let scan = look(&[&release, other], Depth::Full);
        let found = ways(&scan, &running, &release);
        assert!(found.contains(&(How::OpenFile, script.clone(), deleted)), "{found:?}");
        assert!(!uses_by(&scan, &running, other, How::OpenFile));
    };
    let other = tree.release("66");
    check(false, &other);
    release.remove();
    check(true, &other);
}

#[test]
fn an_open_folder_is_a_use_also_after_it_was_renamed() {
    let tree = Tree::new();
    let release = tree.release("65");
    let open = std::fs::File::open(&release.path).unwrap();
    let running = Running::start(Command::new("sleep").arg("600").stdin(open).current_dir("/"));
    let trash = tree.path("trash");
    std::fs::rename(&release.path, &trash).unwrap();
    let scan = look(&[&release], Depth::Full);
    assert_eq!(ways(&scan, &running, &release), [(How::OpenFile, trash, false)]);
    assert_eq!(ways(&look(&[&release], Depth::Quick), &running, &release), []);
}

#[test]
fn a_mapped_library_is_a_use_before_and_after_it_is_deleted() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let library = maps.lines().find_map(|line| Some(&line[line.find("/")?..]).filter(|path| path.contains("/libc.so")));
    let tree = Tree::new();
    let release = tree.release("65");
    let copy = release.path.join("app/lib a.so");
    std::fs::copy(library.unwrap(), &copy).unwrap();
    // A path in `LD_PRELOAD` may not hold a space.
    std::os::unix::fs::symlink(&copy, tree.path("preload.so")).unwrap();
    let running = Running::ready(
        Command::new("sh")
            .args(["-c", "echo ready; read line"])
            .current_dir("/")
            .env("LD_PRELOAD", tree.path("preload.so")),
    );
    let scan = look(&[&release], Depth::Full);
    let found = ways(&scan, &running, &release);
    assert!(found.contains(&(How::Map, copy.clone(), false)), "{found:?}");
    release.remove();
    let scan = look(&[&release], Depth::Full);
    let found = ways(&scan, &running, &release);
    assert!(found.contains(&(How::Map, copy, true)), "{found:?}");
}

#[test]
fn a_path_in_the_command_line_is_a_use_and_one_in_the_environment_is_only_named() {
    let tree = Tree::new();
    let (old, new) = (tree.release("65"), tree.release("66"));
    let mut command = Command::new("sh");
    command.args(["-c", "echo ready; read line", "sh", &format!("--file={}/artisan", old.path.display())]);
    let running = Running::ready(command.current_dir("/").env("BUNDLE_GEMFILE", new.path.join("Gemfile")));
    let scan = look(&[&old, &new], Depth::Quick);
    assert_eq!(ways(&scan, &running, &old), [(How::Argument, old.path.join("artisan"), false)]);
    let scan = look(&[&old, &new], Depth::Full);
    let users = scan.users_of(new.id);
    assert!(!is_certain(&users, running.id));
    let (_, named) = users.named.iter().find(|(process, _)| process.id == running.id).unwrap();
    assert_eq!((named[0].how, &named[0].path), (How::Variable, &new.path.join("Gemfile")));
    let Seen::Known(command) = &seen(&scan, &running).command else { panic!("no command line") };
    assert_eq!((command[0].as_os_str(), command.len()), (Path::new("sh").as_os_str(), 5));
}

#[test]
fn a_process_that_has_ended_uses_nothing_even_before_it_is_collected() {
    let tree = Tree::new();
    let release = tree.release("65");
    let mut running = Running::in_folder(&release.path);
    kill_uncollected(&mut running);
    let scan = look(&[&release], Depth::Full);
    assert_eq!(scan.process(running.id), None);
    assert!(!scan.faceless.iter().any(|(pid, _)| *pid == running.id.pid));
}

#[test]
fn threads_of_the_kernel_are_neither_users_nor_unknown() {
    let tree = Tree::new();
    let scan = look(&[&tree.release("65")], Depth::Full);
    assert!(scan.processes.iter().any(|process| process.id == known(host::process::this())));
    let kernel = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "kthreadd\n");
    assert!(!kernel(2) || scan.processes.iter().all(|process| process.id.pid != 2 && process.parent != 2));
}

#[test]
fn nobody_uses_a_release_once_its_last_process_has_ended() {
    let tree = Tree::new();
    let release = tree.release("65");
    let running = Running::in_folder(&release.path.join("app"));
    let scan = look(&[&release], Depth::Full);
    let users = scan.users_of(release.id);
    assert!(is_certain(&users, running.id) && !users.is_nobody());
    running.end();
    let scan = look(&[&release], Depth::Full);
    let users = scan.users_of(release.id);
    assert_eq!(users.certain, []);
    // What is denied here depends on the machine; nothing may be left in doubt.
    let raced = |process: &&&Process| process.unseen.iter().any(|unseen| unseen.why == Blind::Raced);
    assert_eq!(users.possible.iter().find(raced), None);
    let all_seen = users.possible.is_empty() && users.faceless.is_empty() && users.hidden.is_none();
    assert_eq!(users.is_nobody(), all_seen);
    assert!(!look(&[&release], Depth::Quick).users_of(release.id).is_nobody(), "a quick look cannot tell");
}

#[test]
fn a_process_that_passes_its_place_on_is_never_missed() {
    let tree = Tree::new();
    let release = tree.release("65");
    // Each starts the next and ends, so that nearly all have ended when looked at.
    std::fs::write(tree.path("relay"), "[ -e \"$1\" ] || sh \"$0\" \"$1\" &\n").unwrap();
    let stop = tree.path("stop");
    let mut first = Command::new("sh");
    first.arg(tree.path("relay")).arg(&stop).current_dir(&release.path);
    assert!(first.status().unwrap().success());
    let missed = (0..20)
        .filter(|_| {
            let scan = look(&[&release], Depth::Full);
            let users = scan.users_of(release.id);
            let admitted = users.possible.iter().flat_map(|process| &process.unseen).map(|unseen| &unseen.why);
            users.certain.is_empty() && !admitted.chain(users.hidden).any(|why| *why == Blind::Raced)
        })
        .count();
    std::fs::write(&stop, "").unwrap();
    until("the last of them has ended", || look(&[&release], Depth::Full).users_of(release.id).certain.is_empty());
    assert_eq!(missed, 0);
}
