//! From one generation to the next.

use std::fs;

use job::Span;
use supervisor::{Event, OnFailure, Pool, Role, Rolled, Scope};
use tokio::time::Instant;

use crate::stage::{GOOD, Stage, finish, held, ready, rolled, serving, until};

#[tokio::test]
async fn current_is_resolved_at_every_start() {
    let stage = Stage::with("1", &format!("echo \"$ALOUD_RELEASE $PWD $(pwd -P)\" >>\"$OUT/seen\"\n{GOOD}"));
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    until(&mut events, rolled("1")).await;
    let current = stage.path("current").display().to_string();
    let release = |name: &str| stage.path("releases").join(name).canonicalize().unwrap().display().to_string();
    let first = stage.wrote("seen", |text| text.ends_with('\n')).await;
    assert_eq!(first, format!("1 {current} {}\n", release("1")));
    stage.release("2", &format!("echo \"$ALOUD_RELEASE $PWD $(pwd -P)\" >>\"$OUT/seen\"\n{GOOD}"));
    stage.switch("2");
    until(&mut events, rolled("2")).await;
    let both = fs::read_to_string(stage.path("seen")).unwrap();
    assert_eq!(both.lines().last().unwrap(), format!("2 {current} {}", release("2")));
    supervisor.stop().await;
}

#[tokio::test]
async fn a_roll_of_four_has_no_moment_with_fewer_than_four_ready() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(4)).await;
    until(&mut events, rolled("1")).await;
    stage.release("2", GOOD);
    stage.switch("2");
    let outcome = finish(supervisor.roll("a deploy").await.unwrap()).await;
    let Rolled::Confirmed(confirmed) = outcome else { panic!("{outcome:?}") };
    assert_eq!(confirmed.len(), 4);
    assert!(confirmed.iter().all(|worker| worker.release == "2" && worker.verified), "{confirmed:?}");
    let mut count = 4_i32;
    let mut most = 4;
    for event in until(&mut events, rolled("2")).await {
        match event {
            Event::Ready { .. } => count += 1,
            Event::Draining { .. } => count -= 1,
            _ => {}
        }
        most = most.max(count);
        assert!(count >= 4, "{event:?}");
    }
    assert_eq!((count, most), (4, 5), "one more than four during the roll");
    let snapshot = supervisor.snapshot().await.unwrap();
    assert_eq!(snapshot.pools[0].generations.len(), 1);
    assert_eq!(snapshot.pools[0].generations[0].role, Role::Serving);
    supervisor.stop().await;
}

#[tokio::test]
async fn a_release_that_ends_at_its_start_takes_no_old_worker_down_and_the_next_good_one_heals() {
    let stage = Stage::with("1", GOOD);
    let pool = Pool { on_failure: OnFailure::Rollback, ..stage.pool(2) };
    let (supervisor, mut events) = stage.start(pool).await;
    until(&mut events, rolled("1")).await;
    let before = serving(&supervisor.snapshot().await.unwrap());

    stage.release("2", "echo \"PHP Parse error: syntax error in a.php on line 3 ($$)\"\nexit 255\n");
    stage.switch("2");
    let outcome = finish(supervisor.roll("a deploy").await.unwrap()).await;
    let Rolled::Held(why) = outcome else { panic!("{outcome:?}") };
    assert_eq!(why[0].wanted.as_deref(), Some("2"));
    assert_eq!(why[0].serving.as_deref(), Some("1"));
    assert!(why[0].why.contains("exit status 255"), "{why:?}");
    assert!(why[0].last.stdout[0].starts_with("PHP Parse error"), "{why:?}");
    assert!(!why[0].any_ready && why[0].rollback, "{why:?}");
    let after = supervisor.snapshot().await.unwrap();
    assert_eq!(serving(&after), before, "the same processes, without an interruption");
    assert!(after.pools[0].held.is_some());
    for event in until(&mut events, held).await {
        assert!(!matches!(&event, Event::Ended { worker, .. } if worker.generation().0 == 1), "{event:?}");
    }

    stage.release("3", GOOD);
    stage.switch("3");
    until(&mut events, rolled("3")).await;
    let healed = supervisor.snapshot().await.unwrap();
    assert!(healed.pools[0].held.is_none());
    assert!(serving(&healed).iter().all(|(release, _)| release == "3"));
    supervisor.stop().await;
}

