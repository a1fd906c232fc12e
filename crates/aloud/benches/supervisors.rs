//! How long a killed worker is missed: from SIGKILL to the first act of its
//! successor, beside other supervisors, in one run on one machine.
//!
//! `cargo bench -p aloud --bench supervisors`. Needs Debian's `supervisor`,
//! `runit` and `s6`; one that is missing is left out and said so. Each has the
//! same worker (this very program), ten instances of it, and each instance is
//! killed once after it has lived for two seconds, which is longer than any of
//! them wants to believe that it is up.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and what is unexpected ends it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

/// How many instances, and so kills.
const INSTANCES: usize = 10;
/// How long each must have lived.
const LIVED: Duration = Duration::from_secs(2);
/// The longest that a successor is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a supervisor over a folder of its own; none if it is not installed.
type Start = fn(&Path) -> Option<Child>;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--worker") {
        work(Path::new(&args[at + 1]));
    }
    let folder = tempfile::Builder::new().prefix("aloud-bench-").tempdir().unwrap();
    let own = own_start(folder.path());
    println!("the program's own start   median {:>8.1} ms", own);
    // Each with the signal that ends it together with what it started.
    let all: [(&str, Start, Signal); 4] = [
        ("aloud", aloud, Signal::TERM),
        ("supervisord", supervisord, Signal::TERM),
        ("runit", runit, Signal::HUP),
        ("s6", s6, Signal::TERM),
    ];
    for (name, start, signal) in all {
        let dir = folder.path().join(name);
        fs::create_dir_all(dir.join("stamps")).unwrap();
        match start(&dir) {
            Some(child) => {
                let missed = measure(&dir);
                end(child, signal);
                let (median, worst) = (missed[missed.len() / 2], missed[missed.len() - 1]);
                println!(
                    "{name:<14} killed to started   median {median:>8.1} ms   worst {worst:>8.1} ms   beyond its own start {:>8.1} ms",
                    median - own
                );
            }
            None => println!("{name:<14} is not installed, and was left out"),
        }
    }
}

/// The worker: stamps its file with its number and the time, and waits.
fn work(stamp: &Path) -> ! {
    let text = format!("{} {}\n", std::process::id(), now_ms());
    let draft = stamp.with_extension(std::process::id().to_string());
    fs::write(&draft, text).unwrap();
    fs::rename(&draft, stamp).unwrap();
    // Whoever wants to know that it is ready is told so; of those here, one does.
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        UnixDatagram::unbound().unwrap().send_to(b"READY=1", socket).unwrap();
    }
    loop {
        std::thread::park();
    }
}

fn now_ms() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}

fn program() -> PathBuf {
    std::env::current_exe().unwrap()
}

fn stamp(dir: &Path, instance: usize) -> PathBuf {
    dir.join("stamps").join(instance.to_string())
}

fn read(path: &Path) -> Option<(i32, f64)> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, at) = text.trim().split_once(' ')?;
    Some((pid.parse().ok()?, at.parse().ok()?))
}

/// Waits until the stamp is another process's.
fn until(path: &Path, not: Option<i32>) -> (i32, f64) {
    let began = now_ms();
    loop {
        match read(path) {
            Some((pid, at)) if Some(pid) != not => return (pid, at),
            Some(_) | None => {}
        }
        assert!(now_ms() - began < PATIENCE.as_secs_f64() * 1e3, "nobody stamped {}", path.display());
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn own_start(folder: &Path) -> f64 {
    let path = folder.join("own");
    let mut took: Vec<f64> = (0..INSTANCES)
        .map(|_| {
            let began = now_ms();
            let mut child = Command::new(program()).arg("--worker").arg(&path).spawn().unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            let at = loop {
                match read(&path) {
                    Some((by, at)) if by == pid => break at,
                    Some(_) | None => std::thread::sleep(Duration::from_micros(200)),
                }
            };
            child.kill().unwrap();
            child.wait().unwrap();
            at - began
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

fn measure(dir: &Path) -> Vec<f64> {
    let first: Vec<_> = (0..INSTANCES).map(|instance| until(&stamp(dir, instance), None)).collect();
    let newest = first.iter().map(|(_, at)| *at).fold(0.0, f64::max);
    std::thread::sleep(LIVED.saturating_sub(Duration::from_secs_f64((now_ms() - newest).max(0.0) / 1e3)));
    let mut missed: Vec<f64> = first
        .into_iter()
        .enumerate()
        .map(|(instance, (pid, _))| {
            let killed = now_ms();
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
            until(&stamp(dir, instance), Some(pid)).1 - killed
        })
        .collect();
    missed.sort_by(f64::total_cmp);
    missed
}

/// Ends a supervisor and what it started.
fn end(mut child: Child, signal: Signal) {
    kill_process(Pid::from_child(&child), signal).ok();
    for _ in 0..200 {
        if child.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn quiet(command: &mut Command, dir: &Path) -> Option<Child> {
    let log = fs::File::create(dir.join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().ok()
}

fn aloud(dir: &Path) -> Option<Child> {
    let program = program();
    let mut config = String::from(
        "app = \"bench\"\n[server]\ndata = \"data\"\nhttp = \"127.0.0.1:0\"\n[agent]\nhost = \"bench\"\n\
         [release]\nroot = \"srv\"\n",
    );
    for instance in 0..INSTANCES {
        config.push_str(&format!(
            "[[worker]]\nname = \"w{instance}\"\ncommand = [{program:?}, \"--worker\", {:?}]\nready = \"notify\"\n\
             stop = {{ within = \"1s\" }}\n",
            stamp(dir, instance)
        ));
    }
    fs::write(dir.join("aloud.toml"), config).unwrap();
    fs::create_dir_all(dir.join("srv/releases/1")).unwrap();
    std::os::unix::fs::symlink("releases/1", dir.join("srv/current")).unwrap();
    let aloud = env!("CARGO_BIN_EXE_aloud");
    let mut init =
        Command::new(aloud).args(["server", "--init"]).current_dir(dir).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(init.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"));
    end(init, Signal::TERM);
    quiet(Command::new(aloud).arg("up").current_dir(dir), dir)
}

fn supervisord(dir: &Path) -> Option<Child> {
    let mut config = format!("[supervisord]\nnodaemon=true\nlogfile={0}/sup.log\npidfile={0}/sup.pid\n", dir.display());
    for instance in 0..INSTANCES {
        config.push_str(&format!(
            "[program:w{instance}]\ncommand={} --worker {}\nautorestart=true\nstartsecs=1\nstopasgroup=true\n",
            program().display(),
            stamp(dir, instance).display()
        ));
    }
    fs::write(dir.join("sup.conf"), config).unwrap();
    quiet(Command::new("supervisord").args(["-n", "-c"]).arg(dir.join("sup.conf")), dir)
}

/// Service folders as runit and s6 read them.
fn services(dir: &Path) -> PathBuf {
    let scan = dir.join("services");
    for instance in 0..INSTANCES {
        let service = scan.join(format!("w{instance}"));
        fs::create_dir_all(&service).unwrap();
        let run = format!("#!/bin/sh\nexec {} --worker {}\n", program().display(), stamp(dir, instance).display());
        fs::write(service.join("run"), run).unwrap();
        fs::set_permissions(service.join("run"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    scan
}

fn runit(dir: &Path) -> Option<Child> {
    quiet(Command::new("runsvdir").arg(services(dir)), dir)
}

fn s6(dir: &Path) -> Option<Child> {
    quiet(Command::new("s6-svscan").arg(services(dir)), dir)
}
