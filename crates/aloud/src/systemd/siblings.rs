//! Whether the units that must run are enabled and active.
//!
//! A unit that runs and is not enabled is gone after the next boot; one that is
//! enabled and does not run is gone now. What cannot be known is never taken
//! for well.

use std::fmt;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::thread::sleep;
use std::time::Duration;

use job::{Span, Verdict};

use crate::exit::Exit;
use crate::report::Report;
use crate::systemd::units::LASTING;

/// What systemd answered about one unit.
#[derive(Clone, PartialEq, Eq, Debug)]
struct State {
    /// In systemd's own word.
    enabled: String,
    /// In systemd's own word.
    active: String,
    restarts: Restarts,
}

/// How often a unit was started again after it had ended by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Restarts {
    /// Since somebody started it.
    count: u32,
    /// How long it has been up.
    up: Span,
}

/// A unit that starts just now is asked again this often, this far apart: a
/// restart is no fault. One that starts again and again does not get through.
const LOOKS: u32 = 20;
const APART: Duration = Duration::from_millis(500);
/// Somebody looks every minute: a restart is seen at least once.
const LATELY: Span = Span::from_secs(75);
/// So many restarts, the last of them lately, are no accident.
const LOOP: u32 = 3;

/// Runs `aloud systemd --check`.
pub(crate) fn run(user_units: bool) -> Result<Exit, Report> {
    let mut worst = Verdict::Ok;
    for unit in LASTING {
        let state = settled(unit, user_units)?;
        let verdict = state.verdict();
        worst = worst.max(verdict);
        tell(unit, &state, verdict, user_units)?;
    }
    Ok(match worst {
        Verdict::Ok => Exit::Ok,
        Verdict::Warning => Exit::No,
        Verdict::Unknown | Verdict::Critical => Exit::Critical,
    })
}

fn tell(unit: &str, state: &State, verdict: Verdict, user_units: bool) -> io::Result<()> {
    let State { enabled, active, restarts } = state;
    writeln!(io::stdout().lock(), "{verdict:<9} {unit}: {enabled}, {active}{restarts}")?;
    if verdict != Verdict::Ok {
        writeln!(io::stderr().lock(), "hint: {}", state.hint(unit, if user_units { " --user" } else { "" }))?;
    }
    Ok(())
}

fn settled(unit: &str, user_units: bool) -> Result<State, Report> {
    let mut looks = 0;
    loop {
        looks += 1;
        let state = State {
            enabled: ask(&["is-enabled", unit], user_units)?,
            active: ask(&["is-active", unit], user_units)?,
            restarts: Restarts {
                count: number(&ask(&["show", "--property=NRestarts", "--value", unit], user_units)?),
                up: up_for(number(&ask(
                    &["show", "--property=ActiveEnterTimestampMonotonic", "--value", unit],
                    user_units,
                )?)),
            },
        };
        if !state.is_on_its_way() || looks == LOOKS {
            return Ok(state);
        }
        sleep(APART);
    }
}

