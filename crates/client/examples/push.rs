//! Pushes one delayed job, looks at it, and calls it off again.
//!
//! ```sh
//! ALOUD_URL=http://127.0.0.1:7420 ALOUD_TOKEN_FILE=/var/lib/aloud/token \
//!     cargo run -p aloud-client --example push
//! ```

use std::time::Duration;

use aloud_client::{Aloud, Became, CalledOff, Error, JobKind};
use serde::{Deserialize, Serialize};

/// Its fields are the payload; the constants say which jobs it is.
#[derive(Serialize, Deserialize)]
struct SendNotice {
    notice: u64,
}

impl JobKind for SendNotice {
    const KIND: &'static str = "notice.send";
    const QUEUE: &'static str = "mail";
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = push_and_call_off().await {
        #[expect(clippy::print_stderr, reason = "an example speaks to a person")]
        {
            eprintln!("error: {error:#}");
        }
        std::process::exit(1);
    }
}

#[expect(clippy::print_stdout, reason = "an example speaks to a person")]
async fn push_and_call_off() -> Result<(), Error> {
    let aloud = Aloud::from_env()?;

    // At most one notice 42 waits; a newer one starts the delay anew.
    let half_an_hour = Duration::from_secs(30 * 60);
    let pushed = aloud.push(&SendNotice { notice: 42 }).in_(half_an_hour).key("notice:42").replace().send().await?;
    match &pushed.became {
        Became::New { replaced: None } => println!("pushed {}", pushed.id),
        Became::New { replaced: Some(old) } => println!("pushed {}, in place of {old}", pushed.id),
        Became::Kept => println!("{} waits already", pushed.id),
        // Only where an id was given, or several jobs were pushed at once.
        Became::Known { .. } | Became::Rejected { .. } => println!("{} is there already", pushed.id),
    }

    if let Some(view) = aloud.job(&pushed.id).await? {
        let due = view.due.map_or_else(String::new, |due| format!(", due {due}"));
        println!("it is {}{due}", view.state.as_str());
    }

    match aloud.cancel_key("mail", "notice:42").await? {
        CalledOff::Yes { id, .. } => println!("called off {id}: it will not start"),
        CalledOff::TooLate { why } => println!("too late: {why}"),
        CalledOff::NoSuchJob => println!("there was nothing to call off"),
    }
    Ok(())
}
