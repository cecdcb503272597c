//! The same server over standard input and output, for a client that starts it as a child.
//!
//! rmcp's own loop serves it; what it lacks is here: at the end of input, calls in flight are answered
//! before the loop is told, and a line that is no message is answered and not lost.
//!
//! Spec: MCP 2025-11-25 and 2026-07-28, stdio.

use std::{collections::HashSet, future::Future, io, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
    },
    service::ServerInitializeError,
    transport::Transport,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::{Mutex as AsyncMutex, Notify},
};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

/// Longest line taken, in bytes; the same as the default bound of an HTTP body.
const LINE_BYTES_MAX: usize = 4 << 20;
/// Requests that may be unanswered at once; further lines wait.
const UNANSWERED_MAX: usize = 256;

/// Why serving over stdio ended early.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client's first messages were no opening.
    #[error("the client did not open the session")]
    Opening(#[source] Box<ServerInitializeError>),
    /// The serving task failed.
    #[error("the server failed")]
    Failed(#[source] tokio::task::JoinError),
}

/// Serves `handler` until the input ends or `stop` is ready. `patience` is how long calls in flight
/// may then go on.
///
/// # Errors
/// [`StdioError`] when the client opens with something else than MCP.
pub async fn serve<I, O>(
    handler: impl ServerHandler,
    (input, output): (I, O),
    patience: Duration,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), StdioError>
where
    I: AsyncRead + Unpin + Send + Sync + 'static,
    O: AsyncWrite + Unpin + Send + Sync + 'static,
{
    let ended = Arc::new(Notify::new());
    let lines = Lines {
        input: FramedRead::new(input, LinesCodec::new_with_max_length(LINE_BYTES_MAX)),
        output: Arc::new(AsyncMutex::new(output)),
        open: Arc::new(Open::default()),
        patience,
        stop: Arc::clone(&ended),
        stopping: false,
    };
    let serving = async {
        match handler.serve(lines).await {
            Ok(running) => running.waiting().await.map(drop).map_err(StdioError::Failed),
            // The client closed the input before it said anything: nothing was asked for.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(StdioError::Opening(Box::new(error))),
        }
    };
    tokio::pin!(serving, stop);
    tokio::select! {
        served = &mut serving => served,
        () = &mut stop => {
            ended.notify_one();
            serving.await
        }
    }
}

/// Requests that were read and not answered yet.
#[derive(Debug, Default)]
struct Open {
    ids: Mutex<HashSet<RequestId>>,
    changed: Notify,
}

impl Open {
    fn add(&self, id: RequestId) {
        self.ids.lock().insert(id);
    }

    fn remove(&self, id: &RequestId) {
        self.ids.lock().remove(id);
        self.changed.notify_one();
    }

    fn count(&self) -> usize {
        self.ids.lock().len()
    }

    /// Waits until at most `most` are unanswered.
    async fn at_most(&self, most: usize) {
        while self.count() > most {
            self.changed.notified().await;
        }
    }
}

/// One JSON-RPC message a line.
struct Lines<I, O> {
    input: FramedRead<I, LinesCodec>,
    output: Arc<AsyncMutex<O>>,
    open: Arc<Open>,
    patience: Duration,
    stop: Arc<Notify>,
    stopping: bool,
}

impl<I, O> Lines<I, O>
where
    I: AsyncRead + Unpin + Send + Sync + 'static,
    O: AsyncWrite + Unpin + Send + Sync + 'static,
{
    /// The next line; `None` at the end of input or when told to stop.
    async fn line(&mut self) -> Option<Result<String, LinesCodecError>> {
        if self.stopping {
            return None;
        }
        self.open.at_most(UNANSWERED_MAX).await;
        let line = tokio::select! {
            line = self.input.next() => line,
            () = self.stop.notified() => None,
        };
        self.stopping = line.is_none();
        line
    }

    async fn refuse(&self, message: String) {
        let error = ErrorData::parse_error(message, None);
        let refusal = ServerJsonRpcMessage::error(error, None);
        // The client is gone when this fails, and the next read says so.
        drop(write_line(&self.output, &refusal).await);
    }
}

impl<I, O> Transport<RoleServer> for Lines<I, O>
where
    I: AsyncRead + Unpin + Send + Sync + 'static,
    O: AsyncWrite + Unpin + Send + Sync + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        let (output, open) = (Arc::clone(&self.output), Arc::clone(&self.open));
        async move {
            let written = write_line(&output, &message).await;
            match &message {
                JsonRpcMessage::Response(response) => open.remove(&response.id),
                JsonRpcMessage::Error(error) => error.id.iter().for_each(|id| open.remove(id)),
                JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => {}
            }
            written
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        while let Some(line) = self.line().await {
            let line = match line {
                Ok(line) => line,
                Err(LinesCodecError::MaxLineLengthExceeded) => {
                    self.refuse(format!("a line is longer than {LINE_BYTES_MAX} bytes")).await;
                    continue;
                }
                Err(LinesCodecError::Io(_)) => break,
            };
            if line.trim().is_empty() {
                continue;
            }
            match serde_json::from_str::<ClientJsonRpcMessage>(&line) {
                Ok(message) => {
                    note(&self.open, &message);
                    return Some(message);
                }
                Err(error) => {
                    self.refuse(format!("the line is no JSON-RPC message: {error}")).await;
                }
            }
        }
        self.stopping = true;
        // rmcp drops what is in flight as soon as it hears of the end.
        drop(tokio::time::timeout(self.patience, self.open.at_most(0)).await);
        None
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.output.lock().await.flush().await
    }
}

fn note(open: &Open, message: &ClientJsonRpcMessage) {
    match message {
        JsonRpcMessage::Request(request) => open.add(request.id.clone()),
        JsonRpcMessage::Notification(notification) => {
            if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                && let Some(id) = &cancelled.params.request_id
            {
                // A cancelled request gets no answer.
                open.remove(id);
            }
        }
        JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
    }
}

async fn write_line<O: AsyncWrite + Unpin>(
    output: &AsyncMutex<O>,
    message: &ServerJsonRpcMessage,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut output = output.lock().await;
    output.write_all(&line).await?;
    output.flush().await
}
