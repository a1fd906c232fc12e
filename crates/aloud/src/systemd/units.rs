//! What the units say: pure text of what was decided.
//!
//! The server and the agent are two units, so that each can hear of the other's
//! end. Neither gives up on starting, so neither ever counts as failed by
//! crashing: a third, run by a timer of its own, looks at both and at itself.

use std::path::{Path, PathBuf};

use job::Span;

/// What the units are made of.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The program.
    pub(crate) binary: PathBuf,
    /// `aloud.toml`.
    pub(crate) config: PathBuf,
    /// The folder of the store.
    pub(crate) data: PathBuf,
    /// What the server reads besides.
    pub(crate) files: Vec<PathBuf>,
    /// The folder with `current` and `releases`, if it is known.
    pub(crate) root: Option<PathBuf>,
    /// Whose units they are.
    pub(crate) scope: Scope,
    /// Whether the server starts programs of the application.
    pub(crate) runs_commands: bool,
    /// How long the slowest worker may take to end.
    pub(crate) longest_drain: Span,
    /// What is started when the check fails.
    pub(crate) on_failure: Option<String>,
}

/// Whose units they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// The machine's.
    System {
        /// Who runs the server and the check.
        user: String,
        /// Who runs the agent; root if nobody is named.
        agent_user: Option<String>,
    },
    /// One user's own.
    User,
}

/// A unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unit {
    /// The name of its file.
    pub(crate) name: &'static str,
    /// What is in it.
    pub(crate) text: String,
}

/// How a unit that aloud wrote begins: one that begins otherwise is not touched.
pub(crate) const SIGNATURE: &str = "# Written by `aloud systemd --install`";
/// The units that must be enabled and active.
pub(crate) const LASTING: [&str; 3] = [SERVER, AGENT, TIMER];
/// How long the slowest worker may take to end, if nothing else is known.
pub(crate) const LONGEST_DRAIN: Span = Span::from_secs(60);

const SERVER: &str = "aloud-server.service";
const AGENT: &str = "aloud-agent.service";
const CHECK: &str = "aloud-check.service";
const TIMER: &str = "aloud-check.timer";

/// What the agent needs beyond the slowest worker's end: to kill what is left
/// and to write down what happened.
const AFTER_THE_DRAIN: Span = Span::from_secs(30);

/// For a server that starts nothing: it needs its store, the network, and
/// nothing else of the machine.
const STRICT: &str = "\
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
RemoveIPC=yes
UMask=0077
";

/// The same for a user's own systemd, which cannot hide folders.
const STRICT_FOR_A_USER: &str = "\
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077
";

impl Plan {
    /// All of them, in the order in which they are written.
    pub(crate) fn units(&self) -> [Unit; 4] {
        [
            Unit { name: SERVER, text: self.server() },
            Unit { name: AGENT, text: self.agent() },
            Unit { name: CHECK, text: self.check() },
            Unit { name: TIMER, text: self.timer() },
        ]
    }

    fn server(&self) -> String {
        let head = self.head("aloud: the queue server", &[&self.data, &self.config]);
        let run = self.command("server");
        let user = match &self.scope {
            Scope::System { user, .. } => format!("User={user}\n"),
            Scope::User => String::new(),
        };
        let sandbox = self.server_sandbox();
        format!(
            "{head}After=network.target\n\
             # It never gives up, and so never counts as failed: {CHECK} says how often it restarted.\n\
             StartLimitIntervalSec=0\n\
             \n[Service]\nType=notify\nNotifyAccess=main\nExecStart={run}\n{user}WorkingDirectory=/\n\
             # A large store takes a while to open.\nTimeoutStartSec=5min\n\
             WatchdogSec=30\nRestart=always\nRestartSec=1\n\
             # It ends its own jobs, and then itself.\nKillMode=mixed\nTimeoutStopSec=2min\nTimeoutAbortSec=5\n\
             LimitNOFILE=65536\nOOMPolicy=continue\n{sandbox}\n{}",
            self.wanted_by()
        )
    }

