//! The supervisor becomes another program, and keeps its workers.

use std::fs;

use rustix::process::Signal;

use crate::death::Other;
use crate::stage::{Stage, lives, signal, wait};

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
    let stage = Stage::with("1", "echo $$ >>../../pids\nexec sleep 1000\n");
    stage.release("2", "i=0\nwhile [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done\nexit 3\n");
    let other = Other::start(&stage, 1);
    stage.wrote("pids", |text| text.lines().count() == 1).await;
    // It is stopped, so that what follows happens before it looks again.
    signal(other.process.id(), Signal::USR1);
    stage.switch("2");
    let text = stage.wrote("log", |text| text.contains("line 49\n")).await;
    assert!(text.contains(" out line 0\n"), "{text}");
    stage.wrote("events", |text| text.contains("Code(3)")).await;
}
