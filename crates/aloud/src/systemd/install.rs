//! Puts the units where systemd finds them, and enables them.
//!
//! All of them are looked at before the first is written. One that aloud did
//! not write is left as it is, and then nothing is written.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;

use crate::exit::Exit;
use crate::report::Report;
use crate::systemd::units::{LASTING, Plan, SIGNATURE, Scope, Unit};

/// What stands where a unit goes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum There {
    /// Nothing.
    Nothing,
    /// The same unit.
    Same,
    /// One that aloud wrote, and that differs.
    Ours(String),
    /// Something that aloud did not write.
    Foreign,
}

/// Writes the units below `prefix`, or where this machine's systemd looks, and
/// enables them; with `now` they are started too.
pub(crate) fn run(plan: &Plan, prefix: Option<&Path>, now: bool) -> Result<(), Report> {
    if prefix.is_none() {
        knows_the_users(plan)?;
    }
    let folder = folder(&plan.scope, prefix)?;
    let units = plan.units();
    let mut found = Vec::new();
    for unit in &units {
        let path = folder.join(unit.name);
        let there = look(&path, &unit.text).map_err(|error| cannot("read", &path, &error))?;
        if there == There::Foreign {
            return Err(foreign(&path));
        }
        found.push(there);
    }
    fs::create_dir_all(&folder).map_err(|error| cannot("create the folder of", &folder.join("*"), &error))?;
    for (unit, there) in units.iter().zip(&found) {
        let path = folder.join(unit.name);
        if *there != There::Same {
            write(&path, &unit.text).map_err(|error| cannot("write", &path, &error))?;
        }
        tell(&path, unit, there)?;
    }
    enable(&plan.scope, prefix, now)?;
    let changed = units.iter().zip(&found).filter(|(_, there)| matches!(there, There::Ours(_)));
    next_steps(plan, now, &changed.map(|(unit, _)| unit.name).collect::<Vec<_>>())?;
    Ok(())
}

fn folder(scope: &Scope, prefix: Option<&Path>) -> Result<PathBuf, Report> {
    match (scope, prefix) {
        (Scope::System { .. }, prefix) => Ok(prefix.unwrap_or(Path::new("/")).join("etc/systemd/system")),
        (Scope::User, Some(prefix)) => Ok(prefix.join("etc/systemd/user")),
        (Scope::User, None) => {
            let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
            let config = named("XDG_CONFIG_HOME").or_else(|| named("HOME").map(|home| home.join(".config")));
            config.map(|config| config.join("systemd/user")).ok_or_else(|| {
                Report::config(
                    "neither XDG_CONFIG_HOME nor HOME names a folder",
                    "It is not known where this user's units are. No unit was written.",
                    "set HOME, and run this again",
                )
            })
        }
    }
}

/// A unit whose user is not there does not start, and neither does a server
/// whose store is another's.
fn knows_the_users(plan: &Plan) -> Result<(), Report> {
    let Scope::System { user, agent_user } = &plan.scope else { return Ok(()) };
    let id = number_of(user, "--user")?;
    if let Some(agent_user) = agent_user {
        number_of(agent_user, "--agent-user")?;
    }
    match fs::metadata(&plan.data).map(|folder| folder.uid()) {
        Ok(owner) if owner != id => Err(Report::config(
            format!("the store `{}` belongs to the user {owner}, not to `{user}` ({id})", plan.data.display()),
            "The server could not open it. No unit was written.",
            format!("`chown -R {user}: {}`, or name the store's owner with --user", plan.data.display()),
        )),
        Ok(_) => Ok(()),
        Err(error) => Err(Report::config(
            format!("cannot look at the store `{}`: {error}", plan.data.display()),
            "The server would not start, for it creates no store unasked. No unit was written.",
            "create it with `aloud init`, or name another in aloud.toml",
        )),
    }
}

fn number_of(user: &str, flag: &str) -> Result<u32, Report> {
    let asked = Command::new("id").args(["-u", user]).stdin(Stdio::null()).output();
    let number = asked.ok().and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok());
    number.ok_or_else(|| {
        Report::config(
            format!("there is no user `{user}` on this machine"),
            "The units would not start. None was written.",
            format!("`useradd --system --shell /usr/sbin/nologin {user}` creates it; or name another with {flag}"),
        )
    })
}

fn look(path: &Path, wanted: &str) -> io::Result<There> {
    // A link is somebody's will too: `systemctl mask` makes one to /dev/null.
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(There::Nothing),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_file() => return Ok(There::Foreign),
        Ok(_) => {}
    }
    let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    Ok(if text == wanted {
        There::Same
    } else if text.starts_with(SIGNATURE) {
        There::Ours(text)
    } else {
        There::Foreign
    })
}

/// Written beside it and moved there, so that it is whole or not there.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = NamedTempFile::with_prefix_in(".aloud-", folder)?;
    file.write_all(text.as_bytes())?;
    fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn tell(path: &Path, unit: &Unit, there: &There) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match there {
        There::Nothing => writeln!(stdout, "wrote    {}", path.display()),
        There::Same => writeln!(stdout, "kept     {}", path.display()),
        There::Ours(old) => {
            writeln!(stdout, "changed  {}", path.display())?;
            stdout.write_all(difference(old, &unit.text).as_bytes())
        }
        There::Foreign => Ok(()),
    }
}

