//! What is to be said of what was seen.
//!
//! Pure: values in, sentences out.

use std::path::{Path, PathBuf};

use host::How;
use job::{Span, Timestamp, Verdict};

use super::scene::{Member, Remark, Runs, Way};
use crate::age::rough;

/// How much later than the start of a process `current` must have been switched
/// to be sure of it: the start is known to the second.
const SURE: Span = Span::from_secs(2);
/// How long a deploy may take that is not thought to have been killed.
const A_DEPLOY: Span = Span::from_secs(3_600);

/// What a process uses, found out by its ways.
pub(crate) struct Ground<'a> {
    /// The folder with the releases, by all its paths.
    pub(crate) releases: &'a [PathBuf],
    /// The link's own paths.
    pub(crate) links: &'a [PathBuf],
    /// The current release.
    pub(crate) current: Option<&'a str>,
    /// When `current` was switched.
    pub(crate) switched: Option<Timestamp>,
}

impl Ground<'_> {
    /// Which release a process runs that uses the tree in these ways; `None` if
    /// none of them says anything.
    pub(crate) fn runs(&self, ways: &[Way], since: Option<Timestamp>, removed: Option<Timestamp>) -> Option<Runs> {
        // A process may have a file of any release open; where it is and what
        // it was told to run say more.
        let strong = |way: &&Way| !matches!(way.how, How::Map | How::OpenFile | How::Variable) && !self.by_link(way);
        let weak = |way: &&Way| matches!(way.how, How::Map | How::OpenFile);
        let of = |ways: Vec<&Way>| ways.into_iter().filter_map(|way| self.of(way, removed)).min_by_key(Runs::rank);
        of(ways.iter().filter(strong).collect())
            .or_else(|| self.by_start(ways, since))
            .or_else(|| of(ways.iter().filter(weak).collect()))
    }

    /// What a process runs that only names `current`, by when it was started.
    fn by_start(&self, ways: &[Way], since: Option<Timestamp>) -> Option<Runs> {
        ways.iter().find(|way| self.by_link(way))?;
        let before = since.zip(self.switched).is_some_and(|(since, switched)| switched.since(since) > SURE);
        Some(if before { Runs::Earlier } else { Runs::Current })
    }

    fn of(&self, way: &Way, removed: Option<Timestamp>) -> Option<Runs> {
        match &way.release {
            Some(release) if Some(release.as_str()) == self.current => Some(Runs::Current),
            Some(release) => Some(Runs::Old { release: release.clone() }),
            None => {
                let release = self.named(&way.path)?;
                let removed = removed.filter(|_| way.how == How::Cwd && way.deleted);
                Some(Runs::Gone { release: Some(release), removed })
            }
        }
    }

    /// The release that a path is in by its name.
    fn named(&self, path: &Path) -> Option<String> {
        let below = self.releases.iter().find_map(|releases| path.strip_prefix(releases).ok())?;
        let name = below.components().next()?.as_os_str().to_string_lossy();
        Some(name.strip_prefix(".trash-").unwrap_or(&name).to_owned())
    }

    /// Whether it is the link that was named, not a release.
    pub(crate) fn by_link(&self, way: &Way) -> bool {
        way.how == How::Argument && self.links.iter().any(|link| way.path.starts_with(link))
    }

    /// What is wrong with a process; `master` is the one that it descends from.
    pub(crate) fn remarks(&self, one: &Member, master: Option<&Member>, now: Timestamp) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let who = format!("process {} ({})", one.pid, one.command());
        let like_its_master = master.is_some_and(|master| master.runs.is_like(&one.runs));
        if !like_its_master {
            remarks.extend(self.outdated(&who, one, master, now));
        }
        // What its master was called with is told of the master.
        let baked = one.uses.iter().find(|way| way.how == How::Argument && !self.by_link(way) && master.is_none());
        if let Some(way) = baked.filter(|_| !matches!(one.runs, Runs::Gone { .. })) {
            let release = one.argv.iter().find_map(|word| self.release_in(word)).unwrap_or_else(|| way.path.clone());
            let what = format!(
                "the command line of {who} names `{}` instead of `current`: it will keep that release after every deploy",
                release.display()
            );
            let link = self.links.first().map_or_else(String::new, |link| format!(" `{}`", link.display()));
            remarks.push(Remark::new(Verdict::Warning, what, format!("start it with the path{link}")));
        }
        let lost = one.uses.iter().find(|way| way.how == How::Cwd && way.deleted && way.release.is_some());
        if let Some(way) = lost {
            let what = format!(
                "the working directory of {who}, `{}`, was removed: whatever it starts next fails",
                way.path.display()
            );
            remarks.push(Remark::new(Verdict::Critical, what, again(one)));
        }
        let stray = one
            .uses
            .iter()
            .filter(|way| matches!(way.how, How::Map | How::OpenFile))
            .find(|way| self.of(way, None).is_some_and(|runs| runs.rank() < one.runs.rank()));
        if let Some(way) = stray.filter(|_| one.runs == Runs::Current && !one.person) {
            let what = format!("{who} still has `{}` open, of a release that is not current", way.path.display());
            remarks.push(Remark::new(Verdict::Warning, what, again(one)));
        }
        remarks.sort_by_key(|remark| std::cmp::Reverse(remark.verdict));
        remarks
    }

    fn outdated(&self, who: &str, one: &Member, master: Option<&Member>, now: Timestamp) -> Option<Remark> {
        let ago = |at: Timestamp| format!("{} ago", rough(now.since(at)));
        let current =
            self.current.map_or_else(|| "there is no current one".to_owned(), |id| format!("current is {id}"));
        let remedy = master.map_or_else(|| again(one), again);
        let (verdict, what) = match &one.runs {
            Runs::Current => return None,
            Runs::Gone { release, removed } => {
                let release = release.as_ref().map_or_else(|| "a release".to_owned(), |id| format!("release {id}"));
                let when = removed.map_or_else(
                    || "which is not there any more".to_owned(),
                    |at| format!("which was removed {}", ago(at)),
                );
                let by_name = one.uses.iter().all(|way| way.how == How::Argument || way.release.is_some());
                let works = if by_name { "was told to run from" } else { "works in" };
                (Verdict::Critical, format!("{who} {works} {release}, {when}: whatever it starts next fails"))
            }
            Runs::Old { release } => {
                let needed = match master {
                    _ if one.person => "it keeps that release from being removed".to_owned(),
                    Some(master) => format!("its master, process {}, is not in that release any more", master.pid),
                    None => "it has to be started anew".to_owned(),
                };
                (Verdict::Critical, format!("{who} runs release {release}, and {current}: {needed}"))
            }
            Runs::Earlier => {
                let when = self.switched.map_or_else(String::new, |at| format!(", {}", ago(at)));
                let what = format!(
                    "{who} was started before `current` was switched{when}: it runs the code of an earlier release"
                );
                (Verdict::Critical, what)
            }
        };
        let verdict = if one.person { Verdict::Warning } else { verdict };
        Some(Remark::new(verdict, what, remedy))
    }

    /// The folder of a release that a word of a command line names.
    fn release_in(&self, word: &str) -> Option<PathBuf> {
        self.releases.iter().find_map(|releases| {
            let at = word.find(&format!("{}/", releases.display()))?;
            let below = Path::new(&word[at..]).strip_prefix(releases).ok()?;
            Some(releases.join(below.components().next()?))
        })
    }
}

