//! A connection whose headers must arrive, and whose answers be taken, in time.
//!
//! Pingora limits each read, not the whole header, so that a client which sends a byte now and then
//! is never cut; and with HTTP/2 on plain connections it waits without limit for 24 bytes. This stream
//! stands between the socket and Pingora and cures both: a timer runs from the first byte of a header
//! until the edge says that the header is whole.

mod outgoing;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::future::poll_fn;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
    http::ServerSession,
    raw_connect::ProxyDigest,
    tls::{SslDigest, TlsRef},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};

use self::outgoing::Outgoing;
use crate::metrics::{Metrics, labels::Limit};

/// What HTTP/2 clients send first. Spec: RFC 9113 §3.4.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No request has begun: waiting is the keep-alive timer's business.
const IDLE: u8 = 0;
/// A header is arriving.
const HEADER: u8 = 1;
/// The header is whole, or the connection is HTTP/2.
const OPEN: u8 = 2;

/// Says where in a request a connection is. Shared with the edge through [`Guarded`].
#[derive(Debug, Default)]
struct Phase(AtomicU8);

/// How long a client may take, and where it is counted when it takes longer.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) header_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) metrics: Arc<Metrics>,
}

/// A connection that is cut when a header takes too long to come, or an answer to be taken.
#[derive(Debug)]
pub(crate) struct Guarded {
    inner: Stream,
    terms: Terms,
    phase: Phase,
    began: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    outgoing: Outgoing,
    /// Runs while a write waits for the client to read.
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Bytes read to tell HTTP/1 from HTTP/2, to be read again.
    peeked: BytesMut,
}

impl Guarded {
    pub(crate) fn new(inner: Stream, terms: Terms) -> Self {
        Self {
            inner,
            terms,
            phase: Phase::default(),
            began: None,
            timer: None,
            outgoing: Outgoing::default(),
            write_timer: None,
            peeked: BytesMut::new(),
        }
    }

    /// The guard under a session's connection. HTTP/2 has none that counts: once it is open, there
    /// is no header to wait for.
    pub(crate) fn of(session: &ServerSession) -> Option<&Self> {
        session.stream()?.as_any().downcast_ref()
    }

    /// The header is whole: no limit of ours on what follows.
    pub(crate) fn header_is_whole(&self) {
        self.phase.0.store(OPEN, Ordering::Relaxed);
    }

    /// The request is over: the next byte begins a header.
    pub(crate) fn await_header(&self) {
        self.phase.0.store(IDLE, Ordering::Relaxed);
    }

    fn in_header(&self) -> bool {
        self.phase.0.load(Ordering::Relaxed) == HEADER
    }

