//! What came of a deploy or a rollback on one host, for people and as JSON.

use std::io::{self, Write};

use release::{Ended, Fate, Outcome};
use serde::Serialize;

use crate::verdict;

/// What came of it, as JSON.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    release: &'a str,
    was: Option<&'a str>,
    ended: &'static str,
    seen: &'a [String],
    why: Option<&'a str>,
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'a verdict::Seen>,
}

impl<'a> Told<'a> {
    pub(super) fn of(outcome: &'a Outcome, verdict: Option<&'a verdict::Seen>) -> Self {
        let (ended, seen, why): (_, &[String], _) = match &outcome.ended {
            Ended::Healthy(seen) => ("healthy", seen, None),
            Ended::Held { why } => ("held", &[], Some(why.as_str())),
            Ended::WentBack { why, .. } => ("went_back", &[], Some(why.as_str())),
        };
        Self {
            release: outcome.release.as_str(),
            was: outcome.was.as_ref().map(|was| was.as_str()),
            ended,
            seen,
            why,
            warnings: &outcome.warnings,
            verdict,
        }
    }
}

/// For people. What warned was said when it came about.
pub(super) fn tell(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    let Outcome { release, was, ended, .. } = outcome;
    match ended {
        Ended::Healthy(seen) => {
            writeln!(out, "release {release} is current and works")?;
            for line in seen {
                writeln!(out, "  {line}")?;
            }
        }
        Ended::Held { why } => {
            writeln!(out, "release {release} is current, and HELD: its workers were given up")?;
            indented(out, why)?;
        }
        Ended::WentBack { why, .. } => {
            let back = was.as_ref().map_or_else(|| "nothing".to_owned(), |was| format!("release {was}"));
            writeln!(out, "release {release} did NOT WORK: `current` leads to {back} again")?;
            indented(out, why)?;
        }
    }
    Ok(())
}

/// Text below what it belongs to.
pub(super) fn indented(out: &mut impl Write, text: &str) -> io::Result<()> {
    text.lines().try_for_each(|line| writeln!(out, "  {line}"))
}

/// What became of older releases, if any is gone.
pub(super) fn pruned(outcome: &Outcome) -> Option<String> {
    let pruning = outcome.pruning.as_ref()?;
    let gone = |fate: &&release::Fated| matches!(fate.fate, Fate::Removed { .. });
    let gone: Vec<_> = pruning.releases.iter().filter(gone).map(|fated| fated.id.as_str()).collect();
    match gone.as_slice() {
        [] => None,
        [one] => Some(format!("release {one} is removed")),
        several => Some(format!("releases {} are removed", several.join(", "))),
    }
}
