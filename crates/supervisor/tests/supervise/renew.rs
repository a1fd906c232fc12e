//! The supervisor becomes another program, and keeps its workers.

use std::fs;

use rustix::process::Signal;
use supervisor::{Event, Exit};

use crate::death::Other;
use crate::stage::{GOOD, Stage, held, lives, rolled, serving, signal, until, wait};

/// Counts aloud, a hundred times a second, in pieces that are not lines.
const COUNTS: &str = "echo $$ >>../../pids\ni=0\nwhile :; do printf 'number '; sleep 0.01; echo $i; i=$((i+1)); done\n";

fn numbers(log: &str) -> Vec<u64> {
    log.lines().map(|line| line.rsplit_once("out number ").unwrap().1.parse().unwrap()).collect()
}

#[tokio::test]
async fn workers_keep_their_processes_and_no_line_is_lost() {
    let stage = Stage::with("1", COUNTS);
    let other = Other::start(&stage, 1);
    let enough = |least: usize| move |text: &str| text.lines().count() >= least && text.ends_with('\n');
    stage.wrote("log", enough(20)).await;
    let pid: u32 = fs::read_to_string(stage.path("pids")).unwrap().trim().parse().unwrap();
    for round in 2..5 {
        let before = fs::read_to_string(stage.path("log")).unwrap().lines().count();
        signal(other.process.id(), Signal::USR1);
        stage.wrote("log", enough(before + 60)).await;
        assert!(lives(pid), "round {round}");
    }
    let found = numbers(&stage.wrote("log", enough(1)).await);
    let expect: Vec<u64> = (0..found.len() as u64).collect();
    assert_eq!(found, expect, "each line once, whole, and in its order");
    assert_eq!(fs::read_to_string(stage.path("pids")).unwrap().lines().count(), 1, "no other was started");

    // It is still a child of the same process, whose end is seen and made good.
    signal(pid, Signal::KILL);
    let pids = stage.wrote("pids", |text| text.lines().count() == 2).await;
    let next: u32 = pids.lines().last().unwrap().parse().unwrap();
    signal(other.process.id(), Signal::TERM);
    wait("all have ended", || (!lives(next)).then_some(())).await;
}

#[tokio::test]
async fn a_worker_that_ends_meanwhile_is_heard_to_the_end() {
    let script = "\"$KEEP\" ready\nprintf 'half '\nread line <\"$OUT/go\"\necho a line\ni=0\n\
                  while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done\nexit 3\n";
    let stage = Stage::with("1", script);
    rustix::fs::mkfifoat(rustix::fs::CWD, stage.path("go"), rustix::fs::Mode::RWXU).unwrap();
    let mut pool = stage.pool(1);
    pool.log.file = Some(stage.path("log"));
    let (supervisor, mut events) = stage.start(pool.clone()).await;
    until(&mut events, rolled("1")).await;
    let (_, worker) = serving(&supervisor.snapshot().await.unwrap()).remove(0);
    supervisor.handoff().await.unwrap();
    assert!(supervisor.snapshot().await.is_err(), "nobody supervises now");

    // Between the two programs it writes, and ends.
    fs::write(stage.path("go"), "go\n").unwrap();
    wait("it has ended", || (!lives(worker.pid.unwrap())).then_some(())).await;

    let (supervisor, mut events) = stage.start(pool).await;
    let seen = until(&mut events, |event| matches!(event, Event::Ended { .. })).await;
    let Some(Event::Ended { worker: ended_worker, ended, last, .. }) = seen.last() else { panic!() };
    assert_eq!((Some(ended_worker), ended.exit), (worker.id.as_ref(), Exit::Code(3)));
    assert_eq!((last.stdout.len(), last.stdout.last().map(String::as_str)), (20, Some("line 49")));
    assert!(!seen.iter().any(|event| matches!(event, Event::LeftoversEnded { .. })), "{seen:#?}");
    let text = stage.wrote("log", |text| text.contains("line 49\n")).await;
    assert_eq!(text.lines().count(), 51, "{text}");
    assert!(text.contains(" out half a line\n") && text.contains(" out line 0\n"), "{text}");
    supervisor.stop().await;
}

#[tokio::test]
async fn what_was_held_is_held_by_the_next_program_too() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(2)).await;
    until(&mut events, rolled("1")).await;
    stage.release("2", "exit 1\n");
    stage.switch("2");
    until(&mut events, held).await;
    let before = serving(&supervisor.snapshot().await.unwrap());
    supervisor.handoff().await.unwrap();
    let (supervisor, _events) = stage.start(stage.pool(2)).await;
    let after = supervisor.snapshot().await.unwrap();
    let pids = |workers: &[(String, supervisor::WorkerView)]| workers.iter().map(|(_, w)| w.pid).collect::<Vec<_>>();
    assert_eq!(pids(&serving(&after)), pids(&before));
    assert!(after.pools[0].held.is_some());
    supervisor.stop().await;
}

#[tokio::test]
async fn a_hand_over_that_cannot_be_written_down_changes_nothing() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(2)).await;
    until(&mut events, rolled("1")).await;
    let before = serving(&supervisor.snapshot().await.unwrap());
    for in_the_way in ["state.room", "state.json"] {
        fs::create_dir(stage.path("run").join(in_the_way)).unwrap();
        let failed = supervisor.handoff().await.unwrap_err();
        assert!(failed.to_string().starts_with("cannot hand the workers over: "), "{failed}");
        let after = serving(&supervisor.snapshot().await.unwrap());
        assert_eq!(
            after.iter().map(|(_, worker)| worker.pid).collect::<Vec<_>>(),
            before.iter().map(|(_, worker)| worker.pid).collect::<Vec<_>>()
        );
        fs::remove_dir(stage.path("run").join(in_the_way)).unwrap();
    }
    // They are still looked after.
    signal(before[0].1.pid.unwrap(), Signal::KILL);
    until(&mut events, |event| matches!(event, Event::Ready { .. })).await;
    supervisor.stop().await;
}
