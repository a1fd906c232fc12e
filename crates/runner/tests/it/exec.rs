//! Jobs done by a command.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use job::{Key, Span};
use runner::{Command, ExecHandler, Handler, Run};
use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;

use crate::bench::{Bench, Ended, kind, until};

/// A script in a folder of its own.
pub(crate) struct Script {
    pub(crate) folder: TempDir,
}

impl Script {
    pub(crate) fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("job.sh"), text).unwrap();
        Self { folder }
    }

    pub(crate) fn command(&self) -> Command {
        let argv = ["/bin/sh", "job.sh", "--flag"].map(str::to_owned);
        Command::new(argv.to_vec(), self.folder.path()).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// What the script wrote into a file, once it has.
    pub(crate) async fn wrote(&self, name: &str) -> String {
        let path = self.path(name);
        let text = until(async || fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))).await;
        text.unwrap_or_else(|| panic!("`{name}` was not written")).trim().to_owned()
    }
}

fn run(command: Command) -> Run {
    Run::Exec(ExecHandler { command })
}

fn impatient(command: Command, timeout: Span) -> Handler {
    Handler::new(kind(), run(command)).with_timeout(timeout).unwrap()
}

/// Whether the process has ended; one that nobody has collected yet counts.
pub(crate) fn gone(pid: &str) -> bool {
    let number = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    test_kill_process(number).is_err() || state.contains(") Z ")
}

