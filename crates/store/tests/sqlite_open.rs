//! Opening the embedded store: what is created, what is refused, and with which
//! words.

#![expect(clippy::unwrap_used, reason = "this is how a test fails, in its helpers too")]

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use job::{NewJob, Now, Pause, Payload, Spec, Timestamp};
use rusqlite::Connection;
use store::jobs::{Jobs, Pushed};
use store::records::{Health, Records};
use store::sqlite::{OpenError, Options, Sqlite};
use tempfile::TempDir;

const WHEN: Timestamp = Timestamp(1_800_000_000_000_000);

fn options(folder: &Path, app: &str) -> Options {
    Options { create: true, reserve: 100_000, ..Options::new(folder, app.parse().unwrap()) }
}

fn open(folder: &Path) -> Result<Sqlite, OpenError> {
    Sqlite::open(options(folder, "notice"), WHEN)
}

/// What a refusal says, with the folder's name taken out: what happened, what it
/// means, what to do.
fn refused(folder: &Path, opened: Result<Sqlite, OpenError>) -> [String; 3] {
    let error = opened.unwrap_err();
    let text = error.to_string().replace(&folder.display().to_string(), "DATA");
    [text, error.means().to_owned(), error.hint().to_owned()]
}

/// A folder with a store in which a job waits.
async fn filled() -> TempDir {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    push(&store).await;
    store.close().await.unwrap();
    folder
}

async fn push(store: &Sqlite) -> Vec<Pushed> {
    let now = Now { wall: WHEN, ..Now::default() };
    let spec = Spec::new("mail".parse().unwrap(), "send".parse().unwrap(), Payload::default());
    store.push(vec![NewJob::now(spec, now)], now).await.unwrap()
}

#[tokio::test]
async fn a_store_is_created_for_nobody_else_to_read_and_opened_again_as_the_same() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("var").join("aloud");
    let store = open(&data).unwrap();
    let identity = store.identity();
    push(&store).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in ["aloud.db", "aloud.db-wal", "lock", "reserve"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    assert_eq!(fs::metadata(data.join("reserve")).unwrap().len(), 100_000);
    store.close().await.unwrap();
    let left: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "the log is gone after a close: {left:?}");
    let again = Sqlite::open(Options { create: false, ..options(&data, "notice") }, Timestamp(0)).unwrap();
    assert_eq!(again.identity(), identity);
    assert_eq!(again.ledger().await.unwrap().waiting, 1);
}

#[test]
fn a_store_that_is_not_there_is_not_created_unasked() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("aloud");
    let opened = Sqlite::open(Options { create: false, ..options(&data, "notice") }, WHEN);
    assert_eq!(
        refused(&data, opened),
        [
            "there is no store in `DATA`",
            "Nothing was created: an empty store where a full one was expected is how work is lost quietly.",
            "check the folder (is the disk mounted?); if a new store is wanted there, start with `--init`",
        ]
    );
    assert!(!data.exists());
}

#[tokio::test]
async fn a_store_of_another_app_is_refused_by_both_names() {
    let folder = filled().await;
    assert_eq!(
        refused(folder.path(), Sqlite::open(options(folder.path(), "shop"), WHEN)),
        [
            "cannot open the store in `DATA`: it belongs to the app `notice`, and this is `shop`",
            "No jobs were changed.",
            "give each app a `data` folder of its own",
        ]
    );
    assert_eq!(open(folder.path()).unwrap().ledger().await.unwrap().waiting, 1);
}

#[tokio::test]
async fn a_store_that_is_served_is_refused_by_the_process_that_serves_it() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    let pid = std::process::id();
    assert_eq!(
        refused(folder.path(), open(folder.path())),
        [
            format!("cannot open the store in `DATA`: the process {pid} serves it").as_str(),
            "No jobs were changed.",
            "stop that process first, or give this one a `data` folder of its own",
        ]
    );
    push(&store).await;
    store.close().await.unwrap();
    open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_store_that_was_dropped_can_be_opened_at_once() {
    let folder = TempDir::new().unwrap();
    for waiting in 1..=5 {
        let store = open(folder.path()).unwrap();
        push(&store).await;
        assert_eq!(store.ledger().await.unwrap().waiting, waiting);
    }
}

