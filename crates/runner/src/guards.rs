//! Asks whether a job is still wanted.
//!
//! Only a clear answer counts. Whatever else comes (a page, another status,
//! another job's answer, a command that is gone, silence) is an error that says
//! what came.

use std::collections::BTreeMap;
use std::sync::Arc;

use job::attempt::{MAX_TEXT_BYTES, bounded};
use job::{Answer, Clock, Guard, Job, Span};
use queue::{BoxFuture, Guards};
use reqwest::StatusCode;
use reqwest::header::LOCATION;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::excerpt::{Excerpt, readable};
use crate::exec::{Command, Exit, NotRun, told};
use crate::http::{Address, Reply, Request, post, with_text};
use crate::patience::{Over, Patience};
use crate::secret::Secret;
use crate::task::Task;
use crate::unfit::Unfit;

/// Guards that are asked over HTTP, and declared commands.
///
/// How many are asked at once is bounded by the queue.
#[derive(Clone)]
pub struct HttpAndExecGuards(Arc<Asking>);

/// A command that may be asked.
#[derive(Clone, Debug)]
pub struct GuardCommand {
    /// What a job calls it.
    pub name: String,
    /// What is run.
    pub command: Command,
    /// How long it may take.
    pub timeout: Span,
}

struct Asking {
    clock: Arc<dyn Clock>,
    secret: Secret,
    commands: BTreeMap<String, GuardCommand>,
    timeout: Span,
}

/// The exit status with which a command says that the job is not wanted.
const SKIP: i32 = 77;
/// Between the time of a guard and the moment its answer is there.
const MARGIN: Span = Span::from_secs(1);

impl GuardCommand {
    /// How long a command has between SIGTERM and SIGKILL.
    pub const GRACE: Span = Span::from_secs(1);

    /// Asks whether this start of a job is still wanted.
    ///
    /// Takes at most [`GuardCommand::timeout`] and the grace of the command.
    pub async fn ask(&self, task: &Task) -> Answer {
        let Self { name, command, timeout } = self;
        let patience = Patience::new(*timeout, CancellationToken::new());
        let ran = match command.run(&told(task), task.payload.as_bytes(), &patience).await {
            Ok(ran) => ran,
            Err(NotRun::NotStarted(error)) => return Answer::Error(format!("the guard `{name}`: {error}")),
            Err(NotRun::Over(Over::TimedOut | Over::Cut)) => {
                return Answer::Error(format!("the guard `{name}` could not be started within {timeout}"));
            }
        };
        match (ran.cut_short, ran.exit) {
            (None, Exit::Code(0)) => Answer::Yes,
            (None, Exit::Code(SKIP)) => Answer::No(ran.stdout.first_line()),
            (None, exit) => Answer::Error(ran.last_words(format!("the guard `{name}` ended with {exit}"))),
            (Some(_), _) => Answer::Error(ran.last_words(format!("the guard `{name}` took longer than {timeout}"))),
        }
    }
}

impl HttpAndExecGuards {
    /// How long a guard may take, unless it is said.
    pub const TIMEOUT: Span = Span::from_secs(5);
    /// The longest that may be said.
    pub const MAX_TIMEOUT: Span = Span::from_secs(60);

    /// Guards over HTTP, whose requests are signed with `secret`, and these
    /// commands.
    pub fn new(clock: Arc<dyn Clock>, secret: Secret, commands: Vec<GuardCommand>) -> Result<Self, Unfit> {
        let mut by_name = BTreeMap::new();
        for guard in commands {
            check_name(&guard.name)?;
            check_timeout(guard.timeout).map_err(|unfit| unfit.of(&format!("the guard `{}`", guard.name)))?;
            let name = guard.name.clone();
            if by_name.insert(name.clone(), guard).is_some() {
                return Err(Unfit::new(format!("two guards are called `{name}`"), "give each its own name"));
            }
        }
        Ok(Self(Arc::new(Asking { clock, secret, commands: by_name, timeout: Self::TIMEOUT })))
    }
}

impl Guards for HttpAndExecGuards {
    fn ask(&self, job: Job) -> BoxFuture<'static, Answer> {
        let asking = Arc::clone(&self.0);
        Box::pin(async move { asking.ask(job).await })
    }

    fn patience(&self) -> Span {
        let commands = self.0.commands.values().map(|guard| after(guard.timeout, guard.command.grace()));
        let longest = commands.max().unwrap_or(Span::ZERO).max(self.0.timeout);
        after(longest, MARGIN)
    }
}

