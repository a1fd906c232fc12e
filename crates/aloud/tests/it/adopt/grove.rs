//! Trees as other tools leave them, and processes that run from them.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::scratch::{PATIENCE, Said, Scratch};

/// A master that starts one child and waits for it.
const MASTER: &str = "sleep 600 &\necho $! >\"$CHILD\"\nwait\n";
/// A master that starts children by a path from where it is, again and again; the
/// third that cannot be started ends its work.
const STORY: &str = "while :; do\n  bash ./worker.sh || { n=$((n + 1)); echo $n >\"$CHILD\"; }\n  \
    [ \"$n\" = 3 ] && break\ndone\nread -r _\n";

/// A tree in a folder of a test's own, and who runs from it.
pub(crate) struct Grove {
    pub(crate) scratch: Scratch,
    started: Vec<Child>,
    /// Numbers of processes, and what they are called here.
    names: Vec<(String, String)>,
    group: Option<&'static str>,
}

impl Grove {
    /// A tree without a release.
    pub(crate) fn new() -> Self {
        let grove = Self { scratch: Scratch::new(), started: Vec::new(), names: Vec::new(), group: None };
        fs::create_dir_all(grove.root().join("shared")).unwrap();
        // What else runs on this machine is no part of these tests.
        grove.write("../aloud.toml", "[release]\nroot = \"srv\"\naccept_unknown = [\"*\"]\n");
        grove
    }

    /// As Deployer 7 leaves it after some deploys.
    pub(crate) fn deployers() -> Self {
        let grove = Self::new();
        for release in ["60", "65", "66"] {
            grove.release(release);
            grove.log(
                ".dep/releases_log",
                &format!(
                    "{{\"created_at\":\"2026-05-01T10:00:00+0000\",\"release_name\":\"{release}\",\"user\":\"Alice\",\
                     \"target\":\"main\"}}"
                ),
            );
        }
        grove.write(".dep/latest_release", "66\n");
        grove.switch("66");
        grove
    }

    /// As Capistrano leaves it.
    pub(crate) fn capistranos() -> Self {
        let grove = Self::new();
        for release in ["20260501120000", "20260601120000"] {
            grove.release(release);
            grove.log("revisions.log", &format!("Branch main (at 1234abc) deployed as release {release} by alice"));
        }
        grove.write("repo/HEAD", "ref: refs/heads/main\n");
        grove.switch("20260601120000");
        grove
    }

    /// As Ansistrano leaves it.
    pub(crate) fn ansistranos() -> Self {
        let grove = Self::new();
        grove.release("20260501120000Z");
        grove.release("20260601120000Z");
        grove.switch("20260601120000Z");
        grove
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.path().join("srv")
    }

