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
    /// Whether the client took bytes since [`Outgoing::has_moved`] was asked.
    moved: bool,
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
            let polled = Pin::new(stream).poll_write(cx, bytes);
            self.moved |= polled.is_ready();
            return polled;
        }
        self.waiting.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Whether the client took bytes since this was asked last.
    pub(super) const fn has_moved(&mut self) -> bool {
        std::mem::replace(&mut self.moved, false)
    }

    /// Whether nothing waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
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
                sent => {
                    self.sent += sent;
                    self.moved = true;
                }
            }
        }
        (self.waiting, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }
}
