//! Who receives traces: takes everything, keeps nothing, and counts.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::failure::Failure;

/// How long spans may take from the answer to their receiver: they wait a second for others.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked for them.
const LOOK: Duration = Duration::from_millis(20);

/// The name of a request's own span, which stands in it once.
const SPAN_NAME: &[u8] = b"POST /mcp";

/// A receiver of OTLP over HTTP. It serves as long as this process lives.
#[derive(Debug)]
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<AtomicU64>,
    taken: u64,
}

impl Receiver {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// [`Failure`] when there is none.
    pub fn start() -> Result<Self, Failure> {
        let listen = || {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen().map_err(Failure::system("listen for traces"))?;
        let received = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let count = Arc::clone(&count);
                // Ends when the sender closes the connection.
                thread::spawn(move || while let Ok(true) = take_one(&stream, &count) {});
            }
        });
        Ok(Self { address, received, taken: 0 })
    }

    /// Waits until so many more requests were traced to it.
    ///
    /// # Errors
    /// [`Failure::Spans`] when their spans do not come.
    pub async fn take(&mut self, requests: u64) -> Result<(), Failure> {
        let began = Instant::now();
        self.taken += requests;
        loop {
            let found = self.received.load(Ordering::Relaxed);
            if found >= self.taken {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(Failure::Spans { found, expected: self.taken });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Takes one request, and says whether there was one.
fn take_one(stream: &TcpStream, count: &AtomicU64) -> io::Result<bool> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let Some((name, value)) = line.split_once(':') else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let spans = body.windows(SPAN_NAME.len()).filter(|part| *part == SPAN_NAME).count();
    count.fetch_add(u64::try_from(spans).unwrap_or_default(), Ordering::Relaxed);
    let mut stream = stream;
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n",
    )?;
    Ok(true)
}
