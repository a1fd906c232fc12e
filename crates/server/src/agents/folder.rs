//! Hosts on disk: `HOST.token` lets an agent in, `HOST.json` is what it said
//! last.
//!
//! The folder decides which hosts there are: a token that is put there counts
//! from the next request on, and one that is taken away does not. Listing it is
//! a few calls to the system, and is done at most once a second unless the
//! folder changed.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use job::{HostName, Mono, Span, Timestamp};
use serde::{Deserialize, Serialize};
use wire::v1::AgentReport;

use super::MOST_HOSTS;
use crate::token::{Token, TokenError};

/// How long the folder is believed to be as it was seen, though it did not
/// change: what is inside a file may have.
const BELIEVED_FOR: Span = Span::from_secs(1);
/// The longest report that is read back.
const MAX_REPORT_BYTES: u64 = 4 << 20;

/// What is kept of a report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// When it was heard, by the server's clock.
    pub(super) heard: Timestamp,
    /// The report.
    pub(super) report: AgentReport,
}

/// The folder; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Folder(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When it was looked into, and when it had changed last.
    at: Option<(Mono, Option<SystemTime>)>,
    tokens: BTreeMap<HostName, Token>,
    troubles: Vec<String>,
}

/// Writes a new token for `host`, and answers where.
pub(super) fn add(folder: &Path, host: &HostName) -> Result<PathBuf, TokenError> {
    make(folder).map_err(|error| TokenError {
        happened: format!("cannot make the folder `{}`: {error}", folder.display()),
        means: "The host was not added.",
        hint: "run this as the user whom the server's data belongs to".to_owned(),
    })?;
    let path = token_path(folder, host);
    Token::create(&path)?;
    Ok(path)
}

/// Removes what there is of `host`, and answers whether there was anything.
pub(super) fn remove(folder: &Path, host: &HostName) -> Result<bool, TokenError> {
    let mut found = false;
    // The token first: if the rest fails, the agent is locked out already.
    for path in [token_path(folder, host), report_path(folder, host)] {
        match fs::remove_file(&path) {
            Ok(()) => found = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(TokenError {
                    happened: format!("cannot remove `{}`: {error}", path.display()),
                    means: "The host was not removed, or not all of it.",
                    hint: "run this as the user whom the server's data belongs to".to_owned(),
                });
            }
        }
    }
    Ok(found)
}

fn token_path(folder: &Path, host: &HostName) -> PathBuf {
    folder.join(format!("{host}.token"))
}

fn report_path(folder: &Path, host: &HostName) -> PathBuf {
    folder.join(format!("{host}.json"))
}

fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(Arc::new(Shelf { path, seen: Mutex::default() }))
    }

    /// The host whose token this is, as the folder was last looked into. How
    /// long that takes does not depend on how much of it is right.
    pub(super) fn host_of(&self, shown: &[u8]) -> Option<HostName> {
        let seen = self.seen();
        let fits = |found: Option<&HostName>, (host, token): (&HostName, &Token)| match token.is(shown) {
            true => Some(host.clone()),
            false => found.cloned(),
        };
        seen.tokens.iter().fold(None, |found, entry| fits(found.as_ref(), entry))
    }

    /// The hosts that have a token, as the folder was last looked into.
    pub(super) fn registered(&self) -> HashSet<HostName> {
        self.seen().tokens.keys().cloned().collect()
    }

    /// What is wrong, in sentences.
    pub(super) fn troubles(&self) -> Vec<String> {
        self.seen().troubles.clone()
    }

    /// Looks into the folder, if it is time to; answers the hosts of which there
    /// is anything.
    pub(super) fn look(&self, now: Mono) -> Option<HashSet<HostName>> {
        let changed = fs::metadata(&self.0.path).and_then(|found| found.modified()).ok();
        let mut seen = self.seen();
        if seen.at.is_some_and(|(at, then)| then == changed && now.since(at) < BELIEVED_FOR) {
            return None;
        }
        seen.at = Some((now, changed));
        let troubles = std::mem::take(&mut seen.troubles);
        let names = match list(&self.0.path) {
            Ok(names) => names,
            Err(error) => {
                // Who was let in stays so: a folder that cannot be read says nothing.
                let path = self.0.path.display();
                seen.troubles.push(format!("cannot look into `{path}` for the tokens of hosts: {error}"));
                return None;
            }
        };
        let mut hosts = HashSet::new();
        let mut tokens = BTreeMap::new();
        for name in &names {
            let of = |end| name.strip_suffix(end).and_then(|host| host.parse::<HostName>().ok());
            if let Some(host) = of(".token") {
                if tokens.len() < MOST_HOSTS {
                    match Token::read(&self.0.path.join(name)) {
                        Ok(token) => drop(tokens.insert(host.clone(), token)),
                        Err(error) => seen.troubles.push(format!("host {host} cannot report: {}", error.happened)),
                    }
                } else {
                    seen.troubles.push(format!("host {host} cannot report: there are more than {MOST_HOSTS} tokens"));
                }
                hosts.insert(host);
            } else if let Some(host) = of(".json") {
                hosts.insert(host);
            }
        }
        for trouble in seen.troubles.iter().filter(|trouble| !troubles.contains(trouble)) {
            tracing::warn!("{trouble}");
        }
        seen.tokens = tokens;
        Some(hosts)
    }

    /// What hosts said last. What cannot be read is as if it were not there, and
    /// is said in the log.
    pub(super) fn read_reports(&self) -> Vec<(HostName, Kept)> {
        let mut reports = Vec::new();
        for name in list(&self.0.path).unwrap_or_default() {
            let host = name.strip_suffix(".json").and_then(|host| host.parse::<HostName>().ok());
            let Some(host) = host.filter(|_| reports.len() < MOST_HOSTS) else { continue };
            match read(&self.0.path.join(&name)) {
                Ok(kept) => reports.push((host, kept)),
                Err(error) => tracing::warn!(%host, %error, "what the host said last cannot be read"),
            }
        }
        reports
    }

    /// Writes what a host said last; answers whether it is there.
    pub(super) fn write_report(&self, host: &HostName, kept: &Kept) -> bool {
        let folder = &self.0.path;
        let new = folder.join(format!(".{host}.json.new"));
        let write = || {
            make(folder)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(&new)?.write_all(&serde_json::to_vec(kept)?)?;
            fs::rename(&new, report_path(folder, host))
        };
        match write() {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%host, %error, "what the host said last cannot be written; after a restart it is not known");
                false
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of the files; none if the folder is not there.
fn list(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

fn read(path: &Path) -> io::Result<Kept> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(MAX_REPORT_BYTES).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_when_it_is_put_there_and_not_when_it_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("agents");
        let (folder, host) = (Folder::new(path.clone()), "web1".parse::<HostName>().unwrap());
        assert_eq!(folder.look(Mono(0)), Some(HashSet::new()), "a folder that is not there is empty");
        let file = add(&path, &host).unwrap();
        let token = Token::read(&file).unwrap();
        assert_eq!(folder.look(Mono(0)), Some(HashSet::from([host.clone()])), "it changed");
        assert_eq!(folder.look(Mono(0)), None);
        assert_eq!(folder.host_of(token.reveal().as_bytes()), Some(host.clone()));
        assert_eq!(folder.host_of(b"alo_"), None);
        assert_eq!(remove(&path, &host), Ok(true));
        folder.look(Mono(0));
        assert_eq!(folder.host_of(token.reveal().as_bytes()), None);
        assert_eq!(remove(&path, &host), Ok(false));
    }

    #[cfg(unix)]
    #[test]
    fn a_token_that_others_can_read_is_not_used_and_that_is_said() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let (folder, host) = (Folder::new(temp.path().to_owned()), "web1".parse().unwrap());
        let file = add(temp.path(), &host).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        folder.look(Mono(0));
        let text = Token::read(&file).map(|token| token.reveal().to_owned());
        assert!(text.is_err() && folder.registered().is_empty());
        assert!(
            folder.troubles()[0].starts_with("host web1 cannot report: the token file `"),
            "{:?}",
            folder.troubles()
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        folder.look(Mono(2_000_000));
        assert_eq!((folder.registered().len(), folder.troubles()), (1, Vec::new()));
    }
}
