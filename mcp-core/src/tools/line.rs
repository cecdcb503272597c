//! A running tool's line to its client.

use std::{any::Any, sync::Arc, time::Duration};

use rmcp::{
    RoleServer,
    model::{ProgressNotification, ProgressNotificationParam, ProgressToken, ServerNotification},
    service::RequestContext,
};

use super::{error::ToolError, target::Target};
use crate::{
    access::Access,
    backend::{Fetched, Question},
    call::{Answered, Call},
    config::BackendName,
    observe::ToolOutcome,
    trace::Trace,
};

/// How often a client that asked for it hears that the backend still works.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// The call that a tool serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    context: &'a RequestContext<RoleServer>,
    call: Option<&'a Call>,
}

impl<'a> Line<'a> {
    pub(crate) fn new(context: &'a RequestContext<RoleServer>) -> Self {
        Self { context, call: Call::of(context) }
    }

    /// What the caller may use; `None` over stdio, where there is nobody to tell from another.
    pub(crate) fn access(self) -> Option<&'a Access> {
        self.call.map(|call| call.caller().access.as_ref())
    }

    /// What was offered when the request began; `None` where that is what is offered now.
    pub(crate) fn offer<T: Any + Send + Sync>(self) -> Option<Arc<T>> {
        self.call?.caller().edition.offer()
    }

    /// Notes what PromQL is asked.
    pub(crate) fn note_query(self, query: &str) {
        if let Some(call) = self.call {
            call.note_query(query);
        }
    }

    /// Notes the range of time that is asked for.
    pub(crate) fn note_times(self, range: Duration, step: Option<Duration>) {
        if let Some(call) = self.call {
            call.note_times(range, step);
        }
    }

    pub(crate) fn note_answered(self, answered: Answered) {
        if let Some(call) = self.call {
            call.note_answered(answered);
        }
    }

    /// The trace that the call belongs to.
    pub(crate) fn trace(self) -> Option<&'a Trace> {
        self.call?.trace()
    }

    pub(crate) fn note_outcome(self, outcome: ToolOutcome) {
        if let Some(call) = self.call {
            call.note_outcome(outcome);
        }
    }

    /// Asks the target's backend, and notes how it answers.
    pub(crate) async fn ask<'b>(
        self,
        target: Target<'b>,
        question: Question<'_>,
    ) -> Result<Fetched<'b>, ToolError> {
        let name = target.backend.name();
        let upstream = self.call.map(|call| {
            call.note_target(name, target.org);
            call.upstream()
        });
        let question = Question { upstream, trace: self.trace(), ..question };
        let fetched = self.wait(target.backend.fetch(&question), target.deadline, name).await?;
        fetched.map_err(|fault| target.failed(fault))
    }

    /// Waits for `work`, which takes `limit` at most, telling the client of it if it asked to be
    /// told, and giving up when the client cancels.
    async fn wait<T>(
        self,
        work: impl Future<Output = T>,
        limit: Duration,
        backend: &BackendName,
    ) -> Result<T, ToolError> {
        tokio::select! { biased;
            done = work => Ok(done),
            () = self.context.ct.cancelled() => Err(ToolError::Cancelled),
            () = self.tell(limit, backend) => Err(ToolError::Cancelled),
        }
    }

    /// Sends progress until it is dropped.
    async fn tell(self, limit: Duration, backend: &BackendName) {
        if let Some(token) = self.context.meta.get_progress_token() {
            let mut waited = Duration::ZERO;
            loop {
                tokio::time::sleep(PROGRESS_EVERY).await;
                waited += PROGRESS_EVERY;
                if !self.notify(progress(token.clone(), waited, limit, backend)).await {
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    }

    /// Whether the client could be told. When it cannot, the work goes on in silence: whoever
    /// drives the call notices a client that is gone.
    async fn notify(self, progress: ProgressNotificationParam) -> bool {
        match self.call {
            Some(call) => {
                let notification = ProgressNotification::new(progress);
                call.notify(ServerNotification::ProgressNotification(notification)).await.is_ok()
            }
            None => self.context.peer.notify_progress(progress).await.is_ok(),
        }
    }
}

fn progress(
    token: ProgressToken,
    waited: Duration,
    limit: Duration,
    backend: &BackendName,
) -> ProgressNotificationParam {
    ProgressNotificationParam::new(token, waited.as_secs_f64())
        .with_total(limit.as_secs_f64())
        .with_message(format!("waiting for backend `{backend}`"))
}

#[cfg(test)]
mod tests;