impl Asking {
    async fn ask(&self, mut job: Job) -> Answer {
        let Some(guard) = job.spec.guard.take() else { return Answer::Yes };
        let next = job.attempt + 1;
        let task = Task::of(job, next);
        match &guard {
            Guard::Http(address) => match address.parse::<Address>() {
                Ok(address) => self.ask_address(&task, &address).await,
                Err(error) => Answer::Error(format!("the guard's address cannot be asked: {error}")),
            },
            Guard::Exec(name) => match self.commands.get(name) {
                Some(guard) => guard.ask(&task).await,
                None => Answer::Error(format!(
                    "no guard called `{}` is declared on this server; declare it as a `[[guard]]` in aloud.toml",
                    readable(name.as_bytes())
                )),
            },
        }
    }

    async fn ask_address(&self, task: &Task, address: &Address) -> Answer {
        let id = task.id.to_string();
        let Ok(payload) = serde_json::from_slice::<&RawValue>(task.payload.as_bytes()) else {
            return Answer::Error("the payload is not JSON, so an http guard cannot be shown it".to_owned());
        };
        let question =
            Question { job: &id, kind: task.kind.as_str(), key: task.key.as_ref().map(job::Key::as_str), payload };
        let body = serde_json::to_vec(&question).expect("strings and JSON are always JSON");
        let request =
            Request { address, secret: &self.secret, task, now: self.clock.now().wall, body, idempotent: false };
        let patience = Patience::new(self.timeout, CancellationToken::new());
        match patience.within(post(request)).await {
            Ok(Ok(reply)) => answer(address, &id, &reply),
            Ok(Err(broken)) => Answer::Error(broken.message),
            Err(Over::TimedOut | Over::Cut) => {
                Answer::Error(format!("{address} did not answer within {}", self.timeout))
            }
        }
    }
}

/// What an address is asked.
#[derive(Serialize)]
struct Question<'a> {
    job: &'a str,
    kind: &'a str,
    key: Option<&'a str>,
    payload: &'a RawValue,
}

/// What it answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    job: String,
    run: bool,
    #[serde(default)]
    why: Option<String>,
}

/// What the reply says, if it clearly says something.
fn answer(address: &Address, id: &str, reply: &Reply) -> Answer {
    let status = reply.status;
    let text = Excerpt::of(&reply.body).text();
    if status.is_redirection() {
        let to = reply.headers.get(LOCATION).map_or_else(String::new, |to| format!(" to {}", readable(to.as_bytes())));
        return Answer::Error(format!("{address} answered {status} and redirects{to}; redirects are not followed"));
    }
    if status != StatusCode::OK {
        return Answer::Error(with_text(format!("{address} answered {status} instead of 200"), text));
    }
    let said: Said = match serde_json::from_slice(&reply.body) {
        Ok(said) => said,
        Err(error) => {
            let what = format!(
                "{address} answered 200, but not with {{\"job\":\"{id}\",\"run\":true}} or false ({error}): another \
                 site or a catch-all page may have answered"
            );
            return Answer::Error(with_text(what, text));
        }
    };
    if said.job != id {
        let other = readable(said.job.as_bytes());
        return Answer::Error(format!("{address} answered about the job `{other}` instead of `{id}`"));
    }
    if said.run {
        Answer::Yes
    } else {
        Answer::No(said.why.map(|why| bounded(readable(why.as_bytes()), MAX_TEXT_BYTES)))
    }
}

fn check_name(name: &str) -> Result<(), Unfit> {
    if !name.is_empty()
        && name.len() <= Guard::MAX_BYTES
        && !name.contains(|c: char| c.is_control() || c.is_whitespace())
    {
        return Ok(());
    }
    Err(Unfit::new(format!("{name:?} is not a guard's name"), "take a short word without spaces"))
}

fn check_timeout(timeout: Span) -> Result<(), Unfit> {
    if timeout != Span::ZERO && timeout <= HttpAndExecGuards::MAX_TIMEOUT {
        return Ok(());
    }
    Err(Unfit::new(
        format!("a timeout of {timeout}"),
        format!("give it more than 0s and at most {}", HttpAndExecGuards::MAX_TIMEOUT),
    ))
}

fn after(span: Span, more: Span) -> Span {
    Span::from_micros(span.as_micros() + more.as_micros())
}
