//! The side without aloud: a tree that another tool deploys to, and a master.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::mails::LEFT;
use crate::demo::child::{self, Child, tail};
use crate::demo::master;
use crate::demo::other_tool::OtherTool;
use crate::demo::stage::Stage;
use crate::exit::Exit;
use crate::report::Report;

/// The tree, and the master that keeps its worker running.
pub(super) struct Left {
    tool: OtherTool,
    master: Child,
    status: PathBuf,
    log: PathBuf,
    pruned: Vec<String>,
}

impl Left {
    /// Deploys the first release, and starts the master.
    pub(super) async fn start(stage: &Stage, site: &Path) -> Result<Self, Report> {
        let tool = OtherTool::at(stage.path().join("left"));
        let first = tool.copy(site).map_err(|error| failed(&error))?;
        tool.switch(&first).map_err(|error| failed(&error))?;
        let (status, log) = (stage.path().join("master.status"), stage.path().join("master.log"));
        let mut command = child::ourselves(&["demo-master"], stage.path())?;
        command
            .env(master::CURRENT, tool.current())
            .env(master::STATUS, &status)
            .env("ALOUD_QUEUES", LEFT)
            .env("NOTICE_PROGRAM", child::program()?);
        stage.tell_worker(&mut command);
        let master = Child::start("the master", command, &log).await?;
        Ok(Self { tool, master, status, log, pruned: Vec::new() })
    }

    /// Deploys as the tools of the story did: the link, then the old releases,
    /// then the master is told to restart its workers.
    pub(super) fn deploy(&mut self, site: &Path, keep: usize) -> Result<(), Report> {
        let deploy = || {
            let new = self.tool.copy(site)?;
            self.tool.switch(&new)?;
            self.tool.prune(keep)
        };
        self.pruned = deploy().map_err(|error: std::io::Error| failed(&error))?;
        self.master.signal(Signal::HUP)
    }

    /// The releases that the last deploy removed.
    pub(super) fn pruned(&self) -> Vec<String> {
        self.pruned.clone()
    }

    /// What the master says of itself.
    pub(super) fn status(&self) -> String {
        fs::read_to_string(&self.status).unwrap_or_else(|_| "not running".to_owned())
    }

    /// The last line of its log, where nobody looks.
    pub(super) fn last_word(&self) -> String {
        let log = tail(&self.log);
        let last = log.lines().last().unwrap_or_default();
        // Without the time and the place.
        last.split_once("master: ").map_or(last, |(_, said)| said).to_owned()
    }

    /// Ends it.
    pub(super) async fn stop(self) -> Result<(), Report> {
        self.master.stop().await
    }
}

fn failed(error: &std::io::Error) -> Report {
    Report::new(Exit::No, format!("the other side's deploy failed: {error}"), "The story was stopped.", "")
}
