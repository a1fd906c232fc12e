//! Processes that somebody else starts: by which signs they are found.
//!
//! Nothing here owns them. What they run is judged like that of our own
//! workers; if it is not the current release, the declared command is run, and
//! otherwise it is only said.

use std::collections::HashSet;
use std::path::PathBuf;

use host::{Scan, Seen};
use job::PoolName;

use crate::config::WatchedConfig;
use crate::trouble::Trouble;

/// Processes of somebody else that should run the current release.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) name: PoolName,
    pub(crate) sign: Sign,
    /// How many there must be at least.
    pub(crate) count: usize,
    /// What makes them run the current release; empty if nothing does.
    pub(crate) restart: Vec<String>,
}

/// By what they are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// They are in the control group of this unit.
    Unit(String),
    /// Their number, or that of an ancestor, stands in this file.
    PidFile(PathBuf),
    /// This stands in their command line.
    Command(String),
}

impl WatchedConfig {
    /// The processes that are meant.
    pub(crate) fn build(&self) -> Result<Watched, Trouble> {
        let sign = match (&self.unit, &self.pid_file, &self.command) {
            (Some(unit), None, None) => {
                Sign::Unit(if unit.contains('.') { unit.clone() } else { format!("{unit}.service") })
            }
            (None, Some(path), None) if path.is_absolute() => Sign::PidFile(path.clone()),
            (None, None, Some(text)) if !text.trim().is_empty() => Sign::Command(text.clone()),
            _ => {
                return Err(Trouble::new(
                    format!("the watched processes `{}` cannot be told from others", self.name),
                    "The agent did not start.",
                    "give exactly one of `unit = \"horizon.service\"`, `pid_file = \"/run/horizon.pid\"` (an absolute \
                     path) and `command = \"artisan horizon\"`",
                ));
            }
        };
        let count = usize::from(self.count.unwrap_or(1));
        Ok(Watched { name: self.name.clone(), sign, count, restart: self.restart.clone() })
    }
}

impl Watched {
    /// Those that are there, by their place in the scan; or why they cannot be
    /// told.
    pub(crate) fn find(&self, scan: &Scan) -> Result<Vec<usize>, String> {
        let by = |fits: &dyn Fn(&host::Process) -> Seen<bool>| {
            let mut found = Vec::new();
            let mut unsure = None;
            for (place, process) in scan.processes.iter().enumerate() {
                match fits(process) {
                    Seen::Known(true) => found.push(place),
                    Seen::Known(false) | Seen::Gone => {}
                    Seen::Unknown(why) => unsure = unsure.or(Some(format!("process {}: {why}", process.id.pid))),
                }
            }
            // Those that were found are found, whoever else cannot be seen.
            if found.is_empty() { unsure.map_or(Ok(Vec::new()), Err) } else { Ok(found) }
        };
        match &self.sign {
            Sign::Unit(unit) => {
                let inside = |group: &String| group.split('/').any(|part| part == unit);
                by(&|process| process.cgroup.as_ref().map(inside))
            }
            Sign::Command(text) => {
                let own = i32::try_from(std::process::id()).unwrap_or_default();
                by(&|process| {
                    let line = process
                        .command
                        .as_ref()
                        .map(|words| words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "));
                    line.map(|line| process.id.pid != own && line.contains(text.as_str()))
                })
            }
            Sign::PidFile(path) => {
                let text = match std::fs::read_to_string(path) {
                    Ok(text) => text,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
                    Err(error) => return Err(format!("`{}` cannot be read: {error}", path.display())),
                };
                let first = text.trim().parse().map_err(|_| format!("`{}` holds no number", path.display()))?;
                Ok(family(scan, first))
            }
        }
    }
}

/// A process and its descendants, by their places in the scan.
fn family(scan: &Scan, first: i32) -> Vec<usize> {
    let mut pids = HashSet::from([first]);
    loop {
        let before = pids.len();
        pids.extend(
            scan.processes.iter().filter(|one| pids.contains(&one.parent)).map(|one| one.id.pid).collect::<Vec<_>>(),
        );
        if pids.len() == before {
            break;
        }
    }
    let places = scan.processes.iter().enumerate();
    places.filter(|(_, process)| pids.contains(&process.id.pid)).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use host::{Depth, Targets, scan};
    use job::time::SystemClock;

    use super::*;

    fn watched(toml: &str) -> Result<Watched, Trouble> {
        let config: WatchedConfig = toml::from_str(&format!("name = 'w'\n{toml}")).unwrap();
        config.build()
    }

    #[test]
    fn exactly_one_sign_is_needed() {
        assert_eq!(watched("unit = 'horizon'").unwrap().sign, Sign::Unit("horizon.service".to_owned()));
        assert!(watched("command = 'artisan horizon'").is_ok());
        for wrong in ["", "command = ''", "pid_file = 'run/pid'", "unit = 'a'\ncommand = 'b'"] {
            let trouble = watched(wrong).unwrap_err();
            assert!(trouble.happened.contains("`w`"), "{trouble}");
        }
    }

    #[test]
    fn a_process_is_found_by_its_command_line_and_by_its_pid_file_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let mark = format!("{}/mark", dir.path().display());
        let script = format!("sleep 60 & echo $! > {mark}; wait # {mark}");
        let mut parent = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
        let child = loop {
            let text = std::fs::read_to_string(&mark).unwrap_or_default();
            if let Ok(child) = text.trim().parse::<i32>() {
                break child;
            }
            std::thread::yield_now();
        };
        let parent_pid = i32::try_from(parent.id()).unwrap();
        let pid_file = dir.path().join("pid");
        std::fs::write(&pid_file, format!("{parent_pid}\n")).unwrap();
        let seen = scan(&Targets::default(), Depth::Quick, &SystemClock::resume(None));
        let pids = |toml: &str| {
            let found = watched(toml).unwrap().find(&seen).unwrap();
            found.into_iter().map(|place| seen.processes[place].id.pid).collect::<Vec<_>>()
        };
        assert_eq!(pids(&format!("command = '# {mark}'")), [parent_pid]);
        let mut both = pids(&format!("pid_file = '{}'", pid_file.display()));
        both.sort_unstable();
        let mut wanted = [parent_pid, child];
        wanted.sort_unstable();
        assert_eq!(both, wanted);
        assert_eq!(pids("pid_file = '/nowhere/pid'"), [0; 0]);
        rustix::process::kill_process(rustix::process::Pid::from_raw(child).unwrap(), rustix::process::Signal::KILL)
            .unwrap();
        parent.kill().unwrap();
        parent.wait().unwrap();
    }
}
