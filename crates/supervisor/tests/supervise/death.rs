//! Workers, what they started, and the supervisor itself, killed.

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use supervisor::Event;

use crate::stage::{GOOD, Stage, keep, lives, ready, rolled, serving, signal, until, wait};

/// A supervisor in a process of its own.
pub(crate) struct Other {
    pub(crate) process: Child,
}

impl Other {
    pub(crate) fn start(stage: &Stage, count: u16) -> Self {
        let process = Command::new(keep())
            .args(["run".as_ref(), stage.root(), stage.path("run").as_path(), count.to_string().as_ref()])
            .arg("./work")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { process }
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Its guardian ends the rest.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Writes its number and that of a child.
const TELLS: &str = "sleep 1000 &\necho $$ $! >>../../pids\nwait\n";

fn pids(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

async fn gone(pids: &[u32]) {
    wait("all have ended", || pids.iter().all(|pid| !lives(*pid)).then_some(())).await;
}

#[tokio::test]
async fn what_a_worker_started_ends_with_it() {
    // One child of its own session too, which its parent leaves behind.
    let stage = Stage::with(
        "1",
        "setsid sh -c 'echo $$ >>\"$OUT/pids\"; exec sleep 1000' &\n\
         sleep 1000 &\necho $! >>\"$OUT/pids\"\n\"$KEEP\" ready\nwait\n",
    );
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    until(&mut events, rolled("1")).await;
    let children = pids(&stage.wrote("pids", |text| text.lines().count() == 2).await);
    assert!(children.iter().all(|pid| lives(*pid)));
    let (_, worker) = serving(&supervisor.snapshot().await.unwrap()).remove(0);
    signal(worker.pid.unwrap(), Signal::KILL);
    gone(&children).await;
    until(&mut events, ready).await;
    wait("none is left uncollected", || {
        children.iter().all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap()).then_some(())
    })
    .await;
    supervisor.stop().await;
}

#[tokio::test]
async fn orphans_of_workers_are_collected_and_the_children_of_others_are_not() {
    let stage = Stage::with(
        "1",
        "(setsid sh -c 'echo $$ >\"$OUT/orphan\"; sleep 2.5' &)\n\
         (sh -c 'echo $$ >\"$OUT/short\"; sleep 0.2' &)\n\"$KEEP\" ready\nexec sleep 1000\n",
    );
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    until(&mut events, rolled("1")).await;
    // Another part of the program starts a child, and waits for it much later.
    let mut ours = tokio::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    for name in ["short", "orphan"] {
        let pid = pids(&stage.wrote(name, |text| text.ends_with('\n')).await)[0];
        wait(name, || (!fs::exists(format!("/proc/{pid}")).unwrap()).then_some(())).await;
    }
    assert_eq!(ours.wait().await.unwrap().code(), Some(7));
    supervisor.stop().await;
}

#[tokio::test]
async fn needs_root_a_control_group_holds_whatever_a_worker_starts() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("this test needs cgroup2");
    let base =
        std::path::Path::new(mount.split(' ').nth(4).unwrap()).join(format!("aloud-test-{}", std::process::id()));
    // Its environment is emptied, so that nothing else shows where it belongs.
    let stage = Stage::with(
        "1",
        "setsid env -i sh -c 'echo $$ >\"$0/pid\"; trap \"\" TERM; while :; do sleep 0.1; done' \"$OUT\" &\n\
         \"$KEEP\" ready\nexec sleep 1000\n",
    );
    let mut options = stage.options();
    options.cgroups = supervisor::cgroup::Choice::At(base.clone());
    let mut pool = stage.pool(1);
    pool.stop.within = job::Span::from_millis(300);
    let supervisor = supervisor::Supervisor::start(options, vec![pool]).await.unwrap();
    let mut events = supervisor.events();
    until(&mut events, rolled("1")).await;
    let child = pids(&stage.wrote("pid", |text| text.ends_with('\n')).await);
    let snapshot = supervisor.snapshot().await.unwrap();
    let (_, worker) = serving(&snapshot).remove(0);
    let group = fs::read_to_string(format!("/proc/{}/cgroup", child[0])).unwrap();
    let id = worker.id.unwrap().to_string();
    assert!(snapshot.cgroups && group.lines().any(|line| line.starts_with("0::") && line.ends_with(&id)), "{group}");
    signal(worker.pid.unwrap(), Signal::KILL);
    gone(&child).await;
    until(&mut events, ready).await;
    supervisor.stop().await;
    assert_eq!(fs::read_dir(base.join("workers")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(), 0);
    fs::remove_dir(base.join("workers")).unwrap();
    fs::remove_dir(base).unwrap();
}

#[tokio::test]
async fn whoever_does_not_end_when_asked_is_killed_in_time() {
    let stage = Stage::with("1", "trap '' TERM\n\"$KEEP\" ready\nwhile :; do sleep 0.1; done\n");
    let mut pool = stage.pool(1);
    pool.stop.within = job::Span::from_millis(400);
    let (supervisor, mut events) = stage.start(pool).await;
    until(&mut events, rolled("1")).await;
    supervisor.stop().await;
    until(&mut events, |event| matches!(event, Event::Killed { .. })).await;
}

#[tokio::test]
async fn the_guardian_ends_all_when_the_supervisor_is_killed() {
    let stage = Stage::with("1", TELLS);
    let mut other = Other::start(&stage, 2);
    let found = pids(&stage.wrote("pids", |text| text.lines().count() == 2).await);
    assert_eq!(found.len(), 4);
    other.kill();
    gone(&found).await;
    wait("the guardian has cleaned up", || {
        (fs::read_dir(stage.path("run/workers")).unwrap().count() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_guardian_also_finds_whoever_went_astray_and_whoever_is_recorded_no_more() {
    let stage = Stage::with("1", "setsid sleep 1000 &\necho $$ $! >>../../pids\nwait\n");
    let mut other = Other::start(&stage, 2);
    let found = pids(&stage.wrote("pids", |text| text.lines().count() == 2).await);
    for record in fs::read_dir(stage.path("run/workers")).unwrap().take(1) {
        fs::remove_file(record.unwrap().path()).unwrap();
    }
    other.kill();
    gone(&found).await;
}

fn guardian_of(agent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{agent}/task/{agent}/children")).ok()?;
    let mut all: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    for task in fs::read_dir(format!("/proc/{agent}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(text.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
    }
    all.into_iter()
        .find(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|t| t.contains("\0guardian\0")))
}

#[tokio::test]
async fn when_both_are_killed_the_next_supervisor_ends_what_is_left() {
    let stage = Stage::with("1", TELLS);
    let mut other = Other::start(&stage, 1);
    let found = pids(&stage.wrote("pids", |text| text.lines().count() == 1).await);
    let guardian = wait("the guardian", || guardian_of(other.process.id())).await;
    signal(other.process.id(), Signal::STOP);
    signal(guardian, Signal::KILL);
    other.kill();
    assert!(found.iter().all(|pid| lives(*pid)), "nobody ended them");
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    assert!(found.iter().all(|pid| !lives(*pid)), "they were ended before anything was started");
    until(&mut events, |event| *event == Event::LeftoversEnded { workers: 1 }).await;
    supervisor.stop().await;
}

#[tokio::test]
async fn a_guardian_that_dies_is_started_again() {
    let stage = Stage::with("1", GOOD);
    let mut other = Other::start(&stage, 1);
    let first = wait("the guardian", || guardian_of(other.process.id())).await;
    signal(first, Signal::KILL);
    stage.wrote("events", |text| text.contains("GuardianRestarted")).await;
    let second = wait("the next guardian", || guardian_of(other.process.id()).filter(|pid| *pid != first)).await;
    assert!(lives(second));
    other.kill();
    gone(&[second]).await;
}

#[tokio::test]
async fn a_folder_belongs_to_one_supervisor() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, _events) = stage.start(stage.pool(1)).await;
    let second = supervisor::Supervisor::start(stage.options(), vec![stage.pool(1)]).await;
    let Err(error) = second else { panic!("two began") };
    let shown = error.to_string().replace(&stage.root().display().to_string(), "DIR");
    insta::assert_snapshot!(shown, @r"
    cannot supervise workers: cannot have its folder `DIR/run` alone: Resource temporarily unavailable (os error 11)
      No worker was started.
    hint: end the other agent first
    ");
    supervisor.stop().await;
}