    fn server_sandbox(&self) -> String {
        let data = quoted(&self.data);
        match (&self.scope, self.runs_commands) {
            (Scope::System { .. }, false) => {
                let places = [&self.data, &self.config, &self.binary].into_iter().chain(&self.files);
                let below = |folders: &[&str]| {
                    places.clone().any(|place| folders.iter().any(|folder| place.starts_with(folder)))
                };
                let home = if below(&["/home", "/root", "/run/user"]) { "read-only" } else { "yes" };
                let tmp = if below(&["/tmp", "/var/tmp"]) { "no" } else { "yes" };
                format!("{STRICT}ReadWritePaths={data}\nProtectHome={home}\nPrivateTmp={tmp}\n")
            }
            (Scope::System { .. }, true) => "\
                # It starts programs of the application (exec), which inherit what is said here: they may\n\
                # write where they like, use sudo and compile as they run. Without them it is locked up.\n\
                ProtectSystem=full\nProtectControlGroups=yes\n"
                .to_owned(),
            (Scope::User, false) => STRICT_FOR_A_USER.to_owned(),
            (Scope::User, true) => String::new(),
        }
    }

    fn agent(&self) -> String {
        let mut needs = vec![self.config.as_path()];
        needs.extend(self.root.as_deref());
        let head = self.head("aloud: the releases and workers of this host", &needs);
        let run = self.command("agent");
        let user = match &self.scope {
            Scope::System { agent_user: Some(user), .. } => format!("User={user}\n"),
            Scope::System { agent_user: None, .. } | Scope::User => String::new(),
        };
        let stop = (self.longest_drain.as_duration() + AFTER_THE_DRAIN.as_duration()).as_secs_f64().ceil();
        format!(
            "{head}After=network.target {SERVER}\n\
             # It never gives up, and so never counts as failed: {CHECK} says how often it restarted.\n\
             StartLimitIntervalSec=0\n\
             \n[Service]\nType=notify\nNotifyAccess=main\nExecStart={run}\n{user}\
             # Never in a release.\nWorkingDirectory=/\n\
             # Fed only while it does its work.\nWatchdogSec=30\nRestart=always\nRestartSec=1\n\
             # It drains its workers itself, and that may take the longest `within` and a while. Whatever is left\n\
             # then is killed, so that no worker outlives it.\n\
             KillMode=mixed\nTimeoutStopSec={stop}\nTimeoutAbortSec=5\n\
             # Each generation of workers has a control group below its own.\nDelegate=yes\n\
             # A worker that took too much memory is its own affair.\nOOMPolicy=continue\n\
             LimitNOFILE=65536\n\
             # No sandbox: workers would inherit it, and it starts them as other users.\n\
             \n{}",
            self.wanted_by()
        )
    }

    fn check(&self) -> String {
        let head = self.head("aloud: whether the server and the agent are in force, and all is well", &[]);
        let user_units = if self.scope == Scope::User { " --user-units" } else { "" };
        // As root, who can ask systemd also where there is no bus.
        let as_root = if self.scope == Scope::User { "" } else { "+" };
        let siblings = format!("{as_root}{} systemd --check{user_units}", quoted_for_exec(&self.binary));
        let status = self.command("status");
        let user = match &self.scope {
            Scope::System { user, .. } => format!("User={user}\n"),
            Scope::User => String::new(),
        };
        let on_failure = self.on_failure.iter().map(|unit| format!("OnFailure={unit}\n")).collect::<String>();
        format!(
            "{head}{on_failure}\n[Service]\nType=oneshot\nExecStart={siblings}\nExecStart={status}\n{user}\
             WorkingDirectory=/\n\
             # A warning is told, and is no failure.\nSuccessExitStatus=1\nTimeoutStartSec=45\n\
             NoNewPrivileges=yes\n"
        )
    }

    fn timer(&self) -> String {
        let head = self.head("aloud: look every minute", &[]);
        format!(
            "{head}\n[Timer]\nOnActiveSec=1min\nOnUnitActiveSec=1min\nAccuracySec=5s\n\
             \n[Install]\nWantedBy=timers.target\n"
        )
    }

    fn head(&self, description: &str, needs: &[&Path]) -> String {
        let mut head = format!(
            "{SIGNATURE}, which writes it anew.\n\
             # Change aloud.toml, or add to this with `systemctl edit`.\n\
             [Unit]\nDescription={description}\n"
        );
        if matches!(self.scope, Scope::System { .. }) && !needs.is_empty() {
            let paths: Vec<_> = needs.iter().map(|path| quoted(path)).collect();
            head.push_str(&format!("RequiresMountsFor={}\n", paths.join(" ")));
        }
        head
    }

    fn command(&self, name: &str) -> String {
        format!("{} {name} --config {}", quoted_for_exec(&self.binary), quoted_for_exec(&self.config))
    }

