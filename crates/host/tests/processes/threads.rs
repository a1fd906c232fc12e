//! Threads that differ from their process.

use std::process::Command;

use host::{Depth, How, Seen};

use crate::real::{Running, Tree, look, uses_by};

#[test]
fn needs_python3_a_thread_in_a_folder_of_its_own_is_a_use() {
    let tree = Tree::new();
    let release = tree.release("65");
    let script = "
import ctypes, os, sys, threading
def work():
    assert ctypes.CDLL(None).unshare(0x200) == 0
    os.chdir(sys.argv[1])
    print('ready', flush=True)
    sys.stdin.read()
threading.Thread(target=work).start()
";
    let running = Running::ready(python(script).arg(release.path.join("app")).current_dir("/"));
    let other = tree.release("66");
    let scan = look(&[&release, &other], Depth::Full);
    assert!(uses_by(&scan, &running, &release, How::Cwd) && !uses_by(&scan, &running, &other, How::Cwd));
}

#[test]
fn needs_python3_a_process_whose_first_thread_has_ended_is_seen_through_another() {
    let tree = Tree::new();
    let release = tree.release("65");
    let script = "
import ctypes, sys, threading, time
def work():
    while open('/proc/self/stat').read().rsplit(')')[1].split()[0] != 'Z':
        time.sleep(0.001)
    print('ready', flush=True)
    sys.stdin.read()
threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)
";
    let running = Running::ready(python(script).current_dir(&release.path));
    for depth in [Depth::Quick, Depth::Full] {
        let scan = look(&[&release], depth);
        assert!(uses_by(&scan, &running, &release, How::Cwd));
        let process = scan.process(running.id).unwrap();
        assert_eq!(process.unseen, []);
        assert!(matches!(&process.command, Seen::Known(command) if command.iter().any(|text| text == "-c")));
    }
}

fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", script]);
    command
}
