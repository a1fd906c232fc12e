//! Workers that end by themselves.

use rustix::process::Signal;
use supervisor::{Class, Event, Exit, State, Told, Which};

use crate::stage::{GOOD, Stage, ready, rolled, serving, signal, until};

#[tokio::test]
async fn a_loop_that_looks_healthy_between_is_slowed_down_and_said_aloud_at_the_third() {
    let stage = Stage::with("1", "\"$KEEP\" ready\nsleep 0.3\necho 'cannot connect to the database'\nexit 1\n");
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    let seen = until(&mut events, |event| matches!(event, Event::Alarm { .. })).await;
    let delays: Vec<_> = seen
        .iter()
        .filter_map(|event| match event {
            Event::Ended { again, .. } => Some(again.unwrap().as_micros()),
            _ => None,
        })
        .collect();
    assert_eq!(delays.len(), 3, "{seen:#?}");
    assert_eq!(delays[0], 0, "it had been ready");
    assert!((200_000..=400_000).contains(&delays[1]) && (400_000..=800_000).contains(&delays[2]), "{delays:?}");
    let Some(Event::Alarm { failures, ended, last, .. }) = seen.last() else { panic!() };
    assert_eq!((*failures, ended.exit, &ended.class), (3, Exit::Code(1), &Class::Failed));
    assert_eq!(last.stdout, ["cannot connect to the database"]);
    let snapshot = supervisor.snapshot().await.unwrap();
    let place = &snapshot.pools[0].generations[0].workers[0];
    assert!(matches!(place.state, State::Backoff { failures: 3, .. }), "{place:?}");
    supervisor.stop().await;
}

#[tokio::test]
async fn whoever_finished_a_job_is_started_again_at_once_however_often() {
    let stage = Stage::with("1", "\"$KEEP\" ready\nread line <\"$OUT/go\"\n");
    rustix::fs::mkfifoat(rustix::fs::CWD, stage.path("go"), rustix::fs::Mode::RWXU).unwrap();
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    for _ in 0..5 {
        let seen = until(&mut events, ready).await;
        let Some(Event::Ready { worker, .. }) = seen.last() else { panic!() };
        supervisor.told(Which::Id(worker.clone()), Told::Finished { jobs: 1 }).await;
        let go = stage.path("go");
        tokio::task::spawn_blocking(move || std::fs::write(go, "go\n").unwrap()).await.unwrap();
        let seen = until(&mut events, |event| matches!(event, Event::Ended { .. })).await;
        let Some(Event::Ended { ended, again, .. }) = seen.last() else { panic!() };
        assert_eq!((ended.jobs, again.unwrap().as_micros()), (1, 0), "{ended:?}");
    }
    supervisor.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_killed_has_a_successor_at_once() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    until(&mut events, rolled("1")).await;
    let (_, victim) = serving(&supervisor.snapshot().await.unwrap()).remove(0);
    signal(victim.pid.unwrap(), Signal::KILL);
    let seen = until(&mut events, |event| matches!(event, Event::Started { .. })).await;
    let Event::Ended { ended, again, .. } = &seen[0] else { panic!("{seen:?}") };
    assert_eq!((ended.exit, again.unwrap().as_micros()), (Exit::Signal(9), 0));
    until(&mut events, ready).await;
    supervisor.stop().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_said_in_three_parts() {
    let stage = Stage::with("1", GOOD);
    let mut pool = stage.pool(1);
    pool.command = vec!["bin/nothing".into()];
    let (supervisor, mut events) = stage.start(pool).await;
    let seen = until(&mut events, |event| matches!(event, Event::Ended { .. })).await;
    let Some(Event::Ended { worker, ended, last, .. }) = seen.last() else { panic!() };
    let Class::NotStarted(why) = &ended.class else { panic!("{ended:?}") };
    insta::assert_snapshot!(why.replace(&worker.to_string(), "ID"), @r"
    cannot start the worker `ID`: there is no program `bin/nothing`
      The program was not run.
    hint: see that the release has it: a relative path starts in the working folder
    ");
    assert_eq!(last.stderr[0], format!("error: {}", why.lines().next().unwrap()));
    assert_eq!(ended.exit, Exit::Code(127));
    supervisor.stop().await;
}
