//! The words of the story, and whether it went as it did in earnest.

use std::io::{self, Write};

use super::mails::{Sums, Window};
use crate::demo::master::RUNNING;

/// How both sides are after a deploy.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Which deploy, from 1.
    pub(super) deploy: u32,
    /// The releases that the other tool's deploy removed.
    pub(super) pruned: Vec<String>,
    /// The mails of the side without aloud.
    pub(super) left: Window,
    /// What its master says.
    pub(super) left_status: String,
    /// What its log says last.
    pub(super) left_said: String,
    /// The mails of aloud's side.
    pub(super) right: Window,
    /// What aloud says.
    pub(super) right_status: String,
}

impl Told {
    /// For people.
    pub(super) fn text(&self) -> String {
        let Self { deploy, pruned, left, left_status, left_said, right, right_status } = self;
        let pruned =
            if pruned.is_empty() { String::new() } else { format!(", which removes release {}", pruned.join(", ")) };
        let why = if left.arrived == 0 {
            format!("\n            its log, where nobody looks: {left_said}")
        } else {
            String::new()
        };
        format!(
            "\ndeploy {deploy}{pruned}\n  master    {}\n            its status: {left_status}{why}\n  aloud     {}\n            its status: {right_status}\n",
            mails(left, *deploy),
            mails(right, *deploy),
        )
    }

    /// What is not as it was in earnest, on the side without aloud, or not as it
    /// should be, on aloud's.
    pub(super) fn otherwise(&self, last: u32) -> Vec<String> {
        let Self { deploy, left, left_status, right, right_status, .. } = self;
        let mut otherwise = Vec::new();
        let expected = if *deploy < last { left.is_all_by(1) } else { left.due > 0 && left.arrived == 0 };
        if !expected {
            otherwise.push(format!("after deploy {deploy} the master's mails were these: {left:?}"));
        }
        if left_status != RUNNING {
            otherwise.push(format!("after deploy {deploy} the master's status was `{left_status}`"));
        }
        if !right.is_all_by(*deploy) {
            otherwise.push(format!("after deploy {deploy} aloud's mails were these: {right:?}"));
        }
        if !right_status.starts_with("ok") {
            otherwise.push(format!("after deploy {deploy} aloud said: {right_status}"));
        }
        otherwise
    }
}

fn mails(window: &Window, current: u32) -> String {
    let Window { due, arrived, releases } = window;
    let by = releases.iter().cloned().collect::<Vec<_>>().join(" and ");
    match arrived {
        0 => format!("{due} mails were due, and NONE arrived: no worker runs"),
        _ if window.is_all_by(current) => format!("{arrived} of {due} mails arrived, sent by release {by}"),
        _ => format!("{arrived} of {due} mails arrived, sent by release {by}: STALE, current is {current}"),
    }
}

/// What there is to know before.
pub(super) fn introduction(deploys: u32, keep: usize) -> String {
    format!(
        "{deploys} deploys, {keep} releases kept, twice at once. Each mail says which release sent it.\n\
         \x20 master    resolved `current` when it started; each deploy tells it to restart its worker\n\
         \x20 aloud     follows `current`; each deploy ends when its workers were seen to run the release\n"
    )
}

/// What became of all mails; `is_as_in_earnest` if the master ended as it did.
pub(super) fn sums(left: &Sums, right: &Sums, is_as_in_earnest: bool) -> String {
    let side = |name: &str, sums: &Sums| {
        let Sums { due, in_time, late, twice, missing, stale } = sums;
        format!("  {name:<8}{due:>5}{in_time:>10}{late:>8}{twice:>8}{missing:>14}{stale:>20}\n")
    };
    let mut text = "\n          mails   in time    late   twice   not arrived   by an old release\n".to_owned();
    text.push_str(&side("master", left));
    text.push_str(&side("aloud", right));
    if is_as_in_earnest {
        text.push_str("\nThe master says that it runs, and its worker cannot start any more: its folder is gone.\n");
    }
    if right.is_whole() {
        text.push_str("Under aloud each mail came once, in time, and from the release that was deployed.\n");
    }
    text
}

/// Tells a part.
pub(super) fn tell(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(due: usize, arrived: usize, releases: &[&str]) -> Window {
        Window { due, arrived, releases: releases.iter().map(|release| (*release).to_owned()).collect() }
    }

    fn told(deploy: u32, left: Window, right: Window) -> Told {
        Told {
            deploy,
            pruned: if deploy == 6 { vec!["1".to_owned()] } else { Vec::new() },
            left,
            left_status: RUNNING.to_owned(),
            left_said: "cannot start ./worker: No such file or directory (os error 2)".to_owned(),
            right,
            right_status: format!("ok, 2 of 2 run release {deploy} and are ready"),
        }
    }

    #[test]
    fn the_story_is_told_in_words_and_figures() {
        let stale = told(3, window(8, 8, &["1"]), window(8, 8, &["3"]));
        let dead = told(6, window(8, 0, &[]), window(8, 8, &["6"]));
        let left = Sums { due: 120, in_time: 90, late: 0, twice: 0, missing: 30, stale: 70 };
        let right = Sums { due: 120, in_time: 120, late: 0, twice: 0, missing: 0, stale: 0 };
        insta::assert_snapshot!([introduction(6, 5), stale.text(), dead.text(), sums(&left, &right, true)].concat());
    }

    #[test]
    fn what_goes_otherwise_is_named() {
        let fine = |told: Told| told.otherwise(6).is_empty();
        assert!(fine(told(1, window(8, 8, &["1"]), window(8, 8, &["1"]))));
        assert!(fine(told(6, window(8, 0, &[]), window(8, 8, &["6"]))));
        assert!(!fine(told(2, window(8, 8, &["2"]), window(8, 8, &["2"]))), "the master followed");
        assert!(!fine(told(6, window(8, 8, &["1"]), window(8, 8, &["6"]))), "the master lives on");
        assert!(!fine(told(2, window(8, 8, &["1"]), window(8, 7, &["2"]))), "aloud lost one");
        assert!(!fine(Told { right_status: "critical".into(), ..told(6, window(8, 0, &[]), window(8, 8, &["6"])) }));
        assert!(!fine(Told { left_status: "not running".into(), ..told(6, window(8, 0, &[]), window(8, 8, &["6"])) }));
    }
}
