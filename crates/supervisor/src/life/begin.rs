//! How supervising begins: alone, with nothing left of an earlier life.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use tokio::sync::{broadcast, mpsc};
use tokio::task::spawn_blocking;

use super::Life;
use super::guard::Guard;
use super::handoff::Left;
use super::orphans::Orphans;
use super::pool::PoolLife;
use crate::attend::Surroundings;
use crate::cgroup::Tree;
use crate::event::Event;
use crate::guardian;
use crate::output::Line;
use crate::pool::Pool;
use crate::record::RunDir;
use crate::supervisor::{Command, Failure, Options};

/// How long the path of the folder may be, in bytes: the path of a socket in
/// it may have 107.
const LONGEST_PATH: usize = 80;
/// How many things that happened may wait to be heard.
const HAPPENED: usize = 1_024;

/// Begins to supervise.
pub(crate) async fn begin(
    options: Options,
    pools: Vec<Pool>,
    commands: mpsc::Receiver<Command>,
    events: broadcast::Sender<Event>,
    lines: broadcast::Sender<Line>,
) -> Result<(), Failure> {
    check(&pools)?;
    let dir = RunDir::new(options.run_dir.clone());
    let alone = move_in(&dir)?;
    let not_started = |what: &str, hint: &str| {
        let (what, hint) = (what.to_owned(), hint.to_owned());
        move |source: io::Error| Failure::NotStarted { what, source, hint }
    };
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| not_started("cannot take over what workers leave behind", "report this")(error.into()))?;
    let tree = Tree::prepare(&options.cgroups);

    let (happened, heard) = mpsc::channel(HAPPENED);
    let around = Surroundings { dir: dir.clone(), clock: Arc::clone(&options.clock), happened, lines };
    let left = Left::read(&dir);
    let mut life = Life {
        options,
        around,
        tree: None,
        pools: pools.into_iter().map(PoolLife::new).collect(),
        code: None,
        guard: Guard::none(),
        orphans: Orphans::default(),
        watches: Vec::new(),
        events,
        stopping: None,
        _alone: alone,
    };
    match left {
        Some(left) => life.take_over(left).await,
        None => {
            let ended = spawn_blocking(move || guardian::end_recorded(&dir)).await.unwrap_or(0);
            if ended > 0 {
                life.say(Event::LeftoversEnded { workers: ended });
            }
        }
    }
    match tree {
        Ok(tree) => life.tree = Some(tree),
        Err(why) => life.degraded(&why),
    }
    life.keep_guardian();
    tokio::spawn(life.run(commands, heard));
    Ok(())
}

/// Makes the folder, and sees that no other supervisor uses it.
fn move_in(dir: &RunDir) -> Result<File, Failure> {
    let path = dir.path().display().to_string();
    let refused =
        |what: String, source: io::Error, hint: &str| Err(Failure::NotStarted { what, source, hint: hint.to_owned() });
    if path.len() > LONGEST_PATH {
        let what = format!("the path of its folder `{path}` has {} bytes", path.len());
        return refused(what, io::ErrorKind::InvalidFilename.into(), "name one with at most 80");
    }
    if let Err(error) = dir.create() {
        return refused(format!("cannot make its folder `{path}`"), error, "see who owns it, and that there is room");
    }
    let lock = File::create(dir.path().join("lock"));
    let taken = lock.and_then(|file| {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    });
    match taken {
        Ok(file) => Ok(file),
        Err(error) => refused(format!("cannot have its folder `{path}` alone"), error, "end the other agent first"),
    }
}

/// Refuses what cannot be run.
pub(super) fn check(pools: &[Pool]) -> Result<(), Failure> {
    let mut names = HashSet::new();
    for pool in pools {
        let unfit = |what: &str, hint: &str| Failure::Unfit {
            pool: pool.name.to_string(),
            what: what.to_owned(),
            hint: hint.to_owned(),
        };
        if !names.insert(&pool.name) {
            return Err(unfit("there are two of that name", "give one another name"));
        }
        if pool.command.first().is_none_or(String::is_empty) {
            return Err(unfit("their command is empty", "write the program and its arguments, each as one text"));
        }
        if pool.command.iter().any(|text| text.contains('\0')) {
            return Err(unfit("their command holds a NUL byte", "remove it"));
        }
        let bad = |(name, value): (&String, &String)| {
            name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') || is_ours(name)
        };
        if pool.env.iter().any(bad) {
            let hint = "take names without `=`, and none of those that every worker is given";
            return Err(unfit("their environment cannot be set", hint));
        }
        let leaves = |path: &std::path::Path| {
            path.is_absolute() || path.components().any(|part| part == std::path::Component::ParentDir)
        };
        if pool.workdir.as_deref().is_some_and(leaves) {
            let hint = "write the path from the release onwards, without `..`";
            return Err(unfit("their working folder is not in the release", hint));
        }
    }
    Ok(())
}

fn is_ours(name: &str) -> bool {
    ["ALOUD_RELEASE", "ALOUD_GENERATION", "ALOUD_WORKER", "ALOUD_POOL", "NOTIFY_SOCKET", "PWD"].contains(&name)
}

/// Removes what was written for the next program of this process.
pub(super) fn used(dir: &RunDir) {
    fs::remove_file(dir.state()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_run_is_refused_with_a_reason() {
        let good = Pool::new("mail".parse().unwrap(), vec!["work".into()], 1);
        let refused = |pool: Pool| check(&[pool]).unwrap_err().to_string();
        assert!(check(std::slice::from_ref(&good)).is_ok());
        insta::assert_snapshot!(refused(Pool { command: vec![], ..good.clone() }), @r"
        the workers `mail` cannot be run: their command is empty
          Nothing was changed.
        hint: write the program and its arguments, each as one text
        ");
        assert!(refused(Pool { workdir: Some("../x".into()), ..good.clone() }).contains("working folder"));
        let env = [("ALOUD_WORKER".to_owned(), "x".to_owned())].into();
        assert!(refused(Pool { env, ..good.clone() }).contains("environment"));
        assert!(check(&[good.clone(), good]).unwrap_err().to_string().contains("two of that name"));
    }
}
