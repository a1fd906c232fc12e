//! `aloud deploy` and `aloud rollback`: another release becomes the current one,
//! and its workers are seen to run.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent::deploy::OnHost;
use job::time::SystemClock;
use job::{Clock, Span};
use release::{Ended, Go, Layout, Outcome, Progress, Source, Step, Target, Tree};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::args::releases::{DeployArgs, RollbackArgs, VerdictArgs};
use crate::exit::Exit;
use crate::report::Report;
use crate::settings::Found;
use crate::settings::host::Host;
use crate::signals::Signals;
use crate::verdict;

/// Runs `aloud deploy` in the folder `here`.
pub(crate) fn run(args: &DeployArgs, found: &Found, here: &Path) -> Result<Exit, Report> {
    let work = Work::begin(found, here, args.wait, &args.verdict)?;
    if args.abort {
        return work.abort();
    }
    let mut options = work.options.clone();
    options.prune = !args.no_prune;
    if args.resume {
        return work.end(|tree, hands| release::resume(tree, None, &options, hands));
    }
    let typed = args.source.as_deref().unwrap_or_default();
    let source = Source::parse(typed, args.reference.as_deref(), here).map_err(Report::from)?;
    let mut build = work.host.build(source)?;
    build.revision.clone_from(&args.revision);
    build.strip = args.strip;
    work.end(|tree, hands| release::deploy(tree, &build, &options, hands))
}

/// Runs `aloud rollback`.
pub(crate) fn rollback(args: &RollbackArgs, found: &Found, here: &Path) -> Result<Exit, Report> {
    let work = Work::begin(found, here, args.wait, &args.verdict)?;
    let to = args.to.as_deref().map(str::parse::<release::ReleaseId>).transpose();
    let to = to.map_err(|bad| Report::usage(bad.to_string(), "name one of those that `aloud releases` shows"))?;
    let options = work.options.clone();
    work.end(|tree, hands| release::rollback(tree, to.as_ref(), args.reason.as_deref(), &options, hands))
}

/// What a change to the tree needs.
struct Work<'a> {
    host: Host,
    tree: Tree,
    options: release::Options,
    clock: Arc<dyn Clock>,
    runtime: Runtime,
    how: &'a VerdictArgs,
}

