//! A declared command, and one run of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use job::Span;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio::time::timeout;

use super::group::{Exit, Group, Pipes};
use super::place::Place;
use crate::code::{Code, Entered};
use crate::excerpt::Excerpt;
use crate::patience::{Over, Patience};
use crate::task::Task;
use crate::unfit::Unfit;

/// A declared command, and where it starts.
#[derive(Clone)]
pub struct Command {
    argv: Vec<String>,
    place: Place,
    env: BTreeMap<String, String>,
    grace: Span,
}

/// What is taken over from aloud's own environment, besides what is declared.
const INHERITED: [&str; 9] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];
/// How long the output is waited for once the command has ended.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

impl Command {
    /// How long the processes have between SIGTERM and SIGKILL, unless
    /// [`Command::with_grace`] says otherwise.
    pub const GRACE: Span = Span::from_secs(5);

    /// A command: the program and its arguments, started in `dir`.
    ///
    /// A program with a slash in its name is looked for from `dir` onwards, any
    /// other in `PATH`. `dir` must be absolute; it is resolved again at every
    /// start, so it may lead through a symbolic link such as `current`.
    pub fn new(argv: Vec<String>, dir: impl Into<PathBuf>) -> Result<Self, Unfit> {
        let dir = dir.into();
        check(&argv, &dir)?;
        if !dir.is_absolute() {
            return Err(Unfit::new(
                format!("the folder `{}` of the command `{}` is not absolute", dir.display(), argv[0]),
                "write the whole path, from `/` onwards",
            ));
        }
        Ok(Self::at(argv, Place::Folder(dir)))
    }

    /// A command that is started in whatever `code` is current then, which stays
    /// there for as long as it runs. A relative `dir` lies inside that; in an
    /// absolute one it is started as `code` says.
    pub fn in_code(argv: Vec<String>, code: Arc<dyn Code>, dir: Option<&Path>) -> Result<Self, Unfit> {
        check(&argv, dir.unwrap_or(Path::new("")))?;
        Ok(Self::at(argv, Place::of(code, dir)?))
    }

    fn at(argv: Vec<String>, place: Place) -> Self {
        Self { argv, place, env: BTreeMap::new(), grace: Self::GRACE }
    }

    /// The same command with these variables in its environment, besides the
    /// few that every command gets.
    pub fn with_env(mut self, env: BTreeMap<String, String>) -> Result<Self, Unfit> {
        let bad = |(name, value): &(&String, &String)| {
            name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') || is_ours(name)
        };
        if let Some((name, _)) = env.iter().find(bad) {
            return Err(Unfit::new(
                format!("{name:?} cannot be set in the environment of the command `{}`", self.argv[0]),
                "take a name without `=`, and not one of those that aloud sets for each job",
            ));
        }
        self.env = env;
        Ok(self)
    }

    /// The same command with so long between SIGTERM and SIGKILL.
    pub fn with_grace(self, grace: Span) -> Self {
        Self { grace, ..self }
    }

    /// How long it takes at most from the end of its time to the end of its
    /// processes.
    pub(crate) fn grace(&self) -> Span {
        self.grace
    }

    /// Runs it once, and leaves no process of its group behind, whatever
    /// happens: also if the future is dropped.
    ///
    /// `told` is added to the environment; `input` is written to its standard
    /// input, and it does not matter whether it is read.
    pub(crate) async fn run(&self, told: &[(&str, String)], input: &[u8], patience: &Patience) -> Result<Ran, NotRun> {
        let entered = match patience.within(self.place.enter()).await {
            Ok(entered) => entered.map_err(|why| NotRun::NotStarted(format!("cannot start {self}: {why}")))?,
            Err(over) => return Err(NotRun::Over(over)),
        };
        let started = self.start(&entered, told);
        let (mut group, pipes) = started.map_err(|error| NotRun::NotStarted(self.not_started(&entered, &error)))?;
        let (mut stdout, mut stderr) = (Excerpt::default(), Excerpt::default());
        let io = async {
            tokio::join!(feed(pipes.stdin, input), drain(pipes.stdout, &mut stdout), drain(pipes.stderr, &mut stderr))
        };
        let (cut_short, exit) = self.accompany(&mut group, io, patience).await;
        // Only now: the group has ended. Were this future dropped, they would
        // go in the same order.
        drop(group);
        drop(entered);
        let exit = exit.map_err(|error| NotRun::NotStarted(format!("the end of {self} was not heard of: {error}")))?;
        Ok(Ran { exit, cut_short, stdout, stderr })
    }

