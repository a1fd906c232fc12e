//! `aloud demo`, as a person starts, uses and ends it, `--check` and `--story`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::scratch::{PATIENCE, Scratch};

/// A demo that runs on free ports, in a temporary folder below `tmp`.
struct Demo {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    notice: String,
    mailbox: String,
}

impl Demo {
    fn start(scratch: &Scratch, more: &[&str]) -> Self {
        let ports = ["--port=0", "--notice-port=0", "--mailbox-port=0", "--smtp-port=0"];
        Self::start_on(scratch, &[&ports, more].concat())
    }

    fn start_on(scratch: &Scratch, args: &[&str]) -> Self {
        let mut command = scratch.aloud(&[&["demo"], args].concat());
        let mut child = command.env("TMPDIR", tmp(scratch)).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut demo = Self { child, out, notice: String::new(), mailbox: String::new() };
        let banner = demo.read_until("Ctrl-C ends it");
        let address = |name: &str| {
            let line = banner.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
            url.trim_start_matches("http://").trim_end_matches('/').to_owned()
        };
        (demo.notice, demo.mailbox) = (address("notice"), address("mailbox"));
        demo
    }

    /// What it prints, up to the line that holds this.
    fn read_until(&mut self, what: &str) -> String {
        let mut text = String::new();
        while !text.lines().last().is_some_and(|line| line.contains(what)) {
            assert_ne!(self.out.read_line(&mut text).unwrap(), 0, "it ended: {text}");
        }
        text
    }

    fn switch_on(&self, request: u32) {
        let answer = http(&self.notice, "POST", &format!("/requests/{request}/switch"), "on=true");
        assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    }

    /// How many mails the mailbox shows.
    fn mails(&self) -> usize {
        http(&self.mailbox, "GET", "/mails.json", "").matches("\"number\":").count()
    }

    /// The processes that it started.
    fn children(&self) -> Vec<Pid> {
        let pids = children_of(Pid::from_child(&self.child));
        assert!(!pids.is_empty(), "it has started none");
        pids
    }

    /// These, and what they started: the workers are among them.
    fn family(&self) -> Vec<Pid> {
        let mut family = self.children();
        let mut place = 0;
        while place < family.len() {
            family.extend(children_of(family[place]));
            place += 1;
        }
        assert!(family.len() >= 4, "aloud, the application and two workers are not all there: {family:?}");
        family
    }

    /// What the page of the host shows, without its marks.
    fn host(&self) -> String {
        let page = http(&self.mailbox, "GET", "/host", "");
        let (_, now) = page.split_once("<div id=\"now\">").unwrap();
        let words = now.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
        words.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    }

    fn press(&self, button: &str) {
        let answer = http(&self.mailbox, "POST", &format!("/host/{button}"), "");
        assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    }

    /// Waits until the page of the host shows that an act has ended like this.
    fn until_done(&self, how: &str) -> String {
        let mut shown = String::new();
        until(how, || {
            shown = self.host();
            shown.contains(&format!("Done last {how}"))
        });
        shown
    }

