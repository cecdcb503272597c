//! HTTP/1.1 by hand: exact bytes out, every byte of the answer in.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;
use tokio::net::TcpSocket;

use crate::process::PATIENCE;

/// A request to be written as it stands.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request with `Host: localhost` and nothing else.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        let headers = vec![("Host".to_owned(), "localhost".to_owned())];
        Self { method: method.to_owned(), target: target.to_owned(), headers, body: Vec::new() }
    }

    /// Adds a header, also when there is one of the name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes every header of the name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// Puts `value` where headers of that name stood.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    /// Sets a JSON body with its content type.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.with("Content-Type", "application/json").body(body.to_string())
    }

    /// Sets the body with its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.with("Content-Length", &length)
    }

    /// Method, target, headers and body, for who writes it in another way.
    #[must_use]
    pub fn parts(&self) -> (&str, &str, &[(String, String)], &[u8]) {
        (&self.method, &self.target, &self.headers, &self.body)
    }

    /// The bytes up to the blank line.
    #[must_use]
    pub fn head_bytes(&self) -> Vec<u8> {
        let first = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let lines: Vec<String> = std::iter::once(first).chain(headers).collect();
        format!("{}\r\n", lines.concat()).into_bytes()
    }

    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Status and headers of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// That of an answer that came in another way.
    #[must_use]
    pub fn new(status: u16, headers: Vec<(String, String)>) -> Self {
        Self { status, headers }
    }

    /// The value of a header; several are joined.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let values: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Whether a header's value contains `part`.
    #[must_use]
    pub fn says(&self, name: &str, part: &str) -> bool {
        self.header(name).is_some_and(|value| value.to_ascii_lowercase().contains(part))
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status and headers.
    pub head: Head,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The JSON messages of the body: one, or those of an event stream.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        if self.head.says("content-type", "text/event-stream") {
            let text = self.text();
            return text.split("\n\n").filter_map(|event| Event::parse(event).message()).collect();
        }
        serde_json::from_slice(&self.body).into_iter().collect()
    }
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A line that keeps the stream alive, or an event without data.
    Comment,
    /// A JSON message.
    Message(Value),
}

impl Event {
    fn parse(text: &str) -> Self {
        let data: String = text
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|line| line.trim_start().to_owned())
            .collect();
        serde_json::from_str(&data).map_or(Self::Comment, Self::Message)
    }

    /// The message, if it is one.
    #[must_use]
    pub fn message(self) -> Option<Value> {
        match self {
            Self::Message(message) => Some(message),
            Self::Comment => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
    Ended,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    framing: Framing,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).expect("somebody listens")
    }

    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, unread: Vec::new(), framing: Framing::Ended })
    }

    /// Connects with room for a few kilobytes that nobody has read yet, so that a peer whose answers
    /// are not read notices soon.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn narrow(address: SocketAddr) -> Self {
        Self::prepared(address, |socket| socket.set_recv_buffer_size(4096))
    }

    /// Connects from another address of this machine: all of 127.0.0.0/8 are its own.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn from(source: [u8; 4], address: SocketAddr) -> Self {
        Self::prepared(address, |socket| socket.bind((source, 0).into()))
    }

    fn prepared(address: SocketAddr, prepare: impl FnOnce(&TcpSocket) -> io::Result<()>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let stream = runtime.expect("a runtime").block_on(async {
            let socket = TcpSocket::new_v4()?;
            prepare(&socket)?;
            socket.connect(address).await?.into_std()
        });
        let stream = stream.expect("somebody listens");
        stream.set_nonblocking(false).expect("a socket can block");
        Self::over(stream).expect("the socket is open")
    }

    /// Limits how long a read waits.
    ///
    /// # Panics
    /// On a bound of zero.
    pub fn patience(&self, bound: Duration) {
        self.stream.set_read_timeout(Some(bound)).expect("the bound is not zero");
    }

    /// Writes bytes.
    ///
    /// # Panics
    /// When the peer does not take them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the peer reads");
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// When the peer does not take them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that nothing more comes from us.
    pub fn finish_sending(&self) {
        let _peer_left = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn exchange(&mut self, request: &Request) -> Answer {
        self.send(request.bytes());
        self.answer()
    }

    /// Reads a whole answer.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn answer(&mut self) -> Answer {
        self.try_answer().expect("a whole answer comes")
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// When the connection ends before.
    pub fn try_answer(&mut self) -> io::Result<Answer> {
        let head = self.try_head()?;
        let mut body = Vec::new();
        while let Some(piece) = self.piece()? {
            body.extend_from_slice(&piece);
        }
        Ok(Answer { head, body })
    }

    /// Reads the head of an answer.
    ///
    /// # Panics
    /// When none comes.
    pub fn head(&mut self) -> Head {
        self.try_head().expect("an answer comes")
    }

    /// Reads the head of an answer.
    ///
    /// # Errors
    /// When the connection ends before, or what comes is not HTTP.
    pub fn try_head(&mut self) -> io::Result<Head> {
        let text = self.until(b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not HTTP: {text}")))?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(n, v)| (n.to_owned(), v.trim().to_owned())).collect();
        let head = Head { status, headers };
        self.framing = if status < 200 || status == 204 || status == 304 {
            Framing::Ended
        } else if head.says("transfer-encoding", "chunked") {
            Framing::Chunked
        } else if let Some(length) = head.header("content-length") {
            Framing::Length(length.parse().map_err(io::Error::other)?)
        } else {
            Framing::UntilClosed
        };
        Ok(head)
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the connection ends within the body.
    pub fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.framing {
            Framing::Ended => Ok(None),
            Framing::Length(length) => {
                self.framing = Framing::Ended;
                self.exactly(length).map(Some)
            }
            Framing::UntilClosed => {
                let more = self.fill()? || !self.unread.is_empty();
                Ok(more.then(|| std::mem::take(&mut self.unread)))
            }
            Framing::Chunked => {
                let line = self.until(b"\r\n")?;
                let size = String::from_utf8_lossy(&line);
                let size = size.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
                let piece = self.exactly(size)?;
                self.until(b"\r\n")?;
                if size == 0 {
                    self.framing = Framing::Ended;
                    return Ok(None);
                }
                Ok(Some(piece))
            }
        }
    }

    /// Reads what follows as an event stream.
    #[must_use]
    pub fn into_events(self) -> Events {
        Events { connection: self, text: String::new(), last_id: None }
    }

    /// Whether the peer closes the connection without another byte, waiting for it.
    pub fn is_closed(&mut self) -> bool {
        if !self.unread.is_empty() {
            return false;
        }
        match self.fill() {
            Ok(more) => !more,
            Err(error) => !is_late(&error),
        }
    }

    /// Whether no byte has come since the last whole answer.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.unread.is_empty() && matches!(self.framing, Framing::Ended)
    }

    fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let from = searched.min(self.unread.len());
            let found = self.unread.get(from..).unwrap_or_default();
            if let Some(at) = found.windows(end.len()).position(|window| window == end) {
                let rest = self.unread.split_off(from + at + end.len());
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.truncate(from + at);
                return Ok(line);
            }
            searched = self.unread.len().saturating_sub(end.len() - 1);
            self.fill_or_fail()?;
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.fill_or_fail()?;
        }
        let rest = self.unread.split_off(length);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    fn fill_or_fail(&mut self) -> io::Result<()> {
        if self.fill()? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0_u8; 16 << 10];
        let read = self.stream.read(&mut piece)?;
        self.unread.extend_from_slice(piece.get(..read).unwrap_or_default());
        Ok(read > 0)
    }
}

