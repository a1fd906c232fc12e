//! What the hosts of a deploy are told next.
//!
//! ```text
//!                    one is gone ─► abort
//!                        ▲
//!  making ─► the others are sealed ─► once ─► all are sealed ─► switch ─┬──────────────────────────► look
//!                                                                       └─ all or none: commit, back ─┘
//! ```
//! Pure: how each host fares comes in, the next word goes out. A word is for all of them, but for `once`, which is for
//! the first.

use crate::deploy::words::Word;

/// A host, as far as it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Part {
    /// What it is called.
    pub(super) host: String,
    pub(super) at: At,
}

/// How far it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum At {
    /// It has not heard yet what it is to do.
    Asked,
    /// It makes the release.
    Making,
    /// The release is whole.
    Sealed { revision: Option<String> },
    /// It has said that it switches.
    Switching,
    /// It was seen to work, and waits for the last word.
    Verified,
    /// It is over.
    Settled { healthy: bool },
    /// It is over, and it was seen how everything is.
    Seen { healthy: bool },
    /// It did not come to that: why, as a clause.
    Failed(String),
    /// The connection was lost.
    Lost { switching: bool },
}

/// What was decided.
#[derive(Default, Debug)]
pub(super) struct Course {
    /// If it works on one host and not on another, none stays.
    all_or_none: bool,
    /// Whether all are to have the same revision.
    one_revision: bool,
    once: bool,
    /// The host that was the first not to get ready.
    pub(super) culprit: Option<String>,
    pub(super) go: Option<Go>,
    last: bool,
    looked: bool,
}

/// Whether they switch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Go {
    Switch,
    Abort(String),
}

impl Course {
    /// Nothing is decided yet.
    pub(super) fn new(all_or_none: bool, one_revision: bool) -> Self {
        Self { all_or_none, one_revision, ..Self::default() }
    }

    /// The next word, if there is one now.
    pub(super) fn next(&mut self, parts: &[Part]) -> Option<Word> {
        match &self.go {
            None => self.before(parts),
            Some(Go::Switch) if self.all_or_none && !self.last => self.last_word(parts),
            Some(Go::Switch | Go::Abort(_)) => self.look(parts),
        }
    }

    /// Somebody wants no more of it. Answers whether there was time.
    pub(super) fn give_up(&mut self, why: &str) -> Option<Word> {
        self.go.is_none().then(|| self.abort(why.to_owned()))
    }

    fn before(&mut self, parts: &[Part]) -> Option<Word> {
        if let Some((host, why)) = parts.iter().find_map(gone) {
            self.culprit = Some(host.to_owned());
            return Some(self.abort(format!("another host is not ready: {host}: {why}")));
        }
        let is_sealed = |part: &Part| matches!(part.at, At::Sealed { .. });
        if parts.iter().all(is_sealed) {
            if let Some(why) = self.one_revision.then(|| several_revisions(parts)).flatten() {
                return Some(self.abort(why));
            }
            self.go = Some(Go::Switch);
            return Some(Word::Switch);
        }
        // A word that overtook the order would not be understood.
        let has_heard = parts.first().is_some_and(|part| part.at != At::Asked);
        if !self.once && has_heard && parts.iter().skip(1).all(is_sealed) {
            self.once = true;
            return Some(Word::Once);
        }
        None
    }

    fn last_word(&mut self, parts: &[Part]) -> Option<Word> {
        let bad = |part: &&Part| match part.at {
            At::Settled { healthy } | At::Seen { healthy } => !healthy,
            At::Failed(_) => true,
            At::Asked | At::Making | At::Sealed { .. } | At::Switching | At::Verified | At::Lost { .. } => false,
        };
        let works = |part: &Part| match part.at {
            At::Verified | At::Settled { .. } | At::Seen { .. } | At::Failed(_) | At::Lost { .. } => true,
            At::Asked | At::Making | At::Sealed { .. } | At::Switching => false,
        };
        if let Some(bad) = parts.iter().find(bad) {
            self.last = true;
            return Some(Word::Back {
                why: format!("it does not work on {}, and it was to be all hosts or none", bad.host),
            });
        }
        if parts.iter().all(works) {
            self.last = true;
            return Some(Word::Commit);
        }
        None
    }

    fn look(&mut self, parts: &[Part]) -> Option<Word> {
        let over = |part: &Part| match part.at {
            At::Settled { .. } | At::Seen { .. } | At::Failed(_) | At::Lost { .. } => true,
            At::Asked | At::Making | At::Sealed { .. } | At::Switching | At::Verified => false,
        };
        if self.looked || !parts.iter().all(over) {
            return None;
        }
        self.looked = true;
        Some(Word::Look)
    }

    fn abort(&mut self, why: String) -> Word {
        self.go = Some(Go::Abort(why.clone()));
        Word::Abort { why }
    }
}

impl At {
    /// Whether nothing more is to be heard from it.
    pub(super) const fn is_over(&self) -> bool {
        match self {
            Self::Seen { .. } | Self::Failed(_) | Self::Lost { .. } => true,
            Self::Asked
            | Self::Making
            | Self::Sealed { .. }
            | Self::Switching
            | Self::Verified
            | Self::Settled { .. } => false,
        }
    }

