//! The outbox: intents beside the application's data, and what sends them.

use std::path::PathBuf;
use std::time::Duration;

use aloud_client::outbox::{self, Counts, Intents, Queued, Relay, Sqlite};
use aloud_client::{Aloud, Error, Outcome, Phase, Span};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::Connection;

use crate::proxy::Proxy;
use crate::support::{SendNotice, Server, notice, until};

/// An application's database.
struct Db {
    dir: tempfile::TempDir,
    db: Connection,
}

impl Db {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Connection::open(dir.path().join("notice.db")).unwrap();
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db.pragma_update(None, "journal_mode", "wal").unwrap();
        outbox::create_table(&db).unwrap();
        db.execute_batch("CREATE TABLE notice (id INTEGER PRIMARY KEY, wanted INTEGER NOT NULL)").unwrap();
        Self { dir, db }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("notice.db")
    }

    fn intents(&self) -> Sqlite {
        Sqlite::open(self.path()).unwrap()
    }

    /// Switches a notice on, and answers the id of its job.
    fn on(&mut self, id: u64) -> String {
        let tx = self.db.transaction().unwrap();
        tx.execute("REPLACE INTO notice VALUES (?1, 1)", [id.cast_signed()]).unwrap();
        let key = format!("notice:{id}");
        let job = outbox::push(&tx, &notice(id)).in_(Span::from_secs(1_800)).key(key).replace().write().unwrap();
        tx.commit().unwrap();
        job
    }

    /// Switches a notice off.
    fn off(&mut self, id: u64) {
        let tx = self.db.transaction().unwrap();
        tx.execute("REPLACE INTO notice VALUES (?1, 0)", [id.cast_signed()]).unwrap();
        outbox::cancel_key(&tx, "mail", format!("notice:{id}")).unwrap();
        tx.commit().unwrap();
    }

    fn count(&self, table: &str) -> i64 {
        self.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    async fn sent(&self) {
        until("everything is sent", async || (self.count("aloud_outbox") == 0).then_some(())).await;
    }
}

#[tokio::test]
async fn an_intent_is_sent_once_its_transaction_is_committed_and_not_otherwise() {
    let mut db = Db::new();
    let (aloud, recorded) = Aloud::recorded();
    // Nobody but the wake gets it going.
    let relay = Relay::start_polling(db.intents(), aloud, Duration::from_secs(3_600));
    let tx = db.db.transaction().unwrap();
    outbox::push(&tx, &notice(1)).write().unwrap();
    relay.wake();
    tx.rollback().unwrap();
    let id = db.on(2);
    relay.wake();
    db.sent().await;
    let pushed = recorded.pushed::<SendNotice>();
    assert_eq!(
        pushed.iter().map(|record| (record.job.notice, record.view.id.as_str())).collect::<Vec<_>>(),
        [(2, &*id)]
    );
    relay.stop().await;
}

#[tokio::test]
async fn intents_are_found_by_a_relay_that_nobody_wakes() {
    let mut db = Db::new();
    let (aloud, recorded) = Aloud::recorded();
    let relay = Relay::start_polling(db.intents(), aloud, Duration::from_millis(10));
    db.on(1);
    db.sent().await;
    assert_eq!(recorded.pushed::<SendNotice>().len(), 1);
    relay.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_where_it_is_written() {
    let db = Db::new();
    let error = outbox::push(&db.db, &notice(1)).guard_http("no address").write().unwrap_err();
    assert!(error.happened().contains("`guard`"), "{error}");
    assert!(matches!(outbox::cancel_key(&db.db, "mail", ""), Err(Error::Config { .. })));
    db.db.execute_batch("DROP TABLE aloud_outbox").unwrap();
    let error = outbox::push(&db.db, &notice(1)).write().unwrap_err();
    assert!(error.happened().contains("no such table"), "{error}");
    assert!(error.hint().contains("create_table"), "{error}");
    assert!(matches!(Sqlite::open(db.dir.path().join("nowhere.db")), Err(Error::Outbox { .. })));
}

#[tokio::test]
async fn on_off_and_on_again_arrive_in_their_order() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let mut db = Db::new();
    let first = db.on(1);
    db.off(1);
    let second = db.on(1);
    let third = db.on(1);
    db.off(2); // of which there never was a job
    let other = db.on(2);
    db.off(2);
    let relay = Relay::start(db.intents(), server.aloud());
    db.sent().await;
    let outcome = async |id: &str| aloud.job(id).await.unwrap().unwrap().outcome;
    assert_eq!(outcome(&first).await, Some(Outcome::Cancelled));
    assert_eq!(outcome(&second).await, Some(Outcome::Superseded));
    assert_eq!(outcome(&other).await, Some(Outcome::Cancelled));
    assert_eq!(aloud.job(&third).await.unwrap().unwrap().state, Phase::Scheduled);
    assert_eq!(relay.health().counts.set_aside, 0);
    relay.stop().await;
}

