//! Who starts a process, and so what starts it again.
//!
//! Pure: the caller brings what the kernel shows.

use std::fmt;

use serde::Serialize;

/// Who starts a process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub(crate) enum Origin {
    /// The agent of aloud.
    Aloud,
    /// A program of supervisord's, by the name of its group.
    Supervisord {
        /// Of the group.
        name: String,
    },
    /// A unit of the system's systemd.
    Unit {
        /// The whole name.
        unit: String,
    },
    /// A unit of a user's own systemd.
    UserUnit {
        /// The whole name.
        unit: String,
        /// Whose.
        uid: String,
    },
    /// The engine of a container.
    Container,
    /// cron.
    Cron,
    /// A person at a terminal.
    Terminal,
    /// Nobody that leaves a sign.
    Unknown,
}

/// What the kernel shows.
#[derive(Clone, Default, Debug)]
pub(crate) struct Signs {
    /// Its control group.
    pub(crate) cgroup: Option<String>,
    /// `SUPERVISOR_GROUP_NAME` of its environment.
    pub(crate) supervisor_group: Option<String>,
    /// Whether its environment holds `ALOUD_WORKER`.
    pub(crate) aloud: bool,
    /// Whether it hangs on a terminal.
    pub(crate) terminal: bool,
    /// The names of its ancestors.
    pub(crate) ancestors: Vec<String>,
}

impl Origin {
    /// Decides it: the closest supervisor counts.
    pub(crate) fn of(signs: &Signs) -> Self {
        if signs.aloud {
            return Self::Aloud;
        }
        if let Some(name) = &signs.supervisor_group {
            return Self::Supervisord { name: name.clone() };
        }
        if signs.ancestors.iter().any(|name| name == "cron" || name == "crond") {
            return Self::Cron;
        }
        let of_cgroup = signs.cgroup.as_deref().and_then(of_cgroup);
        match of_cgroup {
            Some(origin) => origin,
            None if signs.terminal => Self::Terminal,
            None => Self::Unknown,
        }
    }

    /// What starts it again, as root, if anything is known to.
    pub(crate) fn restart(&self) -> Option<Vec<String>> {
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        match self {
            Self::Supervisord { name } => words(&["supervisorctl", "restart", &format!("{name}:*")]),
            Self::Unit { unit } => words(&["systemctl", "restart", unit]),
            Self::UserUnit { unit, uid } => {
                words(&["systemctl", "--user", &format!("--machine={uid}@"), "restart", unit])
            }
            Self::Aloud => words(&["aloud", "restart"]),
            Self::Container | Self::Cron | Self::Terminal | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aloud => f.write_str("started by aloud"),
            Self::Supervisord { name } => write!(f, "started by supervisord as {name}"),
            Self::Unit { unit } => write!(f, "started by systemd as {unit}"),
            Self::UserUnit { unit, uid } => write!(f, "started by the systemd of user {uid} as {unit}"),
            Self::Container => f.write_str("started in a container"),
            Self::Cron => f.write_str("started by cron"),
            Self::Terminal => f.write_str("started at a terminal"),
            Self::Unknown => f.write_str("started by nobody that left a sign"),
        }
    }
}

fn of_cgroup(path: &str) -> Option<Origin> {
    const ENGINES: [&str; 5] = ["docker", "libpod", "containerd", "kubepods", "lxc"];
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| ENGINES.iter().any(|engine| part.starts_with(engine)) && !part.ends_with(".service")) {
        return Some(Origin::Container);
    }
    let unit = parts.iter().rev().find(|part| part.ends_with(".service"))?;
    let manager = |part: &&str| part.strip_prefix("user@")?.strip_suffix(".service").map(str::to_owned);
    if manager(unit).is_some() {
        return None;
    }
    // A supervisor of its own stands between systemd and what it starts.
    if unit.starts_with("cron") {
        return Some(Origin::Cron);
    }
    let unit = (*unit).to_owned();
    Some(match parts.iter().find_map(manager) {
        Some(uid) => Origin::UserUnit { unit, uid },
        None => Origin::Unit { unit },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_supervisor_is_found_by_what_the_kernel_shows() {
        let check = |signs: Signs, expect: &str, restart: &str| {
            let origin = Origin::of(&signs);
            assert_eq!(origin.to_string(), expect, "{signs:?}");
            assert_eq!(origin.restart().unwrap_or_default().join(" "), restart, "{signs:?}");
        };
        let group = |path: &str| Signs { cgroup: Some(path.to_owned()), ..Signs::default() };
        check(
            group("/system.slice/horizon.service"),
            "started by systemd as horizon.service",
            "systemctl restart horizon.service",
        );
        check(
            group("/system.slice/system-queue.slice/queue@2.service/worker"),
            "started by systemd as queue@2.service",
            "systemctl restart queue@2.service",
        );
        check(
            group("/user.slice/user-1000.slice/user@1000.service/app.slice/mail.service"),
            "started by the systemd of user 1000 as mail.service",
            "systemctl --user --machine=1000@ restart mail.service",
        );
        check(
            Signs { supervisor_group: Some("horizon".into()), ..group("/system.slice/supervisor.service") },
            "started by supervisord as horizon",
            "supervisorctl restart horizon:*",
        );
        let session = group("/user.slice/user-0.slice/session-3.scope");
        check(Signs { terminal: true, ..session.clone() }, "started at a terminal", "");
        check(session, "started by nobody that left a sign", "");
        check(
            group("/user.slice/user-1000.slice/user@1000.service/init.scope"),
            "started by nobody that left a sign",
            "",
        );
        check(group("/system.slice/docker-0123.scope"), "started in a container", "");
        check(group("/system.slice/cron.service"), "started by cron", "");
        check(Signs { ancestors: vec!["sh".into(), "cron".into()], ..Signs::default() }, "started by cron", "");
        check(Signs { aloud: true, ..group("/system.slice/aloud-agent.service") }, "started by aloud", "aloud restart");
    }
}
