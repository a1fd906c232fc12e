//! The connection to one host: an `ssh`, as the user has it, that runs aloud
//! there; or aloud itself, on this host.

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::time::Duration;

use release::Pack;

use crate::deploy::words::{self, Chunks, Order, Said, Ungreeted, Word};

/// How many words may wait to be sent.
const WAITING: usize = 100;
/// How long what ssh says last is waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long ssh may take to end after its connection did.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
const BETWEEN: Duration = Duration::from_millis(10);

/// How a host is reached.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// It is this one.
    Here { program: PathBuf, config: Option<PathBuf> },
    /// Over ssh.
    Ssh { options: Vec<String>, aloud: String, config: String, may_ask: bool },
}

/// What happens at a host, or here.
#[derive(Debug)]
pub(super) struct Event {
    /// Which, by its place.
    pub(super) host: usize,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// It said something.
    Said(Box<Said>),
    /// What ssh or aloud wrote to stderr.
    Complained(String),
    /// No aloud that could be spoken with is there.
    Ungreeted(Ungreeted),
    /// The source could not be packed: in three parts.
    Unpacked(Box<release::Error>),
    /// The connection ended.
    Closed,
    /// Somebody here asked to give it up, with this signal.
    Asked(&'static str),
}

/// A connection.
pub(super) struct Link {
    words: Option<SyncSender<Item>>,
    /// What is being sent is of no use any more.
    cut: Arc<AtomicBool>,
    child: Child,
}

enum Item {
    Word(Word),
    Source { pack: Arc<Pack>, exclude: Vec<String> },
}

impl Link {
    /// Starts it. What happens is told as that of the host with this place.
    pub(super) fn open(name: &str, way: &Way, order: Order, host: usize, events: &Sender<Event>) -> io::Result<Self> {
        let mut child =
            command(name, way).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let cut = Arc::new(AtomicBool::new(false));
        let (words, waiting) = sync_channel(WAITING);
        let stdin = child.stdin.take().expect("it was asked for");
        let stdout = child.stdout.take().expect("it was asked for");
        let stderr = child.stderr.take().expect("it was asked for");
        let (to, is_cut) = (events.clone(), cut.clone());
        std::thread::spawn(move || send(stdin, &order, &waiting, &is_cut, host, &to));
        let (complaints_end, complaints_ended) = sync_channel::<()>(1);
        let to = events.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if to.send(Event { host, what: What::Complained(line) }).is_err() {
                    break;
                }
            }
            drop(complaints_end);
        });
        let to = events.clone();
        std::thread::spawn(move || {
            let tell = |what| drop(to.send(Event { host, what }));
            let ungreeted = hear(stdout, host, &to);
            // A shared connection keeps stderr open for longer.
            complaints_ended.recv_timeout(LAST_WORDS).ok();
            if let Err(ungreeted) = ungreeted {
                tell(What::Ungreeted(ungreeted));
            }
            tell(What::Closed);
        });
        Ok(Self { words: Some(words), cut, child })
    }

    /// Says a word. One who hears so little that words pile up is as good as lost.
    pub(super) fn say(&mut self, word: Word) {
        if let Word::Abort { .. } = word {
            self.cut.store(true, Ordering::SeqCst);
        }
        let is_needed = word != Word::Alive;
        if let Some(words) = &self.words
            && words.try_send(Item::Word(word)).is_err()
            && is_needed
        {
            self.words = None;
        }
    }

    /// Sends the source.
    pub(super) fn supply(&mut self, pack: Arc<Pack>, exclude: Vec<String>) {
        if let Some(words) = &self.words {
            drop(words.try_send(Item::Source { pack, exclude }));
        }
    }

    /// Ends it, if it has not ended by itself.
    pub(super) fn close(&mut self) {
        self.cut.store(true, Ordering::SeqCst);
        self.words = None;
        let mut waited = Duration::ZERO;
        while waited < ENDS_WITHIN {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(BETWEEN),
                Ok(Some(_)) | Err(_) => return,
            }
            waited += BETWEEN;
        }
        self.kill();
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        // It may have ended just now.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What runs aloud there. It must outlive what a terminal sends to everybody: it
/// is for us to say to the hosts what becomes of them.
fn command(name: &str, way: &Way) -> Command {
    const OUTLIVES: &str = "trap '' INT QUIT HUP; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", OUTLIVES, "sh"]);
    match way {
        Way::Here { program, config } => {
            command.arg(program);
            if let Some(config) = config {
                command.arg("--config").arg(config);
            }
            command.args(["deploy", "-", "--part"]);
        }
        Way::Ssh { options, aloud, config, may_ask } => {
            command.arg("ssh").arg("-T");
            for option in options {
                if !option.starts_with('-') {
                    command.arg("-o");
                }
                command.arg(option);
            }
            // What the user said comes first, and so counts.
            if !may_ask {
                command.args(["-o", "BatchMode=yes"]);
            }
            command.args(["-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=6"]);
            command.args(["--", name]).arg(format!("{aloud} --config {} deploy - --part", quoted(config)));
        }
    }
    command
}

/// As a shell reads it as one word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn send(
    mut stdin: ChildStdin,
    order: &Order,
    waiting: &Receiver<Item>,
    cut: &AtomicBool,
    host: usize,
    events: &Sender<Event>,
) {
    let begun = words::greet(&mut stdin).and_then(|()| words::write(&mut stdin, order));
    if begun.is_err() {
        return;
    }
    // The end of this function closes stdin, and so says that nobody is there.
    while let Ok(item) = waiting.recv() {
        let sent = match item {
            Item::Word(word) => words::write(&mut stdin, &word),
            Item::Source { pack, exclude } => {
                let mut wire = Cuttable { to: &mut stdin, cut, is_broken: false };
                let mut buffered = io::BufWriter::with_capacity(words::CHUNK, Chunks::new(&mut wire));
                let packed = pack.write(&exclude, &mut buffered);
                let finished = buffered.into_inner().map_err(io::IntoInnerError::into_error);
                match packed {
                    Ok(()) => finished.and_then(Chunks::finish),
                    Err(error) => {
                        drop(finished);
                        // If it could not be sent, the host says why, or is lost.
                        if !wire.is_broken {
                            drop(events.send(Event { host, what: What::Unpacked(Box::new(error)) }));
                        }
                        return;
                    }
                }
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Stops when what is written is of no use any more.
struct Cuttable<'a> {
    to: &'a mut ChildStdin,
    cut: &'a AtomicBool,
    is_broken: bool,
}

impl Write for Cuttable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.cut.load(Ordering::SeqCst) {
            true => Err(io::Error::other("it was given up")),
            false => self.to.write(bytes),
        };
        self.is_broken |= written.is_err();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn hear(stdout: impl io::Read, host: usize, events: &Sender<Event>) -> Result<(), Ungreeted> {
    let mut from = BufReader::new(stdout);
    words::greeted(&mut from)?;
    while let Ok(Some(said)) = words::read(&mut from) {
        if events.send(Event { host, what: What::Said(Box::new(said)) }).is_err() {
            break;
        }
    }
    Ok(())
}
