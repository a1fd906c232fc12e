//! The launcher: a process of one thread that becomes a worker.
//!
//! It is given one argument, the path of an order: a file that only its owner
//! can read, so that nothing of it shows in a list of processes. It records
//! itself, takes a lock on the release that every process of the worker keeps,
//! changes the user and becomes the program. Nothing in it outlives that but
//! the lock.
//!
//! Anything that goes wrong is written to the worker's standard error and into
//! its record, in three parts.

mod environ;
mod once;
mod users;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, getppid, setrlimit};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::pool::Pool;
use crate::process::{self, Ident};
use crate::record::{self, Record, Refusal};
use crate::worker::WorkerId;
pub use once::Once;
use users::User;

/// The launcher could not do what it was told.
pub const FAILED: u8 = 125;
/// The program could not be run, although it is there.
pub const NOT_RUNNABLE: u8 = 126;
/// There is no such program.
pub const NO_PROGRAM: u8 = 127;
/// The release was removed or renamed meanwhile.
pub const RELEASE_GONE: u8 = 124;

const LOCK_TRIES: u32 = 50;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// Why a worker was not started.
#[derive(Debug)]
pub struct Failed {
    /// What happened, what it means, what to do.
    pub message: String,
    /// With which status the launcher has to exit.
    pub code: u8,
}

/// What the launcher is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) worker: WorkerId,
    pub(crate) code: Code,
    pub(crate) pool: Pool,
    /// What is in the environment whatever the pool says.
    pub(crate) env: Vec<(String, String)>,
    /// Who gives the order; it is void once that process has ended.
    pub(crate) agent: u32,
    pub(crate) record: PathBuf,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
    pub(crate) notify: PathBuf,
}

/// Carries out the order in the file `order`, and does not return if that
/// succeeds. Must run in a process with one thread. The message of a failure
/// was told already where anybody will look for it.
pub fn run(order: &Path) -> Failed {
    let read = record::read::<Order>(order);
    fs::remove_file(order).ok();
    let order = match read {
        Ok(order) => order,
        Err(error) => {
            let message = format!("cannot read the order `{}`: {error}", order.display());
            return Failed { message, code: FAILED };
        }
    };
    let mut noted = None;
    let failed = match become_worker(&order, &mut noted) {
        Ok(never) => match never {},
        Err(failed) => failed,
    };
    if let Some(note) = noted {
        let refusal = Refusal { code: failed.code, message: failed.message.clone() };
        record::write(&order.record, &Record { failed: Some(refusal), ..note }).ok();
    }
    // If standard error is not the pipe yet, it is nobody's.
    if let Ok(mut stderr) = OpenOptions::new().read(true).write(true).open(&order.stderr) {
        writeln!(stderr, "error: {}", failed.message).ok();
    }
    failed
}

enum Never {}

fn become_worker(order: &Order, noted: &mut Option<Record>) -> Result<Never, Failed> {
    let note = note(order)?;
    record::write(&order.record, &note).map_err(|error| {
        order.failed("its record cannot be written", error, "see that there is room where the supervisor runs")
    })?;
    *noted = Some(note);
    // Only now: whoever looks for records after the supervisor's end has either
    // found this one, or it was written too late, and we see that it was.
    if getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs()) != Some(order.agent) {
        return Err(order.refused("the supervisor has ended, and nobody would look after it", "start it again"));
    }
    // In a session of its own it is also in a group of its own.
    rustix::process::setsid().map_err(|e| order.failed("it gets no session", e, "this is a defect: report it"))?;
    if let Some(cgroup) = &order.cgroup {
        fs::write(cgroup.join("cgroup.procs"), "0").map_err(|error| {
            let what = format!("it cannot enter its control group `{}`", cgroup.display());
            order.failed(what, error, "see that the service has `Delegate=yes`, or turn control groups off")
        })?;
    }
    let user = find_user(&order.pool).map_err(|why| order.refused(&why, "create it, or name another"))?;
    let group = order.pool.group.as_deref().map(users::group).transpose();
    let group = group.map_err(|why| order.refused(&why, "create it, or name another"))?;
    let release = lease(order)?;
    streams(order, user.as_ref())?;
    limits(order)?;
    let env = environ::of(order, user.as_ref())?;
    change_user(order, user.as_ref(), group)?;
    enter(order, &release)?;
    let mut command = command(order, env);
    // The last, because it is also felt here.
    limit(order, "address_space", Resource::As, order.pool.limits.address_space)?;
    let error = command.exec();
    Err(order.not_run(&error, &release))
}