/// A relay's table whose relay dies between sending and deleting.
struct DiesBeforeDeleting(Sqlite);

impl Intents for DiesBeforeDeleting {
    fn acquire(&mut self) -> BoxFuture<'_, Result<bool, Error>> {
        self.0.acquire()
    }
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Queued>, Error>> {
        self.0.next(limit)
    }
    fn settle(&mut self, _: Vec<i64>) -> BoxFuture<'_, Result<(), Error>> {
        std::future::pending().boxed()
    }
    fn set_aside(&mut self, seq: i64, why: String) -> BoxFuture<'_, Result<(), Error>> {
        self.0.set_aside(seq, why)
    }
    fn counts(&mut self) -> BoxFuture<'_, Result<Counts, Error>> {
        self.0.counts()
    }
}

#[tokio::test]
async fn a_crash_between_sending_and_deleting_makes_no_second_job() {
    let server = Server::start().await;
    let mut db = Db::new();
    let id = db.on(1);
    let relay = Relay::start(DiesBeforeDeleting(db.intents()), server.aloud());
    until("it is sent", async || (server.pushed().await == 1).then_some(())).await;
    relay.stop().await;
    assert_eq!(db.count("aloud_outbox"), 1, "it was sent, and not deleted");
    let relay = Relay::start(db.intents(), server.aloud());
    db.sent().await;
    assert_eq!(server.pushed().await, 1);
    assert_eq!(server.aloud().job(&id).await.unwrap().unwrap().state, Phase::Scheduled);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_is_cut_off_again_and_again_sends_each_intent_once() {
    let server = Server::start().await;
    let mut db = Db::new();
    let mut ids = Vec::new();
    for round in 0..40 {
        ids.extend((0..5).map(|n| db.on(round * 5 + n)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let relay = runtime.spawn({
            let (intents, aloud) = (db.intents(), server.aloud());
            async move { Relay::start(intents, aloud) }
        });
        let relay = relay.await.unwrap();
        // Anywhere in its first passes, as a process that is killed.
        for _ in 0..round * 3 {
            tokio::task::yield_now().await;
        }
        runtime.shutdown_background();
        drop(relay);
    }
    let relay = Relay::start(db.intents(), server.aloud());
    db.sent().await;
    assert_eq!(server.pushed().await, 200);
    for id in ids {
        assert_eq!(server.aloud().job(&id).await.unwrap().unwrap().state, Phase::Scheduled);
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_no_second_job() {
    let server = Server::start().await;
    let proxy = Proxy::before(server.address).await;
    let mut db = Db::new();
    db.on(1);
    db.off(1);
    let last = db.on(1);
    proxy.lose(3);
    let relay = Relay::start(db.intents(), Aloud::with(server.settings_through(proxy.address)).unwrap());
    db.sent().await;
    assert_eq!(proxy.to_lose(), 0, "answers were lost");
    assert_eq!(server.pushed().await, 2);
    assert_eq!(server.aloud().job(&last).await.unwrap().unwrap().state, Phase::Scheduled);
    relay.stop().await;
}

#[tokio::test]
async fn intents_wait_for_a_server_that_is_away_and_say_for_how_long() {
    let mut server = Server::start().await;
    server.stop().await;
    let mut db = Db::new();
    let relay = Relay::start(db.intents(), server.aloud());
    db.on(1);
    db.on(2);
    relay.wake();
    let health =
        until("it says what keeps it", async || Some(relay.health()).filter(|health| health.trouble.is_some()));
    let health = health.await;
    assert_eq!(health.counts, Counts { waiting: 2, set_aside: 0 });
    assert!(health.trouble.unwrap().contains("cannot reach the server"));
    let age = health.oldest.unwrap();
    until("the oldest grows older", async || (relay.health().oldest? > age).then_some(())).await;
    server.start_again().await;
    db.sent().await;
    until("it is well again", async || (relay.health() == outbox::Health::default()).then_some(())).await;
    assert_eq!(server.pushed().await, 2);
    relay.stop().await;
    assert_eq!(relay.health().trouble.as_deref(), Some("the relay has ended"));
}

#[tokio::test]
async fn a_poisoned_intent_is_set_aside_and_holds_up_no_other() {
    let server = Server::start().await;
    let aloud = server.aloud();
    let mut db = Db::new();
    let before = db.on(1);
    let poison = "INSERT INTO aloud_outbox (act, job_id, queue, key, body, written, boot, mono) VALUES";
    let body = r#"{"kind":"k","id":"bad","guard":{"http":"ftp://nowhere"}}"#;
    db.db.execute(&format!("{poison} ('push', 'bad', 'mail', NULL, ?1, 0, '', 0)"), [body]).unwrap();
    db.db.execute(&format!("{poison} ('push', 'odd', 'mail', NULL, 'no JSON', 0, '', 0)"), []).unwrap();
    let tx = db.db.transaction().unwrap();
    outbox::push(&tx, &notice(1)).key("notice:1").reject().write().unwrap();
    tx.commit().unwrap();
    let after = db.on(2);
    let relay = Relay::start(db.intents(), server.aloud());
    db.sent().await;
    for id in [before, after] {
        assert_eq!(aloud.job(&id).await.unwrap().unwrap().state, Phase::Scheduled);
    }
    assert_eq!(server.pushed().await, 2);
    let mut aside = db.db.prepare("SELECT why FROM aloud_outbox_aside ORDER BY seq").unwrap();
    let why: Vec<String> = aside.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(why[0].contains("guard"), "{why:?}");
    assert!(why[1].contains("the body is no push"), "{why:?}");
    assert!(why[2].contains("holds the key"), "{why:?}");
    until("it is counted", async || (relay.health().counts.set_aside == 3).then_some(())).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_is_no_reason_to_set_anything_aside() {
    let server = Server::start().await;
    let mut db = Db::new();
    db.on(1);
    let wrong = aloud_client::Token::new("x".repeat(40)).unwrap();
    let aloud = Aloud::new(format!("http://{}", server.address), wrong).unwrap();
    let relay = Relay::start(db.intents(), aloud);
    let trouble = until("it says so", async || relay.health().trouble).await;
    assert!(trouble.contains("token"), "{trouble}");
    relay.stop().await;
    assert_eq!((db.count("aloud_outbox"), db.count("aloud_outbox_aside")), (1, 0));
}

#[tokio::test]
async fn a_second_relay_stands_by_until_the_first_has_ended() {
    let server = Server::start().await;
    let mut db = Db::new();
    let poll = Duration::from_millis(10);
    let first = Relay::start_polling(db.intents(), server.aloud(), poll);
    db.on(1);
    db.sent().await;
    let second = Relay::start_polling(db.intents(), server.aloud(), poll);
    until("it stands by", async || second.health().standing_by.then_some(())).await;
    assert!(!first.health().standing_by);
    for n in 2..50 {
        db.on(n);
        first.wake();
        second.wake();
    }
    db.sent().await;
    first.stop().await;
    drop(first);
    db.on(50);
    db.sent().await;
    assert!(!second.health().standing_by);
    assert_eq!(server.pushed().await, 50);
    second.stop().await;
}

/// The columns of the tables that a file of SQL creates, by the first word of
/// each line between the brackets.
fn columns(sql: &str) -> Vec<Vec<String>> {
    let tables = sql.split("CREATE TABLE").skip(1).map(|table| {
        let body = table.split_once("(\n").unwrap().1.split_once("\n)").unwrap().0;
        body.lines().map(|line| line.split_whitespace().next().unwrap().trim_matches('`').to_owned()).collect()
    });
    tables.collect()
}

#[test]
fn every_database_is_told_of_the_same_columns() {
    let sqlite = columns(include_str!("../../sql/sqlite.sql"));
    let waiting = ["seq", "act", "job_id", "queue", "key", "body", "written", "boot", "mono"];
    assert_eq!(sqlite[0], waiting);
    assert_eq!(sqlite[1][..9], waiting);
    assert_eq!(sqlite[1][9..], ["why"]);
    for (name, sql) in
        [("PostgreSQL", include_str!("../../sql/postgres.sql")), ("MySQL", include_str!("../../sql/mysql.sql"))]
    {
        assert_eq!(columns(sql), sqlite, "{name}");
        let list = "(act, job_id, queue, key, body, written, boot, mono)";
        assert!(sql.replace('`', "").contains(list), "{name} has a statement that writes");
    }
}