/// The one word that `systemctl` answers; its exit status says no more.
fn ask(question: &[&str], user_units: bool) -> Result<String, Report> {
    let mut command = Command::new("systemctl");
    if user_units {
        command.arg("--user");
    }
    command.args(question).stdin(Stdio::null()).env("LC_ALL", "C");
    let output = command.output().map_err(|error| {
        Report::config(
            format!("cannot ask systemd: systemctl does not start: {error}"),
            "Whether the units are in force is not known.",
            "run this on the host that the units are on",
        )
        .ending(Exit::Critical)
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let word = said.lines().next().unwrap_or_default().trim();
    if !word.is_empty() {
        return Ok(word.to_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().trim().to_owned();
    let missing = why.starts_with("Failed to get unit file state");
    Ok(if missing { "not installed".to_owned() } else { format!("unknown ({why})") })
}

/// What has no such property, as a timer has no restarts, answers nothing.
fn number<T: FromStr + Default>(text: &str) -> T {
    text.parse().unwrap_or_default()
}

fn up_for(since_usec: u64) -> Span {
    let usec = agent::notify::monotonic_usec().saturating_sub(since_usec);
    Span::from_micros(i64::try_from(usec).unwrap_or(i64::MAX))
}

impl Restarts {
    fn verdict(self) -> Verdict {
        match self.count {
            0 => Verdict::Ok,
            _ if self.up > LATELY => Verdict::Ok,
            count if count < LOOP => Verdict::Warning,
            _ => Verdict::Critical,
        }
    }
}

impl fmt::Display for Restarts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return Ok(());
        }
        write!(f, ", restarts by itself: {}, the last {:.0} s ago", self.count, self.up.as_secs_f64())
    }
}

impl State {
    fn verdict(&self) -> Verdict {
        // `enabled-runtime` ends with the next boot, and a unit that is merely
        // linked or static is started by nobody.
        let enabled = match self.enabled.as_str() {
            "enabled" => Verdict::Ok,
            word if word.starts_with("unknown") => Verdict::Unknown,
            _ => Verdict::Critical,
        };
        let active = match self.active.as_str() {
            "active" | "reloading" => Verdict::Ok,
            // It ends within its time, or is killed; then it is inactive.
            "deactivating" => Verdict::Warning,
            word if word.starts_with("unknown") => Verdict::Unknown,
            _ => Verdict::Critical,
        };
        enabled.max(active).max(self.restarts.verdict())
    }

    fn is_on_its_way(&self) -> bool {
        self.active == "activating"
    }

    /// What to do, where `user` is the flag of the user's own systemd.
    fn hint(&self, unit: &str, user: &str) -> String {
        let State { enabled, active, restarts } = self;
        let enable = format!("`systemctl{user} enable --now {unit}`");
        let why = format!("`journalctl{user} -u {unit} -n 50` shows why");
        match (enabled.as_str(), active.as_str()) {
            ("not installed", _) => "install the units with `aloud systemd --install`".to_owned(),
            ("masked" | "masked-runtime", _) => {
                format!("somebody forbade it: `systemctl{user} unmask {unit}`, then {enable}")
            }
            _ if self.verdict() == Verdict::Unknown => "run this where systemd can be asked".to_owned(),
            ("enabled", "failed" | "activating") => format!("it does not get up: {why}"),
            ("enabled", "deactivating") => format!("it is being stopped: `systemctl{user} status {unit}`"),
            ("enabled", _) if restarts.verdict() != Verdict::Ok => format!("it ended by itself: {why}"),
            _ => enable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(enabled: &str, active: &str, restarts: Restarts) -> State {
        State { enabled: enabled.to_owned(), active: active.to_owned(), restarts }
    }

    #[test]
    fn a_unit_that_restarts_by_itself_is_not_well_although_it_is_active() {
        for (count, up, verdict) in [
            (0, 1, Verdict::Ok),
            (1, 10, Verdict::Warning),
            (2, 75, Verdict::Warning),
            (3, 10, Verdict::Critical),
            (900, 2, Verdict::Critical),
            (900, 76, Verdict::Ok),
        ] {
            let restarts = Restarts { count, up: Span::from_secs(up) };
            assert_eq!(state("enabled", "active", restarts).verdict(), verdict, "{restarts:?}");
        }
    }

    #[test]
    fn a_unit_is_well_only_if_it_is_enabled_and_active() {
        for (enabled, active, verdict) in [
            ("enabled", "active", Verdict::Ok),
            ("enabled", "reloading", Verdict::Ok),
            ("enabled", "deactivating", Verdict::Warning),
            ("enabled", "activating", Verdict::Critical),
            ("enabled", "inactive", Verdict::Critical),
            ("enabled", "failed", Verdict::Critical),
            ("disabled", "active", Verdict::Critical),
            ("enabled-runtime", "active", Verdict::Critical),
            ("static", "active", Verdict::Critical),
            ("masked", "inactive", Verdict::Critical),
            ("unknown (Failed to connect to bus)", "active", Verdict::Unknown),
            ("enabled", "unknown", Verdict::Unknown),
            ("not installed", "inactive", Verdict::Critical),
            ("", "", Verdict::Critical),
        ] {
            let state = state(enabled, active, Restarts::default());
            assert_eq!(state.verdict(), verdict, "{enabled} {active}");
        }
    }

    #[test]
    fn what_to_do_follows_from_what_is_so() {
        let hint = |enabled, active, count| {
            let restarts = Restarts { count, up: Span::ZERO };
            state(enabled, active, restarts).hint("aloud-agent.service", "")
        };
        assert_eq!(hint("disabled", "active", 0), "`systemctl enable --now aloud-agent.service`");
        assert_eq!(hint("disabled", "active", 9), "`systemctl enable --now aloud-agent.service`");
        assert_eq!(hint("enabled", "inactive", 0), "`systemctl enable --now aloud-agent.service`");
        assert!(hint("masked", "inactive", 0).contains("`systemctl unmask aloud-agent.service`"));
        assert!(hint("enabled", "activating", 0).contains("`journalctl -u aloud-agent.service"));
        assert!(hint("enabled", "active", 1).contains("ended by itself"));
        assert!(hint("not installed", "inactive", 0).contains("--install"));
        assert!(hint("unknown (no bus)", "unknown", 0).contains("can be asked"));
    }
}
