//! Trees of other tools, looked at and taken over, with real processes in their
//! releases.

mod grove;

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::scratch::{Scratch, Server, set_mode};
use grove::{Grove, until};

/// The server of the story: a master that had resolved `current`, whose release
/// was pruned, and what else is found on such a day.
fn story() -> Grove {
    let mut grove = Grove::deployers();
    let (root, current) = (grove.root(), grove.root().join("current"));
    grove.switch("60");
    let failures = grove.start_story("STORY");
    grove.switch("65");
    grove.start_supervised("OLD", &current, "master.sh", "horizon");
    grove.switch("66");
    grove.start("WELL", &current, "master.sh");
    let baked = root.join("releases/66/master.sh");
    grove.start("BAKED", std::path::Path::new("/"), baked.to_str().unwrap());
    grove.remove("60");
    until(&failures, |text| text == "3\n");
    grove
}

#[test]
fn the_server_of_the_story_is_told_on_the_first_day() {
    let grove = story();
    let said = grove.check(&[]).ends(2);
    insta::assert_snapshot!(said.out);
    let json: serde_json::Value =
        serde_json::from_str(&grove.scratch.run(&["adopt", "--check", "--json"]).out).unwrap();
    assert_eq!(json["verdict"], "critical");
    let gone = &json["processes"][0];
    assert_eq!((&gone["runs"]["runs"], &gone["runs"]["release"]), (&"gone".into(), &"60".into()));
    assert!(gone["runs"]["removed"].is_string(), "{gone}");
}

#[test]
fn what_a_tree_shows_besides_its_processes_is_told() {
    let grove = Grove::deployers();
    grove.write(".dep/deploy.lock", "deploy\n");
    grove.age(".dep/deploy.lock", 3);
    grove.write("releases/65/BAD_RELEASE", "");
    grove.release("67");
    symlink("releases/67", grove.root().join("release")).unwrap();
    symlink("../../shared/.env", grove.root().join("releases/66/.env")).unwrap();
    symlink("releases/66", grove.root().join("live")).unwrap();
    std::fs::remove_file(grove.root().join("current")).unwrap();
    symlink("live", grove.root().join("current")).unwrap();
    insta::assert_snapshot!(grove.check(&[]).ends(1).out);

    std::fs::remove_file(grove.root().join("current")).unwrap();
    symlink("releases/50", grove.root().join("current")).unwrap();
    let said = grove.check(&["srv/current"]).ends(2);
    let wrong =
        "critical: `current` leads to \"releases/50\", where there is nothing: whatever is started from it fails";
    assert!(said.out.contains(wrong), "{}", said.out);
}

#[test]
fn a_tree_of_capistranos_is_known_from_any_folder_in_a_release() {
    let mut grove = Grove::capistranos();
    let current = grove.root().join("current");
    grove.start("WELL", &current, "master.sh");
    grove.write("current/public/index.html", "");
    let inside = current.join("public");
    assert_eq!(grove.check(&[inside.to_str().unwrap()]).fine().out, grove.check(&["srv"]).fine().out);
    insta::assert_snapshot!(grove.check(&[current.to_str().unwrap()]).fine().out);
}

#[test]
fn a_tree_of_ansistranos_without_processes_is_well() {
    let grove = Grove::ansistranos();
    let said = grove.check(&["srv"]).fine();
    assert!(said.out.starts_with("ok: no process runs from this tree\n"), "{}", said.out);
    assert!(said.out.contains("the tree is of Ansistrano; `current` is release 20260601120000Z"), "{}", said.out);
}

#[test]
fn a_laravel_application_says_where_its_queue_is_and_no_secret() {
    let mut grove = Grove::deployers();
    let secret = "APP_KEY=base64:hush\nREDIS_PASSWORD=hush\nQUEUE_CONNECTION=redis\nREDIS_DB=2\nCACHE_STORE=file\n";
    grove.write("releases/66/.env", secret);
    grove.write("releases/66/artisan", "sleep 600 &\necho $! >\"$CHILD\"\nwait\n");
    std::fs::remove_file(grove.root().join("releases/66/storage")).unwrap();
    std::fs::create_dir_all(grove.root().join("releases/66/storage/framework/cache")).unwrap();
    grove.start_with("QUEUE", &grove.root().join("current"), &["artisan", "queue:work"]);
    let said = grove.check(&[]).ends(1);
    insta::assert_snapshot!(said.out);
    for args in [&["adopt", "--check"][..], &["adopt", "--check", "--json"]] {
        let said = grove.scratch.run(args);
        assert!(!said.out.contains("hush") && !said.err.contains("hush"), "{}", said.out);
    }
}