#[tokio::test]
async fn a_release_that_hangs_at_its_start_is_given_up_in_time() {
    let stage = Stage::with("1", GOOD);
    let pool = Pool { ready_within: Span::from_millis(800), ..stage.pool(2) };
    let (supervisor, mut events) = stage.start(pool).await;
    until(&mut events, rolled("1")).await;
    stage.release("2", "echo waiting for the database >&2\nexec sleep 1000\n");
    stage.switch("2");
    let outcome = finish(supervisor.roll("a deploy").await.unwrap()).await;
    let Rolled::Held(why) = outcome else { panic!("{outcome:?}") };
    assert_eq!(why[0].last.stderr, ["waiting for the database"]);
    until(&mut events, |event| matches!(event, Event::Ended { worker, .. } if worker.generation().0 == 2)).await;
    let snapshot = supervisor.snapshot().await.unwrap();
    assert_eq!(serving(&snapshot).len(), 2);
    assert!(serving(&snapshot).iter().all(|(release, _)| release == "1"));
    supervisor.stop().await;
}

#[tokio::test]
async fn what_is_held_comes_back_from_the_release_that_serves() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(2)).await;
    until(&mut events, rolled("1")).await;
    stage.release("2", "exit 1\n");
    stage.switch("2");
    until(&mut events, held).await;
    let (_, victim) = serving(&supervisor.snapshot().await.unwrap()).remove(0);
    crate::stage::signal(victim.pid.unwrap(), rustix::process::Signal::KILL);
    until(&mut events, ready).await;
    let snapshot = supervisor.snapshot().await.unwrap();
    assert!(serving(&snapshot).iter().all(|(release, _)| release == "1"), "{snapshot:?}");
    assert_eq!(serving(&snapshot).len(), 2);
    assert!(snapshot.pools[0].held.is_some(), "and it is still said");
    supervisor.stop().await;
}

#[tokio::test]
async fn a_release_that_is_removed_while_it_is_in_use_is_noticed_and_left() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(2)).await;
    until(&mut events, rolled("1")).await;
    let began = Instant::now();
    fs::remove_dir_all(stage.path("releases/1")).unwrap();
    until(&mut events, |event| matches!(event, Event::ReleaseGone { release, .. } if release == "1")).await;
    assert!(began.elapsed().as_secs() < 5);
    stage.release("2", GOOD);
    let began = Instant::now();
    stage.switch("2");
    until(&mut events, rolled("2")).await;
    assert!(began.elapsed().as_secs() < 5);
    supervisor.stop().await;
}

#[tokio::test]
async fn whoever_ends_because_its_release_is_gone_is_told_apart_and_the_next_is_rolled_to_at_once() {
    let stage = Stage::with(
        "1",
        "\"$KEEP\" ready\nwhile [ -e work ]; do sleep 0.05; done\necho Could not open input file: artisan\nexit 1\n",
    );
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    until(&mut events, rolled("1")).await;
    stage.release("2", GOOD);
    stage.switch("2");
    // Before the supervisor has looked again.
    fs::remove_dir_all(stage.path("releases/1")).unwrap();
    let seen = until(&mut events, |event| matches!(event, Event::Ended { .. })).await;
    let Some(Event::Ended { ended, last, .. }) = seen.last() else { panic!() };
    assert_eq!(ended.class, supervisor::Class::ReleaseGone);
    assert_eq!(last.stdout, ["Could not open input file: artisan"]);
    let began = Instant::now();
    until(&mut events, rolled("2")).await;
    assert!(began.elapsed().as_secs() < 5);
    supervisor.stop().await;
}