    fn wanted_by(&self) -> String {
        let target = match self.scope {
            Scope::System { .. } => "multi-user.target",
            Scope::User => "default.target",
        };
        format!("[Install]\nWantedBy={target}\n")
    }
}

/// A path as one word of a setting.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+%:@,=".contains(c) || !c.is_ascii();
    if text.chars().all(plain) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A path as one word of a command line, where `$` names a variable too.
fn quoted_for_exec(path: &Path) -> String {
    quoted(path).replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            binary: "/usr/local/bin/aloud".into(),
            config: "/etc/aloud/aloud.toml".into(),
            data: "/var/lib/aloud".into(),
            files: vec!["/var/lib/aloud/token".into()],
            root: Some("/srv/shop".into()),
            scope: Scope::System { user: "aloud".to_owned(), agent_user: None },
            runs_commands: false,
            longest_drain: LONGEST_DRAIN,
            on_failure: None,
        }
    }

    fn all(plan: &Plan) -> String {
        plan.units().iter().map(|unit| format!("### {}\n{}\n", unit.name, unit.text)).collect()
    }

    #[test]
    fn the_units_of_a_machine_read_like_this() {
        insta::assert_snapshot!(all(&plan()));
    }

    #[test]
    fn the_units_of_a_user_read_like_this() {
        insta::assert_snapshot!(all(&Plan { scope: Scope::User, ..plan() }));
    }

    #[test]
    fn a_server_that_starts_programs_does_not_lock_them_up() {
        let text = Plan { runs_commands: true, ..plan() }.server();
        for broken in ["NoNewPrivileges", "MemoryDenyWriteExecute", "strict", "PrivateTmp", "UMask"] {
            assert!(!text.contains(broken), "{broken}");
        }
        assert!(text.contains("ProtectSystem=full"));
    }

    #[test]
    fn nothing_that_a_worker_would_inherit_stands_in_the_agents_unit() {
        for scope in [Scope::User, plan().scope] {
            let text = Plan { scope, ..plan() }.agent();
            for inherited in ["NoNewPrivileges", "Protect", "Private", "Restrict", "SystemCall", "UMask", "Memory"] {
                assert!(!text.contains(inherited), "{inherited}");
            }
        }
    }

    #[test]
    fn the_agent_is_given_longer_than_its_slowest_worker() {
        let text = Plan { longest_drain: Span::from_millis(600_500), ..plan() }.agent();
        assert!(text.contains("TimeoutStopSec=631\n"), "{text}");
        let named = Plan { scope: Scope::System { user: "a".into(), agent_user: Some("deploy".into()) }, ..plan() };
        assert!(named.agent().contains("User=deploy\n"));
    }

    #[test]
    fn the_sandbox_leaves_the_places_that_are_named() {
        let text = |data: &str| Plan { data: data.into(), ..plan() }.server();
        assert!(text("/var/lib/aloud").contains("ReadWritePaths=/var/lib/aloud\nProtectHome=yes\nPrivateTmp=yes\n"));
        assert!(text("/home/shop/data").contains("ProtectHome=read-only\nPrivateTmp=yes\n"));
        assert!(text("/tmp/data").contains("ProtectHome=yes\nPrivateTmp=no\n"));
        let token = Plan { files: vec!["/home/shop/token".into()], ..plan() };
        assert!(token.server().contains("ProtectHome=read-only\n"));
    }

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        let check = |path: &str| (quoted(Path::new(path)), quoted_for_exec(Path::new(path)));
        let same = |text: &str| (text.to_owned(), text.to_owned());
        assert_eq!(check("/srv/shop-2/a_b.toml"), same("/srv/shop-2/a_b.toml"));
        assert_eq!(check("/srv/a b"), same("\"/srv/a b\""));
        assert_eq!(check("/srv/100%"), same("/srv/100%%"));
        assert_eq!(check("/srv/a\"b\\c"), same("\"/srv/a\\\"b\\\\c\""));
        assert_eq!(check("/srv/$x"), ("\"/srv/$x\"".to_owned(), "\"/srv/$$x\"".to_owned()));
    }

    #[test]
    fn the_check_can_start_an_alert() {
        assert!(!all(&plan()).contains("OnFailure"));
        let text = all(&Plan { on_failure: Some("page-me.service".to_owned()), ..plan() });
        assert_eq!(text.matches("OnFailure=page-me.service\n").count(), 1);
    }
}
