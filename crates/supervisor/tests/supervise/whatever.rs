//! Deploys good and bad, removals, kills and restarts in any order.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use supervisor::{Scope, Supervisor};
use tokio::time::sleep;

use crate::stage::{GOOD, Stage, lives, rolled, serving, signal, until};

/// Numbers that look like chance, and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

async fn play(seed: u64) {
    let stage = Stage::with("0", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(3)).await;
    until(&mut events, rolled("0")).await;
    let mut dice = Dice(seed);
    let mut releases = vec!["0".to_owned()];
    let mut seen = Vec::new();
    for step in 1..40 {
        one(&stage, &supervisor, &mut dice, &mut releases, step).await;
        sleep(Duration::from_millis(u64::try_from(dice.below(250)).unwrap())).await;
        seen.extend(supervisor.snapshot().await.unwrap().workers().filter_map(|(.., worker)| worker.pid));
    }
    stage.release("last", GOOD);
    stage.switch("last");
    // Whoever reads events so late has missed some.
    let mut events = supervisor.events();
    supervisor.roll("the last deploy").await.unwrap();
    until(&mut events, rolled("last")).await;
    let snapshot = supervisor.snapshot().await.unwrap();
    let now = serving(&snapshot);
    assert!(now.len() == 3 && now.iter().all(|(release, _)| release == "last"), "seed {seed}: {snapshot:#?}");
    assert!(snapshot.pools[0].held.is_none() && snapshot.pools[0].generations.len() == 1, "seed {seed}: {snapshot:#?}");
    let kept: Vec<u32> = now.iter().filter_map(|(_, worker)| worker.pid).collect();
    assert!(seen.iter().all(|pid| kept.contains(pid) || !lives(*pid)), "seed {seed}: an old worker is left");
    supervisor.stop().await;
    assert!(kept.iter().all(|pid| !lives(*pid)));
}

async fn one(stage: &Stage, supervisor: &Supervisor, dice: &mut Dice, releases: &mut Vec<String>, step: u32) {
    let name = step.to_string();
    match dice.below(8) {
        0 | 1 => {
            stage.release(&name, GOOD);
            stage.switch(&name);
            releases.push(name);
        }
        2 => {
            stage.release(&name, "echo broken\nexit 1\n");
            stage.switch(&name);
            releases.push(name);
        }
        3 => {
            stage.release(&name, "\"$KEEP\" ready\nsleep 0.1\nexit 1\n");
            stage.switch(&name);
            releases.push(name);
        }
        4 if !releases.is_empty() => stage.switch(&releases[dice.below(releases.len())]),
        5 if !releases.is_empty() => {
            // Also the current one.
            let name = releases.remove(dice.below(releases.len()));
            fs::remove_dir_all(stage.path("releases").join(name)).unwrap();
        }
        6 => {
            let workers = serving(&supervisor.snapshot().await.unwrap());
            if !workers.is_empty() {
                let pid = workers[dice.below(workers.len())].1.pid.unwrap();
                // It may have ended meanwhile.
                if lives(pid) {
                    signal(pid, Signal::KILL);
                }
            }
        }
        _ => drop(supervisor.restart(Scope::All).await.unwrap()),
    }
}

#[tokio::test]
async fn whatever_happens_all_end_on_the_release_that_is_current() {
    tokio::join!(play(1), play(2), play(3), play(4));
}
