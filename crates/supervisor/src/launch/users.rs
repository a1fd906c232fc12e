//! Users and groups by name.
//!
//! The files are read first; where a name is not in them, `getent` is asked,
//! which also knows those that come over the network.

use std::fs;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Gid, Uid};

/// As whom a worker runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct User {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    /// All groups that the user is in, with the first one.
    pub(super) groups: Vec<Gid>,
    pub(super) name: String,
    pub(super) home: String,
    pub(super) shell: String,
}

/// Finds a user by name or number.
pub(super) fn user(name: &str) -> Result<User, String> {
    let line = entry("passwd", name).ok_or_else(|| format!("the user `{name}` does not exist"))?;
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else {
        return Err(format!("the entry of the user `{name}` cannot be read"));
    };
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("the entry of the user `{name}` cannot be read"));
    let (uid, gid) = (Uid::from_raw(number(uid)?), Gid::from_raw(number(gid)?));
    let groups = groups_of(name, gid);
    Ok(User { uid, gid, groups, name: name.into(), home: home.into(), shell: shell.into() })
}

/// Makes this thread, the only one, act as `user`, in that user's groups or in
/// `group`. What is wrong is answered as what was tried, why, and what to do.
pub(super) fn become_them(user: Option<&User>, group: Option<Gid>) -> Result<(), (String, Errno, &'static str)> {
    let own = rustix::process::geteuid();
    if let Some(gid) = group.or(user.map(|user| user.gid)) {
        // Whoever is that user already has these groups, and may not set them.
        if user.is_none_or(|user| user.uid != own || own.is_root() || group.is_some()) {
            let mut groups = user.map_or_else(Vec::new, |user| user.groups.clone());
            groups.retain(|known| *known != gid);
            groups.insert(0, gid);
            let set = rustix::thread::set_thread_groups(&groups)
                .and_then(|()| rustix::thread::set_thread_res_gid(gid, gid, gid));
            let hint = "run the service as root, or name no group";
            set.map_err(|error| ("its groups cannot be set".to_owned(), error, hint))?;
        }
    }
    if let Some(user) = user.filter(|user| user.uid != own) {
        let set = rustix::thread::set_thread_res_uid(user.uid, user.uid, user.uid);
        let hint = "run the service as root, or name no user";
        set.map_err(|error| (format!("it cannot become the user `{}`", user.name), error, hint))?;
    }
    Ok(())
}

/// Finds a group by name or number.
pub(super) fn group(name: &str) -> Result<Gid, String> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let line = entry("group", name).ok_or_else(|| format!("the group `{name}` does not exist"))?;
    let number = line.split(':').nth(2).and_then(|text| text.parse().ok());
    number.map(Gid::from_raw).ok_or_else(|| format!("the entry of the group `{name}` cannot be read"))
}

fn entry(table: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/etc/{table}")).unwrap_or_default();
    find(&text, name).map(str::to_owned).or_else(|| getent(&[table, name]))
}

fn find<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let by_number = name.parse::<u32>().is_ok();
    text.lines().find(|line| {
        let mut fields = line.split(':');
        let named = fields.next() == Some(name);
        named || (by_number && fields.nth(1) == Some(name))
    })
}

/// The groups of a user, as far as they are known, with the first one.
fn groups_of(name: &str, first: Gid) -> Vec<Gid> {
    let text = fs::read_to_string("/etc/group").unwrap_or_default();
    let mut groups = vec![first];
    let mut add = |gid: u32| {
        if groups.iter().all(|known| known.as_raw() != gid) {
            groups.push(Gid::from_raw(gid));
        }
    };
    member_of(&text, name).into_iter().for_each(&mut add);
    // `name 1000 27 …`
    let more = getent(&["initgroups", name]).unwrap_or_default();
    more.split_ascii_whitespace().skip(1).filter_map(|gid| gid.parse().ok()).for_each(&mut add);
    groups
}

fn member_of(groups: &str, name: &str) -> Vec<u32> {
    let lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mine = lines.filter(|fields| fields.get(3).is_some_and(|members| members.split(',').any(|m| m == name)));
    mine.filter_map(|fields| fields.get(2)?.parse().ok()).collect()
}

fn getent(args: &[&str]) -> Option<String> {
    let path = [("PATH", "/usr/bin:/bin")];
    let output = Command::new("getent").args(args).env_clear().envs(path).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found_and_not_confused() {
        let text = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:/usr/sbin/nologin\n33:x:7:7::/:/bin/sh\n";
        assert!(find(text, "www").unwrap().starts_with("www:"));
        assert!(find(text, "33").unwrap().starts_with("www:"), "the first that fits");
        assert_eq!(find(text, "ww"), None);
        assert_eq!(member_of("a:x:5:www,me\nb:x:6:\nc:x:7:wwwx\nd:x:8:me,www\n", "www"), [5, 8]);
    }

    #[test]
    fn whoever_does_not_exist_is_named() {
        assert_eq!(user("no-such-user-here"), Err("the user `no-such-user-here` does not exist".into()));
        assert_eq!(group("no-such-group-here"), Err("the group `no-such-group-here` does not exist".into()));
        assert_eq!(user("root").unwrap().uid, Uid::ROOT);
    }
}
