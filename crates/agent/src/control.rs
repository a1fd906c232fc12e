//! How commands on this host talk to the agent: a socket in its folder.
//!
//! A command sends one line of JSON, an [`Ask`], and reads lines of JSON: any
//! number of [`Answer::Say`], which tell how it goes, and one last answer. The
//! socket belongs to the owner of the tree, so that whoever may deploy may also
//! have the workers follow; nothing else can be asked of it.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use job::{PoolName, Span};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use wire::v1::AgentReport;

use crate::look::Users;

/// The name of the socket in the agent's folder.
pub const SOCKET: &str = "control.sock";
/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 4 << 20;
/// How many commands are served at once; further ones wait.
const MAX_SERVED: usize = 32;
/// How long a command may take to say what it wants.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// How long an agent may take to become its newer self.
const RENEWS_WITHIN: Duration = Duration::from_millis(1_500);
/// How often an agent may become its newer self while it is asked.
const MAX_CUTS: u32 = 3;
/// How many lines may wait for a command that does not read.
const MAX_BEHIND: usize = 1_000;

/// What a command may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// How is it?
    Report,
    /// Look at `current` now, and have every worker run it.
    Follow {
        /// How long that may take.
        within: Span,
    },
    /// Replace workers by new ones of the same release.
    Restart {
        /// Of this pool, or of all.
        pool: Option<PoolName>,
        /// How long that may take.
        within: Span,
    },
    /// Who is in these folders, as far as the agent may look?
    InUse {
        /// The folders.
        folders: Vec<Folder>,
        /// The process that asks: it has them open to look at them.
        asker: u32,
    },
}

/// A folder, as the system knows it and where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// The device.
    pub dev: u64,
    /// The inode.
    pub ino: u64,
    /// The path.
    pub path: PathBuf,
}

/// What the agent answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How it goes, for a person.
    Say(String),
    /// How it is.
    Report(Box<AgentReport>),
    /// What became of the workers.
    Rolled(Rolled),
    /// Who is in each of the folders, in their order.
    InUse(Vec<Users>),
    /// It could not be done, and why.
    Refused(String),
}

/// What became of the workers when they were to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolled {
    /// The release that they should run, if there is one.
    pub release: Option<String>,
    /// Those that were seen to run it, and to be ready.
    pub confirmed: Vec<Confirmed>,
    /// What is not so, in sentences: pools that are held, processes that could
    /// not be confirmed. Nothing here means that all is well.
    pub failed: Vec<String>,
    /// Whether any worker of the new release became ready.
    pub any_ready: bool,
    /// Whether workers of an older release still work.
    pub old_serve: bool,
}

/// A process that was seen to be as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Its pool.
    pub pool: String,
    /// Its number.
    pub pid: i32,
    /// The release that it was seen to run.
    pub release: String,
    /// What shows that, as a clause: `ready, it spoke to the queue`.
    pub how: String,
}

/// Tells a command how it goes.
#[derive(Clone, Debug)]
pub struct Teller(mpsc::Sender<Answer>);

impl Teller {
    /// Tells a line. One that nobody reads in time is dropped.
    pub fn say(&self, line: impl Into<String>) {
        drop(self.0.try_send(Answer::Say(line.into())));
    }
}

/// What answers commands.
pub trait Answers: Send + Sync + 'static {
    /// Answers one, and tells meanwhile how it goes.
    fn answer(&self, ask: Ask, teller: Teller) -> impl Future<Output = Answer> + Send;
}

/// Opens the socket at `path`, in the place of one that a dead agent, or this
/// one's older self, has left; that no other agent lives is the caller's to
/// know. There is never a moment without a socket.
pub(crate) fn listen(path: &Path, owner: &Path) -> io::Result<UnixListener> {
    let draft = path.with_extension("new");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&draft)?;
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o660))?;
    let (owner, own) = (std::fs::metadata(owner)?, std::fs::metadata(&draft)?);
    if (owner.uid(), owner.gid()) != (own.uid(), own.gid()) {
        std::os::unix::fs::chown(&draft, Some(owner.uid()), Some(owner.gid()))?;
    }
    std::fs::rename(&draft, path)?;
    Ok(listener)
}