#[tokio::test]
async fn a_store_of_a_newer_aloud_is_refused_and_left_as_it_is() {
    let folder = filled().await;
    let file = folder.path().join("aloud.db");
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let before = fs::read(&file).unwrap();
    assert_eq!(
        refused(folder.path(), open(folder.path())),
        [
            "cannot open the store in `DATA`: a newer aloud wrote it, in form 7; this one knows forms up to 1",
            "No jobs were changed.",
            "start the newer aloud again; there is no way back but a backup",
        ]
    );
    assert!(fs::read(&file).unwrap() == before);
}

const DAMAGED: [&str; 2] = [
    "Nothing was changed. Its jobs may be lost in part, and are not served.",
    "keep a copy of the whole folder, look at the disk, and put back a backup; `sqlite3 aloud.db .recover` saves what can be read",
];

fn assert_damaged(folder: &Path, why: &str) {
    let [what, means, hint] = refused(folder, open(folder));
    assert_eq!(what, format!("cannot open the store in `DATA`: {why}"));
    assert_eq!([means, hint], DAMAGED);
}

#[tokio::test]
async fn what_is_no_database_is_said_to_be_damaged() {
    let folder = filled().await;
    let mut file = OpenOptions::new().write(true).open(folder.path().join("aloud.db")).unwrap();
    file.write_all(&[0xa5; 4_096]).unwrap();
    drop(file);
    assert_damaged(folder.path(), "file is not a database");
}

#[tokio::test]
async fn a_truncated_database_is_said_to_be_damaged() {
    let folder = filled().await;
    let file = OpenOptions::new().write(true).open(folder.path().join("aloud.db")).unwrap();
    file.set_len(5_000).unwrap();
    drop(file);
    assert_damaged(folder.path(), "database disk image is malformed");
}

#[tokio::test]
async fn an_emptied_database_is_said_to_be_damaged() {
    let folder = filled().await;
    fs::write(folder.path().join("aloud.db"), "").unwrap();
    assert_damaged(folder.path(), "`aloud.db` is a database, but not one that aloud made");
    assert_eq!(fs::metadata(folder.path().join("aloud.db")).unwrap().len(), 0);
}

#[tokio::test]
async fn a_database_of_somebody_else_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("aloud.db");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x); PRAGMA application_id = 7;").unwrap();
    let before = fs::read(&file).unwrap();
    assert_damaged(folder.path(), "`aloud.db` is a database, but not one that aloud made");
    assert!(fs::read(&file).unwrap() == before);
}

#[tokio::test]
async fn a_log_without_its_database_is_not_taken_for_an_empty_folder() {
    let folder = filled().await;
    fs::rename(folder.path().join("aloud.db"), folder.path().join("aloud.db-wal")).unwrap();
    assert_damaged(folder.path(), "its log `aloud.db-wal` is there, and `aloud.db` itself is not");
}

#[tokio::test]
async fn a_page_that_was_overwritten_is_met_as_damage_and_never_as_a_panic() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    for _ in 0..2_000 {
        push(&store).await;
    }
    store.close().await.unwrap();
    let path = folder.path().join("aloud.db");
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    for page in 1..fs::metadata(&path).unwrap().len() / 4_096 {
        file.seek(SeekFrom::Start(page * 4_096)).unwrap();
        file.write_all(&[0xff; 64]).unwrap();
    }
    drop(file);
    assert_damaged(folder.path(), "database disk image is malformed");
}