fn note(order: &Order) -> Result<Record, Failed> {
    let ident = Ident::own().map_err(|e| order.failed("`/proc` cannot be read", e, "mount it"))?;
    Ok(Record {
        worker: order.worker.clone(),
        ident,
        boot: process::boot(),
        generation: order.worker.generation(),
        release: order.code.id.clone(),
        dir: order.code.is,
        cgroup: order.cgroup.clone(),
        failed: None,
    })
}

/// Opens the release and takes a lock on it, which stays with this process,
/// with the program it becomes, and with all that program starts.
fn lease(order: &Order) -> Result<File, Failed> {
    let path = &order.code.dir;
    let gone = |why: String| Failed {
        message: order.message(
            &format!("the release `{}` is not at `{}`: {why}", order.code.id, path.display()),
            "It was removed or renamed.",
            "nothing needs to be done if another release is current: workers are started from that one",
        ),
        code: RELEASE_GONE,
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = open(path, flags, Mode::empty()).map_err(|error| match error {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP => gone(error.to_string()),
        error => order.failed(format!("`{}` cannot be opened", path.display()), error, "see who owns it"),
    })?;
    // Whoever holds the lock alone looks whether the release is in use, or is
    // about to remove it: the first takes a moment.
    let mut tries = 0;
    let locked = loop {
        match flock(&fd, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::AGAIN) if tries < LOCK_TRIES => std::thread::sleep(LOCK_WAIT),
            done => break done,
        }
        tries += 1;
    };
    locked.map_err(|error| match error {
        rustix::io::Errno::AGAIN => gone("it is being removed".into()),
        error => order.failed(format!("`{}` cannot be locked", path.display()), error, "keep releases on a local disk"),
    })?;
    let held = fstat(&fd).map_err(|e| order.failed("its release cannot be looked at", e, "see its disk"))?;
    let same = |dir: &crate::code::Dir| dir.dev == held.st_dev && dir.ino == held.st_ino;
    match crate::code::Dir::at(path) {
        Err(error) => return Err(gone(error.to_string())),
        Ok(now) if !same(&now) => return Err(gone("another folder took its place".into())),
        Ok(_) if !same(&order.code.is) => return Err(gone("another folder has its name".into())),
        Ok(_) => {}
    }
    fcntl_setfd(&fd, FdFlags::empty()).map_err(|e| order.failed("the lock cannot be kept", e, "report this"))?;
    Ok(File::from(fd))
}

/// Both pipes are opened for reading too, so that writing never fails while
/// nobody reads, as when the supervisor becomes another program.
fn streams(order: &Order, user: Option<&User>) -> Result<(), Failed> {
    let pipe = |path: &Path| {
        let pipe = OpenOptions::new().read(true).write(true).open(path)?;
        if let Some(user) = user {
            // So that it can open `/dev/stderr`.
            rustix::fs::fchown(&pipe, Some(user.uid), None)?;
        }
        Ok::<_, io::Error>(pipe)
    };
    let set = || {
        dup2_stdin(&File::open("/dev/null")?)?;
        dup2_stdout(&pipe(&order.stdout)?)?;
        dup2_stderr(&pipe(&order.stderr)?)?;
        Ok(())
    };
    set().map_err(|error: io::Error| order.failed("its output cannot be redirected", error, "report this"))
}

fn limits(order: &Order) -> Result<(), Failed> {
    let pool = &order.pool;
    let limits = [
        ("open_files", Resource::Nofile, pool.limits.open_files),
        ("core", Resource::Core, pool.limits.core),
        ("processes", Resource::Nproc, pool.limits.processes),
    ];
    for (name, resource, value) in limits {
        limit(order, name, resource, value)?;
    }
    rustix::process::umask(Mode::from_raw_mode(pool.umask.unwrap_or(0o022)));
    if let Some(nice) = pool.nice {
        rustix::process::setpriority_process(None, nice)
            .map_err(|error| order.failed(format!("`nice` cannot be {nice}"), error, "take a number from 0 to 19"))?;
    }
    if let Some(score) = pool.oom_score_adj {
        fs::write("/proc/self/oom_score_adj", score.to_string()).map_err(|error| {
            order.failed(format!("`oom_score_adj` cannot be {score}"), error, "take a number from 0 to 1000")
        })?;
    }
    Ok(())
}

fn limit(order: &Order, name: &str, resource: Resource, value: Option<u64>) -> Result<(), Failed> {
    let Some(value) = value else { return Ok(()) };
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).map_err(|error| {
        order.failed(format!("the limit `{name}` cannot be {value}"), error, "ask for less, or allow the service more")
    })
}

fn find_user(pool: &Pool) -> Result<Option<User>, String> {
    pool.user.as_deref().map(users::user).transpose()
}