#[tokio::test]
async fn a_command_gets_the_job_on_its_input_and_in_its_environment_and_nothing_else() {
    let script = Script::new(
        "pwd; echo \"$@\"; cat; echo; env | grep -v '^_=' | cut -d= -f1 | sort | tr '\\n' ' '; env | grep ALOUD_ | sort",
    );
    let env = BTreeMap::from([("APP_ENV".to_owned(), "production".to_owned())]);
    let bench = Bench::new(run(script.command().with_env(env).unwrap()));
    let id = bench
        .push_as(r#"{"to":  "ute"}"#, |job| job.spec.key = Some("notice:42 für Ute".parse::<Key>().unwrap()))
        .await;
    let output = bench.ended(&id).await.done().unwrap();
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(Path::new(lines[0]), script.folder.path().canonicalize().unwrap());
    assert_eq!(lines[1], "--flag");
    assert_eq!(lines[2], r#"{"to":  "ute"}"#, "byte for byte");
    let names: Vec<_> = lines[3].split(' ').collect();
    let (names, told) = (&names[..names.len() - 1], format!("{}\n{}", names[names.len() - 1], lines[4..].join("\n")));
    assert!(names.contains(&"APP_ENV") && names.contains(&"PATH"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("CARGO")), "only what is declared, and a few: {names:?}");
    assert_eq!(
        told.trim(),
        "ALOUD_ATTEMPT=1\nALOUD_JOB=j1\nALOUD_KEY=notice:42 für Ute\nALOUD_KIND=notice.send\nALOUD_QUEUE=mail"
    );
}

#[tokio::test]
async fn the_exit_status_says_how_it_ended() {
    let bench = Bench::new(run(Script::new("echo sent; exit 0").command()));
    drop(bench);
    let script = Script::new("echo sent; exit 0");
    assert_eq!(Bench::new(run(script.command())).push_and_run("null").await.done().as_deref(), Some("sent"));

    let script = Script::new("echo working; echo cannot send: no route >&2; exit 3");
    let (class, message) = Bench::new(run(script.command())).push_and_run("null").await.retrying();
    assert_eq!(class, "exec.exit_3");
    assert_eq!(message, "`/bin/sh` ended with exit status 3. The last it wrote to stderr:\ncannot send: no route");

    let script = Script::new("kill -SEGV $$");
    let (class, message) = Bench::new(run(script.command())).push_and_run("null").await.retrying();
    assert_eq!(class, "exec.signal_11");
    assert_eq!(message, "`/bin/sh` was ended by signal 11 (SEGV), without a word");
}

#[tokio::test]
async fn exit_75_asks_to_be_run_again_and_costs_no_attempt() {
    let script = Script::new("echo the warehouse is closed; exit 75");
    let (why, wait) = Bench::new(run(script.command())).push_and_run("null").await.snoozed();
    assert!(why.contains("exit status 75") && why.contains("the warehouse is closed"), "{why}");
    assert_eq!(wait, Span::from_secs(10));
}

#[tokio::test]
async fn a_flood_of_output_is_drained_and_its_ends_are_kept() {
    let script = Script::new("echo first; yes 0123456789 | head -c 20000000; yes error >&2 & sleep 0.2; echo last");
    let output = Bench::new(run(script.command())).push_and_run("null").await.done().unwrap();
    assert!(output.len() <= 4_096, "{}", output.len());
    assert!(output.starts_with("first\n") && output.ends_with("last"), "{output}");
    assert!(output.contains("bytes left out"), "{output}");
}

#[tokio::test]
async fn an_input_that_nobody_reads_is_no_error() {
    let script = Script::new("exec <&-; echo did not look");
    let payload = format!("\"{}\"", "x".repeat(1_000_000));
    let output = Bench::new(run(script.command())).push_and_run(&payload).await.done();
    assert_eq!(output.as_deref(), Some("did not look"));
}

#[tokio::test]
async fn an_input_and_an_output_that_fill_their_pipes_do_not_wait_for_each_other() {
    let script = Script::new("cat; cat /dev/null");
    let payload = format!("\"{}\"", "x".repeat(1_000_000));
    let output = Bench::new(run(script.command())).push_and_run(&payload).await.done().unwrap();
    assert!(output.starts_with("\"xxx") && output.ends_with("xxx\""), "{output}");
}

#[tokio::test]
async fn at_its_deadline_the_whole_group_is_ended_even_what_ignores_being_asked() {
    let script = Script::new(
        "trap '' TERM\n\
         sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 0.1; done' &\n\
         echo $$ > parent; echo still here; while :; do sleep 0.1; done",
    );
    let command = script.command().with_grace(Span::from_millis(100));
    let (class, message) = Bench::with(impatient(command, Span::from_secs(2))).push_and_run("null").await.retrying();
    assert_eq!(class, "exec.timeout");
    assert!(message.ends_with("The last it wrote to stdout:\nstill here"), "{message}");
    for name in ["parent", "child"] {
        let pid = script.wrote(name).await;
        until(async || gone(&pid).then_some(())).await.unwrap_or_else(|| panic!("the {name} lives on"));
    }
}

#[tokio::test]
async fn one_that_ends_when_asked_is_not_killed() {
    let script = Script::new("trap 'echo tidied > tidied; exit 0' TERM; while :; do sleep 0.1; done");
    let handler = impatient(script.command(), Span::from_secs(1));
    assert_eq!(Bench::with(handler).push_and_run("null").await.retrying().0, "exec.timeout", "and yet it is too late");
    assert_eq!(script.wrote("tidied").await, "tidied");
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    let script = Script::new(
        "sh -c 'trap \"\" TERM HUP; echo $$ > child; while :; do sleep 0.1; done' & until [ -s child ]; do sleep 0.05; done; echo done",
    );
    assert_eq!(Bench::new(run(script.command())).push_and_run("null").await.done().as_deref(), Some("done"));
    let pid = script.wrote("child").await;
    until(async || gone(&pid).then_some(())).await.expect("the child was ended");
}

#[tokio::test]
async fn one_that_left_its_group_and_holds_the_pipes_does_not_hold_up_the_job() {
    let script = Script::new(
        "setsid sh -c 'echo $$ > stray; exec sleep 600' & until [ -s stray ]; do sleep 0.05; done; echo done",
    );
    assert_eq!(Bench::new(run(script.command())).push_and_run("null").await.done().as_deref(), Some("done"));
    let stray = script.wrote("stray").await;
    rustix::process::kill_process(Pid::from_raw(stray.parse().unwrap()).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
}

#[tokio::test]
async fn a_missing_program_interpreter_or_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display().to_string();
    let start = async |program: &str, dir: &Path| {
        let command = Command::new(vec![program.to_owned()], dir).unwrap();
        let (class, message) = Bench::new(run(command)).push_and_run("null").await.retrying();
        assert_eq!(class, "exec.not_started");
        message
    };
    assert_eq!(
        start("bin/thing", folder.path()).await,
        format!("cannot start `bin/thing` in `{at}`: there is no such program")
    );
    let message = start("no-such-program-anywhere", folder.path()).await;
    assert!(message.contains("there is no such program in PATH (/"), "{message}");
    fs::write(folder.path().join("thing"), "#!/no/such/interpreter\n").unwrap();
    let message = start("./thing", folder.path()).await;
    assert!(message.contains("Permission denied"), "{message}");
    make_executable(&folder.path().join("thing"));
    let message = start("./thing", folder.path()).await;
    assert!(message.ends_with("but not the interpreter that its first line names"), "{message}");
    let message = start("/bin/sh", &folder.path().join("gone")).await;
    assert!(message.contains("gone` cannot be entered: No such file or directory"), "{message}");
    let message = start("/bin/sh", &folder.path().join("thing")).await;
    assert!(message.ends_with("is not a folder"), "{message}");
}

#[tokio::test]
async fn a_folder_is_found_anew_at_every_start() {
    let folder = tempfile::tempdir().unwrap();
    for (release, says) in [("1", "old"), ("2", "new")] {
        let release = folder.path().join(release);
        fs::create_dir(&release).unwrap();
        fs::write(release.join("job.sh"), format!("echo {says}")).unwrap();
    }
    let current = folder.path().join("current");
    std::os::unix::fs::symlink("1", &current).unwrap();
    let command = Command::new(vec!["/bin/sh".to_owned(), "job.sh".to_owned()], &current).unwrap();
    let bench = Bench::new(run(command));
    assert_eq!(bench.push_and_run("null").await.done().as_deref(), Some("old"));
    fs::remove_file(&current).unwrap();
    fs::remove_dir_all(folder.path().join("1")).unwrap();
    std::os::unix::fs::symlink("2", &current).unwrap();
    assert_eq!(bench.push_and_run("null").await.done().as_deref(), Some("new"));
    fs::remove_dir_all(folder.path().join("2")).unwrap();
    let (class, message) = bench.push_and_run("null").await.retrying();
    assert_eq!(class, "exec.not_started");
    assert!(message.contains("current` cannot be entered"), "{message}");
}

#[tokio::test]
async fn a_dropped_runner_leaves_no_process_behind() {
    let script = Script::new("sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 0.1; done' & wait");
    let mut bench = Bench::new(run(script.command()));
    bench.push("null").await;
    let pid = script.wrote("child").await;
    assert!(!gone(&pid));
    drop(bench.runner.take());
    until(async || gone(&pid).then_some(())).await.expect("the child was ended");
}

#[test]
fn a_dropped_runtime_leaves_no_process_behind() {
    let script = Script::new("sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 0.1; done' & wait");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let pid = runtime.block_on(async {
        let bench = Bench::new(run(script.command()));
        bench.push("null").await;
        let pid = script.wrote("child").await;
        std::mem::forget(bench.runner);
        pid
    });
    drop(runtime);
    let start = std::iter::repeat_with(|| std::thread::sleep(Duration::from_millis(5))).take(2_000);
    assert!(start.into_iter().any(|()| gone(&pid)), "the child lives on");
}

pub(crate) fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
