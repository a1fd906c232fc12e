//! Guards: only a clear answer counts.

use std::fs;
use std::sync::Arc;

use job::time::SystemClock;
use job::{Answer, Guard, Job, JobId, Key, NewJob, Now, Payload, Phase, Span, Spec};
use queue::Guards;
use runner::{Ack, Command, GuardCommand, Handler, HttpAndExecGuards, HttpHandler, Run};

use crate::app::{App, Then, answer};
use crate::bench::{Bench, Ended, kind, secret, until};
use crate::exec::Script;

fn job(guard: Guard) -> Job {
    let payload = Payload::new(&br#"{"to": "ute"}"#[..]).unwrap();
    let mut spec = Spec::new("mail".parse().unwrap(), kind(), payload);
    spec.guard = Some(guard);
    spec.key = Some("notice:42".parse::<Key>().unwrap());
    Job::new(JobId(17), NewJob::now(spec, Now::default()), Now::default())
}

fn guards(commands: Vec<GuardCommand>) -> HttpAndExecGuards {
    HttpAndExecGuards::new(Arc::new(SystemClock::resume(None)), secret(), commands).unwrap()
}

async fn ask(app: &App) -> Answer {
    guards(Vec::new()).ask(job(Guard::Http(app.url("/still-wanted")))).await
}

async fn error(app: &App) -> String {
    match ask(app).await {
        Answer::Error(what) => what,
        other => panic!("{other:?}"),
    }
}

fn command(script: &Script) -> GuardCommand {
    GuardCommand { name: "wanted".to_owned(), command: script.command(), timeout: HttpAndExecGuards::TIMEOUT }
}

async fn run(script: &Script) -> Answer {
    guards(vec![command(script)]).ask(job(Guard::Exec("wanted".to_owned()))).await
}

#[tokio::test]
async fn an_address_is_shown_the_job_and_its_clear_answer_counts() {
    for (body, expected) in [
        (r#"{"job":"j17","run":true}"#, Answer::Yes),
        (r#" { "run" : false, "job": "j17" } "#, Answer::No(None)),
        (r#"{"job":"j17","run":false,"why":"switched off"}"#, Answer::No(Some("switched off".to_owned()))),
        (r#"{"job":"j17","run":true,"why":null}"#, Answer::Yes),
    ] {
        let app = App::answering(move |_| answer(200, &[], body)).await;
        assert_eq!(ask(&app).await, expected, "{body}");
        let [seen] = &app.seen()[..] else { panic!("{:?}", app.seen()) };
        assert_eq!(
            String::from_utf8_lossy(&seen.body),
            r#"{"job":"j17","kind":"notice.send","key":"notice:42","payload":{"to": "ute"}}"#
        );
        assert_eq!(seen.header("aloud-job"), "j17");
        assert_eq!(seen.header("aloud-attempt"), "1", "the start that it is about");
        assert_eq!(seen.header("idempotency-key"), "", "a question does nothing");
        let signature = secret().sign(seen.header("aloud-timestamp"), "j17", &seen.body);
        assert_eq!(seen.header("aloud-signature"), format!("v1={signature}"));
    }
}

#[tokio::test]
async fn what_does_not_clearly_answer_is_an_error_that_says_what_came() {
    for (body, part) in [
        ("It works!", "It works!"),
        ("<!doctype html><h1>Welcome</h1>", "<h1>Welcome</h1>"),
        ("", "another site or a catch-all page"),
        (r#"{"run":true}"#, "missing field `job`"),
        (r#"{"job":"j17"}"#, "missing field `run`"),
        (r#"{"job":"j17","run":"true"}"#, "expected a boolean"),
        (r#"{"job":"j17","run":1}"#, "expected a boolean"),
        (r#"{"job":"j17","run":null}"#, "expected a boolean"),
        (r#"{"job":17,"run":true}"#, "expected a string"),
        (r#"{"job":"j17","run":true,"ok":true}"#, "unknown field `ok`"),
        (r#"{"job":"j17","run":true,"run":false}"#, "duplicate field `run`"),
        (r#"{"job":"j17","run":true}{}"#, "trailing characters"),
        (r#"[{"job":"j17","run":true}]"#, "another site or a catch-all page"),
        ("\u{feff}{\"job\":\"j17\",\"run\":true}", "another site or a catch-all page"),
        (r#"{"job":"j18","run":true}"#, "about the job `j18` instead of `j17`"),
        (r#"{"job":"j18","run":false}"#, "about the job `j18` instead of `j17`"),
        ("true", "another site or a catch-all page"),
    ] {
        let app = App::answering(move |_| answer(200, &[("aloud-job", "j17")], body)).await;
        let error = error(&app).await;
        assert!(error.contains(part), "{body}: {error}");
    }
}

#[tokio::test]
async fn no_status_but_200_answers() {
    for status in [201, 202, 204, 206, 400, 401, 403, 404, 410, 418, 500, 503] {
        let app = App::answering(move |_| answer(status, &[], r#"{"job":"j17","run":false}"#)).await;
        let error = error(&app).await;
        assert!(error.contains(&format!("answered {status}")), "{error}");
    }
    let app = App::answering(|seen| match seen.path.as_str() {
        "/login" => answer(200, &[], r#"{"job":"j17","run":false}"#),
        _ => answer(302, &[("location", "/login")], ""),
    })
    .await;
    let error = error(&app).await;
    assert!(error.contains("redirects to /login; redirects are not followed"), "{error}");
}

#[tokio::test]
async fn nobody_there_garbage_a_flood_and_silence_are_errors() {
    assert!(error(&App::absent().await).await.contains("cannot reach"));
    assert!(error(&App::raw(b"garbage\r\n\r\n", Then::Close).await).await.contains("did not answer in HTTP"));
    let flood = App::answering(|_| answer(200, &[], vec![b' '; 65_537])).await;
    assert!(error(&flood).await.contains("more than 65536 bytes"));
    let silent = App::raw(b"", Then::Hang).await;
    assert!(error(&silent).await.ends_with("did not answer within 5s"));
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error() {
    for bad in ["ftp://shop.example/", "file:///etc/passwd", "http://", "wanted"] {
        match guards(Vec::new()).ask(job(Guard::Http(bad.to_owned()))).await {
            Answer::Error(what) => assert!(what.contains("`http://` or `https://`"), "{what}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_command_says_run_with_0_and_skip_with_77() {
    let script = Script::new(r#"[ "$ALOUD_JOB $ALOUD_ATTEMPT $(cat)" = 'j17 1 {"to": "ute"}' ]"#);
    assert_eq!(run(&script).await, Answer::Yes);
    let script = Script::new("echo; echo '  switched off '; echo by Ute; exit 77");
    assert_eq!(run(&script).await, Answer::No(Some("switched off".to_owned())));
    assert_eq!(run(&Script::new("exit 77")).await, Answer::No(None));
}

#[tokio::test]
async fn any_other_end_of_a_command_is_an_error() {
    for (text, part) in [
        ("echo database is gone >&2; exit 1", "exit status 1. The last it wrote to stderr:\ndatabase is gone"),
        ("exit 75", "exit status 75"),
        ("exit 2", "exit status 2"),
        ("no-such-command", "exit status 127"),
        ("kill -KILL $$", "signal 9"),
        ("kill -TERM $$", "signal 15 (TERM)"),
    ] {
        match run(&Script::new(text)).await {
            Answer::Error(what) => assert!(what.contains(part), "{text}: {what}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_guard_whose_program_or_folder_was_deleted_is_an_error_and_never_an_answer() {
    let script = Script::new("exit 77");
    let guards = guards(vec![command(&script)]);
    let ask = async || guards.ask(job(Guard::Exec("wanted".to_owned()))).await;
    assert_eq!(ask().await, Answer::No(None));
    fs::remove_file(script.path("job.sh")).unwrap();
    let Answer::Error(what) = ask().await else { panic!("the script was deleted") };
    assert!(what.starts_with("the guard `wanted` ended with exit status"), "{what}");
    fs::remove_dir_all(script.folder.path()).unwrap();
    let Answer::Error(what) = ask().await else { panic!("the folder was deleted") };
    assert!(what.contains("cannot be entered: No such file or directory"), "{what}");

    let gone = Command::new(vec!["bin/wanted".to_owned()], "/").unwrap();
    let gone = GuardCommand { name: "wanted".to_owned(), command: gone, timeout: HttpAndExecGuards::TIMEOUT };
    let Answer::Error(what) = crate::guards::guards(vec![gone]).ask(job(Guard::Exec("wanted".to_owned()))).await else {
        panic!("there is no such program");
    };
    assert!(what.contains("there is no such program"), "{what}");
}

#[tokio::test]
async fn a_command_that_was_not_declared_is_not_run() {
    for name in ["unknown", "/bin/true", "wanted; true"] {
        let guards = guards(vec![command(&Script::new("exit 0"))]);
        let Answer::Error(what) = guards.ask(job(Guard::Exec(name.to_owned()))).await else { panic!("{name}") };
        assert!(what.contains("is declared on this server"), "{what}");
    }
}

#[tokio::test]
async fn a_command_that_hangs_is_an_error_after_its_time() {
    let script = Script::new("trap '' TERM; while :; do sleep 0.1; done");
    let mut guard = command(&script);
    guard.timeout = Span::from_millis(200);
    guard.command = guard.command.with_grace(Span::from_millis(100));
    let guards = guards(vec![guard]);
    assert!(guards.patience() >= Span::from_secs(5), "http guards may take five seconds");
    let Answer::Error(what) = guards.ask(job(Guard::Exec("wanted".to_owned()))).await else { panic!("it hangs") };
    assert!(what.starts_with("the guard `wanted` took longer than 200ms"), "{what}");
}

#[tokio::test]
async fn guards_that_cannot_be_told_apart_or_wait_too_long_are_refused() {
    let script = Script::new("");
    let new = |commands| HttpAndExecGuards::new(Arc::new(SystemClock::resume(None)), secret(), commands).err().unwrap();
    assert!(new(vec![command(&script), command(&script)]).what.contains("two guards are called `wanted`"));
    let slow = GuardCommand { timeout: Span::from_secs(61), ..command(&script) };
    assert!(new(vec![slow]).what.contains("the guard `wanted`: a timeout of 1m1s"));
    let odd = GuardCommand { name: "two words".to_owned(), ..command(&script) };
    assert!(new(vec![odd]).what.contains("is not a guard's name"));
}

#[tokio::test]
async fn through_the_queue_a_no_skips_an_error_waits_and_a_yes_runs() {
    let app = App::right(200, "sent").await;
    let wanted = Script::new("read line < answer; echo \"$line\"; exit $line");
    let run = Run::Http(HttpHandler { address: app.at("/"), ack: Ack::Job, secret: secret() });
    let guards = Arc::new(guards(vec![command(&wanted)]));
    let bench = Bench::asking(Handler::new(kind(), run), guards);
    let push = async || bench.push_as("null", |job| job.spec.guard = Some(Guard::Exec("wanted".to_owned()))).await;

    fs::write(wanted.path("answer"), "77\n").unwrap();
    let id = push().await;
    let ended = until(async || Some(bench.get(&id).await).filter(|found| found.phase == Phase::Ended)).await.unwrap();
    assert_eq!(ended.skipped().as_deref(), Some("77"));

    fs::write(wanted.path("answer"), "1\n").unwrap();
    let id = push().await;
    let found = bench.ended(&id).await;
    assert_eq!((found.phase, found.job.attempt), (Phase::Checking, 0), "an error is not a no, and costs no attempt");
    assert!(app.seen().is_empty(), "nothing was run yet");

    fs::write(wanted.path("answer"), "0\n").unwrap();
    let ended = until(async || Some(bench.get(&id).await).filter(|found| found.phase == Phase::Ended)).await.unwrap();
    assert_eq!(ended.done().as_deref(), Some("sent"));
    assert_eq!(app.seen().len(), 1);
}
