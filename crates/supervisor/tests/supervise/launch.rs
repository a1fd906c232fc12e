//! How a worker is started, and what it holds.

use std::fs::{self, File};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use supervisor::{Class, Event};

use crate::stage::{GOOD, Stage, ready, rolled, serving, signal, until, wait};

fn ended(event: &Event) -> bool {
    matches!(event, Event::Ended { .. })
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_else() {
    let stage = Stage::with("1", &format!("env | sort >\"$OUT/env.new\"; mv \"$OUT/env.new\" \"$OUT/env\"\n{GOOD}"));
    fs::write(stage.path("releases/1/.env"), "# of the release\nDB=\"from the file\"\nBOTH=file\n").unwrap();
    let mut pool = stage.pool(1);
    pool.env_files = vec![".env".into(), "-.env.local".into()];
    pool.env.insert("BOTH".into(), "pool".into());
    let (supervisor, mut events) = stage.start(pool).await;
    until(&mut events, rolled("1")).await;
    let (_, worker) = serving(&supervisor.snapshot().await.unwrap()).remove(0);
    let id = worker.id.unwrap();
    let text = fs::read_to_string(stage.path("env")).unwrap();
    let names: Vec<_> = text.lines().filter_map(|line| line.split('=').next()).filter(|name| *name != "_").collect();
    assert_eq!(
        names,
        [
            "ALOUD_APP",
            "ALOUD_GENERATION",
            "ALOUD_POOL",
            "ALOUD_RELEASE",
            "ALOUD_WORKER",
            "BOTH",
            "DB",
            "KEEP",
            "NOTIFY_SOCKET",
            "OUT",
            "PATH",
            "PWD"
        ]
    );
    for line in [format!("ALOUD_WORKER={id}"), "DB=from the file".into(), "BOTH=pool".into(), "ALOUD_APP=shop".into()] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    // The file is read anew at each start.
    fs::write(stage.path("releases/1/.env"), "DB=changed\n").unwrap();
    signal(worker.pid.unwrap(), Signal::KILL);
    until(&mut events, ready).await;
    assert!(fs::read_to_string(stage.path("env")).unwrap().contains("DB=changed\n"));
    supervisor.stop().await;
}

#[tokio::test]
async fn a_missing_environment_file_is_named_and_its_secrets_are_not() {
    let stage = Stage::with("1", GOOD);
    let mut pool = stage.pool(1);
    pool.env_files = vec![".env".into()];
    fs::write(stage.path("releases/1/.env"), "hunter2\n").unwrap();
    let (supervisor, mut events) = stage.start(pool).await;
    let seen = until(&mut events, ended).await;
    let Some(Event::Ended { ended: found, .. }) = seen.last() else { panic!() };
    let Class::NotStarted(why) = &found.class else { panic!("{found:?}") };
    assert!(why.contains("line 1 is not of the form NAME=VALUE") && !why.contains("hunter2"), "{why}");
    fs::remove_file(stage.path("releases/1/.env")).unwrap();
    let seen = until(&mut events, ended).await;
    let Some(Event::Ended { ended: found, .. }) = seen.last() else { panic!() };
    assert!(matches!(&found.class, Class::NotStarted(why) if why.contains(".env`, cannot be read")));
    supervisor.stop().await;
}

#[tokio::test]
async fn a_release_is_locked_while_a_worker_or_what_it_started_lives() {
    // The child leaves the session, so that it lives on for a while.
    let stage = Stage::with("1", "sleep 1000 &\necho $! >\"$OUT/child\"\n\"$KEEP\" ready\nexec sleep 1000\n");
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    until(&mut events, rolled("1")).await;
    let dir = File::open(stage.path("releases/1")).unwrap();
    let is_free = || flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok();
    assert!(!is_free());
    let child: u32 = fs::read_to_string(stage.path("child")).unwrap().trim().parse().unwrap();
    let (_, worker) = serving(&supervisor.snapshot().await.unwrap()).remove(0);
    assert!(
        fs::read_dir(format!("/proc/{child}/fd"))
            .unwrap()
            .flatten()
            .any(|fd| { fs::read_link(fd.path()).is_ok_and(|to| to.ends_with("releases/1")) })
    );
    assert!(crate::stage::lives(worker.pid.unwrap()));
    supervisor.stop().await;
    assert!(is_free(), "nothing of it is left");
}

#[tokio::test]
async fn a_folder_that_took_a_releases_name_is_another_release() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(1)).await;
    until(&mut events, rolled("1")).await;
    // Those who run are still in the old one, which is found under another name.
    fs::rename(stage.path("releases/1"), stage.path("releases/.trash-1")).unwrap();
    stage.release("1", GOOD);
    let seen = until(&mut events, rolled("1")).await;
    assert!(seen.iter().any(|event| matches!(event, Event::ReleaseGone { .. })), "{seen:#?}");
    let (_, worker) = serving(&supervisor.snapshot().await.unwrap()).remove(0);
    let cwd = fs::read_link(format!("/proc/{}/cwd", worker.pid.unwrap())).unwrap();
    assert_eq!(cwd, stage.path("releases/1").canonicalize().unwrap());
    supervisor.stop().await;
}

