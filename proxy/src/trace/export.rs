//! Sends what waits.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::queue::{Chunk, Next, Queue};
use crate::{
    config::Traces,
    metrics::{
        TraceCounters,
        labels::{ExportOutcome, SpanFate},
    },
    otlp::{Client, ClientError, Envelope, Resource, SendError, Signal},
    telemetry::Chain,
};

/// How often spans are sent that may pass another time.
const TRIES_MAX: u32 = 5;
/// The first pause between tries, about; each further one is twice as long.
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
            // Until it has gone it may still count what it sends.
            task.await.unwrap_or_default();
        }
        let lost = queue.close();
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
            let is_last = self.stopping.is_cancelled();
            match self.queue.next(is_last) {
                Next::Chunk(chunk) => {
                    self.deliver(&chunk).await;
                    self.queue.done(chunk.spans);
                }
                Next::Nothing if is_last => return,
                Next::Nothing => tokio::select! {
                    () = self.queue.begun() => {}
                    () = self.stopping.cancelled() => {}
                },
                Next::At(until) => tokio::select! {
                    () = self.queue.begun() => {}
                    () = sleep_until(until) => {}
                    () = self.stopping.cancelled() => {}
                },
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
                () = sleep(pause_after(&error, pause)) => {}
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

/// The pause before the next try. Replicas that failed together do not come back together; none comes sooner than it was
/// asked to.
fn pause_after(error: &SendError, own: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    match error.pause() {
        Some(asked) => asked + spread(asked, random) / 4,
        None => spread(own, random),
    }
}

/// Between a half and one and a half of it, as the random number says.
fn spread(length: Duration, random: u32) -> Duration {
    length.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn pauses_differ_and_none_is_shorter_than_a_receiver_asks_for() {
        assert_eq!(spread(PAUSE, 0), PAUSE / 2);
        assert_eq!(spread(PAUSE, u32::MAX), PAUSE * 3 / 2);
        let mut pauses: Vec<_> =
            (0..100).map(|_| pause_after(&SendError::BadAnswer, PAUSE)).collect();
        assert!(pauses.iter().all(|pause| (PAUSE / 2..=PAUSE * 3 / 2).contains(pause)));
        pauses.dedup();
        assert!(pauses.len() > 1);
        let asked = Duration::from_secs(4);
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let error = SendError::Status { status, pause: Some(asked) };
        assert!((0..100).all(|_| (asked..=asked * 2).contains(&pause_after(&error, PAUSE))));
    }
}
