//! The settings, as `aloud.toml` writes them.

use std::collections::BTreeMap;
use std::path::Path;

use runner::config::{Around, GuardConfig, HandlerConfig, guards, handlers};
use runner::{Ack, Handler, Run, Unfit};
use serde::Deserialize;

use crate::bench::secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    handler: Vec<HandlerConfig>,
    #[serde(default)]
    guard: Vec<GuardConfig>,
}

fn read(text: &str) -> Result<Vec<Handler>, Unfit> {
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
    let (secret, env) = (secret(), BTreeMap::new());
    let around = Around { folder: Path::new("/srv/notice"), secret: &secret, env: &env, code: None };
    guards(&file.guard, around)?;
    handlers(&file.handler, around)
}

fn misread(text: &str) -> String {
    toml::from_str::<File>(text).err().expect("it is refused").message().to_owned()
}

#[test]
fn handlers_and_guards_are_read_as_they_are_documented() {
    let handlers = read(
        r#"
        [[handler]]
        kind = "notice.send"
        run = { http = "http://127.0.0.1:8080/jobs/notice", ack = "status" }

        [[handler]]
        kind = "report.make"
        run = { exec = ["bin/report", "--all"], dir = "current", env = { APP_ENV = "production" }, grace = "10s" }
        concurrency = 2
        timeout = "1h"

        [[handler]]
        kind = "notice.mail"
        [handler.run.mail]
        host = "127.0.0.1"
        tls = "none"
        port = 2525
        from = "Shop <shop@example.com>"
        to = "{{ name }} <{{ email }}>"
        subject = "{{ title }}"
        text = "Hello {{ name }}"

        [[guard]]
        name = "wanted"
        command = ["php", "artisan", "notice:wanted"]
        dir = "current"
        timeout = "3s"
        "#,
    )
    .unwrap();
    let [http, exec, mail] = &handlers[..] else { panic!("{handlers:?}") };
    assert!(matches!(http.run(), Run::Http(http) if http.ack == Ack::Status));
    assert_eq!((http.concurrency(), http.timeout().to_string().as_str()), (10, "30s"));
    assert!(matches!(exec.run(), Run::Exec(_)));
    assert_eq!((exec.concurrency(), exec.timeout().to_string().as_str()), (2, "1h"));
    assert!(matches!(mail.run(), Run::Mail(_)));
    assert_eq!(mail.timeout().to_string(), "1m");
    let shown = format!("{handlers:?}");
    assert!(!shown.contains("0123456789") && !shown.contains("production"), "nothing that may be secret is shown");
    assert!(shown.contains("APP_ENV"), "{shown}");
}

#[test]
fn what_does_not_fit_is_refused_and_names_the_handler() {
    let refused = |run: &str| {
        let text = format!("[[handler]]\nkind = \"a.b\"\nrun = {{ {run} }}");
        let error = read(&text).unwrap_err();
        assert!(error.what.starts_with("the handler of `a.b`: "), "{error}");
        error.what["the handler of `a.b`: ".len()..].to_owned()
    };
    assert_eq!(refused(""), "`run` does not say how");
    assert_eq!(refused(r#"http = "http://a/", exec = ["a"]"#), "`run` does not say how");
    assert_eq!(refused(r#"http = "http://a/", dir = "/""#), "`dir` does not go with `http`");
    assert_eq!(refused(r#"exec = ["a"], ack = "status""#), "`ack` does not go with `exec`");
    assert_eq!(refused("exec = []"), "the command is empty");
    assert!(refused(r#"exec = ["a"], grace = "2m""#).contains("`grace` is 2m"));
    assert!(refused(r#"exec = ["a"], env = { "A=B" = "c" }"#).contains("cannot be set in the environment"));
    assert!(refused(r#"exec = ["a"], env = { ALOUD_JOB = "c" }"#).contains("cannot be set in the environment"));
    assert!(refused(r#"http = "file:///etc/passwd""#).starts_with("`http`: it is not an address"));
    assert!(refused(r#"http = "http://u:p@a/""#).starts_with("`http`: it holds a user name"));
    assert!(refused(r#"http = "http://a/", secret_file = "nowhere""#).contains("/srv/notice/nowhere"));
    let mail = r#"mail = { host = "mail.example.com", from = "a@b.c", to = "a@b.c", subject = "x", text = "x""#;
    assert!(refused(&format!("{mail}, tls = \"none\" }}")).contains("in plain text"));
    assert!(refused(&format!("{mail}, text_file = \"x\" }}")).contains("both `text` and `text_file`"));
    assert!(refused(&format!("{mail}, ca_file = \"x\" }}")).contains("/srv/notice/x"));
}

#[test]
fn numbers_out_of_range_and_kinds_done_twice_are_refused() {
    let one = "[[handler]]\nkind = \"a.b\"\nrun = { exec = [\"a\"] }\n";
    let refused = |text: String| read(&text).unwrap_err().what;
    assert_eq!(refused(format!("{one}{one}")), "two handlers do the jobs of kind `a.b`");
    assert_eq!(refused(format!("{one}concurrency = 0")), "the handler of `a.b` has a concurrency of 0");
    assert_eq!(refused(format!("{one}concurrency = 1001")), "the handler of `a.b` has a concurrency of 1001");
    assert_eq!(refused(format!("{one}timeout = \"0s\"")), "the handler of `a.b` has a timeout of 0s");
    assert_eq!(refused(format!("{one}timeout = \"25h\"")), "the handler of `a.b` has a timeout of 1d1h");
    let guard = "[[guard]]\nname = \"wanted\"\ncommand = []".to_owned();
    assert_eq!(refused(guard), "the guard `wanted`: the command is empty");
}

#[test]
fn unknown_keys_are_refused_with_those_that_are_known() {
    let handler = |more: &str| misread(&format!("[[handler]]\nkind = \"a\"\n{more}"));
    assert!(
        handler("run = { http = \"http://a/\" }\nconcurency = 3")
            .contains("unknown field `concurency`, expected one of `kind`")
    );
    assert!(handler("run = { url = \"http://a/\" }").contains("unknown field `url`"));
    assert!(handler("run = { http = \"http://a/\", ack = \"maybe\" }").contains("unknown variant `maybe`"));
    assert!(handler("run = { mail = { host = \"a\", form = \"b\" } }").contains("unknown field `form`"));
    assert!(handler("run = { mail = { to = 3 } }").contains("an address, or a list of them"));
    assert!(misread("[[guard]]\nname = \"a\"\ncommand = [\"b\"]\nshell = true").contains("unknown field `shell`"));
}
