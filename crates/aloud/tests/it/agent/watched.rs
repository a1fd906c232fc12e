//! Processes that somebody else starts: a master that resolved `current` when
//! it started, and one that is known by its command line.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use aloud_client::v1::AgentReport;
use job::{Subject, Verdict};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::site::Site;
use crate::scratch::PATIENCE;

/// How soon a process that is out of date must have been observed.
const SOON: Duration = Duration::from_secs(5);

const MASTER: &str = include_str!("programs/master.py");
const WORKER: &str = "import signal\nsignal.pause()\n";

/// A host where others start what runs from the releases.
struct Shop {
    // Ends before the processes do, and its folder after them.
    masters: Masters,
    site: Site,
}

/// The masters, by the files with their numbers. They end with the test.
struct Masters([PathBuf; 2]);

impl Drop for Masters {
    fn drop(&mut self) {
        for pid in self.0.iter().filter_map(pid_in) {
            kill_process(pid, Signal::TERM).ok();
        }
    }
}

fn pid_in(path: &PathBuf) -> Option<Pid> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok().and_then(Pid::from_raw)
}

impl Shop {
    /// Release 1 was put there by another tool, and its masters run.
    fn new(restart: bool) -> Self {
        let site = Site::with("");
        let dir = site.scratch.path().to_owned();
        let masters = Masters([dir.join("horizon.pid"), dir.join("mails.pid")]);
        // It stops what is there, and starts it from where `current` leads now;
        // what it starts keeps the output that it was given.
        site.scratch.write(
            "restart",
            &format!(
                "old=$(cat {dir}/$1.pid 2>/dev/null) && kill $old && while [ -d /proc/$old/cwd/. ]; do sleep 0.02; done\n\
                 rm -f {dir}/$1.pid\ncd {dir}/srv/current && setsid python3 master.py {dir}/$1.pid &\n\
                 while ! [ -e {dir}/$1.pid ]; do sleep 0.02; done\necho restarted $1 >> {dir}/restarts\n",
                dir = dir.display()
            ),
        );
        let command = |name: &str| match restart {
            true => format!("restart = [\"sh\", \"{}/restart\", \"{name}\"]", dir.display()),
            false => String::new(),
        };
        site.configure(&format!(
            "[release]\nroot = \"srv\"\naccept_unknown = [\"*\"]\nsettle = \"0s\"\n\
             [[watched]]\nname = \"horizon\"\npid_file = \"{dir}/horizon.pid\"\ncount = 2\n{}\n\
             [[watched]]\nname = \"mails\"\ncommand = \"master.py {dir}/mails.pid\"\n{}\n",
            command("horizon"),
            command("mails"),
            dir = dir.display(),
        ));
        std::fs::create_dir_all(site.root().join("releases")).unwrap();
        let mut shop = Self { masters, site };
        shop.put("1");
        std::os::unix::fs::symlink("releases/1", shop.site.root().join("current")).unwrap();
        shop.restart("horizon");
        shop.restart("mails");
        shop.site.start();
        shop.until_well_on("1", PATIENCE);
        shop
    }

    /// A person, or a script of theirs, starts them anew.
    fn restart(&self, name: &str) {
        let script = self.site.scratch.path().join("restart");
        let log = std::fs::File::create(self.site.scratch.path().join("masters.log")).unwrap();
        let status = Command::new("sh").arg(script).arg(name).stdout(log.try_clone().unwrap()).stderr(log).status();
        assert!(status.unwrap().success());
    }

    fn source(&self, version: &str) -> PathBuf {
        let folder = self.site.source(version, "");
        std::fs::write(folder.join("master.py"), MASTER).unwrap();
        std::fs::write(folder.join("worker.py"), WORKER).unwrap();
        folder
    }

    /// A release, as another tool puts it there.
    fn put(&self, version: &str) {
        let to = self.site.root().join("releases").join(version);
        assert!(Command::new("cp").arg("-r").arg(self.source(version)).arg(to).status().unwrap().success());
    }

    fn until_well_on(&self, release: &str, within: Duration) {
        self.site.until(&format!("well on {release}"), within, |report| {
            ["horizon", "mails"].iter().zip([2, 1]).all(|(name, count)| {
                thought_of(report, name)
                    == (Verdict::Ok, format!("{count} of {count} run release {release} and are ready"))
            })
        });
    }

    /// Waits until so many restarts are over: the processes are there before.
    fn until_restarted(&self, times: usize) {
        let path = self.site.scratch.path().join("restarts");
        let began = Instant::now();
        loop {
            let told = std::fs::read_to_string(&path).unwrap();
            if told.lines().count() == times {
                return;
            }
            assert!(told.lines().count() < times && began.elapsed() < SOON, "not {times}: {told}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn thought_of(report: &AgentReport, name: &str) -> (Verdict, String) {
    let is_it = |subject: &Subject| matches!(subject, Subject::Workers { pool, .. } if pool.as_str() == name);
    let seen = report.observations.iter().find(|one| is_it(&one.subject)).expect("it is declared");
    (seen.verdict, seen.what.clone())
}

#[test]
fn masters_that_resolved_current_are_seen_and_restarted_by_the_declared_command() {
    let shop = Shop::new(true);
    let source = shop.source("2");
    let said = shop.site.run(&["deploy", source.to_str().unwrap()]).fine();
    assert!(said.out.contains("workers horizon on web1: 2 of 2 run release 2 and are ready"), "{}", said.out);
    shop.until_well_on("2", SOON);
    shop.site.until_observed("2 workers are in release 1, and current is release 2", SOON);
    // Two by hand, and each once.
    shop.until_restarted(4);
    // Another tool switches, a moment after the deploy.
    shop.put("3");
    let began = Instant::now();
    shop.site.switch_by_hand("3");
    shop.site.until_observed("1 worker is in release 2, and current is release 3", SOON);
    shop.site.until_observed("2 workers are in release 2, and current is release 3", SOON);
    shop.until_well_on("3", Duration::from_secs(10).saturating_sub(began.elapsed()));
    shop.until_restarted(6);
    // What the command started goes on when the command is over.
    let pid = pid_in(&shop.masters.0[0]);
    shop.site.run(&["rollback", "2"]).fine();
    shop.until_well_on("2", SOON);
    assert_ne!(pid_in(&shop.masters.0[0]), pid);
    shop.site.until_status(0);
}

#[test]
fn without_such_a_command_a_deploy_is_red_and_says_which_process_runs_which_release() {
    let shop = Shop::new(false);
    let source = shop.source("2");
    let said = shop.site.run(&["deploy", source.to_str().unwrap()]).ends(2);
    for pid in shop.masters.0.iter().filter_map(pid_in) {
        let line = format!("process {} (python3) runs release 1", pid.as_raw_nonzero());
        assert!(said.out.contains(&line), "{line}: {}\n{}", said.out, said.err);
    }
    assert_eq!(shop.site.current().unwrap(), "releases/2", "{}\n{}", said.out, said.err);
    shop.site.until_status(2);
    // Somebody restarts them.
    shop.restart("horizon");
    shop.restart("mails");
    shop.until_well_on("2", SOON);
    shop.site.until_status(0);
}
