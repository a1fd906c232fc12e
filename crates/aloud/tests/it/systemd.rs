//! The units, read by systemd and run by one.

use std::process::Output;

use harness::Harness;

use crate::scratch::{Scratch, set_mode};

mod harness;

/// A service that says that it is ready, and feeds its watchdog until a file is
/// there.
const HEART: &str = r#"
import os, socket, sys, time
to = os.environ["NOTIFY_SOCKET"]
to = "\0" + to[1:] if to.startswith("@") else to
say = lambda text: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(text, to)
say(b"READY=1\nSTATUS=hello")
while True:
    if not os.path.exists("/tmp/wedged"):
        say(b"WATCHDOG=1")
        open("/tmp/beats", "a").write("beat\n")
    time.sleep(0.1)
"#;

const HEART_SERVICE: &str = "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n\
    [Service]\nType=notify\nNotifyAccess=main\nWatchdogSec=1\nRestart=always\nRestartSec=100ms\n\
    ExecStart=/usr/bin/python3 /tmp/share/heart.py\n[Install]\nWantedBy=default.target\n";

#[track_caller]
fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A folder with a configuration, and a program that can be named in a unit.
fn configured() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("aloud.toml", "app = 'shop'\nserver = { data = 'data', http = '127.0.0.1:0' }\n");
    scratch
}

#[test]
fn needs_systemd_units_are_installed_kept_changed_and_never_written_over() {
    let scratch = configured();
    let install = |more: &[&str]| scratch.run(&[&["systemd", "--install", "--prefix", "image"], more].concat());
    let first = install(&[]).fine().out;
    for unit in ["aloud-server.service", "aloud-agent.service", "aloud-check.service", "aloud-check.timer"] {
        assert!(first.contains(&format!("wrote    image/etc/systemd/system/{unit}\n")), "{first}");
    }
    let wants = scratch.path().join("image/etc/systemd/system");
    assert!(wants.join("multi-user.target.wants/aloud-server.service").is_symlink());
    assert!(wants.join("multi-user.target.wants/aloud-agent.service").is_symlink());
    assert!(wants.join("timers.target.wants/aloud-check.timer").is_symlink());

    let again = install(&[]).fine().out;
    assert_eq!(again.matches("kept     ").count(), 4, "{again}");

    let changed = install(&["--user", "shop"]).fine().out;
    assert!(changed.contains("changed  image/etc/systemd/system/aloud-server.service\n"), "{changed}");
    assert!(changed.contains("  - User=aloud\n  + User=shop\n"), "{changed}");

    scratch.write("image/etc/systemd/system/aloud-agent.service", "[Service]\nExecStart=/bin/true\n");
    let refused = install(&[]).ends(78).err;
    insta::assert_snapshot!(refused, @r"
        error: `image/etc/systemd/system/aloud-agent.service` was not written by aloud
          It was not touched, and no unit was written.
        hint: look what it is; to have aloud's unit there, remove it first: `rm image/etc/systemd/system/aloud-agent.service`
        ");
    let server = std::fs::read_to_string(wants.join("aloud-server.service")).unwrap();
    assert!(server.contains("User=shop"), "nothing was written before all were looked at");
}

#[test]
fn needs_systemd_analyze_finds_no_fault_in_the_units() {
    let scratch = Scratch::new();
    let strange = scratch.path().join("a \"strange\" 100% $folder");
    std::fs::create_dir(&strange).unwrap();
    let exec = "[[handler]]\nkind = 'k'\nrun = { exec = ['true'] }\n";
    for (handlers, more) in [
        ("", vec![]),
        (exec, vec!["--user", "daemon", "--agent-user", "daemon", "--on-failure", "page-me.service"]),
        ("", vec!["--user-units"]),
        (exec, vec!["--user-units", "--root", "tree"]),
    ] {
        let image = tempfile::tempdir_in(scratch.path()).unwrap();
        std::fs::write(strange.join("aloud.toml"), format!("server.data = 'data'\n{handlers}")).unwrap();
        let config = strange.join("aloud.toml");
        let prefix = image.path().to_str().unwrap();
        let install = ["systemd", "--install", "--config", config.to_str().unwrap(), "--prefix", prefix];
        scratch.run(&[&install, more.as_slice()].concat()).fine();
        let kind = if more.contains(&"--user-units") { "user" } else { "system" };
        let folder = image.path().join("etc/systemd").join(kind);
        std::fs::write(folder.join("page-me.service"), "[Service]\nExecStart=/bin/true\n").unwrap();
        let mut verify = std::process::Command::new("systemd-analyze");
        verify
            .args([&format!("--{kind}"), "--man=no", "verify"])
            .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()));
        verify.env("XDG_RUNTIME_DIR", scratch.path());
        for unit in ["aloud-server.service", "aloud-agent.service", "aloud-check.service", "aloud-check.timer"] {
            verify.arg(folder.join(unit));
        }
        let output = verify.output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        let ours: Vec<_> = complaints.lines().filter(|line| line.contains("aloud-")).collect();
        assert!(output.status.success() && ours.is_empty(), "{more:?}: {complaints}");
    }
}

