//! Everything that the demo starts, and the folder it lives in.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aloud_client::{Api, Token};
use job::Span;
use tempfile::TempDir;
use tokio::process::Command;

use crate::demo::child::{self, Child};
use crate::demo::mailbox::{Mailbox, Open};
use crate::demo::operator::{Ended, Operator};
use crate::demo::ports::{self, Ports};
use crate::demo::site::Sort;
use crate::exit::Exit;
use crate::report::Report;
use crate::serve;
use crate::settings::Settings;
use crate::settings::file::File;

/// What the demo is started with.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where everything is kept; nothing means a temporary folder.
    pub(crate) data: Option<PathBuf>,
    /// How long a mail waits.
    pub(crate) delay: Span,
    /// Where it listens.
    pub(crate) ports: Ports,
}

/// What runs.
pub(crate) struct Stage {
    /// The server and the host's agent, in one process; `None` while it is down.
    pub(crate) aloud: Option<Child>,
    /// The application; `None` while it is down.
    pub(crate) notice: Option<Child>,
    /// The mailbox's page.
    pub(crate) mailbox: SocketAddr,
    /// Where the mailbox takes mail.
    pub(crate) smtp: SocketAddr,
    /// Who acts on the host.
    pub(crate) operator: Arc<Operator>,
    /// The mails, as they are kept.
    pub(crate) mails: Mailbox,
    delay: Span,
    aloud_at: SocketAddr,
    notice_at: SocketAddr,
    post: Open,
    folder: Folder,
}

enum Folder {
    Named(PathBuf),
    Temporary(TempDir),
}

/// Whether the application hands over to aloud what its switches ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Relay {
    /// It does.
    On,
    /// It keeps it until it is started with [`Relay::On`].
    Held,
}

const WRITTEN_BY_US: &str = "# Written by `aloud demo`, and anew at each start.\n";

impl Stage {
    /// Starts the mailbox, aloud and the application, in this order, and deploys
    /// the first release if there is none.
    pub(crate) async fn start(plan: Plan) -> Result<Self, Report> {
        let folder = Folder::open(plan.data)?;
        let path = folder.path();
        let (smtp_listener, smtp) = plan.ports.smtp.listen().await?;
        let (pages_listener, mailbox) = plan.ports.mailbox.listen().await?;
        // Its configuration says where aloud listens, so that is decided before.
        let aloud_at = plan.ports.aloud.decide().await?;
        write_config(path, aloud_at, smtp)?;
        create_store(path).await?;
        let token = Token::from_file(token_file(path))?;
        let api = Api::new(aloud_client::Settings::new(format!("http://{aloud_at}"), Some(token)))?;
        let operator = Arc::new(Operator::new(path, api));
        let mails = Mailbox::in_folder(&path.join("mail")).map_err(|error| unusable(path, &error))?;
        let mut stage = Self {
            aloud: None,
            notice: None,
            mailbox,
            smtp,
            delay: plan.delay,
            aloud_at,
            notice_at: plan.ports.notice.for_another().await,
            post: mails.open(smtp_listener, pages_listener, Some(operator.clone())),
            operator,
            mails,
            folder,
        };
        stage.start_aloud().await?;
        stage.deploy_the_first().await?;
        stage.start_notice(Relay::On).await?;
        let (notice, path) = (stage.notice_at, stage.path());
        ports::remember(path, [("aloud", aloud_at), ("notice", notice), ("mailbox", mailbox), ("smtp", smtp)])
            .map_err(|error| unusable(path, &error))?;
        Ok(stage)
    }

    /// Starts the server and the agent.
    pub(crate) async fn start_aloud(&mut self) -> Result<(), Report> {
        let mut command = child::ourselves(&["up", "--end-with-stdin"], self.path())?;
        command.arg("--config").arg(self.config());
        self.aloud = Some(Child::start("aloud", command, &self.aloud_log()).await?);
        Ok(())
    }

    /// Deploys the first release, unless this folder has one.
    async fn deploy_the_first(&self) -> Result<(), Report> {
        if self.operator.tree().leads_to().is_some() {
            return Ok(());
        }
        let deployed = self.operator.deploy(Sort::Sound).await?;
        match deployed.ended {
            Ended::Well => Ok(()),
            how @ (Ended::With(_) | Ended::Badly) => Err(Report::new(
                Exit::No,
                format!("the first release could not be deployed ({how})"),
                format!("The demo stopped. `aloud deploy` said:\n{}", deployed.said),
                format!("look into `{}`", self.aloud_log().display()),
            )),
        }
    }

    /// Starts the application, where it listened before if it was started
    /// before.
    pub(crate) async fn start_notice(&mut self, relay: Relay) -> Result<(), Report> {
        let mut command = child::ourselves(&["demo-notice"], self.path())?;
        self.tell_where_aloud_is(&mut command);
        command
            .env("NOTICE_DATA", self.path())
            .env("NOTICE_HTTP", self.notice_at.to_string())
            .env("NOTICE_DELAY", self.delay.to_string())
            .env("NOTICE_MAILBOX", format!("http://{}/", self.mailbox))
            .env("NOTICE_TAMPER", "1")
            .env("NOTICE_HOLD", if relay == Relay::Held { "1" } else { "" });
        let notice = Child::start("the application", command, &self.notice_log()).await?;
        self.notice_at = notice.address.unwrap_or(self.notice_at);
        self.notice = Some(notice);
        Ok(())
    }