    fn start(&self, entered: &Entered, told: &[(&str, String)]) -> io::Result<(Group, Pipes)> {
        let Entered { dir, env, wrap, .. } = entered;
        let program = self.program(dir);
        let mut command = match wrap.split_first() {
            None => tokio::process::Command::new(program),
            // What is not there is told better from here.
            Some(_) if self.has_path() && !program.exists() => return Err(io::ErrorKind::NotFound.into()),
            Some((wrapper, more)) => {
                let mut command = tokio::process::Command::new(wrapper);
                command.args(more).arg(program);
                command
            }
        };
        command
            .args(&self.argv[1..])
            .current_dir(dir)
            .env_clear()
            .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(&self.env)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .envs(told.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Group::start(command)
    }

    /// Moves what it reads and writes until it has ended, or has been ended.
    async fn accompany<T>(
        &self,
        group: &mut Group,
        io: impl Future<Output = T>,
        patience: &Patience,
    ) -> (Option<Over>, io::Result<Exit>) {
        let mut io = std::pin::pin!(io.fuse());
        let mut cut_short = None;
        {
            let ended = async {
                tokio::select! {
                    biased;
                    () = group.exited() => return None,
                    over = patience.over() => cut_short = Some(over),
                }
                group.terminate();
                timeout(self.grace.as_duration(), group.exited()).await.ok()
            };
            let mut ended = std::pin::pin!(ended);
            tokio::select! {
                biased;
                _ = &mut ended => {}
                _ = &mut io => { ended.await; }
            }
        }
        if cut_short.is_none() && !io.is_terminated() {
            // Its children may still have something to say.
            timeout(LAST_OUTPUT, &mut io).await.ok();
        }
        let exit = group.end().await;
        if !io.is_terminated() {
            // A process that left the group may hold the pipes for ever.
            timeout(LAST_OUTPUT, &mut io).await.ok();
        }
        (cut_short, exit)
    }

    fn program(&self, dir: &Path) -> PathBuf {
        let program = Path::new(&self.argv[0]);
        if self.has_path() { dir.join(program) } else { program.to_owned() }
    }

    /// Whether the program is looked for by its path, and not in `PATH`.
    fn has_path(&self) -> bool {
        self.argv[0].contains('/')
    }

    /// What to say when nothing could be started: of all that can be missing,
    /// the system only says "not found".
    fn not_started(&self, Entered { dir, wrap, .. }: &Entered, error: &io::Error) -> String {
        let shown = dir.display();
        let about = match std::fs::metadata(dir) {
            Err(missing) => format!("its folder `{shown}` cannot be entered: {missing}"),
            Ok(folder) if !folder.is_dir() => format!("`{shown}` is not a folder"),
            Ok(_) if error.kind() == io::ErrorKind::NotFound => {
                if self.has_path() && !self.program(dir).exists() {
                    "there is no such program".to_owned()
                } else if let Some(wrapper) = wrap.first() {
                    format!("`{}`, which is to start it, is not there", wrapper.display())
                } else if !self.has_path() {
                    format!("there is no such program in PATH ({})", shown_path())
                } else {
                    "the program is there, but not the interpreter that its first line names".to_owned()
                }
            }
            Ok(_) => error.to_string(),
        };
        format!("cannot start {self} in `{shown}`: {about}")
    }
}

impl fmt::Display for Command {
    /// Names the program; its arguments may be long, or nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.argv[0])
    }
}

impl fmt::Debug for Command {
    /// Leaves out what its environment says, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.keys().collect();
        f.debug_struct("Command").field("argv", &self.argv).field("place", &self.place).field("env", &names).finish()
    }
}

/// What came of one run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    /// Why it was ended before it ended by itself, if it was.
    pub(crate) cut_short: Option<Over>,
    pub(crate) stdout: Excerpt,
    pub(crate) stderr: Excerpt,
}

/// Why there is no end of a run to speak of.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// It could not be started; says why.
    NotStarted(String),
    /// The time was up, or the run was cut, before it could be started.
    Over(Over),
}

impl Ran {
    /// `what`, followed by the last lines of its output.
    pub(crate) fn last_words(&self, what: String) -> String {
        let (stream, lines) = match (self.stderr.last_lines(), self.stdout.last_lines()) {
            (Some(lines), _) => ("stderr", lines),
            (None, Some(lines)) => ("stdout", lines),
            (None, None) => return format!("{what}, without a word"),
        };
        format!("{what}. The last it wrote to {stream}:\n{lines}")
    }
}

/// What every command is told of its job in the environment.
pub(crate) fn told(task: &Task) -> Vec<(&'static str, String)> {
    let mut told = vec![
        ("ALOUD_JOB", task.id.to_string()),
        ("ALOUD_KIND", task.kind.to_string()),
        ("ALOUD_QUEUE", task.queue.to_string()),
        ("ALOUD_ATTEMPT", task.attempt.to_string()),
    ];
    if let Some(key) = &task.key {
        told.push(("ALOUD_KEY", key.to_string()));
    }
    told
}

/// Whether the words can be handed to a system at all.
fn check(argv: &[String], dir: &Path) -> Result<(), Unfit> {
    if argv.first().is_none_or(String::is_empty) {
        return Err(Unfit::new(
            "the command is empty",
            "write the program and its arguments, each as one text: `[\"bin/thing\", \"--flag\"]`",
        ));
    }
    if argv.iter().any(|text| text.contains('\0')) || dir.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Unfit::new(format!("the command {argv:?} holds a NUL byte"), "remove it"));
    }
    Ok(())
}

fn is_ours(name: &str) -> bool {
    ["ALOUD_JOB", "ALOUD_KIND", "ALOUD_QUEUE", "ALOUD_ATTEMPT", "ALOUD_KEY", "ALOUD_RELEASE"].contains(&name)
}

fn shown_path() -> String {
    std::env::var_os("PATH").unwrap_or_else(|| OsString::from("not set")).to_string_lossy().into_owned()
}

/// Writes the input and closes it. A command that does not read it is no error.
async fn feed(mut stdin: ChildStdin, input: &[u8]) {
    stdin.write_all(input).await.ok();
    stdin.shutdown().await.ok();
}

/// Reads to the end, so that the command is never held up by a full pipe.
async fn drain(mut from: impl AsyncRead + Unpin, into: &mut Excerpt) {
    let mut piece = vec![0; 16 * 1_024];
    while let Ok(bytes) = from.read(&mut piece).await {
        if bytes == 0 {
            break;
        }
        into.add(&piece[..bytes]);
    }
}
