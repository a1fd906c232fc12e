//! `aloud push`: pushes one job.

use std::io::{self, Read, Write};

use aloud_client::v1::{PushJob, PushedJob};
use job::{Outcome, Payload, Phase};
use serde_json::value::RawValue;

use crate::args::push::PushArgs;
use crate::exit::Exit;
use crate::remote;
use crate::report::Report;
use crate::settings::Found;

/// Runs the command.
pub(crate) fn run(args: PushArgs, found: Found) -> Result<Exit, Report> {
    let json = args.json;
    let api = remote::connect(found, &args.reach)?;
    let job = job(args)?;
    // The server says the same; here it is said before anything is sent.
    job.clone().into_new_job(remote::now()).map_err(|refused| {
        Report::usage(format!("the job cannot be pushed: {refused}"), "`aloud push --help` tells what is accepted")
    })?;
    let delayed = job.in_.is_some() || job.at.is_some();
    let pushed = remote::talk(async { Ok(api.push(&job).await?) })?;
    if json {
        remote::print_json(&pushed)?;
        return Ok(Exit::Ok);
    }
    writeln!(io::stdout(), "{}", pushed.id)?;
    writeln!(io::stderr(), "{}", what_became(&pushed, delayed))?;
    Ok(Exit::Ok)
}

fn job(args: PushArgs) -> Result<PushJob, Report> {
    let payload = match args.payload.as_deref() {
        None => None,
        Some("-") => Some(payload(&read_stdin()?)?),
        Some(text) => Some(payload(text.as_bytes())?),
    };
    Ok(PushJob {
        queue: args.queue,
        payload,
        in_: args.in_,
        at: args.at,
        key: args.key,
        on_conflict: args.on_conflict.map(Into::into),
        guard: args.guard.map(|guard| guard.0),
        priority: args.priority,
        expires_in: args.expires_in,
        id: args.id,
        ..PushJob::new(args.kind)
    })
}

fn read_stdin() -> Result<Vec<u8>, Report> {
    let mut bytes = Vec::new();
    // One more than is allowed, so that what is too long is seen to be.
    let most = Payload::MAX_BYTES as u64 + 1;
    io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(|error| {
        Report::usage(format!("cannot read the payload from stdin: {error}"), "give the JSON as an argument instead")
    })?;
    Ok(bytes)
}

/// A payload, byte for byte, if it is JSON of a fair size.
fn payload(bytes: &[u8]) -> Result<Box<RawValue>, Report> {
    if bytes.len() > Payload::MAX_BYTES {
        return Err(Report::usage(
            format!("the payload has more than {} bytes", Payload::MAX_BYTES),
            "store large data elsewhere and push a reference to it",
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        Report::usage(
            format!("the payload is not JSON: {error}"),
            "quote it for the shell, such as '{\"to\": \"ute@example.org\"}', or pass `-` and give it on stdin; text \
             needs quotes of its own: '\"text\"'",
        )
    })
}

/// Whether it is new, for the person who typed it.
fn what_became(pushed: &PushedJob, delayed: bool) -> String {
    if pushed.known {
        let now = match (pushed.outcome, pushed.state) {
            (Some(outcome), _) => format!("ended as {}", outcome.as_str()),
            (None, Some(phase)) => format!("is {}", phase.as_str()),
            (None, None) => "has not ended".to_owned(),
        };
        return format!("not new: a job with this id was pushed before, and {now}");
    }
    if pushed.kept {
        return "not new: this job was waiting with the same key, and was kept".to_owned();
    }
    let replaced = match &pushed.replaced {
        Some(id) => format!("; it replaced {id}, which ended as {}", Outcome::Superseded.as_str()),
        None => String::new(),
    };
    let state = pushed.state.map_or(if delayed { "scheduled" } else { "ready" }, Phase::as_str);
    format!("new, {state}{replaced}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_kept_byte_for_byte() {
        let text = r#" {"b":1.0, "a" : 1e3,"a":2} "#;
        assert_eq!(payload(text.as_bytes()).unwrap().get(), text.trim());
    }

    #[test]
    fn what_is_not_json_is_told_before_anything_is_sent() {
        insta::assert_snapshot!(payload(b"{to: ute}").unwrap_err(), @r#"
        error: the payload is not JSON: key must be a string at line 1 column 2
          Nothing was sent, and nothing was changed.
        hint: quote it for the shell, such as '{"to": "ute@example.org"}', or pass `-` and give it on stdin; text needs quotes of its own: '"text"'
        "#);
        assert!(payload(b"").is_err());
        assert!(payload(b"\xff\xfe").is_err());
        assert!(payload(&vec![b'1'; Payload::MAX_BYTES + 1]).unwrap_err().happened.contains("1048576"));
    }

    #[test]
    fn it_is_told_whether_the_job_is_new() {
        let pushed = PushedJob {
            id: "j1".into(),
            state: Some(Phase::Scheduled),
            kept: false,
            known: false,
            outcome: None,
            replaced: None,
            rejected: None,
        };
        let tell = |pushed: PushedJob| what_became(&pushed, true);
        assert_eq!(tell(pushed.clone()), "new, scheduled");
        assert_eq!(
            tell(PushedJob { replaced: Some("j0".into()), ..pushed.clone() }),
            "new, scheduled; it replaced j0, which ended as superseded"
        );
        assert_eq!(
            tell(PushedJob { kept: true, ..pushed.clone() }),
            "not new: this job was waiting with the same key, and was kept"
        );
        assert_eq!(
            tell(PushedJob { known: true, outcome: Some(Outcome::Done), ..pushed }),
            "not new: a job with this id was pushed before, and ended as done"
        );
    }
}
