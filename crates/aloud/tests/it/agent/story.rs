//! The story: six deploys, the release of a master removed, and what is on the
//! host then.

use std::time::Duration;

use job::Verdict;

use super::site::{Site, WORK, of_workers};

/// How soon something that happens under the workers must have been noticed and
/// mended.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn seven_deploys_and_a_prune_leave_every_worker_on_the_newest_release() {
    let mut site = Site::new("keep = 5", "count = 2");
    site.start();
    let mut pushed = Vec::new();
    for version in 1..=7 {
        let said = site.deploy(&version.to_string()).fine();
        assert!(said.out.starts_with(&format!("release {version} is current and works\n")), "{}", said.out);
        pushed.extend(site.push(20));
    }
    let report = site.until_all_on("7", 2);
    assert_eq!(of_workers(&report), (Verdict::Ok, "2 of 2 run release 7 and are ready".to_owned()));
    assert_eq!(site.current().as_deref(), Some("releases/7"));
    assert_eq!(site.releases(), ["3", "4", "5", "6", "7"]);
    site.until_done_once(&pushed);
    site.until_status(0);
}

#[test]
fn a_release_that_is_removed_under_its_workers_is_noticed_and_they_are_moved() {
    let mut site = Site::new("", "count = 2");
    site.start();
    site.deploy("1").fine();
    let pushed = site.push(10);
    // As another tool does it, and as nobody should: switched, and the release
    // that the workers are in removed at once.
    let source = site.source("2", WORK);
    let copied = std::process::Command::new("cp").arg("-r").arg(&source).arg(site.root().join("releases/2")).status();
    assert!(copied.unwrap().success());
    site.switch_by_hand("2");
    std::fs::remove_dir_all(site.root().join("releases/1")).unwrap();
    site.until("moved", SOON, |report| super::site::all_on(report, "2", 2));
    let more = site.push(10);
    let by = site.until_done_once(&[pushed, more.clone()].concat());
    assert!(more.iter().all(|id| by[id] == "2"));
    let seen = std::fs::read_to_string(site.root().join(".aloud/agent/observations.jsonl")).unwrap();
    assert!(seen.contains("in a release that was removed") || seen.contains("in release 1, and current"), "{seen}");
}

#[test]
fn the_current_release_removed_is_red_within_seconds_and_the_next_deploy_heals_it() {
    let mut site = Site::new("", "count = 2");
    site.start();
    site.deploy("1").fine();
    std::fs::remove_dir_all(site.root().join("releases/1")).unwrap();
    let report = site.until("red", SOON, |report| report.verdict == Verdict::Critical);
    let all = format!("{:?}", report.observations);
    assert!(all.contains("which is not there"), "{all}");
    site.until_status(2);
    site.deploy("2").fine();
    site.until_all_on("2", 2);
    site.until_status(0);
}
