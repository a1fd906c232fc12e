//! One worker, from its start until nothing of it is left.
//!
//! A task of its own reads what the worker writes, hears whether it is ready,
//! and notices its end. While that end has been seen but not collected, the
//! worker's number belongs to nobody else, so that what it started can be
//! ended without ever meeting a stranger; only then it is collected.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use job::Clock;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use tokio::net::UnixDatagram;
use tokio::net::unix::pipe;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::event::LastLines;
use crate::exit::Exit;
use crate::launch::Order;
use crate::output::tail::Tail;
use crate::output::writer::Writer;
use crate::output::{Line, Stream};
use crate::pidfd::{Child, Handle};
use crate::process::Ident;
use crate::reach::{self, Reach};
use crate::record::{self, Record, Refusal, RunDir};
use crate::supervisor::Options;
use crate::worker::WorkerId;

/// How long what a worker started has between SIGTERM and SIGKILL once the
/// worker itself has ended, unless it was given longer.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether something is left.
const LOOK: Duration = Duration::from_millis(20);
/// How much is read at most between the end of a worker and the telling of it.
const LAST_WORDS: usize = 1 << 20;
/// How much is read at once.
const PIECE: usize = 16 * 1_024;

/// What a worker does.
#[derive(Debug)]
pub(crate) enum Happened {
    /// It sent `READY=1`.
    Notified(WorkerId),
    /// Its first process has ended.
    Ended { worker: WorkerId, exit: Exit, refusal: Option<Refusal>, last: LastLines },
    /// Nothing of it is left.
    Gone(WorkerId),
    /// It takes no more work.
    Quiet(WorkerId),
    /// The guardian has ended.
    GuardianEnded(Ident),
}

/// The last of both streams.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    stdout: Tail,
    stderr: Tail,
}

impl Tails {
    /// The last lines of both, as text.
    pub(crate) fn last(&self) -> LastLines {
        LastLines { stdout: self.stdout.last(LastLines::MAX), stderr: self.stderr.last(LastLines::MAX) }
    }

    /// The lines that have not ended: of the standard output, of the standard error.
    pub(crate) fn open(&self) -> (Vec<u8>, Vec<u8>) {
        (self.stdout.open().to_vec(), self.stderr.open().to_vec())
    }

    fn of(&mut self, stream: Stream) -> &mut Tail {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// A worker, as the loop holds it.
#[derive(Debug)]
pub(crate) struct Charge {
    pub(crate) reach: Reach,
    handle: Handle,
    tails: Arc<Mutex<Tails>>,
    /// Until when what it started may go on after its end.
    until: watch::Sender<Option<Instant>>,
    task: tokio::task::JoinHandle<()>,
}

impl Charge {
    /// Sends a signal to its first process alone.
    pub(crate) fn signal(&self, signal: Signal) {
        self.handle.signal(signal);
        // One that is stopped would not hear of it.
        self.handle.signal(Signal::CONT);
    }

    /// Lets what it started go on until then, should it end before.
    pub(crate) fn leave_time(&self, until: Instant) {
        self.until.send_replace(Some(until));
    }

    /// Kills it and all it started.
    pub(crate) fn kill(&self) {
        self.until.send_replace(Some(Instant::now()));
        self.handle.signal(Signal::KILL);
        self.reach.kill();
    }

    pub(crate) fn last(&self) -> LastLines {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).last()
    }

    /// Looks at it no longer. Gives what it has of lines that have not ended.
    pub(crate) async fn let_go(self) -> (Vec<u8>, Vec<u8>) {
        self.task.abort();
        // That it was aborted is no news.
        self.task.await.ok();
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).open()
    }
}

/// What every attendant needs.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) dir: RunDir,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) happened: mpsc::Sender<Happened>,
    pub(crate) lines: broadcast::Sender<Line>,
}

/// Starts a worker through the launcher.
pub(crate) fn start(options: &Options, around: &Surroundings, order: &Order, writer: Writer) -> io::Result<Charge> {
    let worker = &order.worker;
    for path in [&order.stdout, &order.stderr] {
        mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?;
    }
    let ears = Ears::open(&around.dir, worker)?;
    record::write(&around.dir.order(worker), order)?;
    let (program, args) = options.launcher.split_first().ok_or(io::ErrorKind::NotFound)?;
    let child = std::process::Command::new(program)
        .args(args)
        .arg(around.dir.order(worker))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let leader = Ident::of(child.id())?;
    let cgroup = order.cgroup.clone().map(crate::cgroup::Leaf::at);
    let reach = Reach { worker: worker.clone(), leader, cgroup };
    attend(reach, ears, around.clone(), writer, Tails::default())
}

/// Takes over a worker that runs. `open` are the lines that had not ended.
pub(crate) fn adopt(
    record: &Record,
    around: &Surroundings,
    writer: Writer,
    open: &(Vec<u8>, Vec<u8>),
) -> io::Result<Charge> {
    let mut tails = Tails::default();
    tails.stdout.add(&open.0);
    tails.stderr.add(&open.1);
    let ears = Ears::open(&around.dir, &record.worker)?;
    attend(Reach::of(record), ears, around.clone(), writer, tails)
}