#[test]
fn a_configuration_in_a_release_is_refused() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path().join("releases/66")).unwrap();
    scratch.write("releases/66/aloud.toml", "server.data = '/var/lib/aloud'\n");
    std::os::unix::fs::symlink("releases/66", scratch.path().join("current")).unwrap();
    for (config, why) in [("releases/66/aloud.toml", "lies in a release"), ("current/aloud.toml", "the link `current`")]
    {
        for what in [&["--print"][..], &["--install", "--prefix", "image"]] {
            let refused = scratch.run(&[&["systemd", "--config", config], what].concat()).ends(78);
            assert!(refused.err.contains(why) && refused.out.is_empty(), "{}", refused.err);
        }
    }
    assert!(!scratch.path().join("image").exists());
    insta::assert_snapshot!(scratch.run(&["systemd", "--print"]).ends(78).err, @r"
        error: there is no aloud.toml in `DIR`
          The units name the configuration. None was written.
        hint: write one with `aloud init`, or name one with --config
        ");
}

#[test]
fn where_systemd_cannot_be_asked_nothing_is_well() {
    let scratch = Scratch::new();
    let mut command = scratch.aloud(&["systemd", "--check"]);
    command.env("PATH", scratch.path());
    let said = scratch.end(command).ends(2);
    insta::assert_snapshot!(said.err, @r"
        error: cannot ask systemd: systemctl does not start: No such file or directory (os error 2)
          Whether the units are in force is not known.
        hint: run this on the host that the units are on
        ");

    let systemctl =
        scratch.write("systemctl", "#!/bin/sh\necho 'Failed to connect to bus: No such file' >&2\nexit 1\n");
    set_mode(&systemctl, 0o755);
    let mut command = scratch.aloud(&["systemd", "--check"]);
    command.env("PATH", scratch.path());
    let said = scratch.end(command).ends(2);
    insta::assert_snapshot!(said.out, @r"
        unknown   aloud-server.service: unknown (Failed to connect to bus: No such file), unknown (Failed to connect to bus: No such file)
        unknown   aloud-agent.service: unknown (Failed to connect to bus: No such file), unknown (Failed to connect to bus: No such file)
        unknown   aloud-check.timer: unknown (Failed to connect to bus: No such file), unknown (Failed to connect to bus: No such file)
        ");
}

#[test]
fn needs_root_a_watchdog_that_is_no_longer_fed_restarts_the_service() {
    let output = Harness::new()
        .with("heart.py", HEART)
        .run(&[("heart.service", HEART_SERVICE)], include_str!("systemd/wedged.sh"));
    insta::assert_snapshot!(said(&output), @r"
        active: hello
        fed: 0 restarts, active
        wedged: another process, Result=success
        is-enabled: disabled
        is-enabled: enabled
        ");
}

#[test]
fn needs_root_the_installed_server_starts_is_fed_and_is_missed_when_it_is_off() {
    let output = Harness::new()
        .with("aloud.toml", "app = 'shop'\nserver = { data = '/tmp/home/data', http = '127.0.0.1:7420' }\n")
        .with("heart.py", HEART)
        .run(&[("network.target", "[Unit]\nDefaultDependencies=no\n")], include_str!("systemd/installed.sh"));
    insta::assert_snapshot!(said(&output), @r"
        # before
        critical  aloud-server.service: not installed, inactive
        critical  aloud-agent.service: not installed, inactive
        critical  aloud-check.timer: not installed, inactive
        exit 2
        wrote aloud-server.service
        wrote aloud-agent.service
        wrote aloud-check.service
        wrote aloud-check.timer
        ran      systemctl --user daemon-reload
        ran      systemctl --user enable aloud-server.service aloud-agent.service aloud-check.timer
        # installed, not started
        critical  aloud-server.service: enabled, inactive
        critical  aloud-agent.service: enabled, inactive
        critical  aloud-check.timer: enabled, inactive
        exit 2
        hint: `systemctl --user enable --now aloud-server.service`
        hint: `systemctl --user enable --now aloud-agent.service`
        hint: `systemctl --user enable --now aloud-check.timer`
        # started
        ok        aloud-server.service: enabled, active
        ok        aloud-agent.service: enabled, active
        ok        aloud-check.timer: enabled, active
        exit 0
        the check: success
        # two watchdogs later: 0 restarts
        # stopped in its tracks, and started again
        warning   aloud-server.service: enabled, active, restarts by itself: 1, the last N s ago
        ok        aloud-agent.service: enabled, active
        ok        aloud-check.timer: enabled, active
        exit 1
        hint: it ended by itself: `journalctl --user -u aloud-server.service -n 50` shows why
        # disabled
        warning   aloud-server.service: enabled, active, restarts by itself: 1, the last N s ago
        critical  aloud-agent.service: disabled, active
        ok        aloud-check.timer: enabled, active
        exit 2
        hint: `systemctl --user enable --now aloud-agent.service`
        the check: exit-code
        stopped: success
        ");
}

#[test]
fn needs_root_the_agent_as_a_unit_is_ready_fed_and_missed_and_its_workers_end_with_it() {
    let output = Harness::new()
        .with(
            "aloud.toml",
            "app = 'shop'\nserver = { data = '/tmp/home/data', http = '127.0.0.1:7420' }\nagent.host = 'web1'\n\
             release.root = '/tmp/home/srv'\n[[worker]]\nname = 'mail'\ncount = 2\nready = 'alive'\n\
             command = ['sh', '-c', 'while :; do sleep 1; done']\nstop = { within = '5s' }\n",
        )
        .run(&[("network.target", "[Unit]\nDefaultDependencies=no\n")], include_str!("systemd/agent.sh"));
    insta::assert_snapshot!(said(&output), @r"
        started: active, all is as it should be
        a worker in a group of its own
        a worker in a group of its own
        two watchdogs later: 0 restarts
        off, and on again: 1 restart, other workers
        stopped: success, and its workers with it
        ");
}
