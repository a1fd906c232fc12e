//! How the processes of others are told apart from now on, and what restarts
//! them: the `[[watched]]` of an adopted tree, and workers that would replace
//! them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use host::How;

use super::origin::Origin;
use super::scene::{Member, Scene};
use crate::init::code::Suggested;
use crate::init::survey::{list, text};

/// What is to be watched.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Their names.
    pub(super) names: Vec<String>,
    /// The entries, as TOML.
    pub(super) text: String,
    /// Workers that would replace them.
    pub(super) workers: Vec<Suggested>,
}

/// How deep a file with a pid lies in `shared/` or `/run` at most.
const DEPTH: usize = 3;
/// The most entries that are looked at for one.
const ENTRIES: usize = 5_000;

/// A watched process: its sign, and how it is restarted.
struct Entry {
    name: String,
    sign: (&'static str, String),
    restart: Option<Vec<String>>,
    count: usize,
}

/// What is to be watched of those who were seen: those that no other of them
/// has started, and that somebody keeps running.
pub(super) fn of(scene: &Scene) -> Watch {
    let pid_files = pid_files(&[scene.root.join("shared"), PathBuf::from("/run")]);
    let mut entries: Vec<Entry> = Vec::new();
    let mut watch = Watch::default();
    for one in scene.processes.iter().filter(|one| is_master(one)) {
        let words = plain_words(&one.argv, &scene.root);
        let Some((sign, name)) = sign(one, &words, &pid_files) else { continue };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.sign == sign) {
            entry.count += 1;
            continue;
        }
        let name = unused(&name, &entries);
        if command_sign(&words).is_some() {
            let user = one.user.clone().filter(|user| user != "root");
            watch.workers.push(Suggested { name: name.clone(), command: words, user });
        }
        entries.push(Entry { name, sign, restart: restart(one), count: 1 });
    }
    watch.text = entries.iter().map(entry_text).collect::<Vec<_>>().join("\n");
    watch.names = entries.into_iter().map(|entry| entry.name).collect();
    watch
}

fn is_master(one: &Member) -> bool {
    let kept = match one.origin {
        Origin::Supervisord { .. }
        | Origin::Unit { .. }
        | Origin::UserUnit { .. }
        | Origin::Terminal
        | Origin::Unknown => true,
        Origin::Aloud | Origin::Container | Origin::Cron => false,
    };
    let runs_it = |how: How| matches!(how, How::Cwd | How::Root | How::Exe | How::Argument);
    kept && !one.person && one.child_of.is_none() && one.uses.iter().any(|way| runs_it(way.how))
}

fn sign(one: &Member, words: &[String], pid_files: &[(i32, PathBuf)]) -> Option<((&'static str, String), String)> {
    if let Origin::Unit { unit } | Origin::UserUnit { unit, .. } = &one.origin {
        return Some((("unit", unit.clone()), unit.trim_end_matches(".service").to_owned()));
    }
    let command = command_sign(words);
    let name = match (&one.origin, &command) {
        (Origin::Supervisord { name }, _) => name.clone(),
        (_, Some(command)) => last_name(command),
        (_, None) => one.name.clone(),
    };
    let pid_file = pid_files.iter().find(|(pid, _)| *pid == one.pid).and_then(|(_, path)| path.to_str());
    match (pid_file, command) {
        (Some(path), _) => Some((("pid_file", path.to_owned()), name)),
        (None, Some(command)) => Some((("command", command), name)),
        (None, None) => None,
    }
}

/// A command line with the way to the release taken off: as it would be typed in
/// the release.
fn plain_words(argv: &[String], root: &Path) -> Vec<String> {
    let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let plain = |word: &String| {
        let below = |root: &Path| {
            let path = Path::new(word).strip_prefix(root).ok()?;
            let mut parts = path.components();
            match parts.next()?.as_os_str().to_str()? {
                "current" => {}
                "releases" => drop(parts.next()?),
                _ => return None,
            }
            Some(parts.as_path().to_str()?.to_owned()).filter(|rest| !rest.is_empty())
        };
        below(root).or_else(|| below(&real)).unwrap_or_else(|| word.clone())
    };
    argv.iter().map(plain).collect()
}

/// What tells a command line from others and does not change with a release:
/// the program, and the word behind it.
fn command_sign(words: &[String]) -> Option<String> {
    const INTERPRETERS: [&str; 9] = ["php", "python", "ruby", "node", "perl", "sh", "bash", "dash", "env"];
    let base = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let interpreted = |word: &str| {
        INTERPRETERS.iter().any(|name| {
            base(word).strip_prefix(name).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        })
    };
    let start = words.iter().position(|word| !interpreted(word))?;
    // `sh -c …` and `php -d …` hold their program somewhere behind.
    let program = words.get(start).filter(|word| !word.starts_with('-') && !word.is_empty())?;
    let next = words.get(start + 1).filter(|word| !word.starts_with('-') && !word.starts_with('/'));
    Some(next.map_or_else(|| program.clone(), |next| format!("{program} {next}")))
}

/// A name made of a command: `artisan queue:work` is `queue-work`.
fn last_name(command: &str) -> String {
    let word = command.split(' ').next_back().unwrap_or_default();
    let word = word.rsplit('/').next().unwrap_or_default();
    let stem = word.rsplit_once('.').map_or(word, |(stem, _)| stem);
    stem.to_owned()
}

fn unused(wanted: &str, entries: &[Entry]) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let name: String = wanted.chars().map(fits).take(40).collect();
    let name = if name.trim_matches('-').is_empty() { "workers" } else { name.trim_matches('-') };
    let taken: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let further = (2..=entries.len() + 2).map(|n| format!("{name}-{n}"));
    let mut names = std::iter::once(name.to_owned()).chain(further);
    names.find(|name| !taken.contains(name.as_str())).unwrap_or_else(|| name.to_owned())
}

