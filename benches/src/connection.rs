//! A connection that knows as much of HTTP/1.1 as measuring needs.

use std::{net::SocketAddr, str};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::failure::Failure;

/// Room for every answer that is asked for.
const BUFFER_BYTES: usize = 16 << 10;

/// A connection kept alive from request to request.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

/// An answer, as it lies in the connection's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Status line and fields.
    pub head: &'a [u8],
    /// Body.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// Whether the status is 200.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.has_status(200)
    }

    /// Whether the status is this one.
    #[must_use]
    pub fn has_status(&self, status: u16) -> bool {
        let said = self.head.strip_prefix(b"HTTP/1.1 ").and_then(|head| head.get(..3));
        said.and_then(|said| str::from_utf8(said).ok()?.parse().ok()) == Some(status)
    }

    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        field(self.head, name)
    }
}

impl Connection {
    /// Connects to a server.
    ///
    /// # Errors
    /// [`Failure`] when nobody listens.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = stream.await.map_err(Failure::system("connect to the server"))?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(BUFFER_BYTES) })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// [`Failure`] when the connection breaks or the answer has no `Content-Length`.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        let head_bytes = self.head(request).await?;
        let length = field(self.buffer.get(..head_bytes).unwrap_or_default(), "content-length");
        let length: usize =
            length.and_then(|length| length.parse().ok()).ok_or(Failure::NotHttp)?;
        while self.buffer.len() < head_bytes + length {
            self.more().await?;
        }
        let (head, body) = self.buffer.split_at_checked(head_bytes).ok_or(Failure::NotHttp)?;
        Ok(Answer { head, body })
    }

    /// Sends a request that is answered by a stream, and waits for the stream's first byte.
    ///
    /// # Errors
    /// [`Failure`] when the answer is no stream of events.
    pub async fn open_stream(&mut self, request: &[u8]) -> Result<(), Failure> {
        let head_bytes = self.head(request).await?;
        let head = self.buffer.get(..head_bytes).unwrap_or_default();
        if field(head, "content-type") != Some("text/event-stream") {
            return Err(Failure::NotHttp);
        }
        while self.buffer.len() <= head_bytes {
            self.more().await?;
        }
        // Thousands of these are held while they say nothing.
        self.buffer = BytesMut::new();
        Ok(())
    }

    /// Sends a request and reads until the end of the head; gives its length.
    async fn head(&mut self, request: &[u8]) -> Result<usize, Failure> {
        self.buffer.clear();
        let sent = self.stream.write_all(request).await;
        sent.map_err(Failure::system("send a request"))?;
        loop {
            self.more().await?;
            let end = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                return Ok(end + 4);
            }
        }
    }

    async fn more(&mut self) -> Result<(), Failure> {
        let read = self.stream.read_buf(&mut self.buffer).await;
        match read.map_err(Failure::system("read an answer"))? {
            0 => Err(Failure::NotHttp),
            _ => Ok(()),
        }
    }
}

/// The value of a field of a head.
fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let (field, value) = line.split_at_checked(name.len())?;
        let value =
            value.strip_prefix(b":").filter(|_| field.eq_ignore_ascii_case(name.as_bytes()));
        str::from_utf8(value?).ok().map(str::trim)
    })
}
