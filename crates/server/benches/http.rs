//! Life cycles a second over HTTP, in batches of 100: `cargo bench -p
//! aloud-server`.
//!
//! One life cycle is a push, a lease and an ack of a job with 200 bytes. Each
//! connection pushes 100 jobs, then ends the 100 that it has and takes the next
//! 100 in one `finish`. The store is the embedded one in a temporary folder,
//! every push and ack is on disk before it is answered, and history is kept.
//! Server and load share this machine and this process.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a bench that cannot go on should say where")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use job::time::SystemClock;
use job::{AppName, Clock};
use queue::{NoGuards, Queue};
use server::{Handle, Options, Token};
use store::sqlite::{self, Sqlite};
use tokio::runtime::Runtime;

const BATCH: usize = 100;
const CONNECTIONS: usize = 8;

/// A server on its own threads.
struct Server {
    runtime: Runtime,
    handle: Handle,
    queue: Queue,
    token: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let app: AppName = "bench".parse().unwrap();
        let clock = Arc::new(SystemClock::resume(None));
        let data = sqlite::Options { create: true, ..sqlite::Options::new(folder.path(), app.clone()) };
        let store = Arc::new(Sqlite::open(data, clock.now().wall).unwrap());
        let token = Token::create(&folder.path().join("token")).unwrap();
        let (queue, handle) = runtime.block_on(async {
            let queue = Queue::start(store, clock, Arc::new(NoGuards));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let handle = server::start(listener, queue.clone(), Options::new(app, token.clone(), "bench"));
            (queue, handle)
        });
        Self { runtime, handle, queue, token: token.reveal().to_owned(), _folder: folder }
    }

    fn stop(self) {
        self.runtime.block_on(async {
            self.handle.stop().await;
            self.queue.stop().await;
        });
    }
}

/// A connection that is kept.
struct Connection {
    stream: BufReader<TcpStream>,
    head: String,
    answer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr, token: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let head = format!("Host: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        Self { stream: BufReader::with_capacity(64 << 10, stream), head, answer: Vec::new() }
    }

    /// Sends JSON; the answer is in `self.answer`.
    fn post(&mut self, path: &str, body: &str) {
        let request = format!("POST {path} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line).unwrap();
        assert!(line.contains(" 20"), "{line}");
        while line != "\r\n" {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        self.answer.resize(length, 0);
        self.stream.read_exact(&mut self.answer).unwrap();
    }

    /// Pushes, ends and takes a batch at a time, until `cycles` have ended here.
    fn work(&mut self, cycles: usize) {
        let job = format!(r#"{{"kind":"bench","payload":"{}"}}"#, "x".repeat(198));
        let push = format!("[{}]", vec![job; BATCH].join(","));
        let lease = format!(r#"{{"queues":["default"],"worker":"w","limit":{BATCH},"wait":"1s"}}"#);
        let (mut ended, mut acks) = (0, String::new());
        while ended < cycles {
            self.post("/v1/jobs", &push);
            self.post("/v1/finish", &format!(r#"{{"acks":[{acks}],"lease":{lease}}}"#));
            acks = self.leased();
            ended += BATCH;
        }
        self.post("/v1/finish", &format!(r#"{{"acks":[{acks}]}}"#));
    }

    /// The acks of the jobs that were just handed out.
    fn leased(&self) -> String {
        let text = std::str::from_utf8(&self.answer).unwrap();
        let jobs = text.split_once(r#""jobs":["#).expect("an answer to a lease").1;
        let ack = |part: &str| {
            let (id, rest) = part.split_once(r#"","lease":""#)?;
            Some(format!(r#"{{"id":"{id}","lease":"{}"}}"#, &rest[..16]))
        };
        jobs.split(r#"{"id":""#).filter_map(ack).collect::<Vec<_>>().join(",")
    }
}

fn life_cycles(criterion: &mut Criterion) {
    let server = Server::start();
    let address = server.handle.address().unwrap();
    let mut group = criterion.benchmark_group("http");
    let cycles = CONNECTIONS * BATCH * 10;
    group.throughput(Throughput::Elements(u64::try_from(cycles).unwrap()));
    group.sample_size(20).measurement_time(Duration::from_secs(10));
    group.bench_function("life cycles, 8 connections, batches of 100", |bencher| {
        bencher.iter(|| {
            std::thread::scope(|scope| {
                for _ in 0..CONNECTIONS {
                    scope.spawn(|| Connection::open(address, &server.token).work(cycles / CONNECTIONS));
                }
            });
        });
    });
    group.finish();
    server.stop();
}

criterion_group!(benches, life_cycles);
criterion_main!(benches);
