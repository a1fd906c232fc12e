//! `aloud systemd`: the units of this host, and whether they are in force.
//!
//! [`units`] says what they are, [`place`] which paths may stand in them,
//! [`install`] puts them where systemd finds them, and [`siblings`] asks
//! whether each is enabled and active.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::args::systemd::SystemdArgs;
use crate::exit::Exit;
use crate::report::Report;
use crate::settings::file::File;
use crate::settings::{Found, Settings};
use units::{LONGEST_DRAIN, Plan, Scope};

mod install;
mod place;
mod siblings;
mod units;

/// The user of the server if no other is named.
const USER: &str = "aloud";

/// Runs the command in the folder `here`.
pub(crate) fn run(
    args: &SystemdArgs,
    found: impl FnOnce() -> Result<Found, Report>,
    here: &Path,
) -> Result<Exit, Report> {
    if args.check {
        return siblings::run(args.user_units);
    }
    let plan = plan(args, found()?, here)?;
    if args.print {
        print(&plan)?;
    } else {
        install::run(&plan, args.prefix.as_deref(), args.now)?;
    }
    Ok(Exit::Ok)
}

fn print(plan: &Plan) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for (index, unit) in plan.units().iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        write!(stdout, "{gap}### {}\n{}", unit.name, unit.text)?;
    }
    stdout.flush()
}

/// Decides what stands in the units, and refuses what must not.
fn plan(args: &SystemdArgs, found: Found, here: &Path) -> Result<Plan, Report> {
    let Some(config) = &found.path else {
        return Err(Report::config(
            format!("there is no aloud.toml in `{}`", here.display()),
            "The units name the configuration. None was written.",
            "write one with `aloud init`, or name one with --config",
        ));
    };
    let config = place::absolute(&here.join(config))?;
    let runs_commands = runs_commands(&found.file);
    // The flag is for whoever looks at units for another host.
    let root = args.root.clone().or_else(|| found.file.release.root.clone());
    let drains = found.file.worker.iter().filter_map(|worker| worker.stop.within);
    let longest_drain = drains.max().unwrap_or(LONGEST_DRAIN).max(LONGEST_DRAIN);
    let settings = Settings::decide(found.file)?;
    let plan = Plan {
        binary: binary(here)?,
        config,
        files: files(&settings).iter().map(|file| place::absolute(&here.join(file))).collect::<Result<_, _>>()?,
        data: place::absolute(&here.join(settings.data))?,
        root: root.as_deref().map(|root| place::absolute(&here.join(root))).transpose()?,
        scope: scope(args)?,
        runs_commands,
        longest_drain,
        on_failure: args.on_failure.as_deref().map(|unit| word(unit, "unit", "--on-failure")).transpose()?,
    };
    for (what, path) in [("program", &plan.binary), ("configuration", &plan.config), ("store", &plan.data)] {
        place::fits_a_unit(what, path)?;
        place::outlives_deploys(what, path)?;
    }
    plan.root.iter().try_for_each(|root| place::fits_a_unit("release root", root))?;
    Ok(plan)
}

/// The files that the server is told to read.
fn files(settings: &Settings) -> Vec<PathBuf> {
    let mut files = vec![settings.token_file.clone(), settings.secret_file.clone()];
    for handler in &settings.handlers {
        files.extend(handler.run.secret_file.clone());
        if let Some(mail) = &handler.run.mail {
            files.extend(
                [&mail.ca_file, &mail.auth_file, &mail.text_file, &mail.html_file].into_iter().flatten().cloned(),
            );
        }
    }
    files
}

fn scope(args: &SystemdArgs) -> Result<Scope, Report> {
    if args.user_units {
        return Ok(Scope::User);
    }
    let user = word(args.user.as_deref().unwrap_or(USER), "user", "--user")?;
    let agent_user = args.agent_user.as_deref().map(|name| word(name, "user", "--agent-user")).transpose()?;
    Ok(Scope::System { user, agent_user })
}

/// A name that stands in a unit as it is.
fn word(text: &str, what: &str, flag: &str) -> Result<String, Report> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
    if text.is_empty() || text.starts_with('-') || !text.chars().all(fits) {
        return Err(Report::usage(
            format!("{text:?} is no name of a {what}"),
            format!("give {flag} letters, digits, `_`, `-`, `.` and `@`"),
        ));
    }
    Ok(text.to_owned())
}

/// Whether the server starts programs of the application, which a sandbox made
/// for the server alone would break.
fn runs_commands(file: &File) -> bool {
    !file.guard.is_empty() || file.handler.iter().any(|handler| handler.run.exec.is_some())
}

/// This program, by the name it was called by: a link such as
/// `/usr/local/bin/aloud` is meant to stay when what it leads to is replaced.
fn binary(here: &Path) -> Result<PathBuf, Report> {
    let own = std::env::current_exe().map_err(|error| {
        Report::config(
            format!("cannot tell which file this program is: {error}"),
            "The units name it. None was written.",
            "install aloud again, and run this again",
        )
    })?;
    let called = std::env::args_os().next().unwrap_or_default();
    let is_own = |path: &PathBuf| path.canonicalize().is_ok_and(|real| real == own);
    place::absolute(&candidates(&called, here).into_iter().find(is_own).unwrap_or(own))
}

/// The paths that a program called so may have.
fn candidates(called: &OsString, here: &Path) -> Vec<PathBuf> {
    if Path::new(called).components().count() > 1 {
        return vec![here.join(called)];
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| here.join(folder).join(called)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_starts_programs_is_known_by_its_handlers_and_guards() {
        let runs = |text: &str| runs_commands(&File::parse(text, Path::new("aloud.toml")).unwrap());
        assert!(!runs("app = 'shop'"));
        assert!(!runs("[[handler]]\nkind = 'k'\nrun = { http = 'http://127.0.0.1:1/' }"));
        assert!(runs("[[handler]]\nkind = 'k'\nrun = { exec = ['true'] }"));
        assert!(runs("[[guard]]\nname = 'g'\ncommand = ['true']"));
    }

    #[test]
    fn a_name_cannot_say_anything_else_in_a_unit() {
        assert_eq!(word("deploy", "user", "--user").unwrap(), "deploy");
        assert_eq!(word("alert@%n.service", "unit", "--on-failure").unwrap_err().exit, Exit::Usage);
        for bad in ["", "-x", "a b", "a\nExecStart=/bin/sh", "%u", "$HOME"] {
            assert!(word(bad, "user", "--user").is_err(), "{bad:?}");
        }
    }
}
