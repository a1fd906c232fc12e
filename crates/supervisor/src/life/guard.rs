//! The guardian, kept alive.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Life;
use crate::attend::Happened;
use crate::event::Event;
use crate::guardian::{HOLD, RELEASE, Ward};
use crate::pidfd::Child;
use crate::process::Ident;
use crate::record::RunDir;

/// How long there is at least between two starts of it; it doubles while none lives longer than that.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// The guardian, as the supervisor sees it.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) alive: Option<Ident>,
    pub(super) restarts: u32,
    tried: Option<Instant>,
    pause: Duration,
    said: bool,
    /// Whether there was one before this program ran.
    adopted: bool,
}

impl Guard {
    pub(super) fn none() -> Self {
        Self { alive: None, restarts: 0, tried: None, pause: PAUSE, said: false, adopted: false }
    }

    /// Notes that it has ended.
    pub(super) fn ended(&mut self, ident: Ident) {
        if self.alive == Some(ident) {
            self.alive = None;
            let lived_long = self.tried.is_none_or(|tried| tried.elapsed() > LONGEST);
            self.pause = if lived_long { PAUSE } else { (self.pause * 2).min(LONGEST) };
        }
    }

    /// Ends it: there is nothing left to guard.
    pub(super) fn end(&mut self) {
        if let Some(ident) = self.alive.take() {
            crate::process::signal(ident, Signal::KILL);
        }
    }

    /// Takes over one that was started before this program ran.
    pub(super) fn adopt(ident: Ident, happened: mpsc::Sender<Happened>) -> io::Result<Self> {
        watch(ident, happened)?;
        Ok(Self { alive: Some(ident), adopted: true, ..Self::none() })
    }
}

impl Life {
    /// Starts the guardian if none lives, and says so unless it is the first.
    pub(super) fn keep_guardian(&mut self) {
        let now = Instant::now();
        let recent = self.guard.tried.is_some_and(|tried| now < tried + self.guard.pause);
        if self.guard.alive.is_some() || recent || self.stopping.is_some() {
            return;
        }
        let first = self.guard.tried.is_none() && !self.guard.adopted;
        self.guard.tried = Some(now);
        match self.start_guardian() {
            Ok(ident) => {
                self.guard.alive = Some(ident);
                self.guard.said = false;
                if !first {
                    self.guard.restarts += 1;
                    self.say(Event::GuardianRestarted);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.guard.said, true) {
                    self.say(Event::NoGuardian { why: error.to_string() });
                }
            }
        }
    }

    fn start_guardian(&self) -> io::Result<Ident> {
        let dir = &self.around.dir;
        match mkfifoat(CWD, dir.ask_guardian(), Mode::RUSR | Mode::WUSR) {
            Err(error) if error != rustix::io::Errno::EXIST => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let ward = Ward { agent: Ident::own()?, run_dir: dir.path().to_owned() };
        let (program, args) = self.options.guardian.split_first().ok_or(io::ErrorKind::NotFound)?;
        let child = std::process::Command::new(program)
            .args(args)
            .args(ward.args())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let ident = Ident::of(child.id())?;
        watch(ident, self.around.happened.clone())?;
        Ok(ident)
    }

    /// Asks the guardian to hold the pipes open, and waits a little until it does.
    pub(super) async fn let_guardian_hold(&self) {
        if self.guard.alive.is_none() || ask(&self.around.dir, HOLD).is_err() {
            return;
        }
        for _ in 0..100 {
            if self.around.dir.held().exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Asks the guardian to let go of the pipes.
pub(super) fn let_guardian_release(dir: &RunDir) -> io::Result<()> {
    ask(dir, RELEASE)
}

fn ask(dir: &RunDir, what: u8) -> io::Result<()> {
    let pipe = open(dir.ask_guardian(), OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&pipe, &[what])?;
    Ok(())
}

/// Tells when it has ended, and collects it.
fn watch(ident: Ident, happened: mpsc::Sender<Happened>) -> io::Result<()> {
    let child = Child::hold(ident)?;
    tokio::spawn(async move {
        child.ended().await;
        child.collect();
        happened.send(Happened::GuardianEnded(ident)).await.ok();
    });
    Ok(())
}