/// What has a process run the current release.
fn again(one: &Member) -> String {
    if one.person {
        return format!("leave that folder, or end it with `kill {}`", one.pid);
    }
    let restart = one.origin.restart().map(|words| words.join(" "));
    match restart {
        Some(command) => format!("restart it: `{command}`"),
        None if one.argv.iter().any(|word| word == "horizon") => {
            "end it with `php artisan horizon:terminate` in `current`, and start it there anew".to_owned()
        }
        None => format!("end it with `kill {}`, and start it anew in `current`", one.pid),
    }
}

/// What Deployer's lock file means that says this since then.
pub(crate) fn lock(text: &str, since: Timestamp, now: Timestamp) -> Remark {
    let by = if text.is_empty() { String::new() } else { format!(" by {text:?}") };
    let age = now.since(since);
    if age < A_DEPLOY {
        let what = format!("Deployer is at work{by}, for {} (`.dep/deploy.lock`)", rough(age));
        return Remark::new(Verdict::Ok, what, "");
    }
    let what =
        format!("`.dep/deploy.lock` was left{by}, {} ago: a deploy was killed, and no other can start", rough(age));
    Remark::new(Verdict::Warning, what, "see that no deploy runs, then `dep deploy:unlock`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adopt::origin::Origin;

    const NOW: Timestamp = Timestamp(100 * 86_400_000_000);

    fn paths() -> [PathBuf; 2] {
        ["/srv/app/current".into(), "/srv/app/releases".into()]
    }

    fn ground(paths: &[PathBuf; 2]) -> Ground<'_> {
        Ground {
            links: &paths[..1],
            releases: &paths[1..],
            current: Some("66"),
            switched: Some(Timestamp(90 * 86_400_000_000)),
        }
    }

    fn way(how: How, path: &str, release: Option<&str>) -> Way {
        Way { how, path: path.into(), deleted: release.is_none(), release: release.map(str::to_owned) }
    }

    fn member(ways: Vec<Way>, runs: Runs) -> Member {
        Member {
            pid: 812,
            child_of: None,
            user: Some("www-data".into()),
            name: "php".into(),
            argv: vec!["php".into(), "artisan".into(), "horizon".into()],
            since: Some(Timestamp(0)),
            origin: Origin::Unit { unit: "horizon.service".into() },
            person: false,
            runs,
            uses: ways,
            remarks: Vec::new(),
        }
    }

    fn told(ways: Vec<Way>, since: Timestamp) -> String {
        let links = paths();
        let ground = ground(&links);
        let runs = ground.runs(&ways, Some(since), Some(Timestamp(59 * 86_400_000_000))).unwrap();
        let mut one = member(ways, runs);
        if let Some(way) = one.uses.iter().find(|way| way.how == How::Argument) {
            one.argv[1] = way.path.display().to_string();
        }
        let remarks = ground.remarks(&one, None, NOW);
        let lines = remarks.iter().map(|one| format!("{}: {}\n  {}\n", one.verdict, one.what, one.remedy));
        lines.collect()
    }

    #[test]
    fn what_runs_what_is_old_or_gone_is_told() {
        let old = Timestamp(10 * 86_400_000_000);
        insta::assert_snapshot!(told(vec![way(How::Cwd, "/srv/app/releases/60/public", None)], old), @r"
        critical: process 812 (php artisan horizon) works in release 60, which was removed 41d ago: whatever it starts next fails
          restart it: `systemctl restart horizon.service`
        ");
        insta::assert_snapshot!(told(vec![way(How::Cwd, "/srv/app/releases/65", Some("65"))], old), @r"
        critical: process 812 (php artisan horizon) runs release 65, and current is 66: it has to be started anew
          restart it: `systemctl restart horizon.service`
        ");
        insta::assert_snapshot!(told(vec![way(How::Argument, "/srv/app/releases/66/artisan", Some("66"))], old), @r"
        warning: the command line of process 812 (php /srv/app/releases/66/artisan horizon) names `/srv/app/releases/66` instead of `current`: it will keep that release after every deploy
          start it with the path `/srv/app/current`
        ");
        insta::assert_snapshot!(told(vec![way(How::Argument, "/srv/app/current/artisan", Some("66"))], old), @r"
        critical: process 812 (php /srv/app/current/artisan horizon) was started before `current` was switched, 10d ago: it runs the code of an earlier release
          restart it: `systemctl restart horizon.service`
        ");
        insta::assert_snapshot!(told(vec![way(How::Argument, "/srv/app/releases/60/artisan", None)], old), @r"
        critical: process 812 (php /srv/app/releases/60/artisan horizon) was told to run from release 60, which is not there any more: whatever it starts next fails
          restart it: `systemctl restart horizon.service`
        ");
        insta::assert_snapshot!(told(vec![way(How::Cwd, "/srv/app/releases/66/tmp", Some("66"))], old), @"");
    }

    #[test]
    fn where_a_process_is_counts_more_than_a_file_that_it_has_open() {
        let links = paths();
        let runs = |ways: &[Way], since| ground(&links).runs(ways, Some(Timestamp(since)), None);
        let current = way(How::Cwd, "/srv/app/releases/66", Some("66"));
        let open = way(How::OpenFile, "/srv/app/releases/65/log", Some("65"));
        let named = way(How::Argument, "/srv/app/current/artisan", Some("66"));
        let old = Runs::Old { release: "65".into() };
        assert_eq!(runs(&[current.clone(), open.clone()], 0), Some(Runs::Current));
        assert_eq!(runs(std::slice::from_ref(&open), 0), Some(old.clone()));
        assert_eq!(runs(&[current.clone(), way(How::Argument, "/srv/app/releases/65/x", Some("65"))], 0), Some(old));
        assert_eq!(runs(&[named.clone(), current], 0), Some(Runs::Current), "it is there, so it was started there");
        assert_eq!(runs(std::slice::from_ref(&named), 0), Some(Runs::Earlier));
        assert_eq!(runs(&[named], 95 * 86_400_000_000), Some(Runs::Current));
        assert_eq!(runs(&[way(How::Variable, "/srv/app/releases/65", Some("65"))], 0), None);
        assert_eq!(
            runs(&[way(How::Cwd, "/srv/app/releases/.trash-60/x", None)], 0),
            Some(Runs::Gone { release: Some("60".into()), removed: None })
        );
    }

    #[test]
    fn a_child_is_told_of_only_where_it_differs_from_its_master() {
        let links = paths();
        let ways = || vec![way(How::Cwd, "/srv/app/releases/65", Some("65"))];
        let old = Runs::Old { release: "65".into() };
        let child = member(ways(), old.clone());
        let master = Member { pid: 811, ..member(ways(), old) };
        assert!(ground(&links).remarks(&child, Some(&master), NOW).is_empty());
        let moved = Member { runs: Runs::Current, ..master };
        let remarks = ground(&links).remarks(&child, Some(&moved), NOW);
        assert!(remarks[0].what.ends_with("its master, process 811, is not in that release any more"), "{remarks:?}");
    }

    #[test]
    fn a_lock_that_is_an_hour_old_was_left() {
        assert_eq!(lock("deploy", Timestamp(NOW.0 - 60_000_000), NOW).verdict, Verdict::Ok);
        let left = lock("deploy", Timestamp(0), NOW);
        assert_eq!(left.verdict, Verdict::Warning);
        assert!(left.what.contains("100d ago"), "{}", left.what);
    }
}
