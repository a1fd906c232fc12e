//! Trees that other tools made, and keep using.
//!
//! What they wrote down is read for the list of releases; what they read is written, so that they go on where we
//! stopped: in Deployer's trees `.dep/releases_log` and `.dep/latest_release`, in Capistrano's `revisions.log`.

use std::collections::HashMap;
use std::fmt;

use job::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dir::{Dir, is_dir};
use crate::error::Trouble;
use crate::id::ReleaseId;

/// Whose tree it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Ours alone.
    Aloud,
    /// Deployer's: there is a `.dep`.
    Deployer,
    /// Capistrano's: there is a `revisions.log`, or names are timestamps of 14 digits.
    Capistrano,
    /// Ansistrano's: names are timestamps of 14 digits and a `Z`.
    Ansistrano,
    /// Some other tool's (Mina leaves no mark), or nobody's yet.
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Aloud => "aloud",
            Self::Deployer => "Deployer",
            Self::Capistrano => "Capistrano",
            Self::Ansistrano => "Ansistrano",
            Self::Unknown => "unknown",
        })
    }
}

/// What another tool wrote down about a release.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Noted {
    pub(crate) created: Option<Timestamp>,
    pub(crate) by: Option<String>,
    pub(crate) revision: Option<String>,
}

/// A release as we note it down for another tool.
pub(crate) struct Made<'a> {
    pub(crate) id: &'a ReleaseId,
    pub(crate) at: Timestamp,
    pub(crate) by: &'a str,
    pub(crate) target: &'a str,
    pub(crate) revision: Option<&'a str>,
}

pub(crate) const DEP: &str = ".dep";
const RELEASES_LOG: &str = "releases_log";
const LATEST: &str = "latest_release";
const REVISIONS: &str = "revisions.log";
/// The file by which Deployer knows a release that it must not roll back to.
pub(crate) const BAD: &str = "BAD_RELEASE";
/// The file by which Deployer knows a release that somebody has pushed local changes into.
pub(crate) const DIRTY: &str = "DIRTY_RELEASE";
/// The most that is read of another tool's log: its end would be enough, its first few megabytes always are.
const MAX_LOG: u64 = 8 << 20;

/// One line of Deployer's log, version 7.
#[derive(Serialize, Deserialize)]
struct Logged {
    created_at: String,
    release_name: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
}

/// Whose tree it is, from what lies in its root and from the names of its releases.
pub(crate) fn kind(root: &Dir, releases: &[ReleaseId]) -> Result<Kind, Trouble> {
    if root.stat(DEP)?.is_some_and(|stat| is_dir(&stat)) {
        return Ok(Kind::Deployer);
    }
    let stamped =
        |id: &ReleaseId, ending: &str| id.as_str().strip_suffix(ending).is_some_and(|digits| civil(digits).is_some());
    if root.stat(REVISIONS)?.is_some() || (!releases.is_empty() && releases.iter().all(|id| stamped(id, ""))) {
        return Ok(Kind::Capistrano);
    }
    if !releases.is_empty() && releases.iter().all(|id| stamped(id, "Z")) {
        return Ok(Kind::Ansistrano);
    }
    Ok(if root.stat(".aloud")?.is_some() { Kind::Aloud } else { Kind::Unknown })
}

/// Everything that other tools wrote down, by release.
pub(crate) fn notes(root: &Dir) -> Result<HashMap<String, Noted>, Trouble> {
    let mut notes = HashMap::new();
    if let Some(dep) = root.dir_through_links(DEP)? {
        // Version 6 wrote `YYYYMMDDHHMMSS,name`.
        for line in dep.read("releases", MAX_LOG)?.unwrap_or_default().lines() {
            if let Some((at, name)) = line.split_once(',') {
                notes.insert(name.trim().to_owned(), Noted { created: civil(at.trim()), ..Noted::default() });
            }
        }
        for line in dep.read(RELEASES_LOG, MAX_LOG)?.unwrap_or_default().lines() {
            let Ok(logged) = serde_json::from_str::<Logged>(line) else { continue };
            let created = iso8601(&logged.created_at);
            notes.insert(logged.release_name, Noted { created, by: logged.user, revision: logged.revision });
        }
    }
    for line in root.read(REVISIONS, MAX_LOG)?.unwrap_or_default().lines() {
        if let Some((name, noted)) = capistranos(line) {
            notes.insert(name, noted);
        }
    }
    Ok(notes)
}