/// What has it run the current release. Of what a person has started nobody
/// knows that it comes back.
fn restart(one: &Member) -> Option<Vec<String>> {
    if one.origin == Origin::Terminal {
        return None;
    }
    let artisan = |command: &str| Some(["php", "artisan", command].map(str::to_owned).to_vec());
    one.origin.restart().or_else(|| match one.argv.iter().find(|word| !word.starts_with('-') && is_queue(word)) {
        Some(word) if word == "horizon" => artisan("horizon:terminate"),
        Some(_) => artisan("queue:restart"),
        None => None,
    })
}

fn is_queue(word: &str) -> bool {
    ["horizon", "queue:work", "queue:listen"].contains(&word)
}

fn entry_text(entry: &Entry) -> String {
    let (key, value) = &entry.sign;
    let count = if entry.count > 1 { format!("count = {}\n", entry.count) } else { String::new() };
    let restart = entry.restart.as_ref().map_or_else(
        || "# restart = [\"…\"]   # what starts it anew; without it, it is only said\n".to_owned(),
        |words| format!("restart = {}\n", list(words)),
    );
    format!("[[watched]]\nname = {}\n{key} = {}\n{count}{restart}", text(&entry.name), text(value))
}

/// Files that hold nothing but the number of a process.
fn pid_files(folders: &[PathBuf]) -> Vec<(i32, PathBuf)> {
    let mut found = Vec::new();
    for folder in folders {
        let mut left = ENTRIES;
        let mut line = vec![(folder.clone(), 0)];
        while let Some((folder, depth)) = line.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                left = left.saturating_sub(1);
                let (path, kind) = (entry.path(), entry.file_type());
                let is_pid = path.extension().is_some_and(|ending| ending == "pid");
                match kind {
                    Ok(kind) if kind.is_dir() && depth + 1 < DEPTH && left > 0 => line.push((path, depth + 1)),
                    Ok(kind) if kind.is_file() && is_pid => {
                        let pid = crate::init::tree::read(&path, 32).and_then(|text| text.trim().parse().ok());
                        found.extend(pid.map(|pid| (pid, path)));
                    }
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_command_is_told_by_what_no_deploy_changes() {
        let check = |line: &str, expect: Option<&str>| {
            let plain = plain_words(&words(line), Path::new("/srv/app"));
            assert_eq!(command_sign(&plain).as_deref(), expect, "{line}");
            // What is looked for must stand in the command line as it is.
            assert!(expect.is_none_or(|expect| line.contains(expect)), "{line}");
        };
        check("php artisan horizon", Some("artisan horizon"));
        check("/usr/bin/php8.2 /srv/app/releases/65/artisan queue:work --sleep=3", Some("artisan queue:work"));
        check("php /srv/app/current/artisan queue:work redis", Some("artisan queue:work"));
        check("python3.11 /srv/app/current/bin/work.py", Some("bin/work.py"));
        check("bundle exec sidekiq", Some("bundle exec"));
        check("sh -c exec work", None);
        check("php -d memory_limit=1G artisan horizon", None);
        check("bash", None);
    }

    #[test]
    fn names_are_such_as_a_pool_may_have() {
        let entry = |name: &str| Entry { name: name.into(), sign: ("unit", String::new()), restart: None, count: 1 };
        assert_eq!(unused(&last_name("artisan queue:work"), &[]), "queue-work");
        assert_eq!(unused(&last_name("bin/work.py"), &[]), "work");
        assert_eq!(unused("queue@2", &[entry("queue-2")]), "queue-2-2");
        assert_eq!(unused("…", &[]), "workers");
    }
}
