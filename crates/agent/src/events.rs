//! What happens to workers, in the agent's log.

use supervisor::{Ended, Event, Held, LastLines};

/// Logs what happened.
pub(crate) fn tell(event: &Event) {
    match event {
        Event::Started { worker, pid, release } => tracing::info!(%worker, pid, release, "a worker was started"),
        Event::Ready { worker, how, verified } => tracing::info!(%worker, %how, verified, "a worker is ready"),
        Event::NotReady { worker, waited, last } => {
            tracing::warn!(%worker, %waited, last = %text(last), "a worker has not become ready");
        }
        Event::Draining { worker } => tracing::info!(%worker, "a worker finishes what it does"),
        Event::Killed { worker, within } => {
            tracing::warn!(%worker, %within, "a worker did not end in its time, and was killed; its jobs come back");
        }
        Event::Ended { worker, ended, last, again } => {
            let Ended { exit, class, lived, jobs, .. } = ended;
            let again = again.map(|span| span.to_string());
            match class {
                supervisor::Class::Asked | supervisor::Class::Finished => {
                    tracing::info!(%worker, %exit, %lived, jobs, again, "a worker has ended");
                }
                supervisor::Class::Failed | supervisor::Class::ReleaseGone => {
                    tracing::warn!(%worker, %exit, %lived, jobs, again, last = %text(last), "a worker has ended");
                }
                supervisor::Class::NotStarted(why) => {
                    tracing::error!(%worker, why, again, "a worker could not be started");
                }
            }
        }
        Event::Alarm { pool, failures, since, ended, last, .. } => {
            let (exit, last) = (ended.exit, text(last));
            tracing::error!(%pool, failures, %since, %exit, %last, "workers keep ending without having finished a job");
        }
        Event::Rolling { pool, generation, release, reason } => {
            tracing::info!(%pool, %generation, release, reason, "workers are being replaced");
        }
        Event::Rolled { pool, generation, release } => {
            tracing::info!(%pool, %generation, release, "all workers are replaced");
        }
        Event::Held { pool, held: Held { why, wanted, serving, last, .. } } => {
            let last = text(last);
            tracing::error!(%pool, wanted, serving, why, %last, "the new workers were given up");
        }
        Event::ReleaseGone { pool, release } => {
            tracing::error!(%pool, release, "the release of running workers was removed");
        }
        Event::NoRelease { why } => tracing::error!(why, "there is no release to start workers from"),
        Event::ReleaseBack { release } => tracing::info!(release, "there is a release again"),
        Event::GuardianRestarted => tracing::warn!("the guardian of the workers had ended, and was started again"),
        Event::NoGuardian { why } => tracing::error!(why, "the guardian of the workers cannot be started"),
        Event::LeftoversEnded { workers } => tracing::warn!(workers, "workers of an earlier life were ended"),
        Event::Degraded { what } => tracing::warn!("{what}"),
        Event::OutputDropped { pool, lines } => {
            tracing::warn!(%pool, lines, "output could not be written, and was dropped")
        }
    }
}

fn text(last: &LastLines) -> String {
    let said = if last.stderr.is_empty() { &last.stdout } else { &last.stderr };
    said[said.len().saturating_sub(5)..].join(" ⏎ ")
}
