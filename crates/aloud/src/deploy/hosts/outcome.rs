//! What came of it, host by host.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::course::{At, Course, Go};
use crate::deploy::progress::shown;
use crate::deploy::told::indented;
use crate::exit::Exit;
use crate::report::Report;
use crate::table::Table;

/// How it ended on a host.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: String,
    pub(super) at: At,
    /// The release that was to become current.
    pub(super) release: Option<String>,
    /// What it told, as `--json` shows it.
    pub(super) told: Option<Value>,
    pub(super) seen: Option<Seen>,
    pub(super) error: Option<Report>,
}

/// How everything was on a host afterwards.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) verdict: Value,
    pub(super) red: bool,
    pub(super) text: String,
}

impl Default for End {
    fn default() -> Self {
        Self { host: String::new(), at: At::Asked, release: None, told: None, seen: None, error: None }
    }
}

/// Tells it. Where nothing was switched anywhere, that is an error like on one
/// host.
pub(super) fn tell(ends: &[End], course: &Course, json: bool) -> Result<Exit, Report> {
    let is_ok = |end: &End| end.word(course) == "healthy" && end.seen.as_ref().is_none_or(|seen| !seen.red);
    if json {
        let hosts: Vec<_> = ends.iter().map(|end| end.json(course)).collect();
        crate::remote::print_json(&json!({ "ok": ends.iter().all(is_ok), "hosts": hosts }))?;
    } else {
        let mut table = Table::new(&["host", "outcome", "release", "before"]);
        for end in ends {
            let cell = |key| end.text(key).unwrap_or_default().to_owned();
            let release = end.text("release").or(end.release.as_deref()).unwrap_or_default().to_owned();
            table.row(vec![end.host.clone(), end.word(course).replace('_', " "), release, cell("was")]);
        }
        table.print()?;
        let mut stdout = io::stdout().lock();
        for end in ends {
            end.explain(course, &mut stdout)?;
        }
    }
    match &course.go {
        Some(Go::Abort(why)) => Err(nothing_switched(ends, course, why)),
        Some(Go::Switch) | None => Ok(if ends.iter().all(is_ok) { Exit::Ok } else { Exit::Critical }),
    }
}

fn nothing_switched(ends: &[End], course: &Course, why: &str) -> Report {
    const MEANS: &str = "Nothing was switched on any host.";
    let culprit = ends.iter().find(|end| course.culprit.as_ref() == Some(&end.host));
    match culprit.and_then(|end| Some((&end.host, end.error.as_ref()?))) {
        Some((host, error)) => {
            Report::new(error.exit, format!("{host}: {}", error.happened), MEANS, error.hint.clone())
        }
        None => Report::new(Exit::No, why, MEANS, "see why, and try again"),
    }
}

impl End {
    /// How it ended, as `--json` names it.
    fn word(&self, course: &Course) -> &str {
        match &self.at {
            At::Settled { .. } | At::Seen { .. } => self.text("ended").unwrap_or("unknown"),
            At::Failed(_) if course.go == Some(Go::Switch) => "failed",
            At::Failed(_) => "not_switched",
            At::Lost { switching: true } => "lost",
            At::Lost { switching: false } if course.go == Some(Go::Switch) => "unknown",
            At::Lost { switching: false } => "not_switched",
            At::Asked | At::Making | At::Sealed { .. } | At::Switching | At::Verified => "unknown",
        }
    }

    /// What there is to say beyond that.
    fn explain(&self, course: &Course, out: &mut impl Write) -> io::Result<()> {
        // The one that stopped it is told as the error, and the others only heard of it.
        if let Some(Go::Abort(why)) = &course.go {
            let heard = self.error.as_ref().is_some_and(|error| error.happened.contains(why));
            if heard || course.culprit.as_ref() == Some(&self.host) {
                return Ok(());
            }
        }
        let why = match &self.at {
            At::Settled { healthy } | At::Seen { healthy } => match self.text("why") {
                Some(why) => why.to_owned(),
                None if *healthy => String::new(),
                None => "it does not work".to_owned(),
            },
            At::Failed(why) => match (&self.error, course.go == Some(Go::Switch)) {
                (Some(error), true) => format!("{}\n{}\nhint: {}", error.happened, error.means, error.hint),
                (Some(_) | None, _) => why.clone(),
            },
            At::Lost { .. } => {
                let (happened, hint) = self.lost(course);
                format!("{happened}\nhint: {hint}")
            }
            At::Asked | At::Making | At::Sealed { .. } | At::Switching | At::Verified => String::new(),
        };
        if !why.is_empty() {
            writeln!(out, "\n{}:", self.host)?;
            indented(out, &why.lines().map(shown).collect::<Vec<_>>().join("\n"))?;
        }
        match &self.seen {
            Some(seen) if seen.red => {
                writeln!(out, "\n{} now:", self.host)?;
                indented(out, &seen.text.lines().map(shown).collect::<Vec<_>>().join("\n"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What a lost connection means, and what to do.
    fn lost(&self, course: &Course) -> (String, &'static str) {
        let release = self.release.as_deref().unwrap_or("the release");
        match (&self.at, course.go == Some(Go::Switch)) {
            (At::Lost { switching: true }, _) => (
                format!(
                    "the connection was lost after the switch to release {release}: the host brings it to its end by \
                     itself"
                ),
                "see what came of it with `aloud releases` and `aloud status` there",
            ),
            (_, true) => (
                format!(
                    "the connection was lost when all were told to switch, and whether this one has heard it is not \
                     known. If it has, it brings it to its end by itself; if not, it gives release {release} up"
                ),
                "see what came of it with `aloud releases` there",
            ),
            (_, false) => (
                "the connection was lost before the switch: the host gives it up by itself".to_owned(),
                "see whether `ssh` reaches it, and try again",
            ),
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.told.as_ref()?.get(key)?.as_str()
    }

    fn json(&self, course: &Course) -> Value {
        let mut all = self.told.clone().unwrap_or_else(|| json!({ "release": self.release }));
        all["host"] = json!(self.host);
        all["ended"] = json!(self.word(course));
        if let Some(seen) = &self.seen {
            all["verdict"] = seen.verdict.clone();
        }
        if let At::Lost { .. } = self.at {
            let (happened, hint) = self.lost(course);
            all["error"] = json!({ "happened": happened, "means": "", "hint": hint });
        } else if let Some(Report { happened, means, hint, .. }) = &self.error {
            all["error"] = json!({ "happened": happened, "means": means, "hint": hint });
        }
        all
    }
}
