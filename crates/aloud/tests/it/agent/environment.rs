//! What workers are told, and what they are not.

use std::collections::BTreeMap;

use super::site::Site;
use crate::scratch::Server;

#[test]
fn workers_are_told_where_everything_is_and_nothing_that_was_told_to_the_agent() {
    // What it was started with is written down before anything adds to it.
    let command = "command = [\"sh\", \"-c\", \"cat /proc/$$/environ > $BOOK.env; exec python3 work.py\"]";
    let mut site =
        Site::new("", &format!("{command}\ncount = 1\nqueues = [\"default\", \"mails\"]\nready = \"spoke\""));
    site.scratch.start(&["server", "--init"]).stop();
    let mut command = site.scratch.aloud(&["up"]);
    command.env("SECRET", "of the agent").env("AWS_SECRET_ACCESS_KEY", "of the agent").env("ALOUD_SOMETHING", "else");
    let mut up = Server::start(&site.scratch, command).unwrap_or_else(|said| panic!("{}", said.err));
    up.token_file = site.scratch.path().join("data/token");
    let token = std::fs::read_to_string(&up.token_file).unwrap().trim().to_owned();
    site.up = Some(up);
    for version in ["1", "2"] {
        site.deploy(version).fine();
        let report = site.until_all_on(version, 1);
        let written = std::fs::read_to_string(site.scratch.path().join("book.env")).unwrap();
        let env: BTreeMap<_, _> = written.split_terminator('\0').filter_map(|one| one.split_once('=')).collect();
        let dir = site.scratch.path().display().to_string();
        for (name, value) in [
            ("ALOUD_APP", "shop".to_owned()),
            ("ALOUD_URL", site.up().url.clone()),
            ("ALOUD_TOKEN_FILE", format!("{dir}/data/token")),
            ("ALOUD_RELEASE", version.to_owned()),
            ("ALOUD_WORKER", report.workers[0].id.clone()),
            ("ALOUD_POOL", "mail".to_owned()),
            ("ALOUD_QUEUES", "default,mails".to_owned()),
            ("PWD", format!("{dir}/srv/current")),
        ] {
            assert_eq!(env.get(name), Some(&value.as_str()), "{name}: {env:#?}");
        }
        // Of what the agent was told, nothing but what every program needs.
        let usual =
            ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "BOOK", "PWD"];
        let others: Vec<_> = env
            .keys()
            .filter(|name| !usual.contains(name) && !name.starts_with("ALOUD_") && **name != "NOTIFY_SOCKET")
            .collect();
        assert!(others.is_empty(), "{others:?}");
        assert!(!env.contains_key("ALOUD_SOMETHING"), "{env:#?}");
        assert!(!written.contains("of the agent") && !written.contains(&token), "{written}");
    }
}
