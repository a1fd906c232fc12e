//! A folder of a test's own, the commands that are run there, and the servers
//! that live there. Whatever was started ends with it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use aloud_client::{Api, Settings, Token};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

/// Longer than anything here takes, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of a test's own.
pub(crate) struct Scratch(TempDir);

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("aloud-test-").tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `aloud` in this folder, with nothing of the tester's own environment
    /// that it would listen to.
    pub(crate) fn aloud(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aloud"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ALOUD_") {
                command.env_remove(name);
            }
        }
        command.env("USER", "ute").env_remove("SUDO_USER").env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.end(self.aloud(args))
    }

    /// Runs a command to its end, with `input` on its stdin.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Said {
        let mut command = self.aloud(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that has heard enough closes its end, and that is its right.
        drop(child.stdin.take().unwrap().write_all(input));
        self.said(child.wait_with_output().unwrap())
    }

    pub(crate) fn end(&self, mut command: Command) -> Said {
        self.said(command.output().unwrap())
    }

    fn said(&self, output: std::process::Output) -> Said {
        let text = |bytes: Vec<u8>| self.told(&String::from_utf8(bytes).unwrap());
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// A text with this folder's name replaced, to be compared.
    pub(crate) fn told(&self, text: &str) -> String {
        text.replace(&self.path().display().to_string(), "DIR")
    }

    /// Starts a server on a free port over the store in `data`, created if it
    /// is not there.
    pub(crate) fn server(&self) -> Server {
        self.start(&["server", "--data", "data", "--init", "--http", "127.0.0.1:0"])
    }

    /// Starts what serves until it is stopped, and waits until it is ready.
    pub(crate) fn start(&self, args: &[&str]) -> Server {
        Server::start(self, self.aloud(args)).unwrap_or_else(|said| panic!("{args:?} did not start: {}", said.err))
    }
}

impl Said {
    /// What it said, if it did what it was asked to.
    #[track_caller]
    pub(crate) fn fine(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// Its output as JSON.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    /// Where it listens, if it does.
    pub(crate) url: String,
    pub(crate) token_file: PathBuf,
}

impl Server {
    /// Starts it, and waits until it is ready; or answers what it said instead.
    pub(crate) fn start(scratch: &Scratch, mut command: Command) -> Result<Self, Said> {
        let log = tempfile::Builder::new().prefix("log-").tempfile_in(scratch.path()).unwrap();
        let (errors, log) = log.keep().unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let token_file = scratch.path().join("data/token");
        let mut server = Self { child, log, url: String::new(), token_file };
        let mut out = String::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) if line == "ready" => return Ok(server),
                Ok(line) => {
                    if let Some(address) = line.strip_prefix("listening http ") {
                        server.url = format!("http://{address}");
                    }
                    out.push_str(&line);
                }
                Err(RecvTimeoutError::Timeout) => panic!("neither ready nor gone: {}", server.log()),
                Err(RecvTimeoutError::Disconnected) => {
                    let code = server.ended().code().unwrap_or(-1);
                    return Err(Said { code, out: scratch.told(&out), err: scratch.told(&server.log()) });
                }
            }
        }
    }

    /// What it wrote to stderr.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// `args` and how to reach this server.
    pub(crate) fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let reach = ["--url", &self.url, "--token-file", self.token_file.to_str().unwrap()];
        args.iter().copied().chain(reach).collect()
    }

    /// Runs a command that talks to this server.
    pub(crate) fn run(&self, scratch: &Scratch, args: &[&str]) -> Said {
        scratch.run(&self.args(args))
    }

    /// The server's routes.
    pub(crate) fn api(&self) -> Api {
        let token = Token::from_file(&self.token_file).unwrap();
        Api::new(Settings::new(self.url.clone(), Some(token))).unwrap()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Asks it to stop, and waits until it has.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// SIGKILL: it gets no chance to end in order.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.ended();
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        for _ in 0..PATIENCE.as_millis() / 5 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("it did not end: {}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let before = self.child.try_wait();
        // It may have ended before; then there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            drop(writeln!(std::io::stderr(), "the server had ended: {before:?}; its log:\n{}", self.log()));
        }
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { break };
            if to.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Runs what talks to a server from within a test.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.unwrap() })
}

/// The mode of a file.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    File::open(path).unwrap().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
}
