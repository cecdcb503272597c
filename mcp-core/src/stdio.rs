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
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::{
    bytes::{Buf as _, Bytes, BytesMut},
    codec::{Decoder, FramedRead},
};

use crate::server::wire;

/// Longest line taken, in bytes; the same as the default bound of an HTTP body.
const LINE_BYTES_MAX: usize = 4 << 20;
/// How much longer than its calls the writing of their answers may take, once we are to stop.
const GRACE: Duration = Duration::from_secs(1);
/// Requests that may be unanswered at once; further ones are refused.
const UNANSWERED_MAX: usize = 256;

/// Why serving over stdio ended early.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client's first messages were no opening. What they were is not said: they may hold
    /// anything.
    #[error("the client opened neither with `initialize` nor with a request of 2026-07-28")]
    Opening,
    /// An answer could not be written.
    #[error("standard output was closed before every answer was written")]
    Output(#[source] io::Error),
    /// The client did not read what was left for it.
    #[error("the client does not read; answers were left when the time to stop was over")]
    Unread,
    /// The serving task failed.
    #[error("the server failed")]
    Failed(#[source] JoinError),
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
    let (ended, lost) = (Arc::new(Notify::new()), Arc::new(Mutex::new(None)));
    let lines = Lines {
        input: FramedRead::new(input, LineDecoder::default()),
        output: Arc::new(AsyncMutex::new(output)),
        open: Arc::new(Open::default()),
        lost: Arc::clone(&lost),
        patience,
        stop: Arc::clone(&ended),
        over: None,
        refusals: JoinSet::new(),
    };
    let serving = async {
        match handler.serve(lines).await {
            Ok(running) => running.waiting().await.map(drop).map_err(StdioError::Failed),
            // The client closed the input before it said anything, so nothing was asked for; or an
            // answer could not be written, which is noted.
            Err(
                ServerInitializeError::ConnectionClosed(_)
                | ServerInitializeError::TransportError { .. },
            ) => Ok(()),
            Err(_opening) => Err(StdioError::Opening),
        }
    };
    tokio::pin!(serving, stop);
    tokio::select! {
        served = &mut serving => served?,
        () = &mut stop => {
            ended.notify_one();
            // A client that reads nothing would hold the last answers, and with them the process.
            match tokio::time::timeout(patience + GRACE, serving).await {
                Ok(served) => served?,
                Err(_elapsed) => return Err(StdioError::Unread),
            }
        }
    }
    let lost = lost.lock().take();
    lost.map_or(Ok(()), |error| Err(StdioError::Output(error)))
}

/// A line of input.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Without its end.
    Whole(Bytes),
    /// Longer than we take; it was skipped to its end.
    TooLong,
}

/// Parts input into lines of any bytes. A line that is too long or no text is an item like any other:
/// an error would end the stream.
#[derive(Debug, Default)]
struct LineDecoder {
    /// Bytes at the start that hold no line end.
    searched: usize,
    skipping: bool,
}

impl Decoder for LineDecoder {
    type Item = Line;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Line>> {
        let end = input.iter().skip(self.searched).position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| self.searched + end) else {
            self.searched = input.len();
            if self.searched > LINE_BYTES_MAX {
                self.skipping = true;
            }
            if self.skipping {
                input.clear();
                self.searched = 0;
            }
            return Ok(None);
        };
        let line = input.split_to(end);
        input.advance(1);
        self.searched = 0;
        let skipped = std::mem::take(&mut self.skipping) || line.len() > LINE_BYTES_MAX;
        Ok(Some(if skipped { Line::TooLong } else { Line::Whole(line.freeze()) }))
    }

    fn decode_eof(&mut self, input: &mut BytesMut) -> io::Result<Option<Line>> {
        if let Some(line) = self.decode(input)? {
            return Ok(Some(line));
        }
        let rest = input.split().freeze();
        Ok((!rest.is_empty()).then_some(Line::Whole(rest)))
    }
}

/// Requests that were read and not answered yet.
#[derive(Debug, Default)]
struct Open {
    ids: Mutex<HashSet<RequestId>>,
    changed: Notify,
}

impl Open {
    fn remove(&self, id: &RequestId) {
        self.ids.lock().remove(id);
        self.changed.notify_one();
    }

    /// Notes a message; `false` when it is one request too many.
    fn admits(&self, message: &ClientJsonRpcMessage) -> bool {
        match message {
            JsonRpcMessage::Request(request) => {
                let mut ids = self.ids.lock();
                let has_room = ids.len() < UNANSWERED_MAX;
                if has_room {
                    ids.insert(request.id.clone());
                }
                return has_room;
            }
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    // A cancelled request gets no answer.
                    self.remove(id);
                }
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
        true
    }

    /// Waits until every request is answered.
    async fn none(&self) {
        while !self.ids.lock().is_empty() {
            self.changed.notified().await;
        }
    }
}

/// One JSON-RPC message a line.
struct Lines<I, O> {
    input: FramedRead<I, LineDecoder>,
    output: Arc<AsyncMutex<O>>,
    open: Arc<Open>,
    /// Why the first answer was lost.
    lost: Arc<Mutex<Option<io::Error>>>,
    patience: Duration,
    stop: Arc<Notify>,
    /// When calls in flight must have ended, once the input has or we are to stop.
    over: Option<Instant>,
    /// Answers to lines that were no messages, while they are written.
    refusals: JoinSet<()>,
}