#[tokio::test]
async fn damage_that_is_met_while_serving_ends_the_serving_and_is_said() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    for _ in 0..2_000 {
        push(&store).await;
    }
    store.close().await.unwrap();
    // What they carry is not read at the start.
    let path = folder.path().join("aloud.db");
    let conn = Connection::open(&path).unwrap();
    let root: i64 =
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'payloads'", [], |row| row.get(0)).unwrap();
    conn.close().unwrap();
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start((root.unsigned_abs() - 1) * 4_096)).unwrap();
    file.write_all(&[0xff; 4_096]).unwrap();
    drop(file);
    let store = open(folder.path()).unwrap();
    let now = Now { wall: WHEN, ..Now::default() };
    let got = store.get("j1".parse().unwrap(), now).await;
    assert!(matches!(got, Err(store::Error::Damaged(_))), "{got:?}");
    let damaged = async {
        loop {
            match store.ledger().await {
                Err(store::Error::Damaged(why)) => break why,
                Err(store::Error::Busy(_)) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
                other => panic!("{other:?}"),
            }
        }
    };
    let why = tokio::time::timeout(std::time::Duration::from_secs(10), damaged).await.unwrap();
    assert_eq!(why, "database disk image is malformed");
    assert_eq!(store.health(), Health::Damaged { why });
    store.close().await.unwrap();
}

#[test]
fn a_folder_that_cannot_be_used_is_said() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("aloud");
    fs::write(&data, "a file").unwrap();
    let [what, means, hint] = refused(&data, open(&data));
    assert_eq!(what, "cannot use the folder `DATA`: Not a directory (os error 20)");
    assert_eq!(means, "Nothing was read, and nothing was changed.");
    assert_eq!(hint, "give the user that runs aloud the right to write there, or choose another `data` folder");
}

#[tokio::test]
async fn a_creation_that_was_interrupted_is_begun_anew() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("aloud.db.new"), "half of it").unwrap();
    fs::write(folder.path().join("aloud.db.new-wal"), "a log of it").unwrap();
    let store = open(folder.path()).unwrap();
    push(&store).await;
    assert!(!folder.path().join("aloud.db.new").exists());
}

#[tokio::test]
async fn another_process_may_look_while_the_store_is_served() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    push(&store).await;
    let conn = Connection::open(folder.path().join("aloud.db")).unwrap();
    let waiting: i64 = conn.query_row("SELECT waiting FROM counters", [], |row| row.get(0)).unwrap();
    assert_eq!(waiting, 1);
    // And one who holds the database is waited for, and then said.
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let pause = Pause { by: "ute".into(), reason: "a look".into(), since: WHEN, until: None };
    let now = Now { wall: WHEN, ..Now::default() };
    let refused = store.pause("mail".parse().unwrap(), pause.clone(), now).await;
    assert_eq!(refused, Err(store::Error::Busy("another process is writing to the database".into())));
    conn.execute_batch("ROLLBACK").unwrap();
    store.pause("mail".parse().unwrap(), pause, now).await.unwrap();
    assert_eq!(store.health(), Health::Serving);
}

#[tokio::test]
async fn without_room_pushes_are_refused_and_everything_else_goes_on() {
    let folder = filled().await;
    let options = Options { free_floor: u64::MAX, ..options(folder.path(), "notice") };
    let store = Sqlite::open(options, WHEN).unwrap();
    let now = Now { wall: WHEN, ..Now::default() };
    let spec = Spec::new("mail".parse().unwrap(), "send".parse().unwrap(), Payload::default());
    let refused = store.push(vec![NewJob::now(spec, now)], now).await;
    assert!(matches!(refused, Err(store::Error::Full(_))), "{refused:?}");
    assert!(matches!(store.health(), Health::Full { floor: u64::MAX, .. }));
    let cancelled = store.cancel(store::jobs::Cancel::Job("j1".parse().unwrap()), "ute".into(), now).await;
    assert_eq!(cancelled, Ok(store::jobs::Cancelled::Yes(job::JobId(1))));
}