fn change_user(order: &Order, user: Option<&User>, group: Option<rustix::process::Gid>) -> Result<(), Failed> {
    users::become_them(user, group).map_err(|(what, why, hint)| order.failed(what, why, hint))?;
    if order.pool.no_new_privs {
        rustix::thread::set_no_new_privs(true).map_err(|e| order.failed("`no_new_privs` failed", e, "report this"))?;
    }
    Ok(())
}

fn enter(order: &Order, release: &File) -> Result<(), Failed> {
    let workdir = order.pool.workdir.as_deref().unwrap_or(Path::new("."));
    let entered = rustix::process::fchdir(release).and_then(|()| rustix::process::chdir(workdir));
    entered.map_err(|error| {
        let what = format!("its working folder `{}` cannot be entered", order.code.dir.join(workdir).display());
        order.failed(what, error, "see that it is in the release, and that the user may enter it")
    })
}

fn command(order: &Order, env: BTreeMap<String, String>) -> Command {
    let mut command = Command::new(&order.pool.command[0]);
    command.args(&order.pool.command[1..]).env_clear().envs(env);
    command
}

impl Order {
    fn failed(&self, what: impl Into<String>, why: impl ToString, hint: &str) -> Failed {
        self.refused(&format!("{}: {}", what.into(), why.to_string()), hint)
    }

    fn refused(&self, what: &str, hint: &str) -> Failed {
        Failed { message: self.message(what, "The program was not run.", hint), code: FAILED }
    }

    fn message(&self, what: &str, means: &str, hint: &str) -> String {
        format!("cannot start the worker `{}`: {what}\n  {means}\nhint: {hint}", self.worker)
    }

    /// Of all that can be missing, the system only says "not found".
    fn not_run(&self, error: &io::Error, release: &File) -> Failed {
        use std::os::unix::fs::MetadataExt;
        let program = &self.pool.command[0];
        let (code, why, hint) = if release.metadata().is_ok_and(|found| found.nlink() == 0) {
            (RELEASE_GONE, "its release was removed meanwhile".to_owned(), "deploy again")
        } else if error.kind() != io::ErrorKind::NotFound {
            (NOT_RUNNABLE, format!("`{program}`: {error}"), "see that it may be executed by the worker's user")
        } else if !program.contains('/') {
            (NO_PROGRAM, format!("there is no program `{program}` in PATH"), "install it, or write its whole path")
        } else if Path::new(program).exists() {
            let why = format!("`{program}` is there, but not the interpreter that its first line names");
            (NO_PROGRAM, why, "install the interpreter")
        } else {
            let hint = "see that the release has it: a relative path starts in the working folder";
            (NO_PROGRAM, format!("there is no program `{program}`"), hint)
        };
        Failed { message: self.message(&why, "The program was not run.", hint), code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Dir;
    use crate::worker::Generation;

    fn order(dir: &Path) -> Order {
        let worker = WorkerId::new("mail".parse().unwrap(), 1, Generation(1), 7);
        let is = Dir::at(dir).unwrap();
        let code = Code { id: "65".into(), dir: dir.into(), is, logical: dir.into(), env: Vec::new() };
        let pool = Pool::new("mail".parse().unwrap(), vec!["work".into()], 1);
        let nowhere = PathBuf::new;
        Order {
            worker,
            code,
            pool,
            env: Vec::new(),
            agent: 0,
            record: nowhere(),
            cgroup: None,
            stdout: nowhere(),
            stderr: nowhere(),
            notify: nowhere(),
        }
    }

    #[test]
    fn only_the_release_that_was_meant_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("65");
        fs::create_dir(&dir).unwrap();
        let order = order(&dir);
        let held = lease(&order).unwrap();
        let other = File::open(&dir).unwrap();
        assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_err());
        drop(held);

        // Somebody is about to remove it, and does.
        flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(lease(&order).unwrap_err().code, RELEASE_GONE);
        fs::rename(&dir, folder.path().join(".trash-65")).unwrap();
        assert_eq!(lease(&order).unwrap_err().code, RELEASE_GONE);
        fs::create_dir(&dir).unwrap();
        let failed = lease(&order).unwrap_err();
        assert_eq!(failed.code, RELEASE_GONE);
        let shown = failed.message.replace(&folder.path().display().to_string(), "DIR");
        insta::assert_snapshot!(shown, @r"
        cannot start the worker `mail.1.g1.x00000007`: the release `65` is not at `DIR/65`: another folder has its name
          It was removed or renamed.
        hint: nothing needs to be done if another release is current: workers are started from that one
        ");
    }
}
