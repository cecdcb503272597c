//! One connection to one peer, for probes and control messages.
//!
//! Requests of clients travel over Pingora's pools. These few have a connection of their own: a probe must not
//! queue behind them, and one that was not answered must be able to throw its connection away without taking a
//! client's stream with it.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use parking_lot::Mutex;
use pingora::{
    ErrorType,
    connectors::{
        ConnectorOptions, TransportConnector,
        http::v2::{ConnectionRef, H2HandshakeSettings, handshake},
    },
    http::RequestHeader,
    protocols::{ALPN, http::v2::client::Http2Session},
    upstreams::peer::{HttpPeer, Peer as _},
};
use tokio::time::timeout;

use super::letters::Question;
use crate::hop::HOP;

/// Questions that may be under way at once on one connection; beyond that is another replica's trouble.
const STREAMS_MAX: usize = 16;

/// What may come in before it is read: answers are short, and who answers is not known yet.
const WINDOW_BYTES: u32 = 128 << 10;

/// Makes connections for all links.
#[derive(Clone)]
pub(super) struct Dialer(Arc<TransportConnector>);

/// The way to one address.
pub(super) struct Link {
    dialer: Dialer,
    peer: HttpPeer,
    open: Mutex<Option<ConnectionRef>>,
}

/// What came back.
pub(super) struct Received {
    pub(super) header: Option<HeaderValue>,
    pub(super) body: Bytes,
}

/// A question was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("nobody listens there")]
    Refused,
    #[error("no connection")]
    Connect(#[source] Box<pingora::Error>),
    #[error("HTTP/2 was not agreed on")]
    NotH2,
    #[error("the connection broke")]
    Broken(#[source] Box<pingora::Error>),
    #[error("the request cannot be written")]
    Request(#[source] Box<pingora::Error>),
    #[error("no answer within {} ms", .0.as_millis())]
    Slow(Duration),
    #[error("status {0}")]
    Status(u16),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Dialer {
    pub(super) fn new() -> Self {
        let mut options = ConnectorOptions::new(0);
        // Pingora loads the platform's authorities, and panics where there are none. With TLS each peer brings
        // its own, without it nobody asks: so it gets an empty list.
        options.ca_file = Some("/dev/null".to_owned());
        Self(Arc::new(TransportConnector::new(Some(options))))
    }
}

impl Link {
    pub(super) fn new(dialer: Dialer, peer: HttpPeer) -> Self {
        Self { dialer, peer, open: Mutex::new(None) }
    }

    /// Where it leads, as Pingora's proxy takes it.
    pub(super) fn peer(&self) -> &HttpPeer {
        &self.peer
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.peer.address().as_inet().copied()
    }

    /// Throws the connection away; the next question opens another.
    pub(super) fn close(&self) {
        *self.open.lock() = None;
    }

    /// Asks, and waits `patience` for the whole answer, connecting included. What fails costs the connection.
    pub(super) async fn ask(
        &self,
        question: &Question,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Received, LinkError> {
        let asked = timeout(patience, self.ask_unhurried(question, bytes_max)).await;
        let answered = asked.unwrap_or(Err(LinkError::Slow(patience)));
        if answered.is_err() {
            self.close();
        }
        answered
    }

    async fn ask_unhurried(
        &self,
        question: &Question,
        bytes_max: usize,
    ) -> Result<Received, LinkError> {
        let mut stream = self.stream().await?;
        let header = self.header(question).map_err(LinkError::Request)?;
        let no_body = question.body.is_empty();
        stream.write_request_header(Box::new(header), no_body).map_err(LinkError::Broken)?;
        if !no_body {
            let body = question.body.clone();
            stream.write_request_body(body, true).await.map_err(LinkError::Broken)?;
        }
        stream.read_response_header().await.map_err(LinkError::Broken)?;
        let response = stream.response_header();
        let status = response.map_or(0, |response| response.status.as_u16());
        if status != 200 {
            return Err(LinkError::Status(status));
        }
        let header = response.and_then(|response| response.headers.get(HOP)).cloned();
        let mut body = BytesMut::new();
        while let Some(part) = stream.read_response_body().await.map_err(LinkError::Broken)? {
            if body.len() + part.len() > bytes_max {
                return Err(LinkError::TooLarge(bytes_max));
            }
            body.extend_from_slice(&part);
        }
        Ok(Received { header, body: body.freeze() })
    }

    /// A stream on the open connection, or on a new one.
    async fn stream(&self) -> Result<Http2Session, LinkError> {
        let open = self.open.lock().clone().filter(|connection| !connection.is_closed());
        if let Some(connection) = open {
            // A connection that the other side ends politely says so here.
            if let Ok(Some(stream)) = connection.spawn_stream().await {
                return Ok(stream);
            }
        }
        let connection = self.connect().await?;
        *self.open.lock() = Some(connection.clone());
        let stream = connection.spawn_stream().await.map_err(LinkError::Broken)?;
        stream.ok_or(LinkError::NotH2)
    }

    async fn connect(&self) -> Result<ConnectionRef, LinkError> {
        let stream = self.dialer.0.new_stream(&self.peer).await.map_err(connect_error)?;
        // Without TLS nothing is agreed on: replicas speak HTTP/2 to one another, and nothing else.
        if self.peer.tls() && stream.selected_alpn_proto() != Some(ALPN::H2) {
            return Err(LinkError::NotH2);
        }
        let mut settings = H2HandshakeSettings::new();
        settings.max_streams = STREAMS_MAX;
        settings.stream_window_size = Some(WINDOW_BYTES);
        settings.connection_window_size = Some(WINDOW_BYTES);
        handshake(stream, settings).await.map_err(LinkError::Broken)
    }

    fn header(&self, question: &Question) -> pingora::Result<RequestHeader> {
        let path = question.path.as_bytes();
        let mut header = RequestHeader::build(question.method, path, Some(3))?;
        header.insert_header(header::HOST, self.peer.address().to_string())?;
        header.insert_header(HOP, question.header.clone())?;
        if !question.body.is_empty() {
            header.insert_header(header::CONTENT_LENGTH, question.body.len())?;
        }
        Ok(header)
    }
}

/// A shut port is told from every other trouble: it alone leaves no doubt.
fn connect_error(error: Box<pingora::Error>) -> LinkError {
    if error.etype == ErrorType::ConnectRefused {
        LinkError::Refused
    } else {
        LinkError::Connect(error)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer._address).finish_non_exhaustive()
    }
}
