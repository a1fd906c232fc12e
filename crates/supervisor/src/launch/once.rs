//! One command, run as a worker would be: its user, its groups, its variables.
//!
//! What a deploy runs to see whether a release can run must see what the worker
//! will see. The output goes wherever the one who starts it wants it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use tempfile::TempPath;

use super::environ::{env_of_user, read_env_file};
use super::{FAILED, Failed, NO_PROGRAM, NOT_RUNNABLE, users};

/// One command, and in what it is run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Once {
    /// The program and its arguments. A program with a slash in its name is
    /// looked for from `dir` onwards, any other in `PATH`.
    pub argv: Vec<String>,
    /// Where it starts.
    pub dir: PathBuf,
    /// As whom, by name or number; as the one who starts it if not given.
    pub user: Option<String>,
    /// In which group; in the user's if not given.
    pub group: Option<String>,
    /// Variables besides those of the one who starts it. With a user, nothing
    /// but `PATH` and the like is taken over from that one.
    pub env: Vec<(String, String)>,
    /// Files with lines `NAME=VALUE`; `-` before a path lets it be missing.
    pub env_files: Vec<PathBuf>,
}

/// What is taken over from the one who starts a command as somebody else.
const TAKEN_OVER: [&str; 5] = ["PATH", "LANG", "LC_ALL", "TZ", "TMPDIR"];

impl Once {
    /// Writes it where only its owner can read it; it is gone when the command
    /// has started, or when what is answered is dropped.
    pub fn order(&self) -> io::Result<TempPath> {
        let mut file = tempfile::Builder::new().prefix("aloud-order-").tempfile()?;
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        Ok(file.into_temp_path())
    }

    /// Becomes the command in the file `order`, and does not return if that
    /// succeeds. Must run in a process with one thread. What is wrong is
    /// written to the standard error.
    pub fn run(order: &Path) -> Failed {
        let read = fs::read(order).and_then(|bytes| serde_json::from_slice::<Self>(&bytes).map_err(io::Error::from));
        fs::remove_file(order).ok();
        let failed = match read {
            Ok(once) => once.become_it(),
            Err(error) => {
                let message = format!("cannot read the order `{}`: {error}", order.display());
                Failed { message, code: FAILED }
            }
        };
        // If nobody listens, the exit status says it too.
        writeln!(io::stderr(), "error: {}", failed.message).ok();
        failed
    }

    fn become_it(&self) -> Failed {
        let prepared = || {
            let user = self.user.as_deref().map(users::user).transpose()?;
            let group = self.group.as_deref().map(users::group).transpose()?;
            let mut env = BTreeMap::new();
            if let Some(user) = &user {
                let of = [("HOME", &user.home), ("USER", &user.name), ("LOGNAME", &user.name), ("SHELL", &user.shell)];
                env.extend(of.map(|(name, value)| (name.to_owned(), value.clone())));
            }
            let taken = std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
            let fits = |name: &str| user.is_none() || TAKEN_OVER.contains(&name) && !env_of_user(name);
            env.extend(taken.filter(|(name, _)| fits(name)));
            for file in &self.env_files {
                env.extend(read_env_file(&self.dir, file).map_err(|(what, _)| what)?);
            }
            env.extend(self.env.iter().cloned());
            env.insert("PWD".to_owned(), self.dir.to_string_lossy().into_owned());
            users::become_them(user.as_ref(), group).map_err(|(what, why, _)| format!("{what}: {why}"))?;
            Ok::<_, String>(env)
        };
        let program = self.argv.first().map(String::as_str).unwrap_or_default();
        let env = match prepared() {
            Ok(env) => env,
            Err(why) => return Failed { message: format!("cannot run `{program}`: {why}"), code: FAILED },
        };
        if let Err(error) = std::env::set_current_dir(&self.dir) {
            let message = format!("cannot run `{program}`: `{}` cannot be entered: {error}", self.dir.display());
            return Failed { message, code: FAILED };
        }
        let error = Command::new(program).args(self.argv.iter().skip(1)).env_clear().envs(env).exec();
        let code = if error.kind() == io::ErrorKind::NotFound { NO_PROGRAM } else { NOT_RUNNABLE };
        Failed { message: format!("cannot run `{program}`: {error}"), code }
    }
}
