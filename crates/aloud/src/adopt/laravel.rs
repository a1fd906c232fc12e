//! What a Laravel application says of its queue.
//!
//! Of its `.env` only what stands in a list of names is read out: none of them
//! holds a secret, and what is not in the list is not looked at.

use std::path::Path;

use job::Verdict;

use super::scene::{Framework, Member, Remark};
use crate::init::tree::read;

/// The names that are read out.
const NAMES: [&str; 8] = [
    "QUEUE_CONNECTION",
    "QUEUE_DRIVER",
    "REDIS_DB",
    "REDIS_PREFIX",
    "REDIS_QUEUE",
    "HORIZON_PREFIX",
    "CACHE_STORE",
    "CACHE_DRIVER",
];
/// The commands of workers, the longer ones first.
const WORKERS: [&str; 5] = ["horizon:supervisor", "horizon:work", "horizon", "queue:work", "queue:listen"];
const MOST: u64 = 1 << 20;

/// What the application in `code` says, and what is to be said of it.
pub(crate) fn look(root: &Path, code: &Path, processes: &[Member]) -> Option<(Framework, Vec<Remark>)> {
    if !code.join("artisan").is_file() {
        return None;
    }
    let env = read(&code.join(".env"), MOST).or_else(|| read(&root.join("shared/.env"), MOST)).unwrap_or_default();
    let settings = settings(&env);
    let count = |command: &&str| {
        let runs = |one: &&Member| one.argv.iter().any(|word| word == command);
        Some(((*command).to_owned(), processes.iter().filter(runs).count())).filter(|(_, count)| *count > 0)
    };
    let workers = WORKERS.iter().filter_map(count).collect();
    let remarks = cache(root, code, &settings).into_iter().collect();
    Some((Framework { name: "Laravel", settings, workers }, remarks))
}

fn settings(env: &str) -> Vec<(String, String)> {
    let lines = env.lines().filter_map(|line| {
        let (name, value) = line.trim().trim_start_matches("export ").split_once('=')?;
        let name = NAMES.into_iter().find(|known| *known == name.trim())?;
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        let fits = value.len() <= 64 && !value.contains("://") && !value.chars().any(char::is_control);
        Some((name.to_owned(), if fits { value } else { "(not shown)" }.to_owned()))
    });
    lines.collect()
}

/// `queue:restart` leaves its word in the cache, where each worker looks.
fn cache(root: &Path, code: &Path, settings: &[(String, String)]) -> Option<Remark> {
    let of = |name: &str| settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    match of("CACHE_STORE").or_else(|| of("CACHE_DRIVER"))? {
        "file" => {
            let folder = code.join("storage/framework/cache").canonicalize().ok()?;
            let releases = root.join("releases").canonicalize().ok()?;
            folder.starts_with(releases).then(|| {
                Remark::new(
                    Verdict::Warning,
                    "the cache is `file`, and its folder `storage` is each release's own: `php artisan queue:restart` \
                     does not reach workers of another release",
                    "share `storage`, or let CACHE_STORE be one that all releases share",
                )
            })
        }
        "array" => Some(Remark::new(
            Verdict::Warning,
            "the cache is `array`, which each process has for itself: `php artisan queue:restart` reaches no worker",
            "let CACHE_STORE be one that all processes share",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_read_out() {
        let env = "APP_KEY=base64:secret\nQUEUE_CONNECTION=redis\nREDIS_PASSWORD=secret\nREDIS_DB=\"2\" # ours\n\
                   export CACHE_STORE='file'\n# REDIS_PREFIX=x\nREDIS_QUEUE=redis://u:secret@h\n";
        let told: Vec<_> = settings(env).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(told, ["QUEUE_CONNECTION=redis", "REDIS_DB=2", "CACHE_STORE=file", "REDIS_QUEUE=(not shown)"]);
    }

    #[test]
    fn a_cache_in_each_release_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (root, code) = (folder.path(), folder.path().join("releases/66"));
        std::fs::create_dir_all(code.join("storage/framework/cache")).unwrap();
        let told = |env: &str| cache(root, &code, &settings(env)).map(|remark| remark.verdict);
        assert_eq!(told("CACHE_STORE=file"), Some(Verdict::Warning));
        assert_eq!(told("CACHE_DRIVER=array"), Some(Verdict::Warning));
        assert_eq!(told("CACHE_STORE=redis"), None);
        assert_eq!(told(""), None);
        std::fs::remove_dir_all(code.join("storage")).unwrap();
        std::fs::create_dir_all(root.join("shared/storage/framework/cache")).unwrap();
        std::os::unix::fs::symlink("../../shared/storage", code.join("storage")).unwrap();
        assert_eq!(told("CACHE_STORE=file"), None, "all releases share it");
    }
}
