//! Commands that start in whatever release is current.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, Weak};

use job::{Answer, Payload, Span};
use runner::config::{Around, GuardConfig, HandlerConfig, guards, handlers};
use runner::{Code, Command, Entered, ExecHandler, GuardCommand, Handler, HttpAndExecGuards, Run, Task};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::bench::{Bench, Ended, kind, secret, until};
use crate::exec::{gone, make_executable};

/// A folder with `releases/` and `current`, as a deploy leaves it.
#[derive(Debug)]
struct Tree {
    root: TempDir,
    /// What is put before a command.
    wrap: Vec<OsString>,
}

impl Tree {
    /// Two releases with this script in each, of which the first is current.
    fn new(script: &str) -> Self {
        let tree = Self { root: tempfile::tempdir().unwrap(), wrap: Vec::new() };
        for release in ["1", "2"] {
            fs::create_dir_all(tree.release(release).join("inside/bin")).unwrap();
            fs::write(tree.release(release).join("name"), format!("release {release}\n")).unwrap();
            fs::write(tree.release(release).join("job.sh"), script).unwrap();
        }
        tree.switch("1");
        tree
    }

    fn release(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("releases").join(name)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn switch(&self, release: &str) {
        symlink(Path::new("releases").join(release), self.at("next")).unwrap();
        fs::rename(self.at("next"), self.at("current")).unwrap();
    }

    /// What somebody does who wants to remove a release.
    fn lock_alone(&self, release: &str) -> Result<(), Errno> {
        flock(File::open(self.release(release)).unwrap(), FlockOperation::NonBlockingLockExclusive)
    }

    /// Waits until nobody uses a release any more. Between the two halves of
    /// starting a process, any process of these tests may hold what it will not
    /// take along.
    async fn let_go(&self, release: &str) {
        until(async || self.lock_alone(release).ok()).await.unwrap_or_else(|| panic!("{release} is still used"));
    }

    /// What a script wrote into a file of the root, once it has.
    async fn wrote(&self, name: &str) -> String {
        let text = until(async || fs::read_to_string(self.at(name)).ok().filter(|text| text.ends_with('\n'))).await;
        text.unwrap_or_else(|| panic!("`{name}` was not written")).trim().to_owned()
    }
}

impl Code for Tree {
    fn enter(&self) -> Result<Entered, String> {
        let current = self.at("current");
        let dir = current.canonicalize().map_err(|error| format!("there is no current release: {error}"))?;
        let pin = File::open(&dir).map_err(|error| error.to_string())?;
        flock(&pin, FlockOperation::LockShared).map_err(|error| error.to_string())?;
        let release = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let env = vec![("ALOUD_RELEASE".to_owned(), release)];
        Ok(Entered { dir, env, pin: Some(Box::new(pin)), wrap: self.wrap.clone() })
    }

