//! What is refused, and in which words.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use crate::scratch::{Said, Scratch, Server, set_mode};

/// Starts what should not start, and answers what it said.
fn refused(scratch: &Scratch, args: &[&str]) -> Said {
    match Server::start(scratch, scratch.aloud(args)) {
        Ok(server) => panic!("{args:?} started: {}", server.log()),
        Err(said) => said,
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    let scratch = Scratch::new();
    scratch.write("aloud.toml", "app = \"shop\"\n\n[server]\ndata = \"data\"\ndurabilty = \"full\"\n");
    let said = refused(&scratch, &["up"]).ends(78);
    insta::assert_snapshot!(said.err, @r"
    error: DIR/aloud.toml line 5: unknown key `durabilty` in [server]
      Nothing was started, and nothing was sent. Known there: `data`, `http`, `allow_remote`, `allowed_hosts`, `token_file`, `secret_file`, `url`, `durability`, `free_floor`, `keep_ended`, `max_rescues`.
    hint: did you mean `durability`?
    ");
    let said = scratch.run(&["push", "k"]).ends(78);
    assert!(said.err.contains("`durabilty`"), "{}", said.err);
    scratch.write("aloud.toml", "[[handler]]\nkind = \"k\"\nrun = { htpp = \"http://127.0.0.1/\" }\n");
    insta::assert_snapshot!(refused(&scratch, &["up"]).ends(78).err, @r"
    error: DIR/aloud.toml line 3: unknown key `htpp` in `run`
      Nothing was started, and nothing was sent. Known there: `http`, `ack`, `secret_file`, `exec`, `dir`, `env`, `grace`, `mail`.
    hint: did you mean `http`?
    ");
}

#[test]
fn a_store_that_is_not_there_is_not_created_unasked() {
    let scratch = Scratch::new();
    let said = refused(&scratch, &["server", "--data", "data", "--http", "127.0.0.1:0"]).ends(78);
    insta::assert_snapshot!(said.err, @r"
    error: there is no store in `data`
      The server did not start. Nothing was created: an empty store where a full one was expected is how work is lost quietly.
    hint: check the folder (is the disk mounted?); if a new store is wanted there, start with `--init`
    ");
    assert!(!scratch.path().join("data").exists());
    // Nor where the folder is there, and only the store has vanished.
    std::fs::create_dir(scratch.path().join("data")).unwrap();
    let said = refused(&scratch, &["server", "--data", "data", "--http", "127.0.0.1:0"]).ends(78);
    assert!(said.err.contains("--init"), "{}", said.err);
    assert_eq!(std::fs::read_dir(scratch.path().join("data")).unwrap().count(), 0);
}

#[test]
fn a_store_serves_one_process() {
    let scratch = Scratch::new();
    let first = scratch.server();
    let said = refused(&scratch, &["server", "--data", "data", "--http", "127.0.0.1:0"]).ends(78);
    let err = said.err.replace(&first.pid().to_string(), "PID");
    insta::assert_snapshot!(err, @r"
    error: cannot open the store in `data`: the process PID serves it
      The server did not start. No jobs were changed.
    hint: stop that process first, or give this one a `data` folder of its own
    ");
    first.run(&scratch, &["push", "k"]).fine();
    first.stop();
}

#[test]
fn a_store_belongs_to_one_app() {
    let scratch = Scratch::new();
    scratch.start(&["server", "--data", "data", "--init", "--http", "127.0.0.1:0", "--app", "shop"]).stop();
    let said = refused(&scratch, &["server", "--data", "data", "--http", "127.0.0.1:0", "--app", "notice"]).ends(78);
    insta::assert_snapshot!(said.err, @r"
    error: cannot open the store in `data`: it belongs to the app `shop`, and this is `notice`
      The server did not start. No jobs were changed.
    hint: give each app a `data` folder of its own
    ");
    // Who names no app takes the store's; and a client of another is turned away.
    let server = scratch.start(&["server", "--data", "data", "--http", "127.0.0.1:0"]);
    server.run(&scratch, &["push", "k", "--app", "shop"]).fine();
    let said = server.run(&scratch, &["push", "k", "--app", "notice"]).ends(77);
    assert!(said.err.contains("notice") && said.err.contains("shop"), "{}", said.err);
    let status = server.run(&scratch, &["status"]).fine().out;
    assert!(status.contains("app shop") && status.contains("1 pushed"), "{status}");
    server.stop();
}

#[test]
fn what_is_no_store_is_not_served_as_one() {
    let scratch = Scratch::new();
    let server = scratch.server();
    for _ in 0..50 {
        server.run(&scratch, &["push", "k"]).fine();
    }
    server.stop();
    let args = ["server", "--data", "data", "--http", "127.0.0.1:0", "--init"];
    let file = scratch.path().join("data/aloud.db");
    let whole = std::fs::read(&file).unwrap();
    let mut torn = whole.clone();
    for byte in torn.iter_mut().skip(4_096) {
        *byte = 0xaa;
    }
    for broken in [&b"this is not a database, but long enough to be taken for one"[..], &torn] {
        std::fs::write(&file, broken).unwrap();
        let said = refused(&scratch, &args).ends(78);
        assert!(said.err.contains("Its jobs may be lost in part"), "{}", said.err);
        assert_eq!(std::fs::read(&file).unwrap(), broken, "nothing was changed");
    }
    std::fs::write(&file, whole).unwrap();
    let server = scratch.start(&args);
    let status = server.run(&scratch, &["status"]).fine().out;
    assert!(status.contains("50 pushed"), "{status}");
    server.stop();
}

#[test]
fn a_taken_port_is_told_with_what_to_do() {
    let scratch = Scratch::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(&scratch, &["server", "--data", "data", "--init", "--http", &address]).ends(78);
    insta::assert_snapshot!(said.err.replace(&address, "ADDRESS"), @r"
    error: cannot listen on ADDRESS: Address already in use (os error 98)
      The server did not start.
    hint: see who listens there (`ss -ltnp`); if it is another aloud, stop it first, or give this one another address with --http, where port 0 takes a free one
    ");
}

#[test]
fn an_address_that_others_can_reach_needs_to_be_said_twice() {
    let scratch = Scratch::new();
    let said = refused(&scratch, &["server", "--data", "data", "--init", "--http", "0.0.0.0:0"]).ends(78);
    assert!(said.err.contains("--allow-remote"), "{}", said.err);
    assert!(!scratch.path().join("data").exists(), "nothing was created");
    let server = scratch.start(&["server", "--data", "data", "--init", "--http", "0.0.0.0:0", "--allow-remote"]);
    assert!(server.url.starts_with("http://0.0.0.0:"), "{}", server.url);
    server.stop();
}

#[test]
fn a_token_that_others_could_read_is_not_used() {
    let scratch = Scratch::new();
    let server = scratch.server();
    set_mode(&server.token_file, 0o644);
    let said = server.run(&scratch, &["push", "k"]).ends(78);
    insta::assert_snapshot!(said.err, @r"
    error: the token file `DIR/data/token` can be read by others (its mode is 644)
      It is not used, because others may know the token.
    hint: if nobody else read it, run `chmod 600 DIR/data/token`; otherwise delete it and have a new one written
    ");
    server.stop();
    let said = refused(&scratch, &["server", "--data", "data", "--http", "127.0.0.1:0"]).ends(78);
    assert!(said.err.contains("chmod 600"), "{}", said.err);
    set_mode(&scratch.path().join("data/token"), 0o600);
    scratch.server().stop();
}

#[test]
fn a_wrong_token_and_none_at_all_are_turned_away() {
    let scratch = Scratch::new();
    let server = scratch.server();
    let wrong = scratch.write("wrong", &format!("alo_{}\n", "0".repeat(64)));
    set_mode(&wrong, 0o600);
    let said = scratch.run(&["push", "k", "--url", &server.url, "--token-file", "wrong"]).ends(77);
    assert!(said.err.contains("\nhint: "), "{}", said.err);
    let said = scratch.run(&["push", "k", "--url", &server.url]).ends(78);
    insta::assert_snapshot!(said.err, @r"
    error: no token file is named
      The server answers only those who show the app's token. Nothing was sent.
    hint: give --token-file or set ALOUD_TOKEN_FILE (it is `token` in the store's folder), or run this where aloud.toml is
    ");
    server.stop();
}

#[test]
fn the_token_is_nowhere_but_in_its_file() {
    let scratch = Scratch::new();
    let server = scratch.start(&["server", "--data", "data", "--init", "--http", "127.0.0.1:0", "--log", "trace"]);
    let token = std::fs::read_to_string(&server.token_file).unwrap().trim().to_owned();
    let said = server.run(&scratch, &["push", "k", "--log", "trace"]).fine();
    let process = std::fs::read(format!("/proc/{}/environ", server.pid().as_raw_nonzero())).unwrap();
    let command = std::fs::read(format!("/proc/{}/cmdline", server.pid().as_raw_nonzero())).unwrap();
    let log = server.log();
    assert!(log.contains("/v1/jobs"), "the log tells of the request: {log}");
    for text in [&log, &said.err, &said.out, &*String::from_utf8_lossy(&process), &*String::from_utf8_lossy(&command)] {
        assert!(!text.contains(&token), "{text}");
    }
    server.stop();
}

#[test]
fn what_cannot_be_pushed_is_told_before_it_is_sent() {
    let scratch = Scratch::new();
    let server = scratch.server();
    let push = |args: &[&str]| server.run(&scratch, &[&["push"], args].concat()).ends(64);
    insta::assert_snapshot!(push(&["k", "{to: ute}"]).err, @r#"
    error: the payload is not JSON: key must be a string at line 1 column 2
      Nothing was sent, and nothing was changed.
    hint: quote it for the shell, such as '{"to": "ute@example.org"}', or pass `-` and give it on stdin; text needs quotes of its own: '"text"'
    "#);
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    assert!(push(&["k", &deep]).err.contains("levels deep"));
    assert!(push(&["k", "--in=1h", "--at=2026-12-01T09:00:00Z"]).err.contains("cannot be used with"));
    assert!(push(&["k", "--in=soon"]).err.contains("is not a length of time"));
    assert!(push(&["k", "--at=tomorrow"]).err.contains("is not a time"));
    assert!(push(&["k", "--at=10000-01-01T00:00:00Z"]).err.contains("time"));
    assert!(push(&["k", "--queue=ma il"]).err.contains("holds the character ' '"));
    assert!(push(&["k", "--queue=ma\u{7}il"]).err.contains("holds the character"));
    assert!(push(&["k", "--id=j17"]).err.contains("has the form of an id that the server gives"));
    assert!(push(&["k", "--on-conflict=keep"]).err.contains("--key"));
    assert!(push(&["k", "--guard=/bin/true"]).err.contains("exec:"));
    assert!(push(&["k", "--priority=-1"]).err.contains("invalid value"));
    let not_utf8 = scratch.run_with(&server.args(&["push", "k", "-"]), b"\"\xff\"").ends(64);
    assert!(not_utf8.err.contains("is not JSON"), "{}", not_utf8.err);
    let large = format!("\"{}\"", "x".repeat(2 << 20));
    let large = scratch.run_with(&server.args(&["push", "k", "-"]), large.as_bytes()).ends(64);
    assert!(large.err.contains("more than 1048576 bytes"), "{}", large.err);
    let status = server.run(&scratch, &["status"]).fine().out;
    assert!(status.contains("0 pushed"), "{status}");
    server.stop();
}

#[test]
fn a_server_that_is_not_there_or_is_no_aloud_is_told_as_such() {
    let scratch = Scratch::new();
    let token = scratch.write("token", &format!("alo_{}\n", "0".repeat(64)));
    set_mode(&token, 0o600);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let push = |url: &str| scratch.run(&["push", "k", "--url", url, "--token-file", "token"]);

    let garbage = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        let (mut request, mut part) = (Vec::new(), [0; 4_096]);
        while !request.ends_with(b"}") {
            let read = stream.read(&mut part).unwrap();
            request.extend_from_slice(&part[..read]);
        }
        let page = "<html>It works!</html>";
        write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{page}", page.len()).unwrap();
    });
    let said = push(&url).ends(69);
    assert!(said.err.contains("is not aloud's answer"), "{}", said.err);
    garbage.join().unwrap();
    let said = push(&url).ends(69);
    assert!(
        said.err.starts_with("error: cannot reach the server at ") && said.err.contains("\nhint: "),
        "{}",
        said.err
    );
    let said = push("ftp://127.0.0.1").ends(78);
    assert!(said.err.contains("not the address of a server"), "{}", said.err);
}

#[test]
fn nothing_is_overwritten_by_init() {
    let scratch = Scratch::new();
    scratch.run(&["init", "--app", "shop"]).fine();
    let file = std::fs::read_to_string(scratch.path().join("aloud.toml")).unwrap();
    let token = std::fs::read_to_string(scratch.path().join("aloud-data/token")).unwrap();
    let said = scratch.run(&["init", "--app", "other"]).ends(78);
    insta::assert_snapshot!(said.err, @r"
    error: `DIR/aloud.toml` is there already
      It was not touched, and nothing was created.
    hint: edit it, or write another with --config FILE
    ");
    // Without the file, the store and the token that are there are kept.
    std::fs::remove_file(scratch.path().join("aloud.toml")).unwrap();
    let said = scratch.run(&["init", "--app", "other"]).ends(78);
    assert!(said.err.contains("shop"), "{}", said.err);
    assert!(!scratch.path().join("aloud.toml").exists());
    scratch.run(&["init", "--app", "shop"]).fine();
    assert_eq!(std::fs::read_to_string(scratch.path().join("aloud.toml")).unwrap(), file);
    assert_eq!(std::fs::read_to_string(scratch.path().join("aloud-data/token")).unwrap(), token);
}

#[test]
fn up_without_a_configuration_says_how_to_get_one() {
    let scratch = Scratch::new();
    insta::assert_snapshot!(refused(&scratch, &["up"]).ends(78).err, @r"
    error: there is no aloud.toml in `DIR`
      Nothing was started.
    hint: write one with `aloud init`, name one with --config, or start a bare server with `aloud server --data DIR`
    ");
    let said = refused(&scratch, &["up", "--config", "nosuch.toml"]).ends(78);
    assert!(said.err.contains("`nosuch.toml`"), "{}", said.err);
}

#[test]
fn a_handler_that_cannot_work_keeps_the_server_from_starting() {
    let scratch = Scratch::new();
    scratch.write("aloud.toml", "server.data = 'data'\nserver.http = 'off'\n[[handler]]\nkind = 'k'\nrun = {}\n");
    let said = refused(&scratch, &["server", "--init"]).ends(78);
    assert!(said.err.contains("the handler of `k`"), "{}", said.err);
    // And it let go of the store.
    scratch.write("aloud.toml", "server.data = 'data'\nserver.http = 'off'\n");
    scratch.start(&["server"]).stop();
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let scratch = Scratch::new();
    let server = scratch.server();
    server.run(&scratch, &["push", "k"]).fine();
    let mut child =
        scratch.aloud(&server.args(&["jobs"])).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
    assert_eq!(err, "");
    server.stop();
}

#[test]
fn the_help_tells_the_exit_codes_and_a_wrong_command_line_has_its_own() {
    let scratch = Scratch::new();
    let help = scratch.run(&["--help"]).fine().out;
    assert!(help.contains("Exit codes:\n   0  done") && help.contains("\n  69  "), "{help}");
    assert!(scratch.run(&["--version"]).fine().out.starts_with("aloud "));
    scratch.run(&[]).ends(64);
    let said = scratch.run(&["psuh", "k"]).ends(64);
    assert!(said.err.contains("push"), "the nearest is named: {}", said.err);
    scratch.run(&["--log", "nonsense=loud", "jobs"]).ends(64);
}
