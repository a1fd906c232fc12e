//! What somebody does to the host of the demo: the commands of aloud, and what
//! other tools do to its tree behind aloud's back.
//!
//! Every deploy is the real command, in a process of its own. One act at a time;
//! what it says is there for the pages while it goes on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use agent::control::{self, Answer, Ask};
use aloud_client::v1::{AgentReport, PauseQueue, PauseView};
use aloud_client::{Api, JobKind, QueueName};
use job::Span;
use notice::book::SendNotice;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::demo::child;
use crate::demo::other_tool::OtherTool;
use crate::demo::site::{Site, Sort};
use crate::exit::Exit;
use crate::report::Report;

/// How long an act may take.
const WITHIN: Duration = Duration::from_secs(120);
/// How long the agent, or the server, may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How many lines of an act are kept.
const LINES: usize = 60;

/// Does things, one after the other.
#[derive(Debug)]
pub(crate) struct Operator {
    folder: PathBuf,
    site: Site,
    api: Api,
    acts: watch::Sender<Option<Act>>,
    one_at_a_time: Mutex<()>,
}

/// What was done last, or is being done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    /// What, as a person would type it.
    pub(crate) what: String,
    /// What it said so far.
    pub(crate) lines: Vec<String>,
    /// How it ended, if it has.
    pub(crate) ended: Option<Ended>,
}

/// How an act ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// As it should.
    Well,
    /// With this exit code.
    With(i32),
    /// By a signal, or it could not be done at all.
    Badly,
}

/// What came of an act.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// How it ended.
    pub(crate) ended: Ended,
    /// What it said.
    pub(crate) said: String,
}

impl Operator {
    /// For the demo in `folder`, whose server `api` reaches.
    pub(crate) fn new(folder: &Path, api: Api) -> Self {
        let (acts, _) = watch::channel(None);
        let site = Site::at(folder.join("site"));
        Self { folder: folder.to_owned(), site, api, acts, one_at_a_time: Mutex::new(()) }
    }

    /// The configuration of every command.
    pub(crate) fn config(folder: &Path) -> PathBuf {
        folder.join("aloud.toml")
    }

    /// The tree of releases.
    pub(crate) fn tree(&self) -> OtherTool {
        OtherTool::at(self.folder.join("tree"))
    }

    /// The folder that is deployed.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// What is done, and what was done last.
    pub(crate) fn acts(&self) -> watch::Receiver<Option<Act>> {
        self.acts.subscribe()
    }

    /// Makes the next version of the site, and deploys it with `aloud deploy`.
    pub(crate) async fn deploy(&self, sort: Sort) -> Result<Done, Report> {
        let _alone = self.one_at_a_time.lock().await;
        let version = self.site.version() + 1;
        self.write(version, sort)?;
        let deployed = self.aloud(&["deploy", "site"]).await?;
        if sort == Sort::Broken {
            // The next one goes on from what works, with a number of its own.
            self.write(version, Sort::Sound)?;
        }
        Ok(deployed)
    }

    /// Goes back to the release before, with `aloud rollback`.
    pub(crate) async fn roll_back(&self) -> Result<Done, Report> {
        let _alone = self.one_at_a_time.lock().await;
        self.aloud(&["rollback"]).await
    }

    /// Makes the next version, and switches to it as another tool would, which
    /// knows nothing of aloud; then deletes the release that the workers are in.
    pub(crate) async fn switch_and_delete(&self) -> Result<Done, Report> {
        let _alone = self.one_at_a_time.lock().await;
        self.begin("cp, ln -sfn, rm -rf: another tool deploys, and deletes the release in use");
        self.write(self.site.version() + 1, Sort::Sound)?;
        let (tree, source) = (self.tree(), self.site.path().to_owned());
        let acted = tokio::task::spawn_blocking(move || {
            let old = tree.leads_to();
            let new = tree.copy(&source)?;
            tree.switch(&new)?;
            let mut lines = vec![format!("cp -r site releases/{new}"), format!("ln -sfn releases/{new} current")];
            if let Some(old) = old {
                tree.remove(&old)?;
                lines.push(format!("rm -rf releases/{old}"));
            }
            Ok::<_, std::io::Error>(lines)
        });
        let lines = acted.await.map_err(|error| failed("another tool's deploy", &error))?;
        let lines = lines.map_err(|error| failed("another tool's deploy", &error));
        match lines {
            Ok(lines) => {
                for line in &lines {
                    self.say(line);
                }
                self.end(Ended::Well);
                Ok(Done { ended: Ended::Well, said: lines.join("\n") })
            }
            Err(report) => {
                self.say(&report.happened);
                self.end(Ended::Badly);
                Err(report)
            }
        }
    }

