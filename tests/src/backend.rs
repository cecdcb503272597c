//! A metrics backend made by hand, that answers as a test wants and remembers what it was asked.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};

use crate::process::PATIENCE;

/// What the backend was asked.
#[derive(Debug, Clone)]
pub struct Received {
    /// The request line.
    pub line: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Received {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Answers one request; returning ends the connection.
type Answering = dyn Fn(&Received, &mut TcpStream) -> io::Result<()> + Send + Sync;

/// A backend on a free port; dropping it stops it.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    arrived: Condvar,
    stopped: AtomicBool,
    answering: Box<Answering>,
}

impl Backend {
    /// Starts one that writes its own answers.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(
        answering: impl Fn(&Received, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            arrived: Condvar::new(),
            stopped: AtomicBool::new(false),
            answering: Box::new(answering),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Starts one that answers every request with this status, type and body.
    #[must_use]
    pub fn answering(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let (media_type, body) = (media_type.to_owned(), body.into());
        Self::start(move |_, stream| answer(stream, status, &media_type, &body))
    }

    /// Starts one that answers every query with this `data`.
    #[must_use]
    pub fn with_data(data: &Value) -> Self {
        let body = json!({ "status": "success", "data": data }).to_string();
        Self::answering(200, "application/json", body)
    }

    /// Its base address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything it was asked so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// Waits until it was asked something.
    ///
    /// # Panics
    /// When nobody asks.
    #[must_use]
    pub fn wait_for_request(&self) -> Received {
        self.wait_for_requests(1).pop().expect("it is not empty")
    }

    /// Waits until it was asked so many times since its start, and gives all that it was asked.
    ///
    /// # Panics
    /// When nobody asks so often.
    #[must_use]
    pub fn wait_for_requests(&self, count: usize) -> Vec<Received> {
        let deadline = Instant::now() + PATIENCE;
        let mut received = self.shared.received.lock();
        while received.len() < count {
            let late = self.shared.arrived.wait_until(&mut received, deadline).timed_out();
            assert!(!late, "the backend was asked {} times, not {count}", received.len());
        }
        received.clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then sees that it is over.
        let _woken = TcpStream::connect(self.address);
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let Ok(received) = read_request(&mut stream) else { return };
        self.received.lock().push(received.clone());
        self.arrived.notify_all();
        let _client_may_leave = (self.answering)(&received, &mut stream);
    }
}

/// Writes a whole answer.
///
/// # Errors
/// When the client has left.
pub fn answer(
    stream: &mut TcpStream,
    status: u16,
    media_type: &str,
    body: &[u8],
) -> io::Result<()> {
    answer_with(stream, status, &[("Content-Type", media_type)], body)
}

/// Writes a whole answer with the headers given.
///
/// # Errors
/// When the client has left.
pub fn answer_with(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status} Answer\r\nConnection: close\r\n")?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "Content-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)
}

/// Reads on until the client leaves.
///
/// # Errors
/// When the connection breaks.
pub fn hold(stream: &mut TcpStream) -> io::Result<()> {
    let mut rest = [0_u8; 1024];
    while stream.read(&mut rest)? > 0 {}
    Ok(())
}

fn read_request(stream: &mut TcpStream) -> io::Result<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Received { line: line.trim_end().to_owned(), headers, body })
}