    /// Writes a file in the tree.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn log(&self, name: &str, line: &str) {
        let before = fs::read_to_string(self.root().join(name)).unwrap_or_default();
        self.write(name, &format!("{before}{line}\n"));
    }

    /// Makes a release, with a link into `shared/`.
    pub(crate) fn release(&self, name: &str) {
        let at = |file: &str| format!("releases/{name}/{file}");
        self.write(&at("REVISION"), &format!("{name}abc\n"));
        self.write(&at("master.sh"), MASTER);
        self.write(&at("story.sh"), STORY);
        self.write(&at("worker.sh"), "exit 0\n");
        fs::create_dir_all(self.root().join("shared/storage")).unwrap();
        symlink("../../shared/storage", self.root().join(at("storage"))).unwrap();
    }

    /// Switches `current`, atomically.
    pub(crate) fn switch(&self, release: &str) {
        let (draft, current) = (self.root().join("draft"), self.root().join("current"));
        symlink(Path::new("releases").join(release), &draft).unwrap();
        fs::rename(draft, current).unwrap();
    }

    /// Removes a release, whoever is in it.
    pub(crate) fn remove(&self, release: &str) {
        fs::remove_dir_all(self.root().join("releases").join(release)).unwrap();
    }

    /// Has it that a file was last changed some days ago.
    pub(crate) fn age(&self, name: &str, days: u64) {
        let file = fs::File::options().write(true).open(self.root().join(name)).unwrap();
        let now = file.metadata().unwrap().modified().unwrap();
        file.set_modified(now - Duration::from_secs(days * 86_400)).unwrap();
    }

    /// Starts a master in a folder, and waits until it has started a child.
    pub(crate) fn start(&mut self, name: &str, folder: &Path, script: &str) {
        self.start_with(name, folder, &[script]);
    }

    /// The same, with arguments.
    pub(crate) fn start_with(&mut self, name: &str, folder: &Path, args: &[&str]) {
        let note = self.begin(name, folder, args);
        let child = until(&note, |text| text.ends_with('\n'));
        self.names.push((child.trim().to_owned(), format!("{name}'s-child")));
    }

    /// The same, as supervisord would: under the name of its group.
    pub(crate) fn start_supervised(&mut self, name: &str, folder: &Path, script: &str, group: &'static str) {
        self.group = Some(group);
        self.start(name, folder, script);
        self.group = None;
    }

    /// Starts the master of the story where `current` leads. What is answered is
    /// where it counts the children that it could not start.
    pub(crate) fn start_story(&mut self, name: &str) -> PathBuf {
        self.begin(name, &self.root().join("current"), &["story.sh"])
    }

    fn begin(&mut self, name: &str, folder: &Path, args: &[&str]) -> PathBuf {
        let note = self.scratch.path().join(format!("{name}.note"));
        let mut command = Command::new("bash");
        command.args(args).current_dir(folder).env("CHILD", &note).process_group(0);
        command.envs(self.group.map(|group| ("SUPERVISOR_GROUP_NAME", group)));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.names.push((child.id().to_string(), name.to_owned()));
        self.started.push(child);
        note
    }

    /// A check, with what differs from one time to the next taken out.
    pub(crate) fn check(&self, args: &[&str]) -> Said {
        let said = self.scratch.run(&[&["adopt", "--check"], args].concat());
        Said { out: self.told(&said.out), ..said }
    }

    fn told(&self, text: &str) -> String {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        let lines = text.lines().map(|line| {
            let indent = line.len() - line.trim_start().len();
            let words = line.split_whitespace().map(|word| self.word(word, user.trim()));
            let line = words.collect::<Vec<_>>().join(" ");
            format!("{:indent$}{line}\n", "")
        });
        let text: String = lines.collect();
        // The two largest units of a span are one.
        let text = text.replace("AGE AGE", "AGE");
        // Of a machine that is a container itself.
        let outside = |line: &str| line.contains("outside of this pid namespace");
        text.lines().filter(|line| !outside(line)).map(|line| format!("{line}\n")).collect()
    }

    /// A word, with numbers of processes and spans replaced.
    fn word(&self, word: &str, user: &str) -> String {
        let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        let (number, rest) = word.split_at(digits);
        let core = word.trim_matches(['`', ',', ';', ':', '.', '(', ')']);
        if !number.is_empty() && ["ms", "s", "m", "h", "d"].contains(&rest.trim_end_matches([',', ';', ':'])) {
            return format!("AGE{}", rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()));
        }
        let named = self.names.iter().find(|(pid, _)| pid == core);
        match named {
            Some((pid, name)) => word.replace(pid, name),
            None if core == user => word.replace(user, "USER"),
            None => word.to_owned(),
        }
    }

    /// Everything in the folder, with what it is and when it was changed.
    pub(crate) fn listing(&self) -> String {
        let mut command = Command::new("find");
        command.arg(self.scratch.path()).args(["-printf", "%P %y %m %U %s %T@ %C@ %l\\n"]);
        let output = command.output().unwrap();
        assert!(output.status.success());
        let mut lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    }
}

impl Drop for Grove {
    fn drop(&mut self) {
        for child in &mut self.started {
            // Its children are in its group. It may have ended before.
            kill_process_group(Pid::from_child(child), Signal::KILL).ok();
            drop(child.wait());
        }
    }
}

/// Waits until a file says something.
#[track_caller]
pub(crate) fn until(file: &Path, fits: impl Fn(&str) -> bool) -> String {
    for _ in 0..PATIENCE.as_millis() / 5 {
        let text = fs::read_to_string(file).unwrap_or_default();
        if fits(&text) {
            return text;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("`{}` does not say it", file.display());
}
