//! A syslog server on TCP that keeps what it is sent, goes away and comes back.

use std::{
    io::Read as _,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;
use tokio::net::TcpSocket;

use crate::{place::Place, process::until};

/// A port of its own [`Place`].
const PORT: u16 = 17_001;

/// The server; dropping it ends it.
#[derive(Debug)]
pub struct Syslog {
    place: Place,
    /// What came on each connection.
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
    /// What is read of, so that it can be cut.
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Syslog {
    /// Starts one.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        let syslog =
            Self { place: Place::find(), received: Arc::default(), running: Mutex::new(None) };
        syslog.come_back();
        syslog
    }

    /// Its address, as a sink is told it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("tcp://{}", self.address())
    }

    fn address(&self) -> SocketAddr {
        self.place.at(PORT)
    }

    /// Everything that was received so far, as it came.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.received.lock().concat()
    }

    /// Every message that was received whole.
    ///
    /// # Panics
    /// When a message has no length before it.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let received = self.received.lock().clone();
        let mut messages = Vec::new();
        for connection in &received {
            let mut rest = connection.as_slice();
            // One that was cut ends with the beginning of a message, which comes again on the next.
            while let Some((message, after)) = first(rest) {
                messages.push(message);
                rest = after;
            }
        }
        messages
    }

    /// Waits until it has so many messages.
    ///
    /// # Panics
    /// When they do not come.
    pub fn wait_for(&self, messages: usize) {
        until("the messages of syslog", || self.messages().len() >= messages);
    }

    /// Stops to listen, and closes every connection as a server does that ends in good order: what was sent before is
    /// read to its end.
    ///
    /// # Panics
    /// When it has stopped already.
    pub fn go_away(&self) {
        self.running.lock().take().expect("it runs").end(self.address());
    }

    /// Listens again, at the same address.
    ///
    /// # Panics
    /// When the address is not free.
    pub fn come_back(&self) {
        let (stop, connections) = (Arc::default(), Arc::default());
        let accepting = {
            let (stop, connections): (Arc<AtomicBool>, Arc<Mutex<Vec<TcpStream>>>) =
                (Arc::clone(&stop), Arc::clone(&connections));
            let listener = listen(self.address());
            let received = Arc::clone(&self.received);
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    connections.lock().push(stream.try_clone().expect("a socket can be cloned"));
                    let received = Arc::clone(&received);
                    thread::spawn(move || keep(stream, &received));
                }
            })
        };
        *self.running.lock() = Some(Running { stop, accepting, connections });
    }
}

impl Running {
    fn end(self, address: SocketAddr) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then sees that it is over.
        drop(TcpStream::connect(address));
        let _panicked = self.accepting.join();
        for connection in self.connections.lock().drain(..) {
            let _peer_left = connection.shutdown(Shutdown::Write);
        }
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().take() {
            running.end(self.place.at(PORT));
        }
    }
}

/// Keeps what comes on a connection.
fn keep(mut stream: TcpStream, received: &Mutex<Vec<Vec<u8>>>) {
    let number = {
        let mut received = received.lock();
        received.push(Vec::new());
        received.len() - 1
    };
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        received.lock()[number].extend_from_slice(&buffer[..count]);
    }
}

/// The first message and what follows it. Spec: RFC 6587 §3.4.1.
fn first(bytes: &[u8]) -> Option<(String, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|text| text.parse().ok());
    let length: usize = length.expect("a message begins with its length");
    let rest = &bytes[space + 1..];
    let (message, after) = rest.split_at_checked(length)?;
    Some((String::from_utf8_lossy(message).into_owned(), after))
}

fn listen(address: SocketAddr) -> TcpListener {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let listener = runtime.expect("a runtime").block_on(async {
        let socket = TcpSocket::new_v4()?;
        // What it served before may still be closing.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(64)?.into_std()
    });
    let listener = listener.expect("the address is free");
    listener.set_nonblocking(false).expect("a socket can block");
    listener
}
