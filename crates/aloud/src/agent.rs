//! `aloud agent`: keeps this host's workers on the deployed release.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::Arc;

use agent::notify::Notifier;
use agent::{Agent, Ended};
use job::time::SystemClock;

use crate::args::releases::AgentArgs;
use crate::exit::Exit;
use crate::report::Report;
use crate::settings::Found;
use crate::settings::host::Host;
use crate::signals::Signals;

/// Runs the command in the folder `here`.
pub(crate) fn run(args: &AgentArgs, found: &Found, here: &Path) -> Result<Exit, Report> {
    let host = Host::needed(found, here)?;
    let exec = host.exec(&found.folder(here))?;
    if args.check {
        host.agent_beside_its_server()?.check()?;
        writeln!(io::stdout(), "the agent of {} can start over `{}`", host.name, host.root.display())?;
        return Ok(Exit::Ok);
    }
    let settings = agent::Settings { exec, ..host.agent()? };
    settings.check()?;
    if args.end_with_stdin {
        crate::leash::hold().map_err(|error| {
            Report::config(
                format!("cannot watch stdin: {error}"),
                "The agent did not start.",
                "see what limits this process has",
            )
        })?;
    }
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let notifier = Notifier::from_env(|name| std::env::var_os(name));
        let agent = Agent::start(settings.clone(), Arc::new(SystemClock::resume(None)), notifier).await?;
        announce(&host);
        let ended = agent.run(async {
            tracing::info!("{} asks the agent to stop: its workers finish what they do", signals.asked().await);
        });
        Ok::<_, Report>(ended.await?)
    })?;
    match ended {
        Ended::Stopped => Ok(Exit::Ok),
        Ended::Replace => {
            drop(runtime);
            Err(replaced(&settings))
        }
    }
}

/// Says on stdout that it looks after the host. Whoever started it may have
/// stopped reading by now.
pub(crate) fn announce(host: &Host) {
    let say = || -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "agent {} {}", host.name, host.root.display())?;
        writeln!(stdout, "ready")?;
        stdout.flush()
    };
    if let Err(error) = say() {
        tracing::warn!(%error, "cannot say on stdout that the agent is ready; it looks after the host all the same");
    }
}

/// A runtime for an agent.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Report> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| {
        Report::config(format!("cannot start: {error}"), "Nothing was started.", "see what limits this process has")
    })
}

/// Becomes the program that is installed now, with the same arguments; or, if
/// that cannot be run after all, this one anew. Returns only if neither works.
pub(crate) fn replaced(settings: &agent::Settings) -> Report {
    let become_it = |program: &Path| {
        std::process::Command::new(program).arg0(&settings.program).args(std::env::args_os().skip(1)).exec()
    };
    let error = become_it(&settings.program);
    tracing::error!(%error, "cannot become the new `{}`; this one goes on", settings.program.display());
    become_it(Path::new("/proc/self/exe"));
    Report::new(
        Exit::No,
        format!("cannot become the new `{}`: {error}", settings.program.display()),
        "The agent ended, and its guardian ends the workers; their jobs come back.",
        "see that the program can be run, and start it again",
    )
}

impl From<agent::Trouble> for Report {
    fn from(trouble: agent::Trouble) -> Self {
        Self::config(trouble.happened, trouble.means, trouble.hint)
    }
}

/// What the tree says is in three parts already.
impl From<release::Error> for Report {
    fn from(error: release::Error) -> Self {
        let message = error.message();
        let exit = match &error {
            release::Error::Locked { .. } => Exit::TryAgain,
            release::Error::Refused(_) => Exit::Config,
            release::Error::Aborted(_) | release::Error::Unsure(_) => Exit::No,
        };
        Self::new(exit, message.happened.clone(), message.means.clone(), message.hint.clone())
    }
}