#[test]
fn the_commands_of_the_page_do_what_it_says() {
    let grove = story();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/adopt.md");
    let page = std::fs::read_to_string(page).unwrap();
    std::fs::remove_file(grove.scratch.path().join("aloud.toml")).unwrap();
    let commands = page.lines().filter_map(|line| line.strip_prefix("$ aloud "));
    let mut codes = Vec::new();
    for command in commands {
        let root = grove.root().display().to_string();
        let args: Vec<_> = command.split_whitespace().map(|word| word.replace("/srv/shop", &root)).collect();
        codes.push(grove.scratch.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).code);
    }
    assert_eq!(codes, [2, 2, 0, 0], "{page}");
}

#[test]
fn a_folder_without_a_tree_is_refused_in_three_parts() {
    let scratch = Scratch::new();
    insta::assert_snapshot!(scratch.run(&["adopt", "--check"]).ends(78).err, @r"
    error: no tree of releases is named, and this folder lies in none
      A tree is a folder with `releases/` and a link `current` to one of them. Nothing was changed.
    hint: name it: `aloud adopt --check /srv/app`
    ");
    insta::assert_snapshot!(scratch.run(&["adopt", "--check", "x"]).ends(78).err, @r"
    error: `DIR/x` is no tree of releases, and lies in none
      A tree is a folder with `releases/` and a link `current` to one of them. Nothing was changed.
    hint: name that folder, or `current`, or a folder inside a release
    ");
}

#[test]
fn a_check_changes_nothing() {
    let grove = story();
    let before = grove.listing();
    for args in [&[][..], &["--json"], &["srv/current"]] {
        grove.check(args).ends(2);
        assert_eq!(grove.listing(), before, "{args:?}");
    }
    assert!(!grove.root().join(".aloud").exists());
}

#[test]
fn needs_strace_a_check_opens_nothing_for_writing() {
    let grove = story();
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=file,desc", "-o"]).arg(trace.path());
    command.arg(env!("CARGO_BIN_EXE_aloud")).args(["adopt", "--check"]).current_dir(grove.scratch.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = std::fs::read_to_string(trace.path()).unwrap();
    assert!(trace.contains("/proc") && trace.contains("releases"), "it was traced: {trace}");
    let changes = ["mkdir", "unlink", "rename", "symlink", "link(", "linkat(", "chmod", "chown", "utime", "truncate"];
    for line in trace.lines() {
        let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        let call = call.strip_prefix("readlink").map_or(call, |_| "");
        let opens =
            call.starts_with("open") && ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| call.contains(flag));
        let changes = changes.iter().any(|change| call.starts_with(change)) || call.starts_with("fallocate");
        assert!(!opens && !changes, "{line}");
    }
}

#[test]
fn needs_root_who_may_not_look_at_others_says_so() {
    let grove = story();
    let aloud = tempfile::Builder::new().prefix("aloud-test-").tempdir().unwrap();
    for folder in [aloud.path(), grove.scratch.path()] {
        set_mode(folder, 0o755);
    }
    let program = aloud.path().join("aloud");
    std::fs::copy(env!("CARGO_BIN_EXE_aloud"), &program).unwrap();
    let before = grove.listing();
    let mut command = Command::new(program);
    // Where no configuration accepts that others are unknown.
    command.args(["adopt", "--check"]).arg(grove.root()).current_dir("/").uid(65_534).gid(65_534);
    let said = grove.scratch.end(command).ends(2);
    assert!(said.out.contains("; some cannot be seen\n"), "{}", said.out);
    assert!(said.out.contains("could not be looked at, and may run from any release"), "{}", said.out);
    assert!(said.out.contains("hint: run this as root\n"), "{}", said.out);
    assert_eq!(grove.listing(), before);
}

#[test]
fn a_tree_is_taken_over_once_and_nothing_in_it_is_touched() {
    let mut grove = Grove::deployers();
    grove.write("releases/66/deploy.php", "set('keep_releases', 7);\n");
    grove.write("shared/.env", "");
    symlink("../../shared/.env", grove.root().join("releases/66/.env")).unwrap();
    grove.start("MASTER", &grove.root().join("current"), "master.sh");
    std::fs::remove_file(grove.scratch.path().join("aloud.toml")).unwrap();
    let before = grove.listing();
    let dry = grove.scratch.run(&["adopt", "srv", "--dry-run"]).fine();
    assert_eq!(grove.listing(), before, "it was only printed");

    let said = grove.scratch.run(&["adopt", "srv"]).fine();
    insta::assert_snapshot!(format!("{}{}", said.out, said.err));
    let written = std::fs::read_to_string(grove.scratch.path().join("aloud.toml")).unwrap();
    assert_eq!(grove.scratch.told(&written), dry.out);
    let file: toml::Table = written.parse().unwrap();
    insta::assert_snapshot!(grove.scratch.told(&toml::to_string(&file).unwrap()));
    assert!(grove.root().join(".aloud").is_dir());
    assert_eq!(std::fs::read_link(grove.root().join("current")).unwrap(), std::path::Path::new("releases/66"));

    let again = grove.scratch.run(&["adopt"]).fine();
    assert!(again.out.starts_with("adopted  DIR/srv, by DIR/aloud.toml\n"), "{}", again.out);
    assert_eq!(std::fs::read_to_string(grove.scratch.path().join("aloud.toml")).unwrap(), written);
    let other = grove.scratch.write("other.toml", "app = 'x'\n");
    let said = grove.scratch.run(&["adopt", "srv", "--config", "other.toml"]).ends(78);
    insta::assert_snapshot!(said.err);
    assert_eq!(std::fs::read_to_string(other).unwrap(), "app = 'x'\n");

    let mut up = grove.scratch.aloud(&["up"]);
    up.env("ALOUD_HTTP", "127.0.0.1:0");
    Server::start(&grove.scratch, up).map_err(|said| said.err).unwrap().stop();
}

#[test]
fn nothing_of_ours_is_put_into_a_release() {
    let grove = Grove::deployers();
    let within = grove.root().join("current");
    let mut command = grove.scratch.aloud(&["adopt", "--config", "current.toml"]);
    command.current_dir(&within);
    let said = grove.scratch.end(command).ends(78);
    assert!(said.err.contains("would lie in a release"), "{}", said.err);
    // Without a word where, it is the root.
    for args in [&["adopt"][..], &["init"]] {
        let mut command = grove.scratch.aloud(args);
        command.current_dir(&within);
        let said = grove.scratch.end(command).fine();
        assert!(said.out.contains("wrote    DIR/srv/aloud.toml\n"), "{}", said.out);
        std::fs::remove_file(grove.root().join("aloud.toml")).unwrap();
        std::fs::remove_dir_all(grove.root().join("aloud-data")).unwrap();
    }
}

#[test]
fn init_writes_what_the_folder_shows() {
    let grove = Grove::deployers();
    grove.write("releases/66/artisan", "");
    let mut command = grove.scratch.aloud(&["init", "--app", "shop"]);
    command.current_dir(grove.root());
    let said = grove.scratch.end(command).fine();
    assert!(
        said.out.starts_with("found    a tree of Deployer in DIR/srv, release 66 current; Laravel\n"),
        "{}",
        said.out
    );
    let written = std::fs::read_to_string(grove.root().join("aloud.toml")).unwrap();
    let file: toml::Table = written.parse().unwrap();
    insta::assert_snapshot!(grove.scratch.told(&toml::to_string(&file["release"]).unwrap()));
    assert!(written.contains("# [[worker]]\n# name = \"queue\"\n# command = [\"php\", \"artisan\", \"queue:work\"]\n"));

    let scratch = Scratch::new();
    scratch.write("Procfile", "web: serve\nmail: bin/mailer --all\n");
    let said = scratch.run(&["init", "--app", "shop"]).fine();
    assert!(said.out.starts_with("found    a Procfile\n"), "{}", said.out);
    let written = std::fs::read_to_string(scratch.path().join("aloud.toml")).unwrap();
    assert!(written.contains("# name = \"mail\"\n# command = [\"bin/mailer\", \"--all\"]\n"), "{written}");
    assert!(!written.contains("\n[release]"), "nothing is known of releases");
}
