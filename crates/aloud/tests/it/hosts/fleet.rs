//! Three hosts, each with its own sshd, tree and agent, and somebody elsewhere
//! who deploys to them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

use crate::agent::site::{Site, WORK};
use crate::scratch::{PATIENCE, Said, Scratch};

/// What the hosts are called.
pub(super) const NAMES: [&str; 3] = ["web1", "web2", "web3"];
/// Ends at once on a host that has a file `bad`, and works on others.
const WORKS_OR_NOT: &str = "import os, sys\nif os.path.exists(os.environ['BOOK'] + '.bad'): sys.exit('no database')\n";

/// The hosts, and the folder of the one who deploys.
pub(super) struct Fleet {
    // Ends before the folders go.
    sshds: Vec<Child>,
    pub(super) sites: Vec<Site>,
    pub(super) scratch: Scratch,
}

impl Fleet {
    /// Hosts whose `[release]` says this besides the usual, with one worker
    /// each.
    pub(super) fn new(release: &str) -> Self {
        Self::with([release; 3])
    }

    /// The same, each with its own.
    pub(super) fn with(release: [&str; 3]) -> Self {
        let mut fleet = Self::unmanned(release);
        for site in &mut fleet.sites {
            site.start();
        }
        fleet
    }

    /// The same without agents.
    pub(super) fn unmanned(release: [&str; 3]) -> Self {
        let sites: Vec<_> = release.iter().map(|release| Site::new(release, "count = 1")).collect();
        let scratch = Scratch::new();
        key(&scratch.path().join("host_key"));
        key(&scratch.path().join("user_key"));
        let mut fleet = Self { sshds: Vec::new(), sites, scratch };
        let mut config = String::new();
        for (place, name) in NAMES.iter().enumerate() {
            let port = fleet.start_sshd(place);
            config.push_str(&format!("Host {name}\n  HostName 127.0.0.1\n  Port {port}\n"));
        }
        let home = fleet.scratch.path().display();
        config.push_str(&format!(
            "Host *\n  IdentityFile {home}/user_key\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
             UserKnownHostsFile {home}/known_hosts\n  StrictHostKeyChecking yes\n"
        ));
        fleet.scratch.write("ssh_config", &config);
        fleet
    }

    fn start_sshd(&mut self, place: usize) -> u16 {
        // As root it wants this folder, which the system makes at its start.
        if rustix::process::getuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let home = self.scratch.path().display().to_string();
        let config = self.scratch.write(
            &format!("sshd_config.{place}"),
            &format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {home}/host_key\nAuthorizedKeysFile {home}/user_key.pub\n\
                 PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\nPermitRootLogin yes\nSetEnv SITE={}\n",
                self.sites[place].scratch.path().display()
            ),
        );
        let log = self.scratch.path().join(format!("sshd.{place}.log"));
        let mut sshd = Command::new(sshd());
        sshd.arg("-D").arg("-e").arg("-f").arg(config);
        sshd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        self.sshds.push(sshd.spawn().expect("this test needs sshd: install openssh-server"));
        until("sshd listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let key = std::fs::read_to_string(self.scratch.path().join("host_key.pub")).unwrap();
        let known = self.scratch.path().join("known_hosts");
        let before = std::fs::read_to_string(&known).unwrap_or_default();
        std::fs::write(known, format!("{before}[127.0.0.1]:{port} {key}")).unwrap();
        port
    }

    /// `args` and how to reach these hosts.
    pub(super) fn args(&self, args: &[&str], names: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        all.extend(names.iter().flat_map(|name| ["--host".to_owned(), (*name).to_owned()]));
        all.push(format!("--ssh-option=-F{}/ssh_config", self.scratch.path().display()));
        all.extend(["--remote-config", "aloud.toml", "--remote-aloud"].map(str::to_owned));
        all.push(format!("cd \"$SITE\" && {}", env!("CARGO_BIN_EXE_aloud")));
        all
    }

