//! Runs the application, or with `worker` what sends its mails, by itself, as the
//! environment says.

use std::io::Write;
use std::process::ExitCode;

use notice::{program, worker};

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let ended = match args.as_slice() {
        [] => program::run().await,
        ["worker"] => worker::run().await,
        ["worker", "--check"] => worker::check().and_then(say),
        ["worker", ..] => say(worker::HELP),
        _ => say(program::HELP),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If even stderr is gone, the exit code still says it.
            drop(writeln!(std::io::stderr(), "error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: impl AsRef<str>) -> Result<(), program::Failure> {
    Ok(writeln!(std::io::stdout(), "{}", text.as_ref().trim_end())?)
}