    /// Holds the queue of the mails for a minute.
    pub(crate) async fn pause(&self) -> Result<(), Report> {
        let pause = PauseQueue {
            by: "the demo".to_owned(),
            reason: "to see what happens".to_owned(),
            for_: Some(Span::from_secs(60)),
        };
        self.api.pause(&queue(), &pause).await?;
        Ok(())
    }

    /// Lets the queue of the mails go on.
    pub(crate) async fn resume(&self) -> Result<(), Report> {
        self.api.resume(&queue()).await?;
        Ok(())
    }

    /// Who holds the queue of the mails; nothing also if nobody knows.
    pub(crate) async fn paused(&self) -> Option<PauseView> {
        let queues = timeout(ANSWER_WITHIN, self.api.queues()).await.ok()?.ok()?;
        queues.queues.into_iter().find(|view| view.name == queue())?.paused
    }

    /// How the host is, as its agent sees it now; or why that is not known.
    pub(crate) async fn report(&self) -> Result<AgentReport, String> {
        let dir = agent::Settings::default_dir(&self.folder.join("tree"));
        match timeout(ANSWER_WITHIN, control::ask(&dir, &Ask::Report, |_| ())).await {
            Ok(Ok(Answer::Report(report))) => Ok(*report),
            Ok(Ok(_)) => Err("the agent answered something else than what it was asked".to_owned()),
            Ok(Err(error)) if error.nobody_is_there() => Err("no agent runs on this host".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the agent does not answer".to_owned()),
        }
    }

    fn write(&self, version: u32, sort: Sort) -> Result<(), Report> {
        self.site.write(version, sort).map_err(|error| failed("the next version", &error))
    }

    /// Runs a command of aloud to its end.
    async fn aloud(&self, args: &[&str]) -> Result<Done, Report> {
        self.begin(&format!("aloud {}", args.join(" ")));
        let mut command = child::ourselves(args, &self.folder)?;
        command.arg("--config").arg(Self::config(&self.folder)).kill_on_drop(true).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|error| failed("the command", &error))?;
        let (out, err) = (process.stdout.take(), process.stderr.take());
        let run = async {
            // What it says on the way, and what came of it.
            let (err, out) = tokio::join!(self.listen(err), self.listen(out));
            (process.wait().await, err + &out)
        };
        let (status, said) = timeout(WITHIN, run).await.map_err(|_| failed("the command", &"it did not end"))?;
        let status = status.map_err(|error| failed("the command", &error))?;
        let ended = match status.code() {
            Some(0) => Ended::Well,
            Some(code) => Ended::With(code),
            None => Ended::Badly,
        };
        self.end(ended);
        Ok(Done { ended, said })
    }

    async fn listen(&self, from: Option<impl AsyncRead + Unpin>) -> String {
        let Some(from) = from else { return String::new() };
        let (mut lines, mut said) = (BufReader::new(from).lines(), String::new());
        while let Ok(Some(line)) = lines.next_line().await {
            said.push_str(&line);
            said.push('\n');
            self.say(&line);
        }
        said
    }

    fn begin(&self, what: &str) {
        self.acts.send_replace(Some(Act { what: what.to_owned(), lines: Vec::new(), ended: None }));
    }

    fn say(&self, line: &str) {
        self.acts.send_modify(|act| {
            if let Some(act) = act
                && act.lines.len() < LINES
            {
                act.lines.push(line.to_owned());
            }
        });
    }

    fn end(&self, how: Ended) {
        self.acts.send_modify(|act| {
            if let Some(act) = act {
                act.ended = Some(how);
            }
        });
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well => f.write_str("done"),
            Self::With(code) => write!(f, "exit code {code}"),
            Self::Badly => f.write_str("it did not come to its end"),
        }
    }
}

/// Where the jobs of the mails wait.
fn queue() -> QueueName {
    SendNotice::QUEUE.parse().expect("the example's queue has a name")
}

fn failed(what: &str, why: &dyn fmt::Display) -> Report {
    Report::new(Exit::No, format!("{what} failed: {why}"), "The host is as `aloud workers` shows it.", "")
}

/// Whether somebody is at it; for pages that should not offer a second act.
pub(crate) fn is_busy(act: &Option<Act>) -> bool {
    act.as_ref().is_some_and(|act| act.ended.is_none())
}
