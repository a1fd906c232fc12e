//! `aloud up`: everything that aloud.toml declares for this host.

use std::path::Path;
use std::sync::Arc;

use agent::notify::Notifier;
use agent::{Agent, Ended};
use job::time::SystemClock;

use crate::args::UpArgs;
use crate::exit::Exit;
use crate::report::Report;
use crate::serve::{self, Plan, Serving};
use crate::settings::host::Host;
use crate::settings::target::Target;
use crate::settings::{Found, Settings};
use crate::signals::Signals;

/// Runs the command in the folder `here`.
pub(crate) fn run(args: &UpArgs, found: Found, here: &Path) -> Result<Exit, Report> {
    if found.path.is_none() {
        return Err(Report::config(
            format!("there is no aloud.toml in `{}`", here.display()),
            "Nothing was started.",
            "write one with `aloud init`, name one with --config, or start a bare server with `aloud server --data DIR`",
        ));
    }
    if args.end_with_stdin {
        crate::leash::hold().map_err(|error| {
            Report::config(
                format!("cannot watch stdin: {error}"),
                "Nothing was started.",
                "see what limits this process has",
            )
        })?;
    }
    let host = Host::decide(&found, here)?;
    let folder = found.folder(here);
    let code = host.as_ref().map(|host| agent::exec_code(&host.root, &host.dir)).transpose()?;
    let plan = Plan { settings: Settings::decide(found.file)?, folder, create: false, exec: serve::Exec::Here(code) };
    match host {
        None => serve::serve(&plan),
        Some(host) => both(&plan, host),
    }
}

/// Server and agent in one process, which ends as a whole: the workers first,
/// then what they need.
fn both(plan: &Plan, mut host: Host) -> Result<Exit, Report> {
    let runtime = crate::agent::runtime()?;
    let (ended, settings) = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let serving = Serving::start(plan).await?;
        let url = match serving.url() {
            Some(url) => url,
            None => host.target.clone()?.url,
        };
        host.target = Ok(Target { url, token_file: Some(plan.settings.token_file.clone()), app: Some(serving.app()) });
        host.app = Some(serving.app());
        let started = async {
            let settings = host.agent()?;
            settings.check()?;
            let notifier = Notifier::from_env(|name| std::env::var_os(name));
            let agent = Agent::start(settings.clone(), Arc::new(SystemClock::resume(None)), notifier).await?;
            Ok::<_, Report>((agent, settings))
        };
        let (agent, settings) = match started.await {
            Ok(started) => started,
            Err(report) => {
                serving.stop().await;
                return Err(report);
            }
        };
        serving.announce();
        crate::agent::announce(&host);
        let ended = agent.run(async {
            tracing::info!("{} asks everything to stop: workers finish what they do", signals.asked().await);
        });
        let ended = ended.await;
        serving.stop().await;
        Ok((ended?, settings))
    })?;
    drop(runtime);
    match ended {
        Ended::Stopped => Ok(Exit::Ok),
        Ended::Replace => Err(crate::agent::replaced(&settings)),
    }
}