    /// A command of the one who deploys, about all hosts.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let args = self.args(args, &NAMES);
        self.scratch.aloud(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(super) fn run(&self, args: &[&str]) -> Said {
        self.scratch.end(self.command(args))
    }

    /// The source of a version.
    pub(super) fn source(&self, version: &str) -> String {
        let folder = self.scratch.path().join(format!("v{version}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("VERSION"), format!("{version}\n")).unwrap();
        std::fs::write(folder.join("work.py"), format!("{WORKS_OR_NOT}{WORK}")).unwrap();
        folder.display().to_string()
    }

    /// Deploys a version to all.
    pub(super) fn deploy(&self, version: &str, args: &[&str]) -> Said {
        self.run(&[&["deploy", &self.source(version)], args].concat())
    }

    /// Starts to.
    pub(super) fn begin(&self, version: &str) -> Running {
        let log = self.scratch.path().join(format!("deploy.{version}.log"));
        // A host may still be at the end of the one before.
        let mut command = self.command(&["deploy", &self.source(version), "--wait", "20s"]);
        command.stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
        Running { child: Some(command.spawn().unwrap()), log }
    }

    /// A file of a host's own, beside its tree.
    pub(super) fn file(&self, place: usize, name: &str) -> PathBuf {
        self.sites[place].scratch.path().join(name)
    }

    /// Which version is current on each host.
    pub(super) fn versions(&self) -> Vec<String> {
        let version = |site: &Site| std::fs::read_to_string(site.root().join("current/VERSION")).unwrap_or_default();
        self.sites.iter().map(|site| version(site).trim().to_owned()).collect()
    }

    /// The state of a release on each host.
    pub(super) fn states(&self, release: &str) -> Vec<String> {
        self.sites.iter().map(|site| state(site, release)).collect()
    }

    /// Waits until it is so.
    #[track_caller]
    pub(super) fn until_states(&self, release: &str, wanted: [&str; 3]) {
        until(&format!("{release} {wanted:?}"), || self.states(release) == wanted);
    }

    /// The workers of each host.
    pub(super) fn pids(&self) -> Vec<std::collections::BTreeSet<u32>> {
        self.sites.iter().map(Site::pids).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for sshd in &mut self.sshds {
            drop(sshd.kill());
            drop(sshd.wait());
        }
    }
}

/// A deploy that runs.
pub(super) struct Running {
    child: Option<Child>,
    log: PathBuf,
}

impl Running {
    /// What it has said so far.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until each host is making the release, and the last has made it.
    #[track_caller]
    pub(super) fn until_all_have_begun(&self) {
        for name in NAMES {
            self.until_said(name, "create");
        }
        self.until_said("web3", "seal");
    }

    /// Waits until it has said this of a host.
    #[track_caller]
    pub(super) fn until_said(&self, host: &str, step: &str) {
        let start = format!("{host}  {step}");
        until(&start, || {
            assert!(!self.log().contains("error: "), "{}", self.log());
            self.log().lines().any(|line| line.starts_with(&start))
        });
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The `ssh` that it has started for a host.
    pub(super) fn ssh(&self, host: &str) -> Pid {
        let own = self.pid().as_raw_nonzero().get().to_string();
        let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let path = entry.unwrap().path();
            let stat = std::fs::read_to_string(path.join("stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.to_owned();
            let line = std::fs::read(path.join("cmdline")).ok()?;
            let is_it = line.starts_with(b"ssh\0") && line.split(|byte| *byte == 0).any(|arg| arg == host.as_bytes());
            (parent == own && is_it).then(|| path.file_name().unwrap().to_string_lossy().parse().unwrap())
        });
        let found: Vec<i32> = children.collect();
        assert_eq!(found.len(), 1, "{found:?}");
        Pid::from_raw(found[0]).unwrap()
    }

    /// Waits for its end.
    #[track_caller]
    pub(super) fn ends(mut self, scratch: &Scratch, code: i32) -> Said {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let said = Said {
            code: output.status.code().unwrap_or(-1),
            out: scratch.told(&String::from_utf8(output.stdout).unwrap()),
            err: scratch.told(&self.log()),
        };
        said.ends(code)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn state(site: &Site, release: &str) -> String {
    let said = site.run(&["releases", "--json"]).fine();
    let all: Value = said.json();
    let one = all.as_array().unwrap().iter().find(|one| one["id"] == release);
    one.map_or_else(|| "none".to_owned(), |one| one["state"].as_str().unwrap().to_owned())
}

fn key(path: &Path) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(path);
    assert!(command.status().expect("this test needs ssh-keygen: install openssh-client").success());
}

/// It wants to be started by its whole path.
fn sshd() -> PathBuf {
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"];
    let found = folders.map(|folder| Path::new(folder).join("sshd")).into_iter().find(|path| path.exists());
    found.expect("this test needs sshd: install openssh-server")
}

#[track_caller]
pub(super) fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not so in time: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}
