//! The mails of both sides: asked for at the same time, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aloud_client::{Aloud, JobKind};
use job::{Span, Timestamp};
use notice::book::SendNotice;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::demo::check::now;
use crate::demo::mailbox::Letter;
use crate::exit::Exit;
use crate::report::Report;

/// The queue of the side without aloud.
pub(super) const LEFT: &str = "left";
/// How long a mail waits before it is due.
pub(super) const DELAY: Span = Span::from_secs(1);
/// How often each side is asked for a mail.
const EVERY: Duration = Duration::from_millis(250);

/// A mail that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    to: String,
    due: Timestamp,
}

/// What both sides were asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) left: Vec<Asked>,
    pub(super) right: Vec<Asked>,
}

/// Asks both sides for mails, until it is ended.
pub(super) struct Asking {
    lists: Arc<Mutex<Result<Lists, String>>>,
    task: JoinHandle<()>,
}

impl Asking {
    /// Begins.
    pub(super) fn begin(client: aloud_client::Settings) -> Result<Self, Report> {
        let aloud = Aloud::with(client)?;
        let lists = Arc::new(Mutex::new(Ok(Lists::default())));
        let task = tokio::spawn(ask(aloud, lists.clone()));
        Ok(Self { lists, task })
    }

    /// What was asked for so far.
    pub(super) fn asked(&self) -> Result<Lists, Report> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner).clone();
        lists.map_err(|why| {
            Report::new(Exit::No, format!("no mail could be asked for: {why}"), "The story was stopped.", "")
        })
    }

    /// Asks for no more.
    pub(super) async fn end(self) -> Result<Lists, Report> {
        self.task.abort();
        let asked = self.asked();
        drop(self.task.await); // aborted, as it should be
        asked
    }
}

async fn ask(aloud: Aloud, lists: Arc<Mutex<Result<Lists, String>>>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1_u32.. {
        ticks.tick().await;
        for (side, queue) in [("left", LEFT), ("aloud", SendNotice::QUEUE)] {
            let to = format!("{side}-{number}@example.org");
            let notice = SendNotice {
                request: 0,
                title: "A notice of the story".to_owned(),
                recipient: "whoever waits for it".to_owned(),
                to: to.clone(),
            };
            let due = now() + DELAY;
            let pushed = aloud.push(&notice).queue(queue).in_(DELAY).send().await;
            let mut lists = lists.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut *lists, pushed) {
                (Ok(lists), Ok(_)) => {
                    let list = if side == "left" { &mut lists.left } else { &mut lists.right };
                    list.push(Asked { to, due });
                }
                (lists @ Ok(_), Err(error)) => {
                    *lists = Err(error.to_string());
                    return;
                }
                (Err(_), _) => return,
            }
        }
    }
}

/// The mails that fell due in a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// How many.
    pub(super) due: usize,
    /// How many of them arrived.
    pub(super) arrived: usize,
    /// The releases that sent these.
    pub(super) releases: BTreeSet<String>,
}

impl Window {
    /// Those of a side that were due from `from` on and before `to`.
    pub(super) fn of(asked: &[Asked], letters: &[Letter], from: Timestamp, to: Timestamp) -> Self {
        let due: BTreeSet<_> =
            asked.iter().filter(|one| (from..to).contains(&one.due)).map(|one| one.to.as_str()).collect();
        let arrived: Vec<_> = letters.iter().filter(|letter| due.contains(letter.to.as_str())).collect();
        Self {
            due: due.len(),
            arrived: arrived.len(),
            releases: arrived.iter().filter_map(|letter| letter.release.clone()).collect(),
        }
    }

    /// Whether all arrived, and by this release.
    pub(super) fn is_all_by(&self, release: u32) -> bool {
        self.due > 0 && self.arrived == self.due && self.releases == BTreeSet::from([release.to_string()])
    }
}