    fn enter_folder(&self, dir: &Path) -> Result<Entered, String> {
        Ok(Entered { dir: dir.to_owned(), wrap: self.wrap.clone(), ..Entered::default() })
    }
}

fn command(tree: &Arc<Tree>) -> Command {
    let argv = ["/bin/sh", "job.sh", "--flag"].map(str::to_owned);
    Command::in_code(argv.to_vec(), tree.clone(), None).unwrap()
}

fn run(tree: &Arc<Tree>) -> Run {
    Run::Exec(ExecHandler { command: command(tree) })
}

fn guard(tree: &Arc<Tree>) -> GuardCommand {
    GuardCommand { name: "wanted".to_owned(), command: command(tree), timeout: HttpAndExecGuards::TIMEOUT }
}

fn task() -> Task {
    Task {
        id: "order-42".parse().unwrap(),
        kind: kind(),
        queue: "mail".parse().unwrap(),
        key: Some("notice:42".parse().unwrap()),
        attempt: 3,
        payload: Payload::new(&br#"{"to":  "ute"}"#[..]).unwrap(),
    }
}

#[tokio::test]
async fn a_command_starts_in_what_current_points_at_now() {
    let tree = Arc::new(Tree::new("pwd -P; env | grep -E '^(PWD|ALOUD_RELEASE)=' | sort; cat name"));
    let bench = Bench::new(run(&tree));
    for release in ["1", "2", "1"] {
        tree.switch(release);
        let dir = tree.release(release).display().to_string();
        let output = bench.push_and_run("null").await.done().unwrap();
        assert_eq!(output, format!("{dir}\nALOUD_RELEASE={release}\nPWD={dir}\nrelease {release}"));
    }
}

#[tokio::test]
async fn a_release_cannot_be_removed_while_a_command_of_it_runs_and_can_afterwards() {
    let tree = Arc::new(Tree::new("echo on > ../../started; until [ -e ../../go ]; do sleep 0.02; done; cat name"));
    let bench = Bench::new(run(&tree));
    tree.let_go("1").await;
    let id = bench.push("null").await;
    tree.wrote("started").await;
    tree.switch("2");
    assert_eq!(tree.lock_alone("1"), Err(Errno::WOULDBLOCK));
    tree.let_go("2").await;
    fs::write(tree.at("go"), "").unwrap();
    assert_eq!(bench.ended(&id).await.done().as_deref(), Some("release 1"), "it saw one release from start to end");
    tree.let_go("1").await;
}

#[tokio::test]
async fn a_release_is_let_go_when_its_command_was_ended_or_its_runner_dropped() {
    let script = "trap '' TERM; echo $$ > ../../pid; while :; do sleep 0.1; done";
    let tree = Arc::new(Tree::new(script));
    let command = command(&tree).with_grace(Span::from_millis(100));
    let handler = Handler::new(kind(), Run::Exec(ExecHandler { command }));
    let bench = Bench::with(handler.with_timeout(Span::from_millis(500)).unwrap());
    assert_eq!(bench.push_and_run("null").await.retrying().0, "exec.timeout");
    tree.let_go("1").await;

    fs::remove_file(tree.at("pid")).unwrap();
    let mut bench = Bench::new(run(&tree));
    bench.push("null").await;
    let pid = tree.wrote("pid").await;
    assert_eq!(tree.lock_alone("1"), Err(Errno::WOULDBLOCK));
    drop(bench.runner.take());
    until(async || (gone(&pid) && tree.lock_alone("1").is_ok()).then_some(())).await.expect("both are gone");
}

#[tokio::test]
async fn without_a_current_release_a_job_fails_and_a_guard_is_no_answer_and_both_say_so() {
    let tree = Arc::new(Tree::new("exit 0"));
    fs::remove_file(tree.at("current")).unwrap();
    let says = "cannot start `/bin/sh`: there is no current release: No such file or directory (os error 2)";
    let (class, message) = Bench::new(run(&tree)).push_and_run("null").await.retrying();
    assert_eq!((class.as_str(), message.as_str()), ("exec.not_started", says));
    assert_eq!(guard(&tree).ask(&task()).await, Answer::Error(format!("the guard `wanted`: {says}")));

    symlink("releases/3", tree.at("current")).unwrap();
    let (_, message) = Bench::new(run(&tree)).push_and_run("null").await.retrying();
    assert_eq!(message, says, "nor is there one that was removed");
}

#[tokio::test]
async fn a_guard_is_asked_in_the_current_release_with_plain_fields() {
    let told = r#"j="$ALOUD_JOB $ALOUD_KIND $ALOUD_QUEUE $ALOUD_KEY $ALOUD_ATTEMPT $ALOUD_RELEASE""#;
    let tree = Arc::new(Tree::new(&format!("{told}; echo \"$j $(cat) $(cat name)\"; exit 77")));
    for release in ["1", "2"] {
        tree.switch(release);
        let says = format!("order-42 notice.send mail notice:42 3 {release} {{\"to\":  \"ute\"}} release {release}");
        assert_eq!(guard(&tree).ask(&task()).await, Answer::No(Some(says)));
    }
    tree.let_go("2").await;
}

/// A handler and a guard as `aloud.toml` has them, with `code` or without.
fn configured(
    dir: &str,
    folder: &Path,
    code: Option<&Arc<dyn Code>>,
) -> Result<(Handler, GuardCommand), runner::Unfit> {
    let shown = ["kind = \"notice.send\"", &format!("run = {{ exec = [\"./thing\"] {dir} }}")].join("\n");
    let handler: HandlerConfig = toml::from_str(&shown).unwrap();
    let dir = dir.trim_start_matches([',', ' ']);
    let guard: GuardConfig = toml::from_str(&format!("name = \"wanted\"\ncommand = [\"./thing\"]\n{dir}")).unwrap();
    let (secret, env) = (secret(), std::collections::BTreeMap::new());
    let around = Around { folder, secret: &secret, env: &env, code };
    Ok((handlers(&[handler], around)?.remove(0), guards(&[guard], around)?.remove(0)))
}

#[tokio::test]
async fn a_folder_is_meant_inside_the_release_unless_it_is_absolute_or_there_is_no_code() {
    let tree = Arc::new(Tree::new(""));
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().canonicalize().unwrap();
    fs::create_dir(elsewhere.join("inside")).unwrap();
    let (first, second) = (tree.release("1"), tree.release("2"));
    let inside = |folder: &Path| folder.join("inside");
    for folder in [&first, &second, &elsewhere].map(|folder| [folder.clone(), inside(folder)]).concat() {
        fs::write(folder.join("thing"), "#!/bin/sh\npwd; exit ${ALOUD_KEY:+77}\n").unwrap();
        make_executable(&folder.join("thing"));
    }
    let absolute = format!(", dir = \"{}\"", inside(&elsewhere).display());
    let code: Arc<dyn Code> = tree.clone();
    for (code, dir, expected) in [
        (Some(&code), "", [&first, &second]),
        (Some(&code), ", dir = \"inside\"", [&inside(&first), &inside(&second)]),
        (Some(&code), &absolute, [&inside(&elsewhere); 2]),
        (None, "", [&elsewhere; 2]),
        (None, ", dir = \"inside\"", [&inside(&elsewhere); 2]),
        (None, &absolute, [&inside(&elsewhere); 2]),
    ] {
        let (handler, guard) = configured(dir, &elsewhere, code).unwrap();
        let bench = Bench::with(handler);
        for (release, expected) in ["1", "2"].into_iter().zip(expected) {
            tree.switch(release);
            let expected = Some(expected.display().to_string());
            assert_eq!(bench.push_and_run("null").await.done(), expected, "{dir}");
            assert_eq!(guard.ask(&task()).await, Answer::No(expected), "{dir}");
        }
    }
    let refused = configured(", dir = \"../2\"", &elsewhere, Some(&code)).unwrap_err().to_string();
    assert!(refused.contains("the handler of `notice.send`: the folder `../2` leads out of the release"), "{refused}");
}

#[tokio::test]
async fn what_is_missing_in_a_release_is_named() {
    let tree = Arc::new(Tree::new(""));
    let dir = tree.release("1").display().to_string();
    let start = async |program: &str, inside: Option<&str>| {
        let command = Command::in_code(vec![program.to_owned()], tree.clone(), inside.map(Path::new)).unwrap();
        let (class, message) = Bench::new(Run::Exec(ExecHandler { command })).push_and_run("null").await.retrying();
        assert_eq!(class, "exec.not_started");
        message
    };
    let says = format!("cannot start `bin/thing` in `{dir}`: there is no such program");
    assert_eq!(start("bin/thing", None).await, says);
    let message = start("/bin/sh", Some("gone")).await;
    assert!(message.ends_with("1/gone` cannot be entered: No such file or directory (os error 2)"), "{message}");
    tree.let_go("1").await;
}

/// Can be entered only once somebody opens the door.
#[derive(Debug, Default)]
struct Shut {
    door: Mutex<bool>,
    opened: Condvar,
    pin: Mutex<Weak<()>>,
}

impl Code for Shut {
    fn enter(&self) -> Result<Entered, String> {
        let pin = Arc::new(());
        *self.pin.lock().unwrap() = Arc::downgrade(&pin);
        drop(self.opened.wait_while(self.door.lock().unwrap(), |open| !*open).unwrap());
        Ok(Entered { dir: "/".into(), pin: Some(Box::new(pin)), ..Entered::default() })
    }
}

#[tokio::test]
async fn code_that_cannot_be_entered_in_time_holds_up_nobody_and_is_not_kept() {
    let shut = Arc::new(Shut::default());
    let command = Command::in_code(vec!["true".to_owned()], shut.clone(), None).unwrap();
    let guard = GuardCommand { name: "wanted".to_owned(), command: command.clone(), timeout: Span::from_millis(100) };
    let handler = Handler::new(kind(), Run::Exec(ExecHandler { command }));
    let bench = Bench::with(handler.with_timeout(Span::from_millis(100)).unwrap());
    let (class, message) = bench.push_and_run("null").await.retrying();
    let says = "`true` was not started: its folder could not be entered before its time was up";
    assert_eq!((class.as_str(), message.as_str()), ("exec.timeout", says));
    let says = "the guard `wanted` could not be started within 100ms".to_owned();
    assert_eq!(guard.ask(&task()).await, Answer::Error(says));

    let pinned = || shut.pin.lock().unwrap().strong_count() > 0;
    assert!(pinned(), "it is still being entered");
    *shut.door.lock().unwrap() = true;
    shut.opened.notify_all();
    until(async || (!pinned()).then_some(())).await.expect("what was entered in vain is let go");
}

/// The same tree with a script before every command.
fn wrapped(script: &str, wrapper: &str) -> Arc<Tree> {
    let mut tree = Tree::new(script);
    fs::write(tree.at("wrapper"), wrapper).unwrap();
    make_executable(&tree.at("wrapper"));
    tree.wrap = vec![tree.at("wrapper").into(), tree.at("recorded").into()];
    Arc::new(tree)
}

const WRAPPER: &str = "#!/bin/sh\necho $$ > \"$1\"; shift; exec \"$@\"\n";

#[tokio::test]
async fn a_wrapper_becomes_the_command_with_its_process_id_and_its_streams() {
    let tree = wrapped("echo $$; cut -d' ' -f5 /proc/$$/stat; cat; echo; echo \"$@\"; cat name; exit 0", WRAPPER);
    let output = Bench::new(run(&tree)).push_and_run(r#"{"to":  "ute"}"#).await.done().unwrap();
    let recorded = tree.wrote("recorded").await;
    let expected = [&recorded, &recorded, r#"{"to":  "ute"}"#, "--flag", "release 1"];
    assert_eq!(output.lines().collect::<Vec<_>>(), expected);
    assert_eq!(guard(&tree).ask(&task()).await, Answer::Yes);
}

#[tokio::test]
async fn a_wrapper_stands_before_a_command_with_a_folder_of_its_own_too() {
    let tree = wrapped("", WRAPPER);
    let argv = ["sh", "-c", "echo $$; pwd; echo ${ALOUD_RELEASE-of no release}"].map(str::to_owned);
    let command = Command::in_code(argv.to_vec(), tree.clone(), Some(Path::new("/"))).unwrap();
    let output = Bench::new(Run::Exec(ExecHandler { command })).push_and_run("null").await.done().unwrap();
    assert_eq!(output, format!("{}\n/\nof no release", tree.wrote("recorded").await));
}

#[tokio::test]
async fn a_wrapped_command_is_ended_with_all_its_children() {
    let tree = wrapped(
        "trap '' TERM\n\
         sh -c 'trap \"\" TERM; echo $$ > ../../child; while :; do sleep 0.1; done' &\n\
         while :; do sleep 0.1; done",
        WRAPPER,
    );
    let command = command(&tree).with_grace(Span::from_millis(100));
    let handler = Handler::new(kind(), Run::Exec(ExecHandler { command }));
    let bench = Bench::with(handler.with_timeout(Span::from_secs(1)).unwrap());
    assert_eq!(bench.push_and_run("null").await.retrying().0, "exec.timeout");
    for name in ["recorded", "child"] {
        let pid = tree.wrote(name).await;
        until(async || gone(&pid).then_some(())).await.unwrap_or_else(|| panic!("the {name} lives on"));
    }
}

#[tokio::test]
async fn a_wrapper_that_fails_or_is_missing_is_a_failure_that_says_so() {
    let tree = wrapped("exit 0", "#!/bin/sh\necho the guardian is gone >&2; exit 125\n");
    let (class, message) = Bench::new(run(&tree)).push_and_run("null").await.retrying();
    assert_eq!(class, "exec.exit_125");
    assert!(message.ends_with("The last it wrote to stderr:\nthe guardian is gone"), "{message}");
    assert!(matches!(guard(&tree).ask(&task()).await, Answer::Error(_)));

    let argv = vec!["bin/thing".to_owned()];
    let missing = Run::Exec(ExecHandler { command: Command::in_code(argv, tree.clone(), None).unwrap() });
    let (class, message) = Bench::new(missing).push_and_run("null").await.retrying();
    assert_eq!(class, "exec.not_started");
    assert!(message.ends_with("there is no such program"), "{message}");

    fs::remove_file(tree.at("wrapper")).unwrap();
    let (class, message) = Bench::new(run(&tree)).push_and_run("null").await.retrying();
    assert_eq!(class, "exec.not_started");
    assert!(message.ends_with("wrapper`, which is to start it, is not there"), "{message}");
}
