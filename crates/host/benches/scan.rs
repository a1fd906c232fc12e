//! How long it takes to look at all processes, 200 of them in releases.
//!
//! `cargo bench -p aloud-host`

use std::path::Path;
use std::process::{Child, Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};
use host::{Depth, FileId, Targets, scan};
use job::time::SystemClock;

/// Ends what it holds, however it is left.
struct Sleepers(Vec<Child>);

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn sleepers(releases: &[&Path]) -> Sleepers {
    let start = |n: usize| {
        let mut command = Command::new("sleep");
        command.arg("600").current_dir(releases[n % releases.len()]).stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().expect("sleep is installed")
    };
    Sleepers((0..200).map(start).collect())
}

fn scans(c: &mut Criterion) {
    let root = tempfile::tempdir().expect("there is room");
    let root = root.path().canonicalize().expect("it is there");
    let releases = ["65", "66/app/public"].map(|release| root.join(release));
    releases.iter().for_each(|release| std::fs::create_dir_all(release).expect("there is room"));
    let _sleepers = sleepers(&[&releases[0], &releases[1]]);
    let targets = ["65", "66"].map(|name| root.join(name));
    let targets = Targets::new(targets.map(|path| (FileId::of(&path).known().expect("it is there"), path)));
    let clock = SystemClock::resume(None);
    for (name, depth) in [("quick", Depth::Quick), ("full", Depth::Full)] {
        let seen = scan(&targets, depth, &clock);
        let users = seen.processes.iter().filter(|process| !process.uses.is_empty()).count();
        assert!(users >= 200, "only {users} of 200 were found");
        c.bench_function(&format!("{name} of {} processes", seen.processes.len()), |b| {
            b.iter(|| scan(&targets, depth, &clock));
        });
    }
}

criterion_group!(benches, scans);
criterion_main!(benches);
