//! Bytes on their way out of a connection.
//!
//! Pingora writes header and body apart and counts on a buffer below to send them together. Its own
//! buffers live as long as the connection, 24 kB for each that waits or streams; this one lives from the
//! first write to the flush.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pingora::protocols::Stream;
use tokio::io::AsyncWrite as _;

/// Most bytes that wait for a flush. A header and a `tools/list` leave in one write; what is larger is
/// worth two.
const WAITING_MAX: usize = 16 << 10;

/// Bytes that were written and not flushed.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    waiting: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    pub(super) fn poll_write(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waiting.len() + bytes.len() > WAITING_MAX {
            ready!(self.poll_send(stream, cx))?;
        }
        if bytes.len() > WAITING_MAX {
            return Pin::new(stream).poll_write(cx, bytes);
        }
        self.waiting.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    pub(super) fn poll_flush(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_send(stream, cx))?;
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        *self = Self::default();
        Poll::Ready(Ok(()))
    }
}
