//! Works the jobs that the example `push` leaves, until Ctrl-C.
//!
//! ```sh
//! ALOUD_URL=http://127.0.0.1:7420 ALOUD_TOKEN_FILE=/var/lib/aloud/token \
//!     cargo run -p aloud-client --example worker
//! ```

use aloud_client::{Aloud, Ctx, Ending, Error, Failure, JobKind, Worked, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct SendNotice {
    notice: u64,
}

impl JobKind for SendNotice {
    const KIND: &'static str = "notice.send";
    const QUEUE: &'static str = "mail";
}

/// Whatever `?` returns is recorded with the attempt, and the job is tried
/// again as its policy says.
async fn send_notice(job: SendNotice, ctx: Ctx) -> Result<Ending, Failure> {
    if job.notice == 0 {
        return Ok(Ending::skipped("nobody wants notice 0"));
    }
    let address: std::net::SocketAddr = "127.0.0.1:25".parse()?;
    let mail = tokio::net::TcpStream::connect(address).await?;
    let from = mail.local_addr()?;
    Ok(Ending::output(format!("notice {} at attempt {}, from {from}", job.notice, ctx.attempt)))
}

#[tokio::main]
async fn main() {
    let worked = work().await;
    #[expect(clippy::print_stderr, reason = "an example speaks to a person")]
    match worked {
        Ok(Worked { ended, given_back, lost }) => {
            eprintln!("{ended} ended, {given_back} given back, {lost} lost");
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::exit(1);
        }
    }
}

async fn work() -> Result<Worked, Error> {
    Worker::new(Aloud::from_env()?)
        .queues(["mail"])
        .concurrency(4)
        .register::<SendNotice, _>(send_notice)
        .run_until(async {
            // Without a signal to wait for, there is nothing to work until.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await
}