    /// What becomes of it when its connection ends now.
    pub(super) const fn cut(&self) -> Option<Self> {
        match self {
            Self::Asked | Self::Making | Self::Sealed { .. } => Some(Self::Lost { switching: false }),
            Self::Switching | Self::Verified => Some(Self::Lost { switching: true }),
            // It had said what came of it.
            Self::Settled { healthy } => Some(Self::Seen { healthy: *healthy }),
            Self::Seen { .. } | Self::Failed(_) | Self::Lost { .. } => None,
        }
    }
}

/// Why a host will not get ready.
fn gone(part: &Part) -> Option<(&str, &str)> {
    match &part.at {
        At::Failed(why) => Some((&part.host, why.lines().next().unwrap_or_default())),
        At::Lost { .. } => Some((&part.host, "the connection was lost")),
        At::Asked
        | At::Making
        | At::Sealed { .. }
        | At::Switching
        | At::Verified
        | At::Settled { .. }
        | At::Seen { .. } => None,
    }
}

/// A branch may have moved between the hosts.
fn several_revisions(parts: &[Part]) -> Option<String> {
    let mut known = parts.iter().filter_map(|part| match &part.at {
        At::Sealed { revision: Some(revision) } => Some((&part.host, revision)),
        At::Sealed { revision: None }
        | At::Asked
        | At::Making
        | At::Switching
        | At::Verified
        | At::Settled { .. }
        | At::Seen { .. }
        | At::Failed(_)
        | At::Lost { .. } => None,
    });
    let (host, first) = known.next()?;
    let (other, second) = known.find(|(_, revision)| *revision != first)?;
    Some(format!("the hosts have different revisions: {host} has {first}, and {other} has {second}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(at: &[At]) -> Vec<Part> {
        at.iter().zip(["a", "b", "c"]).map(|(at, host)| Part { host: host.into(), at: at.clone() }).collect()
    }

    fn sealed() -> At {
        At::Sealed { revision: Some("1f".into()) }
    }

    /// The first word after each of these states, one after the other.
    fn words(mut course: Course, states: &[&[At]]) -> Vec<String> {
        let word = |word| match word {
            Word::Abort { why } => format!("abort: {why}"),
            Word::Back { why } => format!("back: {why}"),
            Word::Once => "once".to_owned(),
            Word::Switch => "switch".to_owned(),
            Word::Commit => "commit".to_owned(),
            Word::Look => "look".to_owned(),
            Word::Alive | Word::Chunk { .. } => "nonsense".to_owned(),
        };
        states.iter().map(|state| course.next(&parts(state)).map_or_else(|| "-".to_owned(), word)).collect()
    }

    #[test]
    fn all_are_sealed_before_any_switches_and_what_must_run_once_waits_for_the_others() {
        use At::*;
        let healthy = Settled { healthy: true };
        let course = [
            &[Asked, Making, sealed()][..],
            &[Asked, sealed(), sealed()],
            &[Making, sealed(), sealed()],
            &[Making, sealed(), sealed()],
            &[sealed(), sealed(), sealed()],
            &[Switching, healthy.clone(), sealed()],
            &[healthy.clone(), healthy.clone(), healthy],
        ];
        assert_eq!(words(Course::default(), &course), ["-", "-", "once", "-", "switch", "-", "look"]);
        assert_eq!(words(Course::default(), &[&[Making], &[sealed()]]), ["once", "switch"]);
    }

    #[test]
    fn one_that_is_gone_before_the_switch_stops_all() {
        use At::*;
        let failed = Failed("no room\nmore".into());
        assert_eq!(
            words(Course::default(), &[&[sealed(), failed, Making]]),
            ["abort: another host is not ready: b: no room"]
        );
        assert_eq!(
            words(Course::default(), &[&[sealed(), sealed(), Lost { switching: false }]]),
            ["abort: another host is not ready: c: the connection was lost"]
        );
        let other = Sealed { revision: Some("2e".into()) };
        let course = Course::new(false, true);
        let said = words(course, &[&[sealed(), Sealed { revision: None }, other]]);
        assert_eq!(said, ["abort: the hosts have different revisions: a has 1f, and c has 2e"]);
        let mut course = Course::default();
        assert!(course.next(&parts(&[sealed()])).is_some() && course.give_up("late").is_none());
    }

    #[test]
    fn after_the_switch_each_host_decides_for_itself_unless_it_is_all_or_none() {
        use At::*;
        let bad = || Settled { healthy: false };
        let switched = &[sealed(), sealed(), sealed()][..];
        let one_bad = &[Switching, bad(), Failed("x".into())][..];
        assert_eq!(words(Course::default(), &[switched, one_bad]), ["switch", "-"]);
        let all = || Course::new(true, true);
        let back = "back: it does not work on b, and it was to be all hosts or none";
        assert_eq!(words(all(), &[switched, one_bad, &[bad(), bad(), bad()]]), ["switch", back, "look"]);
        let lost = || Lost { switching: true };
        assert_eq!(
            words(all(), &[switched, &[Verified, Switching, lost()], &[Verified, Verified, lost()]]),
            ["switch", "-", "commit"]
        );
    }
}