#[tokio::test]
async fn without_any_release_it_waits_aloud_and_starts_when_one_comes() {
    let stage = Stage::new();
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    let outcome = finish(supervisor.roll("a deploy").await.unwrap()).await;
    assert!(matches!(&outcome, Rolled::Held(held) if held[0].why.contains("no release")), "{outcome:?}");
    assert!(supervisor.snapshot().await.unwrap().no_release.is_some());
    stage.release("1", GOOD);
    stage.switch("1");
    until(&mut events, rolled("1")).await;
    supervisor.stop().await;
}

#[tokio::test]
async fn a_restart_is_a_roll_onto_the_same_release() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(2)).await;
    until(&mut events, rolled("1")).await;
    let pids = |s: &supervisor::Snapshot| serving(s).iter().map(|(_, w)| w.pid).collect::<Vec<_>>();
    let before = pids(&supervisor.snapshot().await.unwrap());
    let outcome = finish(supervisor.restart(Scope::Pool("mail".parse().unwrap())).await.unwrap()).await;
    assert!(matches!(&outcome, Rolled::Confirmed(workers) if workers.len() == 2), "{outcome:?}");
    let after = pids(&supervisor.snapshot().await.unwrap());
    assert!(after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}");
    assert!(supervisor.restart(Scope::Pool("nobody".parse().unwrap())).await.is_err());
    supervisor.stop().await;
}

#[tokio::test]
async fn a_changed_command_makes_a_new_generation_and_a_changed_count_does_not() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    until(&mut events, rolled("1")).await;
    supervisor.reconfigure(vec![stage.pool(3)]).await.unwrap();
    until(&mut events, ready).await;
    until(&mut events, ready).await;
    let snapshot = supervisor.snapshot().await.unwrap();
    assert_eq!((snapshot.pools[0].ready, snapshot.pools[0].generations.len()), (3, 1));
    let changed = Pool { command: vec!["./work".into(), "--verbose".into()], ..stage.pool(3) };
    supervisor.reconfigure(vec![changed]).await.unwrap();
    until(&mut events, rolled("1")).await;
    let snapshot = supervisor.snapshot().await.unwrap();
    assert_eq!(snapshot.pools[0].generations[0].generation.0, 2);
    supervisor.reconfigure(vec![]).await.unwrap();
    until(&mut events, |event| matches!(event, Event::Ended { .. })).await;
    supervisor.stop().await;
}

#[tokio::test]
async fn a_release_that_fails_half_way_is_taken_back_without_a_gap() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(4)).await;
    until(&mut events, rolled("1")).await;
    // The first two become ready; there is no connection for a third.
    let script = "mkdir \"$OUT/one\" 2>/dev/null || mkdir \"$OUT/two\" 2>/dev/null || { echo too many; exit 1; }\n";
    stage.release("2", &format!("{script}{GOOD}"));
    stage.switch("2");
    let outcome = finish(supervisor.roll("a deploy").await.unwrap()).await;
    let Rolled::Held(why) = outcome else { panic!("{outcome:?}") };
    assert!(why[0].any_ready && why[0].last.stdout == ["too many"], "{why:?}");
    let mut count = 4_i32;
    let mut left = 2;
    let is_new = |worker: &supervisor::WorkerId| worker.generation().0 == 2;
    while left > 0 {
        let event = until(&mut events, |_| true).await.remove(0);
        match &event {
            Event::Ready { .. } => count += 1,
            Event::Draining { worker } if !is_new(worker) => count -= 1,
            Event::Draining { .. } => {}
            Event::Ended { worker, ended, .. } if is_new(worker) && ended.was_ready => {
                count -= 1;
                left -= 1;
            }
            _ => {}
        }
        assert!(count >= 4, "{event:?}");
    }
    let snapshot = supervisor.snapshot().await.unwrap();
    let now = serving(&snapshot);
    assert!(now.len() == 4 && now.iter().all(|(release, _)| release == "1"), "{snapshot:?}");
    supervisor.stop().await;
}