impl<'a> Work<'a> {
    fn begin(found: &Found, here: &Path, wait: Span, how: &'a VerdictArgs) -> Result<Self, Report> {
        let host = Host::needed(found, here)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::resume(None));
        let tree = Tree::create(Layout::new(&host.root), clock.clone()).map_err(Report::from)?;
        let options = release::Options { wait, ..host.options(&crate::who::full()) };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| {
            Report::config(format!("cannot start: {error}"), "Nothing was changed.", "see what limits this process has")
        })?;
        Ok(Self { host, tree, options, clock, runtime, how })
    }

    /// Does it, and says how everything is afterwards.
    fn end(self, act: impl FnOnce(&Tree, &OnHost<'_>) -> Result<Outcome, release::Error>) -> Result<Exit, Report> {
        let site = self.host.site()?;
        let teller = Teller { quiet: self.how.quiet, switched: AtomicBool::new(false) };
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
        let verdict = self.runtime.block_on(verdict::look(&self.host));
        let is_ok = outcome.is_ok() && !verdict.is_red();
        if self.how.json {
            crate::remote::print_json(&Told::of(&outcome, &verdict))?;
        } else {
            tell(&outcome)?;
            io::stdout().lock().write_all(verdict.text().as_bytes())?;
        }
        Ok(if is_ok { Exit::Ok } else { Exit::Critical })
    }

    fn abort(self) -> Result<Exit, Report> {
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

/// Says on stderr how far it is.
struct Teller {
    quiet: bool,
    switched: AtomicBool,
}

impl Teller {
    fn tell(&self, progress: &Progress) {
        match progress {
            Progress::Begins(step, text) => {
                if *step == Step::Switch {
                    self.switched.store(true, Ordering::SeqCst);
                }
                // Only of what may take long it is worth while to say that it begins.
                let long = matches!(
                    step,
                    Step::Fill | Step::Build | Step::BootCheck | Step::Barrier | Step::Roll | Step::Verify
                );
                if long || matches!(step, Step::Abort | Step::Hold | Step::SwitchBack | Step::RollBack) {
                    self.line(word(*step), text);
                }
            }
            Progress::Ended(step, text) if !text.is_empty() => self.line(word(*step), text),
            Progress::Ended(..) | Progress::Ran { .. } => {}
            Progress::Recovered(recovery) => {
                for mended in &recovery.mended {
                    self.line("mended", &mended.to_string());
                }
            }
            Progress::Warning(text) => self.loud("warning", text),
        }
    }

    fn say(&self, line: &str) {
        self.line("", line);
    }

    fn line(&self, word: &str, text: &str) {
        if !self.quiet {
            self.loud(word, text);
        }
    }

    fn loud(&self, word: &str, text: &str) {
        let mut stderr = io::stderr().lock();
        let dim = stderr.is_terminal() && word.is_empty();
        for (place, line) in text.lines().enumerate() {
            let word = if place == 0 { word } else { "" };
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            // If nobody listens any more, the deploy goes on all the same.
            drop(match dim {
                true => writeln!(stderr, "{word:<11}\u{1b}[2m{line}\u{1b}[0m"),
                false => writeln!(stderr, "{word:<11}{line}"),
            });
        }
    }
}

const fn word(step: Step) -> &'static str {
    match step {
        Step::Create => "create",
        Step::Fill => "fill",
        Step::Shared => "shared",
        Step::Build => "build",
        Step::BootCheck => "boot check",
        Step::Seal => "seal",
        Step::Barrier => "wait",
        Step::Switch => "switch",
        Step::Roll => "roll",
        Step::Verify => "verify",
        Step::Commit => "commit",
        Step::Prune => "prune",
        Step::Abort => "ABORT",
        Step::Hold => "HOLD",
        Step::SwitchBack => "GO BACK",
        Step::RollBack => "roll back",
    }
}

fn tell(outcome: &Outcome) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let Outcome { release, was, ended, warnings, .. } = outcome;
    match ended {
        Ended::Healthy(seen) => {
            writeln!(stdout, "release {release} is current and works")?;
            for line in seen {
                writeln!(stdout, "  {line}")?;
            }
        }
        Ended::Held { why } => {
            writeln!(stdout, "release {release} is current, and HELD: its workers were given up")?;
            indented(&mut stdout, why)?;
        }
        Ended::WentBack { why, .. } => {
            let back = was.as_ref().map_or_else(|| "nothing".to_owned(), |was| format!("release {was}"));
            writeln!(stdout, "release {release} did NOT WORK: `current` leads to {back} again")?;
            indented(&mut stdout, why)?;
        }
    }
    for warning in warnings {
        writeln!(stdout, "warning: {warning}")?;
    }
    Ok(())
}

fn indented(out: &mut impl Write, text: &str) -> io::Result<()> {
    text.lines().try_for_each(|line| writeln!(out, "  {line}"))
}

/// What came of it, as JSON.
#[derive(Serialize)]
struct Told<'a> {
    release: &'a str,
    was: Option<&'a str>,
    ended: &'static str,
    seen: &'a [String],
    why: Option<&'a str>,
    warnings: &'a [String],
    verdict: &'a verdict::Seen,
}

impl<'a> Told<'a> {
    fn of(outcome: &'a Outcome, verdict: &'a verdict::Seen) -> Self {
        let (ended, seen, why): (_, &[String], _) = match &outcome.ended {
            Ended::Healthy(seen) => ("healthy", seen, None),
            Ended::Held { why } => ("held", &[], Some(why.as_str())),
            Ended::WentBack { why, .. } => ("went_back", &[], Some(why.as_str())),
        };
        Self {
            release: outcome.release.as_str(),
            was: outcome.was.as_ref().map(|was| was.as_str()),
            ended,
            seen,
            why,
            warnings: &outcome.warnings,
            verdict,
        }
    }
}
