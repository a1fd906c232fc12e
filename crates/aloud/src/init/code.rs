//! What an application is written with, by the files that its framework puts
//! there, and so how its workers are started.

use std::path::Path;

use super::tree::read;

/// What was found of an application.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    /// What it is: `Laravel`, `Rails`, `Node`, `a Procfile`.
    pub(crate) is: Vec<&'static str>,
    /// A command that only works if the application can start.
    pub(crate) boot_check: Option<Vec<String>>,
    /// Workers that it may have.
    pub(crate) workers: Vec<Suggested>,
}

/// Workers that aloud could run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suggested {
    /// What they would be called.
    pub(crate) name: String,
    /// How they are started.
    pub(crate) command: Vec<String>,
    /// The user they would run as.
    pub(crate) user: Option<String>,
}

const MOST: u64 = 1 << 20;
/// The most workers that are suggested.
const WORKERS: usize = 20;

/// Looks at the application in `folder`.
pub(crate) fn look(folder: &Path) -> Code {
    let mut code = Code::default();
    for (name, found) in [("Laravel", laravel(folder)), ("Rails", rails(folder)), ("Node", node(folder))] {
        if let Some((boot_check, worker)) = found {
            code.is.push(name);
            code.boot_check = code.boot_check.or(boot_check);
            code.workers.extend(worker);
        }
    }
    if let Some(text) = read(&folder.join("Procfile"), MOST) {
        let workers: Vec<_> = text.lines().filter_map(of_procfile).take(WORKERS).collect();
        if !workers.is_empty() {
            code.is.push("a Procfile");
            // The application's own word counts.
            code.workers = workers;
        }
    }
    code
}

type Kind = Option<(Option<Vec<String>>, Option<Suggested>)>;

fn laravel(folder: &Path) -> Kind {
    folder.join("artisan").is_file().then(|| {
        let horizon = folder.join("config/horizon.php").is_file();
        let (name, command) = if horizon { ("horizon", "horizon") } else { ("queue", "queue:work") };
        (Some(words("php artisan --version")), Some(Suggested::new(name, words(&format!("php artisan {command}")))))
    })
}

fn rails(folder: &Path) -> Kind {
    const WORKERS: [(&str, &str, &str); 4] = [
        ("sidekiq", "sidekiq", "bundle exec sidekiq"),
        ("solid_queue", "jobs", "bin/jobs"),
        ("good_job", "good-job", "bundle exec good_job start"),
        ("delayed_job", "delayed-job", "bin/rails jobs:work"),
    ];
    let gems = read(&folder.join("Gemfile"), MOST).filter(|_| folder.join("bin/rails").is_file())?;
    let has = |gem: &str| {
        gems.lines().any(|line| {
            let rest = line.trim_start().strip_prefix("gem").map(str::trim_start);
            rest.is_some_and(|rest| rest.starts_with(&format!("\"{gem}")) || rest.starts_with(&format!("'{gem}")))
        })
    };
    let worker = WORKERS.iter().find(|(gem, _, _)| has(gem));
    let worker = worker.map(|(_, name, command)| Suggested::new(name, words(command)));
    Some((Some(words("bin/rails runner 1")), worker))
}

/// A package whose scripts start a worker.
fn node(folder: &Path) -> Kind {
    let text = read(&folder.join("package.json"), MOST)?;
    let package: serde_json::Value = serde_json::from_str(&text).ok()?;
    let scripts = package.get("scripts")?.as_object()?;
    let (name, script) = scripts.iter().find_map(|(name, script)| {
        let is_worker = name == "worker" || name.starts_with("worker:") || name.ends_with(":worker");
        Some((name, script.as_str()?)).filter(|_| is_worker)
    })?;
    // What npm starts does not hear its signals; a plain command needs no npm.
    let command = if is_plain(script) { words(script) } else { words(&format!("npm run {name}")) };
    let is_program = |word: &&str| [".js", ".mjs", ".cjs"].iter().any(|ending| word.ends_with(ending));
    let program = script.split_whitespace().find(is_program).filter(|_| is_plain(script));
    let boot_check = program.map(|program| words(&format!("node --check {program}")));
    Some((boot_check, Some(Suggested::new("worker", command))))
}

/// `worker: bundle exec sidekiq`. What serves requests is no worker.
fn of_procfile(line: &str) -> Option<Suggested> {
    let (name, command) = line.split_once(':')?;
    let (name, command) = (name.trim(), command.trim());
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !is_name || command.is_empty() || ["web", "release"].contains(&name) {
        return None;
    }
    let plain = is_plain(command);
    let command =
        if plain { words(command) } else { ["sh", "-c", &format!("exec {command}")].map(str::to_owned).into() };
    Some(Suggested::new(name, command))
}

/// Whether a command needs no shell.
fn is_plain(command: &str) -> bool {
    let first = command.split_whitespace().next().unwrap_or_default();
    !first.contains('=') && !command.contains(|c: char| "\"'`$&|;<>()*?[]{}~#\\!".contains(c) || c.is_control())
}

fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(str::to_owned).collect()
}

impl Suggested {
    /// Workers of a name made of `name`.
    pub(crate) fn new(name: &str, command: Vec<String>) -> Self {
        Self { name: name.to_owned(), command, user: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let code = look(folder.path());
        let boot = code.boot_check.map_or_else(|| "-".to_owned(), |argv| argv.join(" "));
        let workers = code.workers.iter().map(|one| format!("; {}: {}", one.name, one.command.join("|")));
        format!("{}: {boot}{}", code.is.join(", "), workers.collect::<String>())
    }

    #[test]
    fn an_application_is_known_by_its_files() {
        assert_eq!(found(&[]), ": -");
        assert_eq!(found(&[("artisan", "")]), "Laravel: php artisan --version; queue: php|artisan|queue:work");
        assert_eq!(
            found(&[
                ("artisan", ""),
                ("config/horizon.php", ""),
                ("package.json", "{\"scripts\": {\"dev\": \"vite\"}}")
            ]),
            "Laravel: php artisan --version; horizon: php|artisan|horizon"
        );
        assert_eq!(
            found(&[("bin/rails", ""), ("Gemfile", "# gem 'good_job'\ngem \"sidekiq\", \"~> 7\"\n")]),
            "Rails: bin/rails runner 1; sidekiq: bundle|exec|sidekiq"
        );
        assert_eq!(found(&[("bin/rails", ""), ("Gemfile", "gem 'rails'")]), "Rails: bin/rails runner 1");
        assert_eq!(found(&[("Gemfile", "gem 'sidekiq'")]), ": -");
        assert_eq!(
            found(&[("package.json", r#"{"scripts": {"worker": "node dist/worker.js --all"}}"#)]),
            "Node: node --check dist/worker.js; worker: node|dist/worker.js|--all"
        );
        assert_eq!(
            found(&[("package.json", r#"{"scripts": {"worker": "NODE_ENV=x node worker.js && true"}}"#)]),
            "Node: -; worker: npm|run|worker"
        );
        assert_eq!(found(&[("package.json", "not JSON")]), ": -");
        assert_eq!(
            found(&[("Procfile", "web: rails s\n# x: y\nmail: bundle exec sidekiq -q mail\nsms: work $QUEUE\n")]),
            "a Procfile: -; mail: bundle|exec|sidekiq|-q|mail; sms: sh|-c|exec work $QUEUE"
        );
    }
}
