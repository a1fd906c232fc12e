//! What may not be seen is unknown, and never a no.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;

use host::socket::owners_of;
use host::{Blind, Depth, How, ProcessId, Seen};

use crate::real::{Release, Running, Tree, again, is_certain, known, look, succeeds, told};

const NOBODY: u32 = 65_534;

#[test]
fn needs_root_another_users_process_is_unknown_and_not_elsewhere() {
    let Some(pid) = told("PID") else {
        let tree = Tree::new();
        let release = tree.release("65");
        let running = Running::in_folder(&release.path);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut command = again("denied::needs_root_another_users_process_is_unknown_and_not_elsewhere", &tree, &[]);
        command.uid(NOBODY).gid(NOBODY).current_dir("/").env("PID", running.id.pid.to_string());
        command.env("RELEASE", &release.path).env("ENDS", format!("{} {}", ends(&ours).0, ends(&ours).1));
        return succeeds(&mut command);
    };
    let release = Release::at(told("RELEASE").unwrap().as_ref());
    let id: ProcessId = known(host::process::of(pid.parse().unwrap()));
    for depth in [Depth::Quick, Depth::Full] {
        let scan = look(&[&release], depth);
        let process = scan.process(id).unwrap();
        assert_eq!((&process.cwd, &process.exe), (&Seen::Unknown(Blind::Denied), &Seen::Unknown(Blind::Denied)));
        assert_eq!((&process.uid, process.name.as_str()), (&Seen::Known(0), "sleep"));
        assert!(matches!(&process.command, Seen::Known(command) if command.len() == 2));
        assert!(process.unseen.iter().any(|unseen| unseen.how == How::Cwd && unseen.why == Blind::Denied));
        let users = scan.users_of(release.id);
        assert!(!is_certain(&users, id) && users.possible.iter().any(|process| process.id == id));
        assert!(!users.is_nobody());
        assert!(scan.processes.iter().all(|process| process.parent != 2 || process.name != "kthreadd"));
    }
    let ends = told("ENDS").unwrap();
    let (local, remote) = ends.split_once(' ').unwrap();
    assert_eq!(owners_of(local.parse().unwrap(), remote.parse().unwrap()), Seen::Unknown(Blind::Denied));
    // Its own process is as clear to it as ever.
    let worker = Running::in_folder(&release.path);
    assert!(is_certain(&look(&[&release], Depth::Full).users_of(release.id), worker.id));
}

fn ends(stream: &TcpStream) -> (std::net::SocketAddr, std::net::SocketAddr) {
    (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
}

#[test]
fn needs_root_hidden_processes_are_not_taken_for_none() {
    let Some(expected) = told("HIDEPID") else {
        for hidepid in ["0", "1", "2", "4"] {
            let tree = Tree::new();
            let release = tree.release("65");
            let running = Running::in_folder(&release.path);
            let script = format!(
                "mount -t proc -o hidepid={hidepid} proc /proc && \
                 exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups \"$@\""
            );
            let around = ["unshare", "--mount", "sh", "-c", &script, "sh"];
            let mut command = again("denied::needs_root_hidden_processes_are_not_taken_for_none", &tree, &around);
            command.current_dir("/").env("PID", running.id.pid.to_string()).env("RELEASE", &release.path);
            succeeds(command.env("HIDEPID", hidepid));
        }
        return;
    };
    let release = Release::at(told("RELEASE").unwrap().as_ref());
    let pid: i32 = told("PID").unwrap().parse().unwrap();
    let scan = look(&[&release], Depth::Full);
    let users = scan.users_of(release.id);
    assert!(!users.is_nobody(), "{users:?}");
    match expected.as_str() {
        "0" => assert!(users.possible.iter().any(|process| process.id.pid == pid)),
        "1" => assert!(users.faceless.contains(&(pid, Blind::Denied))),
        "2" | "4" => {
            assert!(scan.processes.iter().all(|process| process.id.pid != pid));
            assert_eq!(users.hidden, Some(&Blind::Hidden));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn needs_root_whoever_lives_in_a_container_does_not_see_all() {
    if told("INSIDE").is_none() {
        let tree = Tree::new();
        let around = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let mut command = again("denied::needs_root_whoever_lives_in_a_container_does_not_see_all", &tree, &around);
        return succeeds(command.env("INSIDE", tree.path("releases")));
    }
    let release = Release::at(told("INSIDE").unwrap().as_ref());
    let scan = look(&[&release], Depth::Full);
    assert_eq!(scan.hidden, Some(Blind::Outside));
    assert!(!scan.users_of(release.id).is_nobody());
}

#[test]
fn needs_root_a_folder_mounted_into_a_container_is_a_use() {
    let tree = Tree::new();
    let (old, new) = (tree.release("65"), tree.release("66"));
    std::fs::create_dir(tree.path("www")).unwrap();
    let start = |release: &Release| {
        let script = "mount --bind \"$1\" \"$2\" && cd / && echo ready && read line";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg("65/app/public").arg("../www");
        Running::ready(command.current_dir(release.path.parent().unwrap()))
    };
    let container = start(&old);
    let scan = look(&[&old, &new], Depth::Full);
    let uses = |release: &Release| {
        let users = scan.users_of(release.id);
        users
            .certain
            .iter()
            .filter(|(process, _)| process.id == container.id)
            .flat_map(|(_, uses)| uses.clone())
            .count()
    };
    assert_eq!((uses(&old), uses(&new)), (1, 0));
    assert_eq!(scan.process(container.id).unwrap().uses[0].how, How::Mount);
    old.remove();
    let scan = look(&[&old, &new], Depth::Full);
    let found = &scan.process(container.id).unwrap().uses;
    assert!(matches!(&found[..], [one] if one.deleted && one.target == old.id), "{found:?}");
}