fn attend(reach: Reach, ears: Ears, around: Surroundings, writer: Writer, tails: Tails) -> io::Result<Charge> {
    let child = Child::hold(reach.leader)?;
    let handle = child.handle();
    let tails = Arc::new(Mutex::new(tails));
    let (until, left) = watch::channel(None);
    let attendant = Attendant { reach: reach.clone(), ears, around, writer, tails: Arc::clone(&tails), child, left };
    let task = tokio::spawn(attendant.run());
    Ok(Charge { reach, handle, tails, until, task })
}

/// Where a worker is heard.
struct Ears {
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
    notify: UnixDatagram,
}

impl Ears {
    fn open(dir: &RunDir, worker: &WorkerId) -> io::Result<Self> {
        let socket = dir.socket(worker);
        fs::remove_file(&socket).ok();
        let notify = UnixDatagram::bind(&socket)?;
        // Whoever it runs as; nobody else knows the name.
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
        // Open for writing too, so that it does not end while nobody writes.
        let pipe = |path| pipe::OpenOptions::new().read_write(true).open_receiver(path);
        Ok(Self { stdout: pipe(dir.stdout(worker))?, stderr: pipe(dir.stderr(worker))?, notify })
    }

    fn pipe(&self, stream: Stream) -> &pipe::Receiver {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }
}

struct Attendant {
    reach: Reach,
    ears: Ears,
    around: Surroundings,
    writer: Writer,
    tails: Arc<Mutex<Tails>>,
    child: Child,
    left: watch::Receiver<Option<Instant>>,
}

impl Attendant {
    async fn run(self) {
        self.live().await;
        let exit = self.child.exit();
        self.drain();
        let worker = self.reach.worker.clone();
        let record = record::read::<Record>(&self.around.dir.record(&worker));
        let refusal = record.ok().and_then(|record| record.failed);
        let last = self.tails.lock().unwrap_or_else(PoisonError::into_inner).last();
        self.around.happened.send(Happened::Ended { worker: worker.clone(), exit, refusal, last }).await.ok();
        self.end_the_rest().await;
        self.drain();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = self.tails.lock().unwrap_or_else(PoisonError::into_inner).of(stream).end();
            self.tell(stream, rest.into_iter().collect());
        }
        self.child.collect();
        if let Some(cgroup) = &self.reach.cgroup {
            cgroup.remove();
        }
        self.around.dir.forget(&worker);
        self.around.happened.send(Happened::Gone(worker)).await.ok();
    }

    /// Returns when its first process has ended.
    async fn live(&self) {
        let mut told = [0; 4_096];
        let mut is_ready = false;
        loop {
            tokio::select! {
                ready = self.ears.stdout.readable() => { ready.ok(); self.read(Stream::Stdout); }
                ready = self.ears.stderr.readable() => { ready.ok(); self.read(Stream::Stderr); }
                got = self.ears.notify.recv(&mut told) => {
                    let got = got.unwrap_or(0);
                    if !is_ready && told[..got].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                        is_ready = true;
                        self.around.happened.send(Happened::Notified(self.reach.worker.clone())).await.ok();
                    }
                }
                () = self.child.ended() => return,
            }
        }
    }

    /// Ends what it started, and goes on reading what that has to say.
    async fn end_the_rest(&self) {
        if self.reach.is_empty() {
            return;
        }
        let usual = Instant::now() + GRACE;
        let mut ended: BTreeSet<u32> = self.reach.terminate().iter().map(|process| process.pid).collect();
        while !self.reach.is_empty() {
            let until = self.left.borrow().unwrap_or(usual);
            if Instant::now() >= until {
                ended.extend(self.reach.kill().iter().map(|process| process.pid));
            }
            ended.extend(self.reach.followers().iter().map(|process| process.pid));
            let look = Instant::now() + LOOK;
            loop {
                tokio::select! {
                    ready = self.ears.stdout.readable() => { ready.ok(); self.read(Stream::Stdout); }
                    ready = self.ears.stderr.readable() => { ready.ok(); self.read(Stream::Stderr); }
                    () = sleep_until(look) => break,
                }
            }
            reach::collect(&mut ended);
        }
        // They become our children a moment after their parents have ended.
        for _ in 0..10 {
            reach::collect(&mut ended);
            if ended.is_empty() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads a piece, if there is one.
    fn read(&self, stream: Stream) {
        let mut piece = [0; PIECE];
        if let Ok(bytes) = self.ears.pipe(stream).try_read(&mut piece) {
            self.take(stream, &piece[..bytes]);
        }
    }

    /// Reads what is there, also if the runtime has not heard of it yet.
    fn drain(&self) {
        let mut piece = [0; PIECE];
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut read = 0;
            while read < LAST_WORDS {
                match rustix::io::read(self.ears.pipe(stream), &mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(bytes) => self.take(stream, &piece[..bytes]),
                }
                read += PIECE;
            }
        }
    }

    fn take(&self, stream: Stream, piece: &[u8]) {
        let told = self.tails.lock().unwrap_or_else(PoisonError::into_inner).of(stream).add(piece);
        self.tell(stream, told);
    }

    fn tell(&self, stream: Stream, told: Vec<crate::output::tail::Told>) {
        let at = self.around.clock.now().wall;
        for (text, cut) in told {
            let line = Line { at, worker: self.reach.worker.clone(), stream, text, cut };
            // Nobody has to listen.
            self.around.lines.send(line.clone()).ok();
            self.writer.write(line);
        }
    }
}
