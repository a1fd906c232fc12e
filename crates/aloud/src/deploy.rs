//! `aloud deploy` and `aloud rollback`: another release becomes the current one,
//! and its workers are seen to run; here, or on other hosts.

mod here;
mod hosts;
mod part;
mod progress;
mod told;
mod words;

use std::path::Path;

use release::Source;

use crate::args::releases::{DeployArgs, HostsArgs, RollbackArgs};
use crate::exit::Exit;
use crate::report::Report;
use crate::settings::Found;
use here::Work;
use hosts::Errand;

/// Runs `aloud deploy` in the folder `here`.
pub(crate) fn run(args: &DeployArgs, found: &Found, here: &Path) -> Result<Exit, Report> {
    if args.part {
        return Ok(part::run(found, here));
    }
    let hosts = hosts::Names::decide(&args.hosts, found)?;
    let typed = args.source.as_deref().unwrap_or_default();
    let source = || Source::parse(typed, args.reference.as_deref(), here).map_err(Report::from);
    let is_new = !args.resume && !args.abort;
    if let Some(names) = hosts.filter(|_| is_new) {
        let errand = Errand::Deploy {
            source: source()?,
            revision: args.revision.clone(),
            strip: args.strip,
            prune: !args.no_prune,
        };
        return hosts::run(names, errand, args.wait, &args.hosts, &args.verdict, found, here);
    }
    alone(&args.hosts)?;
    let mut work = Work::begin(found, here, args.wait, &crate::who::full())?;
    if args.abort {
        return work.abort();
    }
    work.options.prune = !args.no_prune;
    let options = work.options.clone();
    if args.resume {
        return work.end(&args.verdict, None, |tree, hands| release::resume(tree, None, &options, hands));
    }
    let mut build = work.host.build(source()?)?;
    build.revision.clone_from(&args.revision);
    build.strip = args.strip;
    work.end(&args.verdict, Some(&build), |tree, hands| release::deploy(tree, &build, &options, hands))
}

/// Runs `aloud rollback`.
pub(crate) fn rollback(args: &RollbackArgs, found: &Found, here: &Path) -> Result<Exit, Report> {
    let to = release_named(args.to.as_deref())?;
    if let Some(names) = hosts::Names::decide(&args.hosts, found)? {
        let errand = Errand::Rollback { to: args.to.clone(), reason: args.reason.clone() };
        return hosts::run(names, errand, args.wait, &args.hosts, &args.verdict, found, here);
    }
    alone(&args.hosts)?;
    let work = Work::begin(found, here, args.wait, &crate::who::full())?;
    let options = work.options.clone();
    let reason = args.reason.as_deref();
    work.end(&args.verdict, None, |tree, hands| release::rollback(tree, to.as_ref(), reason, &options, hands))
}

fn release_named(text: Option<&str>) -> Result<Option<release::ReleaseId>, Report> {
    let to = text.map(str::parse).transpose();
    to.map_err(|bad: release::BadName| Report::usage(bad.to_string(), "name one of those that `aloud releases` shows"))
}

/// What is typed about several hosts means nothing on one.
fn alone(args: &HostsArgs) -> Result<(), Report> {
    if args.all_or_none {
        return Err(Report::usage(
            "--all-or-none is about several hosts, and none is named",
            "name them with --host, or as `hosts` in [release]",
        ));
    }
    Ok(())
}
