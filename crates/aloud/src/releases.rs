//! `aloud releases` and `aloud prune`.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use agent::deploy::OnHost;
use job::Clock;
use job::time::SystemClock;
use release::{Fate, Found as Release, Go, Hands, InUse, Layout, Place, Target, Tree};
use serde::Serialize;

use crate::age::relative;
use crate::args::releases::{PruneArgs, ReleasesArgs};
use crate::exit::Exit;
use crate::report::Report;
use crate::settings::Found;
use crate::settings::host::Host;
use crate::table::Table;

/// Runs `aloud releases`.
pub(crate) fn run(args: &ReleasesArgs, found: &Found, here: &Path) -> Result<Exit, Report> {
    with_hands(found, here, |host, tree, hands| {
        let releases = tree.releases().map_err(Report::from)?;
        let places: Vec<_> = releases
            .iter()
            .map(|one| Place { release: one.id.clone(), file_id: one.file_id, path: one.path.clone() })
            .collect();
        let users = hands.in_use(&places);
        if args.json {
            let shown = releases.iter().zip(&users).map(|(release, users)| Shown::of(release, users));
            crate::remote::print_json(&shown.collect::<Vec<_>>())?;
            return Ok(Exit::Ok);
        }
        if releases.is_empty() {
            writeln!(io::stderr(), "`{}` holds no release yet; `aloud deploy SOURCE` makes one", host.root.display())?;
            return Ok(Exit::Ok);
        }
        let now = crate::remote::now().wall;
        let mut table = Table::new(&["release", "state", "made", "by", "revision", "used by"]);
        for (release, users) in releases.iter().zip(&users) {
            let mark = if release.current { " (current)" } else { "" };
            table.row(vec![
                format!("{}{mark}", release.id),
                release.state.word().to_owned(),
                release.created.map_or_else(String::new, |at| relative(at, now)),
                release.by.clone().unwrap_or_default(),
                release.revision.as_deref().map(short).unwrap_or_default(),
                used(users),
            ]);
        }
        table.print()?;
        Ok(Exit::Ok)
    })
}

/// Runs `aloud prune`.
pub(crate) fn prune(args: &PruneArgs, found: &Found, here: &Path) -> Result<Exit, Report> {
    with_hands(found, here, |host, tree, hands| {
        let mut options = host.options(&crate::who::full());
        options.accept_unknown = args.accept_unknown;
        let pruning = release::prune(tree, &options, hands, args.dry_run).map_err(Report::from)?;
        let fates: Vec<_> = pruning.releases.iter().map(|one| Told::of(&one.id, &one.fate)).collect();
        if args.json {
            crate::remote::print_json(&fates)?;
        } else {
            let mut table = Table::new(&["release", "fate", "why"]);
            for Told { release, fate, why } in &fates {
                table.row(vec![(*release).to_owned(), (*fate).to_owned(), why.join("; ")]);
            }
            table.print()?;
            if !args.dry_run {
                writeln!(io::stderr(), "{} freed", megabytes(pruning.bytes))?;
            }
        }
        let blocked = pruning.releases.iter().any(|one| matches!(one.fate, Fate::Unknown(_) | Fate::Stuck(_)));
        if blocked && !args.dry_run {
            writeln!(
                io::stderr(),
                "hint: what cannot be looked at is not removed; run this as root, or where an agent runs as root, or \
                 accept it with --accept-unknown"
            )?;
        }
        Ok(if blocked { Exit::No } else { Exit::Ok })
    })
}

fn with_hands(
    found: &Found,
    here: &Path,
    act: impl FnOnce(&Host, &Tree, &OnHost<'_>) -> Result<Exit, Report>,
) -> Result<Exit, Report> {
    let host = Host::needed(found, here)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::resume(None));
    let tree = Tree::open(Layout::new(&host.root), clock.clone()).map_err(Report::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Report::config(format!("cannot start: {error}"), "Nothing was changed.", "see what limits this process has")
    })?;
    let site = host.site()?;
    let cancelled = AtomicBool::new(false);
    let hands = OnHost {
        site: &site,
        runtime: runtime.handle().clone(),
        clock,
        cancelled: &cancelled,
        say: &|_| (),
        progress: &|_| (),
        barrier: &|_: &Target| Go::Switch,
    };
    // The handle of a runtime of one thread needs somebody who drives it.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| runtime.block_on(stopped).ok());
        let done = act(&host, &tree, &hands);
        drop(stop);
        done
    })
}

fn used(users: &InUse) -> String {
    match users {
        InUse::Free => String::new(),
        InUse::Used(by) => few(by),
        InUse::Unknown(by) => format!("unknown: {}", few(by)),
    }
}

fn few(list: &[String]) -> String {
    const FEW: usize = 3;
    let mut text = list.iter().take(FEW).cloned().collect::<Vec<_>>().join(", ");
    if list.len() > FEW {
        text.push_str(&format!(" and {} more", list.len() - FEW));
    }
    text
}

/// A revision as people compare it: the start of a hash.
fn short(revision: &str) -> String {
    let is_hash = revision.len() >= 40 && revision.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hash { revision[..10].to_owned() } else { revision.to_owned() }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A release, as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    current: bool,
    state: &'static str,
    made: Option<job::Timestamp>,
    by: Option<&'a str>,
    revision: Option<&'a str>,
    source: Option<&'a str>,
    path: String,
    /// Nothing if it is not known.
    in_use: Option<bool>,
    users: &'a [String],
}

impl<'a> Shown<'a> {
    fn of(release: &'a Release, users: &'a InUse) -> Self {
        let (in_use, users): (_, &[String]) = match users {
            InUse::Free => (Some(false), &[]),
            InUse::Used(by) => (Some(true), by),
            InUse::Unknown(by) => (None, by),
        };
        Self {
            id: release.id.as_str(),
            current: release.current,
            state: release.state.word(),
            made: release.created,
            by: release.by.as_deref(),
            revision: release.revision.as_deref(),
            source: release.source.as_deref(),
            path: release.path.display().to_string(),
            in_use,
            users,
        }
    }
}

/// What becomes of a release, as JSON.
#[derive(Serialize)]
struct Told<'a> {
    release: &'a str,
    fate: &'static str,
    why: Vec<String>,
}

impl<'a> Told<'a> {
    fn of(id: &'a release::ReleaseId, fate: &Fate) -> Self {
        let (fate, why) = match fate {
            Fate::Kept(why) => ("kept", vec![why.clone()]),
            Fate::Free => ("would be removed", vec!["nobody is in it".to_owned()]),
            Fate::Removed { bytes } => ("removed", vec![megabytes(*bytes)]),
            Fate::InUse(by) => ("kept: in use", by.clone()),
            Fate::Unknown(by) => ("kept: unknown", by.clone()),
            Fate::Stuck(why) => ("kept in part", why.clone()),
        };
        Self { release: id.as_str(), fate, why }
    }
}
