//! Everything that the demo starts, and the folder it lives in.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aloud_client::Token;
use job::Span;
use tempfile::TempDir;
use tokio::process::Command;

use crate::demo::child::Child;
use crate::demo::mailbox::{Mailbox, Open};
use crate::demo::ports::{self, Ports};
use crate::report::Report;

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
    /// The server; `None` while it is down.
    pub(crate) server: Option<Child>,
    /// The application; `None` while it is down.
    pub(crate) notice: Option<Child>,
    /// The mailbox's page.
    pub(crate) mailbox: SocketAddr,
    /// Where the mailbox takes mail.
    pub(crate) smtp: SocketAddr,
    delay: Span,
    server_at: SocketAddr,
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
    /// Starts the mailbox, the server and the application, in this order.
    pub(crate) async fn start(plan: Plan) -> Result<Self, Report> {
        let folder = Folder::open(plan.data)?;
        let path = folder.path();
        let (smtp_listener, smtp) = plan.ports.smtp.listen().await?;
        let (pages_listener, mailbox) = plan.ports.mailbox.listen().await?;
        let kept = Mailbox::in_folder(&path.join("mail")).map_err(|error| unusable(path, &error))?;
        let mut stage = Self {
            server: None,
            notice: None,
            mailbox,
            smtp,
            delay: plan.delay,
            server_at: plan.ports.aloud.for_another().await,
            notice_at: plan.ports.notice.for_another().await,
            post: kept.open(smtp_listener, pages_listener),
            folder,
        };
        stage.write_config()?;
        stage.start_server().await?;
        // From now on with the port that was taken, for the commands.
        stage.write_config()?;
        stage.start_notice(Relay::On).await?;
        let (aloud, notice, path) = (stage.server_at, stage.notice_at, stage.path());
        ports::remember(path, [("aloud", aloud), ("notice", notice), ("mailbox", mailbox), ("smtp", smtp)])
            .map_err(|error| unusable(path, &error))?;
        Ok(stage)
    }

    /// Starts the server, where it listened before if it was started before.
    pub(crate) async fn start_server(&mut self) -> Result<(), Report> {
        let mut command = self.command(&["server", "--init", "--end-with-stdin", "--http"])?;
        command.arg(self.server_at.to_string()).arg("--config").arg(self.config());
        let server = Child::start("the server", command, &self.server_log()).await?;
        self.server_at = server.address;
        self.server = Some(server);
        Ok(())
    }

    /// Starts the application, where it listened before if it was started
    /// before.
    pub(crate) async fn start_notice(&mut self, relay: Relay) -> Result<(), Report> {
        let mut command = self.command(&["demo-notice"])?;
        command
            .env("ALOUD_URL", self.server_url())
            .env("ALOUD_APP", "notice")
            .env("ALOUD_TOKEN_FILE", self.token_file())
            .env("NOTICE_DATA", self.path())
            .env("NOTICE_HTTP", self.notice_at.to_string())
            .env("NOTICE_DELAY", self.delay.to_string())
            .env("NOTICE_MAILBOX", format!("http://{}/", self.mailbox))
            .env("NOTICE_TAMPER", "1")
            .env("NOTICE_HOLD", if relay == Relay::Held { "1" } else { "" });
        let notice = Child::start("the application", command, &self.notice_log()).await?;
        self.notice_at = notice.address;
        self.notice = Some(notice);
        Ok(())
    }

    /// Ends everything in order. What was kept in a temporary folder is gone.
    pub(crate) async fn stop(self) -> Result<(), Report> {
        let mut ended = Ok(());
        for child in [self.notice, self.server].into_iter().flatten() {
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
        self.path().join("aloud.toml")
    }

    /// The application's own file.
    pub(crate) fn notice_file(&self) -> PathBuf {
        self.path().join("notice.db")
    }

    /// What the server said.
    pub(crate) fn server_log(&self) -> PathBuf {
        self.path().join("server.log")
    }

    /// What the application said.
    pub(crate) fn notice_log(&self) -> PathBuf {
        self.path().join("notice.log")
    }

    /// Where the server is.
    pub(crate) fn server_url(&self) -> String {
        format!("http://{}", self.server_at)
    }

    /// Where the application is.
    pub(crate) fn notice_url(&self) -> String {
        format!("http://{}", self.notice_at)
    }

    /// How a client of the server is let in.
    pub(crate) fn client(&self) -> Result<aloud_client::Settings, Report> {
        let token = Token::from_file(self.token_file())?;
        Ok(aloud_client::Settings::new(self.server_url(), Some(token)))
    }

    fn token_file(&self) -> PathBuf {
        self.path().join("aloud-data").join("token")
    }

    /// Writes the `aloud.toml` that comes with the application, with the ports
    /// that are in use here.
    fn write_config(&self) -> Result<(), Report> {
        let path = self.config();
        let text = notice::ALOUD_TOML
            .replace("port = 2525", &format!("port = {}", self.smtp.port()))
            .replace("[server]\n", &format!("[server]\nhttp = \"{}\"\n", self.server_at));
        match fs::read_to_string(&path) {
            Ok(found) if !found.starts_with(WRITTEN_BY_US) => Err(Report::config(
                format!("`{}` was not written by the demo", path.display()),
                "It was not touched, and the demo did not start.",
                "give the demo a folder of its own with --data",
            )),
            Ok(_) | Err(_) => {
                fs::write(&path, format!("{WRITTEN_BY_US}{text}")).map_err(|error| unusable(self.path(), &error))
            }
        }
    }

    /// This very program, with these arguments, and nothing in its environment
    /// that speaks of another aloud.
    fn command(&self, args: &[&str]) -> Result<Command, Report> {
        let program = std::env::current_exe().map_err(|error| {
            Report::config(format!("cannot tell which program this is: {error}"), "The demo did not start.", "")
        })?;
        let mut command = Command::new(program);
        command.args(args).current_dir(self.path());
        for (name, _) in std::env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("ALOUD_") || name.starts_with("NOTICE_"));
            if ours {
                command.env_remove(name);
            }
        }
        Ok(command)
    }
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
