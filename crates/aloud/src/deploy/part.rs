//! One host's part of a deploy or rollback on several: `aloud deploy - --part`.
//!
//! It holds the lock of its tree for as long as it is at work, and the lock ends
//! with it. Until it was told to switch, the end of the connection gives
//! everything up; from then on it asks nobody any more, and goes on to its end
//! whether anybody hears of it or not.

mod hands;
mod heard;
mod out;

use std::fs::File;
use std::io::BufReader;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent::deploy::OnHost;
use job::Span;
use release::{Build, Go, Outcome, Source, Target};

use super::here::Work;
use super::progress::Teller;
use super::told::{Told, pruned};
use super::words::{self, Act, Order, Said, Supply};
use crate::exit::Exit;
use crate::report::Report;
use crate::settings::Found;
use crate::signals::Signals;
use crate::verdict;
use hands::Together;
use heard::Heard;
use out::Out;

/// Runs it. Whatever goes wrong is said to the one who deploys.
pub(super) fn run(found: &Found, here: &Path) -> Exit {
    let out = Out::start();
    let exit = part(found, here, &out).unwrap_or_else(|report| {
        let Report { happened, means, hint, exit, .. } = report;
        out.say(&Said::Failed { happened, means, hint, exit: exit.code() });
        exit
    });
    out.end();
    exit
}

fn part(found: &Found, here: &Path, out: &Out) -> Result<Exit, Report> {
    let unreadable = |error: std::io::Error| {
        Report::config(
            format!("what was said could not be read: {error}"),
            "Nothing was changed there.",
            "deploy again",
        )
    };
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?;
    let mut from = BufReader::new(File::from(stdin));
    words::greeted(&mut from).map_err(|ungreeted| ungreeted.report())?;
    let order: Order = words::read(&mut from)
        .map_err(unreadable)?
        .ok_or_else(|| Report::config("nothing was ordered", "Nothing was changed there.", "deploy again"))?;
    let wait = order.wait.parse::<Span>().unwrap_or(Span::ZERO);
    let mut work = Work::begin(found, here, wait, &order.who)?;
    if order.all_or_none {
        work.options.on_failure = release::OnFailure::Rollback;
    }
    let exclude = work.host.release.exclude.clone().unwrap_or_default();
    out.say(&Said::Hello { version: env!("CARGO_PKG_VERSION").to_owned(), exclude });
    match order.act.clone() {
        Act::Rollback { to, reason } => {
            let to = super::release_named(to.as_deref())?;
            let heard = Heard::listen(from, &work.runtime);
            let options = work.options.clone();
            accompany(&work, &order, None, &heard, out, |tree, hands| {
                release::rollback(tree, to.as_ref(), reason.as_deref(), &options, hands)
            })
        }
        Act::Deploy { source, revision, strip, prune } => {
            // The file is gone with the last that has it open, however this ends.
            let (source, _received) = match source {
                Supply::Git { repository, reference } => (Source::Git { repository, reference }, None),
                Supply::Sent { shown } => {
                    let (file, path) = receive(&work, &mut from)?;
                    (Source::Received { shown, file: path }, Some(file))
                }
            };
            let heard = Heard::listen(from, &work.runtime);
            let mut build = work.host.build(source)?;
            build.revision = revision;
            build.strip = strip;
            if !order.first {
                // Those that run once come last.
                build.hooks.truncate(work.host.release.build.as_ref().map_or(0, Vec::len));
            }
            work.options.prune = prune;
            let options = work.options.clone();
            accompany(&work, &order, Some(&build), &heard, out, |tree, hands| {
                release::deploy(tree, &build, &options, hands)
            })
        }
    }
}

/// Takes the source in, into a file without a name beside the releases.
fn receive(work: &Work, from: &mut BufReader<File>) -> Result<(File, PathBuf), Report> {
    let failed = |error: std::io::Error| {
        Report::new(
            Exit::No,
            format!("the source did not arrive: {error}"),
            "Nothing was changed there.",
            "see whether there is room, and deploy again",
        )
    };
    let mut file = tempfile::tempfile_in(&work.host.root).map_err(failed)?;
    words::receive(from, &mut file).map_err(failed)?;
    std::io::Seek::rewind(&mut file).map_err(failed)?;
    let path = PathBuf::from(format!("/dev/fd/{}", file.as_raw_fd()));
    Ok((file, path))
}

fn accompany(
    work: &Work,
    order: &Order,
    build: Option<&Build>,
    heard: &Arc<Heard>,
    out: &Out,
    act: impl FnOnce(&release::Tree, &Together<'_>) -> Result<Outcome, release::Error>,
) -> Result<Exit, Report> {
    let site = work.host.site()?;
    outlive_signals(work, heard)?;
    let lines = out.clone();
    let sink = Box::new(move |line: &words::Line| lines.say(&Said::Line(line.clone())));
    let teller = Teller::new(sink, work.clock.clone(), work.runtime.handle().clone(), work.idle(build, false));
    let here = OnHost {
        site: &site,
        runtime: work.runtime.handle().clone(),
        clock: work.clock.clone(),
        cancelled: heard.cancelled(),
        say: &|line| teller.say(line),
        progress: &|progress| teller.tell(&progress),
        barrier: &|_: &Target| Go::Switch,
    };
    let once = work.host.release.build_once.clone().unwrap_or_default();
    let hands = Together { here, heard, out, once: &once, all_or_none: order.all_or_none };
    let outcome = act(&work.tree, &hands).map_err(Report::from)?;
    if let Some(gone) = pruned(&outcome) {
        teller.line("prune", &gone);
    }
    let told = serde_json::to_value(Told::of(&outcome, None)).unwrap_or_default();
    out.say(&Said::Settled { told, healthy: outcome.is_ok() });
    // How everything is can be said when nobody is at work any more.
    heard.look();
    let verdict = work.runtime.block_on(verdict::look(&work.host));
    let (red, text) = (verdict.is_red(), verdict.text());
    out.say(&Said::Seen { verdict: serde_json::to_value(&verdict).unwrap_or_default(), red, text });
    Ok(if outcome.is_ok() && !red { Exit::Ok } else { Exit::Critical })
}

/// Signals give it up before the switch. After it nothing but SIGKILL ends it:
/// the end of a session on this host sends such signals too.
fn outlive_signals(work: &Work, heard: &Arc<Heard>) -> Result<(), Report> {
    let _inside = work.runtime.enter();
    let mut signals = Signals::listen_on_a_terminal()?;
    let heard = heard.clone();
    work.runtime.spawn(async move {
        loop {
            let name = signals.asked().await;
            heard.give_up(format!("{name} came on that host"));
        }
    });
    Ok(())
}
