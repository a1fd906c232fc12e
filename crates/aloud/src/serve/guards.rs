//! Guards of a server whose commands run on other hosts.

use std::sync::Arc;

use job::{Answer, Guard, Job, Span};
use queue::{BoxFuture, Guards};
use runner::HttpAndExecGuards;
use server::Forwarded;

/// Asks addresses itself, and has commands asked by agents.
pub(super) struct ByAgents {
    pub(super) http: HttpAndExecGuards,
    pub(super) exec: Forwarded,
}

impl Guards for ByAgents {
    fn ask(&self, job: Job) -> BoxFuture<'static, Answer> {
        match job.spec.guard {
            Some(Guard::Exec(_)) => self.exec.ask(job),
            Some(Guard::Http(_)) | None => self.http.ask(job),
        }
    }

    fn patience(&self) -> Span {
        self.http.patience().max(self.exec.patience())
    }
}

impl ByAgents {
    pub(super) fn shared(http: HttpAndExecGuards, exec: Forwarded) -> Arc<dyn Guards> {
        Arc::new(Self { http, exec })
    }
}