/// Serves commands for as long as it is polled. Dropped, it cuts off those that
/// wait for an answer.
pub(crate) async fn serve(listener: UnixListener, answers: Arc<impl Answers>) {
    let places = Arc::new(Semaphore::new(MAX_SERVED));
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answers = answers.clone();
                served.spawn(async move {
                    if let Err(error) = attend(stream, &*answers).await {
                        tracing::debug!(%error, "a command on the control socket went away");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a command could not be let in");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn attend(stream: UnixStream, answers: &impl Answers) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = Vec::new();
    let mut read = BufReader::new(read).take(MAX_LINE);
    timeout(ASK_WITHIN, read.read_until(b'\n', &mut line)).await??;
    let ask: Ask = match serde_json::from_slice(&line) {
        Ok(ask) => ask,
        Err(error) => return put(&mut write, &Answer::Refused(format!("this is not understood: {error}"))).await,
    };
    let (tell, mut told) = mpsc::channel(MAX_BEHIND);
    let mut answer = std::pin::pin!(answers.answer(ask, Teller(tell)));
    let last = loop {
        tokio::select! {
            biased;
            Some(said) = told.recv() => put(&mut write, &said).await?,
            last = &mut answer => break last,
        }
    };
    while let Ok(said) = told.try_recv() {
        put(&mut write, &said).await?;
    }
    put(&mut write, &last).await
}

async fn put(write: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer).map_err(io::Error::other)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// Asks the agent whose folder this is. `say` is given each line that tells how
/// it goes.
///
/// An agent that becomes its newer self answers nobody any more; then it is
/// asked again. It may have heard the first time: to ask twice changes nothing,
/// but that a restart may be done twice.
pub async fn ask(dir: &Path, ask: &Ask, mut say: impl FnMut(&str)) -> Result<Answer, NoAnswer> {
    let path = dir.join(SOCKET);
    for _ in 0..MAX_CUTS {
        match ask_once(&path, ask, &mut say).await {
            Err(error) if was_cut(&error) => {}
            done => return done.map_err(|error| NoAnswer { path, error }),
        }
    }
    ask_once(&path, ask, &mut say).await.map_err(|error| NoAnswer { path, error })
}

async fn ask_once(path: &Path, ask: &Ask, say: &mut impl FnMut(&str)) -> io::Result<Answer> {
    let (read, mut write) = connect(path).await?.into_split();
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        (&mut read).take(MAX_LINE).read_until(b'\n', &mut line).await?;
        if !line.ends_with(b"\n") {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the agent ended before it answered"));
        }
        match serde_json::from_slice(&line)? {
            Answer::Say(line) => say(&line),
            last @ (Answer::Report(_) | Answer::Rolled(_) | Answer::InUse(_) | Answer::Refused(_)) => return Ok(last),
        }
    }
}

/// Whether the agent was there and ended before it answered.
fn was_cut(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// An agent that becomes its newer self is not there for a moment: its socket
/// is, with nobody behind it.
async fn connect(path: &Path) -> io::Result<UnixStream> {
    let deadline = Instant::now() + RENEWS_WITHIN;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                sleep(Duration::from_millis(50)).await;
            }
            done => return done,
        }
    }
}

/// The agent did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the agent did not answer on `{}`: {error}", path.display())]
pub struct NoAnswer {
    /// Where it was asked.
    pub path: PathBuf,
    /// What came of it.
    pub error: io::Error,
}

impl NoAnswer {
    /// Whether there is no agent, as far as can be seen: no socket, or nobody
    /// behind it.
    pub fn nobody_is_there(&self) -> bool {
        matches!(self.error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake;

    impl Answers for Fake {
        async fn answer(&self, ask: Ask, teller: Teller) -> Answer {
            match ask {
                Ask::Report => Answer::Refused("not now".to_owned()),
                Ask::Follow { within } => {
                    teller.say(format!("within {within}"));
                    teller.say("mail: 1 of 2 is ready");
                    Answer::Rolled(Rolled { any_ready: true, ..Rolled::default() })
                }
                Ask::Restart { .. } | Ask::InUse { .. } => std::future::pending().await,
            }
        }
    }

    async fn fake(dir: &Path) -> tokio::task::JoinHandle<()> {
        let listener = listen(&dir.join(SOCKET), dir).unwrap();
        tokio::spawn(serve(listener, Arc::new(Fake)))
    }

    #[tokio::test]
    async fn a_command_hears_how_it_goes_and_what_came_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let server = fake(dir.path()).await;
        let mut said = Vec::new();
        let follow = Ask::Follow { within: Span::from_secs(5) };
        let last = ask(dir.path(), &follow, |line| said.push(line.to_owned())).await.unwrap();
        assert!(matches!(last, Answer::Rolled(Rolled { any_ready: true, .. })));
        assert_eq!(said, ["within 5s", "mail: 1 of 2 is ready"]);
        let last = ask(dir.path(), &Ask::Report, |_| ()).await.unwrap();
        assert!(matches!(last, Answer::Refused(why) if why == "not now"));
        server.abort();
    }

    #[tokio::test]
    async fn who_is_cut_off_asks_again() {
        let dir = tempfile::tempdir().unwrap();
        let old = listen(&dir.path().join(SOCKET), dir.path()).unwrap();
        let asked = tokio::spawn({
            let dir = dir.path().to_owned();
            async move { ask(&dir, &Ask::Follow { within: Span::from_secs(5) }, |_| ()).await }
        });
        // It has heard, and becomes another.
        let (mut stream, _) = old.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"{\"say\":\"half").await.unwrap();
        let server = fake(dir.path()).await;
        drop((old, stream));
        assert!(matches!(asked.await.unwrap().unwrap(), Answer::Rolled(Rolled { any_ready: true, .. })));
        server.abort();
    }

    #[tokio::test]
    async fn an_agent_that_is_not_there_is_told_from_one_that_does_not_answer() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ask(dir.path(), &Ask::Report, |_| ()).await.unwrap_err().nobody_is_there());
        let listener = listen(&dir.path().join(SOCKET), dir.path()).unwrap();
        drop(listener);
        assert!(ask(dir.path(), &Ask::Report, |_| ()).await.unwrap_err().nobody_is_there(), "its socket was left");
        let _server = fake(dir.path()).await;
        let mode = std::fs::metadata(dir.path().join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let mut stream = UnixStream::connect(dir.path().join(SOCKET)).await.unwrap();
        stream.write_all(b"{\"follow\":{}}\n").await.unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).await.unwrap();
        assert!(answer.starts_with("{\"refused\":\"this is not understood: missing field `within`"), "{answer}");
    }
}