/// Since when a version was deployed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    pub(super) at: Timestamp,
    pub(super) version: u32,
}

/// What became of all mails of a side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// How many were asked for.
    pub(super) due: usize,
    /// How many arrived in time.
    pub(super) in_time: usize,
    /// How many arrived later.
    pub(super) late: usize,
    /// How many arrived more than once.
    pub(super) twice: usize,
    /// How many did not arrive.
    pub(super) missing: usize,
    /// How many of those that arrived came from a version that was outdated.
    pub(super) stale: usize,
}

impl Sums {
    /// Counts a side's.
    pub(super) fn of(asked: &[Asked], letters: &[Letter], currents: &[Since], in_time: Span) -> Self {
        let mut arrived: BTreeMap<&str, Vec<&Letter>> = BTreeMap::new();
        for letter in letters {
            arrived.entry(&letter.to).or_default().push(letter);
        }
        let mut sums = Self { due: asked.len(), ..Self::default() };
        for one in asked {
            let found = arrived.get(one.to.as_str()).map_or(&[][..], Vec::as_slice);
            let Some(letter) = found.first() else {
                sums.missing += 1;
                continue;
            };
            let at = Timestamp(letter.arrived);
            if at <= one.due + in_time {
                sums.in_time += 1
            } else {
                sums.late += 1
            }
            sums.twice += usize::from(found.len() > 1);
            let current = currents.iter().rev().find(|since| since.at < at).map(|since| since.version);
            sums.stale += usize::from(letter.version < current);
        }
        sums
    }

    /// Whether each arrived once, in time, and by what was deployed then.
    pub(super) fn is_whole(&self) -> bool {
        let Self { due, in_time, late, twice, missing, stale } = self;
        *due > 0 && in_time == due && [late, twice, missing, stale].into_iter().all(|count| *count == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::mailbox::{Envelope, Mail};

    fn asked(to: &str, due: i64) -> Asked {
        Asked { to: to.to_owned(), due: Timestamp(due) }
    }

    fn letter(to: &str, arrived: i64, version: u32) -> Letter {
        let raw = format!("To: {to}\r\nNotice-Release: {version}\r\nNotice-Version: {version}\r\n\r\n");
        Letter::of(&Mail {
            number: 1,
            arrived: Timestamp(arrived),
            envelope: Envelope::default(),
            raw: raw.into_bytes(),
        })
    }

    #[test]
    fn a_mail_is_in_time_late_twice_stale_or_missing() {
        let currents = [Since { at: Timestamp(0), version: 1 }, Since { at: Timestamp(100), version: 2 }];
        let all = [asked("a", 10), asked("b", 20), asked("c", 110), asked("d", 120)];
        let letters = [letter("a", 12, 1), letter("b", 50, 1), letter("c", 111, 1), letter("c", 112, 1)];
        let sums = Sums::of(&all, &letters, &currents, Span::from_micros(5));
        assert_eq!(sums, Sums { due: 4, in_time: 2, late: 1, twice: 1, missing: 1, stale: 1 });
        assert!(!sums.is_whole());
        assert!(Sums::of(&all[..1], &letters, &currents, Span::from_micros(5)).is_whole());
        assert!(!Sums::of(&[], &[], &currents, Span::from_micros(5)).is_whole(), "nothing asked for shows nothing");
    }

    #[test]
    fn what_fell_due_in_a_while_is_counted_by_release() {
        let all = [asked("a", 10), asked("b", 20), asked("c", 30)];
        let seen = Window::of(
            &all,
            &[letter("a", 11, 1), letter("b", 25, 1), letter("c", 31, 2)],
            Timestamp(10),
            Timestamp(30),
        );
        assert_eq!(seen, Window { due: 2, arrived: 2, releases: BTreeSet::from(["1".to_owned()]) });
        assert!(seen.is_all_by(1) && !seen.is_all_by(2));
        assert!(!Window::default().is_all_by(1));
    }
}
