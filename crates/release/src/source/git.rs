//! A commit, taken by the machine's own `git`.
//!
//! A bare copy of the repository stays in `.aloud/repo`, so that only what is new is fetched. `git` is the one program
//! that this crate runs; it asks nobody for a password, and it is ended if it takes too long.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::fill::Filler;
use super::{tarball, without_password};
use crate::error::Trouble;
use crate::tree::Tree;

/// How long one run of `git` may take.
const WITHIN: Duration = Duration::from_secs(900);
const BETWEEN: Duration = Duration::from_millis(10);
/// The most bytes of its complaints that are shown.
const MAX_SAID: u64 = 4_096;

/// Fetches, and copies what the reference means. Answers the whole hash of the commit.
pub(super) fn export(
    tree: &Tree,
    repository: &str,
    reference: &str,
    filler: &mut Filler<'_>,
) -> Result<String, Trouble> {
    let own = tree.own_dir()?;
    let mirror = Mirror { at: own.path().join("repo"), shown: without_password(repository) };
    if own.stat("repo/HEAD")?.is_none() {
        mirror.say(&["init", "--quiet", "--bare", "--", &mirror.at.to_string_lossy()], None)?;
    }
    let all = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
    mirror.run(&[
        "fetch",
        "--quiet",
        "--force",
        "--prune",
        "--no-auto-maintenance",
        "--",
        repository,
        all[0],
        all[1],
    ])?;
    let commit = match mirror.commit(reference) {
        Ok(commit) => commit,
        // It may be known to the repository without a branch or tag that leads to it.
        Err(unknown) => {
            mirror.run(&["fetch", "--quiet", "--", repository, reference]).map_err(|_| unknown)?;
            mirror.commit("FETCH_HEAD")?
        }
    };
    mirror.archive(&commit, filler)?;
    Ok(commit)
}

/// The whole hash of what a reference of a repository on this machine means.
pub(super) fn commit_here(repository: &Path, reference: &str) -> Result<String, Trouble> {
    here(repository).commit(reference)
}

/// Writes a commit of a repository on this machine as a tarball.
pub(super) fn archive_here(repository: &Path, commit: &str, out: &mut dyn Write) -> Result<(), Trouble> {
    let here = here(repository);
    let mut git = here.start(&["archive", "--format=tar", commit], Some(&here.at))?;
    let mut stdout = git.stdout.take().expect("it was asked for");
    let copied = std::io::copy(&mut stdout, out).map_err(|error| Trouble::io("pass the commit on", &error));
    // If nobody reads on, git is not to wait for that.
    drop(stdout);
    let ended = here.end(git);
    copied.and(ended.map(|_| ()))
}

fn here(repository: &Path) -> Mirror {
    let inside = repository.join(".git");
    let at = if inside.exists() { inside } else { repository.to_owned() };
    Mirror { at, shown: repository.display().to_string() }
}

struct Mirror {
    at: PathBuf,
    shown: String,
}

impl Mirror {
    /// The whole hash of what a name means.
    fn commit(&self, reference: &str) -> Result<String, Trouble> {
        let name = format!("{reference}^{{commit}}");
        let said = self.run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]);
        let hash = said.map(|text| text.trim().to_owned()).unwrap_or_default();
        if hash.len() >= 40 && hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(hash);
        }
        Err(Trouble::ours(
            format!("take {reference:?} of `{}`", self.shown),
            "there is no such branch, tag or commit",
            "see whether it was pushed, and how it is spelled",
        ))
    }

    fn archive(&self, commit: &str, filler: &mut Filler<'_>) -> Result<(), Trouble> {
        let mut git = self.start(&["archive", "--format=tar", commit], Some(&self.at))?;
        let stdout = git.stdout.take().expect("it was asked for");
        let unpacked = tarball::unpack(stdout, &self.shown, false, filler);
        let ended = self.end(git);
        unpacked.and(ended.map(|_| ()))
    }

    fn run(&self, args: &[&str]) -> Result<String, Trouble> {
        self.say(args, Some(&self.at))
    }

    fn say(&self, args: &[&str], at: Option<&Path>) -> Result<String, Trouble> {
        let git = self.start(args, at)?;
        self.end(git)
    }

    fn start(&self, args: &[&str], at: Option<&Path>) -> Result<Child, Trouble> {
        let mut command = Command::new("git");
        // What these say belongs to the repository that aloud was started in, if it was.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"] {
            command.env_remove(name);
        }
        if std::env::var_os("GIT_SSH_COMMAND").is_none() && std::env::var_os("GIT_SSH").is_none() {
            command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
        }
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "true").env("LC_ALL", "C");
        if let Some(at) = at {
            command.arg("--git-dir").arg(at);
        }
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| {
            Trouble::ours("run `git`", error.to_string(), "install git, or deploy a folder or a tarball")
        })
    }

    /// Waits for the end, within bounds. Answers what it said.
    fn end(&self, mut git: Child) -> Result<String, Trouble> {
        let stdout = git.stdout.take();
        let stderr = git.stderr.take();
        let read = |from: Option<Box<dyn Read + Send>>| {
            let mut text = String::new();
            if let Some(mut from) = from {
                from.by_ref().take(MAX_SAID).read_to_string(&mut text).ok();
                std::io::copy(&mut from, &mut std::io::sink()).ok();
            }
            text
        };
        std::thread::scope(|scope| {
            let out = scope.spawn(move || read(stdout.map(|pipe| Box::new(pipe) as _)));
            let err = scope.spawn(move || read(stderr.map(|pipe| Box::new(pipe) as _)));
            let ended = self.wait(&mut git);
            let said = out.join().unwrap_or_default();
            let complaint = err.join().unwrap_or_default();
            if ended? {
                return Ok(said);
            }
            let what = complaint.trim().lines().last().unwrap_or("git said nothing").to_owned();
            Err(Trouble::ours(
                format!("get `{}` with git", self.shown),
                what,
                "see whether this user may read the repository: `git ls-remote` with its address tells",
            ))
        })
    }

    fn wait(&self, git: &mut Child) -> Result<bool, Trouble> {
        let mut waited = Duration::ZERO;
        let failed = |error| Trouble::io("wait for `git`", &error);
        loop {
            if let Some(status) = git.try_wait().map_err(failed)? {
                return Ok(status.success());
            }
            if waited >= WITHIN {
                git.kill().map_err(failed)?;
                git.wait().map_err(failed)?;
                let what = format!("git took longer than {} minutes and was ended", WITHIN.as_secs() / 60);
                return Err(Trouble::ours(
                    format!("get `{}` with git", self.shown),
                    what,
                    "see whether the repository can be reached from here",
                ));
            }
            std::thread::sleep(BETWEEN);
            waited += BETWEEN;
        }
    }
}
