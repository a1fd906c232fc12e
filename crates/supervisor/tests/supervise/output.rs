//! What workers write.

use std::fs;

use supervisor::output::Stream;
use tokio::time::timeout;

use crate::stage::{GOOD, PATIENCE, Stage, rolled, until};

#[tokio::test]
async fn both_streams_are_kept_written_and_told() {
    let script = format!("sleep 0.2\necho to out\necho to err >&2\nprintf 'a\\0b\\n'\n{GOOD}");
    let stage = Stage::with("1", &script);
    let mut pool = stage.pool(1);
    pool.log.file = Some(stage.path("logs/mail.log"));
    let (supervisor, mut events) = stage.start(pool).await;
    let mut lines = supervisor.lines();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let line = timeout(PATIENCE, lines.recv()).await.unwrap().unwrap();
        seen.push((line.stream, line.text));
    }
    seen.sort_by_key(|(stream, text)| (*stream == Stream::Stderr, text.clone()));
    let expect = [(Stream::Stdout, "a\0b"), (Stream::Stdout, "to out"), (Stream::Stderr, "to err")];
    assert_eq!(seen, expect.map(|(stream, text)| (stream, text.as_bytes().to_vec())));
    until(&mut events, rolled("1")).await;
    let snapshot = supervisor.snapshot().await.unwrap();
    let worker = &snapshot.pools[0].generations[0].workers[0];
    assert_eq!(worker.last.stdout, ["to out", "a\u{fffd}b"]);
    assert_eq!(worker.last.stderr, ["to err"]);
    supervisor.stop().await;
    let text = fs::read_to_string(stage.path("logs/mail.log")).unwrap();
    let id = worker.id.as_ref().unwrap();
    assert!(text.contains(&format!(" {id} out to out\n")) && text.contains(&format!(" {id} err to err\n")), "{text}");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_holds_no_worker_up() {
    let script = format!("i=0\nwhile [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done\n{GOOD}");
    let stage = Stage::with("1", &script);
    let mut pool = stage.pool(1);
    // A folder where the file should be.
    fs::create_dir(stage.path("log")).unwrap();
    pool.log.file = Some(stage.path("log"));
    let (supervisor, mut events) = stage.start(pool).await;
    until(&mut events, rolled("1")).await;
    until(&mut events, |event| matches!(event, supervisor::Event::OutputDropped { .. })).await;
    let snapshot = supervisor.snapshot().await.unwrap();
    assert!(snapshot.pools[0].dropped_lines > 0);
    assert_eq!(snapshot.pools[0].generations[0].workers[0].last.stdout.last().unwrap(), "line 19999");
    supervisor.stop().await;
}