/// The highest number that another tool has given, so that we give none twice.
pub(crate) fn highest_given(root: &Dir) -> Result<u64, Trouble> {
    let Some(dep) = root.dir_through_links(DEP)? else { return Ok(0) };
    let latest = dep.read(LATEST, 64)?.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let logged = notes(root)?.into_keys().filter_map(|name| name.parse::<ReleaseId>().ok()?.number());
    Ok(logged.max().unwrap_or(0).max(latest))
}

/// The name of a release that is made at `at` in a tree of names that are timestamps.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.to_string().chars().filter(char::is_ascii_digit).take(14).collect()
}

/// When a release was made whose name is a timestamp.
pub(crate) fn stamped(id: &ReleaseId) -> Option<Timestamp> {
    civil(id.as_str().strip_suffix('Z').unwrap_or(id.as_str()))
}

/// Says that a number is taken.
pub(crate) fn take_number(root: &Dir, id: &ReleaseId) -> Result<(), Trouble> {
    match root.dir_through_links(DEP)? {
        Some(dep) if id.number().is_some() => dep.write(LATEST, &format!("{id}\n")),
        _ => Ok(()),
    }
}

/// Notes a new release down where the tree's own tool looks for it.
pub(crate) fn note(root: &Dir, kind: Kind, made: &Made<'_>) -> Result<(), Trouble> {
    match kind {
        Kind::Deployer => {
            let Some(dep) = root.dir_through_links(DEP)? else { return Ok(()) };
            let logged = Logged {
                created_at: format!("{}+0000", made.at.to_string().chars().take(19).collect::<String>()),
                release_name: made.id.as_str().to_owned(),
                user: Some(made.by.to_owned()),
                target: Some(made.target.to_owned()),
                revision: made.revision.map(str::to_owned),
            };
            dep.append(RELEASES_LOG, &serde_json::to_string(&logged).expect("it holds nothing that JSON cannot say"))
        }
        Kind::Capistrano => {
            let revision = made.revision.unwrap_or("unknown");
            let line = format!("Branch {} (at {revision}) deployed as release {} by {}", made.target, made.id, made.by);
            root.append(REVISIONS, &line.replace('\n', " "))
        }
        Kind::Aloud | Kind::Ansistrano | Kind::Unknown => Ok(()),
    }
}

/// `Branch main (at 1234abc) deployed as release 20260501120000 by alice`
fn capistranos(line: &str) -> Option<(String, Noted)> {
    let (before, after) = line.split_once(") deployed as release ")?;
    let (name, by) = after.split_once(" by ")?;
    let revision = before.rsplit_once("(at ")?.1;
    let noted =
        Noted { created: civil(name.trim()), by: Some(by.trim().to_owned()), revision: Some(revision.to_owned()) };
    Some((name.trim().to_owned(), noted))
}

/// `20260501120000`, in UTC.
fn civil(digits: &str) -> Option<Timestamp> {
    if digits.len() != 14 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| &digits[from..to];
    let text =
        format!("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14));
    text.parse().ok()
}

/// `2026-05-01T12:00:00+0000`: RFC 3339 but for the colon in the zone.
fn iso8601(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let (head, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
    format!("{head}:{minutes}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_each_tool_writes_them() {
        let expect = "2026-05-01T12:00:00Z".parse().ok();
        assert_eq!(civil("20260501120000"), expect);
        assert_eq!(iso8601("2026-05-01T12:00:00+0000"), expect);
        assert_eq!(iso8601("2026-05-01T14:00:00+0200"), expect);
        assert_eq!(stamp(expect.unwrap()), "20260501120000");
        for wrong in ["", "66", "20269901120000", "2026050112000Z", "é"] {
            assert_eq!(civil(wrong), None, "{wrong}");
            assert_eq!(iso8601(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_of_capistranos_log_is_read_as_it_is_written() {
        let (name, noted) =
            capistranos("Branch main (at 1234abc) deployed as release 20260501120000 by alice").unwrap();
        assert_eq!((name.as_str(), noted.by.as_deref()), ("20260501120000", Some("alice")));
        assert_eq!(noted.revision.as_deref(), Some("1234abc"));
        assert_eq!(capistranos("alice rolled back to release 20260501120000"), None);
    }
}
