//! What a release that became current without a whole deploy still needs: that
//! somebody says it works.
//!
//! A deploy that was cut short after its switch, and one that was held and then
//! healed, leave `current` at a release that nobody has confirmed. The agent
//! sees the workers, so it confirms it once they have been well for a while.

use std::sync::Arc;
use std::time::Duration;

use job::{Clock, Observation, Subject, Verdict};
use release::{Current, Options, State, Tree};
use tokio::time::Instant;

use crate::deploy::OnlyEyes;
use crate::look::Accepted;
use crate::truth::Seen;

/// How long all workers must have been well.
const WELL_FOR: Duration = Duration::from_secs(5);

/// What is waited for.
pub(crate) struct Proofs {
    tree: Arc<Tree>,
    options: Options,
    clock: Arc<dyn Clock>,
    accepted: Accepted,
    well: Option<(String, Instant)>,
    /// A newer program or configuration that cannot be used, and why.
    pub(crate) unfit: Option<String>,
}

impl Proofs {
    pub(crate) fn new(tree: Arc<Tree>, options: Options, clock: Arc<dyn Clock>, accepted: Accepted) -> Self {
        Self { tree, options, clock, accepted, well: None, unfit: None }
    }

    /// Confirms the current release once its workers have been well for long
    /// enough, if it needs that and nobody is at work in the tree.
    pub(crate) async fn settle(&mut self, seen: &Seen, observations: &[Observation]) {
        let crate::truth::Current::Release(current) = &seen.current else {
            self.well = None;
            return;
        };
        let mut pools = observations.iter().filter(|one| matches!(one.subject, Subject::Workers { .. })).peekable();
        if pools.peek().is_none() || !pools.all(|one| one.verdict == Verdict::Ok) {
            self.well = None;
            return;
        }
        match &self.well {
            Some((release, since)) if release == current => {
                if since.elapsed() < WELL_FOR {
                    return;
                }
            }
            Some(_) | None => {
                self.well = Some((current.clone(), Instant::now()));
                return;
            }
        }
        let (tree, options) = (self.tree.clone(), self.options.clone());
        let (clock, accepted) = (self.clock.clone(), self.accepted.clone());
        let confirmed = tokio::task::spawn_blocking(move || {
            confirm(&tree, &options, &OnlyEyes { clock: &*clock, accepted: &accepted })
        });
        let confirmed = confirmed.await;
        match confirmed {
            Ok(Ok(true)) => tracing::info!(release = current, "its workers are well: the release is confirmed"),
            Ok(Ok(false)) | Ok(Err(release::Error::Locked { .. })) => {}
            Ok(Err(error)) => tracing::warn!("{}", error.message().happened),
            Err(error) => tracing::error!(%error, "a release could not be confirmed"),
        }
    }
}

/// Confirms the current release, and answers whether it needed that.
fn confirm(tree: &Tree, options: &Options, eyes: &OnlyEyes<'_>) -> Result<bool, release::Error> {
    let Current::Release { id, .. } = tree.current()? else { return Ok(false) };
    let needs = match tree.release(&id)?.map(|found| found.state) {
        Some(State::Live { .. } | State::Held { .. }) => true,
        // Whoever switched to it was killed before that was written down.
        Some(State::Sealed { .. }) => {
            release::recover(tree, options, eyes)?;
            true
        }
        Some(
            State::Building
            | State::Healthy { .. }
            | State::Failed { .. }
            | State::Aborted { .. }
            | State::RolledBack { .. }
            | State::Found
            | State::Bad { .. },
        )
        | None => false,
    };
    if !needs {
        return Ok(false);
    }
    release::settle(tree, &id, options)
}
