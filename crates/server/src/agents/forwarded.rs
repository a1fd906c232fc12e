//! Guards that are commands, asked by an agent on the queue's behalf.

use std::sync::Arc;

use job::{Answer, Clock, Guard, HostName, Job, Span};
use queue::{BoxFuture, Guards};
use tokio::sync::oneshot;
use wire::v1::{AskedJob, GuardQuestion, public_id, raw};

use super::Agents;

/// Hands questions of `exec` guards to an agent that has declared them and
/// reports; no other guard is asked.
#[derive(Clone)]
pub struct Forwarded(Arc<Forwarding>);

struct Forwarding {
    agents: Agents,
    clock: Arc<dyn Clock>,
    patience: Span,
}

impl Forwarded {
    /// Asks by these agents, each for no longer than `patience`: the longest
    /// time that a guard may take, and a second or two for the way.
    pub fn new(agents: Agents, clock: Arc<dyn Clock>, patience: Span) -> Self {
        Self(Arc::new(Forwarding { agents, clock, patience }))
    }
}

impl Guards for Forwarded {
    fn ask(&self, job: Job) -> BoxFuture<'static, Answer> {
        let forwarding = Arc::clone(&self.0);
        Box::pin(async move { forwarding.ask(&job).await })
    }

    fn patience(&self) -> Span {
        self.0.patience
    }
}

impl Forwarding {
    async fn ask(&self, job: &Job) -> Answer {
        let guard = match &job.spec.guard {
            None => return Answer::Yes,
            Some(Guard::Http(_)) => return Answer::Error("agents ask commands, and no addresses".to_owned()),
            Some(Guard::Exec(guard)) => guard,
        };
        let mut asked = match self.agents.ask(guard, job, &*self.clock) {
            Ok(asked) => asked,
            Err(why) => return Answer::Error(why),
        };
        match tokio::time::timeout(self.patience.as_duration(), &mut asked.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Answer::Error(format!(
                "the agent of {} was asked `{guard}` and did not answer within {}",
                asked.host, self.patience
            )),
        }
    }
}

/// A question that waits for its answer; dropped, it is not asked any more.
struct Asked {
    agents: Agents,
    id: u64,
    host: HostName,
    answer: oneshot::Receiver<Answer>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.agents.state().questions.forget(self.id);
    }
}

impl Agents {
    /// Has a guard asked by the agent that has the least to ask, or says why
    /// none can.
    fn ask(&self, guard: &str, job: &Job, clock: &dyn Clock) -> Result<Asked, String> {
        let now = clock.now();
        let mut state = self.state();
        let who_can = state.hosts.iter().filter(|(_, host)| host.asks(guard));
        let fresh = who_can.clone().filter(|(_, host)| host.is_fresh(now)).map(|(name, _)| name);
        let Some(host) = fresh.min_by_key(|name| state.questions.waiting_for(name)).cloned() else {
            let mut silent: Vec<_> = who_can.map(|(name, host)| super::host::silence(name, Some(host))).collect();
            silent.truncate(3);
            return Err(match silent.is_empty() {
                true => format!("no agent that can ask `{guard}` has reported; declare it as a `[[guard]]` there"),
                false => format!("no agent that can ask `{guard}` reports: {}", silent.join(", ")),
            });
        };
        let id = state.number + 1;
        let asked = AskedJob {
            id: public_id(job),
            queue: job.spec.queue.clone(),
            kind: job.spec.kind.clone(),
            key: job.spec.key.clone(),
            payload: raw(&job.spec.payload),
            attempt: job.attempt + 1,
            pushed: job.pushed,
        };
        let question = GuardQuestion { id, guard: guard.to_owned(), job: asked };
        let answer = state.questions.ask(host.clone(), question).ok_or("too many guards are asked already")?;
        state.number = id;
        drop(state);
        self.0.news.send_replace(id);
        Ok(Asked { agents: self.clone(), id, host, answer })
    }
}
