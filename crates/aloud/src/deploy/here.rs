//! A deploy or rollback on this host: what it needs, and how it is accompanied.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent::deploy::OnHost;
use job::time::SystemClock;
use job::{Clock, Span};
use release::{Build, Go, Layout, Outcome, Source, Step, Target, Tree};
use tokio::runtime::Runtime;

use super::progress::{Stderr, Teller};
use super::told::{Told, pruned, tell};
use crate::args::releases::VerdictArgs;
use crate::exit::Exit;
use crate::report::Report;
use crate::settings::Found;
use crate::settings::host::Host;
use crate::signals::Signals;
use crate::verdict;

/// What a change to the tree needs.
pub(super) struct Work {
    pub(super) host: Host,
    pub(super) tree: Tree,
    pub(super) options: release::Options,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: Runtime,
}

impl Work {
    /// Makes it ready for `who`. Nobody is waited for yet.
    pub(super) fn begin(found: &Found, here: &Path, wait: Span, who: &str) -> Result<Self, Report> {
        let host = Host::needed(found, here)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::resume(None));
        let tree = Tree::create(Layout::new(&host.root), clock.clone()).map_err(Report::from)?;
        let options = release::Options { wait, ..host.options(who) };
        Ok(Self { host, tree, options, clock, runtime: runtime()? })
    }

    /// The steps of which there is nothing to say.
    pub(super) fn idle(&self, build: Option<&Build>, alone: bool) -> BTreeSet<Step> {
        let release = &self.host.release;
        let mut idle = BTreeSet::from([Step::Commit, Step::Prune]);
        let mut is = |step, is_idle| {
            if is_idle {
                idle.insert(step);
            }
        };
        if let Some(build) = build {
            let says = build.revision.is_some() || matches!(build.source, Source::Git { .. });
            is(Step::Fill, !says);
            is(Step::Shared, build.shared.folders.is_empty() && build.shared.files.is_empty());
            is(Step::Build, build.hooks.is_empty());
            is(Step::BootCheck, build.boot_check.is_none());
        }
        is(Step::Barrier, alone);
        is(Step::Roll, self.host.workers.is_empty() && self.host.watched.is_empty());
        is(Step::Verify, release.verify_http.iter().flatten().next().is_none() && release.verify_job.is_none());
        idle
    }

    /// Does it, and says how everything is afterwards.
    pub(super) fn end(
        self,
        how: &VerdictArgs,
        build: Option<&Build>,
        act: impl FnOnce(&Tree, &OnHost<'_>) -> Result<Outcome, release::Error>,
    ) -> Result<Exit, Report> {
        let site = self.host.site()?;
        let stderr = Stderr { quiet: how.quiet, width: 0 };
        let sink = Box::new(move |line: &_| stderr.put(None, line));
        let teller = Teller::new(sink, self.clock.clone(), self.runtime.handle().clone(), self.idle(build, true));
        let cancelled = Arc::new(AtomicBool::new(false));
        self.listen(cancelled.clone())?;
        let hands = OnHost {
            site: &site,
            runtime: self.runtime.handle().clone(),
            clock: self.clock.clone(),
            cancelled: &cancelled,
            say: &|line| teller.say(line),
            progress: &|progress| teller.tell(&progress),
            barrier: &|_: &Target| Go::Switch,
        };
        let outcome = act(&self.tree, &hands).map_err(Report::from)?;
        if let Some(gone) = pruned(&outcome) {
            teller.line("prune", &gone);
        }
        let verdict = self.runtime.block_on(verdict::look(&self.host));
        let is_ok = outcome.is_ok() && !verdict.is_red();
        if how.json {
            crate::remote::print_json(&Told::of(&outcome, Some(&verdict)))?;
        } else {
            let mut stdout = io::stdout().lock();
            tell(&outcome, &mut stdout)?;
            stdout.write_all(verdict.text().as_bytes())?;
        }
        Ok(if is_ok { Exit::Ok } else { Exit::Critical })
    }

    /// Gives up what was cut short.
    pub(super) fn abort(self) -> Result<Exit, Report> {
        let site = self.host.site()?;
        let cancelled = AtomicBool::new(false);
        let hands = OnHost {
            site: &site,
            runtime: self.runtime.handle().clone(),
            clock: self.clock.clone(),
            cancelled: &cancelled,
            say: &|_| (),
            progress: &|_| (),
            barrier: &|_: &Target| Go::Switch,
        };
        let recovery = release::abort(&self.tree, &self.options, &hands).map_err(Report::from)?;
        let mut stdout = io::stdout().lock();
        if recovery.mended.is_empty() {
            writeln!(stdout, "nothing was cut short; nothing was changed")?;
        }
        for mended in &recovery.mended {
            writeln!(stdout, "{mended}")?;
        }
        Ok(Exit::Ok)
    }

    /// A first signal ends what can still be ended without harm.
    fn listen(&self, cancelled: Arc<AtomicBool>) -> Result<(), Report> {
        let _inside = self.runtime.enter();
        let mut signals = Signals::listen_on_a_terminal()?;
        self.runtime.spawn(async move {
            let name = signals.asked().await;
            cancelled.store(true, Ordering::SeqCst);
            let text = format!(
                "{name}: before the switch this deploy is given up; after it, it is brought to its end. Again, and it \
                 ends at once"
            );
            drop(writeln!(io::stderr(), "{text}"));
            signals.asked().await;
            std::process::exit(i32::from(Exit::No.code()));
        });
        Ok(())
    }
}

/// What waiting is done in.
pub(super) fn runtime() -> Result<Runtime, Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| {
        Report::config(format!("cannot start: {error}"), "Nothing was changed.", "see what limits this process has")
    })
}
