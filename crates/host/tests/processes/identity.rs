//! Which process, and whose child.

use host::process::{ancestors, children, folder_changed, has_terminal, of, started, still_runs, this, variable};
use host::{ProcessId, Seen, machine};
use job::time::SystemClock;
use job::{Clock, Span};

use crate::real::{Running, Tree, kill_uncollected, known};

#[test]
fn a_process_is_known_by_its_number_and_its_start() {
    let own = known(this());
    assert_eq!(own.pid, i32::try_from(std::process::id()).unwrap());
    assert_eq!(of(own.pid), Seen::Known(own));
    assert_eq!(still_runs(own), Seen::Known(()));
    let earlier = ProcessId { start: own.start - 1, ..own };
    assert_eq!(still_runs(earlier), Seen::Gone);
    assert_eq!(ancestors(earlier), Seen::Gone);
    assert_eq!(children(earlier), Seen::Gone);
    assert_eq!(of(i32::MAX), Seen::Gone);
}

#[test]
fn a_process_that_has_ended_does_not_run_even_before_it_is_collected() {
    let mut running = Running::in_folder("/".as_ref());
    let id = running.id;
    assert_eq!(still_runs(id), Seen::Known(()));
    kill_uncollected(&mut running);
    assert_eq!((still_runs(id), of(id.pid)), (Seen::Gone, Seen::Known(id)));
    running.end();
    assert_eq!(still_runs(id), Seen::Gone);
}

#[test]
fn parents_and_children_find_each_other() {
    let running = Running::ready(std::process::Command::new("sh").args(["-c", "sleep 600 & echo ready; wait"]));
    let own = known(this());
    assert!(known(children(own)).contains(&running.id));
    let grandchildren = known(children(running.id));
    assert_eq!(grandchildren.len(), 1);
    let line = known(ancestors(grandchildren[0]));
    assert_eq!(line[..2], [running.id, own]);
    assert_eq!(line.last().map(|eldest| eldest.pid), Some(1));
}

#[test]
fn the_start_of_a_process_is_told_by_the_wall_clock() {
    let clock = SystemClock::resume(None);
    let before = clock.now().wall;
    let running = Running::in_folder("/".as_ref());
    let at = known(started(running.id));
    // The machine tells its own start in whole seconds.
    let near = Span::from_secs(3);
    assert!(at + near > before && clock.now().wall + near > at, "{at} is not near {before}");
    assert!(known(machine::booted()) < at);
}

#[test]
fn one_variable_is_told_and_no_other() {
    let mut command = std::process::Command::new("sleep");
    command.arg("600").env("GROUP", "mail=1").env("GROUPS", "other").env("EMPTY", "");
    let running = Running::start(&mut command);
    let told = |name: &str| known(variable(running.id, name)).map(|value| value.into_string().unwrap());
    assert_eq!(told("GROUP").as_deref(), Some("mail=1"));
    assert_eq!(told("EMPTY").as_deref(), Some(""));
    assert_eq!(told("GROU"), None);
    assert_eq!(variable(ProcessId { start: running.id.start - 1, ..running.id }, "GROUP"), Seen::Gone);
    // Whoever starts it hands on the terminal, or that there is none.
    assert_eq!(has_terminal(running.id), has_terminal(known(this())));
}

#[test]
fn when_a_folder_was_removed_under_a_process_is_told() {
    let tree = Tree::new();
    let release = tree.release("60");
    let running = Running::in_folder(&release.path);
    let before = SystemClock::resume(None).now().wall;
    release.remove();
    let at = known(folder_changed(running.id));
    let near = Span::from_secs(3);
    assert!(at + near > before && before + near > at, "{at} is not near {before}");
}

#[test]
fn the_machine_has_a_name_and_a_boot() {
    assert_eq!(known(machine::boot_id()).len(), 36);
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(known(machine::hostname()).as_str(), name.trim());
}
