//! `aloud status`: how the server is, in words and as an exit code.

use std::io::{self, Write};

use aloud_client::v1::{LedgerView, Status};
use serde::Serialize;

use crate::age::relative;
use crate::args::StatusArgs;
use crate::exit::Exit;
use crate::remote;
use crate::report::Report;
use crate::settings::Found;

/// Runs the command.
///
/// A server that cannot be asked is critical: not to know is not to be well.
pub(crate) fn run(args: StatusArgs, found: Found) -> Result<Exit, Report> {
    let status = ask(&args, found).map_err(|report| report.ending(Exit::Critical))?;
    let verdict = Verdict::of(&status);
    if args.json {
        remote::print_json(&Judged { verdict, status: &status })?;
    } else {
        io::stdout().lock().write_all(page(&status, verdict).as_bytes())?;
    }
    Ok(verdict.exit())
}

fn ask(args: &StatusArgs, found: Found) -> Result<Status, Report> {
    let api = remote::connect(found, &args.reach)?;
    remote::talk(async { Ok(api.status().await?) })
}

/// What is to be thought of a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// All is as it should be.
    Ok,
    /// Jobs are served, and something is not as it should be.
    Warning,
    /// Jobs are not served, or the count of them is wrong.
    Critical,
}

impl Verdict {
    fn of(status: &Status) -> Self {
        if !status.serving || !status.ledger.adds_up {
            return Self::Critical;
        }
        if status.findings.is_empty() { Self::Ok } else { Self::Warning }
    }

    fn exit(self) -> Exit {
        match self {
            Self::Ok => Exit::Ok,
            Self::Warning => Exit::No,
            Self::Critical => Exit::Critical,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The status as JSON: what the server says, beside what is thought of it.
#[derive(Serialize)]
struct Judged<'a> {
    verdict: Verdict,
    status: &'a Status,
}

fn page(status: &Status, verdict: Verdict) -> String {
    let Status { app, store, version, judged, serving, relaxed, findings, ledger } = status;
    let serves = if *serving { "serving" } else { "NOT SERVING" };
    let mut page = format!(
        "{}: {serves}, app {app}\nserver      aloud {version}, store {store}\njudged      {judged} ({})\n",
        verdict.word(),
        relative(*judged, remote::now().wall),
    );
    if *relaxed {
        page.push_str("durability  relaxed: a power cut may take the last second\n");
    }
    for finding in findings {
        page.push_str(&format!("finding     {finding}\n"));
    }
    page.push_str(&ledger_text(ledger));
    page
}

fn ledger_text(ledger: &LedgerView) -> String {
    let LedgerView {
        pushed,
        waiting,
        running,
        dead,
        done,
        skipped,
        cancelled,
        superseded,
        expired,
        discarded,
        adds_up,
    } = ledger;
    let sum = if *adds_up { "" } else { "            THIS DOES NOT ADD UP: the store has lost count of its jobs\n" };
    format!(
        "jobs        {pushed} pushed = {waiting} waiting + {running} running + {dead} dead\n            \
         + {done} done + {skipped} skipped + {cancelled} cancelled + {superseded} superseded + {expired} expired \
         + {discarded} discarded\n{sum}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        serde_json::from_str(
            r#"{"app":"shop","store":"00ff","version":"0.1.0","judged":"2026-11-23T12:00:00Z","serving":true,
            "findings":[],"ledger":{"pushed":6,"waiting":1,"running":1,"dead":1,"done":1,"skipped":1,"cancelled":1,
            "superseded":0,"expired":0,"discarded":0,"adds_up":true}}"#,
        )
        .unwrap()
    }

    #[test]
    fn what_is_served_with_a_finding_is_a_warning_and_what_is_not_served_is_critical() {
        let fine = status();
        assert_eq!(Verdict::of(&fine), Verdict::Ok);
        let finding = Status { findings: vec!["the disk is nearly full".to_owned()], ..fine.clone() };
        assert_eq!(Verdict::of(&finding), Verdict::Warning);
        assert_eq!(Verdict::of(&Status { serving: false, ..finding }), Verdict::Critical);
        let lost = LedgerView { adds_up: false, ..fine.ledger.clone() };
        assert_eq!(Verdict::of(&Status { ledger: lost, ..fine }), Verdict::Critical);
    }

    #[test]
    fn the_ledger_is_shown_as_the_sum_that_it_is() {
        let lost = LedgerView { adds_up: false, ..status().ledger };
        insta::assert_snapshot!(ledger_text(&lost), @r"
        jobs        6 pushed = 1 waiting + 1 running + 1 dead
                    + 1 done + 1 skipped + 1 cancelled + 0 superseded + 0 expired + 0 discarded
                    THIS DOES NOT ADD UP: the store has lost count of its jobs
        ");
    }
}
