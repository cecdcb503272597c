//! Sends what waits.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::queue::{Chunk, Queue};
use crate::{
    config::Traces,
    metrics::{
        TraceCounters,
        labels::{ExportOutcome, SpanFate},
    },
    otlp::{Client, ClientError, Envelope, Resource, SendError, Signal},
    telemetry::Chain,
};

/// How long spans wait for others to be sent with them.
const LINGER: Duration = Duration::from_secs(1);
/// How often spans are sent that may pass another time.
const TRIES_MAX: u32 = 5;
/// The first pause between tries; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// The task that sends what waits.
#[derive(Debug)]
pub(super) struct Exporter {
    task: Mutex<Option<JoinHandle<()>>>,
    stopping: CancellationToken,
}

impl Exporter {
    pub(super) fn start(
        config: &Traces,
        resource: Resource<'_>,
        queue: &Arc<Queue>,
        counters: TraceCounters,
    ) -> Result<Self, ClientError> {
        let stopping = CancellationToken::new();
        let sender = Sender {
            client: Client::new(&config.receiver)?,
            envelope: Envelope::new(resource),
            queue: Arc::clone(queue),
            counters,
            stopping: stopping.clone(),
            is_down: false,
        };
        let task = Mutex::new(Some(tokio::spawn(sender.run())));
        Ok(Self { task, stopping })
    }

    /// Has everything sent that waits, each request once more at most, and ends after `limit`.
    pub(super) async fn stop(&self, queue: &Queue, limit: Duration) {
        self.stopping.cancel();
        let Some(mut task) = self.task.lock().take() else { return };
        if tokio::time::timeout(limit, &mut task).await.is_err() {
            task.abort();
        }
        let lost = queue.len();
        if lost > 0 {
            tracing::warn!(spans = lost, "the last spans of traces could not be sent");
        }
    }
}

struct Sender {
    client: Client,
    envelope: Envelope,
    queue: Arc<Queue>,
    counters: TraceCounters,
    stopping: CancellationToken,
    /// Whether the log was told that the receiver takes nothing.
    is_down: bool,
}

impl Sender {
    async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.queue.begun() => {}
                () = self.stopping.cancelled() => {}
            }
            tokio::select! {
                () = self.queue.full() => {}
                () = sleep(LINGER) => {}
                () = self.stopping.cancelled() => {}
            }
            while let Some(chunk) = self.queue.next() {
                self.deliver(&chunk).await;
                self.queue.done(chunk.spans);
            }
            if self.stopping.is_cancelled() {
                return;
            }
        }
    }

    async fn deliver(&mut self, chunk: &Chunk) {
        let request = self.envelope.around(&chunk.bytes);
        let mut pause = PAUSE;
        for tries_left in (0..TRIES_MAX).rev() {
            let error = match self.client.send(request.clone(), Signal::Traces).await {
                Ok(taken) => {
                    self.counters.exported(ExportOutcome::Ok);
                    self.is_up();
                    let refused = usize::try_from(taken.rejected).unwrap_or(usize::MAX);
                    let refused = refused.min(chunk.spans);
                    self.counters.spans(SpanFate::Refused, refused);
                    self.counters.spans(SpanFate::Sent, chunk.spans - refused);
                    return;
                }
                Err(error) => error,
            };
            self.counters.exported(ExportOutcome::Failed);
            self.is_down(&error);
            if tries_left == 0 || !error.may_pass() || self.stopping.is_cancelled() {
                break;
            }
            tokio::select! {
                () = sleep(error.pause().unwrap_or(pause)) => {}
                // One last time.
                () = self.stopping.cancelled() => {}
            }
            pause *= 2;
        }
        self.counters.spans(SpanFate::Failed, chunk.spans);
    }

    fn is_up(&mut self) {
        if self.is_down {
            self.is_down = false;
            tracing::info!("the receiver of traces takes them again");
        }
    }

    /// The log hears of it once, however long it lasts.
    fn is_down(&mut self, error: &SendError) {
        if !self.is_down {
            self.is_down = true;
            tracing::warn!(error = %Chain(error), "the receiver of traces takes none; what does not wait is dropped");
        }
    }
}