#[tokio::test]
async fn what_is_held_is_tried_again_when_the_release_that_served_is_removed() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    until(&mut events, rolled("1")).await;
    stage.release("2", "[ -e \"$OUT/up\" ] || exit 1\n\"$KEEP\" ready\nexec sleep 1000\n");
    stage.switch("2");
    until(&mut events, held).await;
    // What was missing is there now, but nobody says so.
    fs::write(stage.path("up"), "").unwrap();
    fs::remove_dir_all(stage.path("releases/1")).unwrap();
    until(&mut events, rolled("2")).await;
    supervisor.stop().await;
}

#[tokio::test]
async fn turning_the_link_back_ends_a_hold() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    until(&mut events, rolled("1")).await;
    stage.release("2", "exit 1\n");
    stage.switch("2");
    until(&mut events, held).await;
    stage.switch("1");
    let outcome = finish(supervisor.roll("a rollback").await.unwrap()).await;
    assert!(matches!(&outcome, Rolled::Confirmed(workers) if workers[0].release == "1"), "{outcome:?}");
    assert!(supervisor.snapshot().await.unwrap().pools[0].held.is_none());
    supervisor.stop().await;
}

#[tokio::test]
async fn a_first_release_that_fails_is_tried_for_ever_and_said() {
    let stage = Stage::with("1", "[ -e \"$OUT/up\" ] || exit 1\n\"$KEEP\" ready\nexec sleep 1000\n");
    let (supervisor, mut events) = stage.start(stage.pool(2)).await;
    let outcome = finish(supervisor.roll("a deploy").await.unwrap()).await;
    assert!(matches!(&outcome, Rolled::Held(held) if held[0].serving.is_none()), "{outcome:?}");
    assert!(supervisor.snapshot().await.unwrap().pools[0].held.is_some());
    fs::write(stage.path("up"), "").unwrap();
    until(&mut events, rolled("1")).await;
    assert!(supervisor.snapshot().await.unwrap().pools[0].held.is_none());
    supervisor.stop().await;
}

#[tokio::test]
async fn a_roll_that_is_still_on_its_way_when_all_is_stopped_says_so() {
    let stage = Stage::with("1", "exec sleep 1000\n");
    let (supervisor, _events) = stage.start(stage.pool(1)).await;
    let rolling = supervisor.roll("a deploy").await.unwrap();
    supervisor.stop().await;
    assert_eq!(finish(rolling).await, Rolled::Overtaken);
}

/// Notes who was quieted, and never comes to an end.
struct Slow(std::path::PathBuf);

impl supervisor::Quiet for Slow {
    fn quiet(&self, worker: &supervisor::WorkerId) -> supervisor::Quieting {
        fs::write(&self.0, worker.to_string()).unwrap();
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_worker_is_quieted_before_it_is_asked_to_end_but_not_for_ever() {
    let stage = Stage::with(
        "1",
        "trap '[ -e \"$OUT/quiet\" ] && echo yes >\"$OUT/asked\"; exit 0' TERM\n\
         \"$KEEP\" ready\nwhile :; do sleep 0.05; done\n",
    );
    let mut options = stage.options();
    options.quiet = std::sync::Arc::new(Slow(stage.path("quiet")));
    options.quiet_within = Span::from_millis(300);
    let supervisor = supervisor::Supervisor::start(options, vec![stage.pool(1)]).await.unwrap();
    let mut events = supervisor.events();
    until(&mut events, rolled("1")).await;
    let began = Instant::now();
    supervisor.stop().await;
    assert!(began.elapsed().as_millis() >= 300);
    assert_eq!(fs::read_to_string(stage.path("asked")).unwrap(), "yes\n");
    assert!(fs::read_to_string(stage.path("quiet")).unwrap().starts_with("mail.1.g1."));
}