/// The events of a stream, one by one.
#[derive(Debug)]
pub struct Events {
    connection: Connection,
    text: String,
    last_id: Option<String>,
}

impl Events {
    /// The next event; `None` when the stream ended as it should.
    ///
    /// # Errors
    /// When the connection broke, or nothing came for too long.
    pub fn event(&mut self) -> io::Result<Option<Event>> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let id = event.lines().find_map(|line| line.strip_prefix("id:"));
                self.last_id = id.map(|id| id.trim().to_owned()).or(self.last_id.take());
                let event = Event::parse(event);
                self.text = rest.to_owned();
                return Ok(Some(event));
            }
            match self.connection.piece()? {
                Some(piece) => self.text.push_str(&String::from_utf8_lossy(&piece)),
                None => return Ok(None),
            }
        }
    }

    /// The next message, passing over comments.
    ///
    /// # Panics
    /// When the stream ends or breaks first.
    pub fn message(&mut self) -> Value {
        loop {
            let event = self.event().expect("the stream goes on").expect("the stream goes on");
            if let Some(message) = event.message() {
                return message;
            }
        }
    }

    /// All messages up to the proper end of the stream.
    ///
    /// # Panics
    /// When the stream breaks.
    pub fn rest(&mut self) -> Vec<Value> {
        let mut messages = Vec::new();
        while let Some(event) = self.event().expect("the stream ends as it should") {
            messages.extend(event.message());
        }
        messages
    }

    /// The id of the last event that had one.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Limits how long a read waits.
    pub fn patience(&self, bound: Duration) {
        self.connection.patience(bound);
    }
}

/// Whether a read failed because nothing came in time, and not because the connection ended.
#[must_use]
pub fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// One request on a connection of its own.
///
/// # Panics
/// When no whole answer comes.
#[must_use]
pub fn once(address: SocketAddr, request: &Request) -> Answer {
    Connection::open(address).exchange(request)
}

/// One `GET` on a connection of its own.
///
/// # Panics
/// When no whole answer comes.
#[must_use]
pub fn get(address: SocketAddr, target: &str) -> Answer {
    once(address, &Request::new("GET", target).header("Connection", "close"))
}
