//! The tale for people: the verdict, the tree, who runs which release, worst
//! first.

use std::io::{self, Write};

use host::How;
use job::{Timestamp, Verdict};

use super::scene::{Framework, Member, Remark, Runs, Scene};
use crate::age::{relative, rough};
use crate::table::Table;

/// Prints it.
pub(crate) fn print(scene: &Scene) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {}", scene.verdict, summary(scene))?;
    let switched = scene.switched.map_or_else(String::new, |at| format!(", switched {}", relative(at, scene.at)));
    writeln!(out, "{}: the tree is of {}; {}{switched}", scene.root.display(), scene.kind, scene.current_is)?;
    remarks(&mut out, "", &scene.remarks)?;
    if !scene.releases.is_empty() {
        writeln!(out)?;
        out.flush()?;
        releases(scene).print()?;
    }
    let mut group: Option<&Runs> = None;
    let mut line: Vec<(i32, &Runs)> = Vec::new();
    for one in &scene.processes {
        if group.is_none_or(|group| !group.is_like(&one.runs)) {
            group = Some(&one.runs);
            writeln!(out, "\n{}", header(&one.runs, scene))?;
        }
        let like_master = |(pid, runs): &(i32, &Runs)| Some(*pid) == one.child_of && runs.is_like(&one.runs);
        let depth = line.iter().position(like_master).map_or(0, |place| place + 1);
        line.truncate(depth);
        line.push((one.pid, &one.runs));
        process(&mut out, one, depth, scene.at)?;
    }
    if !scene.unseen.is_empty() {
        writeln!(out, "\nnot seen")?;
        remarks(&mut out, "  ", &scene.unseen)?;
    }
    if let Some(framework) = &scene.framework {
        writeln!(out, "\n{}", of_framework(framework))?;
    }
    Ok(())
}

/// The whole in one line.
fn summary(scene: &Scene) -> String {
    let count = |fits: &dyn Fn(&Runs) -> bool| scene.processes.iter().filter(|one| fits(&one.runs)).count();
    let parts = [
        (count(&|runs| matches!(runs, Runs::Gone { .. })), "a release that is gone"),
        (count(&|runs| matches!(runs, Runs::Old { .. } | Runs::Earlier)), "an old release"),
        (count(&|runs| *runs == Runs::Current), "the current release"),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, of)| format!("{count} from {of}")).collect();
    let mut text = if parts.is_empty() {
        "no process runs from this tree".to_owned()
    } else {
        format!("of the processes here run {}", parts.join(", "))
    };
    if scene.unseen.iter().any(|remark| remark.verdict == Verdict::Unknown) {
        text.push_str("; some cannot be seen");
    }
    text
}

fn releases(scene: &Scene) -> Table {
    let mut table = Table::new(&["release", "made", "by", "revision", "state", "processes"]);
    for one in &scene.releases {
        let mark = if one.current { " (current)" } else { "" };
        let state = if one.marks.is_empty() { one.state.to_owned() } else { one.marks.join(", ") };
        table.row(vec![
            format!("{}{mark}", one.id),
            one.made.map_or_else(String::new, |at| relative(at, scene.at)),
            one.by.clone().unwrap_or_default(),
            one.revision.as_deref().map(|text| text.chars().take(10).collect()).unwrap_or_default(),
            state,
            one.processes.to_string(),
        ]);
    }
    table
}

fn header(runs: &Runs, scene: &Scene) -> String {
    match runs {
        Runs::Gone { release, removed } => {
            let release = release.as_deref().unwrap_or("?");
            let when = removed.map_or_else(String::new, |at| format!(", removed {}", relative(at, scene.at)));
            format!("release {release}, which is gone{when}")
        }
        Runs::Old { release } => format!("release {release}, which is not current"),
        Runs::Earlier => "an earlier release: nothing shows which".to_owned(),
        Runs::Current => format!("release {}, the current one", scene.current.as_deref().unwrap_or("?")),
    }
}

fn process(out: &mut impl Write, one: &Member, depth: usize, now: Timestamp) -> io::Result<()> {
    let indent = "  ".repeat(depth + 1);
    writeln!(out, "{indent}{}  {}  {}", one.pid, one.user.as_deref().unwrap_or("?"), one.command())?;
    let since =
        one.since.map_or_else(|| "nobody knows since when".to_owned(), |at| format!("for {}", rough(now.since(at))));
    // Of a child, its master's lines say the rest.
    if depth > 0 {
        writeln!(out, "{indent}    {since}")?;
    } else {
        writeln!(out, "{indent}    {since}, {}; {}", one.origin, ways(one))?;
    }
    remarks(out, &format!("{indent}    "), &one.remarks)
}

/// By which ways a process uses the tree.
fn ways(one: &Member) -> String {
    let mut words: Vec<&str> = one.uses.iter().map(|way| word(way.how)).collect();
    words.dedup();
    let mut seen = std::collections::BTreeSet::new();
    words.retain(|word| seen.insert(*word));
    words.join(", ")
}

fn word(how: How) -> &'static str {
    match how {
        How::Cwd => "working directory",
        How::Root => "root directory",
        How::Exe => "program",
        How::Map => "mapped file",
        How::OpenFile => "open file",
        How::Mount => "mount",
        How::Argument => "argument",
        How::Variable => "variable",
    }
}

fn remarks(out: &mut impl Write, indent: &str, remarks: &[Remark]) -> io::Result<()> {
    for remark in remarks {
        let mark = if remark.verdict == Verdict::Ok { "note" } else { remark.verdict.word() };
        writeln!(out, "{indent}{mark}: {}", remark.what)?;
        if !remark.remedy.is_empty() {
            writeln!(out, "{indent}hint: {}", remark.remedy)?;
        }
    }
    Ok(())
}

fn of_framework(framework: &Framework) -> String {
    let workers: Vec<_> = framework.workers.iter().map(|(command, count)| format!("{count} `{command}`")).collect();
    let workers = if workers.is_empty() { "no queue worker was seen".to_owned() } else { workers.join(", ") };
    let settings = framework.settings.iter().map(|(name, value)| format!("\n  {name}={value}"));
    format!("{}: {workers}{}", framework.name, settings.collect::<String>())
}
