//! Takes a tree over: writes an aloud.toml that says what is so, and creates
//! `.aloud/`.
//!
//! Nothing that is there is touched, and no process is. What others start is
//! watched from now on; what would replace it is suggested in comments.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use job::time::SystemClock;
use release::{Kind, Layout, Tree};

use super::{look, root, watch};
use crate::args::adopt::AdoptArgs;
use crate::exit::Exit;
use crate::init::survey::{self, Survey};
use crate::init::{self, Plan};
use crate::report::Report;
use crate::settings::Found;
use crate::settings::file::{self, File};

/// Runs `aloud adopt` without `--check`.
pub(super) fn run(
    args: &AdoptArgs,
    found: impl Fn() -> Result<Found, Report>,
    named: Option<&Path>,
    here: &Path,
) -> Result<Exit, Report> {
    // The file that is named is the one to be written.
    let configured = match named {
        Some(named) if !here.join(named).exists() => None,
        Some(_) | None => Some(found()?),
    };
    let root = root::find(args.root.as_deref(), configured.as_ref(), here)?;
    let survey = Survey::of_tree(&root);
    let home = init::home(&survey, here);
    let path = named.map_or_else(|| home.join(file::NAME), |named| here.join(named));
    let kind = survey.tree.as_ref().map_or(Kind::Unknown, |tree| tree.kind);
    let tree = || {
        let tree = Tree::create(Layout::new(&root), Arc::new(SystemClock::resume(None)))?;
        tree.claim()
    };
    if path.exists() {
        let there = File::read(&path)?.release.root;
        let is_ours = there.is_some_and(|there| here.join(there).canonicalize().ok() == root.canonicalize().ok());
        if !is_ours {
            return Err(Report::config(
                format!("`{}` is there already, and names another tree or none", path.display()),
                "It was not touched, and nothing was created.",
                "write another with --config FILE, or copy what is missing from `aloud adopt --dry-run --config NEW`",
            ));
        }
        if !args.dry_run {
            tree()?;
        }
        writeln!(io::stdout(), "adopted  {}, by {}", root.display(), path.display())?;
        next(kind)?;
        return Ok(Exit::Ok);
    }
    let scene = look::look(&root, &[])?;
    let watch = watch::of(&scene);
    let suggested = if watch.workers.is_empty() { &survey.code.workers } else { &watch.workers };
    let workers = survey::workers(suggested);
    let app = match &args.app {
        Some(app) => app.clone(),
        None => init::named_like(&root)?,
    };
    let plan = Plan::new(Some(&app), &args.data, path.clone(), &home, &survey, &workers, &watch.text)?;
    if args.dry_run {
        io::stdout().write_all(plan.text.as_bytes())?;
        writeln!(io::stderr(), "nothing was written; this would be {}", path.display())?;
        return Ok(Exit::Ok);
    }
    tree()?;
    plan.create()?;
    plan.tell(survey.line().as_deref())?;
    let mut stdout = io::stdout();
    for name in &watch.names {
        writeln!(stdout, "watched  {name}")?;
    }
    let odd = survey.tree.as_ref().map(|tree| tree.shared.odd.as_slice()).unwrap_or_default();
    for link in odd {
        writeln!(
            io::stderr(),
            "warning: `{}` leads into `shared/` to something else or to nothing; it is not in the file",
            link.display()
        )?;
    }
    next(kind)?;
    Ok(Exit::Ok)
}

/// What a person does then.
fn next(kind: Kind) -> io::Result<()> {
    let recipe = match kind {
        Kind::Deployer => {
            "         in deploy.php: `require __DIR__ . '/aloud.php';` (docs/deployer.md): each deploy then moves the \
             workers, and fails unless they moved\n"
        }
        Kind::Capistrano => {
            "         in the Capfile: `load \"lib/capistrano/aloud.rake\"` (docs/capistrano.md): each deploy then moves \
             the workers, and fails unless they moved\n"
        }
        Kind::Ansistrano | Kind::Aloud | Kind::Unknown => {
            "         after each deploy: `aloud restart` moves the workers, and fails unless they moved\n"
        }
    };
    write!(
        io::stderr(),
        "next:    `aloud up` watches what runs from the tree, and moves it to each new release\n         \
         `aloud systemd --install` has the system start it\n{recipe}         \
         a [[worker]] in the place of a [[watched]] lets aloud run it: see the comments in the file\n"
    )
}