impl<I, O> Lines<I, O>
where
    I: AsyncRead + Unpin + Send + Sync + 'static,
    O: AsyncWrite + Unpin + Send + Sync + 'static,
{
    /// The next line; `None` at the end of input or when told to stop.
    async fn line(&mut self) -> Option<Line> {
        if self.over.is_some() {
            return None;
        }
        while self.refusals.try_join_next().is_some() {}
        // A client that reads none of them gets no more.
        while self.refusals.len() >= UNANSWERED_MAX {
            tokio::select! {
                _written = self.refusals.join_next() => {}
                () = self.stop.notified() => {
                    self.over = Some(Instant::now() + self.patience);
                    return None;
                }
            }
        }
        let line = tokio::select! {
            // Input that cannot be read has ended.
            line = self.input.next() => line.and_then(Result::ok),
            () = self.stop.notified() => None,
        };
        if line.is_none() {
            self.over = Some(Instant::now() + self.patience);
        }
        line
    }

    /// Reads a line; one that is no message is refused.
    fn message(&mut self, line: &[u8]) -> Option<ClientJsonRpcMessage> {
        let (id, error) = match wire::parse(line) {
            Err(error) => (None, ErrorData::new(error.code(), error.to_string(), None)),
            Ok(read) => match serde_json::from_slice(line) {
                Ok(message) if self.open.admits(&message) => return Some(message),
                Ok(_) => {
                    let why = "too many requests are unanswered; wait for some to be answered";
                    (request_id(read), ErrorData::internal_error(why, None))
                }
                // Notifications and answers get no answer. Spec: JSON-RPC 2.0 §4.1.
                Err(_) if !matches!(read, wire::Message::Request(_)) => return None,
                Err(error) => {
                    let why = format!("invalid message: {error}");
                    (request_id(read), ErrorData::invalid_params(why, None))
                }
            },
        };
        self.refuse(id, error);
        None
    }

    /// Answers a line that was no message. In a task: rmcp drops a `receive` that waits, and half a
    /// line written would be worse than none.
    fn refuse(&mut self, id: Option<RequestId>, error: ErrorData) {
        let (output, lost) = (Arc::clone(&self.output), Arc::clone(&self.lost));
        self.refusals.spawn(async move {
            let refusal = ServerJsonRpcMessage::error(error, id);
            note_loss(&lost, &write_line(&output, &refusal).await);
        });
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
        let lost = Arc::clone(&self.lost);
        async move {
            let written = write_line(&output, &message).await;
            match &message {
                JsonRpcMessage::Response(response) => open.remove(&response.id),
                JsonRpcMessage::Error(error) => error.id.iter().for_each(|id| open.remove(id)),
                JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => {}
            }
            note_loss(&lost, &written);
            written
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        while let Some(line) = self.line().await {
            match line {
                Line::Whole(line) if line.trim_ascii().is_empty() => {}
                Line::Whole(line) => {
                    if let Some(message) = self.message(&line) {
                        return Some(message);
                    }
                }
                Line::TooLong => {
                    let why = format!("a line is longer than {LINE_BYTES_MAX} bytes");
                    self.refuse(None, ErrorData::parse_error(why, None));
                }
            }
        }
        // rmcp drops what is in flight as soon as it hears of the end.
        if let Some(over) = self.over {
            let answered = async {
                self.open.none().await;
                while self.refusals.join_next().await.is_some() {}
            };
            drop(tokio::time::timeout_at(over, answered).await);
        }
        None
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.output.lock().await.flush().await
    }
}

fn request_id(message: wire::Message<'_>) -> Option<RequestId> {
    match message {
        wire::Message::Request(request) => Some(request.id),
        wire::Message::Notification(_) | wire::Message::Response(_) => None,
    }
}

fn note_loss(lost: &Mutex<Option<io::Error>>, written: &io::Result<()>) {
    if let Err(error) = written {
        lost.lock().get_or_insert_with(|| io::Error::from(error.kind()));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Line> {
        let (mut decoder, mut input) = (LineDecoder::default(), BytesMut::from(input));
        let mut lines = Vec::new();
        while let Some(line) = decoder.decode_eof(&mut input).unwrap() {
            lines.push(line);
        }
        lines
    }

    #[test]
    fn lines_of_any_bytes_come_out_whole_the_last_without_an_end_too() {
        let whole = |line: &'static [u8]| Line::Whole(Bytes::from_static(line));
        assert_eq!(
            lines(b"a\n\n\xff\r\nend"),
            [whole(b"a"), whole(b""), whole(b"\xff\r"), whole(b"end")]
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_what_follows_is_read() {
        let mut decoder = LineDecoder::default();
        let mut input = BytesMut::from(&vec![b'x'; LINE_BYTES_MAX + 1][..]);
        assert_eq!(decoder.decode(&mut input).unwrap(), None);
        assert!(input.is_empty(), "nothing of it is kept");
        input.extend_from_slice(b"x\nnext\n");
        assert_eq!(decoder.decode(&mut input).unwrap(), Some(Line::TooLong));
        let next = Line::Whole(Bytes::from_static(b"next"));
        assert_eq!(decoder.decode(&mut input).unwrap(), Some(next));
    }
}
