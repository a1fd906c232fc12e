//! A tree of releases in a temporary folder, and a supervisor over it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use job::Span;
use job::time::SystemClock;
use supervisor::{
    Code, Dir, Event, NoCode, NoHooks, Options, Pool, Ready, Rolled, Snapshot, Source, State, Supervisor, WorkerView,
    cgroup,
};
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;
use tokio::time::{Instant, sleep, timeout};

/// How long a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Says that it is ready, and stays.
pub(crate) const GOOD: &str = "\"$KEEP\" ready\nexec sleep 1000\n";

/// The program that launches and guards, built from `examples/keep.rs`.
pub(crate) fn keep() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own.parent().unwrap().parent().unwrap().join("examples/keep");
    assert!(found.exists(), "`{}` is missing: `cargo build --examples` makes it", found.display());
    found
}

pub(crate) struct Stage {
    folder: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("releases")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a release whose `work` is this shell script.
    pub(crate) fn release(&self, name: &str, script: &str) -> PathBuf {
        let dir = self.path("releases").join(name);
        fs::create_dir_all(&dir).unwrap();
        let work = dir.join("work");
        fs::write(&work, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&work, fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    /// Turns `current` to a release in one step, as deployers do.
    pub(crate) fn switch(&self, name: &str) {
        let new = self.path("new");
        symlink(format!("releases/{name}"), &new).unwrap();
        fs::rename(new, self.path("current")).unwrap();
    }

    pub(crate) fn with(name: &str, script: &str) -> Self {
        let stage = Self::new();
        stage.release(name, script);
        stage.switch(name);
        stage
    }

    pub(crate) fn pool(&self, count: u16) -> Pool {
        let mut pool = Pool::new("mail".parse().unwrap(), vec!["./work".into()], count);
        pool.ready = Ready::Notify;
        pool.env.insert("KEEP".into(), keep().to_string_lossy().into_owned());
        pool.env.insert("OUT".into(), self.root().to_string_lossy().into_owned());
        pool.stop.within = Span::from_secs(5);
        pool
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            run_dir: self.path("run"),
            launcher: vec![keep().into(), "launch".into()],
            guardian: vec![keep().into(), "guardian".into()],
            clock: Arc::new(SystemClock::resume(None)),
            source: Arc::new(Link(self.path("current"))),
            quiet: Arc::new(NoHooks),
            quiet_within: Span::from_secs(1),
            cgroups: cgroup::Choice::Off,
            env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        }
    }

    pub(crate) async fn start(&self, pool: Pool) -> (Supervisor, Receiver<Event>) {
        let supervisor = Supervisor::start(self.options(), vec![pool]).await.unwrap();
        let events = supervisor.events();
        (supervisor, events)
    }

    /// What workers wrote into the file `name`, waited for until it fits.
    pub(crate) async fn wrote(&self, name: &str, fits: impl Fn(&str) -> bool) -> String {
        let path = self.path(name);
        let found = wait(name, || fs::read_to_string(&path).ok().filter(|text| fits(text)));
        found.await
    }
}

struct Link(PathBuf);

impl Source for Link {
    fn resolve(&self) -> Result<Code, NoCode> {
        let none = |error: std::io::Error| NoCode { why: format!("`current` leads nowhere: {error}") };
        let dir = self.0.canonicalize().map_err(none)?;
        let is = Dir::at(&dir).map_err(none)?;
        let id = dir.file_name().unwrap().to_string_lossy().into_owned();
        Ok(Code { id, dir, is, logical: self.0.clone(), env: vec![("ALOUD_APP".into(), "shop".into())] })
    }
}

/// Waits until something is there.
pub(crate) async fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for an event, and gives all until then.
pub(crate) async fn until(events: &mut Receiver<Event>, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    let all = async {
        loop {
            let event = events.recv().await.unwrap();
            let done = fits(&event);
            seen.push(event);
            if done {
                return;
            }
        }
    };
    let found = timeout(PATIENCE, all).await;
    assert!(found.is_ok(), "it did not happen within {PATIENCE:?}; this did: {seen:#?}");
    seen
}

pub(crate) fn rolled(release: &str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Rolled { release: found, .. } if found == release)
}

pub(crate) fn ready(event: &Event) -> bool {
    matches!(event, Event::Ready { .. })
}

pub(crate) fn held(event: &Event) -> bool {
    matches!(event, Event::Held { .. })
}

pub(crate) async fn finish(rolling: supervisor::Rolling) -> Rolled {
    timeout(PATIENCE, rolling.finish()).await.unwrap()
}

/// The workers that are ready, with their releases.
pub(crate) fn serving(snapshot: &Snapshot) -> Vec<(String, WorkerView)> {
    let ready = snapshot.workers().filter(|(_, _, worker)| matches!(worker.state, State::Ready { .. }));
    ready.map(|(_, generation, worker)| (generation.release.clone(), worker.clone())).collect()
}

/// Whether a process is there and has not ended.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}