/// The lines that went and those that came.
fn difference(old: &str, new: &str) -> String {
    let only_in = |one: &str, other: &str, sign: char| {
        let lines = one.lines().filter(|line| !other.lines().any(|known| known == *line));
        lines.map(|line| format!("  {sign} {line}\n")).collect::<String>()
    };
    let lines = only_in(old, new, '-') + &only_in(new, old, '+');
    if lines.is_empty() { "  only the order of its lines\n".to_owned() } else { lines }
}

fn enable(scope: &Scope, prefix: Option<&Path>, now: bool) -> Result<(), Report> {
    let mut words = match (scope, prefix) {
        (Scope::System { .. }, _) => vec![],
        (Scope::User, None) => vec!["--user".to_owned()],
        (Scope::User, Some(_)) => vec!["--global".to_owned()],
    };
    match prefix {
        Some(prefix) => words.push(format!("--root={}", prefix.display())),
        None => systemctl(&words, &["daemon-reload"])?,
    }
    let how: &[&str] = if now { &["enable", "--now"] } else { &["enable"] };
    systemctl(&words, &[how, &LASTING].concat())
}

fn systemctl(scope: &[String], words: &[&str]) -> Result<(), Report> {
    let shown = ["systemctl"].into_iter().chain(scope.iter().map(String::as_str)).chain(words.iter().copied());
    let shown = shown.collect::<Vec<_>>().join(" ");
    let output = Command::new("systemctl").args(scope).args(words).stdin(Stdio::null()).output();
    let why = match output {
        Ok(output) if output.status.success() => {
            writeln!(io::stdout().lock(), "ran      {shown}")?;
            return Ok(());
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("systemctl does not start: {error}"),
    };
    Err(Report::new(
        Exit::No,
        format!("`{shown}` failed: {why}"),
        "The units are written, and may not be in force.",
        "mend that, and run this again: what is written already is kept",
    ))
}

fn next_steps(plan: &Plan, now: bool, changed: &[&str]) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let (systemctl, check) = match plan.scope {
        Scope::System { .. } => ("systemctl", "aloud systemd --check"),
        Scope::User => ("systemctl --user", "aloud systemd --check --user-units"),
    };
    if plan.scope == Scope::User {
        writeln!(stderr, "note:    they end when you log out, unless `loginctl enable-linger` says otherwise")?;
    }
    if plan.runs_commands {
        writeln!(stderr, "note:    the server starts programs (exec), so its unit does not lock it up")?;
    }
    if !changed.is_empty() {
        writeln!(stderr, "next:    `{systemctl} restart {}`, for what changed", changed.join(" "))?;
    }
    if !now {
        writeln!(stderr, "next:    `{systemctl} start {}`", LASTING.join(" "))?;
    }
    writeln!(stderr, "next:    `{check}` says whether they are in force")
}

fn foreign(path: &Path) -> Report {
    Report::config(
        format!("`{}` was not written by aloud", path.display()),
        "It was not touched, and no unit was written.",
        format!("look what it is; to have aloud's unit there, remove it first: `rm {}`", path.display()),
    )
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Report {
    Report::config(
        format!("cannot {what} `{}`: {error}", path.display()),
        "Not all of the units are in place.",
        "run this as root, or write your own user's units with --user-units; what is written already is kept",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aloud_did_not_write_is_told_from_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aloud-agent.service");
        let wanted = format!("{SIGNATURE}.\n[Unit]\n");
        let check = |expect: There| assert_eq!(look(&path, &wanted).unwrap(), expect);
        check(There::Nothing);
        write(&path, &wanted).unwrap();
        check(There::Same);
        let older = format!("{SIGNATURE}.\n[Service]\n");
        write(&path, &older).unwrap();
        check(There::Ours(older));
        write(&path, "[Unit]\n").unwrap();
        check(There::Foreign);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        check(There::Foreign);
    }

    fn plan(user: &str, data: &Path) -> Plan {
        Plan {
            binary: "/usr/local/bin/aloud".into(),
            config: "/etc/aloud/aloud.toml".into(),
            data: data.to_owned(),
            files: Vec::new(),
            root: None,
            scope: Scope::System { user: user.to_owned(), agent_user: None },
            runs_commands: false,
            longest_drain: crate::systemd::units::LONGEST_DRAIN,
            on_failure: None,
        }
    }

    #[test]
    fn a_server_that_could_not_open_its_store_is_not_installed() {
        let folder = tempfile::tempdir().unwrap();
        let check = |user: &str, data: &Path| {
            let report = knows_the_users(&plan(user, data)).map_err(|report| report.to_string());
            report.map_err(|text| text.replace(&folder.path().display().to_string(), "DIR"))
        };
        insta::assert_snapshot!(check("no-such-user", folder.path()).unwrap_err(), @r"
        error: there is no user `no-such-user` on this machine
          The units would not start. None was written.
        hint: `useradd --system --shell /usr/sbin/nologin no-such-user` creates it; or name another with --user
        ");
        insta::assert_snapshot!(check("root", &folder.path().join("none")).unwrap_err(), @r"
        error: cannot look at the store `DIR/none`: No such file or directory (os error 2)
          The server would not start, for it creates no store unasked. No unit was written.
        hint: create it with `aloud init`, or name another in aloud.toml
        ");
        let own = fs::metadata(folder.path()).unwrap().uid();
        for (user, number) in [("root", 0), ("daemon", 1)] {
            assert_eq!(check(user, folder.path()).is_ok(), own == number, "{user}");
        }
    }

    #[test]
    fn what_changed_is_shown() {
        assert_eq!(difference("a\nb\nc\n", "a\nB\nc\nd\n"), "  - b\n  + B\n  + d\n");
        assert_eq!(difference("a\nb\n", "b\na\n"), "  only the order of its lines\n");
    }
}