    /// `Err` when the header has taken too long.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let began = *self.began.get_or_insert_with(Instant::now);
        let timeout = self.terms.header_timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(began + timeout)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.terms.metrics.limit_reached(Limit::HeaderTime);
                Err(io::Error::new(io::ErrorKind::TimedOut, "the request header took too long"))
            }
            Poll::Pending => Ok(()),
        }
    }

    /// Passes on a write's progress, or an error when the client has read nothing for too long.
    ///
    /// Here and not by Pingora's own write timeout, which leaves out headers, last chunks and HTTP/2.
    fn bound_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        // What was only put beside the rest is no progress: a client that sends and never reads
        // would keep it going.
        let all_gone = polled.is_ready() && self.outgoing.is_empty();
        if self.outgoing.has_moved() || all_gone {
            self.write_timer = None;
        }
        if polled.is_ready() {
            return polled;
        }
        let timeout = self.terms.write_timeout;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(timer.as_mut().poll(cx));
        self.terms.metrics.limit_reached(Limit::WriteTime);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }

    /// Notes that bytes of a header came.
    fn header_bytes_came(&mut self) {
        if self.phase.0.load(Ordering::Relaxed) == IDLE {
            self.phase.0.store(HEADER, Ordering::Relaxed);
            self.began = Some(Instant::now());
            self.timer = None;
        }
    }

    /// Waits until it is clear whether the client speaks HTTP/2 by prior knowledge.
    ///
    /// Spec: RFC 9113 §3.3.
    pub(crate) async fn speaks_h2(&mut self) -> io::Result<bool> {
        let h2 = self.peek_preface().await?;
        if h2 {
            self.header_is_whole();
        }
        self.timer = None;
        self.began = None;
        Ok(h2)
    }

    /// Reads until it is clear whether the client speaks HTTP/2. `Ok(true)` when it does.
    async fn peek_preface(&mut self) -> io::Result<bool> {
        loop {
            let known = self.peeked.len().min(H2_PREFACE.len());
            if self.peeked.get(..known) != H2_PREFACE.get(..known) {
                return Ok(false);
            }
            if known == H2_PREFACE.len() {
                return Ok(true);
            }
            let mut piece = [0_u8; 64];
            let mut piece = ReadBuf::new(&mut piece);
            poll_fn(|cx| {
                // From the connection's first moment: a silent client is cut as a slow one is.
                self.poll_overdue(cx)?;
                Pin::new(&mut self.inner).poll_read(cx, &mut piece)
            })
            .await?;
            if piece.filled().is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.peeked.extend_from_slice(piece.filled());
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.peeked.is_empty() {
            let piece = this.peeked.len().min(buf.remaining());
            buf.put_slice(&this.peeked.split_to(piece));
            this.header_bytes_came();
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        if polled.is_pending() {
            if this.in_header() {
                this.poll_overdue(cx)?;
            }
            return Poll::Pending;
        }
        ready!(polled)?;
        if buf.filled().len() > before {
            if this.in_header()
                && let Err(overdue) = this.poll_overdue(cx)
            {
                // Who gets an error gets no bytes.
                buf.set_filled(before);
                return Poll::Ready(Err(overdue));
            }
            this.header_bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = this.outgoing.poll_write(&mut this.inner, cx, bytes);
        this.bound_write(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = this.outgoing.poll_flush(&mut this.inner, cx);
        this.bound_write(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[async_trait]
impl Peek for Guarded {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        let h2 = self.speaks_h2().await?;
        // Pingora compares the whole buffer with the preface; what else is in it does not matter.
        buf.fill(0);
        if h2 && let Some(start) = buf.get_mut(..H2_PREFACE.len()) {
            start.copy_from_slice(H2_PREFACE);
        }
        Ok(true)
    }
}

#[async_trait]
impl Shutdown for Guarded {
    async fn shutdown(&mut self) {
        // A connection that cannot take its last bytes is closed without them.
        drop(AsyncWriteExt::flush(self).await);
        Shutdown::shutdown(&mut *self.inner).await;
    }
}

impl UniqueID for Guarded {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Guarded {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<pingora::protocols::ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Guarded {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Guarded {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for Guarded {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::metrics::Subjects;

    async fn pair(timeout: Duration) -> (Guarded, tokio::net::TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let inner: Stream = Box::new(pingora::protocols::l4::stream::Stream::from(server));
        let subjects = Subjects { tools: &[], backends: &[], workers: 0 };
        let metrics = Arc::new(Metrics::new(subjects).unwrap());
        let terms = Terms { header_timeout: timeout, write_timeout: timeout, metrics };
        (Guarded::new(inner, terms), client)
    }

    #[tokio::test]
    async fn a_header_that_dribbles_in_is_cut() {
        let (mut server, mut client) = pair(Duration::from_millis(300)).await;
        let dribble = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        let mut all = Vec::new();
        let error = server.read_to_end(&mut all).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(server);
        dribble.await.unwrap();
    }

    #[tokio::test]
    async fn bytes_of_a_header_that_come_too_late_are_not_given_out() {
        let (mut server, mut client) = pair(Duration::from_millis(50)).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        client.write_all(b"y").await.unwrap();
        sleep(Duration::from_millis(200)).await;
        let mut late = Vec::new();
        let error = server.read_to_end(&mut late).await.unwrap_err();
        assert_eq!((error.kind(), late.as_slice()), (io::ErrorKind::TimedOut, b"".as_slice()));
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut() {
        let (mut server, client) = pair(Duration::from_millis(100)).await;
        let answers = vec![0; 16 << 20];
        let error = server.write_all(&answers).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }

    #[tokio::test]
    async fn what_is_written_leaves_at_the_flush_whole_and_in_order() {
        let (mut server, mut client) = pair(Duration::from_secs(5)).await;
        let large = vec![b'x'; 40 << 10];
        server.write_all(b"header").await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), client.read_u8()).await;
        assert!(early.is_err(), "nothing leaves before the flush");
        server.write_all(b"body").await.unwrap();
        server.flush().await.unwrap();
        let mut first = [0; 10];
        client.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"headerbody");
        server.write_all(b"before").await.unwrap();
        server.write_all(&large).await.unwrap();
        server.write_all(b"after").await.unwrap();
        Shutdown::shutdown(&mut server).await;
        drop(server);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [b"before".as_slice(), &large, b"after"].concat());
    }

    #[tokio::test]
    async fn after_the_header_a_slow_client_is_left_alone() {
        let (mut server, mut client) = pair(Duration::from_millis(50)).await;
        client.write_all(b"header").await.unwrap();
        let mut buf = [0; 6];
        server.read_exact(&mut buf).await.unwrap();
        server.header_is_whole();
        let late = tokio::spawn(async move {
            sleep(Duration::from_millis(200)).await;
            client.write_all(b"body").await.unwrap();
            client
        });
        let mut buf = [0; 4];
        server.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"body");
        late.await.unwrap();
    }

    #[tokio::test]
    async fn a_peek_tells_the_versions_apart_and_loses_no_byte() {
        let (mut server, mut client) = pair(Duration::from_secs(5)).await;
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut peeked = [0; 24];
        assert!(server.try_peek(&mut peeked).await.unwrap());
        assert_ne!(&peeked, H2_PREFACE);
        let mut buf = [0; 18];
        server.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"GET / HTTP/1.0\r\n\r\n");

        let (mut server, mut client) = pair(Duration::from_secs(5)).await;
        client.write_all(H2_PREFACE).await.unwrap();
        assert!(server.try_peek(&mut peeked).await.unwrap());
        assert_eq!(&peeked, H2_PREFACE);
    }

    #[tokio::test]
    async fn a_silent_client_does_not_hold_the_peek() {
        let (mut server, client) = pair(Duration::from_millis(50)).await;
        let error = server.try_peek(&mut [0; 24]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
