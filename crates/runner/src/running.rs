//! One run of one job, from its lease to its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use job::{Again, Ending, Job, JobError, JobRef, Span};
use queue::{End, Leased, Stale};
use tokio::time::sleep;

use crate::handler::{Handler, Run};
use crate::patience::Patience;
use crate::runner::Shared;

/// How much later a job is run again that was cut because aloud stopped.
pub(crate) const AFTER_A_CUT: Span = Span::from_secs(1);

/// Runs a job, keeps its lease while it runs, and says how it ended.
///
/// A job that is found to be somebody else's by now is dropped where it stands.
pub(crate) async fn run(shared: Arc<Shared>, handler: Arc<Handler>, leased: Leased) {
    let Leased { lease, job, .. } = &leased;
    let id = JobRef::Id(job.id);
    let patience = Patience::new(handler.timeout(), shared.cut.clone());
    let ending = tokio::select! {
        biased;
        done = AssertUnwindSafe(work(&shared, &handler, job, &patience)).catch_unwind() => {
            done.unwrap_or_else(|panic| panicked(&*panic))
        }
        stale = keep(&shared, &leased) => {
            tracing::warn!(job = %job.public_id(), ?stale, "the job is not ours any more; its run was dropped");
            return;
        }
    };
    shared.finisher.finish(End { id, lease: *lease, ending }).await;
}

async fn work(shared: &Shared, handler: &Handler, job: &Job, patience: &Patience) -> Ending {
    match handler.run() {
        Run::Http(http) => http.run(job, shared, patience).await,
        Run::Exec(exec) => exec.run(job, patience).await,
        Run::Mail(mail) => mail.run(job, &shared.store, shared, patience).await,
    }
}

/// Renews the lease for as long as it is polled; returns if it was lost.
async fn keep(shared: &Shared, Leased { lease, job, .. }: &Leased) -> Stale {
    loop {
        sleep(shared.pace.renew.as_duration()).await;
        match shared.queue.extend(JobRef::Id(job.id), *lease, shared.pace.lease).await {
            Ok(Ok(_)) => {}
            Ok(Err(stale)) => return stale,
            // While the store does not answer, nobody else gets the job either.
            Err(error) => tracing::warn!(job = %job.public_id(), %error, "the lease could not be renewed"),
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Ending {
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let message = format!("aloud itself failed while it ran this job; that is a defect: {said}");
    Ending::Failed { error: JobError::new("aloud.panic", message), again: Again::ByPolicy }
}