    fn end(mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        ended(&mut self.child)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended before; what it started ends with it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn children_of(pid: Pid) -> Vec<Pid> {
    let mut pids = Vec::new();
    // One that has ended has no tasks, and a task may end while it is looked at.
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten() {
        let text = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        pids.extend(text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()));
    }
    pids
}

/// Where its temporary folders go.
fn tmp(scratch: &Scratch) -> PathBuf {
    let tmp = scratch.path().join("tmp");
    std::fs::create_dir_all(&tmp).unwrap();
    tmp
}

fn http(address: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 10 {
        if so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} did not come about");
}

fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("its end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

fn is_gone(pid: Pid) -> bool {
    !Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists()
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn everything_that_the_demo_promises_holds() {
    let scratch = Scratch::new();
    let mut command = scratch.aloud(&["demo", "--check"]);
    command.env("TMPDIR", tmp(&scratch));
    let said = scratch.end(command).fine();
    let last = said.out.lines().last().unwrap();
    assert!(last.starts_with("all ") && last.contains(" held, in "), "{}", said.out);
    assert_eq!(said.out.matches(" s  ok  ").count(), 12, "{}", said.out);
    let took: f64 = last.rsplit(' ').nth(1).unwrap().parse().unwrap();
    assert!(took < 60.0, "{}", said.out);
    assert_eq!(entries(&tmp(&scratch)), 0, "its folder is left behind");
}

#[test]
fn what_does_not_hold_is_named_and_kept_to_be_looked_into() {
    let scratch = Scratch::new();
    let mut command = scratch.aloud(&["demo", "--check"]);
    command.env("TMPDIR", tmp(&scratch)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    assert!(text.contains("everything is started"), "{text}");
    let mut demo = Demo { child, out, notice: String::new(), mailbox: String::new() };
    // Without what it checks, nothing can hold.
    for pid in demo.children() {
        kill_process(pid, Signal::KILL).unwrap();
    }
    demo.out.read_to_string(&mut text).unwrap();
    let mut why = String::new();
    demo.child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
    assert_eq!(ended(&mut demo.child).code(), Some(1), "{text}{why}");
    assert!(text.contains("FAILED  switched on: the mail arrives once"), "{text}");
    assert!(why.contains("killed") || why.contains("did not hold"), "{why}");
    assert_eq!(entries(&tmp(&scratch)), 1, "what can be looked into is kept");
}

#[test]
fn a_signal_ends_everything_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let demo = Demo::start(&scratch, &[]);
        assert!(http(&demo.notice, "GET", "/", "").contains("<title>Notices</title>"));
        assert!(http(&demo.mailbox, "GET", "/", "").contains("<title>Mailbox</title>"));
        assert_eq!(demo.children().len(), 2);
        let family = demo.family();
        assert!(demo.end(signal).success(), "after {signal:?}");
        assert!(family.into_iter().all(is_gone), "after {signal:?}");
        assert_eq!(entries(&tmp(&scratch)), 0, "after {signal:?}");
    }
}

#[test]
fn what_it_started_does_not_outlive_a_demo_that_is_killed() {
    let scratch = Scratch::new();
    let demo = Demo::start(&scratch, &[]);
    let family = demo.family();
    demo.end(Signal::KILL);
    until("the end of what it started", || family.iter().all(|pid| is_gone(*pid)));
}

#[test]
fn what_is_killed_is_started_again_and_its_mail_still_comes_once() {
    let scratch = Scratch::new();
    let mut demo = Demo::start(&scratch, &["--delay=3s"]);
    demo.switch_on(1);
    let page = || http(&demo.notice, "GET", "/", "");
    until("the handing over", || !page().contains("aloud has not taken it yet"));
    for pid in demo.children() {
        kill_process(pid, Signal::KILL).unwrap();
        demo.read_until("was started again");
    }
    until("the mail", || demo.mails() > 0);
    demo.switch_on(2);
    until("the next mail", || demo.mails() > 1);
    assert_eq!(demo.mails(), 2);
    assert!(demo.end(Signal::INT).success());
}

#[test]
fn a_named_folder_is_gone_on_with() {
    let scratch = Scratch::new();
    let demo = Demo::start(&scratch, &["--data=kept", "--delay=2s"]);
    let before = demo.notice.clone();
    demo.switch_on(3);
    assert!(demo.end(Signal::INT).success());
    // Without a word about ports they are what they were.
    let demo = Demo::start_on(&scratch, &["--data=kept"]);
    assert_eq!(demo.notice, before);
    until("the mail", || demo.mails() == 1);
    assert!(demo.end(Signal::INT).success());
    let demo = Demo::start_on(&scratch, &["--data=kept"]);
    assert_eq!(demo.mails(), 1, "mails are kept, and none is sent again");
    assert!(demo.end(Signal::INT).success());

    // The check counts every mail and every job: it wants a folder of its own.
    let said = scratch.run(&["demo", "--check", "--data=kept"]).ends(64);
    assert!(said.err.contains("the folder holds an earlier demo"), "{}", said.err);
}

#[test]
fn the_story_ends_as_it_did_in_earnest_and_aloud_loses_nothing() {
    let scratch = Scratch::new();
    let mut command = scratch.aloud(&["demo", "--story"]);
    command.env("TMPDIR", tmp(&scratch));
    let began = tokio::time::Instant::now();
    let said = scratch.end(command).fine();
    assert!(began.elapsed() < Duration::from_secs(90), "{}", said.out);
    for deploy in 2..=5 {
        let stale = format!("sent by release 1: STALE, current is {deploy}");
        assert!(said.out.contains(&stale) && said.out.contains(&format!("sent by release {deploy}\n")), "{}", said.out);
    }
    let (_, sixth) = said.out.split_once("deploy 6, which removes release 1\n").unwrap();
    assert!(sixth.contains("NONE arrived") && sixth.contains("its status: running"), "{}", said.out);
    assert!(sixth.contains("cannot start ./worker: No such file or directory"), "{}", said.out);
    assert!(sixth.contains("sent by release 6\n") && sixth.contains("Under aloud each mail came once"), "{}", said.out);
    assert_eq!(entries(&tmp(&scratch)), 0, "its folder is left behind");
}

#[test]
fn the_buttons_of_the_host_do_what_they_say() {
    let scratch = Scratch::new();
    let demo = Demo::start(&scratch, &["--delay=1s"]);
    until("the first release", || demo.host().contains("2 of 2 run release 1 and are ready"));
    demo.press("deploy");
    assert!(demo.until_done("done aloud deploy site").contains("release 2 is current and works"), "{}", demo.host());
    demo.switch_on(1);
    until("the mail", || demo.mails() == 1);
    let mails = http(&demo.mailbox, "GET", "/mails.json", "");
    assert!(mails.contains(r#""release":"2","version":2"#), "{mails}");

    demo.press("deploy-broken");
    let shown = demo.until_done("exit code 1 aloud deploy site");
    assert!(shown.contains("worker: cannot load the mail library of this version"), "{shown}");
    assert!(shown.contains("2 of 2 run release 2 and are ready"), "{shown}");

    demo.press("switch-and-delete");
    until("the release that another tool made", || demo.host().contains("2 of 2 run release 4 and are ready"));
    assert!(demo.host().contains("rm -rf releases&#x2f;2"), "{}", demo.host());

    demo.press("rollback");
    assert!(demo.until_done("done aloud rollback").contains("2 of 2 run release 1 and are ready"));

    demo.press("pause");
    assert!(demo.host().contains("The queue is paused by the demo until"), "{}", demo.host());
    demo.switch_on(2);
    // Nothing tells that nothing happens: its time is over, and a little more.
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!(demo.mails(), 1, "a mail of a paused queue went out");
    demo.press("resume");
    until("the mail that waited", || demo.mails() == 2);
    assert!(demo.end(Signal::INT).success());
}

#[test]
fn a_page_from_elsewhere_presses_no_button() {
    let scratch = Scratch::new();
    let demo = Demo::start(&scratch, &[]);
    let press = |head: &str| {
        let mut stream = TcpStream::connect(&demo.mailbox).unwrap();
        let request = format!("POST /host/deploy HTTP/1.1\r\n{head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let here = &demo.mailbox;
    for head in [
        format!("host: {here}\r\norigin: https://evil.example"),
        format!("host: {here}\r\norigin: null"),
        format!("host: {here}\r\nsec-fetch-site: cross-site"),
        "host: evil.example".to_owned(),
    ] {
        let answer = press(&head);
        assert!(answer.starts_with("HTTP/1.1 403"), "{head}: {answer}");
    }
    assert!(!demo.host().contains("aloud deploy site under way"), "{}", demo.host());
    let page = http(&demo.mailbox, "GET", "/host", "");
    assert!(page.contains("form-action 'self'") && page.contains("default-src 'none'"), "{page}");
    assert!(page.contains("referrer-policy: same-origin"), "or browsers would not say where a form comes from: {page}");
    assert!(press(&format!("host: {here}\r\norigin: http://{here}")).starts_with("HTTP/1.1 303"));
    demo.until_done("done aloud deploy site");
    assert!(demo.end(Signal::INT).success());
}

#[test]
fn a_port_that_is_taken_gives_way_unless_it_was_asked_for() {
    let scratch = Scratch::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--smtp-port={}", taken.local_addr().unwrap().port());
    let said = scratch.run(&["demo", "--check", &port]).ends(78);
    assert!(said.err.contains("Address already in use"), "{}", said.err);
}

#[test]
fn somebody_elses_aloud_toml_is_left_alone() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join("mine")).unwrap();
    scratch.write("mine/aloud.toml", "app = \"mine\"\n");
    let said = scratch.run(&["demo", "--check", "--data=mine"]).ends(78);
    assert!(said.err.contains("was not written by the demo"), "{}", said.err);
    assert_eq!(std::fs::read_to_string(scratch.path().join("mine/aloud.toml")).unwrap(), "app = \"mine\"\n");
}
