//! The recipes for other deployers, played against stand-ins of them: what they
//! call on a host, in which order, and what ends a deploy.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scratch::{Said, Scratch, set_mode};

/// A deployer, its recipe, and the stand-in that plays it.
struct Deployer {
    interpreter: &'static str,
    stand_in: &'static str,
    recipe: &'static str,
    rollback: &'static str,
}

const DEPLOYER: Deployer = Deployer {
    interpreter: "php",
    stand_in: "deployer.php",
    recipe: "packaging/deployer/aloud.php",
    rollback: "rollback",
};

const CAPISTRANO: Deployer = Deployer {
    interpreter: "ruby",
    stand_in: "capistrano.rb",
    recipe: "packaging/capistrano/aloud.rake",
    rollback: "deploy:rollback",
};

/// An aloud that notes what it is asked, and ends as it is told.
const ALOUD: &str = "#!/bin/sh\necho \"aloud $*\" >>\"$CALLS\"\necho \"<b>what $1 said</b>\"\n\
    case \"$1\" in \"$RED\") exit 2 ;; esac\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

impl Deployer {
    /// Plays a task; the command `red` of aloud ends with 2.
    fn play(&self, task: &str, red: &str) -> (Said, Vec<String>) {
        let scratch = Scratch::new();
        let aloud = scratch.write("aloud", ALOUD);
        set_mode(&aloud, 0o755);
        let calls = scratch.write("calls", "");
        let stand_in = root().join("crates/aloud/tests/it/packaging").join(self.stand_in);
        let mut command = Command::new(self.interpreter);
        command.arg(stand_in).arg(root().join(self.recipe)).arg(task);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", scratch.path().display())).env("CALLS", &calls).env("RED", red);
        let said = scratch.end(command);
        let calls = std::fs::read_to_string(calls).unwrap();
        (said, calls.lines().map(str::to_owned).collect())
    }

    fn holds(&self, last: &[&str]) {
        let whole = [&["symlink", "aloud restart --timeout 5m"], last].concat();
        let (said, calls) = self.play("deploy", "nothing");
        assert_eq!(calls, whole, "{}", said.err);
        assert!(said.fine().out.contains("what restart said"));

        let (said, calls) = self.play("deploy", "restart");
        assert_eq!(calls, ["symlink", "aloud restart --timeout 5m"], "nothing is removed, and nothing succeeds");
        assert!(said.ends(1).err.contains("what restart said"));

        let (said, calls) = self.play("deploy", "prune");
        assert_eq!(calls, whole, "the workers have moved: it is done");
        assert!(said.fine().out.contains("what prune said"));

        let (said, calls) = self.play(self.rollback, "restart");
        assert_eq!(calls.last().map(String::as_str), Some("aloud restart --timeout 5m"), "{calls:?}");
        said.ends(1);

        for (task, command) in [("aloud:status", "aloud status"), ("aloud:prune", "aloud prune")] {
            let (said, calls) = self.play(task, "nothing");
            assert_eq!(calls, [command]);
            said.fine();
        }
        self.play("aloud:status", "status").0.ends(1);
    }

    fn reads(&self, check: &str) {
        let mut command = Command::new(self.interpreter);
        let output = command.arg(check).arg(root().join(self.recipe)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn needs_php_deployer_moves_the_workers_after_its_switch_and_fails_unless_they_moved() {
    DEPLOYER.reads("-l");
    DEPLOYER.holds(&["unlock", "aloud prune", "success"]);
}

#[test]
fn needs_ruby_capistrano_moves_the_workers_after_its_switch_and_fails_unless_they_moved() {
    CAPISTRANO.reads("-c");
    CAPISTRANO.holds(&["aloud prune", "finished"]);
}