    /// Tells a worker that aloud does not start where aloud and the mailbox are.
    pub(crate) fn tell_worker(&self, command: &mut Command) {
        self.tell_where_aloud_is(command);
        command.env("NOTICE_SMTP", self.smtp.to_string());
    }

    fn tell_where_aloud_is(&self, command: &mut Command) {
        command
            .env("ALOUD_URL", self.server_url())
            .env("ALOUD_APP", "notice")
            .env("ALOUD_TOKEN_FILE", token_file(self.path()));
    }

    /// Ends everything in order. What was kept in a temporary folder is gone.
    pub(crate) async fn stop(self) -> Result<(), Report> {
        let mut ended = Ok(());
        for child in [self.notice, self.aloud].into_iter().flatten() {
            ended = ended.and(child.stop().await);
        }
        self.post.close().await;
        ended.and(self.folder.close())
    }

    /// Ends everything, and keeps the folder, to be looked into.
    pub(crate) async fn stop_and_keep(self) -> (PathBuf, Result<(), Report>) {
        let Self { folder, .. } = self;
        let path = match folder {
            Folder::Named(path) => path,
            Folder::Temporary(folder) => folder.keep(),
        };
        let kept = Self { folder: Folder::Named(path.clone()), ..self };
        (path, kept.stop().await)
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it is there only while the demo runs.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self.folder, Folder::Temporary(_))
    }

    /// The configuration of the server, and of the commands.
    pub(crate) fn config(&self) -> PathBuf {
        Operator::config(self.path())
    }

    /// The application's own file.
    pub(crate) fn notice_file(&self) -> PathBuf {
        self.path().join("notice.db")
    }

    /// What aloud said.
    pub(crate) fn aloud_log(&self) -> PathBuf {
        self.path().join("aloud.log")
    }

    /// What the application said.
    pub(crate) fn notice_log(&self) -> PathBuf {
        self.path().join("notice.log")
    }

    /// Where the server is.
    pub(crate) fn server_url(&self) -> String {
        format!("http://{}", self.aloud_at)
    }

    /// Where the application is.
    pub(crate) fn notice_url(&self) -> String {
        format!("http://{}", self.notice_at)
    }

    /// How a client of the server is let in.
    pub(crate) fn client(&self) -> Result<aloud_client::Settings, Report> {
        let token = Token::from_file(token_file(self.path()))?;
        Ok(aloud_client::Settings::new(self.server_url(), Some(token)))
    }
}

fn token_file(folder: &Path) -> PathBuf {
    folder.join("aloud-data").join("token")
}

/// Writes the `aloud.toml` that comes with the application, with the ports that
/// are in use here, and this very program as what its worker is run by.
///
/// Only if it would be another one: an agent takes a file that was written for
/// one that was changed.
fn write_config(folder: &Path, aloud: SocketAddr, smtp: SocketAddr) -> Result<(), Report> {
    let (path, program) = (Operator::config(folder), child::program()?);
    let program = program.to_str().ok_or_else(|| {
        Report::config(
            format!("this program's path `{}` is not UTF-8, as aloud.toml must be", program.display()),
            "The demo did not start.",
            "move it",
        )
    })?;
    let program = toml::Value::from(program);
    let text = notice::ALOUD_TOML
        .replace("NOTICE_SMTP = \"127.0.0.1:2525\"", &format!("NOTICE_SMTP = \"{smtp}\", NOTICE_PROGRAM = {program}"))
        .replace("[server]\n", &format!("[agent]\nhost = \"demo\"\n\n[server]\nhttp = \"{aloud}\"\n"));
    let text = format!("{WRITTEN_BY_US}{text}");
    match fs::read_to_string(&path) {
        Ok(found) if !found.starts_with(WRITTEN_BY_US) => Err(Report::config(
            format!("`{}` was not written by the demo", path.display()),
            "It was not touched, and the demo did not start.",
            "give the demo a folder of its own with --data",
        )),
        Ok(found) if found == text => Ok(()),
        Ok(_) | Err(_) => fs::write(&path, text).map_err(|error| unusable(folder, &error)),
    }
}

/// Creates the store and the token, or sees that they are there.
async fn create_store(folder: &Path) -> Result<(), Report> {
    let settings = Settings::decide(File::read(&Operator::config(folder))?)?;
    serve::create(&settings).await.map(drop)
}

impl Folder {
    fn open(named: Option<PathBuf>) -> Result<Self, Report> {
        match named {
            None => {
                let made = tempfile::Builder::new().prefix("aloud-demo-").tempdir();
                made.map(Self::Temporary).map_err(|error| unusable(&std::env::temp_dir(), &error))
            }
            Some(path) => {
                let made = fs::create_dir_all(&path).and_then(|()| path.canonicalize());
                made.map(Self::Named).map_err(|error| unusable(&path, &error))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Named(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    fn close(self) -> Result<(), Report> {
        match self {
            Self::Named(_) => Ok(()),
            Self::Temporary(folder) => {
                let path = folder.path().to_owned();
                folder.close().map_err(|error| {
                    Report::config(
                        format!("cannot remove the folder `{}`: {error}", path.display()),
                        "Everything else has ended.",
                        "remove it by hand",
                    )
                })
            }
        }
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Report {
    Report::config(
        format!("cannot use the folder `{}`: {error}", path.display()),
        "The demo did not start.",
        "name another folder with --data",
    )
}