#[tokio::test]
async fn an_unknown_user_is_named() {
    let stage = Stage::with("1", GOOD);
    let mut pool = stage.pool(1);
    pool.user = Some("no-such-user-here".into());
    let (supervisor, mut events) = stage.start(pool).await;
    let seen = until(&mut events, ended).await;
    let Some(Event::Ended { worker, ended: found, .. }) = seen.last() else { panic!() };
    let Class::NotStarted(why) = &found.class else { panic!("{found:?}") };
    insta::assert_snapshot!(why.replace(&worker.to_string(), "ID"), @r"
    cannot start the worker `ID`: the user `no-such-user-here` does not exist
      The program was not run.
    hint: create it, or name another
    ");
    supervisor.stop().await;
}

#[tokio::test]
async fn needs_root_a_worker_of_another_user_has_none_of_our_groups() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root");
    let script = "id -u; id -g; id -G; echo to err >/dev/stderr\n\"$KEEP\" ready\nexec sleep 1000\n";
    let stage = Stage::with("1", script);
    // The program that tells of being ready must be reachable for that user.
    let shown = stage.path("keep");
    fs::copy(crate::stage::keep(), &shown).unwrap();
    let mut pool = stage.pool(1);
    pool.env.insert("KEEP".into(), shown.to_string_lossy().into_owned());
    pool.user = Some("nobody".into());
    pool.limits.open_files = Some(77);
    pool.umask = Some(0o027);
    pool.nice = Some(5);
    pool.no_new_privs = true;
    let (supervisor, mut events) = stage.start(pool).await;
    until(&mut events, rolled("1")).await;
    let (_, worker) = serving(&supervisor.snapshot().await.unwrap()).remove(0);
    let nobody = fs::read_to_string("/etc/passwd").unwrap();
    let nobody: Vec<_> =
        nobody.lines().find(|l| l.starts_with("nobody:")).unwrap().split(':').map(str::to_owned).collect();
    assert_eq!(worker.last.stdout, [nobody[2].as_str(), &nobody[3], &nobody[3]]);
    assert_eq!(worker.last.stderr, ["to err"]);
    let status = fs::read_to_string(format!("/proc/{}/status", worker.pid.unwrap())).unwrap();
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(
        (field("Umask:"), field("NoNewPrivs:"), field("Groups:")),
        ("0027".into(), "1".into(), nobody[3].clone())
    );
    let limits = fs::read_to_string(format!("/proc/{}/limits", worker.pid.unwrap())).unwrap();
    assert!(limits.lines().any(|l| l.starts_with("Max open files") && l.contains(" 77 ")), "{limits}");
    supervisor.stop().await;
}

#[tokio::test]
async fn no_order_record_pipe_or_socket_is_left_behind() {
    let stage = Stage::with("1", GOOD);
    let (supervisor, mut events) = stage.start(stage.pool(2)).await;
    until(&mut events, rolled("1")).await;
    let listed = |name: &str| fs::read_dir(stage.path("run").join(name)).unwrap().count();
    assert_eq!(["workers", "orders", "pipes", "n"].map(listed), [2, 0, 4, 2]);
    supervisor.stop().await;
    let left = wait("the folder is empty", || Some(["workers", "orders", "pipes", "n"].map(listed))).await;
    assert_eq!(left, [0; 4]);
}
